package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/operations/internal/recoverytest"
	"github.com/aistudio/secrets/operations/recovery"
	"github.com/aistudio/secrets/sdk/spec"
)

// bench runs the command on a world.
type bench struct {
	*recoverytest.World
	t       *testing.T
	dir     string
	printed strings.Builder
}

// newBench is a stack of ten secrets, of which one rotates.
func newBench(t *testing.T) *bench {
	b := &bench{World: recoverytest.New(t, 10), t: t, dir: t.TempDir()}
	for name, value := range b.Environment() {
		t.Setenv(name, value)
	}
	t.Setenv(spec.EnvAuditBucket, "")
	return b
}

func (b *bench) recovery(args ...string) (code int, stdout, stderr string) {
	return b.answer("", args...)
}

func (b *bench) answer(line string, args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	var out, err bytes.Buffer
	t := terminal{in: strings.NewReader(line), out: &out, err: &err, human: line != "", poll: 20 * time.Millisecond}
	code = execute(b.t.Context(), t, append(args, "--stack", b.File, "--record", b.record(), "--quota-share", "100"))
	require.NoError(b.t, b.Cloud.Settle(b.t.Context()))
	b.printed.WriteString(out.String() + err.String())
	b.t.Logf("$ recovery %s\n%s%s[%d]", strings.Join(args, " "), out.String(), err.String(), code)
	return code, out.String(), err.String()
}

func (b *bench) record() string { return filepath.Join(b.dir, "record.json") }

func (b *bench) states() map[recovery.State]int {
	b.t.Helper()
	_, stdout, stderr := b.recovery("status", "--json")
	var status recovery.Status
	require.NoError(b.t, json.Unmarshal([]byte(stdout), &status), stderr)
	return status.Counts
}

func (b *bench) noValues() {
	b.t.Helper()
	if text, err := os.ReadFile(b.record()); err == nil {
		b.printed.Write(text)
	}
	require.NotContains(b.t, b.printed.String(), recoverytest.Canary)
}

// dark takes the primary region away until the function that it returns is
// called.
func (b *bench) dark() func() {
	lift, err := b.Cloud.Faults.Add(faults.Fault{Kind: faults.DropBefore, Region: recoverytest.Home})
	require.NoError(b.t, err)
	return lift
}

func (b *bench) variables(region string) map[string]string {
	out, err := b.Lambda(region).GetFunctionConfiguration(b.t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("orders-" + region)})
	require.NoError(b.t, err)
	return out.Environment.Variables
}

