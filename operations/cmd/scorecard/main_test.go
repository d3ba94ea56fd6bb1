package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/operations/recovery"
	"github.com/aistudio/secrets/operations/scorecard"
	"github.com/aistudio/secrets/sdk/spec"
)

const canary = "canary-SC-cli-9911"

func TestScorecard(t *testing.T) {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": cloud.URL(), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "", "AWS_REGION": "eu-west-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, spec.EnvAuditBucket: "",
	} {
		t.Setenv(name, value)
	}
	stack, err := filepath.Abs(filepath.Join("..", "..", "..", "Pulumi.dev.yaml"))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	run := func(args ...string) (code int, stdout, stderr string) {
		var out, err bytes.Buffer
		code = execute(t.Context(), &out, &err, append([]string{"--stack", stack}, args...))
		require.NotContains(t, out.String()+err.String(), canary)
		return code, out.String(), err.String()
	}

	code, stdout, stderr := run()
	require.Equal(t, exitMissed, code, "no trail")
	assert.Contains(t, stdout, "dev (on the local cloud, an emulator of AWS): 0 of 7 success metrics are met, 1 missed, 6 unknown.")
	assert.Contains(t, stderr, "missed: 1")
	for _, name := range []string{"scorecard.html", "scorecard.md", spec.ScorecardJSON} {
		assert.FileExists(t, filepath.Join("dist", "scorecard", "dev", name))
	}

	// The evidence of others, in files.
	ctx := t.Context()
	_, err = secretsmanager.NewFromConfig(cloud.Config("us-east-1")).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("aistudio/dev/orders/database"), SecretString: aws.String(canary)})
	require.NoError(t, err)
	now := time.Now().UTC()
	write := func(name string, v any) string {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(name, text, 0o600))
		return name
	}
	audit := write("report.json", map[string]any{
		"$schema": "https://github.com/aistudio/secrets/auditor/report/schema.json", "environment": "dev", "time": now, "complete": true,
		"summary": map[string]any{"secrets": 1, "rotationCompliance": 100, "coverage": 100},
	})
	scan := write("scan.json", spec.Scan{Version: 1, Started: now, Finished: now, Regions: []string{"us-east-1"}, Findings: []spec.ScanFinding{}, Unread: []spec.ScanUnread{}})
	drill := write("recovery.json", recovery.Report{Version: 1, Environment: "dev", Started: now, Finished: now, LocalCloud: true, Passed: true, Recovered: &recovery.Recovery{Seconds: 9, TargetSecs: 300, Promoted: 1}})
	code2 := write("code.sarif", map[string]any{"runs": []any{map[string]any{"tool": map[string]any{"driver": map[string]any{"name": "gitleaks"}}, "results": []any{}}}})
	trails := cloudtrail.NewFromConfig(cloud.Config("us-east-1"))
	objects := s3.NewFromConfig(cloud.Config("us-east-1"), func(o *s3.Options) { o.UsePathStyle = true })
	_, err = objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("logs")})
	require.NoError(t, err)
	_, err = objects.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["s3:GetBucketAcl","s3:PutObject"],"Resource":["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]}]}`)})
	require.NoError(t, err)
	_, err = trails.CreateTrail(ctx, &cloudtrail.CreateTrailInput{Name: aws.String("main"), S3BucketName: aws.String("logs")})
	require.NoError(t, err)
	_, err = trails.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: aws.String("main")})
	require.NoError(t, err)

	code, stdout, stderr = run("--audit", audit, "--scan", scan, "--drill", drill, "--code", code2)
	require.Equal(t, exitMet, code, stdout+stderr)
	code, stdout, _ = run("--audit", audit, "--scan", scan, "--drill", drill, "--json", "--no-keep")
	require.Equal(t, exitUnknown, code, "nobody scanned the code")
	var card scorecard.Scorecard
	require.NoError(t, json.Unmarshal([]byte(stdout), &card))
	assert.Equal(t, map[scorecard.Status]int{scorecard.Met: 6, scorecard.Unknown: 1}, card.Counts)
	assert.NotEmpty(t, card.Metrics[6].Trend)

	// And from the bucket, which keeps the scorecards, too.
	code, _, _ = run("--bucket", "logs", "--code", code2)
	require.Equal(t, exitUnknown, code)
	code, stdout, _ = run("--bucket", "logs", "--code", code2)
	require.Equal(t, exitUnknown, code)
	assert.Contains(t, stdout, "as on "+now.Format("2006"))

	for name, args := range map[string][]string{
		"no such file": {"--audit", "nowhere.json"}, "no audit's report": {"--audit", scan}, "no such bucket": {"--bucket", "nowhere"}, "no such flag": {"--colour"},
	} {
		code, _, stderr := run(args...)
		assert.Equal(t, exitUnknown, code, name)
		assert.NotEmpty(t, stderr, name)
	}
}
