package scorecard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cttypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/xray"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/operations/recovery"
	"github.com/aistudio/secrets/operations/scorecard"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region = "us-east-1"
	bucket = "acme-prod-audit"
	canary = "canary-SC-41b9"
)

// world is an account in which all is as ADR-006 wants it.
type world struct {
	t     *testing.T
	cloud *localcloud.Cloud
	now   time.Time
	scan  spec.Scan
	audit map[string]any
	drill recovery.Report
	code  scorecard.Found[scorecard.Code]
	stack catalogue.Stack
	more  func(*scorecard.Options)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	w := &world{t: t, cloud: cloud, now: cloud.Clock().Now(), more: func(*scorecard.Options) {}}
	w.stack = catalogue.Stack{Region: region, Settings: catalogue.Settings{Organization: "acme", Environment: "prod", ReplicaRegion: "us-west-2"}}
	for i := range 4 {
		_, err := secretsmanager.NewFromConfig(cloud.Config(region)).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: aws.String(fmt.Sprintf("acme/prod/shop/key-%d", i)), SecretString: aws.String(canary),
		})
		require.NoError(t, err)
	}
	// Another stack's.
	_, err = secretsmanager.NewFromConfig(cloud.Config(region)).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("acme/production/shop/key"), SecretString: aws.String(canary)})
	require.NoError(t, err)
	_, err = w.objects().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	require.NoError(t, err)
	w.makeTrail()

	w.code = scorecard.Found[scorecard.Code]{From: "code.sarif", Value: scorecard.Code{Time: w.now.Add(-time.Hour), Tool: "gitleaks"}}
	w.scan = spec.Scan{Version: spec.ScanVersion, Started: w.now.Add(-2 * time.Hour), Finished: w.now.Add(-time.Hour), Account: cloud.Account(), Regions: []string{region}, Findings: []spec.ScanFinding{}, Unread: []spec.ScanUnread{}}
	w.audit = map[string]any{
		"$schema": "https://github.com/aistudio/secrets/auditor/report/schema.json", "run": "x", "environment": "prod", "time": w.now.Add(-time.Hour), "complete": true,
		"summary": map[string]any{"secrets": 5, "rotationCompliance": 100.0, "coverage": 100.0},
	}
	w.drill = recovery.Report{
		Version: recovery.ReportVersion, Environment: "prod", Started: w.now.Add(-time.Hour), Finished: w.now.Add(-time.Hour), LocalCloud: true, Passed: true,
		Recovered: &recovery.Recovery{Seconds: 17.2, TargetSecs: 300, Promoted: 5},
	}
	return w
}

func (w *world) objects() *s3.Client {
	return s3.NewFromConfig(w.cloud.Config(region), func(o *s3.Options) { o.UsePathStyle = true })
}

func (w *world) trails() *cloudtrail.Client { return cloudtrail.NewFromConfig(w.cloud.Config(region)) }

