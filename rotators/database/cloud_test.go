package database

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	lambdahandler "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region          = "us-east-1"
	forwardVariable = "FORWARD_TO"
)

// forward is this test binary as a Lambda function: it hands each event to the
// test that it's part of, so that the emulator's Secrets Manager runs rotations
// by its own rules and the test decides where the rotator dies.
func forward() {
	lambdahandler.Start(func(ctx context.Context, event json.RawMessage) (json.RawMessage, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv(forwardVariable), bytes.NewReader(event))
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("the rotator failed: %s", body)
		}
		return body, err
	})
}

// estate is an emulator with a master secret and a rotation function whose code
// is handle.
type estate struct {
	*fixture
	cloud       *localcloud.Cloud
	client      *secretsmanager.Client
	functionARN string
	handle      func(ctx context.Context, event json.RawMessage) (*spec.SeedResult, error)
}

func newEstate(t testing.TB, f *fixture) *estate {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	e := &estate{fixture: f, cloud: cloud, client: secretsmanager.NewFromConfig(cloud.Config(region))}

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event, _ := io.ReadAll(r.Body)
		result, err := e.handle(r.Context(), event)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(result)
	}))
	t.Cleanup(server.Close)
	e.functionARN = createFunction(t, cloud, server.URL)
	return e
}

func createFunction(t testing.TB, cloud *localcloud.Cloud, url string) string {
	t.Helper()
	roles := iam.NewFromConfig(cloud.Config(region))
	role, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName:                 aws.String("rotator"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(t, err)
	_, err = roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("rotator"), PolicyName: aws.String("log"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}`),
	})
	require.NoError(t, err)
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	functions := lambda.NewFromConfig(cloud.Config(region))
	function, err := functions.CreateFunction(t.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("rotator"), Role: role.Role.Arn, Timeout: aws.Int32(300),
		Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Architectures: []lambdatypes.Architecture{architecture},
		Code:        &lambdatypes.FunctionCode{ZipFile: ownZip(t)},
		Environment: &lambdatypes.Environment{Variables: map[string]string{forwardVariable: url}},
	})
	require.NoError(t, err)
	require.NoError(t, cloud.Advance(t.Context(), time.Second))
	_, err = functions.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: aws.String("rotator"), StatementId: aws.String("rotate"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(cloud.Account()),
	})
	require.NoError(t, err)
	return *function.FunctionArn
}

// ownZip is this test binary as a function's code.
func ownZip(t testing.TB) []byte {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
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

// createSecret makes a secret without a value, and one for the master.
func (e *estate) createSecrets(name string) {
	e.Helper()
	master, err := e.client.CreateSecret(e.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("aistudio/dev/platform/admin-of-" + name), SecretString: aws.String(e.masters[masterARN].RevealString()),
	})
	require.NoError(e, err)
	e.master = *master.ARN
	secret, err := e.client.CreateSecret(e.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("aistudio/dev/orders/" + name)})
	require.NoError(e, err)
	e.arn = *secret.ARN
}

func (e *estate) rotator(k *killer) *rotation.Rotator {
	config := e.cloud.Config(region)
	if k != nil {
		config.HTTPClient = &http.Client{Transport: k}
	}
	client := secretsmanager.NewFromConfig(config)
	log := slog.New(slog.NewJSONHandler(e.logs, nil))
	target := New(client, Options{RootCAs: roots(e.TB, postgres.CAFile, mariadb.CAFile), Logger: log})
	if k != nil {
		target.network.dial = k.dial
	}
	return rotation.New(client, target, rotation.Options{Logger: log})
}

func (e *estate) seedEvent() json.RawMessage {
	e.Helper()
	request := e.seedRequest()
	request.SecretID, request.Database.MasterSecretARN = e.arn, e.master
	event, err := json.Marshal(request)
	require.NoError(e, err)
	return event
}

// staged reads the value with a stage.
func (e *estate) staged(stage string) (spec.Value, string) {
	e.Helper()
	output, err := e.client.GetSecretValue(e.Context(), &secretsmanager.GetSecretValueInput{SecretId: &e.arn, VersionStage: &stage})
	require.NoError(e, err)
	return spec.ValueString(*output.SecretString), *output.VersionId
}

// stages are the labels of each version that has any.
func (e *estate) stages() map[string]string {
	e.Helper()
	output, err := e.client.DescribeSecret(e.Context(), &secretsmanager.DescribeSecretInput{SecretId: &e.arn})
	require.NoError(e, err)
	labels := map[string]string{}
	for id, stages := range output.VersionIdsToStages {
		for _, stage := range stages {
			labels[stage] = strings.TrimSpace(labels[stage] + " " + id)
		}
	}
	return labels
}