// TestADisaster is the runbook: the primary region is lost, failed over from,
// changed in the DR region, comes back and gets all of it.
func TestADisaster(t *testing.T) {
	b := newBench(t)
	before := b.Facts()
	code, stdout, _ := b.recovery("status")
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "in-sync      10")

	lift := b.dark()
	code, stdout, _ = b.recovery("status")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, "us-east-1 doesn't answer.")
	code, stdout, _ = b.recovery("failover", "--dry-run")
	require.Equal(t, exitDone, code)
	assert.Contains(t, stdout, "promote 10 replicas in us-west-2")
	code, _, stderr := b.recovery("failover")
	require.Equal(t, exitRefused, code, "nobody agreed")
	assert.Contains(t, stderr, "nothing was changed")
	require.NoFileExists(t, b.record())
	code, _, _ = b.answer("no\n", "failover")
	require.Equal(t, exitRefused, code)
	require.Equal(t, map[recovery.State]int{recovery.Replica: 10}, b.states())

	code, stdout, stderr = b.answer("y\n", "failover")
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "run the failover again")
	require.Equal(t, map[recovery.State]int{recovery.Promoted: 10}, b.states())
	require.FileExists(t, b.record())
	b.noValues()
	assert.Equal(t, map[string]string{spec.EnvRegion: recoverytest.Standby, "MODE": recoverytest.Canary}, b.variables(recoverytest.Standby))
	code, _, stderr = b.recovery("failback", "--yes")
	require.Equal(t, exitRefused, code, "there is nothing to go back to")
	assert.Contains(t, stderr, "doesn't answer")

	// Life goes on in the DR region.
	_, err := b.Secrets(recoverytest.Standby).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &b.Names[3], SecretString: aws.String(`{"key":"` + recoverytest.Canary + `-written-meanwhile"}`)})
	require.NoError(t, err)
	lift()

	code, _, stderr = b.recovery("failover", "--yes")
	require.Equal(t, exitDone, code, stderr)
	assert.Equal(t, recoverytest.Standby, b.variables(recoverytest.Home)[spec.EnvRegion])
	assert.NotContains(t, b.variables(recoverytest.Home), spec.EnvFailoverRegions, "what the old primaries hold is old")
	old, err := b.Secrets(recoverytest.Home).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &b.Names[0]})
	require.NoError(t, err)
	assert.False(t, aws.ToBool(old.RotationEnabled), "the old primary would change the password under the new one")

	code, stdout, stderr = b.recovery("failback", "--yes", "--json")
	require.Equal(t, exitDone, code, stderr)
	require.True(t, json.Valid([]byte(stdout)))
	require.Equal(t, map[recovery.State]int{recovery.InSync: 10}, b.states())
	require.NoFileExists(t, b.record())
	assert.Equal(t, map[string]string{spec.EnvFailoverRegions: recoverytest.Standby, "MODE": recoverytest.Canary}, b.variables(recoverytest.Home))
	assert.Contains(t, b.Value(recoverytest.Home, b.Names[3]), "written-meanwhile")
	after := b.Facts()
	for _, region := range []string{recoverytest.Home, recoverytest.Standby} {
		before[region+" "+b.Names[3]]["versions"], after[region+" "+b.Names[3]]["versions"] = nil, nil
	}
	assert.Equal(t, before, after, "all else is as it was")

	code, _, stderr = b.recovery("failback", "--yes")
	require.Equal(t, exitDone, code)
	assert.Contains(t, stderr, "Nothing to do")
	b.noValues()
}

// Without the record, which may be on somebody else's machine, the settings of
// rotations come from the old primaries.
func TestFailbackWithoutTheRecord(t *testing.T) {
	b := newBench(t)
	before := b.Facts()
	code, _, stderr := b.recovery("failover", "--yes")
	require.Equal(t, exitDone, code, stderr)
	require.NoError(t, os.Rename(b.record(), b.record()+".elsewhere"))
	code, stdout, stderr := b.recovery("failback", "--yes")
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "there is no record")
	assert.Equal(t, before, b.Facts())

	// The record that was elsewhere is old by the next failover.
	require.NoError(t, os.Rename(b.record()+".elsewhere", b.record()))
	_, err := b.Secrets(recoverytest.Home).RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &b.Names[0], RotateImmediately: aws.Bool(false), RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(20 days)")},
	})
	require.NoError(t, err)
	require.NoError(t, b.Cloud.Settle(t.Context()))
	changed := b.Facts()
	require.NotEqual(t, before, changed)
	for _, command := range []string{"failover", "failback"} {
		code, _, stderr := b.recovery(command, "--yes")
		require.Equal(t, exitDone, code, stderr)
	}
	assert.Equal(t, changed, b.Facts())
	b.noValues()
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	_, err := b.Secrets(recoverytest.Home).RemoveRegionsFromReplication(ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &b.Names[1], RemoveReplicaRegions: []string{recoverytest.Standby}})
	require.NoError(t, err)
	code, stdout, _ := b.recovery("status")
	assert.Equal(t, exitFailed, code)
	assert.Regexp(t, b.Names[1]+` +missing`, stdout)
	for _, command := range []string{"failover", "drill"} {
		code, stdout, _ = b.recovery(command, "--yes")
		require.Equal(t, exitRefused, code)
		assert.Contains(t, stdout, "x 1 of 10 secrets are missing: "+b.Names[1])
	}
	code, _, stderr := b.recovery("failover", "--yes", "--force")
	require.Equal(t, exitDone, code, stderr)
	require.Equal(t, map[recovery.State]int{recovery.Missing: 1, recovery.Promoted: 9}, b.states())

	// Somebody writes the old primary: that is not to be overwritten unawares.
	_, err = b.Secrets(recoverytest.Home).PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &b.Names[2], SecretString: aws.String(`{"key":"` + recoverytest.Canary + `-stray"}`)})
	require.NoError(t, err)
	code, stdout, _ = b.recovery("failback", "--yes")
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stdout, "x 1 secrets have a current version in us-east-1 that us-west-2 doesn't know, written there after the failover or not replicated before it, which the failback would overwrite: "+b.Names[2])
	code, _, stderr = b.recovery("failback", "--yes", "--force")
	require.Equal(t, exitDone, code, stderr)
	require.Equal(t, map[recovery.State]int{recovery.Missing: 1, recovery.InSync: 9}, b.states())
	assert.NotContains(t, b.Value(recoverytest.Home, b.Names[2]), "stray")

	for name, args := range map[string][]string{
		"no such command":  {"explode"},
		"no such flag":     {"status", "--colour"},
		"no such rotation": {"drill", "--rotate", "some"},
	} {
		code, _, stderr := b.recovery(args...)
		assert.Equal(t, exitRefused, code, name)
		assert.NotEmpty(t, stderr, name)
	}
	b.File = filepath.Join(t.TempDir(), "nowhere.yaml")
	code, _, _ = b.recovery("status")
	assert.Equal(t, exitRefused, code)
	b.noValues()
}

