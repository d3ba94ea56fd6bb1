package main_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/localdb"
	"github.com/aistudio/secrets/sdk/feed"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region     = "us-east-1"
	function   = "rotate-database"
	feedTable  = "rotation-feed"
	logGroup   = "/aws/lambda/" + function
	masterName = "aistudio/dev/platform/postgres-admin"
	secretName = "aistudio/dev/orders/postgres"
)

// world is the emulator with the real binary as a Lambda function, whose role
// may do what it needs and no more, and a real database.
type world struct {
	*testing.T
	cloud    *localcloud.Cloud
	postgres *localdb.Postgres
	secrets  *secretsmanager.Client
	lambda   *lambda.Client
	secret   string
	master   string
	values   []spec.Value // all that were current
}

func newWorld(t *testing.T) *world {
	t.Helper()
	postgres, err := localdb.StartPostgres(t.Context(), localdb.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Close()) })
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	config := cloud.Config(region)
	w := &world{
		T: t, cloud: cloud, postgres: postgres,
		secrets: secretsmanager.NewFromConfig(config), lambda: lambda.NewFromConfig(config),
	}
	w.createSecrets()
	w.createFeed(config)
	w.createFunction(w.createRole(config))
	return w
}

func (w *world) createSecrets() {
	master, err := spec.Database{
		Engine: spec.EnginePostgres, Host: w.postgres.Host, Port: w.postgres.Port,
		Username: w.postgres.AdminUser, Password: spec.ValueString(w.postgres.AdminPassword),
	}.Encode()
	require.NoError(w, err)
	w.values = append(w.values, master)
	created, err := w.secrets.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(masterName), SecretString: aws.String(master.RevealString())})
	require.NoError(w, err)
	w.master = *created.ARN
	created, err = w.secrets.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(secretName)})
	require.NoError(w, err)
	w.secret = *created.ARN
}

func (w *world) createFeed(config aws.Config) {
	_, err := dynamodb.NewFromConfig(config).CreateTable(w.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String(feedTable), BillingMode: dynamotypes.BillingModePayPerRequest,
		KeySchema: []dynamotypes.KeySchemaElement{
			{AttributeName: aws.String(spec.FeedKey), KeyType: dynamotypes.KeyTypeHash},
			{AttributeName: aws.String(spec.FeedTime), KeyType: dynamotypes.KeyTypeRange},
		},
		AttributeDefinitions: []dynamotypes.AttributeDefinition{
			{AttributeName: aws.String(spec.FeedKey), AttributeType: dynamotypes.ScalarAttributeTypeS},
			{AttributeName: aws.String(spec.FeedTime), AttributeType: dynamotypes.ScalarAttributeTypeS},
		},
	})
	require.NoError(w, err)
}

