package extension

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/feed"
)

// Cache is the SDK's cache of what the function reads, as the bodies that it is
// answered with: one of secrets and one of parameters. It is safe for concurrent
// use. The AWS configuration is loaded at the first read.
type Cache struct {
	config  Config
	load    func(context.Context) (aws.Config, error)
	options []secrets.Option // in addition to the configuration's, for tests

	mu      sync.Mutex
	closed  bool
	readers *readers // nil: not opened yet
}

// reader is what the cache needs of the SDK: *secrets.Client, or uncached.
type reader interface {
	Get(ctx context.Context, id string, which ...secrets.Selector) (secrets.Secret, error)
	Refresh(ctx context.Context, id string, which ...secrets.Selector) (secrets.Secret, error)
	Prefetch(ctx context.Context, ids ...string) error
	Close() error
}

type readers struct {
	secrets    reader
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
	return &Cache{config: c, load: load}
}

// Secret returns the JSON of GetSecretValue.
func (c *Cache) Secret(ctx context.Context, r SecretRequest) ([]byte, error) {
	open, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	read := open.secrets.Get
	if r.Refresh {
		read = open.secrets.Refresh
	}
	secret, err := read(ctx, r.ID, secrets.Stage(r.Stage), secrets.Version(r.Version))
	if err != nil {
		return nil, err
	}
	return secret.Value.Reveal(), nil
}

// Parameter returns the JSON of GetParameter.
func (c *Cache) Parameter(ctx context.Context, r ParameterRequest) ([]byte, error) {
	open, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	read := open.parameters.Get
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
func (c *Cache) Prefetch(ctx context.Context) (err error) {
	defer orError(&err)
	if len(c.config.Prefetch) == 0 {
		return nil
	}
	open, err := c.open(ctx)
	if err != nil {
		return err
	}
	return open.secrets.Prefetch(ctx, c.config.Prefetch...)
}

// Stats tells what was read of secrets; nothing without a cache.
func (c *Cache) Stats() secrets.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readers != nil {
		if client, ok := c.readers.secrets.(*secrets.Client); ok {
			return client.Stats()
		}
	}
	return secrets.Stats{}
}

// Close ends the reads that run and empties the cache. Reads after it fail.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.readers == nil {
		return nil
	}
	return errors.Join(c.readers.secrets.Close(), c.readers.parameters.Close())
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
	ofSecrets := append(c.Secrets.options(c), secrets.WithRegion(cmp.Or(c.Region, aws.Region)), secrets.WithAPI(secretBodies(aws)))
	if c.FeedTable != "" {
		table := feed.NewTable(dynamodb.NewFromConfig(aws), c.FeedTable)
		ofSecrets = append(ofSecrets, secrets.WithFeed(guarded{table}, c.FeedEvery))
	}
	ofParameters := append(c.Parameters.options(c), secrets.WithRegion(aws.Region), secrets.WithFailover(), secrets.WithAPI(parameterBodies(aws)))

	var (
		o   readers
		err [2]error
	)
	o.secrets, err[0] = newReader(ctx, c.Secrets.Cached, append(ofSecrets, more...))
	o.parameters, err[1] = newReader(ctx, c.Parameters.Cached, append(ofParameters, more...))
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

func (u uncached) Refresh(ctx context.Context, id string, which ...secrets.Selector) (secrets.Secret, error) {
	return u.Get(ctx, id, which...)
}

func (uncached) Prefetch(context.Context, ...string) error { return nil }
func (uncached) Close() error                              { return nil }
