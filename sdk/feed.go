package secrets

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// Feed tells which secrets changed, so that a cache learns of a rotation before
// the TTL is over. Package feed has one, over DynamoDB.
type Feed interface {
	// Changes returns the changes since a time, in any order. Some of them may
	// be older.
	Changes(ctx context.Context, since time.Time) ([]Change, error)
}

// Change says that a secret has a new current version.
type Change struct {
	SecretID  string // ARN, in any of the secret's regions, or name
	VersionID string // "": unknown
}

// DefaultFeedInterval is the time between two requests to the feed.
const DefaultFeedInterval = 30 * time.Second

const (
	// feedOverlap is by how much each request reaches back behind the one
	// before: for clocks that differ, and entries that become visible late.
	feedOverlap = time.Minute

	// feedPatience bounds how long a read waits for the feed.
	feedPatience = 500 * time.Millisecond
)

// WithFeed makes the cache follow the feed: at most once in the interval, when
// something is read, it asks what changed; the next read of a secret that did
// waits for a fetch. 0 is the default interval. Nothing is asked while nothing
// is read, and the first read after the process slept waits for the feed's
// answer, half a second at most, before it serves what is cached.
func WithFeed(feed Feed, interval time.Duration) Option {
	return func(s *settings) error {
		if interval < 0 {
			return fmt.Errorf("feed interval of %s: it must not be negative", interval)
		}
		if interval == 0 {
			interval = DefaultFeedInterval
		}
		s.feed, s.feedInterval = feed, interval
		return nil
	}
}

// follower keeps a client up to date with a feed.
type follower struct {
	feed     Feed
	interval time.Duration
	next     atomic.Int64 // instant of the next request
	flight   singleflight.Group
	failures atomic.Uint64

	mu    sync.Mutex
	since instant           // of the last request that succeeded; guarded by mu
	seen  map[string]string // version by secret, of the last answer; guarded by mu
}

func newFollower(s settings, now instant) *follower {
	if s.feed == nil {
		return nil
	}
	f := &follower{feed: s.feed, interval: s.feedInterval, since: now}
	f.next.Store(int64(now.add(f.interval)))
	return f
}

// follow asks the feed if it is time to.
func (c *Client) follow(ctx context.Context, now instant) {
	f := c.follower
	next := instant(f.next.Load())
	slept := now.since(next) > f.interval
	if now.before(next) && next.since(now) <= f.interval { // else the clock was set back
		return
	}
	asked := f.flight.DoChan("", func() (any, error) {
		if instant(f.next.Load()) == next {
			c.askFeed(ctx, now)
		}
		return nil, nil
	})
	if !slept {
		return
	}
	select {
	case <-asked:
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
}

func (c *Client) askFeed(ctx context.Context, now instant) {
	f := c.follower
	ctx, cancel := withRunningTimeout(context.WithoutCancel(ctx), feedPatience)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	f.mu.Lock()
	defer f.mu.Unlock()
	changes, err := f.feed.Changes(ctx, min(f.since, now).add(-feedOverlap).time())
	if err != nil {
		f.failures.Add(1)
	} else {
		f.since = now
		seen := make(map[string]string, len(changes))
		for _, change := range changes {
			seen[change.SecretID] = change.VersionID
			if version, known := f.seen[change.SecretID]; !known || version != change.VersionID {
				c.noteChange(change, now)
			}
		}
		f.seen = seen
	}
	// A little early by chance, so that many caches don't ask at once.
	f.next.Store(int64(now.add(f.interval - upTo(f.interval/10))))
}

// noteChange expires what the cache holds of the secret, unless it is of the
// new version. It stays for an outage.
func (c *Client) noteChange(change Change, now instant) {
	for e := range c.entries.all {
		if e.key.version != "" || !e.holds(change.SecretID) {
			continue
		}
		if e.key.current() && e.state.Load().secret.VersionID == change.VersionID {
			continue
		}
		c.expire(e, now)
	}
}
