package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/rotators/operate"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region = "us-east-1"
	secret = "aistudio/dev/shop/partner-key"
)

// world is a local cloud in which a secret is rotated by the real program of a
// rotation function.
type world struct {
	*testing.T
	cloud    *localcloud.Cloud
	secrets  *secretsmanager.Client
	lambda   *lambda.Client
	name     string // of the secret
	function string // its rotation function's ARN
	printed  strings.Builder
}

// newWorld deploys the rotation function in ../<program>.
func newWorld(t *testing.T, program string, environment map[string]string) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	config := cloud.Config(region)
	w := &world{T: t, cloud: cloud, secrets: secretsmanager.NewFromConfig(config), lambda: lambda.NewFromConfig(config), name: secret}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": cloud.URL(), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "",
		"AWS_REGION": region, "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	roles := iam.NewFromConfig(config)
	role, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName:                 aws.String("rotator"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(t, err)
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("rotator"), PolicyName: aws.String("rotate"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:*","logs:*"],"Resource":"*"}]}`),
	})
	require.NoError(t, err)
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	function, err := w.lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String(program), Role: role.Role.Arn, Timeout: aws.Int32(60),
		Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Architectures: []lambdatypes.Architecture{architecture},
		Code: &lambdatypes.FunctionCode{ZipFile: zipped(t, program)}, Environment: &lambdatypes.Environment{Variables: environment},
	})
	require.NoError(t, err)
	w.function = *function.FunctionArn
	require.NoError(t, cloud.Advance(t.Context(), time.Second))
	_, err = w.lambda.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: aws.String(program), StatementId: aws.String("rotate"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(cloud.Account()),
	})
	require.NoError(t, err)
	return w
}

// programs are the zips of the functions, built once.
var programs sync.Map

// zipped is a rotation function's program as a Lambda function's code.
func zipped(t *testing.T, program string) []byte {
	t.Helper()
	if code, ok := programs.Load(program); ok {
		return code.([]byte)
	}
	path := filepath.Join(t.TempDir(), "bootstrap")
	command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "../"+program)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	binary, err := os.ReadFile(path)
	require.NoError(t, err)
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	require.NoError(t, err)
	_, err = file.Write(binary)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	programs.Store(program, buffer.Bytes())
	return buffer.Bytes()
}

// newKey is a world with an API key that is rotated every 30 days, in windows of
// two hours.
func newKey(t *testing.T) *world {
	w := newWorld(t, "rotate-api-key", nil)
	w.deploy(spec.SeedRequest{})
	return w
}

// deploy makes the secret, seeds it and sets its rotation up.
func (w *world) deploy(seed spec.SeedRequest) {
	w.Helper()
	_, err := w.secrets.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: &w.name})
	require.NoError(w, err)
	seed.Step, seed.SecretID = spec.StepSeed, w.name
	payload, err := json.Marshal(seed)
	require.NoError(w, err)
	output, err := w.lambda.Invoke(w.Context(), &lambda.InvokeInput{FunctionName: &w.function, Payload: payload})
	require.NoError(w, err)
	require.Nil(w, output.FunctionError, "%s", output.Payload)
	_, err = w.secrets.RotateSecret(w.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &w.name, RotationLambdaARN: &w.function, RotateImmediately: aws.Bool(false),
		RotationRules: &smtypes.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)"), Duration: aws.String("2h")},
	})
	require.NoError(w, err)
	require.NoError(w, w.cloud.Advance(w.Context(), 24*time.Hour))
}

// become makes the commands those of a role with a policy.
func (w *world) become(role, policy string) {
	w.Helper()
	config := w.cloud.Config(region)
	created, err := iam.NewFromConfig(config).CreateRole(w.Context(), &iam.CreateRoleInput{
		RoleName:                 &role,
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + w.cloud.Account() + `"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(w, err)
	_, err = iam.NewFromConfig(config).PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("rights"), PolicyDocument: &policy})
	require.NoError(w, err)
	session, err := sts.NewFromConfig(config).AssumeRole(w.Context(), &sts.AssumeRoleInput{RoleArn: created.Role.Arn, RoleSessionName: aws.String("ann")})
	require.NoError(w, err)
	w.Setenv("AWS_ACCESS_KEY_ID", *session.Credentials.AccessKeyId)
	w.Setenv("AWS_SECRET_ACCESS_KEY", *session.Credentials.SecretAccessKey)
	w.Setenv("AWS_SESSION_TOKEN", *session.Credentials.SessionToken)
}

// breakFunction makes the rotation function fail at its start, as one does that
// is configured wrongly, or lets it work again.
func (w *world) breakFunction(broken bool) {
	w.Helper()
	variables := map[string]string{}
	if broken {
		variables[spec.EnvLogLevel] = "loud"
	}
	_, err := w.lambda.UpdateFunctionConfiguration(w.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &w.function, Environment: &lambdatypes.Environment{Variables: variables},
	})
	require.NoError(w, err)
	require.NoError(w, w.cloud.Advance(w.Context(), time.Second))
}

// rotate runs the command as a build does, without a terminal.
func (w *world) rotate(args ...string) (code int, stdout, stderr string) {
	w.Helper()
	return w.answer("", false, args...)
}

// answer runs the command with somebody who answers.
func (w *world) answer(line string, human bool, args ...string) (code int, stdout, stderr string) {
	w.Helper()
	var out, err bytes.Buffer
	t := terminal{in: strings.NewReader(line), out: &out, err: &err, human: human, options: operate.Options{Interval: 20 * time.Millisecond}}
	code = execute(w.Context(), t, args)
	require.NoError(w, w.cloud.Settle(w.Context())) // the last event of a rotation comes after it
	w.printed.WriteString(out.String() + err.String())
	w.Logf("$ rotate %s\n%s%s[%d]", strings.Join(args, " "), out.String(), err.String(), code)
	return code, out.String(), err.String()
}

func (w *world) status() operate.Status {
	w.Helper()
	code, stdout, stderr := w.rotate("status", "--json", w.name)
	require.Equal(w, exitDone, code, stderr)
	var status operate.Status
	require.NoError(w, json.Unmarshal([]byte(stdout), &status))
	return status
}

// version returns the id of the version with a stage, "" if there is none.
func (w *world) version(stage string) string {
	w.Helper()
	out, err := w.secrets.DescribeSecret(w.Context(), &secretsmanager.DescribeSecretInput{SecretId: &w.name})
	require.NoError(w, err)
	for id, stages := range out.VersionIdsToStages {
		for _, s := range stages {
			if s == stage {
				return id
			}
		}
	}
	return ""
}

// noValues fails if any value that the secret has was printed.
func (w *world) noValues() {
	w.Helper()
	require.NotEmpty(w, w.printed.String())
	for _, stage := range []string{"AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"} {
		out, err := w.secrets.GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: &w.name, VersionStage: &stage})
		if err != nil {
			continue // no such version
		}
		var members map[string]any
		require.NoError(w, json.Unmarshal([]byte(*out.SecretString), &members))
		for _, key := range []string{"key", "password"} {
			if value, ok := members[key].(string); ok {
				assert.False(w, strings.Contains(w.printed.String(), value), "the %s of %s was printed", key, stage)
			}
		}
	}
}
