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

// upTo is the time up to which changes are known, zero if that is longer ago than
// the trail goes back.
func (r *Reviewed) upTo(now time.Time) time.Time {
	if r == nil || now.Sub(r.Time) > trail.Keeps-trailDelay {
		return time.Time{}
	}
	return r.Time
}

// policyChanges asks the trail whose resource policy has changed since the last
// run.
type policyChanges struct {
	opts Options
	from time.Time // to which the trail is asked back

	mu      sync.Mutex
	changed map[string]bool // by name
	unknown []string
}

// trailDelay is how late CloudTrail may show an event, with room (CloudTrail
// user guide: "within an average of about 5 minutes").
const trailDelay = 2 * time.Hour

func newPolicyChanges(opts Options) *policyChanges {
	x := &policyChanges{opts: opts, from: opts.Now.Add(-trail.Keeps), changed: map[string]bool{}}
	if last := opts.Previous.upTo(opts.Now); !last.IsZero() {
		x.from = last.Add(-trailDelay)
	}
	return x
}

func (x *policyChanges) lookup(ctx context.Context, r *Region, region string) {
	if x.opts.Policy.PolicyReads == 0 && x.opts.Previous.upTo(x.opts.Now).IsZero() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.unknown = append(x.unknown, region) // nobody wants to know
		return
	}
	for _, name := range []string{"PutResourcePolicy", "DeleteResourcePolicy"} {
		complete, err := trail.Lookup(ctx, r.clients.trail, r.throttle.lookups,
			trail.Query{Key: types.LookupAttributeKeyEventName, Value: name, From: x.from, To: x.opts.Now, Pages: failurePages},
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
	from     time.Time       // since when it is known what has changed
	changed  map[string]bool // by name
	blind    bool            // the trail didn't say what has changed

	mu    sync.Mutex
	kept  []bool                                      // those of previous.Clean that still hold
	clean []uint64                                    // read in this run
	found map[string]facts.Fact[facts.ResourcePolicy] // by ARN: those that open something or couldn't be read
}

func (x *policyChanges) plan() *policyReads {
	reads := &policyReads{previous: x.opts.Previous, from: x.from, changed: x.changed, blind: len(x.unknown) > 0, found: map[string]facts.Fact[facts.ResourcePolicy]{}}
	if x.opts.Previous.upTo(x.opts.Now).IsZero() {
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

// mayBeNew reports whether a secret was made since the trail tells of every
// policy, and none was put on it. If CreateSecret made it, it has none: that call
// takes no policy. A promoted replica has its primary's, and no such call. What
// was changed lately may have a policy of which the trail doesn't tell yet.
func (p *policyReads) mayBeNew(s *facts.Secret, id uint64, now time.Time) bool {
	_, reviewed := p.previous.find(id)
	return !p.blind && !reviewed && !p.changed[s.Name] && s.OwningService == "" &&
		s.Created.After(p.from) && s.Changed.Before(now.Add(-trailDelay))
}

// birthsFrom is the number of such secrets in a region from which on it takes less
// calls to ask the trail for the calls that made them than to read their policies.
const birthsFrom = 100

// readBirths asks the trail when CreateSecret made the secrets that may be new. Of
// those that it doesn't find the policy is read.
func (inv *Inventory) readBirths(ctx context.Context) (map[regionKey]time.Time, error) {
	fresh := map[string]int{}
	err := inv.eachSecret(func(s *facts.Secret) error {
		if s.Deleted.IsZero() && inv.policies.mayBeNew(s, reviewID(s.ARN, inv.expected(s.Name)), inv.opts.Now) {
			fresh[s.Region]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	births := map[regionKey]time.Time{}
	for _, region := range inv.opts.Regions {
		if fresh[region] < birthsFrom {
			continue
		}
		r := inv.Regions[region]
		_, err := trail.Lookup(ctx, r.clients.trail, r.throttle.lookups,
			trail.Query{Key: types.LookupAttributeKeyEventName, Value: "CreateSecret", From: inv.policies.from, To: inv.opts.Now, Pages: failurePages},
			func(e *trail.Event) {
				if e.ErrorCode == "" {
					births[regionKey{region, strings.Clone(e.RequestParameters.Name)}] = e.EventTime
				}
			})
		if err != nil {
			inv.opts.Log.WarnContext(ctx, "the trail doesn't tell which secrets are new", "region", region, "error", err)
		}
	}
	return births, nil
}

// born reports whether one of the births is a secret's: another one may have had
// its name.
func born(s *facts.Secret, births map[regionKey]time.Time) bool {
	at, ok := births[regionKey{s.Region, s.Name}]
	const apart = time.Minute // the event's time is that of the call, in whole seconds
	return ok && s.Created.Sub(at).Abs() < apart
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
