package localcloud

import (
	"errors"
	"fmt"
	"os"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
	"github.com/aistudio/secrets/localcloud/service/budgets"
	"github.com/aistudio/secrets/localcloud/service/cloudtrail"
	"github.com/aistudio/secrets/localcloud/service/cloudwatch"
	"github.com/aistudio/secrets/localcloud/service/dynamodb"
	"github.com/aistudio/secrets/localcloud/service/ecs"
	"github.com/aistudio/secrets/localcloud/service/events"
	"github.com/aistudio/secrets/localcloud/service/iam"
	"github.com/aistudio/secrets/localcloud/service/kms"
	"github.com/aistudio/secrets/localcloud/service/lambda"
	"github.com/aistudio/secrets/localcloud/service/logs"
	"github.com/aistudio/secrets/localcloud/service/s3"
	"github.com/aistudio/secrets/localcloud/service/scheduler"
	"github.com/aistudio/secrets/localcloud/service/secretsmanager"
	"github.com/aistudio/secrets/localcloud/service/securityhub"
	"github.com/aistudio/secrets/localcloud/service/sns"
	"github.com/aistudio/secrets/localcloud/service/sqs"
	"github.com/aistudio/secrets/localcloud/service/ssm"
	"github.com/aistudio/secrets/localcloud/service/sts"
	"github.com/aistudio/secrets/localcloud/service/xray"
)

// backend is all the state between two resets: the services, wired together.
type backend struct {
	env      *api.Env
	iam      *iam.Service
	lambda   *lambda.Service
	budgets  *budgets.Service
	services map[string]api.Service
	tempDir  string
}

func newBackend(c *Cloud) (*backend, error) {
	b := &backend{services: map[string]api.Service{}}
	workDir := c.opts.workDir
	if workDir == "" {
		dir, err := os.MkdirTemp("", "localcloud-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for Lambda functions: %w", err)
		}
		workDir, b.tempDir = dir, dir
	}
	b.env = &api.Env{
		Clock:    clock.New(c.opts.start),
		Account:  c.opts.account,
		Rand:     c.opts.rand,
		Log:      c.opts.log,
		Endpoint: c.URL,
	}
	b.iam = iam.New(b.env)
	b.env.IAM = b.iam
	metrics := cloudwatch.New(b.env)
	queue := sqs.New(b.env, metrics)
	logGroups := logs.New(b.env, metrics)
	traces := xray.New(b.env)
	b.lambda = lambda.New(b.env, b.iam, logGroups, traces, queue, metrics, workDir)
	keys := kms.New(b.env)
	topics := sns.New(b.env, queue, b.lambda, keys)
	bus := events.New(b.env, b.lambda, queue, topics, metrics)
	metrics.Connect(topics, b.lambda, bus)
	trail := cloudtrail.New(b.env, bus)
	b.env.Trail = trail
	objects := s3.New(b.env, keys)
	trail.Connect(logGroups, objects, b.iam)
	secrets := secretsmanager.New(b.env, keys, b.lambda)
	parameters := ssm.New(b.env, keys, secrets)
	b.budgets = budgets.New(b.env, topics)

	for _, s := range []api.Service{
		b.iam,
		sts.New(b.env, b.iam),
		keys,
		secrets,
		parameters,
		b.lambda,
		metrics,
		logGroups,
		traces,
		trail,
		bus,
		queue,
		topics,
		dynamodb.New(b.env),
		ecs.New(b.env, b.iam, secrets, parameters),
		objects,
		scheduler.New(b.env, b.iam, b.lambda, queue, topics),
		securityhub.New(b.env),
		b.budgets,
	} {
		b.services[s.Name()] = s
	}
	return b, nil
}

func (b *backend) close() error {
	b.env.Clock.Stop()
	err := b.lambda.Close()
	if b.tempDir != "" {
		err = errors.Join(err, os.RemoveAll(b.tempDir))
	}
	return err
}
