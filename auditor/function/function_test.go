package function_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/securityhub"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/bucket"
	"github.com/aistudio/secrets/auditor/function"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/auditor/state"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region = "us-east-1"
	store  = "acme-prod-audit"
)

// stack is what the infrastructure makes for the auditor, in a local cloud.
type stack struct {
	*testing.T
	cloud   *localcloud.Cloud
	secrets *secretsmanager.Client
	objects *s3.Client
	queue   string // gets the alerts
	topic   string
	log     bytes.Buffer
}

func newStack(t *testing.T) *stack {
	// The function's clock is the real one.
	cloud, err := localcloud.New(localcloud.WithStart(time.Now().Add(-time.Hour)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	cfg := cloud.Config(region)
	s := &stack{T: t, cloud: cloud, secrets: secretsmanager.NewFromConfig(cfg), objects: s3.NewFromConfig(cfg)}
	ctx := t.Context()
	s.must(s.objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(store), ObjectLockEnabledForBucket: aws.Bool(true)}))
	s.lock(s3types.ObjectLockRetentionModeGovernance, 365)
	s.put(spec.AuditCatalogueKey, spec.AuditCatalogue{Organization: "acme", Environment: "prod", Regions: []string{region}, Secrets: []spec.AuditSecret{}})

	topics, queues := sns.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	topic, err := topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("audit")})
	require.NoError(t, err)
	s.topic = *topic.TopicArn
	queue, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("alerts")})
	require.NoError(t, err)
	s.queue = *queue.QueueUrl
	arn := "arn:aws:sqs:" + region + ":" + localcloud.DefaultAccount + ":alerts"
	s.must(queues.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &s.queue, Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + arn + `"}}`,
	}}))
	s.must(topics.Subscribe(ctx, &sns.SubscribeInput{TopicArn: &s.topic, Protocol: aws.String("sqs"), Endpoint: &arn}))
	return s
}

// lock keeps new objects for so many days.
func (s *stack) lock(mode s3types.ObjectLockRetentionMode, days int32) {
	s.Helper()
	s.must(s.objects.PutObjectLockConfiguration(s.Context(), &s3.PutObjectLockConfigurationInput{
		Bucket: aws.String(store), ObjectLockConfiguration: &s3types.ObjectLockConfiguration{
			ObjectLockEnabled: s3types.ObjectLockEnabledEnabled,
			Rule:              &s3types.ObjectLockRule{DefaultRetention: &s3types.DefaultRetention{Mode: mode, Days: &days}},
		},
	}))
}

func (s *stack) must(_ any, err error) {
	s.Helper()
	require.NoError(s, err)
}

func (s *stack) put(key string, content any) {
	s.Helper()
	text, ok := content.(string)
	if !ok {
		encoded, err := json.Marshal(content)
		require.NoError(s, err)
		text = string(encoded)
	}
	s.must(s.objects.PutObject(s.Context(), &s3.PutObjectInput{Bucket: aws.String(store), Key: &key, Body: strings.NewReader(text)}))
}

func (s *stack) get(key string) string {
	s.Helper()
	out, err := s.objects.GetObject(s.Context(), &s3.GetObjectInput{Bucket: aws.String(store), Key: &key})
	require.NoError(s, err, key)
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	require.NoError(s, err)
	return string(text)
}

func (s *stack) function() *function.Function {
	s.log.Reset()
	variables := map[string]string{spec.EnvAuditBucket: store, spec.EnvAuditTopic: s.topic}
	return &function.Function{
		AWS: s.cloud.Config(region), Getenv: func(name string) string { return variables[name] },
		Output: &s.log, Log: slog.New(slog.NewJSONHandler(&s.log, nil)),
		QuotaShare: 1000, // the local cloud has none
	}
}

func (s *stack) audit() run.Summary {
	s.Helper()
	summary, err := s.function().Handle(s.Context())
	require.NoError(s, err)
	return summary
}

// alerts takes all alerts that have come since it was asked last.
func (s *stack) alerts() []string {
	s.Helper()
	require.NoError(s, s.cloud.Settle(s.Context()))
	client := sqs.NewFromConfig(s.cloud.Config(region))
	var list []string
	for {
		out, err := client.ReceiveMessage(s.Context(), &sqs.ReceiveMessageInput{QueueUrl: &s.queue, MaxNumberOfMessages: 10})
		require.NoError(s, err)
		if len(out.Messages) == 0 {
			return list
		}
		for _, m := range out.Messages {
			var n struct {
				Message           string
				MessageAttributes map[string]struct{ Value string }
			}
			require.NoError(s, json.Unmarshal([]byte(*m.Body), &n))
			list = append(list, n.MessageAttributes["severity"].Value+" "+n.Message)
			s.must(client.DeleteMessage(s.Context(), &sqs.DeleteMessageInput{QueueUrl: &s.queue, ReceiptHandle: m.ReceiptHandle}))
		}
	}
}

