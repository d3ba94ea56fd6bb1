package secrets_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

// countedAPI counts calls by operation.
type countedAPI struct {
	secrets.API
	single, batches atomic.Int64
	denyBatch       bool
}

func (a *countedAPI) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, o ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	a.single.Add(1)
	return a.API.GetSecretValue(ctx, in, o...)
}

func (a *countedAPI) BatchGetSecretValue(ctx context.Context, in *secretsmanager.BatchGetSecretValueInput, o ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error) {
	a.batches.Add(1)
	if a.denyBatch {
		return nil, secretstest.Denied()
	}
	return a.API.BatchGetSecretValue(ctx, in, o...)
}

func TestPrefetchReadsInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		var ids []string
		for i := range 45 {
			id := fmt.Sprint("acme/dev/shop/", i)
			store.Put(id, "value of "+id)
			ids = append(ids, id)
		}
		ids[7] = secretstest.ARN(ids[7])
		ids = append(ids, ids[0])
		api := &countedAPI{API: store.API(primary)}
		client := newClient(t, store, secrets.WithAPI(func(string) secrets.API { return api }))
		require.NoError(t, client.Prefetch(t.Context(), ids...))
		assert.EqualValues(t, 3, api.batches.Load())
		for _, id := range ids {
			assert.Contains(t, read(t, client, id).Value.RevealString(), "value of acme/dev/shop/")
		}
		require.NoError(t, client.Prefetch(t.Context(), ids...))
		require.NoError(t, client.Prefetch(t.Context()))
		assert.EqualValues(t, 3, api.batches.Load())
		assert.Zero(t, api.single.Load())
	})
}

func TestPrefetchReadsOneByOneWhatABatchDoesNotGive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := secretstest.New()
		store.Put("a", "1")
		store.Put("b", "2")
		api := &countedAPI{API: store.API(primary), denyBatch: true}
		client := newClient(t, store, secrets.WithAPI(func(string) secrets.API { return api }))
		err := client.Prefetch(t.Context(), "a", "none", "b", "nothing")
		require.ErrorIs(t, err, secrets.ErrNotFound)
		require.ErrorContains(t, err, `"none"`)
		require.ErrorContains(t, err, `"nothing"`)
		read(t, client, "a")
		read(t, client, "b")
		assert.EqualValues(t, 1, api.batches.Load())
		assert.EqualValues(t, 4, api.single.Load())
	})
}
