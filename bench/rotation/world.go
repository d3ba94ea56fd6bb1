package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
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

	"github.com/aistudio/secrets/bench/sandbox"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region     = "us-east-1"
	function   = "rotate-database"
	feedTable  = "rotation-feed"
	secretName = "aistudio/dev/orders/database"
	masterName = "aistudio/dev/platform/database-admin"
)

// world is the emulator with the rotation function and a secret whose user it
// has made in the database.
type world struct {
	cloud   *localcloud.Cloud
	secrets *secretsmanager.Client
	lambda  *lambda.Client
	logs    *cloudwatchlogs.Client
	secret  string // ARN
}

func newWorld(ctx context.Context, artifact sandbox.Artifact, database server) (_ *world, err error) {
	code, err := os.ReadFile(string(artifact))
	if err != nil {
		return nil, fmt.Errorf("read the rotation function: %w: make it with \"go tool mage build\"", err)
	}
	cloud, err := localcloud.New()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("prepare rotations of %s: %w", database.name, err), cloud.Close())
		}
	}()
	config := cloud.Config(region)
	w := &world{
		cloud: cloud, secrets: secretsmanager.NewFromConfig(config),
		lambda: lambda.NewFromConfig(config), logs: cloudwatchlogs.NewFromConfig(config),
	}
	master, err := w.createSecrets(ctx, database.admin)
	if err != nil {
		return nil, err
	}
	if err := createFeed(ctx, config); err != nil {
		return nil, err
	}
	role, err := createRole(ctx, config)
	if err != nil {
		return nil, err
	}
	functionARN, err := w.createFunction(ctx, role, code, database.ca)
	if err != nil {
		return nil, err
	}
	if err := w.seed(ctx, database.admin, master); err != nil {
		return nil, err
	}
	_, err = w.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &w.secret, RotationLambdaARN: &functionARN, RotateImmediately: aws.Bool(false),
		RotationRules: &smtypes.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")},
	})
	return w, errors.Join(err, cloud.Settle(ctx))
}

func (w *world) createSecrets(ctx context.Context, admin spec.Database) (masterARN string, err error) {
	value, err := admin.Encode()
	if err != nil {
		return "", err
	}
	master, err := w.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(masterName), SecretString: aws.String(value.RevealString())})
	if err != nil {
		return "", err
	}
	secret, err := w.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String(secretName)})
	if err != nil {
		return "", err
	}
	w.secret = *secret.ARN
	return *master.ARN, nil
}

func createFeed(ctx context.Context, config aws.Config) error {
	_, err := dynamodb.NewFromConfig(config).CreateTable(ctx, &dynamodb.CreateTableInput{
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
	return err
}

func createRole(ctx context.Context, config aws.Config) (string, error) {
	client := iam.NewFromConfig(config)
	role, err := client.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName:                 aws.String(function),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		return "", err
	}
	_, err = client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
		RoleName: aws.String(function), PolicyName: aws.String("rotate"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:*","dynamodb:PutItem","logs:*"],"Resource":"*"}]}`),
	})
	return *role.Role.Arn, err
}

func (w *world) createFunction(ctx context.Context, role string, code []byte, ca string) (string, error) {
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	made, err := w.lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String(function), Role: &role, Timeout: aws.Int32(60), MemorySize: aws.Int32(128),
		Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []lambdatypes.Architecture{architecture}, Code: &lambdatypes.FunctionCode{ZipFile: code},
		Environment: &lambdatypes.Environment{Variables: map[string]string{spec.EnvDatabaseCAFile: ca, spec.EnvFeedTable: feedTable}},
	})
	if err != nil {
		return "", err
	}
	if err := w.cloud.Advance(ctx, time.Second); err != nil { // until the function is active
		return "", err
	}
	_, err = w.lambda.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: aws.String(function), StatementId: aws.String("rotate"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(w.cloud.Account()),
	})
	return *made.FunctionArn, err
}

// seed lets the function make the user and the first value.
func (w *world) seed(ctx context.Context, admin spec.Database, masterARN string) error {
	payload, err := json.Marshal(spec.SeedRequest{Step: spec.StepSeed, SecretID: secretName, Database: &spec.DatabaseSeed{
		Engine: admin.Engine, Host: admin.Host, Port: admin.Port, Username: "orders", MasterSecretARN: masterARN,
	}})
	if err != nil {
		return err
	}
	out, err := w.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(function), Payload: payload})
	if err != nil {
		return err
	}
	if out.FunctionError != nil {
		return fmt.Errorf("the function fails: %s", out.Payload)
	}
	return nil
}

// rotations rotates the secret so many times and returns how long each took.
func (w *world) rotations(ctx context.Context, n int, cold bool) ([]time.Duration, error) {
	var times []time.Duration
	for i := range n {
		if cold {
			// A change of the function ends its environments.
			_, err := w.lambda.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
				FunctionName: aws.String(function), Description: aws.String(fmt.Sprintf("cold %d", i)),
			})
			if err := errors.Join(err, w.cloud.Advance(ctx, time.Second)); err != nil {
				return nil, fmt.Errorf("end the function's environment: %w", err)
			}
		}
		began := time.Now()
		rotated, err := w.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: &w.secret})
		if err := errors.Join(err, w.cloud.Settle(ctx)); err != nil {
			return nil, fmt.Errorf("rotate the secret: %w", err)
		}
		times = append(times, time.Since(began))
		described, err := w.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &w.secret})
		if err != nil {
			return nil, fmt.Errorf("rotate the secret: %w", err)
		}
		if !slices.Contains(described.VersionIdsToStages[*rotated.VersionId], "AWSCURRENT") {
			return nil, fmt.Errorf("rotation %d of the secret didn't succeed", i+1)
		}
	}
	return times, nil
}

// steps returns how long each of the four steps took in the function, in its
// last rotations.
func (w *world) steps(ctx context.Context, rotations int) ([4][]time.Duration, error) {
	var steps [4][]time.Duration
	type invocation struct {
		at   int64
		took time.Duration
	}
	var all []invocation
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(w.logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/" + function)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return steps, fmt.Errorf("read the function's log: %w", err)
		}
		for _, event := range page.Events {
			line, ok := strings.CutPrefix(*event.Message, "REPORT RequestId: ")
			if !ok {
				continue
			}
			var id string
			var ms float64
			if _, err := fmt.Sscanf(line, "%s Duration: %f ms", &id, &ms); err != nil {
				return steps, fmt.Errorf("read the function's log: %q: %w", line, err)
			}
			all = append(all, invocation{*event.Timestamp, time.Duration(ms * float64(time.Millisecond))})
		}
	}
	slices.SortStableFunc(all, func(a, b invocation) int { return int(a.at - b.at) })
	if len(all) < 4*rotations {
		return steps, fmt.Errorf("read the function's log: %d invocations, too few for %d rotations", len(all), rotations)
	}
	for i, one := range all[len(all)-4*rotations:] {
		steps[i%4] = append(steps[i%4], one.took)
	}
	return steps, nil
}