// TestTheDailyAudit: reports, alerts, metrics and the memory of the last run,
// over three days.
func TestTheDailyAudit(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	first := s.audit()
	require.True(t, first.Complete)
	require.Equal(t, 1, first.Findings["critical"], "there is no trail")
	alerts := s.alerts()
	require.Len(t, alerts, 2, "one for the critical finding, one for all")
	assert.Contains(t, alerts[0]+alerts[1], "critical No trail records who reads secrets")
	for _, alert := range alerts {
		assert.Contains(t, alert, first.Report, "an alert leads to the report")
	}

	t.Run("reports", func(t *testing.T) {
		prefix := strings.TrimSuffix(first.Report, "report.html")
		assert.Contains(t, s.get(first.Report), "Secrets audit of prod")
		for line := range strings.Lines(s.get(prefix + "SHA256SUMS")) {
			sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
			content := sha256.Sum256([]byte(s.get(prefix + name)))
			assert.Equal(t, sum, hex.EncodeToString(content[:]), name)
			assert.Contains(t, s.log.String(), sum, "the log has the sum of %s", name)
		}
		kept, err := s.objects.GetObjectRetention(t.Context(), &s3.GetObjectRetentionInput{Bucket: aws.String(store), Key: &first.Report})
		require.NoError(t, err)
		assert.Equal(t, s3types.ObjectLockRetentionModeGovernance, kept.Retention.Mode)
	})
	t.Run("metrics", func(t *testing.T) {
		for _, want := range []string{`"Audits":1`, `"Environment":"prod"`, `"Severity":"critical"`, `"Rule":"trail-off"`, `"Namespace":"Secrets"`} {
			assert.Contains(t, s.log.String(), want)
		}
	})

	second := s.audit()
	require.Zero(t, second.New)
	require.Empty(t, s.alerts(), "nothing is told twice")

	s.must(s.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("loose"), SecretString: aws.String("canary")}))
	third := s.audit()
	require.NotZero(t, third.New)
	alerts = s.alerts()
	require.Len(t, alerts, 1)
	assert.Contains(t, alerts[0], "loose")
	assert.NotContains(t, alerts[0], "canary")
	assert.NotContains(t, s.log.String(), "canary")

	s.must(s.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("loose"), ForceDeleteWithoutRecovery: aws.Bool(true)}))
	fourth := s.audit()
	require.NotZero(t, fourth.Resolved)
	alerts = s.alerts()
	require.Len(t, alerts, 1)
	assert.Contains(t, alerts[0], "Resolved since the last run")
	s.audit()
	require.Empty(t, s.alerts(), "what is resolved is told once")
}

// TestTwoRunsAtOnce: of two runs on the same state one tells, thanks to S3's
// conditional writes.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	b := bucket.Bucket{Name: store, Objects: s.objects}
	_, version, err := b.Load(t.Context())
	require.NoError(t, err)
	require.Empty(t, version)
	s.audit()
	_, err = b.Save(t.Context(), strings.NewReader("late"), version)
	require.ErrorIs(t, err, state.ErrConflict, "somebody was first")

	body, version, err := b.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, body.Close())
	s.audit()
	_, err = b.Save(t.Context(), strings.NewReader("late"), version)
	require.ErrorIs(t, err, state.ErrConflict)
}

// TestAnAlertThatCouldNotBeSent is sent by the next run.
func TestAnAlertThatCouldNotBeSent(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	_, err := s.cloud.Faults.Add(faults.Fault{Service: "sns", Operation: "Publish", Skip: 1, Kind: faults.Error, Status: 400, Code: "InvalidParameter"})
	require.NoError(t, err)
	_, err = s.function().Handle(t.Context())
	require.ErrorContains(t, err, "publish alert")
	require.Len(t, s.alerts(), 1)
	s.cloud.Faults.Clear()
	require.Zero(t, s.audit().New)
	alerts := s.alerts()
	require.Len(t, alerts, 1, "the other one")
	assert.Contains(t, alerts[0], "New or worse")
	s.audit()
	require.Empty(t, s.alerts())
}

