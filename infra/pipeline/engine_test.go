//go:build engine

package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
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
	told    []string          // the log and the reports
	at      map[string]func() // what to do when the log has a text
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
	options.Policy.NotRotated = map[string]string{"shop/" + stack.Name() + "/orders/key": "it is a test"}
	options.Log = func(line string) {
		w.told = append(w.told, line)
		t.Log(line)
		for text, do := range w.at {
			if strings.Contains(line, text) {
				do()
			}
		}
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
	replicate     bool
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
		inputs := pulumi.Map{
			"name": pulumi.String("shop/" + ctx.Stack() + "/orders/key"), "kmsKeyId": key.ARN, "tags": tags,
			"description": pulumi.ToSecret(pulumi.String(planted)),
		}
		if s.replicate {
			inputs["replicas"] = pulumi.Array{pulumi.Map{"region": pulumi.String("us-west-2"), "kmsKeyId": pulumi.String("alias/shop")}}
		}
		if err := ctx.RegisterResource("aws:secretsmanager/secret:Secret", "secret", inputs, &secret, pulumi.Protect(s.protect)); err != nil {
			return err
		}
	}
	if err := ctx.RegisterResource("aws:sns/topic:Topic", "topic", pulumi.Map{
		"name": pulumi.String("shop-" + ctx.Stack() + "-alerts"), "kmsMasterKeyId": key.ARN, "tags": tags,
	}, &topic); err != nil {
		return err
	}
	if err := ctx.RegisterResource("aws:sqs/queue:Queue", "queue", pulumi.Map{
		"name": pulumi.String("shop-" + ctx.Stack() + "-dead-letters"), "kmsMasterKeyId": key.ARN, "tags": tags,
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
	queue, err := queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("shop-dev-dead-letters")})
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

// approvals are two people's, of what a report is about.
func approvals(report pipeline.Report) []pipeline.Approval {
	one := pipeline.Approval{
		Stack: report.Stack, Commit: report.Revision.Commit, Digest: report.Digest, ApprovedBy: "Ada",
		ApprovedAt: time.Now().Add(-time.Hour), ExpiresAt: time.Now().Add(time.Hour),
	}
	other := one
	other.ApprovedBy = "Grace"
	return []pipeline.Approval{one, other}
}

// What it takes to get into prod and out of it.
func TestProdIsGuarded(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	program := &shop{owner: "team-shop", protect: true}
	staging := w.stack(t, "staging", (&shop{owner: "team-shop"}).deploy)
	stack := w.stack(t, "prod", program.deploy)
	prod := func(options pipeline.Options) *pipeline.Pipeline {
		options.Guarded, options.Before = true, staging
		// The program's secret has no replica, and AWS's default of 30 days.
		return w.pipeline(t, stack, options)
	}
	program.replicate = true

	// Only what staging runs gets in.
	report := prod(pipeline.Options{}).Up(ctx)
	w.require(t, pipeline.Refused, report)
	assert.Equal(t, []string{pipeline.GatePromotion}, gates(report))
	report = prod(pipeline.Options{}).Promote(ctx)
	w.require(t, pipeline.Refused, report)
	assert.Contains(t, report.Refusals[0].Problem, "nothing was ever deployed to staging")
	w.require(t, pipeline.Succeeded, w.pipeline(t, staging, pipeline.Options{Revision: revision("b")}).Up(ctx))
	report = prod(pipeline.Options{}).Promote(ctx)
	w.require(t, pipeline.Refused, report)
	assert.Contains(t, report.Refusals[0].Problem, "staging has another commit")
	other := revision("b")
	other.Artifacts = revision("c").Artifacts
	report = prod(pipeline.Options{Revision: other}).Promote(ctx)
	w.require(t, pipeline.Refused, report)
	assert.Contains(t, report.Refusals[0].Problem, "staging has other artifacts")

	// And only what two people have approved.
	b := pipeline.Options{Revision: revision("b")}
	report = prod(b).Promote(ctx)
	w.require(t, pipeline.Refused, report)
	assert.Equal(t, []string{pipeline.GateApproval}, gates(report))
	listed, err := sqs.NewFromConfig(w.cloud.Config(region)).ListQueues(ctx, &sqs.ListQueuesInput{})
	require.NoError(t, err)
	assert.Len(t, listed.QueueUrls, 1, "only that of staging")
	b.Approvals = approvals(report)
	report = prod(b).Promote(ctx)
	w.require(t, pipeline.Succeeded, report)
	assert.Len(t, report.Approvals, 2)

	// A secret goes only if it is named, and with approvals of just that.
	program.withoutSecret = true
	report = prod(b).Preview(ctx)
	w.require(t, pipeline.Refused, report)
	assert.Equal(t, []string{pipeline.GateDeletion}, gates(report))
	urn := report.Refusals[0].URN
	b.AllowDelete = []string{urn, "no-such-name"}
	report = prod(b).Promote(ctx)
	w.require(t, pipeline.Refused, report)
	assert.Equal(t, []string{pipeline.GateDeletion, pipeline.GateApproval}, gates(report), "a name that fits nothing, and approvals of something else")
	b.AllowDelete, b.Approvals = []string{urn}, approvals(report)
	w.require(t, pipeline.Succeeded, prod(b).Promote(ctx))
	assert.NotNil(t, w.secret(t, "shop/prod/orders/key").DeletedDate)

	// The same holds for the end of it all.
	report = prod(pipeline.Options{Approvals: b.Approvals}).Destroy(ctx)
	w.require(t, pipeline.Refused, report)
	assert.Contains(t, gates(report), pipeline.GateDeletion)
	assert.Contains(t, gates(report), pipeline.GateApproval)
	report = prod(pipeline.Options{Approvals: approvals(report), AllowDelete: []string{"key"}}).Destroy(ctx)
	w.require(t, pipeline.Succeeded, report)
	assert.Contains(t, strings.Join(report.Warnings, " "), "allowed by --allow-delete")
	w.requireNoValue(t)
}

