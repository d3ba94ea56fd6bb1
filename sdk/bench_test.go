package secrets_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

func warm(b *testing.B, n int) (*secrets.Client, []string) {
	b.Helper()
	store := secretstest.New()
	client := store.Client(b, secrets.WithMaxEntries(max(n, 1000)))
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("acme/prod/shop/secret.%d", i)
		store.Put(ids[i], `{"username":"shop","password":"example"}`)
		_, err := client.Get(b.Context(), ids[i])
		require.NoError(b, err)
	}
	return client, ids
}

func BenchmarkHit(b *testing.B) {
	client, ids := warm(b, 1)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Get(ctx, ids[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHitStage(b *testing.B) {
	client, ids := warm(b, 1)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Get(ctx, ids[0], secrets.Stage(secrets.StageCurrent)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHitParallel(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			client, ids := warm(b, n)
			ctx := b.Context()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := client.Get(ctx, ids[i%n]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkClock is the part of a hit that reading the time takes.
func BenchmarkClock(b *testing.B) {
	for b.Loop() {
		_ = time.Now()
	}
}

func TestAHitAllocatesNothing(t *testing.T) {
	store := secretstest.New()
	store.Put("name", "value")
	client := store.Client(t)
	ctx := t.Context()
	read := func(which ...secrets.Selector) func() {
		return func() {
			if _, err := client.Get(ctx, "name", which...); err != nil {
				t.Error(err)
			}
		}
	}
	read()()
	require.Zero(t, testing.AllocsPerRun(1000, read()))
	previous := store.Put("name", "other")
	which := secrets.Version(previous)
	read(which)()
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := client.Get(ctx, "name", secrets.Version(previous)); err != nil {
			t.Error(err)
		}
	}))
}
