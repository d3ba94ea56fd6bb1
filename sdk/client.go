package secrets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Getter reads secrets. *Client is one; so that tests can be others, services
// should ask for a Getter.
type Getter interface {
	Get(ctx context.Context, id string, which ...Selector) (Secret, error)
}

// Client reads secrets through a cache. Make it with New, once a process; all
// methods are safe for concurrent use.
type Client struct {
	settings settings
	clock    clock
	broken   error       // what the environment got wrong, for Default
	open     atomic.Bool // false for the zero Client, a broken and a closed one
	regions  *regions
	follower *follower // nil: no feed
	entries  *table
	counters counters
	sequence atomic.Uint64 // numbers fetches as they begin

	ctx   context.Context // ends at Close
	close context.CancelFunc
}

// New returns a client. It makes no call and reads no file: the AWS
// configuration is loaded at the first read, unless WithConfig gave it. ctx
// gives the values (say, for tracing) of what the client does on its own
// account; when it ends the client goes on. Call Close when done.
func New(ctx context.Context, options ...Option) (*Client, error) {
	s, err := newSettings(options)
	if err != nil {
		return nil, err
	}
	return newClient(ctx, s), nil
}

func newClient(ctx context.Context, s settings) *Client {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &Client{settings: s, clock: clock{now: s.now}, entries: newTable(), ctx: own, close: cancel}
	c.regions = &regions{endpoints: newEndpoints(s), timeout: s.timeout, patience: s.failoverAfter, clock: &c.clock, closing: own}
	c.follower = newFollower(s, c.clock.read())
	c.open.Store(true)
	return c
}

// Default returns the client of the process, made at the first call from the
// environment alone: what a Lambda function's handler shares between invokes.
// If the environment is wrong, every read tells so.
var Default = sync.OnceValue(func() *Client {
	s, err := newSettings(nil)
	c := newClient(context.Background(), s)
	c.broken = err
	c.open.Store(err == nil)
	return c
})

// Get returns a secret, by name, ARN or partial ARN. Without a Selector it is
// the current version.
//
// A value within its TTL comes from the cache. Else Get waits for a fetch,
// which all callers of the same key share, until ctx ends; the fetch goes on
// for the others. An error is definite (ErrNotFound, ErrDenied and the like),
// or passing and there is no value of at most the TTL plus the maximum
// staleness; both are remembered for a short while.
func (c *Client) Get(ctx context.Context, id string, which ...Selector) (Secret, error) {
	k := newKey(id, which)
	if !c.open.Load() {
		return Secret{}, c.unusable(id)
	}
	now := c.clock.read()
	if c.follower != nil {
		c.follow(ctx, now)
	}
	e := c.entries.get(&k)
	if e == nil {
		e = c.add(k, now)
	} else if used := instant(e.used.Load()); uint64(now.since(used)) >= uint64(usedResolution) {
		c.touch(e, used, now)
	}
	if s := e.state.Load(); s.fresh(now) {
		c.counters.hits.add(now)
		if c.settings.hooks.Read != nil {
			c.tell(ctx, id, Hit, s.secret, nil, now)
		}
		return s.secret, nil
	}
	secret, outcome, err := c.read(ctx, e, now)
	if c.settings.hooks.Read != nil {
		c.tell(ctx, id, outcome, secret, err, c.clock.read())
	}
	return secret, err
}

// usedResolution is how exact the time of an entry's last read is: a write at
// every hit would slow down other cores' hits.
const usedResolution = 100 * time.Millisecond

// touch notes that the entry was used. If the clock was set back since, by more
// than it is by the usual small corrections, nobody knows how old the value is.
func (c *Client) touch(e *entry, used, now instant) {
	e.used.Store(int64(now))
	if used.since(now) > time.Second {
		c.expire(e, now)
	}
}

func (c *Client) add(k key, now instant) *entry {
	e, evicted := c.entries.getOrAdd(k, now, c.settings.maxEntries)
	c.counters.evictions.Add(uint64(evicted))
	return e
}

