package secrets

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/sync/errgroup"
)

const (
	batchSize      = 20 // ids a call (API reference, BatchGetSecretValue, SecretIdList)
	prefetchAtOnce = 10 // single reads at the same time
)

// Prefetch reads the current versions of secrets into the cache, twenty a call.
// What is cached and fresh isn't read again. It needs the permission
// secretsmanager:BatchGetSecretValue; without it, and for whatever a batch
// doesn't give, secrets are read one by one. The error joins those of all
// secrets that couldn't be read; the others are cached.
func (c *Client) Prefetch(ctx context.Context, ids ...string) error {
	if !c.open.Load() {
		return c.unusable(fmt.Sprint(ids))
	}
	var cold []string
	for _, id := range ids {
		if !slices.Contains(cold, id) && !c.cached(id) {
			cold = append(cold, id)
		}
	}
	if len(cold) > 1 {
		for batch := range slices.Chunk(cold, batchSize) {
			c.fetchBatch(ctx, batch)
		}
	}
	errs := make([]error, len(cold))
	var reads errgroup.Group
	reads.SetLimit(prefetchAtOnce)
	for i, id := range cold {
		reads.Go(func() error {
			if !c.cached(id) {
				_, errs[i] = c.Get(ctx, id)
			}
			return nil
		})
	}
	_ = reads.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("prefetch secrets: %w", err)
	}
	return nil
}

func (c *Client) cached(id string) bool {
	e := c.entries.get(&key{id: id})
	return e != nil && e.state.Load().fresh(c.clock.read())
}

// fetchBatch caches what one call to the primary region gives, which may be
// nothing.
func (c *Client) fetchBatch(ctx context.Context, ids []string) {
	ctx, cancel := withRunningTimeout(ctx, c.settings.timeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	order := c.sequence.Add(1)
	got, err := c.regions.endpoints[0].batch(ctx, ids)
	if err != nil {
		return
	}
	for _, secret := range got {
		for _, id := range ids {
			if sameSecret(secret, id) {
				c.counters.fetches.Add(1)
				c.store(c.add(key{id: id}, c.clock.read()), order, secret, nil)
			}
		}
	}
}

func (e *endpoint) batch(ctx context.Context, ids []string) ([]Secret, error) {
	api, region, err := e.client(ctx)
	if err != nil {
		return nil, err
	}
	local := make([]string, len(ids))
	for i, id := range ids {
		local[i] = e.localID(id, region)
	}
	out, err := api.BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: local})
	if err != nil {
		return nil, err
	}
	var got []Secret
	for _, v := range out.SecretValues {
		got = append(got, newSecret(region, v.ARN, v.Name, v.VersionId, v.SecretString, v.SecretBinary, v.VersionStages, v.CreatedDate))
	}
	return got, nil
}
