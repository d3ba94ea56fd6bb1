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
	load func(context.Context) (API, string, error) // the API and its region

	mu     sync.Mutex
	api    API
	region string
}

func newEndpoint(s settings) *endpoint {
	return &endpoint{load: func(ctx context.Context) (API, string, error) {
		if s.clients != nil {
			region := s.region
			if region == "" && s.config != nil {
				region = s.config.Region
			}
			return s.clients(region), region, nil
		}
		loaded := s.config
		if loaded == nil {
			c, err := config.LoadDefaultConfig(ctx)
			if err != nil {
				return nil, "", fmt.Errorf("load the AWS configuration: %w", err)
			}
			loaded = &c
		}
		own := loaded.Copy()
		if s.region != "" {
			own.Region = s.region
		}
		if own.Region == "" {
			return nil, "", errors.New("no AWS region: set AWS_REGION or use WithRegion")
		}
		return secretsmanager.NewFromConfig(own, keepQuiet, fewAttempts), own.Region, nil
	}}
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
		api, region, err := e.load(ctx)
		if err != nil {
			return nil, "", err
		}
		e.api, e.region = api, region
	}
	return e.api, e.region, nil
}

// get reads the version that the key asks for.
func (e *endpoint) get(ctx context.Context, k key) (Secret, error) {
	api, region, err := e.client(ctx)
	if err != nil {
		return Secret{}, fmt.Errorf("read secret %q: %w", k.id, err)
	}
	input := &secretsmanager.GetSecretValueInput{SecretId: &k.id}
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
