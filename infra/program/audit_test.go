package program_test

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/xray"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	auditor     = "aistudio-dev-audit" // the function, its role and its schedule
	auditBucket = "aistudio-dev-audit-" + accountID
	loose       = "aistudio/dev/platform/postgres-admin" // a secret without a policy of its own
)

// The audit of the dev stack by the real function, as its schedule invokes it:
// its reports, alerts and alarms, and what its role may do.
func TestAudit(t *testing.T) {
	// The function's clock is the real one: the emulator's shows the hour in which
	// that is when the audit begins.
	at := time.Now().UTC().Truncate(time.Hour)
	w := newWorld(t, []string{"orders"}, []string{loose}, localcloud.WithStart(at.Add(-10*time.Minute)))
	w.auditAt = at
	w.deploy(t, "dev", w.cloud.Config(region))
	require.NoError(t, w.cloud.Advance(t.Context(), 5*time.Minute))
	assert.NotEqual(t, "ALARM", w.alarm(t, "aistudio-dev-audit-missing"), "none was due yet")
	w.receive(t, "on-call")

	require.NoError(t, w.cloud.Advance(t.Context(), 55*time.Minute))
	assert.Empty(t, w.cloud.Unsupported())
	t.Run("reports", w.checkAuditReports)
	t.Run("alarms", w.checkAuditAlarms)
	t.Run("no value", w.checkAuditReadsNoValue)
	t.Run("every statement is needed", w.checkAuditStatements)
}

func (w *world) alarm(t *testing.T, name string) string {
	t.Helper()
	found, err := cloudwatch.NewFromConfig(w.cloud.Config(region)).DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{name}})
	require.NoError(t, err)
	require.Len(t, found.MetricAlarms, 1)
	return string(found.MetricAlarms[0].StateValue)
}

func (w *world) object(t *testing.T, key string) string {
	t.Helper()
	out, err := s3.NewFromConfig(w.cloud.Config(region)).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(auditBucket), Key: &key})
	require.NoError(t, err, key)
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	require.NoError(t, err)
	return string(text)
}

// checkAuditReports reads what the scheduled run has left.
func (w *world) checkAuditReports(t *testing.T) {
	client := s3.NewFromConfig(w.cloud.Config(region))
	listed, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(auditBucket), Prefix: aws.String(spec.AuditReports + "dev/")})
	require.NoError(t, err)
	var report string
	for _, object := range listed.Contents {
		if strings.HasSuffix(*object.Key, "/report.json") {
			report = w.object(t, *object.Key)
		}
	}
	require.NotEmpty(t, report, "the schedule made no report")
	w.requireNoValues(t, report)
	var content struct {
		Complete bool
		Summary  struct {
			Secrets  int
			Findings map[string]int
		}
	}
	require.NoError(t, json.Unmarshal([]byte(report), &content))
	assert.True(t, content.Complete)
	assert.Equal(t, 5, content.Summary.Secrets)
	assert.Zero(t, content.Summary.Findings["critical"]+content.Summary.Findings["high"], "what the stack makes keeps what the auditor demands")
	assert.Empty(t, w.receive(t, auditor+"-failures"))

	// What the stack declares is what there is.
	var catalogue spec.AuditCatalogue
	require.NoError(t, json.Unmarshal([]byte(w.object(t, spec.AuditCatalogueKey)), &catalogue))
	assert.Equal(t, []string{region}, catalogue.Regions)
	assert.Equal(t, []string{*describe(t, w.cloud.Config(region), loose).ARN}, catalogue.Known)
	secrets := map[string]spec.AuditSecret{}
	for _, secret := range catalogue.Secrets {
		secrets[secret.Name] = secret
	}
	assert.Equal(t, spec.AuditSecret{
		Name: "aistudio/dev/orders/database", Kind: spec.KindDatabase, Owner: "team-orders", DataClassification: "confidential",
		Readers:          []string{"arn:aws:iam::" + accountID + ":role/aistudio-dev-orders-reader"},
		Rotator:          "arn:aws:iam::" + accountID + ":role/aistudio-dev-rotate-database",
		Schedule:         "rate(29 days)",
		RotationFunction: "arn:aws:lambda:us-east-1:" + accountID + ":function:aistudio-dev-rotate-database",
	}, secrets["aistudio/dev/orders/database"])
	assert.Equal(t, "it awaits its first value", secrets["aistudio/dev/studio/google-oauth"].RotationDisabled)

	block, err := client.GetPublicAccessBlock(t.Context(), &s3.GetPublicAccessBlockInput{Bucket: aws.String(auditBucket)})
	require.NoError(t, err)
	assert.True(t, *block.PublicAccessBlockConfiguration.RestrictPublicBuckets && *block.PublicAccessBlockConfiguration.BlockPublicPolicy)
	versioning, err := client.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: aws.String(auditBucket)})
	require.NoError(t, err)
	assert.EqualValues(t, "Enabled", versioning.Status)
}