func (w *world) makeTrail() {
	_, err := w.objects().PutBucketPolicy(w.t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(bucket), Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::` + bucket + `"},
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::` + bucket + `/*"}]}`)})
	require.NoError(w.t, err)
	_, err = w.trails().CreateTrail(w.t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("main"), S3BucketName: aws.String(bucket), IsMultiRegionTrail: aws.Bool(true)})
	require.NoError(w.t, err)
	_, err = w.trails().StartLogging(w.t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("main")})
	require.NoError(w.t, err)
}

func (w *world) put(key string, v any) {
	text, err := json.Marshal(v)
	require.NoError(w.t, err)
	_, err = w.objects().PutObject(w.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(text)})
	require.NoError(w.t, err)
}

func (w *world) store() scorecard.Bucket {
	return scorecard.Bucket{Name: bucket, Environment: "prod", Objects: w.objects()}
}

func (w *world) measure() *scorecard.Scorecard {
	w.t.Helper()
	if w.scan.Version != 0 {
		w.put(spec.ScanKey, w.scan)
	}
	if w.audit != nil {
		w.put(spec.AuditReports+"prod/2026-11-28T050000Z/report.json", w.audit)
	}
	if w.drill.Version != 0 {
		w.put(w.drill.Key(spec.RecoveryJSON), w.drill)
	}
	o := scorecard.Options{Stack: w.stack, AWS: w.cloud.Config(""), LocalCloud: true, Evidence: w.store().Evidence(w.t.Context()), Now: w.now}
	o.Evidence.Code = w.code
	var err error
	o.History, err = w.store().History(w.t.Context())
	require.NoError(w.t, err)
	w.more(&o)
	card, err := scorecard.Measure(w.t.Context(), o)
	require.NoError(w.t, err)
	var all bytes.Buffer
	for _, write := range []func() error{func() error { return card.WriteText(&all) }, func() error { return card.WriteMarkdown(&all) }, func() error { return card.WriteHTML(&all) }, func() error { return card.WriteJSON(&all) }} {
		require.NoError(w.t, write())
	}
	require.NotContains(w.t, all.String(), canary)
	return card
}

func metric(t *testing.T, card *scorecard.Scorecard, id string) scorecard.Metric {
	t.Helper()
	for _, m := range card.Metrics {
		if m.ID == id {
			return m
		}
	}
	require.Fail(t, "no metric "+id)
	return scorecard.Metric{}
}

func TestAllIsMet(t *testing.T) {
	w := newWorld(t)
	card := w.measure()
	for _, m := range card.Metrics {
		assert.Equal(t, scorecard.Met, m.Status, "%s: %s", m.Name, m.Reason)
		assert.NotEmpty(t, m.Source, m.Name)
		assert.NotEmpty(t, m.Target, m.Name)
		assert.NotNil(t, m.Measured, m.Name)
	}
	require.Len(t, card.Metrics, 7)
	assert.Contains(t, metric(t, card, "secrets-in-secrets-manager").Detail, "4 managed, 0 without a value, 0 in plaintext")
	assert.Contains(t, metric(t, card, "average-rotation-age").Detail, "4 secrets with a value of 4")
	assert.Contains(t, metric(t, card, "retrieval-latency").Source, "reads made just now")
	assert.Empty(t, w.cloud.Unsupported())
}

// Whatever is missing, too old or unreadable, the metric is unknown or missed,
// and never met.
func TestWhatIsNotMet(t *testing.T) {
	old := func(w *world, d time.Duration) time.Time { return w.now.Add(-d) }
	for name, c := range map[string]struct {
		change func(*world)
		metric string
		want   scorecard.Status
		reason string
	}{
		"no code scan":        {func(w *world) { w.code = scorecard.Found[scorecard.Code]{Missing: "there is none"} }, "hardcoded-secrets", scorecard.Unknown, "there is none"},
		"a hard-coded secret": {func(w *world) { w.code.Value.Findings = 1 }, "hardcoded-secrets", scorecard.Missed, "rotate them"},
		"an unread place":     {func(w *world) { w.code.Value.Unread = 2 }, "hardcoded-secrets", scorecard.Unknown, "2 places couldn't be scanned"},
		"an old code scan":    {func(w *world) { w.code.Value.Time = old(w, 9*24*time.Hour) }, "hardcoded-secrets", scorecard.Unknown, "9 days old"},
		"no scan":             {func(w *world) { w.scan = spec.Scan{} }, "secrets-in-secrets-manager", scorecard.Unknown, "isn't in the bucket"},
		"a plaintext secret": {func(w *world) {
			w.scan.Findings = []spec.ScanFinding{{Place: spec.ScanLambda, ARN: "arn", Confidence: spec.ScanLikely}}
		}, "secrets-in-secrets-manager", scorecard.Missed, "1 secrets are in plaintext"},
		"a doubtful secret": {func(w *world) {
			w.scan.Findings = []spec.ScanFinding{{Place: spec.ScanLambda, ARN: "arn", Confidence: spec.ScanPossible}}
		}, "secrets-in-secrets-manager", scorecard.Unknown, "somebody to look"},
		"a secret without a value": {func(w *world) { w.await() }, "secrets-in-secrets-manager", scorecard.Missed, "1 secrets have no value yet"},
		"an unread function":       {func(w *world) { w.scan.Unread = []spec.ScanUnread{{Place: spec.ScanLambda}} }, "secrets-in-secrets-manager", scorecard.Unknown, "couldn't be read"},
		"an old scan":              {func(w *world) { w.scan.Started, w.scan.Finished = old(w, 10*24*time.Hour), old(w, 9*24*time.Hour) }, "secrets-in-secrets-manager", scorecard.Unknown, "9 days old"},
		"a region left out":        {func(w *world) { w.scan.Regions = []string{"us-west-2"} }, "secrets-in-secrets-manager", scorecard.Unknown, "left out us-east-1"},
		"no list":                  {func(w *world) { w.fails("secretsmanager", "ListSecrets") }, "secrets-in-secrets-manager", scorecard.Unknown, "can't be listed: AccessDeniedException"},
		"no audit":                 {func(w *world) { w.audit = nil }, "rotation-compliance", scorecard.Unknown, "it has no value of the last two days"},
		"not compliant": {func(w *world) {
			w.audit["summary"] = map[string]any{"secrets": 5, "rotationCompliance": 80, "coverage": 100}
		}, "rotation-compliance", scorecard.Missed, "rules rotation-*"},
		"an old audit":        {func(w *world) { w.audit["time"] = old(w, 3*24*time.Hour) }, "rotation-compliance", scorecard.Unknown, "3 days old"},
		"an incomplete audit": {func(w *world) { w.audit["complete"] = false }, "rotation-compliance", scorecard.Unknown, "couldn't list"},
		"an audit of nothing": {func(w *world) {
			w.audit["summary"] = map[string]any{"secrets": 0, "rotationCompliance": 100, "coverage": 100}
		}, "rotation-compliance", scorecard.Unknown, "there are no secrets"},
		"old secrets":      {func(w *world) { w.now = w.now.Add(91 * 24 * time.Hour) }, "average-rotation-age", scorecard.Missed, "rotate"},
		"no versions":      {func(w *world) { w.fails("secretsmanager", "ListSecretVersionIds") }, "average-rotation-age", scorecard.Unknown, "4 secrets can't be read: AccessDeniedException"},
		"slow reads":       {func(w *world) { w.trace(0.2) }, "retrieval-latency", scorecard.Missed, "slow ones"},
		"no reads allowed": {func(w *world) { w.more = func(o *scorecard.Options) { o.NoReads = true } }, "retrieval-latency", scorecard.Unknown, "no secret was read"},
		"reads denied":     {func(w *world) { w.fails("secretsmanager", "GetSecretValue") }, "retrieval-latency", scorecard.Unknown, "AccessDeniedException"},
		"one read denied": {func(w *world) {
			w.failsOnce("secretsmanager", "GetSecretValue")
		}, "retrieval-latency", scorecard.Unknown, "1 of the secrets couldn't be read to measure it: AccessDeniedException"},
		"fetches that fail": {func(w *world) {
			for i := range 50 {
				w.trace(0.010 + float64(i)/10000)
			}
			w.trace(0.001, "fault")
		}, "retrieval-latency", scorecard.Missed, "1 of 51 fetches failed"},
		"fetches that all fail":  {func(w *world) { w.trace(0.001, "error") }, "retrieval-latency", scorecard.Unknown, "all fetches failed"},
		"trail off":              {func(w *world) { w.stop() }, "audit-coverage", scorecard.Missed, "no trail logs the management events of us-east-1, us-west-2"},
		"trail of writes":        {func(w *world) { w.selectors(cttypes.ReadWriteTypeWriteOnly) }, "audit-coverage", scorecard.Missed, "no trail logs"},
		"trail without a bucket": {func(w *world) { w.lockBucket() }, "audit-coverage", scorecard.Missed, "the trail main can't write to its bucket: AccessDenied"},
		"another stack's audit":  {func(w *world) { w.audit["environment"] = "dev" }, "audit-coverage", scorecard.Unknown, "the audit was of dev"},
		"another's compliance":   {func(w *world) { w.audit["environment"] = "dev" }, "rotation-compliance", scorecard.Unknown, "the audit was of dev"},
		"trails unread":          {func(w *world) { w.fails("cloudtrail", "GetTrailStatus") }, "audit-coverage", scorecard.Unknown, "can't be read: AccessDeniedException"},
		"audit saw not all": {func(w *world) {
			w.audit["summary"] = map[string]any{"secrets": 5, "rotationCompliance": 100, "coverage": 97.5}
		}, "audit-coverage", scorecard.Missed, "couldn't make all checks"},
		"trail on, no audit":   {func(w *world) { w.audit = nil }, "audit-coverage", scorecard.Unknown, "isn't known"},
		"no drill":             {func(w *world) { w.drill = recovery.Report{} }, "dr-recovery-time", scorecard.Unknown, "isn't in the bucket"},
		"a slow drill":         {func(w *world) { w.drill.Recovered.Seconds = 301 }, "dr-recovery-time", scorecard.Missed, "too long"},
		"a lossy drill":        {func(w *world) { w.drill.Recovered.LostInFailback = 1 }, "dr-recovery-time", scorecard.Missed, "versions were lost"},
		"a failed drill":       {func(w *world) { w.drill.Passed = false }, "dr-recovery-time", scorecard.Missed, "the drill failed"},
		"a drill of reads":     {func(w *world) { w.drill.Recovered = nil }, "dr-recovery-time", scorecard.Unknown, "--for-real"},
		"a resumed drill":      {func(w *world) { w.drill.Resumed = true }, "dr-recovery-time", scorecard.Unknown, "went on"},
		"a drill of nothing":   {func(w *world) { w.drill.Recovered.Promoted = 0 }, "dr-recovery-time", scorecard.Unknown, "promoted no secret"},
		"last year's drill":    {func(w *world) { w.drill.Finished = old(w, 367*24*time.Hour) }, "dr-recovery-time", scorecard.Unknown, "367 days old"},
		"an emulator's drill":  {func(w *world) { w.more = func(o *scorecard.Options) { o.LocalCloud = false } }, "dr-recovery-time", scorecard.Unknown, "local cloud"},
		"another stack's":      {func(w *world) { w.more = func(o *scorecard.Options) { o.Evidence.Drill.Value.Environment = "dev" } }, "dr-recovery-time", scorecard.Unknown, "the drill was of dev"},
		"a broken scan's file": {func(w *world) { w.scan.Finished = time.Time{} }, "secrets-in-secrets-manager", scorecard.Unknown, "finished is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			m := metric(t, w.measure(), c.metric)
			assert.Equal(t, c.want, m.Status)
			assert.Contains(t, m.Reason, c.reason)
		})
	}
}

// await declares a secret that has no value yet.
func (w *world) await() {
	_, err := secretsmanager.NewFromConfig(w.cloud.Config(region)).CreateSecret(w.t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("acme/prod/shop/awaited")})
	require.NoError(w.t, err)
}

func (w *world) fails(service, operation string) { w.fail(service, operation, 0) }

func (w *world) failsOnce(service, operation string) { w.fail(service, operation, 1) }

func (w *world) fail(service, operation string, times int) {
	_, err := w.cloud.Faults.Add(faults.Fault{Kind: faults.Error, Service: service, Operation: operation, Times: times, Status: 400, Code: "AccessDeniedException", Message: canary})
	require.NoError(w.t, err)
}

// lockBucket keeps the trail from delivering what happens next.
func (w *world) lockBucket() {
	_, err := w.objects().DeleteBucketPolicy(w.t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String(bucket)})
	require.NoError(w.t, err)
	_, err = w.trails().DescribeTrails(w.t.Context(), &cloudtrail.DescribeTrailsInput{})
	require.NoError(w.t, err)
	require.NoError(w.t, w.cloud.Advance(w.t.Context(), time.Hour))
}

func (w *world) stop() {
	_, err := w.trails().StopLogging(w.t.Context(), &cloudtrail.StopLoggingInput{Name: aws.String("main")})
	require.NoError(w.t, err)
}

func (w *world) selectors(kind cttypes.ReadWriteType) {
	_, err := w.trails().PutEventSelectors(w.t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("main"), EventSelectors: []cttypes.EventSelector{{IncludeManagementEvents: aws.Bool(true), ReadWriteType: kind}}})
	require.NoError(w.t, err)
}

// trace records that a service fetched a secret in so many seconds, or failed in one
// of X-Ray's ways.
func (w *world) trace(seconds float64, failed ...string) {
	start := float64(w.now.Add(-time.Hour).Unix())
	fetch := map[string]any{"id": "3", "name": "fetch secret", "start_time": start, "end_time": start + seconds, "subsegments": []any{
		map[string]any{"id": "4", "name": "Secrets Manager", "start_time": start, "end_time": start + seconds/2, "aws": map[string]any{"operation": "GetSecretValue"}},
	}}
	for _, how := range failed {
		fetch[how] = true
	}
	text, err := json.Marshal(map[string]any{
		"id": fmt.Sprintf("%016x", int64(seconds*1e6)+1), "trace_id": fmt.Sprintf("1-%08x-%024x", int64(start), int64(seconds*1e6)+1), "name": "orders",
		"start_time": start, "end_time": start + 2*seconds,
		"subsegments": []any{
			map[string]any{"id": "2", "name": "query", "start_time": start, "end_time": start + 10},
			fetch,
		},
	})
	require.NoError(w.t, err)
	_, err = xray.NewFromConfig(w.cloud.Config(region)).PutTraceSegments(w.t.Context(), &xray.PutTraceSegmentsInput{TraceSegmentDocuments: []string{string(text)}})
	require.NoError(w.t, err)
}

// What has no value yet has no age, and isn't read to measure the latency.
func TestAwaited(t *testing.T) {
	w := newWorld(t)
	w.await()
	card := w.measure()
	assert.Contains(t, metric(t, card, "average-rotation-age").Detail, "4 secrets with a value of 5")
	assert.Equal(t, scorecard.Met, metric(t, card, "retrieval-latency").Status)
}

func TestLatencyOfTraces(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.trace(0.010 + float64(i)/1000)
	}
	m := metric(t, w.measure(), "retrieval-latency")
	assert.Equal(t, scorecard.Met, m.Status)
	assert.InDelta(t, 19, *m.Value, 0.01, "the slowest of ten")
	assert.Contains(t, m.Source, "X-Ray")
	assert.Contains(t, m.Detail, "of 10 fetches")
}

// Where there is no report, the metrics of an audit that was complete and found
// something count.
func TestComplianceOfTheMetric(t *testing.T) {
	for name, c := range map[string]struct {
		compliance, audits, secrets float64
		want                        scorecard.Status
		reason                      string
	}{
		"not compliant": {96, 1, 5, scorecard.Missed, "rules rotation-*"},
		"compliant":     {100, 1, 5, scorecard.Met, ""},
		"incomplete":    {100, 0, 3, scorecard.Unknown, "couldn't list all secrets"},
		"of nothing":    {100, 1, 0, scorecard.Unknown, "there are no secrets"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.audit = nil
			in := &cloudwatch.PutMetricDataInput{Namespace: aws.String(spec.MetricNamespace)}
			for name, value := range map[string]float64{spec.MetricRotationCompliance: c.compliance, spec.MetricAudits: c.audits, spec.MetricSecrets: c.secrets} {
				in.MetricData = append(in.MetricData, cwtypes.MetricDatum{
					MetricName: &name, Value: &value, Timestamp: aws.Time(w.now.Add(-time.Hour)),
					Dimensions: []cwtypes.Dimension{{Name: aws.String(spec.DimensionEnvironment), Value: aws.String("prod")}},
				})
			}
			_, err := cloudwatch.NewFromConfig(w.cloud.Config(region)).PutMetricData(t.Context(), in)
			require.NoError(t, err)
			m := metric(t, w.measure(), "rotation-compliance")
			assert.Equal(t, c.want, m.Status)
			assert.Contains(t, m.Reason, c.reason)
			if c.want != scorecard.Unknown {
				require.NotNil(t, m.Value)
				assert.InDelta(t, c.compliance, *m.Value, 0)
				assert.Contains(t, m.Source, "CloudWatch")
			}
		})
	}
}

// The trend is of the same stack in the same place, and nothing rounds up to all.
func TestTrendOfTheSame(t *testing.T) {
	w := newWorld(t)
	w.audit["summary"] = map[string]any{"secrets": 5000, "rotationCompliance": 99.98, "coverage": 100}
	card := w.measure()
	assert.Equal(t, "99.9 %", metric(t, card, "rotation-compliance").Shown())
	for _, other := range []func(*scorecard.Scorecard){
		func(s *scorecard.Scorecard) { s.LocalCloud = false },
		func(s *scorecard.Scorecard) { s.Environment = "dev" },
	} {
		earlier := *card
		earlier.Time = card.Time.Add(-time.Hour)
		other(&earlier)
		w.more = func(o *scorecard.Options) { o.History = []scorecard.Scorecard{earlier} }
		assert.Empty(t, metric(t, w.measure(), "rotation-compliance").Trend)
	}
}

func TestTrend(t *testing.T) {
	w := newWorld(t)
	w.audit["summary"] = map[string]any{"secrets": 5, "rotationCompliance": 80, "coverage": 100}
	require.NoError(t, w.store().Save(t.Context(), w.measure()))
	w.now = w.now.Add(time.Hour)
	w.audit["summary"] = map[string]any{"secrets": 5, "rotationCompliance": 90, "coverage": 100}
	card := w.measure()
	m := metric(t, card, "rotation-compliance")
	require.Len(t, m.Trend, 1)
	assert.InDelta(t, 80, *m.Trend[0].Value, 0)
	assert.Regexp(t, `^\+10\.0 since \d{4}-\d\d-\d\d$`, m.Change())
	var page bytes.Buffer
	require.NoError(t, card.WriteHTML(&page))
	assert.Equal(t, 7, strings.Count(page.String(), "<polyline"))
	assert.NotRegexp(t, `(src|href)=`, page.String(), "it needs nothing else")
	assert.Contains(t, page.String(), "✗ missed", "no colour alone")

	folder := scorecard.Folder(t.TempDir())
	for range 14 {
		card.Time = card.Time.Add(time.Hour)
		require.NoError(t, folder.Save(t.Context(), card))
	}
	history, err := folder.History(context.Background())
	require.NoError(t, err)
	require.Len(t, history, 12)
	assert.Equal(t, card.Time, history[11].Time, "the newest is last")
}

// The drill that counts is the newest that failed over.
func TestNewestDrill(t *testing.T) {
	w := newWorld(t)
	later := w.drill
	later.Started, later.Recovered = w.drill.Started.Add(time.Minute), nil
	w.put(later.Key(spec.RecoveryJSON), later)
	m := metric(t, w.measure(), "dr-recovery-time")
	assert.Equal(t, scorecard.Met, m.Status)
	assert.InDelta(t, 17.2, *m.Value, 0)
}

func TestReadCode(t *testing.T) {
	read := func(text string) (scorecard.Code, error) { return scorecard.ReadCode(strings.NewReader(text)) }
	code, err := read(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"gitleaks"}},"invocations":[{"executionSuccessful":true,"endTimeUtc":"2026-11-28T06:00:00Z"}],"results":[
		{"ruleId":"a"},{"ruleId":"b","kind":"pass"},{"ruleId":"c","baselineState":"absent"},
		{"ruleId":"d","suppressions":[{"kind":"inSource"}]},{"ruleId":"e","suppressions":[{"kind":"external","status":"rejected"}]}]}]}`)
	require.NoError(t, err)
	assert.Equal(t, scorecard.Code{Findings: 2, Time: time.Date(2026, 11, 28, 6, 0, 0, 0, time.UTC), Tool: "gitleaks"}, code)
	code, err = read(`{"runs":[{"tool":{"driver":{"name":"x"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}`)
	require.NoError(t, err)
	assert.Equal(t, 1, code.Unread, "a scan that failed has found nothing")
	code, err = read(`{"files":12,"findings":[{"file":"a.go","line":3}],"unread":[{"file":"b.bin"},{"file":"c.bin"}]}`)
	require.NoError(t, err)
	assert.Equal(t, scorecard.Code{Findings: 1, Unread: 2, Tool: "migrate source"}, code)
	for _, text := range []string{``, `[]`, `{}`, `{"runs":[]}`, `{"runs":[{"tool":{"driver":{"name":"rules alone"}}}]}`, `{"runs":1}`, `{"files":0,"findings":[],"unread":[]}`, `{"files":3,"findings":[]}`} {
		_, err := read(text)
		require.Error(t, err, text)
	}
}

// The audit's own report is read.
func TestReadAudit(t *testing.T) {
	file, err := os.Open(filepath.Join("..", "..", "auditor", "run", "testdata", "golden", "report.json"))
	require.NoError(t, err)
	defer file.Close()
	audit, err := scorecard.ReadAudit(file)
	require.NoError(t, err)
	assert.Positive(t, audit.Summary.Secrets)
	_, err = scorecard.ReadAudit(strings.NewReader(`{}`))
	require.Error(t, err)
}

// What others wrote is text, on every page.
func TestPagesEscape(t *testing.T) {
	w := newWorld(t)
	w.code.Value.Tool, w.code.From = "<script>alert(1)</script> | x", `"><img src=x>`
	card := w.measure()
	var page, markdown bytes.Buffer
	require.NoError(t, card.WriteHTML(&page))
	require.NoError(t, card.WriteMarkdown(&markdown))
	assert.NotContains(t, page.String(), "<script")
	assert.NotContains(t, page.String(), "<img")
	assert.Contains(t, page.String(), "&lt;script&gt;")
	for line := range strings.Lines(markdown.String()) {
		if strings.HasPrefix(line, "|") {
			assert.Equal(t, 7, strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"), line)
		}
	}
}
