package migration

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/localcloud"
)

const region = "us-east-1"

// teams is the number of owners, each with a role that its services run as.
const teams = 20

// fill makes an estate of the size.
func fill(ctx context.Context, cloud *localcloud.Cloud, size Size) error {
	e := &estate{cloud: cloud, config: cloud.Config(region)}
	for _, step := range []func() error{
		func() error { return e.key(ctx) },
		func() error { return e.makeRoles(ctx) },
		func() error { return e.functions(ctx, size.Functions) },
		func() error { return e.services(ctx, size.Services) },
		func() error { return e.parameters(ctx, size.Parameters) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type estate struct {
	cloud  *localcloud.Cloud
	config aws.Config
	roles  [teams]*string // ARNs
}

func (e *estate) key(ctx context.Context) error {
	client := kms.NewFromConfig(e.config)
	key, err := client.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return err
	}
	_, err = client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/acme/prod/secrets"), TargetKeyId: key.KeyMetadata.KeyId})
	return err
}

func (e *estate) makeRoles(ctx context.Context) error {
	for i := range e.roles {
		role, err := iam.NewFromConfig(e.config).CreateRole(ctx, &iam.CreateRoleInput{
			RoleName:                 aws.String(fmt.Sprintf("team-%02d", i)),
			AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","ecs-tasks.amazonaws.com"]},"Action":"sts:AssumeRole"}}`),
		})
		if err != nil {
			return err
		}
		e.roles[i] = role.Role.Arn
	}
	return nil
}

// each calls do for 0 to n-1, several at once.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

func (e *estate) functions(ctx context.Context, n int) error {
	var code bytes.Buffer
	archive := zip.NewWriter(&code)
	if _, err := archive.Create("bootstrap"); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	client := lambda.NewFromConfig(e.config)
	err := each(ctx, n, func(ctx context.Context, i int) error {
		_, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{
			FunctionName: aws.String(fmt.Sprintf("function-%04d", i)), Role: e.roles[i%teams],
			Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
			Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()},
			Tags: map[string]string{"Owner": fmt.Sprintf("team-%02d", i%teams)},
			Environment: &lambdatypes.Environment{Variables: map[string]string{
				"DB_HOST": "db.internal", "DB_USER": "app", "DB_NAME": "shop", "DB_PASSWORD": fmt.Sprintf("Fn-%d-Kx7q", i),
				"LOG_LEVEL": "info", "TABLE": fmt.Sprintf("orders-%d", i), "POWERTOOLS_SERVICE_NAME": "orders", "STAGE": "prod",
			}},
		})
		return err
	})
	if err != nil {
		return err
	}
	// Functions are pending for a while.
	if err := e.cloud.Advance(ctx, time.Minute); err != nil {
		return err
	}
	third := (n + 2) / 3
	err = each(ctx, third, func(ctx context.Context, i int) error {
		_, err := client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: aws.String(fmt.Sprintf("function-%04d", 3*i))})
		return err
	})
	if err != nil {
		return err
	}
	if err := e.cloud.Advance(ctx, time.Minute); err != nil {
		return err
	}
	return each(ctx, third, func(ctx context.Context, i int) error {
		_, err := client.CreateAlias(ctx, &lambda.CreateAliasInput{
			FunctionName: aws.String(fmt.Sprintf("function-%04d", 3*i)), Name: aws.String("prod"), FunctionVersion: aws.String("1"),
		})
		return err
	})
}

func (e *estate) services(ctx context.Context, n int) error {
	client := ecs.NewFromConfig(e.config)
	cluster, err := client.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("main")})
	if err != nil {
		return err
	}
	return each(ctx, n, func(ctx context.Context, i int) error {
		name := aws.String(fmt.Sprintf("service-%03d", i))
		var definition *string
		for revision := range 2 {
			registered, err := client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
				Family: name, ExecutionRoleArn: e.roles[i%teams],
				ContainerDefinitions: []ecstypes.ContainerDefinition{{
					Name: aws.String("app"), Image: aws.String("app:1"),
					Environment: []ecstypes.KeyValuePair{
						{Name: aws.String("API_TOKEN"), Value: aws.String(fmt.Sprintf("Svc-%d-%d-Kx7q", i, revision))},
						{Name: aws.String("PORT"), Value: aws.String("8080")},
					},
				}},
			})
			if err != nil {
				return err
			}
			definition = registered.TaskDefinition.TaskDefinitionArn
		}
		_, err := client.CreateService(ctx, &ecs.CreateServiceInput{
			Cluster: cluster.Cluster.ClusterArn, ServiceName: name, TaskDefinition: definition, DesiredCount: aws.Int32(0),
		})
		return err
	})
}

func (e *estate) parameters(ctx context.Context, n int) error {
	client := ssm.NewFromConfig(e.config)
	return each(ctx, n, func(ctx context.Context, i int) error {
		in := &ssm.PutParameterInput{
			Name: aws.String(fmt.Sprintf("/app-%02d/setting-%04d", i%50, i)), Value: aws.String(fmt.Sprintf("value %d", i)),
			Type: ssmtypes.ParameterTypeString,
		}
		if i%2 == 1 {
			in.Type = ssmtypes.ParameterTypeSecureString
		}
		if i%20 < 2 {
			in.Name, in.Value = aws.String(fmt.Sprintf("/app-%02d/password-%04d", i%50, i)), aws.String(fmt.Sprintf("Par-%d-Kx7q", i))
		}
		_, err := client.PutParameter(ctx, in)
		return err
	})
}