func (w *world) secret(t *testing.T, name string) *secretsmanager.DescribeSecretOutput {
	t.Helper()
	secret, err := secretsmanager.NewFromConfig(w.cloud.Config(region)).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	require.NoError(t, err)
	return secret
}

// An update that is cancelled in its middle leaves neither a lock nor an
// operation behind, and the next one completes it.
func TestACancelledUpdate(t *testing.T) {
	w := newWorld(t)
	stack := w.stack(t, "dev", (&shop{owner: "team-shop"}).deploy)
	_, err := w.cloud.Faults.Add(faults.Fault{Kind: faults.Latency, Service: "kms", Operation: "CreateKey", Delay: time.Second})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	w.at = map[string]func(){"create  aws:kms/key:Key key …": cancel}

	report := w.pipeline(t, stack, pipeline.Options{}).Up(ctx)
	w.require(t, pipeline.Cancelled, report)
	assert.Contains(t, strings.Join(report.Next, " "), "run the same again")

	report = w.pipeline(t, stack, pipeline.Options{}).Up(t.Context())
	w.require(t, pipeline.Succeeded, report)
	keys, err := kms.NewFromConfig(w.cloud.Config(region)).ListKeys(t.Context(), &kms.ListKeysInput{})
	require.NoError(t, err)
	assert.Len(t, keys.Keys, 1)
	for _, change := range report.Changes {
		assert.NotEqual(t, "aws:kms/key:Key", change.Type, "the key that was begun was finished, and is known")
	}
}

// A cancelled update that doesn't end within the grace is killed, and its report
// tells what isn't known now.
func TestACancelledUpdateThatHadToBeKilled(t *testing.T) {
	w := newWorld(t)
	var err error
	w.command, err = pipeline.NewCommand(t.Context(), tools.cli, 50*time.Millisecond)
	require.NoError(t, err)
	stack := w.stack(t, "dev", (&shop{owner: "team-shop"}).deploy)
	_, err = w.cloud.Faults.Add(faults.Fault{Kind: faults.Latency, Service: "kms", Operation: "CreateKey", Delay: time.Minute, Times: 1})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for w.cloud.Faults.List()[0].Hits == 0 {
			select {
			case <-t.Context().Done():
				return
			case <-tick.C:
			}
		}
	}()

	report := w.pipeline(t, stack, pipeline.Options{}).Up(ctx)
	w.require(t, pipeline.Cancelled, report)
	require.Len(t, report.Failures, 1)
	assert.Contains(t, report.Failures[0].Problem, "had to be killed")
	require.Contains(t, gates(report), pipeline.GatePending)
	assert.Contains(t, report.Refusals[0].URN, "key:Key::key")
	next := strings.Join(report.Next, " ")
	assert.Contains(t, next, "pipeline recover dev")
	assert.NotContains(t, next, "was finished")
}