// checkAuditAlarms has the auditor find something critical, fail, and stay away.
func (w *world) checkAuditAlarms(t *testing.T) {
	told := func(what string) bool {
		return slices.ContainsFunc(w.receive(t, "on-call"), func(message string) bool { return strings.Contains(message, what) })
	}
	assert.Equal(t, "OK", w.alarm(t, "aistudio-dev-audit-missing"))
	assert.Equal(t, "OK", w.alarm(t, "aistudio-dev-audit-errors"))
	assert.Equal(t, "OK", w.alarm(t, "aistudio-dev-audit-critical"))

	trails := cloudtrail.NewFromConfig(w.cloud.Config(region))
	_, err := trails.StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: aws.String("aistudio-dev-trail")})
	require.NoError(t, err)
	w.receive(t, "on-call")
	run := w.audit(t)
	require.Empty(t, run.failed)
	require.Equal(t, 1, run.Findings["critical"])
	require.NoError(t, w.cloud.Advance(t.Context(), 10*time.Minute))
	assert.Equal(t, "ALARM", w.alarm(t, "aistudio-dev-audit-critical"))
	assert.True(t, told("aistudio-dev-audit-critical"))
	_, err = trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("aistudio-dev-trail")})
	require.NoError(t, err)

	r := rotator{world: w, role: auditor}
	whole := w.auditorPolicy()
	r.put(t, without(t, whole, "ReadConfiguration"))
	require.NotEmpty(t, w.audit(t).failed)
	require.NoError(t, w.cloud.Advance(t.Context(), 10*time.Minute))
	assert.True(t, told("aistudio-dev-audit-errors"))
	// The next run fails too. Something happens every hour in an account.
	hours := func(n int) {
		for range n {
			require.NoError(t, w.cloud.Advance(t.Context(), time.Hour))
			w.keyARN(t, w.cloud.Config(region))
		}
	}
	hours(24)
	assert.Equal(t, "OK", w.alarm(t, "aistudio-dev-audit-missing"))
	hours(4)
	assert.Equal(t, "ALARM", w.alarm(t, "aistudio-dev-audit-missing"))
	assert.True(t, told("aistudio-dev-audit-missing"))
	assert.NotEmpty(t, w.receive(t, auditor+"-failures"), "the invocation is kept")
	r.put(t, whole)
}

func (w *world) auditorPolicy() string {
	return w.record.named("aws:iam/rolePolicy:RolePolicy")["audit"].Inputs["policy"].StringValue()
}

// without returns a policy without some of its statements.
func without(t *testing.T, document string, sids ...string) string {
	t.Helper()
	var parsed struct{ Statement []policy.Statement }
	require.NoError(t, json.Unmarshal([]byte(document), &parsed))
	kept := policy.Document(slices.DeleteFunc(parsed.Statement, func(s policy.Statement) bool { return slices.Contains(sids, s.Sid) }))
	text, err := kept.JSON()
	require.NoError(t, err)
	return text
}

// audited is what a run of the auditor leaves behind.
type audited struct {
	Unknown  int
	Report   string         // its key
	Findings map[string]int // by severity

	failed         string // the function's error
	logged, traced int
}

// audit invokes the auditor.
func (w *world) audit(t *testing.T) audited {
	t.Helper()
	config := w.cloud.Config(region)
	out, err := lambda.NewFromConfig(config).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(auditor), Payload: []byte(`{}`)})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Settle(t.Context()))
	var run audited
	if out.FunctionError != nil {
		run.failed = string(out.Payload)
	} else {
		require.NoError(t, json.Unmarshal(out.Payload, &run))
	}
	logged, err := cloudwatchlogs.NewFromConfig(config).FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/" + auditor)})
	require.NoError(t, err)
	now := w.cloud.Clock().Now()
	traced, err := xray.NewFromConfig(config).GetTraceSummaries(t.Context(), &xray.GetTraceSummariesInput{StartTime: aws.Time(now.Add(-365 * 24 * time.Hour)), EndTime: &now})
	require.NoError(t, err)
	run.logged, run.traced = len(logged.Events), len(traced.TraceSummaries)
	return run
}

