package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/remedy"
	"github.com/aistudio/secrets/auditor/report"
	"github.com/aistudio/secrets/auditor/rules"
	runs "github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/sdk/spec"
)

// newCloud starts a local cloud whose account has a good trail, and points the
// command at it.
func newCloud(t *testing.T) *localcloud.Cloud {
	cloud, err := localcloud.New(localcloud.WithStart(time.Now().Add(-time.Hour)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	objects := s3.NewFromConfig(cloud.Config("us-east-1"))
	_, err = objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("logs")})
	require.NoError(t, err)
	_, err = objects.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: aws.String(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": ["s3:GetBucketAcl", "s3:PutObject"], "Resource": ["arn:aws:s3:::logs", "arn:aws:s3:::logs/*"]}]}`)})
	require.NoError(t, err)
	trails := cloudtrail.NewFromConfig(cloud.Config("us-east-1"))
	_, err = trails.CreateTrail(t.Context(), &cloudtrail.CreateTrailInput{
		Name: aws.String("main"), S3BucketName: aws.String("logs"), IsMultiRegionTrail: aws.Bool(true), EnableLogFileValidation: aws.Bool(true),
	})
	require.NoError(t, err)
	_, err = trails.StartLogging(t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("main")})
	require.NoError(t, err)
	for key, value := range map[string]string{
		"AWS_ENDPOINT_URL": cloud.URL(), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, spec.EnvAuditBucket: "",
	} {
		t.Setenv(key, value)
	}
	return cloud
}

// audit runs the command and returns its exit code and what it printed.
func audit(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	restore := map[**os.File]*os.File{&os.Stdout: os.Stdout, &os.Stderr: os.Stderr}
	var files []*os.File
	for _, to := range []**os.File{&os.Stdout, &os.Stderr} {
		file, err := os.CreateTemp(t.TempDir(), "output")
		require.NoError(t, err)
		files = append(files, file)
		*to = file
	}
	code = execute(args)
	for to, file := range restore {
		*to = file
	}
	var texts []string
	for _, file := range files {
		_, err := file.Seek(0, io.SeekStart)
		require.NoError(t, err)
		text, err := io.ReadAll(file)
		require.NoError(t, err)
		texts = append(texts, string(text))
		require.NoError(t, file.Close())
	}
	return code, texts[0], texts[1]
}

func TestExitCodes(t *testing.T) {
	cloud := newCloud(t)
	out := t.TempDir()
	run := func(more ...string) (int, string, string) {
		return audit(t, append([]string{"run", "--out", out, "--quota-share", "1000"}, more...)...)
	}
	code, stdout, stderr := run()
	require.Equal(t, exitClean, code, stderr)
	require.Contains(t, stdout, "0 secrets")

	_, err := secretsmanager.NewFromConfig(cloud.Config("us-east-1")).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("loose"), SecretString: aws.String("canary")})
	require.NoError(t, err)
	code, _, _ = run()
	require.Equal(t, exitClean, code, "its findings are medium and low, the threshold is high")
	code, stdout, stderr = run("--threshold", "medium")
	require.Equal(t, exitFindings, code)
	require.Contains(t, stderr, "findings that are medium or worse: 1")
	require.Contains(t, stdout, filepath.Join(out, "report.html"))
	require.NotContains(t, stdout+stderr, "canary")
	require.FileExists(t, filepath.Join(out, "report.html"))

	code, stdout, _ = run("--json")
	require.Equal(t, exitClean, code)
	var summary runs.Summary
	require.NoError(t, json.Unmarshal([]byte(stdout), &summary), stdout)
	require.Equal(t, 1, summary.Secrets)
	require.Equal(t, 1, summary.Findings[finding.Medium])
	require.True(t, summary.Complete)
	require.Equal(t, filepath.Join(out, "report.html"), summary.Report)
	require.Equal(t, 1, summary.Calls["Secrets Manager:ListSecrets"])

	policy := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(policy, []byte("threshold: low\n"), 0o600))
	code, _, _ = run("--policy", policy)
	require.Equal(t, exitFindings, code, "the policy has a threshold too")

	for name, args := range map[string][]string{
		"no such policy":    {"--policy", "nowhere.yaml"},
		"no such severity":  {"--threshold", "dreadful"},
		"no such catalogue": {"--catalogue", "nowhere.json"},
		"no such flag":      {"--colour"},
		"no such bucket":    {"--bucket", "nowhere"},
	} {
		code, _, stderr := run(args...)
		assert.Equal(t, exitCouldNotTell, code, name)
		assert.NotEmpty(t, stderr, name)
	}
	_, err = cloud.Faults.Add(faults.Fault{Service: "secretsmanager", Operation: "ListSecrets", Region: "us-west-2", Kind: faults.Error, Status: 400, Code: "AccessDeniedException"})
	require.NoError(t, err)
	code, _, stderr = run("--region", "us-east-1,us-west-2")
	require.Equal(t, exitCouldNotTell, code, "an incomplete audit weighs more than a clean one")
	require.Contains(t, stderr, "incomplete")
}

// TestStackFile: the catalogue that follows from a stack's file is, schedules and
// functions left out, the one that its deployment writes (infra/program/audit_test.go
// has the same secrets).
func TestStackFile(t *testing.T) {
	account := place{"aws", "123456789012"}
	read := func(stack string) *spec.AuditCatalogue {
		file, err := readStack(filepath.Join("..", "..", "..", "Pulumi."+stack+".yaml"))
		require.NoError(t, err)
		c, err := file.catalogue(account)
		require.NoError(t, err)
		return c
	}
	for _, stack := range []string{"dev", "staging", "prod"} {
		c := read(stack)
		require.Equal(t, stack, c.Environment)
		require.NotEmpty(t, c.Secrets)
		require.NotEmpty(t, c.Known)
		require.NotEmpty(t, c.Administrators)
		for _, secret := range c.Secrets {
			_, err := spec.ParseName(secret.Name)
			require.NoError(t, err)
			require.NotEmpty(t, secret.Owner)
			require.NotNil(t, secret.Readers, "null stands for unknown")
		}
	}
	secrets := map[string]spec.AuditSecret{}
	for _, secret := range read("dev").Secrets {
		secrets[secret.Name] = secret
	}
	require.Equal(t, spec.AuditSecret{
		Name: "aistudio/dev/orders/database", Kind: spec.KindDatabase, Owner: "team-orders", DataClassification: "confidential",
		Readers: []string{"arn:aws:iam::123456789012:role/aistudio-dev-orders-reader"},
		Rotator: "arn:aws:iam::123456789012:role/aistudio-dev-rotate-database",
	}, secrets["aistudio/dev/orders/database"])
	require.Equal(t, spec.AuditSecret{
		Name: "aistudio/dev/studio/google-oauth", Kind: spec.KindOAuth, Owner: "team-studio", DataClassification: "restricted",
		Readers:          []string{"arn:aws:iam::123456789012:role/aistudio-dev-studio-reader"},
		RotationDisabled: "it awaits its first value",
	}, secrets["aistudio/dev/studio/google-oauth"])

	_, err := readStack(filepath.Join("..", "..", "go.mod"))
	require.Error(t, err)
	broken := filepath.Join(t.TempDir(), "Pulumi.broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte(`config:
  aws:region: us-east-1
  aistudio-secrets:settings: { organization: acme, environment: dev }
  aistudio-secrets:services: { own: { role: role/team/own } }
  aistudio-secrets:catalogue:
    a/one: { kind: custom, readers: [own] }
    a/two: { kind: custom, readers: [nobody] }
    a/three: { kind: custom, readers: [none] }
`), 0o600))
	file, err := readStack(broken)
	require.NoError(t, err)
	c, err := file.catalogue(account)
	require.ErrorContains(t, err, `a/two is to be read by "nobody"`)
	require.ErrorContains(t, err, `a/three is to be read by "none"`, "all mistakes at once")
	require.Equal(t, []string{"arn:aws:iam::123456789012:role/team/own"}, c.Secrets[0].Readers)
}

// TestAStacksReadersAreKnown: the rules about who reads find from a stack's file
// what they find from the catalogue in the bucket.
func TestAStacksReadersAreKnown(t *testing.T) {
	cloud := newCloud(t)
	client := secretsmanager.NewFromConfig(cloud.Config("us-east-1"))
	const name = "aistudio/dev/orders/database"
	_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(name), SecretString: aws.String("canary")})
	require.NoError(t, err)
	as := func(role string) *secretsmanager.Client { return secretsmanager.NewFromConfig(assumed(t, cloud, role)) }
	_, err = as("aistudio-dev-orders-reader").GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	found := func() string {
		out := t.TempDir()
		code, _, stderr := audit(t, "run", "--out", out, "--quota-share", "1000", "--stack", filepath.Join("..", "..", "..", "Pulumi.dev.yaml"))
		require.NotEqual(t, exitCouldNotTell, code, stderr)
		text, err := os.ReadFile(filepath.Join(out, "findings.csv"))
		require.NoError(t, err)
		return string(text)
	}
	allow := func(role string) {
		_, err := client.PutResourcePolicy(t.Context(), &secretsmanager.PutResourcePolicyInput{SecretId: aws.String(name), ResourcePolicy: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + cloud.Account() + `:role/` + role + `"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`)})
		require.NoError(t, err)
	}
	allow("aistudio-dev-orders-reader")
	quiet := found()
	require.NotContains(t, quiet, "access-unexpected")
	require.NotContains(t, quiet, "policy-too-wide")

	_, err = as("stranger").GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	allow("stranger")
	loud := found()
	require.Contains(t, loud, "access-unexpected")
	require.Contains(t, loud, "policy-too-wide")
	require.Contains(t, loud, ":role/stranger")
}

// assumed makes a role that may read everything, and takes it on.
func assumed(t *testing.T, cloud *localcloud.Cloud, role string) aws.Config {
	t.Helper()
	roles := iam.NewFromConfig(cloud.Config("us-east-1"))
	made, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + cloud.Account() + `"},"Action":"sts:AssumeRole"}]}`)})
	require.NoError(t, err)
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("read"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","kms:Decrypt"],"Resource":"*"}]}`)})
	require.NoError(t, err)
	out, err := sts.NewFromConfig(cloud.Config("us-east-1")).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: aws.String("test")})
	require.NoError(t, err)
	return cloud.ConfigFor("us-east-1", *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
}

func TestAccessRulesAndReport(t *testing.T) {
	cloud := newCloud(t)
	_, err := secretsmanager.NewFromConfig(cloud.Config("us-east-1")).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("loose"), SecretString: aws.String("canary")})
	require.NoError(t, err)
	_, err = secretsmanager.NewFromConfig(cloud.Config("us-east-1")).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("loose")})
	require.NoError(t, err)
	code, stdout, stderr := audit(t, "access", "loose", "--since", "2d", "--json")
	require.Equal(t, exitClean, code, stderr)
	require.True(t, json.Valid([]byte(stdout)))
	require.Contains(t, stdout, `"event": "GetSecretValue"`)
	code, _, stderr = audit(t, "access", "loose", "--since", "yesterday")
	require.Equal(t, exitCouldNotTell, code)
	require.Contains(t, stderr, "--since")

	code, stdout, _ = audit(t, "rules")
	require.Equal(t, exitClean, code)
	require.Contains(t, stdout, "## Rotation is not enabled")
	code, stdout, _ = audit(t, "rules", "--html")
	require.Equal(t, exitClean, code)
	require.Contains(t, stdout, "<!doctype html>")
	code, stdout, _ = audit(t, "rules", "--json")
	require.Equal(t, exitClean, code)
	var catalogue []report.RuleEntry
	require.NoError(t, json.Unmarshal([]byte(stdout), &catalogue))
	require.Len(t, catalogue, len(rules.IDs()))
	for _, rule := range catalogue {
		assert.NotEmpty(t, rule.Controls, rule.ID)
	}

	objects := s3.NewFromConfig(cloud.Config("us-east-1"))
	_, err = objects.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("acme-prod-audit")})
	require.NoError(t, err)
	sums := func(files ...string) string {
		text := ""
		for i := 0; i < len(files); i += 2 {
			text += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(files[i+1])), files[i])
		}
		return text
	}
	put := func(key, text string) {
		t.Helper()
		_, err = objects.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("acme-prod-audit"), Key: &key, Body: bytes.NewReader([]byte(text))})
		require.NoError(t, err)
	}
	put("reports/prod/2026-11-24T060000Z/report.html", "old")
	put("reports/prod/2026-11-24T060000Z/SHA256SUMS", sums("report.html", "old"))
	put("reports/prod/2026-11-25T060000Z/report.html", "new")
	put("reports/prod/2026-11-25T060000Z/report.json", "{}")
	put("reports/prod/2026-11-25T060000Z/SHA256SUMS", sums("report.html", "new", "report.json", "{}"))
	put("reports/prod/2026-11-26T060000Z/report.html", "under way, or killed")
	put("reports/dev/2026-11-26T060000Z/report.html", "another stack's")
	out := t.TempDir()
	code, _, stderr = audit(t, "report", "--bucket", "acme-prod-audit", "--environment", "prod", "--out", out)
	require.Equal(t, exitClean, code, stderr)
	text, err := os.ReadFile(filepath.Join(out, "report.html"))
	require.NoError(t, err)
	require.Equal(t, "new", string(text))
	code, stdout, _ = audit(t, "report", "--bucket", "acme-prod-audit", "--environment", "prod", "--out", out, "--json")
	require.Equal(t, exitClean, code)
	var got fetched
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Equal(t, fetched{Run: "2026-11-25T060000Z", Files: []string{filepath.Join(out, "SHA256SUMS"), filepath.Join(out, "report.html"), filepath.Join(out, "report.json")}}, got)
	put("reports/prod/2026-11-25T060000Z/report.html", "changed by somebody")
	code, _, stderr = audit(t, "report", "--bucket", "acme-prod-audit", "--environment", "prod", "--out", out)
	require.Equal(t, exitCouldNotTell, code)
	require.Contains(t, stderr, "report.html is not what the audit wrote")
	code, _, _ = audit(t, "report", "--bucket", "acme-prod-audit", "--environment", "staging", "--out", out)
	require.Equal(t, exitCouldNotTell, code)
}

// TestRemedyAsJSON: what could be mended, was mended and was taken back, for
// programs.
func TestRemedyAsJSON(t *testing.T) {
	cloud := newCloud(t)
	secrets := secretsmanager.NewFromConfig(cloud.Config("us-east-1"))
	dir := t.TempDir()
	journal, demands := filepath.Join(dir, "remedy.jsonl"), filepath.Join(dir, "policy.yaml")
	require.NoError(t, os.WriteFile(demands, []byte("tags: { ManagedBy: [] }\nremedy: { rules: [tags-missing], tagValues: { ManagedBy: pulumi } }\n"), 0o600))
	acts := func(args ...string) []runs.Mended {
		t.Helper()
		code, stdout, stderr := audit(t, append([]string{"remedy", "--json", "--quota-share", "1000", "--policy", demands, "--journal", journal}, args...)...)
		require.Equal(t, exitClean, code, stderr)
		require.NotContains(t, stdout, "canary")
		var got struct{ Acts []runs.Mended }
		require.NoError(t, json.Unmarshal([]byte(stdout), &got), stdout)
		require.NotNil(t, got.Acts, "an array, and not null")
		return got.Acts
	}
	require.Empty(t, acts())
	made, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("loose"), SecretString: aws.String("canary")})
	require.NoError(t, err)
	tag := remedy.Act{Rule: "tags-missing", Secret: *made.ARN, Region: "us-east-1", Do: remedy.Tag, Undo: remedy.Untag, Why: "missing tags: ManagedBy", Tags: map[string]string{"ManagedBy": "pulumi"}}
	require.Equal(t, []runs.Mended{{State: runs.CouldBeMended, Name: "loose", Act: tag}}, acts())
	require.Equal(t, []runs.Mended{{State: runs.WasMended, Name: "loose", Act: tag}}, acts("--apply"))
	require.Empty(t, acts("--apply"), "once")
	untag := tag
	untag.Do, untag.Undo, untag.Back = remedy.Untag, "", true
	require.Equal(t, []runs.Mended{{State: runs.TakenBack, Name: "loose", Act: untag}}, acts("--undo", journal))
	require.Len(t, acts(), 1, "it is to mend again")

	_, err = cloud.Faults.Add(faults.Fault{Service: "secretsmanager", Operation: "TagResource", Kind: faults.Error, Status: 400, Code: "InvalidRequestException"})
	require.NoError(t, err)
	code, stdout, _ := audit(t, "remedy", "--json", "--quota-share", "1000", "--policy", demands, "--journal", journal, "--apply")
	require.Equal(t, exitCouldNotTell, code)
	require.Contains(t, stdout, `"state": "failed"`)
	require.Contains(t, stdout, "InvalidRequestException")
}

// TestReadsOfReplicas are shown without being asked for: a secret is read where it
// is.
func TestReadsOfReplicas(t *testing.T) {
	cloud := newCloud(t)
	ctx := t.Context()
	_, err := secretsmanager.NewFromConfig(cloud.Config("us-east-1")).CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("loose"), SecretString: aws.String("canary"), AddReplicaRegions: []smtypes.ReplicaRegionType{{Region: aws.String("us-west-2")}},
	})
	require.NoError(t, err)
	require.NoError(t, cloud.Settle(ctx))
	_, err = secretsmanager.NewFromConfig(cloud.Config("us-west-2")).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("loose")})
	require.NoError(t, err)
	code, stdout, stderr := audit(t, "access", "loose", "--json")
	require.Equal(t, exitClean, code, stderr)
	require.Contains(t, stdout, `"region": "us-west-2"`)
	code, stdout, _ = audit(t, "access", "loose", "--json", "--region", "us-east-1")
	require.Equal(t, exitClean, code)
	require.NotContains(t, stdout, `"region": "us-west-2"`)
}

// TestTheDocumentedPolicy: the policy in the documentation is one, with the
// defaults that it says.
func TestTheDocumentedPolicy(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "audit.md"))
	require.NoError(t, err)
	_, text, found := strings.Cut(string(page), "```yaml\n")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "```")
	p, err := policy.Parse(strings.NewReader(text), rules.IDs(), remedy.Rules())
	require.NoError(t, err)
	want := policy.Default()
	require.Equal(t, want.MaximumAge, p.MaximumAge)
	require.Equal(t, want.UnusedAfter, p.UnusedAfter)
	require.Equal(t, want.RotationGrace, p.RotationGrace)
	require.Equal(t, want.PendingGrace, p.PendingGrace)
	require.Equal(t, want.ScanMaxAge, p.ScanMaxAge)
	require.Equal(t, want.Threshold, p.Threshold)
	require.Equal(t, want.PolicyReads, p.PolicyReads)
	require.Equal(t, want.Access.Window, p.Access.Window)
	require.Equal(t, want.Access.Pages, p.Access.Pages)
	require.Equal(t, len(want.Tags), len(p.Tags))
	require.Empty(t, p.Remedy.Rules)
}