// A failure of one secret stops that one alone, and a further run mends it.
func TestAFailureIsMended(t *testing.T) {
	b := newBench(t)
	before := b.Facts()
	_, err := b.Cloud.Faults.Add(faults.Fault{Kind: faults.Error, Service: "secretsmanager", Operation: "StopReplicationToReplica", Times: 1, Status: 400, Code: "InvalidRequestException", Message: recoverytest.Canary})
	require.NoError(t, err)
	code, stdout, stderr := b.recovery("failover", "--yes")
	require.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, ": InvalidRequestException")
	assert.Contains(t, stderr, "run it again")
	require.Equal(t, map[recovery.State]int{recovery.InSync: 1, recovery.Promoted: 9}, b.states())
	code, _, stderr = b.recovery("failover", "--yes")
	require.Equal(t, exitDone, code, stderr)

	_, err = b.Cloud.Faults.Add(faults.Fault{Kind: faults.Error, Service: "secretsmanager", Operation: "ReplicateSecretToRegions", Times: 1, Status: 400, Code: "AccessDeniedException", Message: recoverytest.Canary})
	require.NoError(t, err)
	code, stdout, _ = b.recovery("failback", "--yes")
	require.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, "AccessDeniedException: take on a role among the stack's administrators")
	code, _, stderr = b.recovery("failback", "--yes")
	require.Equal(t, exitDone, code, stderr)
	assert.Equal(t, before, b.Facts())
	b.noValues()
}

func TestDrillWritesItsReport(t *testing.T) {
	b := newBench(t)
	_, err := b.Secrets(recoverytest.Home).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("acme/prod/platform/master"), SecretString: aws.String(recoverytest.Canary)})
	require.NoError(t, err)
	code, stdout, _ := b.recovery("status")
	require.Equal(t, exitDone, code, "what the catalogue doesn't declare may do without a replica")
	assert.Regexp(t, `acme/prod/platform/master +alone`, stdout)
	out := t.TempDir()
	_, err = s3.NewFromConfig(b.Cloud.Config(recoverytest.Home), func(o *s3.Options) { o.UsePathStyle = true }).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("acme-prod-secrets-audit-123456789012")})
	require.NoError(t, err)
	t.Setenv("AWS_REGION", "eu-west-1") // the operator's own
	code, stdout, stderr := b.recovery("drill", "--yes", "--rotate", "all", "--out", out, "--bucket", "acme-prod-secrets-audit-123456789012")
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "! 1 secrets that the catalogue doesn't declare have no replica, and are left out: acme/prod/platform/master")
	assert.Contains(t, stdout, "# Disaster recovery drill: prod, passed")
	page, err := os.ReadFile(filepath.Join(out, "recovery.md"))
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(stdout, string(page)))
	text, err := os.ReadFile(filepath.Join(out, spec.RecoveryJSON))
	require.NoError(t, err)
	var report recovery.Report
	require.NoError(t, json.Unmarshal(text, &report))
	assert.True(t, report.Passed)
	b.printed.Write(text)
	for _, name := range b.Names {
		var value struct{ Key string }
		require.NoError(t, json.Unmarshal([]byte(b.Value(recoverytest.Home, name)), &value))
		require.NotEmpty(t, value.Key)
		assert.NotContains(t, b.printed.String(), value.Key)
	}
	b.noValues()
}