// checkAuditReadsNoValue gives the auditor's role everything: it still can't read
// a value, because of the statement that denies it.
func (w *world) checkAuditReadsNoValue(t *testing.T) {
	client, name := iam.NewFromConfig(w.cloud.Config(region)), aws.String("all")
	_, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String(auditor), PolicyName: name, PolicyDocument: aws.String(allowAll)})
	require.NoError(t, err)
	config := w.session(t, auditor)
	_, err = read(t, config, loose)
	requireDenied(t, err)
	_, err = secretsmanager.NewFromConfig(config).BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{loose}})
	requireDenied(t, err)

	r := rotator{world: w, role: auditor}
	r.put(t, without(t, w.auditorPolicy(), "NeverAValue"))
	_, err = read(t, config, loose)
	require.NoError(t, err, "something else denies it: the test shows nothing")
	r.put(t, w.auditorPolicy())
	_, err = client.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String(auditor), PolicyName: name})
	require.NoError(t, err)
}

// checkAuditStatements takes away one statement of the auditor's role after the
// other: something fails or is unknown, and isn't when it is back.
func (w *world) checkAuditStatements(t *testing.T) {
	scan, err := json.Marshal(spec.Scan{
		Version: spec.ScanVersion, Started: time.Now(), Finished: time.Now(), Regions: []string{region}, Findings: []spec.ScanFinding{}, Unread: []spec.ScanUnread{},
	})
	require.NoError(t, err)
	objects, key := s3.NewFromConfig(w.cloud.Config(region)), aws.String(spec.ScanKey)
	putScan := func() {
		_, err := objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(auditBucket), Key: key, Body: strings.NewReader(string(scan))})
		require.NoError(t, err)
	}
	putScan()
	// news makes something that has to be told.
	news := func() {
		_, err := secretsmanager.NewFromConfig(w.cloud.Config(region)).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("stray-" + time.Now().Format("150405.000000000"))})
		require.NoError(t, err)
	}
	r, whole := rotator{world: w, role: auditor}, w.auditorPolicy()
	news()
	baseline := w.audit(t)
	require.Empty(t, baseline.failed)
	require.Zero(t, baseline.Unknown, "the role is enough to know all: %s", baseline.Report)

	var document struct{ Statement []policy.Statement }
	require.NoError(t, json.Unmarshal([]byte(whole), &document))
	var found []string
	for _, removed := range document.Statement {
		found = append(found, removed.Sid)
		t.Run(removed.Sid, func(t *testing.T) {
			before := w.audit(t)
			require.Empty(t, before.failed)
			r.put(t, without(t, whole, removed.Sid))
			defer r.put(t, whole)
			news()
			switch removed.Sid {
			case "NeverAValue": // see checkAuditReadsNoValue
				assert.Empty(t, w.audit(t).failed)
			case "Look":
				_, err := objects.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(auditBucket), Key: key})
				require.NoError(t, err)
				run := w.audit(t)
				require.Empty(t, run.failed)
				assert.Contains(t, w.object(t, run.Report), "can&#39;t be read", "of a scan that isn't there it can't say so")
				putScan()
			case "ReadScan":
				run := w.audit(t)
				assert.Empty(t, run.failed)
				assert.Positive(t, run.Unknown)
			case "Log":
				assert.Equal(t, before.logged, w.audit(t).logged)
			case "Trace":
				assert.Equal(t, before.traced, w.audit(t).traced)
			case "KeepFailures":
				w.receive(t, auditor+"-failures")
				r.put(t, without(t, whole, removed.Sid, "ReadConfiguration"))
				w.auditLater(t)
				assert.Empty(t, w.receive(t, auditor+"-failures"), "the invocation is kept without the statement")
				r.put(t, without(t, whole, "ReadConfiguration"))
				w.auditLater(t)
				assert.NotEmpty(t, w.receive(t, auditor+"-failures"))
			default:
				assert.NotEmpty(t, w.audit(t).failed, "it needs no statement %s", removed.Sid)
			}
			r.put(t, whole)
			after := w.audit(t)
			assert.Empty(t, after.failed)
			assert.Zero(t, after.Unknown)
		})
	}
	assert.Equal(t, []string{"Audit", "NeverAValue", "Look", "ReadConfiguration", "ReadScan", "Remember", "Report", "Alert", "EncryptAlerts", "Log", "Trace", "KeepFailures"}, found)
}

// auditLater invokes the auditor as its schedule does, and waits until Lambda has
// given up.
func (w *world) auditLater(t *testing.T) {
	t.Helper()
	_, err := lambda.NewFromConfig(w.cloud.Config(region)).Invoke(t.Context(), &lambda.InvokeInput{
		FunctionName: aws.String(auditor), Payload: []byte(`{}`), InvocationType: lambdatypes.InvocationTypeEvent,
	})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Advance(t.Context(), time.Hour))
}
