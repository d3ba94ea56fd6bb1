package inventory

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/auditor/facts"
)

// index is what a listing leaves in memory: what secrets share, and 24 bytes a
// replica.
type index struct {
	keys      map[string]*facts.Users // by id, as secrets name it
	functions map[string]*facts.Users // by ARN
	replicas  []replicaEntry          // sorted by name once the listing is over
	regions   []string                // of the replicas' primaries
}

// replicaEntry is a replica by the hashes of its name and its current version:
// 64 bits, so that two of a million secrets meet once in about 30 million runs.
type replicaEntry struct {
	name, current uint64
	accessed      int32  // days since 1970; 0: never
	primary       uint16 // its region, see index.regions
	awsKey        bool   // AWS's own key encrypts it
}

const maxExamples = 5

func newIndex() *index {
	return &index{keys: map[string]*facts.Users{}, functions: map[string]*facts.Users{}}
}

func (x *index) addPrimary(s facts.Secret) {
	if s.KeyID != "" {
		note(x.keys, s.KeyID, s.Name)
	}
	if s.Rotation.Enabled && s.Rotation.Function != "" {
		note(x.functions, s.Rotation.Function, s.Name)
	}
}

func note(users map[string]*facts.Users, what, name string) {
	u := users[what]
	if u == nil {
		u = &facts.Users{}
		users[strings.Clone(what)] = u
	}
	u.Count++
	if len(u.Examples) < maxExamples {
		u.Examples = append(u.Examples, name)
	}
}

// addReplica notes a replica and its key, on which a failover depends.
func (x *index) addReplica(s facts.Secret) {
	if s.KeyID != "" {
		note(x.keys, s.KeyID, s.Name)
	}
	days := int32(0)
	if !s.Accessed.IsZero() {
		days = int32(s.Accessed.Unix() / 86400)
	}
	primary := slices.Index(x.regions, s.PrimaryRegion)
	if primary < 0 {
		primary = len(x.regions)
		x.regions = append(x.regions, strings.Clone(s.PrimaryRegion))
	}
	x.replicas = append(x.replicas, replicaEntry{hash(s.Name), hash(s.Current), days, uint16(primary), s.KeyID == ""})
}

func (x *index) close() {
	slices.SortFunc(x.replicas, func(a, b replicaEntry) int { return cmp.Compare(a.name, b.name) })
	x.replicas = slices.Clip(x.replicas)
}

// replica finds the replica of a secret of the region primary.
func (x *index) replica(name, primary string) (replicaEntry, bool) {
	h, region := hash(name), slices.Index(x.regions, primary)
	i, found := slices.BinarySearchFunc(x.replicas, h, func(e replicaEntry, h uint64) int { return cmp.Compare(e.name, h) })
	for ; found && i < len(x.replicas) && x.replicas[i].name == h; i++ {
		if int(x.replicas[i].primary) == region {
			return x.replicas[i], true
		}
	}
	return replicaEntry{}, false
}

func (e replicaEntry) lastRead() time.Time {
	if e.accessed == 0 {
		return time.Time{}
	}
	return time.Unix(int64(e.accessed)*86400, 0).UTC()
}

// hash is for memory only: its seed is another one in every process.
func hash(s string) uint64 { return maphash.String(seed, s) }

var seed = maphash.MakeSeed()