// What can't be seen from the plan of a moment ago, and what would be lost.
func TestAliasesAndFurtherReplicas(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	published, err := b.Lambda(recoverytest.Standby).PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String("orders-" + recoverytest.Standby)})
	require.NoError(t, err)
	_, err = b.Lambda(recoverytest.Standby).CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: aws.String("orders-" + recoverytest.Standby), Name: aws.String("live"), FunctionVersion: published.Version})
	require.NoError(t, err)
	_, err = b.Secrets(recoverytest.Home).ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &b.Names[4], AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-1")}}})
	require.NoError(t, err)
	code, stdout, stderr := b.recovery("failover", "--yes")
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "aliases live is a published version")

	code, stdout, _ = b.recovery("failback", "--yes")
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stdout, "x 1 secrets have replicas in further regions, which their primary would lose: remove or promote those first: "+b.Names[4])
	_, err = b.Secrets(recoverytest.Home).RemoveRegionsFromReplication(ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &b.Names[4], RemoveReplicaRegions: []string{"eu-west-1"}})
	require.NoError(t, err)

	// The old primary is gone, and with it the record.
	require.NoError(t, os.Remove(b.record()))
	_, err = b.Secrets(recoverytest.Home).DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &b.Names[5], ForceDeleteWithoutRecovery: aws.Bool(true)})
	require.NoError(t, err)
	code, _, stderr = b.recovery("failback", "--yes")
	require.Equal(t, exitDone, code, stderr, "its key is that of the DR region, which is a multi-region key")
	require.Equal(t, map[recovery.State]int{recovery.InSync: 10}, b.states())
	b.noValues()
}

// TestTheDocumentedRights: the tests run with the rights that the runbook names.
func TestTheDocumentedRights(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "disaster-recovery.md"))
	require.NoError(t, err)
	assert.Contains(t, string(page), recoverytest.OperatorPolicy)
}

// What was deleted in the DR region meanwhile: where it is gone, the old primary
// goes on, with its rotation; where it can be restored, the record waits for that.
func TestDeletedMeanwhile(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	gone, restorable := b.Names[0], b.Names[1]
	code, _, stderr := b.recovery("failover", "--yes")
	require.Equal(t, exitDone, code, stderr)
	there := b.Secrets(recoverytest.Standby)
	_, err := there.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &gone, ForceDeleteWithoutRecovery: aws.Bool(true)})
	require.NoError(t, err)
	_, err = there.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: &restorable})
	require.NoError(t, err)

	code, stdout, _ := b.recovery("failback", "--yes")
	require.Equal(t, exitRefused, code)
	assert.Contains(t, stdout, "x 1 secrets can't be read: "+restorable)
	assert.Contains(t, stdout, "! 1 secrets are missing in us-west-2, and stay as they are in us-east-1: "+gone)
	code, stdout, stderr = b.recovery("failback", "--yes", "--force")
	require.Equal(t, exitDone, code, stderr)
	assert.Contains(t, stdout, "run it again when they can")
	assert.Equal(t, map[recovery.State]int{recovery.InSync: 8, recovery.Unknown: 1, recovery.Missing: 1}, b.states())
	require.FileExists(t, b.record())
	old, err := b.Secrets(recoverytest.Home).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &gone})
	require.NoError(t, err)
	assert.True(t, aws.ToBool(old.RotationEnabled), "the failover stopped it")

	_, err = there.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &restorable})
	require.NoError(t, err)
	code, _, stderr = b.recovery("failback", "--yes")
	require.Equal(t, exitDone, code, stderr)
	assert.Equal(t, map[recovery.State]int{recovery.InSync: 9, recovery.Missing: 1}, b.states())
	require.NoFileExists(t, b.record())
	b.noValues()
}

