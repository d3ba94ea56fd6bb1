package lambda_test

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

// buildDir is where code builds; TestMain removes it.
var buildDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lambda-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	buildDir = dir
	return m.Run()
}

// code is the zip of testdata/function.
var code = sync.OnceValue(func() []byte {
	bootstrap := filepath.Join(buildDir, "bootstrap")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", bootstrap, "./testdata/function")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build: %v\n%s", err, out))
	}
	content, err := os.ReadFile(bootstrap)
	if err != nil {
		panic(err)
	}
	return zipOf(map[string][]byte{"bootstrap": content})
})

func zipOf(files map[string][]byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		f, err := w.CreateHeader(h)
		if err != nil {
			panic(err)
		}
		if _, err := f.Write(content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func hostArchitecture() types.Architecture {
	if runtime.GOARCH == "arm64" {
		return types.ArchitectureArm64
	}
	return types.ArchitectureX8664
}

// world is a local cloud with a role for functions.
type world struct {
	*localcloud.Cloud
	lambda *lambda.Client
	iam    *iam.Client
	role   string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	cfg := cloud.Config("us-east-1")
	w := &world{Cloud: cloud, lambda: lambda.NewFromConfig(cfg), iam: iam.NewFromConfig(cfg)}
	w.role = w.createRole(t, "worker", `{"Effect":"Allow","Action":"logs:*","Resource":"*"}`)
	return w
}

func (w *world) createRole(t *testing.T, name, statement string) string {
	t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	out, err := w.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	require.NoError(t, err)
	_, err = w.iam.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: &name, PolicyName: aws.String("work"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[` + statement + `]}`),
	})
	require.NoError(t, err)
	return *out.Role.Arn
}

func (w *world) input(name string) *lambda.CreateFunctionInput {
	return &lambda.CreateFunctionInput{
		FunctionName: &name, Role: &w.role, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Code: &types.FunctionCode{ZipFile: code()}, Timeout: aws.Int32(60),
		Architectures: []types.Architecture{hostArchitecture()},
	}
}

// create makes a function and waits until it is active.
func (w *world) create(t *testing.T, in *lambda.CreateFunctionInput) *lambda.CreateFunctionOutput {
	t.Helper()
	out, err := w.lambda.CreateFunction(t.Context(), in)
	require.NoError(t, err)
	require.NoError(t, w.Advance(t.Context(), time.Second))
	return out
}

type reply struct {
	Value, Colour string
	PID           int
	ErrorType     string `json:"errorType"`
	ErrorMessage  string `json:"errorMessage"`
}

func (w *world) invoke(t *testing.T, name, do, value string) (*lambda.InvokeOutput, reply) {
	t.Helper()
	payload, err := json.Marshal(map[string]string{"Do": do, "Value": value})
	require.NoError(t, err)
	out, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: payload, LogType: types.LogTypeTail})
	require.NoError(t, err)
	var r reply
	require.NoError(t, json.Unmarshal(out.Payload, &r), "%s", out.Payload)
	return out, r
}

// requireCode checks the error's code and returns its message.
func requireCode(t *testing.T, err error, code string) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.ErrorCode(), e.ErrorMessage())
	return e.ErrorMessage()
}

func TestCreateAndInvoke(t *testing.T) {
	w := newWorld(t)
	out, err := w.lambda.CreateFunction(t.Context(), w.input("worker"))
	require.NoError(t, err)
	assert.Equal(t, types.StatePending, out.State)
	assert.Equal(t, "arn:aws:lambda:us-east-1:123456789012:function:worker", *out.FunctionArn)

	require.NoError(t, w.Advance(t.Context(), time.Second))
	got, err := w.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("worker")})
	require.NoError(t, err)
	assert.Equal(t, types.StateActive, got.Configuration.State)

	result, r := w.invoke(t, "worker", "echo", "hello")
	assert.Equal(t, int32(200), result.StatusCode)
	assert.Nil(t, result.FunctionError)
	assert.Equal(t, "$LATEST", *result.ExecutedVersion)
	assert.Equal(t, "hello", r.Value)
	log, err := base64.StdEncoding.DecodeString(*result.LogResult)
	require.NoError(t, err)
	assert.Contains(t, string(log), "START RequestId: ")

	result, r = w.invoke(t, "worker", "error", "no")
	assert.Equal(t, "Unhandled", *result.FunctionError)
	assert.Equal(t, "no", r.ErrorMessage)
}

func updateTrust(name, trust string) *iam.UpdateAssumeRolePolicyInput {
	return &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &trust}
}
