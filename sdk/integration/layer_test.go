package integration_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/faults"
)

const extensionName = "secrets-extension"

// programs builds the layer, the function and a rotator once.
var programs = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "layer-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	built := map[string][]byte{}
	for name, pkg := range map[string]string{"bootstrap": "function", extensionName: "../cmd/secrets-extension", "rotate-custom": "../../rotators/cmd/rotate-custom"} {
		target := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", target, ".")
		cmd.Dir = pkg
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, err
		}
		if built[name], err = os.ReadFile(target); err != nil {
			return nil, err
		}
	}
	return built, nil
})

// zipOf returns a zip of executable files.
func zipOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o755)
		file, err := w.CreateHeader(header)
		require.NoError(t, err)
		_, err = file.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// function is a Lambda function with the layer, in a local cloud.
type function struct {
	*cloud
	lambda *lambda.Client
	port   string // of the layer
}

// startFunction makes the function of the folder function.
func startFunction(t *testing.T, variables map[string]string) *function {
	t.Helper()
	built, err := programs()
	require.NoError(t, err)
	return startFunctionOf(t, zipOf(t, map[string][]byte{"bootstrap": built["bootstrap"]}), variables)
}

// startFunctionOf makes a function of that deployment package.
func startFunctionOf(t *testing.T, code []byte, variables map[string]string) *function {
	t.Helper()
	built, err := programs()
	require.NoError(t, err)
	c := startCloud(t)
	f := &function{cloud: c, lambda: lambda.NewFromConfig(c.Config(primary)), port: freePort(t)}

	layer, err := f.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
		LayerName: aws.String("secrets"), Content: &types.LayerVersionContentInput{ZipFile: zipOf(t, map[string][]byte{"extensions/" + extensionName: built[extensionName]})},
	})
	require.NoError(t, err)
	architecture := types.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = types.ArchitectureArm64
	}
	_, err = f.lambda.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("shop"), Role: aws.String(c.role(t, `{"Service":"lambda.amazonaws.com"}`)), Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []types.Architecture{architecture}, Timeout: aws.Int32(60), Layers: []string{*layer.LayerVersionArn},
		Code:        &types.FunctionCode{ZipFile: code},
		Environment: f.environment(variables),
	})
	require.NoError(t, err)
	require.NoError(t, lambda.NewFunctionActiveV2Waiter(f.lambda).Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("shop")}, time.Minute))
	return f
}

// role makes a role that may read what the tests read, and returns its ARN.
func (c *cloud) role(t *testing.T, principal string) string {
	t.Helper()
	users := iam.NewFromConfig(c.Config(primary))
	role, err := users.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("shop"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"}]}`)})
	require.NoError(t, err)
	_, err = users.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("shop"), PolicyName: aws.String("read"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"logs:*","Resource":"*"},
			{"Effect":"Allow","Action":["ssm:GetParameter","dynamodb:Query"],"Resource":"*"},
			{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","secretsmanager:BatchGetSecretValue"],"Resource":"*"}]}`)})
	require.NoError(t, err)
	return *role.Role.Arn
}

// environment is the function's, with the layer's port.
func (f *function) environment(variables map[string]string) *types.Environment {
	all := map[string]string{"PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": f.port}
	maps.Copy(all, variables)
	return &types.Environment{Variables: all}
}

// freePort returns a port that nobody listens on, below those that Linux gives
// to connections by itself: one of these might be taken before it is used. In
// Lambda each environment has a network of its own; here they share the
// machine's.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		return port
	}
}

type event struct{ Path, Kill string }

type answer struct {
	Status int
	Body   string
}

// invoke returns the function's answer, or the type and message of its error.
func (f *function) invoke(t *testing.T, e event) (answer, string) {
	t.Helper()
	payload, err := json.Marshal(e)
	require.NoError(t, err)
	out, err := f.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("shop"), Payload: payload})
	require.NoError(t, err)
	var got struct {
		answer
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}
	require.NoError(t, json.Unmarshal(out.Payload, &got), "%s", out.Payload)
	if out.FunctionError == nil {
		return got.answer, ""
	}
	return got.answer, got.ErrorType + ": " + got.ErrorMessage
}

