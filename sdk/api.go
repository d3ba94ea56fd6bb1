package secrets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/sdk/spec"
)

// API is what the client needs of Secrets Manager. *secretsmanager.Client is
// one.
type API interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error)
}

// endpoint is Secrets Manager in one region. The AWS configuration is loaded at
// the first call, so that a client costs nothing before it is needed.
type endpoint struct {
	name    string                                     // the region asked for; "": the configuration's
	connect func(context.Context) (API, string, error) // gives the API and its region
	replica bool                                       // secrets are read by the ARNs of other regions, too

	mu     sync.Mutex
	api    API // nil: not connected
	region string
}

// newEndpoints returns the primary region's endpoint and those of the regions
// to fail over to.
func newEndpoints(s settings) []*endpoint {
	loaded := &configuration{given: s.config}
	names := append([]string{s.region}, s.failover...)
	endpoints := make([]*endpoint, 0, len(names))
	for _, name := range names {
		endpoints = append(endpoints, &endpoint{
			name:    name,
			replica: len(names) > 1,
			connect: func(ctx context.Context) (API, string, error) {
				if s.clients != nil {
					return s.clients(name), name, nil
				}
				c, err := loaded.inRegion(ctx, name)
				if err != nil {
					return nil, "", err
				}
				return secretsmanager.NewFromConfig(c, keepQuiet, fewAttempts), c.Region, nil
			},
		})
	}
	return endpoints
}

// configuration is the AWS configuration, loaded once for all regions.
type configuration struct {
	mu    sync.Mutex
	given *aws.Config // nil: not loaded yet
}

func (c *configuration) inRegion(ctx context.Context, region string) (aws.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.given == nil {
		loaded, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
		}
		c.given = &loaded
	}
	own := c.given.Copy()
	if region != "" {
		own.Region = region
	}
	if own.Region == "" {
		return aws.Config{}, errors.New("no AWS region: set AWS_REGION or use WithRegion")
	}
	return own, nil
}

// keepQuiet never lets the AWS SDK log bodies: they hold the secrets.
func keepQuiet(o *secretsmanager.Options) {
	o.ClientLogMode &^= aws.LogRequestWithBody | aws.LogResponseWithBody
}

// fewAttempts retries once, unless the configuration says otherwise: the cache
// has its own back-off, and a replica may answer sooner.
func fewAttempts(o *secretsmanager.Options) {
	if o.RetryMaxAttempts == 0 {
		o.RetryMaxAttempts = 2
	}
}

func (e *endpoint) client(ctx context.Context) (API, string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.api == nil {
		api, region, err := e.connect(ctx)
		if err != nil {
			return nil, "", err
		}
		e.api, e.region = api, region
	}
	return e.api, e.region, nil
}

// localID returns the id under which the secret is read in the region.
func (e *endpoint) localID(id, region string) string {
	if e.replica {
		return inRegion(id, region)
	}
	return id
}

// get reads the version that the key asks for.
func (e *endpoint) get(ctx context.Context, k key) (Secret, error) {
	api, region, err := e.client(ctx)
	if err != nil {
		return Secret{}, fmt.Errorf("read secret %q: %w", k.id, err)
	}
	input := &secretsmanager.GetSecretValueInput{SecretId: aws.String(e.localID(k.id, region))}
	if k.stage != "" {
		input.VersionStage = &k.stage
	}
	if k.version != "" {
		input.VersionId = &k.version
	}
	out, err := api.GetSecretValue(ctx, input)
	if err != nil {
		return Secret{}, fmt.Errorf("read secret %q: %w", k.id, explain(err))
	}
	return newSecret(region, out.ARN, out.Name, out.VersionId, out.SecretString, out.SecretBinary, out.VersionStages, out.CreatedDate), nil
}

func newSecret(region string, arn, name, version, text *string, binary []byte, stages []string, created *time.Time) Secret {
	value := spec.NewValue(binary)
	clear(binary)
	if text != nil {
		value = spec.ValueString(*text)
	}
	return Secret{
		Value:     value,
		ARN:       aws.ToString(arn),
		Name:      aws.ToString(name),
		VersionID: aws.ToString(version),
		Region:    region,
		CreatedAt: aws.ToTime(created),
		stages:    stages,
	}
}
