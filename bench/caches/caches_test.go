package caches_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/bench/caches"
)

func names(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("acme/prod/shop/secret.%d", i)
	}
	return ids
}

// service is the AWS SDK's client of a Secrets Manager in this process: what a
// read without a cache costs before the network and AWS have their share.
func service(tb testing.TB) *secretsmanager.Client {
	tb.Helper()
	var api caches.API
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ SecretId *string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, _ := api.GetSecretValue(r.Context(), &secretsmanager.GetSecretValueInput{SecretId: in.SecretId}) // never fails without a delay
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]any{"ARN": out.ARN, "Name": out.Name, "VersionId": out.VersionId, "VersionStages": out.VersionStages, "SecretString": out.SecretString})
	}))
	tb.Cleanup(server.Close)
	return secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "example"}, nil
		}),
	})
}

func start(tb testing.TB, peer caches.Peer, o caches.Options) caches.Reader {
	tb.Helper()
	reader, end, err := peer.New(o)
	require.NoError(tb, err)
	tb.Cleanup(end)
	return reader
}

// warm is a peer that has read the ids.
func warm(tb testing.TB, peer caches.Peer, o caches.Options, ids []string) caches.Reader {
	tb.Helper()
	reader := start(tb, peer, o)
	for _, id := range ids {
		require.NoError(tb, reader.Read(tb.Context(), id))
	}
	return reader
}

func forEachPeer(b *testing.B, benchmark func(*testing.B, caches.Peer)) {
	for _, peer := range caches.Peers() {
		b.Run("peer="+peer.Name, func(b *testing.B) { benchmark(b, peer) })
	}
}

func BenchmarkHit(b *testing.B) {
	forEachPeer(b, func(b *testing.B, peer caches.Peer) {
		ids := names(1)
		reader := warm(b, peer, caches.Options{API: service(b), TTL: time.Hour, Entries: 1000}, ids)
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if err := reader.Read(ctx, ids[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHitParallel(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			forEachPeer(b, func(b *testing.B, peer caches.Peer) {
				ids := names(n)
				reader := warm(b, peer, caches.Options{API: service(b), TTL: time.Hour, Entries: 1000}, ids)
				ctx := b.Context()
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						if err := reader.Read(ctx, ids[i%n]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		})
	}
}

// stampede lets many callers at once read from an empty cache, and returns the
// number of calls that reached the API.
func stampede(tb testing.TB, peer caches.Peer) int64 {
	tb.Helper()
	const callers, keys = 10_000, 50
	api := &caches.API{Delay: 50 * time.Millisecond}
	reader := start(tb, peer, caches.Options{API: api, TTL: time.Hour, Entries: 1000})
	ids := names(keys)
	gate := make(chan struct{})
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			<-gate
			assert.NoError(tb, reader.Read(tb.Context(), ids[i%keys]))
		})
	}
	close(gate)
	all.Wait()
	return api.Calls()
}

// BenchmarkStampede is 10,000 callers of 50 secrets with an empty cache.
func BenchmarkStampede(b *testing.B) {
	forEachPeer(b, func(b *testing.B, peer caches.Peer) {
		var calls int64
		for b.Loop() {
			calls += stampede(b, peer)
		}
		b.ReportMetric(float64(calls)/float64(b.N), "calls/op")
	})
}

func TestAStampedeIsOneCallASecret(t *testing.T) {
	assert.EqualValues(t, 50, stampede(t, caches.Peers()[0]))
}

// shifted is a clock that can be set ahead.
type shifted struct{ ahead atomic.Int64 }

func (s *shifted) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// BenchmarkExpiry is 64 readers of one warm secret while it expires, with an
// API that takes 300 ms: how long does a reader wait at most?
func BenchmarkExpiry(b *testing.B) {
	const (
		readers = 64
		pause   = 5 * time.Millisecond
		ttl     = 5 * time.Second
		skipped = ttl * 3 / 4                 // before the earliest refresh
		watched = ttl - skipped + time.Second // past the expiry and the fetch that it causes
	)
	forEachPeer(b, func(b *testing.B, peer caches.Peer) {
		if peer.Name == "none" {
			b.Skip("a read without a cache waits for every call")
		}
		var longest atomic.Int64
		for b.Loop() {
			var clock shifted
			api := &caches.API{Delay: 300 * time.Millisecond}
			ids := names(1)
			reader := warm(b, peer, caches.Options{API: api, TTL: ttl, Entries: 1000, Now: clock.now}, ids)
			clock.ahead.Store(int64(skipped))
			end := time.Now().Add(watched)
			var all sync.WaitGroup
			for range readers {
				all.Go(func() {
					for time.Now().Before(end) {
						began := time.Now()
						err := reader.Read(b.Context(), ids[0])
						waited := int64(time.Since(began))
						assert.NoError(b, err)
						for seen := longest.Load(); waited > seen && !longest.CompareAndSwap(seen, waited); seen = longest.Load() {
						}
						time.Sleep(pause)
					}
				})
			}
			all.Wait()
			if api.Calls() < 2 {
				b.Error("the secret didn't expire")
			}
		}
		b.ReportMetric(float64(longest.Load()), "max-wait-ns")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkMemory is the heap that 10,000 secrets take.
func BenchmarkMemory(b *testing.B) {
	const secrets = 10_000
	forEachPeer(b, func(b *testing.B, peer caches.Peer) {
		if peer.Name == "none" {
			b.Skip("without a cache nothing is kept")
		}
		var heap float64
		for b.Loop() {
			ids := names(secrets)
			before := heapInUse()
			reader := warm(b, peer, caches.Options{API: &caches.API{}, TTL: time.Hour, Entries: secrets}, ids)
			heap += float64(heapInUse()) - float64(before)
			runtime.KeepAlive(reader)
			runtime.KeepAlive(ids)
		}
		b.ReportMetric(heap/float64(b.N)/secrets, "B/secret")
		b.ReportMetric(0, "ns/op")
	})
}

// heapInUse is what is left after a collection, and after the cleanups that the
// first one started.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Every peer answers, and from its cache: else a benchmark compares nothing.
func TestPeersReadAndKeep(t *testing.T) {
	for _, peer := range caches.Peers() {
		t.Run(peer.Name, func(t *testing.T) {
			api := &caches.API{}
			ids := names(10)
			reader := warm(t, peer, caches.Options{API: api, TTL: time.Hour, Entries: 10}, ids)
			for _, id := range ids {
				require.NoError(t, reader.Read(t.Context(), id))
			}
			want := int64(10)
			if peer.Name == "none" {
				want = 20
			}
			assert.Equal(t, want, api.Calls())
		})
	}
}

func TestTheServiceAnswersTheAWSSDK(t *testing.T) {
	out, err := service(t).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("acme/prod/shop/db")})
	require.NoError(t, err)
	assert.Equal(t, "acme/prod/shop/db", *out.Name)
	assert.Contains(t, *out.SecretString, `"password"`)
}
