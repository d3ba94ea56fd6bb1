package extension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/feed"
)

// minRefresh is the least time between two reads of a key past the cache.
const minRefresh = secrets.DefaultMinRefresh

// Cache is the SDK's cache of what the function reads, as the bodies that it is
// answered with: one of secrets and one of parameters. It is safe for concurrent
// use. The AWS configuration is loaded at the first read.
type Cache struct {
	config  Config
	load    func(context.Context) (aws.Config, error)
	now     func() time.Time
	options []secrets.Option // in addition to the configuration's, for tests

	mu      sync.Mutex
	closed  bool
	readers *readers // nil: not opened yet
}

// reader is what the cache needs of the SDK: *secrets.Client, or uncached.
type reader interface {
	Get(ctx context.Context, id string, which ...secrets.Selector) (secrets.Secret, error)
	Refresh(ctx context.Context, id string) (secrets.Secret, error)
	Prefetch(ctx context.Context, ids ...string) error
	Invalidate(id string)
	Close() error
}

type readers struct {
	secrets    reader
	forced     reader // reads versions other than the current one past the cache
	parameters reader
}

// NewCache returns a cache, which has read nothing yet. load gives the AWS
// configuration; nil: what the environment and the shared files say.
func NewCache(c Config, load func(context.Context) (aws.Config, error)) *Cache {
	if load == nil {
		load = func(ctx context.Context) (aws.Config, error) {
			client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
				t.MaxConnsPerHost = c.Connections
			})
			return config.LoadDefaultConfig(ctx, config.WithHTTPClient(client))
		}
	}
	return &Cache{config: c, load: load, now: time.Now}
}

// Secret returns the JSON of GetSecretValue.
func (c *Cache) Secret(ctx context.Context, r SecretRequest) ([]byte, error) {
	open, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := open.secret(ctx, r, c.now().Add(-clockError))
	if err != nil {
		return nil, err
	}
	return secret.Value.Reveal(), nil
}

// clockError is how far the clocks of the cache and of the system may be apart.
const clockError = 10 * time.Millisecond

// secret reads what is asked for. What was fetched since start was fetched for
// it.
func (o *readers) secret(ctx context.Context, r SecretRequest, start time.Time) (secrets.Secret, error) {
	which := []secrets.Selector{secrets.Stage(r.Stage), secrets.Version(r.Version)}
	switch {
	case !r.Refresh:
		return o.secrets.Get(ctx, r.ID, which...)
	case r.Version == "" && (r.Stage == "" || r.Stage == secrets.StageCurrent):
		return o.secrets.Refresh(ctx, r.ID)
	}
	secret, err := o.forced.Get(ctx, r.ID, which...)
	if err == nil && !secret.FetchedAt.Before(start) {
		// What is cached may be older. It is dropped only now that the service
		// is known to answer.
		o.secrets.Invalidate(r.ID)
	}
	return secret, err
}

// Parameter returns the JSON of GetParameter.
func (c *Cache) Parameter(ctx context.Context, r ParameterRequest) ([]byte, error) {
	open, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	read := func(ctx context.Context, id string) (secrets.Secret, error) { return open.parameters.Get(ctx, id) }
	if r.Refresh {
		read = open.parameters.Refresh
	}
	parameter, err := read(ctx, parameterID(r))
	if err != nil {
		return nil, err
	}
	return parameter.Value.Reveal(), nil
}

// Prefetch reads the secrets of the configuration's list.
func (c *Cache) Prefetch(ctx context.Context) error {
	if len(c.config.Prefetch) == 0 {
		return nil
	}
	open, err := c.open(ctx)
	if err != nil {
		return err
	}
	return open.secrets.Prefetch(ctx, c.config.Prefetch...)
}

// Close ends the reads that run and empties the cache. Reads after it fail.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.readers == nil {
		return nil
	}
	return errors.Join(c.readers.secrets.Close(), c.readers.forced.Close(), c.readers.parameters.Close())
}

// Check tells what is wrong with the SDK's environment variables, with no call
// and no file read. Reads would fail with the same error.
func (c *Cache) Check() error {
	client, err := secrets.New(context.Background(), c.config.Secrets.options(c.config)...)
	if err != nil {
		return err
	}
	return client.Close()
}

func (c *Cache) open(ctx context.Context) (*readers, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, secrets.ErrClosed
	}
	if c.readers != nil {
		return c.readers, nil
	}
	ctx = context.WithoutCancel(ctx)
	aws, err := c.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if aws.Region == "" {
		return nil, errors.New("no AWS region: set AWS_REGION")
	}
	opened, err := c.config.open(ctx, aws, c.options)
	if err != nil {
		return nil, err
	}
	c.readers = opened
	return opened, nil
}

// open makes the SDK's clients. It makes no call.
func (c Config) open(ctx context.Context, aws aws.Config, more []secrets.Option) (*readers, error) {
	common := append(c.Secrets.options(c), secrets.WithRegion(aws.Region), secrets.WithAPI(secretBodies(aws)))
	common = append(common, more...)
	cached := common
	if c.FeedTable != "" {
		table := feed.NewTable(dynamodb.NewFromConfig(aws), c.FeedTable)
		cached = append(cached[:len(cached):len(cached)], secrets.WithFeed(table, 0))
	}
	forced := append(common[:len(common):len(common)], secrets.WithTTL(minRefresh), secrets.WithNegativeTTL(minRefresh), secrets.WithMaxStale(0))
	parameters := append(c.Parameters.options(c), secrets.WithRegion(aws.Region), secrets.WithFailover(), secrets.WithAPI(parameterBodies(aws)))
	parameters = append(parameters, more...)

	var (
		o   readers
		err [3]error
	)
	o.secrets, err[0] = newReader(ctx, c.Secrets.Cached, cached)
	o.forced, err[1] = newReader(ctx, c.Secrets.Cached, forced)
	o.parameters, err[2] = newReader(ctx, c.Parameters.Cached, parameters)
	if err := errors.Join(err[:]...); err != nil {
		return nil, err
	}
	return &o, nil
}

func newReader(ctx context.Context, cached bool, options []secrets.Option) (reader, error) {
	client, err := secrets.New(ctx, options...)
	if err != nil || cached {
		return client, err
	}
	return uncached(options), client.Close()
}

// uncached reads without keeping anything: each read is that of a new client.
type uncached []secrets.Option

func (u uncached) Get(ctx context.Context, id string, which ...secrets.Selector) (secrets.Secret, error) {
	client, err := secrets.New(ctx, u...)
	if err != nil {
		return secrets.Secret{}, err
	}
	secret, err := client.Get(ctx, id, which...)
	return secret, errors.Join(err, client.Close())
}

func (u uncached) Refresh(ctx context.Context, id string) (secrets.Secret, error) {
	return u.Get(ctx, id)
}

func (uncached) Prefetch(context.Context, ...string) error { return nil }
func (uncached) Invalidate(string)                         {}
func (uncached) Close() error                              { return nil }
