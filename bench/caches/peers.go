// Package caches compares the SDK's client with what a service may use in its
// place, side by side in one run.
package caches

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/maypok86/otter/v2"

	secrets "github.com/aistudio/secrets/sdk"
)

// Reader is what every peer is measured through.
type Reader interface {
	// Read gets the value of the secret, and leaves it.
	Read(ctx context.Context, id string) error
}

// Options are the same for all peers.
type Options struct {
	API     secrets.API      // Secrets Manager
	TTL     time.Duration    // how long a value is served
	Entries int              // secrets that fit
	Now     func() time.Time // nil: the system's clock
}

// Peer is one way to read secrets.
type Peer struct {
	Name string
	// New returns a reader with an empty cache, and the function that ends it.
	New func(Options) (Reader, func(), error)
}

// Peers are ours, a map with a mutex and a TTL, otter, and no cache at all.
func Peers() []Peer {
	return []Peer{{"sdk", newClient}, {"map", newMap}, {"otter", newOtter}, {"none", newUncached}}
}

// client is the SDK.
type client struct{ *secrets.Client }

func newClient(o Options) (Reader, func(), error) {
	options := []secrets.Option{
		secrets.WithRegion("us-east-1"), secrets.WithTTL(o.TTL), secrets.WithMaxEntries(o.Entries),
		secrets.WithAPI(func(string) secrets.API { return o.API }),
	}
	if o.Now != nil {
		options = append(options, secrets.WithClock(o.Now))
	}
	c, err := secrets.New(context.Background(), options...)
	if err != nil {
		return nil, nil, err
	}
	return client{c}, func() { _ = c.Close() }, nil
}

func (c client) Read(ctx context.Context, id string) error {
	_, err := c.Get(ctx, id)
	return err
}

// TTLMap is the cache that is written in an afternoon: a map, a mutex, a TTL.
type TTLMap struct {
	options Options

	mu      sync.Mutex
	entries map[string]timed
}

type timed struct {
	value  string
	expire time.Time
}

// NewTTLMap returns an empty cache.
func NewTTLMap(o Options) *TTLMap {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &TTLMap{options: o, entries: map[string]timed{}}
}

func newMap(o Options) (Reader, func(), error) { return NewTTLMap(o), func() {}, nil }

// Read gets the value of the secret, and leaves it.
func (m *TTLMap) Read(ctx context.Context, id string) error {
	_, err := m.get(ctx, id)
	return err
}

func (m *TTLMap) get(ctx context.Context, id string) (string, error) {
	now := m.options.Now()
	m.mu.Lock()
	found, ok := m.entries[id]
	m.mu.Unlock()
	if ok && now.Before(found.expire) {
		return found.value, nil
	}
	value, err := fetch(ctx, m.options.API, id)
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[id] = timed{value, m.options.Now().Add(m.options.TTL)}
	return value, nil
}

// loading is otter as its manual has it: with a loader, and with a refresh
// ahead of the expiry as early as ours.
type loading struct {
	cache  *otter.Cache[string, string]
	loader otter.Loader[string, string]
}

func newOtter(o Options) (Reader, func(), error) {
	options := &otter.Options[string, string]{
		MaximumSize:       o.Entries,
		ExpiryCalculator:  otter.ExpiryWriting[string, string](o.TTL),
		RefreshCalculator: otter.RefreshWriting[string, string](o.TTL * 85 / 100),
	}
	if o.Now != nil {
		options.Clock = otterClock{o.Now}
	}
	cache, err := otter.New(options)
	if err != nil {
		return nil, nil, fmt.Errorf("make otter's cache: %w", err)
	}
	loader := otter.LoaderFunc[string, string](func(ctx context.Context, id string) (string, error) { return fetch(ctx, o.API, id) })
	return loading{cache, loader}, func() { cache.StopAllGoroutines() }, nil
}

func (l loading) Read(ctx context.Context, id string) error {
	_, err := l.cache.Get(ctx, id, l.loader)
	return err
}

type otterClock struct{ now func() time.Time }

func (c otterClock) NowNano() int64                        { return c.now().UnixNano() }
func (c otterClock) Tick(d time.Duration) <-chan time.Time { return time.Tick(d) }

// uncached asks Secrets Manager at every read.
type uncached struct{ api secrets.API }

func newUncached(o Options) (Reader, func(), error) { return uncached{o.API}, func() {}, nil }

func (u uncached) Read(ctx context.Context, id string) error {
	_, err := fetch(ctx, u.api, id)
	return err
}

func fetch(ctx context.Context, api secrets.API, id string) (string, error) {
	out, err := api.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return "", fmt.Errorf("read secret %q: %w", id, err)
	}
	return aws.ToString(out.SecretString), nil
}
