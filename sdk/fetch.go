package secrets

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/singleflight"
)

// Times between fetches that fail: the first, doubled each time up to the last.
const (
	minBackoff = 2 * time.Second
	maxBackoff = 30 * time.Second
)

// fetch starts a fetch of the entry, or joins the one that runs. seen is the
// state that made the caller ask: if there is another by the time the fetch
// would start, then that is the answer.
func (c *Client) fetch(ctx context.Context, e *entry, seen *state) <-chan singleflight.Result {
	return e.flights.DoChan("", func() (any, error) {
		if s := e.state.Load(); s != seen && s != nil {
			return s, nil
		}
		return c.fetchNow(ctx, e), nil
	})
}

// refreshBehind fetches in the background, once however many ask.
func (c *Client) refreshBehind(ctx context.Context, e *entry, seen *state) {
	if !e.behind.CompareAndSwap(false, true) {
		return
	}
	fetched := c.fetch(ctx, e, seen)
	go func() {
		<-fetched
		e.behind.Store(false)
	}()
}

// forceFetch starts a fetch that begins now, whatever runs, unless the last
// forced one began less than the least time between refreshes ago: then it
// joins that, or gives what it left.
func (c *Client) forceFetch(ctx context.Context, e *entry) <-chan singleflight.Result {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := c.clock.read()
	s := e.state.Load()
	early := e.forced != 0 && now.since(e.forced) < c.settings.minRefresh
	if s != nil && s.err != nil && passing(s.err) && now.before(s.retry) {
		early = true // a service that fails isn't hammered
	}
	if early {
		return e.flights.DoChan("", func() (any, error) {
			if s := e.state.Load(); s != nil {
				return s, nil
			}
			return c.fetchNow(ctx, e), nil
		})
	}
	e.forced = now
	c.counters.refreshes.Add(1)
	e.flights.Forget("")
	return e.flights.DoChan("", func() (any, error) { return c.fetchNow(ctx, e), nil })
}

// settle waits for the fetch and, if what it brought is expired by then because
// a change was noticed meanwhile, for another one.
func (c *Client) settle(ctx context.Context, e *entry, fetched <-chan singleflight.Result) (*state, error) {
	const tries = 3
	for try := 1; ; try++ {
		s, err := c.wait(ctx, e, fetched)
		if err != nil || s.err != nil || c.clock.read().before(s.expire) || try == tries {
			return s, err
		}
		fetched = c.fetch(ctx, e, s)
	}
}

// wait returns the state that the fetch left, or an error when ctx or the
// client ends before.
func (c *Client) wait(ctx context.Context, e *entry, fetched <-chan singleflight.Result) (*state, error) {
	select {
	case result := <-fetched:
		return result.Val.(*state), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("read secret %q: %w", e.key.id, context.Cause(ctx))
	case <-c.ctx.Done():
		return nil, fmt.Errorf("read secret %q: %w", e.key.id, ErrClosed)
	}
}

// fetchNow makes the call and leaves its outcome in the entry. The caller's
// context gives its values, but its end doesn't end the fetch.
func (c *Client) fetchNow(ctx context.Context, e *entry) *state {
	e.fetching.Add(1)
	defer e.fetching.Add(-1)
	order := c.sequence.Add(1)
	c.counters.fetches.Add(1)

	ctx = context.WithoutCancel(ctx)
	done := func(FetchInfo) {}
	if c.settings.hooks.Fetch != nil {
		ctx, done = c.settings.hooks.Fetch(ctx, e.key.id)
	}
	secret, err := c.regions.get(ctx, e.key)
	if err != nil {
		c.counters.failures.Add(1)
	}
	done(FetchInfo{VersionID: secret.VersionID, Region: secret.Region, Err: err})
	return c.store(e, order, secret, err)
}

// store leaves in the entry how a fetch ended that began in that order, unless
// one that began later ended before. It returns the state that is there then.
func (c *Client) store(e *entry, order uint64, secret Secret, err error) *state {
	now := c.clock.read()
	for {
		old := e.state.Load()
		if old != nil && old.order > order {
			return old
		}
		next := c.settings.after(old, secret, err, now)
		next.order = order
		if e.state.CompareAndSwap(old, next) {
			switch {
			case err != nil || e.key.version != "":
			case e.key.current():
				moved := old != nil && old.found && old.secret.VersionID != secret.VersionID
				c.noteVersion(secret, moved, now)
			case secret.HasStage(StageCurrent):
				c.noteVersion(secret, false, now)
			default:
				c.noteDemotion(secret, now)
			}
			return next
		}
	}
}

// noteVersion learns that the secret's current version is this one: what the
// cache holds under other ids and labels expires if it contradicts. moved says
// that it was another version before, so that all labels may have moved.
func (c *Client) noteVersion(current Secret, moved bool, now instant) {
	for e := range c.entries.all {
		s := e.state.Load()
		// The names are compared first, for speed: this runs at every fetch.
		if e.key.version != "" || s == nil || !s.found || s.secret.Name != current.Name || !sameSecret(s.secret, current.ARN) {
			continue
		}
		if s.secret.VersionID != current.VersionID && e.key.current() || moved && !e.key.current() {
			c.expire(e, now)
		}
	}
}

// noteDemotion learns that this version of the secret isn't the current one:
// where the cache holds it as such, it expires.
func (c *Client) noteDemotion(other Secret, now instant) {
	for e := range c.entries.all {
		s := e.state.Load()
		if e.key.current() && s != nil && s.found && s.secret.VersionID == other.VersionID && sameSecret(s.secret, other.ARN) {
			c.expire(e, now)
		}
	}
}

// expire makes the next read wait for a fetch, which begins after now. The value
// stays for an outage.
func (c *Client) expire(e *entry, now instant) {
	e.flights.Forget("")
	for {
		old := e.state.Load()
		if old == nil {
			return
		}
		next := old.expired(now, c.settings.maxStale)
		next.order = c.sequence.Add(1) // fetches that began before don't count
		if e.state.CompareAndSwap(old, next) {
			return
		}
	}
}

// after returns the state that a fetch leaves.
func (s *settings) after(old *state, secret Secret, err error, now instant) *state {
	if err == nil {
		secret.FetchedAt = now.time()
		expire := s.ttl - upTo(s.ttl/20)
		refresh := expire*9/10 - upTo(expire/10)
		return &state{
			secret: secret, found: true,
			refresh: now.add(refresh), expire: now.add(expire), discard: now.add(expire + s.maxStale),
		}
	}
	if !passing(err) {
		return &state{err: err, failures: 1, failed: now, retry: now.add(s.negativeTTL)}
	}
	next := state{}
	if old != nil {
		next = *old
	}
	next.err, next.failed = err, now
	next.failures++
	next.retry = now.add(backoff(next.failures))
	return &next
}

// backoff returns the time until the next fetch after so many failures, with
// up to a quarter less by chance.
func backoff(failures int) time.Duration {
	d := min(minBackoff<<min(failures-1, 10), maxBackoff)
	return d - upTo(d/4)
}

// upTo returns a random time from 0 to d, so that caches don't act together.
func upTo(d time.Duration) time.Duration {
	return time.Duration(rand.Int64N(int64(d) + 1)) //nolint:gosec // nothing secret hangs on it
}

// holds tells whether the entry holds a version of the secret of that id.
func (e *entry) holds(id string) bool {
	s := e.state.Load()
	return s != nil && s.found && sameSecret(s.secret, id)
}
