package secrets

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
)

// key is what a read asks for: an id as the caller wrote it (name, ARN or
// partial ARN) and a version.
type key struct {
	id string
	Selector
}

// table is the cache's map from key to entry. Readers take no lock: a shard is
// an immutable map that writers, one at a time, replace by a changed copy.
// Writes happen on misses only, and a shard is small.
type table struct {
	seed   maphash.Seed
	shards [64]atomic.Pointer[map[key]*entry]

	mu   sync.Mutex
	size int // entries; guarded by mu
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].Store(&map[key]*entry{})
	}
	return t
}

func (t *table) shard(id string) *atomic.Pointer[map[key]*entry] {
	return &t.shards[maphash.String(t.seed, id)%uint64(len(t.shards))]
}

// get returns the key's entry, or nil.
func (t *table) get(k key) *entry { return (*t.shard(k.id).Load())[k] }

// getOrAdd returns the key's entry, which it adds if there is none, and the
// number of entries that it evicted to stay within limit.
func (t *table) getOrAdd(k key, now int64, limit int) (*entry, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.get(k); e != nil {
		return e, 0
	}
	evicted := 0
	for t.size >= limit {
		oldest := t.leastRecentlyUsed()
		if oldest == nil {
			break // all are being fetched: over the limit until the next miss
		}
		t.remove(oldest)
		evicted++
	}
	e := &entry{key: k}
	e.used.Store(now)
	shard := t.shard(k.id)
	changed := maps.Clone(*shard.Load())
	changed[k] = e
	shard.Store(&changed)
	t.size++
	return e, evicted
}

// leastRecentlyUsed returns an entry that nobody fetches, or nil.
func (t *table) leastRecentlyUsed() *entry {
	var oldest *entry
	for e := range t.all {
		if e.fetching.Load() == 0 && (oldest == nil || e.used.Load() < oldest.used.Load()) {
			oldest = e
		}
	}
	return oldest
}

// remove takes the entry out; t.mu is held.
func (t *table) remove(e *entry) {
	shard := t.shard(e.key.id)
	if (*shard.Load())[e.key] != e {
		return
	}
	changed := maps.Clone(*shard.Load())
	delete(changed, e.key)
	shard.Store(&changed)
	t.size--
}

// removeIf takes out every entry for which the condition holds.
func (t *table) removeIf(condition func(*entry) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := range t.all {
		if condition(e) {
			t.remove(e)
		}
	}
}

// all yields every entry, of each shard as it was when its turn came.
func (t *table) all(yield func(*entry) bool) {
	for i := range t.shards {
		for _, e := range *t.shards[i].Load() {
			if !yield(e) {
				return
			}
		}
	}
}

func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}