// Who may not do anything with Lambda still gets the secrets, and hears of all that
// was done.
func TestWithoutLambda(t *testing.T) {
	for _, operation := range []string{"GetFunction", "ListFunctions"} {
		t.Run(operation, func(t *testing.T) {
			b := newBench(t)
			lift, err := b.Cloud.Faults.Add(faults.Fault{Kind: faults.Error, Service: "lambda", Operation: operation, Status: 403, Code: "AccessDeniedException", Message: recoverytest.Canary})
			require.NoError(t, err)
			code, stdout, stderr := b.recovery("failover", "--yes")
			require.Equal(t, exitFailed, code)
			assert.Contains(t, stderr, "run it again")
			assert.Contains(t, stdout, "AccessDeniedException: take on a role among the stack's administrators")
			assert.Regexp(t, `promote +10 +0`, stdout)
			assert.Regexp(t, `read in us-west-2 +10 +0`, stdout)
			require.Equal(t, map[recovery.State]int{recovery.Promoted: 10}, b.states())
			lift()
			code, _, stderr = b.recovery("failover", "--yes")
			require.Equal(t, exitDone, code, stderr)
			there, err := b.Secrets(recoverytest.Standby).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &b.Names[0]})
			require.NoError(t, err)
			assert.True(t, aws.ToBool(there.RotationEnabled))
			assert.Equal(t, recoverytest.Standby, b.variables(recoverytest.Home)[spec.EnvRegion])
			b.noValues()
		})
	}
}

// What scripts see: a dry run tells by its exit status what the run would, and JSON
// is there even when there is nothing to do.
func TestForScripts(t *testing.T) {
	b := newBench(t)
	for _, args := range [][]string{{"failback", "--yes", "--json"}, {"failback", "--dry-run", "--json"}} {
		code, stdout, _ := b.recovery(args...)
		require.Equal(t, exitDone, code)
		require.True(t, json.Valid([]byte(stdout)), stdout)
		assert.Contains(t, stdout, `"steps": []`)
	}
	require.NoFileExists(t, b.record())
	_, err := b.Cloud.Faults.Add(faults.Fault{Kind: faults.Error, Service: "secretsmanager", Operation: "DescribeSecret", Region: recoverytest.Home, Status: 400, Code: "AccessDeniedException"})
	require.NoError(t, err)
	for _, command := range []string{"failover", "failback"} {
		for _, how := range []string{"--yes", "--dry-run"} {
			code, stdout, stderr := b.recovery(command, how)
			assert.Equal(t, exitRefused, code, "%s %s", command, how)
			assert.Contains(t, stdout, "x 10 ")
			assert.Contains(t, stderr, "nothing was changed")
		}
	}
	code, stdout, _ := b.recovery("failover", "--dry-run", "--json")
	assert.Equal(t, exitRefused, code)
	assert.True(t, json.Valid([]byte(stdout)), stdout)
}

// A profile with a role is taken on in the region that isn't lost, and where there
// are no credentials nobody believes that a region doesn't answer.
func TestWhoSignsIn(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("[profile base]\naws_access_key_id = test\naws_secret_access_key = test\n"+
		"[profile operator]\nsource_profile = base\nrole_arn = arn:aws:iam::"+b.Cloud.Account()+":role/secrets-administrator\n"), 0o600))
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	code, _, stderr := b.recovery("status")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stderr, "us-west-2: no credentials: sign in, or name a profile")

	t.Setenv("AWS_PROFILE", "operator")
	t.Setenv("AWS_ENDPOINT_URL_STS", b.Cloud.URL()) // the SDK's profiles don't follow AWS_ENDPOINT_URL
	b.dark()
	code, stdout, stderr := b.recovery("status")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, stdout, "replica      10", stderr)
}
