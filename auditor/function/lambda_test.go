package function_test

import (
	"encoding/json"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/securityhub"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/internal/audittest"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/sdk/spec"
)

// deployed is the auditor as the infrastructure deploys it: the binary, with a
// role that may do what it needs and nothing else.
type deployed struct {
	*stack
	functions *lambda.Client
}

func deploy(t *testing.T) *deployed {
	s := newStack(t)
	d := &deployed{stack: s, functions: lambda.NewFromConfig(s.cloud.Config(region))}
	role, err := iam.NewFromConfig(s.cloud.Config(region)).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("auditor"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`)})
	require.NoError(t, err)
	d.allow("audit", `{"Effect":"Allow","Action":["`+strings.Join(spec.AuditActions(), `","`)+`"],"Resource":"*"},
		{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::`+store+`"},
		{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::`+store+`/*"},
		{"Effect":"Allow","Action":"sns:Publish","Resource":"`+s.topic+`"},
		{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}`)
	architecture := types.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = types.ArchitectureArm64
	}
	s.must(d.functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("auditor"), Role: role.Role.Arn, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []types.Architecture{architecture}, Timeout: aws.Int32(300), MemorySize: aws.Int32(256),
		Code: &types.FunctionCode{ZipFile: audittest.Zip(t, audittest.Build(t, "../cmd/auditor"))}, Environment: d.environment(false),
	}))
	require.NoError(t, s.cloud.Advance(t.Context(), time.Minute)) // the function becomes active
	return d
}

func (d *deployed) allow(policy, statements string) {
	d.Helper()
	d.must(iam.NewFromConfig(d.cloud.Config(region)).PutRolePolicy(d.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("auditor"), PolicyName: &policy, PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[` + statements + `]}`),
	}))
}

func (d *deployed) environment(hub bool) *types.Environment {
	return &types.Environment{Variables: map[string]string{
		spec.EnvAuditBucket: store, spec.EnvAuditTopic: d.topic, spec.EnvAuditSecurityHub: strconv.FormatBool(hub),
	}}
}

// invoke returns the function's answer, and its error if it failed.
func (d *deployed) invoke() (summary run.Summary, failure string) {
	d.Helper()
	out, err := d.functions.Invoke(d.Context(), &lambda.InvokeInput{FunctionName: aws.String("auditor"), Payload: []byte(`{}`)})
	require.NoError(d, err)
	assert.Empty(d, d.cloud.Unsupported(), "calls that the local cloud doesn't know")
	if out.FunctionError != nil {
		return run.Summary{}, string(out.Payload)
	}
	require.NoError(d, json.Unmarshal(out.Payload, &summary))
	return summary, ""
}

// TestTheRealFunction audits with the binary as Lambda runs it.
func TestTheRealFunction(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.must(d.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("loose"), SecretString: aws.String("canary")}))
	d.put(spec.AuditPolicyKey, "policyReads: 10\n")
	d.lock(s3types.ObjectLockRetentionModeCompliance, 30)

	summary, failure := d.invoke()
	require.Empty(t, failure)
	assert.True(t, summary.Complete)
	assert.Equal(t, 1, summary.Secrets)
	assert.Equal(t, 3, summary.Unknown, "there is no scan of three places, and all else could be read")
	assert.Contains(t, d.get(summary.Report), "loose")
	assert.NotContains(t, d.get(summary.Report), "canary")
	assert.NotEmpty(t, d.alerts())

	t.Run("findings in Security Hub", func(t *testing.T) { checkHub(t, d) })
	t.Run("a report under object lock", func(t *testing.T) { checkLock(t, d, summary.Report) })
}

// checkHub: with the switch and the statement that the infrastructure adds to the
// role, the findings are in Security Hub; without the statement the invocation
// fails and says why, and the report is there all the same.
func checkHub(t *testing.T, d *deployed) {
	hub := securityhub.NewFromConfig(d.cloud.Config(region))
	d.must(hub.EnableSecurityHub(t.Context(), &securityhub.EnableSecurityHubInput{EnableDefaultStandards: aws.Bool(false)}))
	d.must(d.functions.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("auditor"), Environment: d.environment(true),
	}))
	require.NoError(t, d.cloud.Advance(t.Context(), time.Minute))
	about := func() map[string]string { return d.hubFindings(hub, ":secret:loose-") }

	_, failure := d.invoke()
	assert.Contains(t, failure, "into Security Hub")
	assert.Contains(t, failure, "AccessDenied")
	assert.Empty(t, about())

	d.allow("hub", `{"Effect":"Allow","Action":"securityhub:BatchImportFindings","Resource":"arn:aws:securityhub:`+region+`:`+d.cloud.Account()+`:product/`+d.cloud.Account()+`/default"}`)
	_, failure = d.invoke()
	require.Empty(t, failure)
	assert.Equal(t, map[string]string{
		"tags-missing": "ACTIVE FAILED", "name-outside-scheme": "ACTIVE FAILED", "unmanaged": "ACTIVE FAILED", "key-default": "ACTIVE FAILED",
	}, about())
}

// checkLock: nobody can delete a report before its time, not even who may pass
// over governance; after it, it can be.
func checkLock(t *testing.T, d *deployed, key string) {
	head, err := d.objects.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(store), Key: &key})
	require.NoError(t, err)
	assert.Equal(t, s3types.ObjectLockModeCompliance, head.ObjectLockMode)
	remove := func() error {
		_, err := d.objects.DeleteObject(t.Context(), &s3.DeleteObjectInput{
			Bucket: aws.String(store), Key: &key, VersionId: head.VersionId, BypassGovernanceRetention: aws.Bool(true),
		})
		return err
	}
	require.ErrorContains(t, remove(), "AccessDenied")
	_, err = d.objects.PutObjectRetention(t.Context(), &s3.PutObjectRetentionInput{
		Bucket: aws.String(store), Key: &key, BypassGovernanceRetention: aws.Bool(true),
		Retention: &s3types.ObjectLockRetention{Mode: s3types.ObjectLockRetentionModeCompliance, RetainUntilDate: aws.Time(time.Now().Add(time.Hour))},
	})
	require.ErrorContains(t, err, "AccessDenied", "nor can it be kept for less long")
	// A deletion without a version hides the report, and the version stays.
	d.must(d.objects.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(store), Key: &key}))
	kept, err := d.objects.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(store), Key: &key, VersionId: head.VersionId})
	require.NoError(t, err)
	require.NoError(t, kept.Body.Close())
	require.NoError(t, d.cloud.Advance(t.Context(), 31*24*time.Hour))
	require.NoError(t, remove())
}
