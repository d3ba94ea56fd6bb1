package ecs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

const (
	roleARN   = "arn:aws:iam::123456789012:role/execution"
	trustText = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`
)

type world struct {
	*testing.T
	cloud  *localcloud.Cloud
	ecs    *ecs.Client
	secret string
}

func start(t *testing.T) world {
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	cfg := cloud.Config("us-east-1")
	secret, err := secretsmanager.NewFromConfig(cfg).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("orders/database"), SecretString: aws.String(`{"password":"canary-value"}`)})
	require.NoError(t, err)
	_, err = ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/orders/key"), Value: aws.String("canary-value"), Type: ssmtypes.ParameterTypeSecureString})
	require.NoError(t, err)
	roles := iam.NewFromConfig(cfg)
	_, err = roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("execution"), AssumeRolePolicyDocument: aws.String(trustText)})
	require.NoError(t, err)
	w := world{t, cloud, ecs.NewFromConfig(cfg), *secret.ARN}
	w.allow(`"secretsmanager:GetSecretValue","ssm:GetParameters"`)
	_, err = w.ecs.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("shop")})
	require.NoError(t, err)
	return w
}

func (w world) allow(actions string) {
	w.Helper()
	_, err := iam.NewFromConfig(w.cloud.Config("us-east-1")).PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("execution"), PolicyName: aws.String("read"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}}`)})
	require.NoError(w, err)
}

func (w world) register(environment map[string]string, secrets map[string]string) (string, error) {
	c := types.ContainerDefinition{Name: aws.String("app"), Image: aws.String("app:1"), Memory: aws.Int32(128), DockerLabels: map[string]string{"k": "v"}}
	for k, v := range environment {
		c.Environment = append(c.Environment, types.KeyValuePair{Name: &k, Value: &v})
	}
	for k, v := range secrets {
		c.Secrets = append(c.Secrets, types.Secret{Name: &k, ValueFrom: &v})
	}
	out, err := w.ecs.RegisterTaskDefinition(w.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("orders"), ExecutionRoleArn: aws.String(roleARN), ContainerDefinitions: []types.ContainerDefinition{c},
		Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		RuntimePlatform: &types.RuntimePlatform{CpuArchitecture: types.CPUArchitectureArm64},
	})
	if err != nil {
		return "", err
	}
	return *out.TaskDefinition.TaskDefinitionArn, nil
}

func (w world) must(arn string, err error) string {
	w.Helper()
	require.NoError(w, err)
	return arn
}

func (w world) service() types.Service {
	w.Helper()
	out, err := w.ecs.DescribeServices(w.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("shop"), Services: []string{"orders"}})
	require.NoError(w, err)
	require.Len(w, out.Services, 1)
	assert.Equal(w, types.DeploymentControllerTypeEcs, out.Services[0].DeploymentController.Type)
	return out.Services[0]
}

func (w world) advance(d time.Duration) {
	w.Helper()
	require.NoError(w, w.cloud.Advance(w.Context(), d))
}

func code(t *testing.T, err error) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	return e.ErrorCode()
}

func TestRevisionsOfATaskDefinition(t *testing.T) {
	w := start(t)
	first := w.must(w.register(map[string]string{"PASSWORD": "canary-value"}, nil))
	assert.Equal(t, "arn:aws:ecs:us-east-1:123456789012:task-definition/orders:1", first)
	second := w.must(w.register(nil, map[string]string{"PASSWORD": w.secret}))
	newest, err := w.ecs.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("orders")})
	require.NoError(t, err)
	assert.Equal(t, second, *newest.TaskDefinition.TaskDefinitionArn)
	c := newest.TaskDefinition.ContainerDefinitions[0]
	assert.Equal(t, map[string]string{"k": "v"}, c.DockerLabels, "what the emulator has no use for stays")
	assert.True(t, *c.Essential)
	assert.EqualValues(t, 128, *c.Memory)
	assert.Equal(t, types.CPUArchitectureArm64, newest.TaskDefinition.RuntimePlatform.CpuArchitecture)

	_, err = w.ecs.DeregisterTaskDefinition(t.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &first})
	require.NoError(t, err)
	list := func(status types.TaskDefinitionStatus) (arns []string) {
		pages := ecs.NewListTaskDefinitionsPaginator(w.ecs, &ecs.ListTaskDefinitionsInput{Status: status, MaxResults: aws.Int32(1)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			require.NoError(t, err)
			arns = append(arns, page.TaskDefinitionArns...)
		}
		return arns
	}
	assert.Equal(t, []string{second}, list(""))
	assert.Equal(t, []string{first}, list(types.TaskDefinitionStatusInactive))
	old, err := w.ecs.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: &first})
	require.NoError(t, err, "its plaintext can still be read")
	assert.Equal(t, "canary-value", *old.TaskDefinition.ContainerDefinitions[0].Environment[0].Value)
	assert.Equal(t, types.TaskDefinitionStatusInactive, old.TaskDefinition.Status)

	_, err = w.register(map[string]string{"PASSWORD": "x"}, map[string]string{"PASSWORD": w.secret})
	assert.Equal(t, "ClientException", code(t, err))
	assert.ErrorContains(t, err, "such as 'PASSWORD'")
	out, err := cloudtrail.NewFromConfig(w.cloud.Config("us-east-1")).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	require.NoError(t, err)
	for _, e := range out.Events {
		assert.NotContains(t, *e.CloudTrailEvent, "canary-value")
	}
	assert.Empty(t, w.cloud.Unsupported())
}

