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
	used     atomic.Int64 // Unix seconds of the last read, for eviction
	state    atomic.Pointer[state]
	fetching atomic.Int32 // fetches that run
	flights  singleflight.Group
	behind   atomic.Bool // a reader that doesn't wait started a fetch

	mu     sync.Mutex
	forced time.Time // start of the last forced fetch; guarded by mu
}

// state is what the cache knows of a key. It is immutable: each fetch leaves a
// new one. A nil state knows nothing.
type state struct {
	order uint64 // of the fetch's start among all fetches of the client

	secret       Secret
	found        bool          // there is a secret
	fetched      time.Time     // when its fetch ended
	refreshAfter time.Duration // age at which it is refreshed in the background
	expireAfter  time.Duration // age at which a reader waits for a new one

	err        error         // of the last fetch; with found, a passing one
	failed     time.Time     // when it ended
	failures   int           // in a row
	retryAfter time.Duration // time until the next fetch
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

func (s *state) judge(now time.Time, maxStale time.Duration) verdict {
	if s == nil {
		return waitForFetch
	}
	sinceFailure := time.Duration(0)
	tooEarly := false
	if s.err != nil {
		sinceFailure = elapsed(now, s.failed)
		tooEarly = sinceFailure < s.retryAfter
	}
	if !s.found {
		if tooEarly {
			return fail
		}
		return waitForFetch
	}
	age := elapsed(now, s.fetched)
	switch {
	case age < s.refreshAfter, age < s.expireAfter && tooEarly:
		return serve
	case age < s.expireAfter:
		return serveAndRefresh
	case age >= s.expireAfter+maxStale:
		if tooEarly {
			return fail
		}
		return waitForFetch
	case tooEarly:
		return serveStale
	case s.err != nil && sinceFailure < recentFailure:
		return serveStaleAndRefresh
	default:
		return waitForFetch
	}
}

// answer is what a reader gets who waited for the fetch that left this state.
func (s *state) answer(now time.Time, maxStale time.Duration) (Secret, error) {
	if s.found && s.err == nil {
		return s.secret, nil
	}
	if !s.found {
		return Secret{}, s.err
	}
	switch age := elapsed(now, s.fetched); {
	case age < s.expireAfter:
		return s.secret, nil
	case age < s.expireAfter+maxStale:
		return s.stale(), nil
	default:
		return Secret{}, s.err
	}
}

func (s *state) stale() Secret {
	secret := s.secret
	secret.Stale = true
	return secret
}

// elapsed returns the time between two readings of the clock: the greater of
// what the monotonic and what the wall clock say. The monotonic clock may stand
// still while the machine sleeps, and the wall clock may be set back.
func elapsed(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}