func (f *function) read(t *testing.T, path string) answer {
	t.Helper()
	got, failed := f.invoke(t, event{Path: path})
	require.Empty(t, failed)
	return got
}

const secretPath = "/secretsmanager/get?secretId=" + secretName

// value is what a 200 brought.
func value(t *testing.T, a answer) string {
	t.Helper()
	require.Equal(t, 200, a.Status, a.Body)
	var body struct {
		SecretString string
		Parameter    struct{ Value string }
	}
	require.NoError(t, json.Unmarshal([]byte(a.Body), &body))
	return body.SecretString + body.Parameter.Value
}

func TestAFunctionReadsThroughTheLayer(t *testing.T) {
	f := startFunction(t, map[string]string{})
	assert.Equal(t, "one", value(t, f.read(t, secretPath)))
	assert.Equal(t, "one", value(t, f.read(t, "/v1/"+secretName)))

	parameters := ssm.NewFromConfig(f.Config(primary))
	_, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/shop/colour"), Value: aws.String("green"), Type: ssmtypes.ParameterTypeSecureString})
	require.NoError(t, err)
	parameter := "/systemsmanager/parameters/get/?withDecryption=true&name=%2Fshop%2Fcolour"
	assert.Equal(t, "green", value(t, f.read(t, parameter)))

	missing := f.read(t, "/secretsmanager/get?secretId=acme/dev/shop/none")
	assert.Equal(t, 400, missing.Status)
	assert.Contains(t, missing.Body, `{"__type":"ResourceNotFoundException","message":"`)

	f.put(t, "the second")
	assert.Equal(t, "one", value(t, f.read(t, secretPath)), "from the cache")
	assert.Equal(t, "the second", value(t, f.read(t, secretPath+"&refreshNow=true")))
	assert.Equal(t, "one", value(t, f.read(t, secretPath+"&versionStage=AWSPREVIOUS")))

	f.fail(t, faults.Fault{Kind: faults.DropBefore, Region: primary, Service: "secretsmanager"})
	assert.Equal(t, "the second", value(t, f.read(t, secretPath)))
}

// What the layer says at Init is what AWS's extension says. Nothing is read
// before the first invocation, and then the prefetch list is.
func TestTheLayerServesNothingBeforeTheFirstInvocation(t *testing.T) {
	f := startFunction(t, map[string]string{"READ_AT_INIT": secretPath, "SECRETS_PREFETCH": secretName + "," + secretName + "-none"})
	got := f.read(t, "")
	assert.Equal(t, 400, got.Status)
	assert.Equal(t, "not ready to serve traffic, please wait", got.Body)
	assert.Equal(t, "one", value(t, f.read(t, secretPath)))
}

func TestTheLayerFailsOverToTheReplica(t *testing.T) {
	f := startFunction(t, map[string]string{"SECRETS_FAILOVER_REGIONS": replica})
	f.fail(t, faults.Fault{Kind: faults.DropBefore, Region: primary, Service: "secretsmanager"})
	got := f.read(t, secretPath)
	assert.Equal(t, "one", value(t, got))
	assert.Contains(t, got.Body, ":"+replica+":")
}

// Lambda ends the environment of an extension that was killed, and the
// invocation with it. The next one runs in a new environment.
func TestTheFunctionOutlivesTheLayer(t *testing.T) {
	f := startFunction(t, map[string]string{})
	require.Equal(t, "one", value(t, f.read(t, secretPath)))
	_, failed := f.invoke(t, event{Path: secretPath, Kill: extensionName})
	assert.Contains(t, failed, "Extension.Crash: ")
	assert.Contains(t, failed, "signal: killed")
	assert.Equal(t, "one", value(t, f.read(t, secretPath)))
}

// Another program has the port: the Init fails and says so.
func TestTheLayersPortIsTaken(t *testing.T) {
	f := startFunction(t, map[string]string{})
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:"+f.port)
	require.NoError(t, err)
	_, failed := f.invoke(t, event{Path: "/ping"})
	assert.Contains(t, failed, "Extension.InitError: ")
	require.NoError(t, taken.Close())
	assert.Equal(t, answer{200, "healthy"}, f.read(t, "/ping"))
}
