package secrets

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// key is what a read asks for: an id as the caller wrote it (name, ARN or
// partial ARN) and a version.
type key struct {
	id string
	Selector
}

// newKey joins the selectors. To ask for AWSCURRENT is the same request as to
// ask for nothing, so it is the same key.
func newKey(id string, which []Selector) key {
	k := key{id: id}
	for _, w := range which {
		if w.stage != "" {
			k.stage = w.stage
		}
		if w.version != "" {
			k.version = w.version
		}
	}
	if k.stage == StageCurrent && k.version == "" {
		k.stage = ""
	}
	return k
}

// current tells whether the key asks for the current version.
func (k key) current() bool { return k.Selector == Selector{} }

// table is the cache's map from key to entry. Readers take no lock: a shard is
// an immutable hash table that writers, one at a time, replace by a changed
// copy. Writes happen on misses only, and a shard is small.
type table struct {
	seed   maphash.Seed
	shards [shardCount]atomic.Pointer[shard]

	mu   sync.Mutex
	size int // entries; guarded by mu
}

const shardCount = 64

// shard is an open hash table with linear probing, at most half full, whose
// length is a power of two.
type shard []slot

type slot struct {
	hash  uint64 // of the key's id
	entry *entry // nil: empty
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].Store(newShard(nil))
	}
	return t
}

func newShard(slots []slot) *shard {
	length := 1
	for length < 2*len(slots) {
		length *= 2
	}
	s := make(shard, length)
	for _, add := range slots {
		i := s.start(add.hash)
		for s[i].entry != nil {
			i = s.next(i)
		}
		s[i] = add
	}
	return &s
}

// start uses the bits of the hash that didn't choose the shard.
func (s shard) start(hash uint64) int { return int(hash/shardCount) & (len(s) - 1) }

func (s shard) next(i int) int { return (i + 1) & (len(s) - 1) }

// entries returns the slots in use.
func (s shard) entries() []slot {
	var used []slot
	for _, slot := range s {
		if slot.entry != nil {
			used = append(used, slot)
		}
	}
	return used
}

func (t *table) find(hash uint64, k *key) *entry {
	s := *t.shards[hash%shardCount].Load()
	for i := s.start(hash); s[i].entry != nil; i = s.next(i) {
		if s[i].hash == hash && s[i].entry.key == *k {
			return s[i].entry
		}
	}
	return nil
}

// get returns the key's entry, or nil.
func (t *table) get(k *key) *entry { return t.find(maphash.String(t.seed, k.id), k) }

// getOrAdd returns the key's entry, which it adds if there is none, and the
// number of entries that it evicted to stay within limit.
func (t *table) getOrAdd(k key, now instant, limit int) (_ *entry, evicted int) {
	hash := maphash.String(t.seed, k.id)
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.find(hash, &k); e != nil {
		return e, 0
	}
	for t.size >= limit {
		oldest := t.leastRecentlyUsed()
		if oldest == nil {
			break // all are being fetched: over the limit until the next miss
		}
		t.remove(oldest)
		evicted++
	}
	e := &entry{key: k}
	e.used.Store(int64(now))
	place := &t.shards[hash%shardCount]
	place.Store(newShard(append(place.Load().entries(), slot{hash, e})))
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
	place := &t.shards[maphash.String(t.seed, e.key.id)%shardCount]
	var rest []slot
	for _, slot := range place.Load().entries() {
		if slot.entry != e {
			rest = append(rest, slot)
		} else {
			t.size--
		}
	}
	place.Store(newShard(rest))
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
		for _, slot := range *t.shards[i].Load() {
			if slot.entry != nil && !yield(slot.entry) {
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
