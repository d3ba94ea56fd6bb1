// Package largetest makes large estates in the local cloud for tests of scale.
package largetest

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventstypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/localcloud"
)

// Region is where the estate is.
const Region = "us-east-1"

// Size is how large an estate is.
type Size struct {
	Functions  int // every third has two published versions and an alias
	Services   int // on two clusters; each has two active revisions, every tenth is also started by a rule
	Parameters int // half are SecureString
}

// Peers is the size of PEERS.md's goal.
var Peers = Size{Functions: 1000, Services: 200, Parameters: 5000}

// Secrets is the number of secrets in plaintext: a password in each version of a
// function, one in each revision of a task definition, and one in every tenth of
// the parameters, of which half are encrypted.
func (s Size) Secrets() int {
	versioned := (s.Functions + 2) / 3
	return s.Functions + 2*versioned + 2*s.Services + s.Parameters/20
}

// Make makes an estate of the size, each setting of its own value.
func Make(t *testing.T, cloud *localcloud.Cloud, size Size) {
	t.Helper()
	e := &estate{T: t, cloud: cloud, config: cloud.Config(Region)}
	out, err := iam.NewFromConfig(e.config).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("large"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","ecs-tasks.amazonaws.com","events.amazonaws.com"]},"Action":"sts:AssumeRole"}}`)})
	require.NoError(t, err)
	e.role = out.Role.Arn
	e.functions(size.Functions)
	e.services(size.Services)
	e.parameters(size.Parameters)
}

type estate struct {
	*testing.T
	cloud  *localcloud.Cloud
	config aws.Config
	role   *string
}

// each calls make for 0 to n-1, several at once.
func (e *estate) each(n int, do func(ctx context.Context, i int) error) {
	e.Helper()
	group, ctx := errgroup.WithContext(e.Context())
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	require.NoError(e, group.Wait())
}

// become lets functions that were changed become active.
func (e *estate) become() {
	e.Helper()
	require.NoError(e, e.cloud.Advance(e.Context(), time.Minute))
}

func (e *estate) functions(n int) {
	e.Helper()
	var code bytes.Buffer
	archive := zip.NewWriter(&code)
	_, err := archive.Create("bootstrap")
	require.NoError(e, err)
	require.NoError(e, archive.Close())
	client := lambda.NewFromConfig(e.config)
	environment := func(i, version int) *lambdatypes.Environment {
		return &lambdatypes.Environment{Variables: map[string]string{
			"DB_HOST": "db.internal", "DB_USER": "app", "DB_NAME": "shop", "DB_PASSWORD": fmt.Sprintf("Fn-%d-%d-Kx7q", i, version), "LOG_LEVEL": "info",
			"TABLE": fmt.Sprintf("orders-%d", i), "AWS_NODEJS_CONNECTION_REUSE_ENABLED": "1", "POWERTOOLS_SERVICE_NAME": fmt.Sprintf("fn-%d", i),
		}}
	}
	name := func(i int) *string { return aws.String(fmt.Sprintf("fn-%04d", i)) }
	e.each(n, func(ctx context.Context, i int) error {
		_, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: name(i), Role: e.role, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
			Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()}, Environment: environment(i, 0), Tags: map[string]string{"Owner": fmt.Sprintf("team-%d", i%20)},
		})
		return err
	})
	e.become()
	versioned := (n + 2) / 3
	for version := range 2 {
		e.each(versioned, func(ctx context.Context, i int) error {
			_, err := client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: name(3 * i)})
			return err
		})
		e.become()
		e.each(versioned, func(ctx context.Context, i int) error {
			_, err := client.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name(3 * i), Environment: environment(3*i, version+1)})
			return err
		})
		e.become()
	}
	e.each(versioned, func(ctx context.Context, i int) error {
		_, err := client.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name(3 * i), Name: aws.String("live"), FunctionVersion: aws.String("1")})
		return err
	})
}

func (e *estate) services(n int) {
	e.Helper()
	client, rules := ecs.NewFromConfig(e.config), eventbridge.NewFromConfig(e.config)
	var clusters [2]*string
	for i := range clusters {
		out, err := client.CreateCluster(e.Context(), &ecs.CreateClusterInput{ClusterName: aws.String(fmt.Sprintf("cluster-%d", i))})
		require.NoError(e, err)
		clusters[i] = out.Cluster.ClusterArn
	}
	e.each(n, func(ctx context.Context, i int) error {
		name := aws.String(fmt.Sprintf("svc-%03d", i))
		var definition *string
		for revision := range 2 {
			out, err := client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
				Family: name, ExecutionRoleArn: e.role, Tags: []ecstypes.Tag{{Key: aws.String("Owner"), Value: aws.String(fmt.Sprintf("team-%d", i%20))}},
				ContainerDefinitions: []ecstypes.ContainerDefinition{{
					Name: aws.String("app"), Image: aws.String("app:1"), Environment: []ecstypes.KeyValuePair{
						{Name: aws.String("API_TOKEN"), Value: aws.String(fmt.Sprintf("Svc-%d-%d-Kx7q", i, revision))}, {Name: aws.String("PORT"), Value: aws.String("8080")},
					},
				}},
			})
			if err != nil {
				return err
			}
			definition = out.TaskDefinition.TaskDefinitionArn
		}
		if _, err := client.CreateService(ctx, &ecs.CreateServiceInput{Cluster: clusters[i%2], ServiceName: name, TaskDefinition: definition, DesiredCount: aws.Int32(0)}); err != nil {
			return err
		}
		if i%10 != 0 {
			return nil
		}
		if _, err := rules.PutRule(ctx, &eventbridge.PutRuleInput{Name: name, ScheduleExpression: aws.String("rate(1 day)")}); err != nil {
			return err
		}
		_, err := rules.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: name, Targets: []eventstypes.Target{{
			Id: aws.String("task"), Arn: clusters[i%2], RoleArn: e.role, EcsParameters: &eventstypes.EcsParameters{TaskDefinitionArn: definition},
		}}})
		return err
	})
}

func (e *estate) parameters(n int) {
	e.Helper()
	client := ssm.NewFromConfig(e.config)
	e.each(n, func(ctx context.Context, i int) error {
		in := &ssm.PutParameterInput{Name: aws.String(fmt.Sprintf("/app-%d/setting-%04d", i%50, i)), Value: aws.String(fmt.Sprintf("value %d", i)), Type: ssmtypes.ParameterTypeString}
		if i%2 == 1 {
			in.Type = ssmtypes.ParameterTypeSecureString
		}
		if i%20 < 2 {
			in.Name, in.Value = aws.String(fmt.Sprintf("/app-%d/password-%04d", i%50, i)), aws.String(fmt.Sprintf("Par-%d-Kx7q", i))
		}
		_, err := client.PutParameter(ctx, in)
		return err
	})
}
