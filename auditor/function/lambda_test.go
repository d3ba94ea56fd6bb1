package function_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/internal/audittest"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/sdk/spec"
)

// TestTheRealFunction runs the binary as Lambda does, with a role that may do
// what the auditor needs and nothing else.
func TestTheRealFunction(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	ctx, cfg := t.Context(), s.cloud.Config(region)
	s.must(s.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("loose"), SecretString: aws.String("canary")}))
	s.put(spec.AuditPolicyKey, "policyReads: 10\n")

	role, err := iam.NewFromConfig(cfg).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("auditor"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`)})
	require.NoError(t, err)
	s.must(iam.NewFromConfig(cfg).PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("auditor"), PolicyName: aws.String("audit"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["` + strings.Join(spec.AuditActions(), `","`) + `"],"Resource":"*"},
			{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::` + store + `"},
			{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::` + store + `/*"},
			{"Effect":"Allow","Action":"sns:Publish","Resource":"` + s.topic + `"},
			{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`)}))
	architecture := types.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = types.ArchitectureArm64
	}
	functions := lambda.NewFromConfig(cfg)
	s.must(functions.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("auditor"), Role: role.Role.Arn, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []types.Architecture{architecture}, Timeout: aws.Int32(300), MemorySize: aws.Int32(256), Code: &types.FunctionCode{ZipFile: audittest.Zip(t, audittest.Build(t, "../cmd/auditor"))},
		Environment: &types.Environment{Variables: map[string]string{spec.EnvAuditBucket: store, spec.EnvAuditTopic: s.topic}},
	}))
	require.NoError(t, s.cloud.Advance(ctx, time.Minute)) // the function becomes active
	out, err := functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("auditor"), Payload: []byte(`{}`), LogType: types.LogTypeTail})
	require.NoError(t, err)
	require.Nil(t, out.FunctionError, string(out.Payload))
	var summary run.Summary
	require.NoError(t, json.Unmarshal(out.Payload, &summary))
	assert.True(t, summary.Complete)
	assert.Equal(t, 1, summary.Secrets)
	assert.Equal(t, 3, summary.Unknown, "there is no scan of three places, and all else could be read")
	assert.Contains(t, s.get(summary.Report), "loose")
	assert.NotContains(t, s.get(summary.Report), "canary")
	assert.NotEmpty(t, s.alerts())
	assert.Empty(t, s.cloud.Unsupported(), "calls that the local cloud doesn't know")
}
