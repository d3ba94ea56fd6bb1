package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/budgets"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// pollInterval is the pause between two looks at a resource that AWS changes in
// the background. The emulator is done at once or nearly so.
const pollInterval = 50 * time.Millisecond

// waitLimit bounds every such wait.
const waitLimit = 2 * time.Minute

// rootAccessKey signs calls where the configuration names no key. The local
// cloud takes a key that it didn't issue for the root of its default account.
const rootAccessKey = "localcloud"

// Config says which local cloud a provider deploys into, where in it, and as
// whom.
type Config struct {
	// Region is the region of every resource of the provider. Required.
	Region string

	// Endpoint is the base URL of the local cloud, for every service that
	// Endpoints doesn't name.
	Endpoint string

	// Endpoints holds base URLs by the service names of pulumi-aws:
	// "cloudwatch", "dynamodb", "events", "iam", "kms", "lambda", "logs",
	// "s3", "scheduler", "secretsmanager", "sns", "sqs", "sts".
	Endpoints map[string]string

	// AccessKey, SecretKey and SessionToken sign the calls. With no AccessKey
	// the calls come from the root of the local cloud's default account.
	AccessKey, SecretKey, SessionToken string

	// DefaultTags are put on every resource that can have tags, under the
	// resource's own.
	DefaultTags map[string]string
}

// validate refuses a configuration that could reach the real AWS: the handlers
// are made for an emulator, so without an address there is nothing to call.
func (c Config) validate() error {
	if c.Region == "" {
		return errors.New("no region for provider aws: set aws:region in the stack's configuration, AWS_REGION, or the provider's region")
	}
	if c.Endpoint == "" && len(c.Endpoints) == 0 {
		return errors.New("no endpoint for provider aws: this provider deploys into a local cloud only; set the provider's endpoints or AWS_ENDPOINT_URL to its address")
	}
	for service, address := range c.Endpoints {
		if err := validateEndpoint(address); err != nil {
			return fmt.Errorf("endpoint of %s for provider aws: %w", service, err)
		}
	}
	if c.Endpoint != "" {
		if err := validateEndpoint(c.Endpoint); err != nil {
			return fmt.Errorf("endpoint for provider aws: %w", err)
		}
	}
	return nil
}

func validateEndpoint(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%q is not an http or https URL", address)
	}
	if host := u.Hostname(); host == "amazonaws.com" || strings.HasSuffix(host, ".amazonaws.com") {
		return fmt.Errorf("%q is an address of AWS; this provider deploys into a local cloud only", address)
	}
	return nil
}

// clients are the service clients of one provider, all of one region.
type clients struct {
	config Config

	budgets    *budgets.Client
	cloudtrail *cloudtrail.Client
	cloudwatch *cloudwatch.Client
	dynamodb   *dynamodb.Client
	events     *eventbridge.Client
	iam        *iam.Client
	kms        *kms.Client
	lambda     *lambda.Client
	logs       *cloudwatchlogs.Client
	s3         *s3.Client
	scheduler  *scheduler.Client
	secrets    *secretsmanager.Client
	sns        *sns.Client
	sqs        *sqs.Client
	sts        *sts.Client
}

func newClients(config Config) *clients {
	accessKey, secretKey := config.AccessKey, config.SecretKey
	if accessKey == "" {
		accessKey = rootAccessKey
	}
	if secretKey == "" {
		secretKey = rootAccessKey
	}
	common := aws.Config{
		Region:      config.Region,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, config.SessionToken),
	}
	endpoint := func(services ...string) *string {
		for _, service := range services {
			if address := config.Endpoints[service]; address != "" {
				return aws.String(address)
			}
		}
		if config.Endpoint != "" {
			return aws.String(config.Endpoint)
		}
		// Never fall back to the service's public address: a name of the
		// reserved domain "invalid" fails with the service's name in it.
		return aws.String("http://no-endpoint-for-" + services[0] + ".invalid")
	}
	return &clients{
		config:     config,
		budgets:    budgets.NewFromConfig(common, func(o *budgets.Options) { o.BaseEndpoint = endpoint("budgets") }),
		cloudtrail: cloudtrail.NewFromConfig(common, func(o *cloudtrail.Options) { o.BaseEndpoint = endpoint("cloudtrail") }),
		cloudwatch: cloudwatch.NewFromConfig(common, func(o *cloudwatch.Options) { o.BaseEndpoint = endpoint("cloudwatch") }),
		dynamodb:   dynamodb.NewFromConfig(common, func(o *dynamodb.Options) { o.BaseEndpoint = endpoint("dynamodb") }),
		events:     eventbridge.NewFromConfig(common, func(o *eventbridge.Options) { o.BaseEndpoint = endpoint("events", "eventbridge", "cloudwatchevents") }),
		iam:        iam.NewFromConfig(common, func(o *iam.Options) { o.BaseEndpoint = endpoint("iam") }),
		kms:        kms.NewFromConfig(common, func(o *kms.Options) { o.BaseEndpoint = endpoint("kms") }),
		lambda:     lambda.NewFromConfig(common, func(o *lambda.Options) { o.BaseEndpoint = endpoint("lambda") }),
		logs:       cloudwatchlogs.NewFromConfig(common, func(o *cloudwatchlogs.Options) { o.BaseEndpoint = endpoint("logs", "cloudwatchlogs", "cloudwatchlog") }),
		s3: s3.NewFromConfig(common, func(o *s3.Options) {
			// The local cloud has one address, with the bucket in the path.
			o.BaseEndpoint, o.UsePathStyle = endpoint("s3", "s3api"), true
		}),
		scheduler: scheduler.NewFromConfig(common, func(o *scheduler.Options) { o.BaseEndpoint = endpoint("scheduler") }),
		secrets:   secretsmanager.NewFromConfig(common, func(o *secretsmanager.Options) { o.BaseEndpoint = endpoint("secretsmanager") }),
		sns:       sns.NewFromConfig(common, func(o *sns.Options) { o.BaseEndpoint = endpoint("sns") }),
		sqs:       sqs.NewFromConfig(common, func(o *sqs.Options) { o.BaseEndpoint = endpoint("sqs") }),
		sts:       sts.NewFromConfig(common, func(o *sts.Options) { o.BaseEndpoint = endpoint("sts") }),
	}
}

// inRegion returns clients of another region, for the few resources whose AWS
// call has to go to a region that isn't the provider's.
func (c *clients) inRegion(region string) *clients {
	if region == c.config.Region {
		return c
	}
	config := c.config
	config.Region = region
	return newClients(config)
}

// partition is the partition of the provider's region: "aws", "aws-cn" or
// "aws-us-gov".
func (c *clients) partition() string {
	switch {
	case strings.HasPrefix(c.config.Region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(c.config.Region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// wait calls done until it reports true, fails, or waitLimit is over.
func wait(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
}