func (w *world) createRole(config aws.Config) string {
	client := iam.NewFromConfig(config)
	role, err := client.CreateRole(w.Context(), &iam.CreateRoleInput{
		RoleName:                 aws.String(function),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(w, err)
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue","secretsmanager:PutSecretValue","secretsmanager:UpdateSecretVersionStage"],"Resource":%q},
		{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":%q},
		{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"arn:aws:dynamodb:us-east-1:123456789012:table/rotation-feed"},
		{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`, w.secret, w.master)
	_, err = client.PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{RoleName: aws.String(function), PolicyName: aws.String("rotate"), PolicyDocument: &policy})
	require.NoError(w, err)
	return *role.Role.Arn
}

func (w *world) createFunction(role string) {
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	_, err := w.lambda.CreateFunction(w.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String(function), Role: &role, Timeout: aws.Int32(60), MemorySize: aws.Int32(128),
		Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []lambdatypes.Architecture{architecture}, Code: &lambdatypes.FunctionCode{ZipFile: build(w.T)},
		Environment: &lambdatypes.Environment{Variables: map[string]string{
			spec.EnvDatabaseCAFile: w.postgres.CAFile, spec.EnvDatabaseServerNames: `{"127.0.0.1":"localhost"}`, spec.EnvFeedTable: feedTable, spec.EnvLogLevel: "debug",
		}},
	})
	require.NoError(w, err)
	require.NoError(w, w.cloud.Advance(w.Context(), time.Second))
	_, err = w.lambda.AddPermission(w.Context(), &lambda.AddPermissionInput{
		FunctionName: aws.String(function), StatementId: aws.String("rotate"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(w.cloud.Account()),
	})
	require.NoError(w, err)
}

// build is the command, as the Lambda function's zip.
func build(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	binary, err := os.ReadFile(path)
	require.NoError(t, err)
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	require.NoError(t, err)
	_, err = file.Write(binary)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	t.Logf("the binary has %d KB, its zip %d KB", len(binary)>>10, buffer.Len()>>10)
	return buffer.Bytes()
}

func (w *world) seed() spec.SeedResult {
	w.Helper()
	payload, err := json.Marshal(spec.SeedRequest{Step: spec.StepSeed, SecretID: secretName, Database: &spec.DatabaseSeed{
		Engine: spec.EnginePostgres, Host: w.postgres.Host, Port: w.postgres.Port, Username: "orders", MasterSecretARN: w.master,
	}})
	require.NoError(w, err)
	output, err := w.lambda.Invoke(w.Context(), &lambda.InvokeInput{FunctionName: aws.String(function), Payload: payload})
	require.NoError(w, err)
	require.Nil(w, output.FunctionError, "%s", output.Payload)
	var result spec.SeedResult
	require.NoError(w, json.Unmarshal(output.Payload, &result), "%s", output.Payload)
	return result
}

// login uses the value with a stage, as a service does.
func (w *world) login(stage string) (user, versionID string) {
	w.Helper()
	output, err := w.secrets.GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: &w.secret, VersionStage: &stage})
	require.NoError(w, err)
	value := spec.ValueString(*output.SecretString)
	w.values = append(w.values, value)
	d, err := spec.ParseDatabase(value)
	require.NoError(w, err)
	config, err := pgx.ParseConfig("host=" + d.Host + " sslmode=verify-full sslrootcert=" + w.postgres.CAFile)
	require.NoError(w, err)
	config.Port, config.User, config.Password, config.Database = uint16(d.Port), d.Username, d.Password.RevealString(), "postgres"
	conn, err := pgx.ConnectConfig(w.Context(), config)
	require.NoError(w, err)
	require.NoError(w, conn.QueryRow(w.Context(), "select session_user").Scan(&user))
	require.NoError(w, conn.Close(w.Context()))
	return user, *output.VersionId
}

// logs is what the function wrote.
func (w *world) logs() string {
	w.Helper()
	client := cloudwatchlogs.NewFromConfig(w.cloud.Config(region))
	var text strings.Builder
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(client, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String(logGroup)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(w.Context())
		require.NoError(w, err)
		for _, event := range page.Events {
			fmt.Fprintln(&text, *event.Message)
		}
	}
	return text.String()
}

// A secret is seeded and rotated by its schedule by the binary that AWS Lambda
// runs.
func TestTheBinaryRotatesBySchedule(t *testing.T) {
	w := newWorld(t)
	assert.True(t, w.seed().Seeded)
	assert.False(t, w.seed().Seeded, "a second seed")
	user, first := w.login("AWSCURRENT")
	assert.Equal(t, "orders", user)

	_, err := w.secrets.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &w.secret, RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:123456789012:function:" + function),
		RotationRules: &smtypes.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")}, RotateImmediately: aws.Bool(false),
	})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Settle(t.Context()))
	_, unchanged := w.login("AWSCURRENT")
	assert.Equal(t, first, unchanged, "switching rotation on rotated")

	versions := []string{first}
	for n := range 3 {
		require.NoError(t, w.cloud.Advance(t.Context(), 31*24*time.Hour))
		user, version := w.login("AWSCURRENT")
		assert.Equal(t, []string{"orders_clone", "orders"}[n%2], user)
		_, previous := w.login("AWSPREVIOUS")
		assert.Equal(t, versions[n], previous)
		versions = append(versions, version)
	}

	changes, err := feed.NewTable(dynamodb.NewFromConfig(w.cloud.Config(region)), feedTable).Changes(t.Context(), time.Time{})
	require.NoError(t, err)
	var told []string
	for _, change := range changes {
		assert.Equal(t, w.secret, change.SecretID)
		told = append(told, change.VersionID)
	}
	assert.Equal(t, versions[1:], told)

	logs := w.logs()
	assert.Equal(t, 3, strings.Count(logs, `"msg":"step done","step":"finishSecret"`), logs)
	for _, value := range w.values {
		d, err := spec.ParseDatabase(value)
		require.NoError(t, err)
		assert.False(t, strings.Contains(logs, d.Password.RevealString()), "a password is in the function's log")
	}
	assert.Empty(t, w.cloud.Unsupported())
}

// A function that can't start, or a step that fails, says why without a value.
func TestTheBinaryTellsWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	invoke := func() string {
		output, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(function), Payload: []byte(
			`{"Step":"createSecret","SecretId":"` + w.secret + `","ClientRequestToken":"00000000-0000-4000-8000-000000000001","RotationToken":"canary-token"}`)})
		require.NoError(t, err)
		require.NotNil(t, output.FunctionError)
		return string(output.Payload)
	}
	assert.Contains(t, invoke(), "has no version 00000000-0000-4000-8000-000000000001")
	assert.NotContains(t, w.logs(), "canary")

	for name, value := range map[string]string{spec.EnvDatabaseCAFile: "nowhere.pem", spec.EnvDatabaseServerNames: "localhost", spec.EnvLogLevel: "loud"} {
		_, err := w.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
			FunctionName: aws.String(function), Environment: &lambdatypes.Environment{Variables: map[string]string{name: value}},
		})
		require.NoError(t, err)
		require.NoError(t, w.cloud.Advance(t.Context(), time.Second))
		invoke()
		assert.Contains(t, w.logs(), name)
	}
}