// An update whose Pulumi is killed leaves a lock, and an operation of which
// nobody knows how it ended.
func TestAKilledUpdate(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	pid := filepath.Join(t.TempDir(), "pid")
	cli := filepath.Join(t.TempDir(), "pulumi")
	require.NoError(t, os.WriteFile(cli, []byte(fmt.Sprintf("#!/bin/sh\necho $$ > %s\nexec %s \"$@\"\n", pid, tools.cli)), 0o700))
	var err error
	w.command, err = pipeline.NewCommand(ctx, cli, time.Minute)
	require.NoError(t, err)
	program := &shop{owner: "team-shop"}
	stack := w.stack(t, "dev", program.deploy)
	w.require(t, pipeline.Succeeded, w.pipeline(t, stack, pipeline.Options{}).Up(ctx))
	program.more = true
	_, err = w.cloud.Faults.Add(faults.Fault{Kind: faults.Latency, Service: "sqs", Operation: "CreateQueue", Delay: time.Second, Times: 1})
	require.NoError(t, err)
	// Killed once its last call has arrived: the state is written by then.
	killed := make(chan error, 1)
	go func() { killed <- killAt(ctx, pid, func() bool { return w.cloud.Faults.List()[0].Hits > 0 }) }()
	w.require(t, pipeline.Failed, w.pipeline(t, stack, pipeline.Options{}).Up(ctx))
	require.NoError(t, <-killed)

	// The lock is told of, and goes only if somebody says so.
	report := w.pipeline(t, stack, pipeline.Options{}).Recover(ctx, pipeline.Settlement{})
	w.require(t, pipeline.Refused, report)
	require.Equal(t, []string{pipeline.GatePending}, gates(report))
	urn := report.Refusals[0].URN
	assert.Contains(t, urn, "queue:Queue::more-queue")
	w.require(t, pipeline.Refused, w.pipeline(t, stack, pipeline.Options{}).Up(ctx))

	// The queue was made after all.
	queues := sqs.NewFromConfig(w.cloud.Config(region))
	var made *sqs.GetQueueUrlOutput
	require.Eventually(t, func() bool {
		made, err = queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("shop-more")})
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
	settlement := pipeline.Settlement{Import: map[string]string{urn: *made.QueueUrl}}
	report = w.pipeline(t, stack, pipeline.Options{}).Recover(ctx, settlement)
	w.require(t, pipeline.Refused, report)
	assert.Equal(t, []string{pipeline.GateLock}, gates(report))
	assert.Contains(t, strings.Join(report.Next, " "), "--cancel-stale-lock")
	w.require(t, pipeline.Succeeded, w.pipeline(t, stack, pipeline.Options{CancelStaleLock: true}).Recover(ctx, settlement))

	report = w.pipeline(t, stack, pipeline.Options{}).Up(ctx)
	w.require(t, pipeline.Succeeded, report)
	assert.NotContains(t, operationsOf(report), pipeline.Create, "the queue is known")
}

// A policy that has an ARN in it isn't known before AWS has made it up: what is
// wrong with it is found once it is made.
func TestWhatAPreviewCannotSee(t *testing.T) {
	w := newWorld(t)
	stack := w.stack(t, "dev", func(ctx *pulumi.Context) error {
		var queue, policy resource
		if err := ctx.RegisterResource("aws:sqs/queue:Queue", "queue", pulumi.Map{
			"name": pulumi.String("open"), "sqsManagedSseEnabled": pulumi.Bool(true),
			"tags": pulumi.StringMap{"Environment": pulumi.String("dev"), "Service": pulumi.String("orders"), "Owner": pulumi.String("o"), "ManagedBy": pulumi.String("pulumi")},
		}, &queue); err != nil {
			return err
		}
		return ctx.RegisterResource("aws:sqs/queuePolicy:QueuePolicy", "queue", pulumi.Map{
			"queueUrl": queue.ID(),
			"policy":   pulumi.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "%s"}]}`, queue.ARN),
		}, &policy)
	})
	dev := w.pipeline(t, stack, pipeline.Options{})

	report := dev.Up(t.Context())
	w.require(t, pipeline.Failed, report)
	require.Len(t, report.Violations, 1)
	assert.Equal(t, "no-wildcard-principal", report.Violations[0].Check)
	assert.Contains(t, report.Violations[0].Problem, "statement Open")

	report = dev.Preview(t.Context())
	w.require(t, pipeline.Refused, report)
	assert.Equal(t, []string{pipeline.GateChecks}, gates(report), "what stays the same is checked too")
}

// killAt kills the process whose number is in a file, when it is time.
func killAt(ctx context.Context, file string, ready func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return syscall.Kill(number, syscall.SIGKILL)
}
