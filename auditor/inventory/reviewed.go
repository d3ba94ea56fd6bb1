package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/resourcepolicy"
	"github.com/aistudio/secrets/auditor/trail"
)

// Reviewed are the resource policies that were read and found to open nothing.
// GetResourcePolicy is a call a secret, so a run reads only those that the trail
// says have changed, those it never read, and those that were found wanting.
type Reviewed struct {
	Time  time.Time // of the run up to which changes are known
	Clean []uint64  // sorted; each stands for a secret and those expected to read it
}

// reviewID is the same in every process, and another one when the catalogue
// expects other readers, or when policies are judged otherwise.
func reviewID(arn string, expected []string) uint64 {
	sum := sha256.Sum256([]byte(strings.Join(slices.Concat([]string{resourcepolicy.Version, strconv.FormatBool(expected != nil), arn}, expected), "\x00")))
	return binary.BigEndian.Uint64(sum[:8])
}

func (r *Reviewed) find(id uint64) (index int, found bool) {
	if r == nil {
		return 0, false
	}
	return slices.BinarySearch(r.Clean, id)
}

// policyChanges asks the trail whose resource policy has changed since the last
// run.
type policyChanges struct {
	opts Options

	mu      sync.Mutex
	changed map[string]bool // by name
	unknown []string
}

// trailDelay is how late CloudTrail may show an event, with room (CloudTrail
// user guide: "within an average of about 5 minutes").
const trailDelay = 2 * time.Hour

func newPolicyChanges(opts Options) *policyChanges {
	return &policyChanges{opts: opts, changed: map[string]bool{}}
}

func (x *policyChanges) lookup(ctx context.Context, r *Region, region string) {
	previous := x.opts.Previous
	if previous == nil || x.opts.Now.Sub(previous.Time) > trail.Keeps-trailDelay {
		return // nothing is known from before
	}
	for _, name := range []string{"PutResourcePolicy", "DeleteResourcePolicy"} {
		complete, err := trail.Lookup(ctx, r.clients.trail, r.throttle.lookups,
			trail.Query{Key: types.LookupAttributeKeyEventName, Value: name, From: previous.Time.Add(-trailDelay), To: x.opts.Now, Pages: failurePages},
			func(e *trail.Event) {
				x.mu.Lock()
				defer x.mu.Unlock()
				x.changed[e.Secret()] = true
			})
		if err != nil || !complete {
			x.mu.Lock()
			x.unknown = append(x.unknown, region)
			x.mu.Unlock()
			return
		}
	}
}

// policyReads knows which resource policies must be read in this run, and holds
// what was found.
type policyReads struct {
	previous *Reviewed       // nil: nothing is known from before
	changed  map[string]bool // by name
	blind    bool            // the trail didn't say what has changed

	mu    sync.Mutex
	kept  []bool                                      // those of previous.Clean that still hold
	clean []uint64                                    // read in this run
	found map[string]facts.Fact[facts.ResourcePolicy] // by ARN: those that open something or couldn't be read
}

func (x *policyChanges) plan() *policyReads {
	reads := &policyReads{previous: x.opts.Previous, changed: x.changed, blind: len(x.unknown) > 0, found: map[string]facts.Fact[facts.ResourcePolicy]{}}
	if p := x.opts.Previous; p != nil && x.opts.Now.Sub(p.Time) > trail.Keeps-trailDelay {
		reads.previous = nil
	}
	if reads.previous != nil {
		reads.kept = make([]bool, len(reads.previous.Clean))
	}
	return reads
}

// known reports whether the last runs' review of the secret still holds, and
// carries it over to the next run.
func (p *policyReads) known(s *facts.Secret, id uint64) bool {
	i, reviewed := p.previous.find(id)
	switch {
	case !reviewed || p.changed[s.Name]:
		return false
	case p.blind && !s.Changed.Before(p.previous.Time.Add(-trailDelay)):
		return false // without the trail, any change may have been one of the policy
	}
	p.kept[i] = true
	return true
}

func (p *policyReads) note(arn string, id uint64, policy facts.Fact[facts.ResourcePolicy]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if opened, known := policy.Get(); known && opened.Empty() {
		p.clean = append(p.clean, id)
		return
	}
	p.found[arn] = policy
}

// reviewed returns what is known after the run. It reuses the memory of what was
// known before.
func (p *policyReads) reviewed(now time.Time) *Reviewed {
	var all []uint64
	if p.previous != nil {
		all = p.previous.Clean[:0]
		for i, id := range p.previous.Clean {
			if p.kept[i] {
				all = append(all, id)
			}
		}
		p.previous = nil
	}
	all = append(all, p.clean...)
	p.clean = nil
	slices.Sort(all)
	return &Reviewed{Time: now, Clean: all}
}