func (c *Client) unusable(id string) error {
	switch {
	case c.ctx == nil:
		return fmt.Errorf("read secret %q: the client wasn't made by New", id)
	case c.broken != nil:
		return fmt.Errorf("read secret %q: %w", id, c.broken)
	default:
		return fmt.Errorf("read secret %q: %w", id, ErrClosed)
	}
}

// read is Get for all that isn't a plain hit.
func (c *Client) read(ctx context.Context, e *entry, now instant) (Secret, Outcome, error) {
	s := e.state.Load()
	v := s.judge(now)
	if v == waitForFetch {
		c.counters.misses.Add(1)
		s, err := c.settle(ctx, e, c.fetch(ctx, e, s))
		if err != nil {
			return Secret{}, Miss, err
		}
		secret, err := s.answer(c.clock.read())
		if secret.Stale {
			c.counters.stale.Add(1)
		}
		return secret, Miss, err
	}
	c.counters.hits.add(now)
	switch v {
	case serveAndRefresh:
		c.refreshBehind(ctx, e, s)
		return s.secret, Hit, nil
	case serveStale:
		c.counters.stale.Add(1)
		return s.stale(), Hit, nil
	case serveStaleAndRefresh:
		c.counters.stale.Add(1)
		c.refreshBehind(ctx, e, s)
		return s.stale(), Hit, nil
	case fail:
		return Secret{}, Hit, s.err
	default:
		return s.secret, Hit, nil
	}
}

// Refresh fetches a secret past the cache and puts it there. Without a Selector
// it is the current version. A key is fetched at most once in the time that
// WithMinRefresh sets: within it Refresh returns what the fetch before brought.
// It doesn't serve stale values, and when it fails the cached value stays, unless
// the error is definite.
func (c *Client) Refresh(ctx context.Context, id string, which ...Selector) (Secret, error) {
	if !c.open.Load() {
		return Secret{}, c.unusable(id)
	}
	e := c.add(newKey(id, which), c.clock.read())
	s, err := c.settle(ctx, e, c.forceFetch(ctx, e))
	if err != nil {
		return Secret{}, err
	}
	if s.err != nil {
		return Secret{}, s.err
	}
	return s.secret, nil
}

// Do calls fn with the current version of the secret. If fn's error says that
// the credential was refused (ErrRefused is in its chain; see Refused), the
// secret was perhaps rotated just now: Do fetches it past the cache and, if
// there is another version, calls fn once more. So a service needs to know
// nothing of rotations.
func (c *Client) Do(ctx context.Context, id string, fn func(context.Context, Secret) error) error {
	secret, err := c.Get(ctx, id)
	if err != nil {
		return err
	}
	refused := fn(ctx, secret)
	if refused == nil || !errors.Is(refused, ErrRefused) {
		return refused
	}
	next, err := c.Newer(ctx, id, secret)
	if err != nil {
		return errors.Join(refused, err)
	}
	if next.VersionID == secret.VersionID {
		return refused
	}
	return fn(ctx, next)
}

// Newer returns the current version of a secret whose version used was refused:
// the cached one if it is another, else one fetched past the cache, as Refresh
// does. It is what Do calls, for callers that can't pass a function.
func (c *Client) Newer(ctx context.Context, id string, used Secret) (Secret, error) {
	current, err := c.Get(ctx, id)
	if err == nil && !current.Stale && current.VersionID != used.VersionID {
		return current, nil
	}
	return c.Refresh(ctx, id)
}

// Invalidate drops all that the cache holds of a secret, by name, ARN or
// partial ARN and whatever id it was read by. The next read waits for a fetch.
func (c *Client) Invalidate(id string) {
	if c.entries == nil {
		return
	}
	c.entries.removeIf(func(e *entry) bool { return e.key.id == id || e.holds(id) })
}

// Close ends the fetches that run and empties the cache. Reads after it fail
// with ErrClosed; secrets that were read stay usable.
func (c *Client) Close() error {
	if c.ctx == nil {
		return nil
	}
	c.open.Store(false)
	c.close()
	c.entries.removeIf(func(*entry) bool { return true })
	return nil
}
