package secretsmanager

import (
	"crypto/rand"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
)

// place is where secrets live side by side.
type place struct{ account, region string }

// secret is one secret in one region: a primary or a replica.
type secret struct {
	place
	name        string
	suffix      string // the six characters of the ARN, the same in all regions
	description string
	kmsKeyID    string // as the caller gave it; "" is the account's default key
	tags        []tag
	policy      string

	created  time.Time
	changed  time.Time
	accessed time.Time // a day
	rotated  time.Time

	versions []*version // oldest first
	rotation rotation

	deletion time.Time // when it will be gone; zero unless scheduled
	reaper   *clock.Timer

	primaryRegion string // "" unless it is replicated or a replica
	replicas      []*replica
}

// version is one version of a secret's value.
type version struct {
	id      string
	stages  []string
	created time.Time
	// accessed is a day.
	accessed time.Time

	// ciphertext is nil in a version that a rotation made and its function has
	// not filled yet.
	ciphertext []byte
	// boundTo is the version id in the encryption context; it differs from id
	// only in the copy that tests a rotation.
	boundTo string
	binary  bool
	keyARN  string
	// defaultKey says that the account's default key encrypted it.
	defaultKey bool
}

type tag struct{ Key, Value string }

const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

func (sec *secret) arn() string {
	return api.ARN("secretsmanager", sec.region, sec.account, "secret:"+sec.name+"-"+sec.suffix)
}

func (sec *secret) isReplica() bool {
	return sec.primaryRegion != "" && sec.primaryRegion != sec.region
}

// version returns nil when there is none with this id.
func (sec *secret) version(id string) *version {
	for _, v := range sec.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// staged returns the version that holds a staging label, or nil.
func (sec *secret) staged(stage string) *version {
	for _, v := range sec.versions {
		if v.has(stage) {
			return v
		}
	}
	return nil
}

// isTest says that the version is the copy that tests a rotation.
func (v *version) isTest() bool { return v.ciphertext != nil && v.boundTo != v.id }

func (v *version) has(stage string) bool { return slices.Contains(v.stages, stage) }

func (v *version) label(stage string) {
	if !v.has(stage) {
		v.stages = append(v.stages, stage)
		slices.Sort(v.stages)
	}
}

func (v *version) unlabel(stage string) {
	v.stages = slices.DeleteFunc(v.stages, func(s string) bool { return s == stage })
}

// move takes a staging label from the version that has it to v. AWSPREVIOUS
// follows AWSCURRENT by itself.
func (sec *secret) move(stage string, v *version) {
	from := sec.staged(stage)
	if from == v {
		return
	}
	if from != nil {
		from.unlabel(stage)
		if stage == current {
			sec.move(previous, from)
		}
	}
	if stage == current {
		v.unlabel(previous)
	}
	v.label(stage)
}

// suffixAlphabet is that of the random end of a secret's ARN.
const suffixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func newSuffix(random io.Reader) (string, error) {
	b := make([]byte, 6)
	for i := range b {
		n, err := rand.Int(random, big.NewInt(int64(len(suffixAlphabet))))
		if err != nil {
			return "", fmt.Errorf("make the suffix of a secret's ARN: %w", err)
		}
		b[i] = suffixAlphabet[n.Int64()]
	}
	return string(b), nil
}

// reference is a SecretId as callers write it, taken apart.
type reference struct {
	place
	name   string
	suffix string // "" for a name or a partial ARN
}

var arnSuffix = regexp.MustCompile(`^(.+)-([A-Za-z0-9]{6})$`)

// parseReference reads a name, an ARN or a partial ARN. An ARN whose end looks
// like a suffix is a complete one, so a partial ARN of a secret whose name ends
// in a hyphen and six characters is not found: AWS documents that as "Finding a
// secret from a partial ARN".
func parseReference(r *api.Request, id string) reference {
	ref := reference{place: place{r.Account, r.Region}, name: id}
	parts := strings.SplitN(id, ":", 7)
	if len(parts) != 7 || parts[0] != "arn" || parts[2] != "secretsmanager" || parts[5] != "secret" {
		return ref
	}
	ref.place = place{account: parts[4], region: parts[3]}
	ref.name = parts[6]
	if m := arnSuffix.FindStringSubmatch(ref.name); m != nil {
		ref.name, ref.suffix = m[1], m[2]
	}
	return ref
}

// lookup returns nil when there is no such secret. The caller holds the lock.
func (s *Service) lookup(r *api.Request, id string) *secret {
	ref := parseReference(r, id)
	if ref.region != r.Region {
		return nil
	}
	sec := s.secrets[ref.place][ref.name]
	if sec == nil || (ref.suffix != "" && ref.suffix != sec.suffix) {
		return nil
	}
	return sec
}

func (s *Service) store(sec *secret) {
	if s.secrets[sec.place] == nil {
		s.secrets[sec.place] = map[string]*secret{}
	}
	if s.secrets[sec.place][sec.name] != sec {
		s.secrets[sec.place][sec.name] = sec
		delete(s.orders, sec.place)
	}
}

// drop removes a secret for good, with all that would still happen to it.
func (s *Service) drop(sec *secret) {
	if sec.reaper != nil {
		sec.reaper.Stop()
	}
	sec.rotation.stop()
	if s.secrets[sec.place][sec.name] == sec {
		delete(s.secrets[sec.place], sec.name)
		delete(s.orders, sec.place)
	}
}

// day is the resolution of access dates.
func day(t time.Time) time.Time { return t.Truncate(24 * time.Hour) }
