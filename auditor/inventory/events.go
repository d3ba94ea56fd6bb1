package inventory

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/trail"
)

const failurePages = 20

// readFailures finds the newest failed rotation of each secret of the region,
// by name.
func (r *Region) readFailures(ctx context.Context, now time.Time) facts.Fact[map[string]time.Time] {
	failures := map[string]time.Time{}
	complete, err := trail.Lookup(ctx, r.clients.trail, r.throttle.lookups,
		trail.Query{Key: types.LookupAttributeKeyEventName, Value: "RotationFailed", From: now.Add(-trail.Keeps), To: now, Pages: failurePages},
		func(e *trail.Event) {
			name := e.Secret()
			if e.EventTime.After(failures[name]) {
				failures[strings.Clone(name)] = e.EventTime.UTC()
			}
		})
	switch {
	case err != nil:
		return facts.Unknown[map[string]time.Time](reason(err))
	case !complete:
		return facts.Fact[map[string]time.Time]{Value: failures, Unknown: fmt.Sprintf("more than %d rotations failed in the last 90 days, and older ones were not looked at", failurePages*50)}
	}
	return facts.Known(failures)
}

// reads gathers who read which secret, in all regions.
type reads struct {
	opts Options

	mu      sync.Mutex
	byName  map[string][]facts.Access
	unknown []string
}

func newReads(opts Options) *reads { return &reads{opts: opts, byName: map[string][]facts.Access{}} }

func (x *reads) lookup(ctx context.Context, r *Region, region string) {
	from, pages := readsFrom(x.opts), x.opts.Policy.Access.Pages
	// AWS notes a read of a batch as a read of each secret (Secrets Manager user
	// guide, "Log events with CloudTrail").
	complete, err := trail.Lookup(ctx, r.clients.trail, r.throttle.lookups,
		trail.Query{Key: types.LookupAttributeKeyEventName, Value: "GetSecretValue", From: from, To: x.opts.Now, Pages: pages},
		func(e *trail.Event) {
			x.mu.Lock()
			defer x.mu.Unlock()
			name := strings.Clone(e.Secret())
			x.byName[name] = append(x.byName[name], e.Access())
		})
	why := ""
	switch {
	case err != nil:
		why = reason(err)
	case !complete:
		why = fmt.Sprintf("the trail of %s holds more than %d reads in the last %s; access.pages of the policy reads more", region, pages*50, x.opts.Now.Sub(from).Round(time.Hour))
	}
	if why != "" {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.unknown = append(x.unknown, why)
	}
}

// readsFrom is the time from which on reads are judged: the policy's window, and
// whatever the last run couldn't see yet, so that no read falls between two runs.
func readsFrom(opts Options) time.Time {
	from := opts.Now.Add(-opts.Policy.Access.Window)
	if p := opts.Previous; p != nil && !p.Time.IsZero() {
		if since := p.Time.Add(-trailDelay); since.Before(from) {
			from = since
		}
	}
	if first := opts.Now.Add(-trail.Keeps); from.Before(first) {
		return first
	}
	return from
}

func (x *reads) fact() facts.Fact[map[string][]facts.Access] {
	return facts.Fact[map[string][]facts.Access]{Value: x.byName, Unknown: joinReasons(x.unknown)}
}