func TestAServiceStartsWhenItsSecretsCanBeRead(t *testing.T) {
	w := start(t)
	plain := w.must(w.register(map[string]string{"PASSWORD": "canary-value"}, nil))
	_, err := w.ecs.CreateService(t.Context(), &ecs.CreateServiceInput{
		Cluster: aws.String("shop"), ServiceName: aws.String("orders"), TaskDefinition: aws.String("orders"), DesiredCount: aws.Int32(2),
		DeploymentConfiguration: &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true}},
	})
	require.NoError(t, err)
	assert.EqualValues(t, 2, w.service().PendingCount)
	w.advance(time.Minute)
	assert.EqualValues(t, 2, w.service().RunningCount)

	good := w.must(w.register(nil, map[string]string{"PASSWORD": w.secret + ":password::", "CURRENT": w.secret + "::AWSCURRENT:", "KEY": "/orders/key", "ARN": "arn:aws:ssm:us-east-1:123456789012:parameter/orders/key"}))
	update := func(definition string) {
		_, err := w.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: aws.String("shop"), Service: aws.String("orders"), TaskDefinition: &definition})
		require.NoError(t, err)
	}
	update(good)
	s := w.service()
	require.Len(t, s.Deployments, 2, "the old tasks go on until the new ones run")
	assert.Equal(t, plain, *s.Deployments[1].TaskDefinition)
	w.advance(time.Minute)
	s = w.service()
	require.Len(t, s.Deployments, 1, s.Events)
	assert.Equal(t, types.DeploymentRolloutStateCompleted, s.Deployments[0].RolloutState)

	for problem, secrets := range map[string]map[string]string{
		"has no JSON key":   {"PASSWORD": w.secret + ":pasword::"},
		"they can be empty": {"PASSWORD": w.secret + ":password"},
		"ResourceNotFound":  {"PASSWORD": "arn:aws:secretsmanager:us-east-1:123456789012:secret:none-AbCdEf"},
		"ParameterNotFound": {"PASSWORD": "/none"},
	} {
		update(w.must(w.register(nil, secrets)))
		w.advance(10 * time.Minute)
		s = w.service()
		assert.Equal(t, good, *s.TaskDefinition, "%s: rolled back", problem)
		assert.EqualValues(t, 2, s.RunningCount)
		found := false
		for _, e := range s.Events {
			found = found || strings.Contains(*e.Message, problem)
			assert.NotContains(t, *e.Message, "canary-value")
		}
		assert.True(t, found, problem)
	}

	w.allow(`"ssm:GetParameters"`)
	update(good)
	_, err = w.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: aws.String("shop"), Service: aws.String("orders"), ForceNewDeployment: true,
		DeploymentConfiguration: &types.DeploymentConfiguration{DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{}}})
	require.NoError(t, err)
	w.advance(10 * time.Minute)
	s = w.service()
	assert.Equal(t, types.DeploymentRolloutStateInProgress, s.Deployments[0].RolloutState, "without a circuit breaker it is tried for ever")
	assert.Contains(t, *s.Events[0].Message, "secretsmanager:GetSecretValue")
	w.allow(`"secretsmanager:GetSecretValue","ssm:GetParameters"`)
	w.advance(time.Minute)
	assert.Equal(t, types.DeploymentRolloutStateCompleted, w.service().Deployments[0].RolloutState)
}

func TestServicesEnd(t *testing.T) {
	w := start(t)
	w.must(w.register(nil, nil))
	_, err := w.ecs.CreateService(t.Context(), &ecs.CreateServiceInput{Cluster: aws.String("shop"), ServiceName: aws.String("orders"), TaskDefinition: aws.String("orders:1"), DesiredCount: aws.Int32(1)})
	require.NoError(t, err)
	_, err = w.ecs.CreateService(t.Context(), &ecs.CreateServiceInput{Cluster: aws.String("shop"), ServiceName: aws.String("other"), TaskDefinition: aws.String("none"), DesiredCount: aws.Int32(1)})
	assert.Equal(t, "ClientException", code(t, err))
	list, err := w.ecs.ListServices(t.Context(), &ecs.ListServicesInput{Cluster: aws.String("shop")})
	require.NoError(t, err)
	assert.Equal(t, []string{"arn:aws:ecs:us-east-1:123456789012:service/shop/orders"}, list.ServiceArns)
	_, err = w.ecs.DeleteService(t.Context(), &ecs.DeleteServiceInput{Cluster: aws.String("shop"), Service: aws.String("orders")})
	assert.Equal(t, "InvalidParameterException", code(t, err))
	_, err = w.ecs.DeleteCluster(t.Context(), &ecs.DeleteClusterInput{Cluster: aws.String("shop")})
	assert.Equal(t, "ClusterContainsServicesException", code(t, err))
	_, err = w.ecs.DeleteService(t.Context(), &ecs.DeleteServiceInput{Cluster: aws.String("shop"), Service: aws.String("orders"), Force: aws.Bool(true)})
	require.NoError(t, err)
	_, err = w.ecs.ListServices(t.Context(), &ecs.ListServicesInput{Cluster: aws.String("none")})
	assert.Equal(t, "ClusterNotFoundException", code(t, err))
	clusters, err := w.ecs.ListClusters(t.Context(), &ecs.ListClustersInput{})
	require.NoError(t, err)
	assert.Equal(t, []string{"arn:aws:ecs:us-east-1:123456789012:cluster/shop"}, clusters.ClusterArns)
	assert.Empty(t, w.cloud.Unsupported())
}
