package secrets

import (
	"sync/atomic"
	"unsafe"
)

// Stats counts what a client did since New.
type Stats struct {
	Hits         uint64 // reads answered from the cache, Stale among them
	Misses       uint64 // reads that waited for a fetch
	Stale        uint64 // reads that got a value past its TTL
	Fetches      uint64 // fetches of a secret, in the background and forced ones among them
	Failures     uint64 // fetches that failed
	Refreshes    uint64 // forced fetches: Refresh, and Do after a refusal
	Evictions    uint64 // entries dropped to keep to the size
	Failovers    uint64 // fetches that another region than the first answered
	FeedFailures uint64 // requests to the feed that failed
	Entries      int    // entries there are now
}

type counters struct {
	hits                                                   striped
	misses, stale, fetches, failures, refreshes, evictions atomic.Uint64
}

// striped is a counter that many cores may increase without passing one cache
// line to and fro.
type striped [16]struct {
	atomic.Uint64
	_ [56]byte
}

func (s *striped) add(now instant) {
	// Goroutines have stacks of their own, so the address of a variable on it
	// tells them apart for less than a random number costs. The time, in about
	// milliseconds, moves two that meet apart again.
	var here byte
	mixed := (uint64(uintptr(unsafe.Pointer(&here)))>>10 ^ uint64(now)>>20) * 0x9e3779b97f4a7c15 //nolint:gosec // the address is only a number
	s[mixed>>60].Add(1)                                                                          // 4 bits, for 16
}

func (s *striped) load() uint64 {
	var sum uint64
	for i := range s {
		sum += s[i].Load()
	}
	return sum
}

// Stats returns what the client did so far. The numbers aren't of one instant.
func (c *Client) Stats() Stats {
	if c.entries == nil {
		return Stats{} // a zero Client
	}
	stats := Stats{
		Hits:      c.counters.hits.load(),
		Misses:    c.counters.misses.Load(),
		Stale:     c.counters.stale.Load(),
		Fetches:   c.counters.fetches.Load(),
		Failures:  c.counters.failures.Load(),
		Refreshes: c.counters.refreshes.Load(),
		Evictions: c.counters.evictions.Load(),
		Failovers: c.regions.failovers.Load(),
		Entries:   c.entries.len(),
	}
	if c.follower != nil {
		stats.FeedFailures = c.follower.failures.Load()
	}
	return stats
}
