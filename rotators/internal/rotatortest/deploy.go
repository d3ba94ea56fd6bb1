package rotatortest

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

// Function is a Lambda function that a test deploys, with a role of its own.
type Function struct {
	Name        string
	Program     string // path of the executable
	Statements  string // of the role's policy, JSON objects separated by commas, beside those for its log; "": none
	Environment map[string]string
}

// Deploy makes the function, which Secrets Manager may invoke, and returns its
// ARN.
func Deploy(t testing.TB, cloud *localcloud.Cloud, f Function) string {
	t.Helper()
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	functions := lambda.NewFromConfig(cloud.Config(region))
	function, err := functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &f.Name, Role: aws.String(createRole(t, cloud, f)), Timeout: aws.Int32(300),
		Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Architectures: []lambdatypes.Architecture{architecture},
		Code:        &lambdatypes.FunctionCode{ZipFile: zipped(t, f.Program)},
		Environment: &lambdatypes.Environment{Variables: f.Environment},
	})
	require.NoError(t, err)
	require.NoError(t, cloud.Advance(t.Context(), time.Second))
	_, err = functions.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: &f.Name, StatementId: aws.String("rotate"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(cloud.Account()),
	})
	require.NoError(t, err)
	return *function.FunctionArn
}

func createRole(t testing.TB, cloud *localcloud.Cloud, f Function) string {
	t.Helper()
	roles := iam.NewFromConfig(cloud.Config(region))
	role, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName:                 &f.Name,
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(t, err)
	statements := `{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}`
	if f.Statements != "" {
		statements += "," + f.Statements
	}
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: &f.Name, PolicyName: aws.String("function"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[` + statements + `]}`),
	})
	require.NoError(t, err)
	return *role.Role.Arn
}

// Build compiles the command in a folder for Lambda and returns the
// executable's path.
func Build(t testing.TB, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	command.Dir = folder
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	return path
}

// Self is the running test binary.
func Self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// zipped is an executable as a function's code.
func zipped(t testing.TB, path string) []byte {
	t.Helper()
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
	return buffer.Bytes()
}
