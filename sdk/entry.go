package secrets

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// entry is the cache's place for a key.
type entry struct {
	key      key
	used     atomic.Int64 // instant of the last read, to usedResolution, for eviction
	state    atomic.Pointer[state]
	fetching atomic.Int32 // fetches that run
	flights  singleflight.Group
	behind   atomic.Bool // a reader that doesn't wait started a fetch

	mu     sync.Mutex
	forced instant // start of the last forced fetch, zero for none; guarded by mu
}

// state is what the cache knows of a key. It is immutable: each fetch leaves a
// new one. A nil state knows nothing.
type state struct {
	order uint64 // of the fetch's start among all fetches of the client

	secret  Secret
	found   bool    // there is a secret
	refresh instant // from then on it is refreshed in the background
	expire  instant // from then on a reader waits for a new one
	discard instant // from then on it isn't served, not even in an outage

	err      error   // of the last fetch; with found, a passing one
	failures int     // in a row
	failed   instant // when the last fetch failed
	retry    instant // no fetch before
}

// verdict is what a read does about a state.
type verdict int

const (
	waitForFetch         verdict = iota // nothing to serve
	serve                               // fresh, or too early to fetch again
	serveAndRefresh                     // fresh, but due
	serveStale                          // expired, and too early to fetch again
	serveStaleAndRefresh                // expired, failing just now, but due
	fail                                // no secret, and too early to fetch again
)

// A failure that is longer ago than this says nothing about now: a process that
// slept waits for a fetch instead of serving what is stale.
const recentFailure = 2 * maxBackoff

// fresh tells whether the state's secret may be served with nothing done.
func (s *state) fresh(now instant) bool { return s != nil && now.before(s.refresh) }

func (s *state) judge(now instant) verdict {
	if s == nil {
		return waitForFetch
	}
	tooEarly := s.err != nil && now.before(s.retry)
	switch {
	case !s.found || !now.before(s.discard):
		if tooEarly {
			return fail
		}
		return waitForFetch
	case now.before(s.refresh):
		return serve
	case now.before(s.expire):
		if tooEarly {
			return serve
		}
		return serveAndRefresh
	case tooEarly:
		return serveStale
	case s.err != nil && now.since(s.failed) < recentFailure:
		return serveStaleAndRefresh
	default:
		return waitForFetch
	}
}

// answer is what a reader gets who waited for the fetch that left this state.
func (s *state) answer(now instant) (Secret, error) {
	switch {
	case s.found && (s.err == nil || now.before(s.expire)):
		return s.secret, nil
	case s.found && now.before(s.discard):
		return s.stale(), nil
	default:
		return Secret{}, s.err
	}
}

// expired returns the state with no time left until the next fetch. The times
// that stay are no later than they would be if all had happened now, in case
// the clock was set back.
func (s *state) expired(now instant, maxStale time.Duration) *state {
	e := *s
	e.refresh = min(s.refresh, now)
	e.expire = min(s.expire, now)
	e.discard = min(s.discard, now.add(maxStale))
	e.failed = min(s.failed, now)
	e.retry = min(s.retry, now.add(maxBackoff))
	return &e
}

func (s *state) stale() Secret {
	secret := s.secret
	secret.Stale = true
	return secret
}