// TestARunByHandTakesNoAlert: what a run with the bucket and without the topic finds
// first is told by the next daily one.
func TestARunByHandTakesNoAlert(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	byHand := s.function()
	byHand.Getenv = func(name string) string { return map[string]string{spec.EnvAuditBucket: store}[name] }
	found, err := byHand.Handle(t.Context())
	require.NoError(t, err)
	require.NotZero(t, found.New)
	require.Empty(t, s.alerts())
	require.Zero(t, s.audit().New)
	alerts := s.alerts()
	require.Len(t, alerts, 2)
	assert.Contains(t, alerts[0]+alerts[1], "critical No trail records who reads secrets")

	// Nor does it lose what another couldn't send.
	s.must(s.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("loose"), SecretString: aws.String("canary")}))
	_, err = s.cloud.Faults.Add(faults.Fault{Service: "sns", Operation: "Publish", Kind: faults.Error, Status: 400, Code: "InvalidParameter"})
	require.NoError(t, err)
	_, err = s.function().Handle(t.Context())
	require.ErrorContains(t, err, "publish alert")
	s.cloud.Faults.Clear()
	_, err = byHand.Handle(t.Context())
	require.NoError(t, err)
	s.audit()
	require.Len(t, s.alerts(), 1)
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	t.Run("a scan", func(t *testing.T) {
		scan := spec.Scan{Version: spec.ScanVersion, Started: time.Now(), Finished: time.Now(), Regions: []string{region}, Findings: []spec.ScanFinding{}, Unread: []spec.ScanUnread{}}
		require.NotZero(t, s.audit().Unknown, "there is no scan yet")
		s.put(spec.ScanKey, scan)
		require.Zero(t, s.audit().Unknown)
		s.put(spec.ScanKey, `{"version":9}`)
		require.NotZero(t, s.audit().Unknown, "nobody can read it")
	})
	t.Run("a policy", func(t *testing.T) {
		s.put(spec.AuditPolicyKey, "severities: { trail-off: low }\n")
		require.Zero(t, s.audit().Findings["critical"])
		s.put(spec.AuditPolicyKey, "severity: {}\n")
		_, err := s.function().Handle(t.Context())
		require.ErrorContains(t, err, `there is no key "severity"`)
		require.ErrorContains(t, err, "s3://"+store+"/"+spec.AuditPolicyKey)
	})
	t.Run("no bucket", func(t *testing.T) {
		f := s.function()
		f.Getenv = func(string) string { return "" }
		_, err := f.Handle(t.Context())
		require.ErrorContains(t, err, spec.EnvAuditBucket)
	})
}

// TestSecurityHub: findings are imported, and archived when they are gone.
func TestSecurityHub(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	hub := securityhub.NewFromConfig(s.cloud.Config(region))
	s.must(hub.EnableSecurityHub(t.Context(), &securityhub.EnableSecurityHubInput{EnableDefaultStandards: aws.Bool(false)}))
	s.must(s.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("loose"), SecretString: aws.String("canary")}))
	audit := func(fails string) {
		t.Helper()
		f := s.function()
		f.Getenv = func(name string) string {
			return map[string]string{spec.EnvAuditBucket: store, spec.EnvAuditSecurityHub: "true"}[name]
		}
		_, err := f.Handle(t.Context())
		if fails == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, fails)
		}
	}
	about := func() map[string]string { return s.hubFindings(hub, ":secret:loose-") }
	audit("")
	require.Equal(t, map[string]string{
		"tags-missing": "ACTIVE FAILED", "name-outside-scheme": "ACTIVE FAILED", "unmanaged": "ACTIVE FAILED", "key-default": "ACTIVE FAILED",
	}, about())
	s.must(s.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("loose"), ForceDeleteWithoutRecovery: aws.Bool(true)}))
	require.NoError(t, s.cloud.Settle(t.Context()))
	_, err := s.cloud.Faults.Add(faults.Fault{Service: "securityhub", Operation: "BatchImportFindings", Kind: faults.Error, Status: 400, Code: "InvalidAccessException"})
	require.NoError(t, err)
	audit("InvalidAccessException")
	s.cloud.Faults.Clear()
	audit("") // what the run before resolved isn't lost
	require.Equal(t, map[string]string{
		"tags-missing": "ARCHIVED PASSED", "name-outside-scheme": "ARCHIVED PASSED", "unmanaged": "ARCHIVED PASSED", "key-default": "ARCHIVED PASSED",
	}, about())
}

// hubFindings returns record states and statuses of the findings in Security Hub
// about a resource, a part of its ARN, by rule.
func (s *stack) hubFindings(hub *securityhub.Client, resource string) map[string]string {
	s.Helper()
	states := map[string]string{}
	pages := securityhub.NewGetFindingsPaginator(hub, &securityhub.GetFindingsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(s.Context())
		require.NoError(s, err)
		for _, f := range page.Findings {
			assert.NotContains(s, *f.Description, "canary")
			if strings.Contains(*f.Resources[0].Id, resource) {
				states[strings.TrimPrefix(*f.GeneratorId, "secrets-auditor/")] = string(f.RecordState) + " " + string(f.Compliance.Status)
			}
		}
	}
	return states
}
