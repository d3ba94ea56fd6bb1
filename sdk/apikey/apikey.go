// Package apikey verifies the keys that callers of a service present, against
// an API key secret that is rotated: it accepts the current key and, so that
// callers have until the next rotation to change over, the previous one.
//
// The keys come from the secrets cache, so a verification makes no call as a
// rule. A key that isn't known may be newer than the cache: then the secret is
// fetched, at most once every [MinRefresh] whatever is presented.
package apikey

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// ErrInvalid is the error about a key that is none of the accepted ones.
var ErrInvalid = errors.New("invalid API key")

// MinRefresh is the least time between two fetches that unknown keys cause.
const MinRefresh = 30 * time.Second

// Source is the secrets cache. *secrets.Client is one.
type Source interface {
	secrets.Getter
	Newer(ctx context.Context, id string, used secrets.Secret) (secrets.Secret, error)
}

// Match says which key of the secret was presented.
type Match struct {
	ID        string // the key's id, if the secret's value has one
	VersionID string
	Stage     string // the staging label by which the version was accepted
}

// Verifier verifies keys against a secret whose value has the shape of
// spec.APIKey. It is safe for concurrent use.
type Verifier struct {
	source Source
	id     string
	stages []string

	mu        sync.Mutex
	refreshed time.Time         // guarded by mu
	absent    map[string]string // stages that don't exist, by the current version when that was seen; guarded by mu
}

// New returns a verifier for the secret of that id. stages are the labels of
// the versions that are accepted: AWSCURRENT and AWSPREVIOUS if none are given.
// Add AWSPENDING to accept a key before its rotation is complete.
func New(source Source, id string, stages ...string) *Verifier {
	if len(stages) == 0 {
		stages = []string{secrets.StageCurrent, secrets.StagePrevious}
	}
	return &Verifier{source: source, id: id, stages: stages, absent: map[string]string{}}
}

// Verify returns which of the accepted keys was presented. The error is
// ErrInvalid if it is none of them; any other error means that the keys
// couldn't be read, and says nothing about the one presented. Comparing takes
// the same time whatever the keys have in common.
func (v *Verifier) Verify(ctx context.Context, presented string) (Match, error) {
	if presented == "" {
		return Match{}, ErrInvalid
	}
	digest := sha256.Sum256([]byte(presented))
	current, err := v.source.Get(ctx, v.id)
	if err != nil {
		return Match{}, err
	}
	match, err := v.compare(ctx, current, digest)
	if !errors.Is(err, ErrInvalid) || !v.mayRefresh() {
		return match, err
	}
	newer, err := v.source.Newer(ctx, v.id, current)
	if err != nil {
		return Match{}, err
	}
	if newer.VersionID == current.VersionID {
		return Match{}, ErrInvalid
	}
	return v.compare(ctx, newer, digest)
}

func (v *Verifier) mayRefresh() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if now.Sub(v.refreshed) < MinRefresh {
		return false
	}
	v.refreshed = now
	return true
}

func (v *Verifier) compare(ctx context.Context, current secrets.Secret, digest [sha256.Size]byte) (Match, error) {
	for _, stage := range v.stages {
		secret := current
		if stage != secrets.StageCurrent {
			var found bool
			var err error
			if secret, found, err = v.read(ctx, current, stage); err != nil {
				return Match{}, err
			} else if !found {
				continue
			}
		}
		key, err := spec.ParseAPIKey(secret.Value)
		if err != nil {
			return Match{}, fmt.Errorf("version %s of secret %q: %w", secret.VersionID, v.id, err)
		}
		text := key.Key.Reveal()
		want := sha256.Sum256(text)
		clear(text)
		if subtle.ConstantTimeCompare(want[:], digest[:]) == 1 {
			return Match{ID: key.ID, VersionID: secret.VersionID, Stage: stage}, nil
		}
	}
	return Match{}, ErrInvalid
}

// read returns the version of a stage. That there is no previous version is
// asked once for each current one: a secret that was never rotated has none,
// and it comes with a rotation only.
func (v *Verifier) read(ctx context.Context, current secrets.Secret, stage string) (secrets.Secret, bool, error) {
	v.mu.Lock()
	known := stage == secrets.StagePrevious && v.absent[stage] == current.VersionID
	v.mu.Unlock()
	if known {
		return secrets.Secret{}, false, nil
	}
	secret, err := v.source.Get(ctx, v.id, secrets.Stage(stage))
	if errors.Is(err, secrets.ErrNotFound) {
		v.mu.Lock()
		v.absent[stage] = current.VersionID
		v.mu.Unlock()
		return secrets.Secret{}, false, nil
	}
	return secret, err == nil, err
}
