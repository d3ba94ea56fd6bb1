//go:build engine

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/pipeline"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/pulumi/engine"
)

const region = "us-east-1"

// tools are built once for all tests.
var tools struct{ cli, plugin string }

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	tools.cli = os.Getenv("PULUMI_CLI")
	if tools.cli == "" {
		return 0, errors.New("set PULUMI_CLI to the absolute path of the pulumi command; `go tool mage tools:install` builds one")
	}
	tools.plugin, err = os.MkdirTemp("", "pipeline-test-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tools.plugin)) }()
	if err := engine.BuildPlugin(context.Background(), tools.plugin); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// world is an emulator of AWS and an engine that deploys into it.
type world struct {
	cloud   *localcloud.Cloud
	engine  *engine.Engine
	command *pipeline.Command
	log     []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	var err error
	w.cloud, err = localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.cloud.Close()) })
	w.engine, err = engine.New(engine.Options{CLI: tools.cli, Plugin: tools.plugin, Dir: t.TempDir(), Endpoint: w.cloud.URL()})
	require.NoError(t, err)
	w.command, err = pipeline.NewCommand(t.Context(), tools.cli, time.Minute)
	require.NoError(t, err)
	return w
}

func (w *world) stack(t *testing.T, name string, program pulumi.RunFunc) *auto.Stack {
	t.Helper()
	stack, err := w.engine.Stack(t.Context(), "shop", name, auto.ConfigMap{"aws:region": {Value: region}}, program, auto.Pulumi(w.command))
	require.NoError(t, err)
	return &stack
}

// revision is a commit that nobody made.
func revision(digit string) pipeline.Revision {
	return pipeline.Revision{Commit: repeat(digit, 40), Artifacts: "sha256:" + repeat(digit, 64)}
}

func repeat(digit string, n int) string {
	text := ""
	for range n {
		text += digit
	}
	return text
}

func (w *world) pipeline(t *testing.T, stack *auto.Stack, options pipeline.Options) *pipeline.Pipeline {
	t.Helper()
	options.Project = "shop"
	if options.Revision.Commit == "" {
		options.Revision = revision("a")
	}
	options.Log = func(line string) { w.log = append(w.log, line); t.Log(line) }
	return pipeline.New(*stack, options)
}

// resource is one of any type.
type resource struct {
	pulumi.CustomResourceState

	ARN pulumi.StringOutput `pulumi:"arn"`
}

// shop is the program that most tests deploy.
type shop struct {
	owner   string
	protect bool
	without string
}

func (s *shop) deploy(ctx *pulumi.Context) error {
	tags := pulumi.StringMap{"Environment": pulumi.String("dev"), "Owner": pulumi.String(s.owner)}
	var key, secret, topic, queue resource
	if err := ctx.RegisterResource("aws:kms/key:Key", "key", pulumi.Map{
		"description": pulumi.String("encrypts"), "enableKeyRotation": pulumi.Bool(true), "tags": tags,
	}, &key, pulumi.Protect(s.protect)); err != nil {
		return err
	}
	if s.without != "secret" {
		if err := ctx.RegisterResource("aws:secretsmanager/secret:Secret", "secret", pulumi.Map{
			"name": pulumi.String("shop/dev/orders/key"), "kmsKeyId": key.ARN, "tags": tags,
		}, &secret, pulumi.Protect(s.protect)); err != nil {
			return err
		}
	}
	if err := ctx.RegisterResource("aws:sns/topic:Topic", "topic", pulumi.Map{
		"name": pulumi.String("shop-alerts"), "kmsMasterKeyId": key.ARN, "tags": tags,
	}, &topic); err != nil {
		return err
	}
	return ctx.RegisterResource("aws:sqs/queue:Queue", "queue", pulumi.Map{
		"name": pulumi.String("shop-dead-letters"), "kmsMasterKeyId": key.ARN, "tags": tags,
	}, &queue)
}

func TestTheLifeOfAStack(t *testing.T) {
	w := newWorld(t)
	program := &shop{owner: "team-shop"}
	stack := w.stack(t, "dev", program.deploy)
	run := w.pipeline(t, stack, pipeline.Options{})

	report := run.Preview(t.Context())
	require.NoError(t, report.WriteText(os.Stdout))
	report = run.Up(t.Context())
	require.NoError(t, report.WriteText(os.Stdout))
	report = run.Up(t.Context())
	require.NoError(t, report.WriteText(os.Stdout))
	program.owner = "team-other"
	report = run.Preview(t.Context())
	require.NoError(t, report.WriteText(os.Stdout))
	report = run.Drift(t.Context())
	require.NoError(t, report.WriteText(os.Stdout))
	report = run.Destroy(t.Context())
	require.NoError(t, report.WriteText(os.Stdout))
}
