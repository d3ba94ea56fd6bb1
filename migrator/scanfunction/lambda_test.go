package scanfunction_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventstypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/migrator/scanfunction"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region = "us-east-1"
	bucket = "acme-prod-audit"
	canary = "Zq7Rk2m9Xw3Jt8f5Kv1Bd6Hp"
)

// stack is an estate with the function that scans it, in a local cloud.
type stack struct {
	*testing.T
	cloud *localcloud.Cloud
	log   bytes.Buffer
}

func newStack(t *testing.T) *stack {
	t.Helper()
	// The function's clock is the real one.
	cloud, err := localcloud.New(localcloud.WithStart(time.Now().Add(-time.Hour)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	s := &stack{T: t, cloud: cloud}
	s.must(s3.NewFromConfig(s.config()).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}))
	s.role("scan", "lambda.amazonaws.com")
	s.role("service", "lambda.amazonaws.com", "ecs-tasks.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com")
	return s
}

func (s *stack) config() aws.Config { return s.cloud.Config(region) }

func (s *stack) must(_ any, err error) {
	s.Helper()
	require.NoError(s, err)
}

func role(name string) *string {
	return aws.String("arn:aws:iam::" + localcloud.DefaultAccount + ":role/" + name)
}

func (s *stack) role(name string, services ...string) {
	s.Helper()
	s.must(iam.NewFromConfig(s.config()).CreateRole(s.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":["` + strings.Join(services, `","`) + `"]},"Action":"sts:AssumeRole"}}`)}))
}

// allow gives the function's role what it needs, except for some actions.
func (s *stack) allow(except ...string) {
	s.Helper()
	deny := ""
	if len(except) > 0 {
		deny = `,{"Effect":"Deny","Action":["` + strings.Join(except, `","`) + `"],"Resource":"*"}`
	}
	s.must(iam.NewFromConfig(s.config()).PutRolePolicy(s.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("scan"), PolicyName: aws.String("scan"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["` + strings.Join(spec.ScanActions(), `","`) + `"],"Resource":"*"},
			{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::` + bucket + `"},
			{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::` + bucket + "/" + spec.ScanConfigKey + `"},
			{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::` + bucket + "/" + spec.ScanKey + `"},
			{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}` + deny + `]}`)}))
}

// estate makes one secret in plaintext at each place that can hold one.
func (s *stack) estate() {
	s.Helper()
	ctx := s.Context()
	s.create("orders", role("service"), []byte("#!/bin/sh\n"), map[string]string{"DB_PASSWORD": canary, "LOG_LEVEL": "info"}, 3)
	s.must(lambda.NewFromConfig(s.config()).PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String("orders")}))
	require.NoError(s, s.cloud.Advance(ctx, time.Minute))

	containers := ecs.NewFromConfig(s.config())
	cluster, err := containers.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("shop")})
	require.NoError(s, err)
	definition, err := containers.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), ExecutionRoleArn: role("service"), ContainerDefinitions: []ecstypes.ContainerDefinition{{
			Name: aws.String("app"), Image: aws.String("web:1"), Environment: []ecstypes.KeyValuePair{{Name: aws.String("API_TOKEN"), Value: aws.String(canary)}},
		}},
	})
	require.NoError(s, err)
	s.must(containers.CreateService(ctx, &ecs.CreateServiceInput{
		Cluster: aws.String("shop"), ServiceName: aws.String("web"), TaskDefinition: definition.TaskDefinition.TaskDefinitionArn, DesiredCount: aws.Int32(1),
	}))
	overrides := aws.String(`{"containerOverrides":[{"name":"app","environment":[{"name":"API_TOKEN","value":"` + canary + `"}]}]}`)
	rules := eventbridge.NewFromConfig(s.config())
	s.must(rules.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String("nightly"), ScheduleExpression: aws.String("rate(1 day)")}))
	s.must(rules.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: aws.String("nightly"), Targets: []eventstypes.Target{{
		Id: aws.String("task"), Arn: cluster.Cluster.ClusterArn, RoleArn: role("service"), Input: overrides,
		EcsParameters: &eventstypes.EcsParameters{TaskDefinitionArn: definition.TaskDefinition.TaskDefinitionArn},
	}}}))
	s.must(scheduler.NewFromConfig(s.config()).CreateSchedule(ctx, &scheduler.CreateScheduleInput{
		Name: aws.String("weekly"), ScheduleExpression: aws.String("rate(7 days)"), FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: schedulertypes.FlexibleTimeWindowModeOff},
		Target: &schedulertypes.Target{
			Arn: cluster.Cluster.ClusterArn, RoleArn: role("service"), Input: overrides,
			EcsParameters: &schedulertypes.EcsParameters{TaskDefinitionArn: definition.TaskDefinition.TaskDefinitionArn},
		},
	}))
	parameters := ssm.NewFromConfig(s.config())
	for name, kind := range map[string]ssmtypes.ParameterType{"/shop/db/password": ssmtypes.ParameterTypeString, "/shop/api/token": ssmtypes.ParameterTypeSecureString} {
		s.must(parameters.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: aws.String(canary), Type: kind}))
	}
}

func (s *stack) create(name string, role *string, bootstrap []byte, environment map[string]string, timeout int32) {
	s.Helper()
	var code bytes.Buffer
	archive := zip.NewWriter(&code)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	require.NoError(s, err)
	s.must(file.Write(bootstrap))
	require.NoError(s, archive.Close())
	architecture := types.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = types.ArchitectureArm64
	}
	s.must(lambda.NewFromConfig(s.config()).CreateFunction(s.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Role: role, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Architectures: []types.Architecture{architecture},
		Timeout: &timeout, MemorySize: aws.Int32(256), Code: &types.FunctionCode{ZipFile: code.Bytes()}, Environment: &types.Environment{Variables: environment},
	}))
	require.NoError(s, s.cloud.Advance(s.Context(), time.Minute)) // it becomes active
}

// deploy makes a function of the real binary.
func (s *stack) deploy() {
	s.Helper()
	path := filepath.Join(s.TempDir(), "bootstrap")
	command := exec.CommandContext(s.Context(), "go", "build", "-ldflags=-s -w", "-o", path, ".")
	command.Dir = "../cmd/migration-scan"
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := command.CombinedOutput()
	require.NoError(s, err, string(output))
	program, err := os.ReadFile(path)
	require.NoError(s, err)
	s.create("migration-scan", role("scan"), program, map[string]string{spec.EnvScanBucket: bucket, spec.EnvScanRegions: region, spec.EnvScanEnvironment: "prod"}, 60)
}

// invoke runs the function and returns what it stored.
func (s *stack) invoke() (spec.Scan, scanfunction.Summary) {
	s.Helper()
	out, err := lambda.NewFromConfig(s.config()).Invoke(s.Context(), &lambda.InvokeInput{
		FunctionName: aws.String("migration-scan"), Payload: []byte(`{}`), LogType: types.LogTypeTail,
	})
	require.NoError(s, err)
	require.Nil(s, out.FunctionError, string(out.Payload))
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	require.NoError(s, err)
	s.log.Write(tail)
	var summary scanfunction.Summary
	require.NoError(s, json.Unmarshal(out.Payload, &summary))
	text := s.stored()
	for _, where := range []string{text, string(tail), string(out.Payload)} {
		assert.NotContains(s, where, canary[:8])
	}
	scan, err := spec.ReadScan(strings.NewReader(text))
	require.NoError(s, err)
	return scan, summary
}

func (s *stack) stored() string {
	s.Helper()
	out, err := s3.NewFromConfig(s.config()).GetObject(s.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(spec.ScanKey)})
	require.NoError(s, err)
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	require.NoError(s, err)
	return string(text)
}

// TestTheRealFunction runs the binary as Lambda does, with a role that may do
// what spec.ScanActions says and nothing else; then without one of them after the
// other: what can't be read is unread, never clean.
func TestTheRealFunction(t *testing.T) {
	s := newStack(t)
	s.estate()
	s.deploy()
	s.allow()
	whole, summary := s.invoke()
	assert.Empty(t, whole.Unread)
	assert.Equal(t, scanfunction.Summary{Findings: 6, Result: spec.ScanKey}, summary)
	var places []string
	for _, f := range whole.Findings {
		places = append(places, f.ARN[strings.LastIndexByte(f.ARN, ':')+1:]+" "+f.Variable)
		assert.Equal(t, spec.ScanLikely, f.Confidence)
	}
	assert.Equal(t, []string{"orders DB_PASSWORD", "1 DB_PASSWORD", "1 API_TOKEN", "rule/nightly API_TOKEN", "schedule/default/weekly API_TOKEN", "parameter/shop/db/password "}, places)
	assert.Contains(t, s.log.String(), `"`+spec.MetricPlaintextSecrets+`":6`)
	assert.Contains(t, s.log.String(), `"`+spec.MetricScanUnread+`":0`)
	assert.Contains(t, s.log.String(), `"`+spec.DimensionEnvironment+`":"prod"`)

	for _, action := range spec.ScanActions() {
		t.Run("without "+action, func(t *testing.T) {
			s.allow(action)
			part, summary := s.invoke()
			require.NotEmpty(t, part.Unread)
			assert.Equal(t, len(part.Unread), summary.Unread)
			for _, u := range part.Unread {
				assert.Contains(t, u.Reason, "AccessDenied", action)
			}
			for _, f := range part.Findings {
				assert.Contains(t, whole.Findings, f)
			}
		})
	}
	assert.Empty(t, s.cloud.Unsupported())
}
