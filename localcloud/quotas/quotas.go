// Package quotas throttles calls as AWS's request quotas do, so that it shows
// who makes too many. Like AWS it counts in real time, whatever the local cloud's
// clock says: it is the callers who are too fast.
package quotas

import (
	"slices"
	"sync"
	"time"
)

// Bucket is a token bucket that calls of a service share, by account and region.
type Bucket struct {
	Service    string   // SigV4 signing name, as "secretsmanager"
	Operations []string // empty: all of the service that no other bucket names
	PerSecond  float64  // refill rate
	Burst      float64  // capacity
}

// AWS returns the default quotas of the services that AWS documents them for.
// Where a document names no burst, a bucket holds what comes in a second.
func AWS() []Bucket {
	return []Bucket{
		// Lambda developer guide, "Lambda quotas", "Lambda API requests".
		{"lambda", []string{"Invoke", "InvokeWithResponseStream"}, 10000, 10000},
		{"lambda", []string{"GetFunction"}, 100, 100},
		{"lambda", []string{"GetPolicy"}, 15, 15},
		{"lambda", nil, 15, 15},
		// Amazon ECS API reference, "Request throttling".
		{"ecs", []string{"DescribeClusters", "ListClusters"}, 20, 50},
		{"ecs", []string{"DescribeServices", "ListServices"}, 20, 100},
		{"ecs", []string{"DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies"}, 20, 50},
		{"ecs", []string{"CreateService", "DeleteService", "UpdateService"}, 5, 50},
		{"ecs", []string{"RegisterTaskDefinition", "DeregisterTaskDefinition"}, 1, 20},
		{"ecs", []string{"DeleteTaskDefinitions"}, 1, 5},
		{"ecs", []string{"CreateCluster", "DeleteCluster", "UpdateCluster"}, 1, 20},
		// General reference, "AWS Systems Manager endpoints and quotas", default
		// throughput. It names none for the rest, which are known to be few.
		{"ssm", []string{"GetParameter", "GetParameters", "GetParametersByPath"}, 40, 40},
		{"ssm", []string{"PutParameter"}, 3, 3},
		{"ssm", nil, 5, 5},
		// EventBridge user guide, "Amazon EventBridge quotas": all but PutEvents.
		{"events", []string{"PutEvents"}, 10000, 10000},
		{"events", nil, 50, 50},
		// EventBridge Scheduler user guide, "Quotas", before they were raised.
		{"scheduler", nil, 50, 50},
		// Secrets Manager user guide, "API request quotas".
		{"secretsmanager", []string{"DescribeSecret", "GetSecretValue"}, 10000, 10000},
		{"secretsmanager", []string{"BatchGetSecretValue"}, 100, 100},
		{"secretsmanager", []string{"CreateSecret"}, 50, 50},
		{"secretsmanager", []string{"DeleteSecret"}, 50, 50},
		{"secretsmanager", []string{"GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy", "ValidateResourcePolicy"}, 50, 50},
		{"secretsmanager", []string{"ListSecrets"}, 100, 100},
		{"secretsmanager", []string{"ListSecretVersionIds"}, 50, 50},
		{"secretsmanager", []string{
			"PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage", "ReplicateSecretToRegions", "RemoveRegionsFromReplication", "StopReplicationToReplica",
		}, 50, 50},
		{"secretsmanager", []string{"TagResource", "UntagResource"}, 50, 50},
		{"secretsmanager", nil, 50, 50},
	}
}

// Limits are buckets in use. The zero value lets every call pass; all methods
// are safe for concurrent use.
type Limits struct {
	mu        sync.Mutex
	buckets   []Bucket
	levels    map[key]*level
	throttled map[string]int
}

type key struct {
	bucket          int
	account, region string
}

type level struct {
	tokens float64
	at     time.Time
}

// Set replaces the buckets with full ones and forgets what was throttled. No
// buckets switch the quotas off.
func (l *Limits) Set(buckets ...Bucket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buckets, l.levels, l.throttled = slices.Clone(buckets), map[key]*level{}, map[string]int{}
}

// Allow takes a token for a call, or reports that there is none. Calls that no
// bucket is for always pass.
func (l *Limits) Allow(account, region, service, operation string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.find(service, operation)
	if i < 0 {
		return true
	}
	now, b := time.Now(), l.buckets[i]
	at := l.levels[key{i, account, region}]
	if at == nil {
		at = &level{b.Burst, now}
		l.levels[key{i, account, region}] = at
	}
	at.tokens = min(b.Burst, at.tokens+now.Sub(at.at).Seconds()*b.PerSecond)
	at.at = now
	if at.tokens < 1 {
		l.throttled[service+":"+operation]++
		return false
	}
	at.tokens--
	return true
}

// find returns the index of the bucket that a call takes from, or -1.
func (l *Limits) find(service, operation string) int {
	rest := -1
	for i, b := range l.buckets {
		switch {
		case b.Service != service:
		case slices.Contains(b.Operations, operation):
			return i
		case len(b.Operations) == 0:
			rest = i
		}
	}
	return rest
}

// Throttled counts the calls that were refused, by "service:Operation".
func (l *Limits) Throttled() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make(map[string]int, len(l.throttled))
	for what, n := range l.throttled {
		counts[what] = n
	}
	return counts
}
