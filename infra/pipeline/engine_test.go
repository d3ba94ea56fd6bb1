//go:build engine

package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/pipeline"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
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
	told    []string // the log and the reports
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
	options.Policy.NotRotated = map[string]string{"shop/dev/orders/key": "it is a test"}
	options.Log = func(line string) {
		w.told = append(w.told, line)
		t.Log(line)
	}
	return pipeline.New(*stack, options)
}

// resource is one of any type.
type resource struct {
	pulumi.CustomResourceState

	ARN pulumi.StringOutput `pulumi:"arn"`
}

// planted is an input that Pulumi keeps secret.
const planted = "planted-value-5d1c77"

// shop is the program that most tests deploy.
type shop struct {
	owner         string
	protect       bool
	withoutSecret bool
	more          bool
}

func (s *shop) deploy(ctx *pulumi.Context) error {
	tags := pulumi.StringMap{
		"Environment": pulumi.String("dev"), "Service": pulumi.String("orders"), "Owner": pulumi.String(s.owner),
		"ManagedBy": pulumi.String("pulumi"), "SecretType": pulumi.String("custom"), "DataClassification": pulumi.String("internal"),
	}
	var key, secret, topic, queue resource
	if err := ctx.RegisterResource("aws:kms/key:Key", "key", pulumi.Map{
		"description": pulumi.String("encrypts"), "enableKeyRotation": pulumi.Bool(true), "tags": tags,
	}, &key, pulumi.Protect(s.protect)); err != nil {
		return err
	}
	if !s.withoutSecret {
		if err := ctx.RegisterResource("aws:secretsmanager/secret:Secret", "secret", pulumi.Map{
			"name": pulumi.String("shop/dev/orders/key"), "kmsKeyId": key.ARN, "tags": tags,
			"description": pulumi.ToSecret(pulumi.String(planted)),
		}, &secret, pulumi.Protect(s.protect)); err != nil {
			return err
		}
	}
	if err := ctx.RegisterResource("aws:sns/topic:Topic", "topic", pulumi.Map{
		"name": pulumi.String("shop-alerts"), "kmsMasterKeyId": key.ARN, "tags": tags,
	}, &topic); err != nil {
		return err
	}
	if err := ctx.RegisterResource("aws:sqs/queue:Queue", "queue", pulumi.Map{
		"name": pulumi.String("shop-dead-letters"), "kmsMasterKeyId": key.ARN, "tags": tags,
	}, &queue); err != nil || !s.more {
		return err
	}
	var moreTopic, moreQueue resource
	if err := ctx.RegisterResource("aws:sns/topic:Topic", "more-topic", pulumi.Map{
		"name": pulumi.String("shop-more"), "kmsMasterKeyId": key.ARN, "tags": tags,
	}, &moreTopic); err != nil {
		return err
	}
	return ctx.RegisterResource("aws:sqs/queue:Queue", "more-queue", pulumi.Map{
		"name": pulumi.String("shop-more"), "kmsMasterKeyId": key.ARN, "tags": tags,
	}, &moreQueue, pulumi.DependsOn([]pulumi.Resource{&moreTopic}))
}

// resources is how many the first update makes: the provider, the key, the
// secret, the topic and the queue.
const resources = 5

func operationsOf(report pipeline.Report) map[pipeline.Operation]int {
	counted := map[pipeline.Operation]int{}
	for _, change := range report.Changes {
		counted[change.Operation]++
	}
	return counted
}

func gates(report pipeline.Report) []string {
	var closed []string
	for _, refusal := range report.Refusals {
		closed = append(closed, refusal.Gate)
	}
	return closed
}

// require keeps all that a report tells, and shows it if the outcome is another.
func (w *world) require(t *testing.T, want pipeline.Outcome, report pipeline.Report) {
	t.Helper()
	text, err := json.MarshalIndent(report, "", "  ")
	require.NoError(t, err)
	var pages strings.Builder
	require.NoError(t, report.WriteText(&pages))
	require.NoError(t, report.WriteMarkdown(&pages))
	w.told = append(w.told, string(text), pages.String())
	require.Equal(t, want, report.Outcome, "%s", text)
	require.Equal(t, want.ExitCode(), report.ExitCode)
}

// A stack's life with the pipeline: each step builds on the one before.
func TestTheLifeOfAStack(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	program := &shop{owner: "team-shop"}
	stack := w.stack(t, "dev", program.deploy)
	dev := w.pipeline(t, stack, pipeline.Options{})
	queues := sqs.NewFromConfig(w.cloud.Config(region))

	report := dev.Preview(ctx)
	w.require(t, pipeline.Pending, report)
	assert.Equal(t, map[pipeline.Operation]int{pipeline.Create: resources}, operationsOf(report))
	listed, err := queues.ListQueues(ctx, &sqs.ListQueuesInput{})
	require.NoError(t, err)
	assert.Empty(t, listed.QueueUrls, "a preview makes nothing")
	digest := report.Digest

	report = dev.Up(ctx)
	w.require(t, pipeline.Succeeded, report)
	assert.Equal(t, digest, report.Digest, "what was made is what was previewed")
	report = dev.Up(ctx)
	w.require(t, pipeline.Succeeded, report)
	assert.Empty(t, report.Changes)
	w.require(t, pipeline.Succeeded, dev.Preview(ctx))
	w.require(t, pipeline.Succeeded, dev.Drift(ctx))

	// Somebody changes a queue behind Pulumi's back.
	queue, err := queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("shop-dead-letters")})
	require.NoError(t, err)
	_, err = queues.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: queue.QueueUrl, Tags: map[string]string{"Owner": "nobody"}})
	require.NoError(t, err)
	report = dev.Drift(ctx)
	w.require(t, pipeline.Pending, report)
	require.Len(t, report.Changes, 1)
	assert.Equal(t, "queue", report.Changes[0].Name)
	assert.NotEmpty(t, report.Changes[0].Properties)
	w.require(t, pipeline.Succeeded, w.pipeline(t, stack, pipeline.Options{Refresh: true}).Up(ctx))
	tags, err := queues.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: queue.QueueUrl})
	require.NoError(t, err)
	assert.Equal(t, "team-shop", tags.Tags["Owner"])
	w.require(t, pipeline.Succeeded, dev.Drift(ctx))

	// A resource can't be made: the others are, and the next run makes it.
	program.more = true
	off, err := w.cloud.Faults.Add(faults.Fault{Kind: faults.Error, Service: "sqs", Operation: "CreateQueue", Code: "AccessDenied", Status: 403})
	require.NoError(t, err)
	report = dev.Up(ctx)
	w.require(t, pipeline.Failed, report)
	require.NotEmpty(t, report.Failures)
	assert.Contains(t, report.Failures[0].URN, "more-queue")
	assert.Contains(t, report.Failures[0].Problem, "AccessDenied")
	off()
	report = dev.Up(ctx)
	w.require(t, pipeline.Succeeded, report)
	assert.Equal(t, map[pipeline.Operation]int{pipeline.Create: 1}, operationsOf(report), "the other one was made")

	report = dev.Destroy(ctx)
	w.require(t, pipeline.Succeeded, report)
	listed, err = queues.ListQueues(ctx, &sqs.ListQueuesInput{})
	require.NoError(t, err)
	assert.Empty(t, listed.QueueUrls)
	w.requireNoValue(t)
}

// requireNoValue looks for what the program keeps secret in all that was told.
func (w *world) requireNoValue(t *testing.T) {
	t.Helper()
	require.NotEmpty(t, w.told)
	assert.NotContains(t, strings.Join(w.told, "\n"), planted)
}
