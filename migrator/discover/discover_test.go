package discover_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

const region = "us-east-1"

// world is an estate in the local cloud.
type world struct {
	*testing.T
	cloud      *localcloud.Cloud
	roles      *iam.Client
	functions  *lambda.Client
	parameters *ssm.Client
	containers *ecs.Client
	rules      *eventbridge.Client
	schedules  *scheduler.Client
	role       string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	config := cloud.Config(region)
	w := &world{
		T: t, cloud: cloud, roles: iam.NewFromConfig(config), functions: lambda.NewFromConfig(config), parameters: ssm.NewFromConfig(config),
		containers: ecs.NewFromConfig(config), rules: eventbridge.NewFromConfig(config), schedules: scheduler.NewFromConfig(config),
	}
	role, err := w.roles.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName:                 aws.String("service"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","ecs-tasks.amazonaws.com","events.amazonaws.com","scheduler.amazonaws.com"],"AWS":"` + cloud.Account() + `"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(t, err)
	w.role = *role.Role.Arn
	return w
}

// asRole is the configuration of somebody who took on the role.
func (w *world) asRole() aws.Config {
	w.Helper()
	out, err := sts.NewFromConfig(w.cloud.Config(region)).AssumeRole(w.Context(), &sts.AssumeRoleInput{RoleArn: &w.role, RoleSessionName: aws.String("scan")})
	require.NoError(w, err)
	return w.cloud.ConfigFor(region, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
}

func (w *world) function(name string, environment, tags map[string]string) {
	w.Helper()
	var code bytes.Buffer
	archive := zip.NewWriter(&code)
	file, err := archive.Create("bootstrap")
	require.NoError(w, err)
	_, err = file.Write([]byte("#!/bin/sh\n"))
	require.NoError(w, err)
	require.NoError(w, archive.Close())
	_, err = w.functions.CreateFunction(w.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Role: &w.role, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()}, Environment: &lambdatypes.Environment{Variables: environment}, Tags: tags,
	})
	require.NoError(w, err)
	require.NoError(w, w.cloud.Advance(w.Context(), time.Minute))
}

func (w *world) publish(name string) {
	w.Helper()
	_, err := w.functions.PublishVersion(w.Context(), &lambda.PublishVersionInput{FunctionName: &name})
	require.NoError(w, err)
	require.NoError(w, w.cloud.Advance(w.Context(), time.Minute))
}

func (w *world) parameter(name, value string, kind ssmtypes.ParameterType) {
	w.Helper()
	_, err := w.parameters.PutParameter(w.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: kind})
	require.NoError(w, err)
}

func TestAnEstateIsReadWhole(t *testing.T) {
	w := newWorld(t)
	w.function("orders", map[string]string{"DB_PASSWORD": "old", "LOG_LEVEL": "info"}, map[string]string{"Owner": "team-orders"})
	w.publish("orders")
	_, err := w.functions.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("orders"), Environment: &lambdatypes.Environment{Variables: map[string]string{"DB_PASSWORD": "new"}},
	})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Advance(t.Context(), time.Minute))
	w.publish("orders")
	_, err = w.functions.CreateAlias(t.Context(), &lambda.CreateAliasInput{
		FunctionName: aws.String("orders"), Name: aws.String("live"), FunctionVersion: aws.String("1"),
		RoutingConfig: &lambdatypes.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.25}},
	})
	require.NoError(t, err)
	w.function("mail", nil, map[string]string{"ManagedBy": "terraform"})
	w.parameter("/shop/db/password", "hunter2", ssmtypes.ParameterTypeSecureString)
	w.parameter("motd", "hello", ssmtypes.ParameterTypeString)

	var told []string
	estate, err := discover.Read(t.Context(), w.cloud.Config(region), func(what string, done, total int) {
		told = append(told, fmt.Sprintf("%s %d of %d", what, done, total))
	})
	require.NoError(t, err)
	assert.Equal(t, w.cloud.Account(), estate.Account)
	assert.Empty(t, estate.Unread)

	require.Len(t, estate.Functions, 2)
	mail, orders := estate.Functions[0], estate.Functions[1]
	assert.Equal(t, "mail", mail.Name)
	assert.Empty(t, mail.Settings)
	assert.Equal(t, "Terraform", mail.ManagedBy())
	assert.Equal(t, w.role, orders.Role)
	assert.Equal(t, "team-orders", orders.Tags["Owner"])
	assert.Empty(t, orders.ManagedBy())
	assert.NotEmpty(t, orders.Revision)
	require.Len(t, orders.Settings, 1)
	assert.Equal(t, "new", orders.Settings[0].Value.RevealString())
	require.Len(t, orders.Versions, 2)
	assert.Equal(t, "1", orders.Versions[0].Number)
	require.Len(t, orders.Versions[0].Settings, 2)
	assert.Equal(t, "old", orders.Versions[0].Settings[0].Value.RevealString())
	assert.Equal(t, []discover.Alias{{Name: "live", Version: "1", Second: "2", Weight: 0.25}}, orders.Aliases)

	require.Len(t, estate.Parameters, 2)
	assert.Equal(t, "/shop/db/password", estate.Parameters[0].Name)
	assert.Equal(t, discover.SecureString, estate.Parameters[0].Type)
	assert.Equal(t, "hunter2", estate.Parameters[0].Value.RevealString())
	assert.Equal(t, discover.String, estate.Parameters[1].Type)
	assert.Contains(t, told, "Lambda 2 of 2")
	assert.Contains(t, told, "Parameter Store 2 of 2")
	assert.NotContains(t, fmt.Sprintf("%+v", estate), "hunter2")
}

func TestMoreThanAPage(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.parameter(fmt.Sprintf("/many/%02d", i), "x", ssmtypes.ParameterTypeString)
		w.function(fmt.Sprintf("many-%02d", i), map[string]string{"AB": "c"}, nil)
	}
	estate, err := discover.Read(t.Context(), w.cloud.Config(region), nil)
	require.NoError(t, err)
	assert.Len(t, estate.Functions, 60)
	assert.Len(t, estate.Parameters, 60)
	for _, p := range estate.Parameters {
		assert.Equal(t, 1, p.Value.Len(), p.Name)
	}
}

// What may not be read is unknown, never clean.
func TestWhatIsDeniedIsUnread(t *testing.T) {
	all := `"sts:GetCallerIdentity","kms:Decrypt","` + strings.Join(discover.Actions(), `","`) + `"`
	definition := "arn:aws:ecs:us-east-1:123456789012:task-definition/orders:1"
	for without, want := range map[string]discover.Unread{
		"lambda:ListFunctions":          {Place: spec.ScanLambda, Reason: "the functions can't be listed: AccessDeniedException"},
		"lambda:GetFunction":            {Place: spec.ScanLambda, ARN: "arn:aws:lambda:us-east-1:123456789012:function:orders", Reason: "its tags can't be read, so whoever owns it isn't known: AccessDeniedException"},
		"lambda:ListAliases":            {Place: spec.ScanLambda, ARN: "arn:aws:lambda:us-east-1:123456789012:function:orders", Reason: "its aliases can't be read: AccessDeniedException"},
		"ssm:DescribeParameters":        {Place: spec.ScanSSM, Reason: "the parameters can't be listed: AccessDeniedException"},
		"ecs:ListClusters":              {Place: spec.ScanECS, Reason: "the clusters with their services and rules can't be listed: AccessDeniedException"},
		"ecs:ListServices":              {Place: spec.ScanECS, ARN: "arn:aws:ecs:us-east-1:123456789012:cluster/shop", Reason: "its services can't be listed: AccessDeniedException"},
		"ecs:DescribeServices":          {Place: spec.ScanECS, ARN: "arn:aws:ecs:us-east-1:123456789012:service/shop/orders", Reason: "the service can't be read: AccessDeniedException"},
		"ecs:ListTaskDefinitions":       {Place: spec.ScanECS, Reason: "the task definitions can't be listed: AccessDeniedException"},
		"ecs:DescribeTaskDefinition":    {Place: spec.ScanECS, ARN: definition, Reason: "the task definition can't be read: AccessDeniedException"},
		"events:ListEventBuses":         {Place: spec.ScanECS, Reason: "the rules that start tasks can't be listed: AccessDeniedException"},
		"events:ListRuleNamesByTarget":  {Place: spec.ScanECS, Reason: "the rules that start tasks can't be listed: AccessDeniedException"},
		"events:ListTargetsByRule":      {Place: spec.ScanECS, ARN: "arn:aws:events:us-east-1:123456789012:rule/nightly", Reason: "the rule's targets can't be read: AccessDeniedException"},
		"events:ListTagsForResource":    {Place: spec.ScanECS, ARN: "arn:aws:events:us-east-1:123456789012:rule/nightly", Reason: "its tags can't be read, so whoever owns it isn't known: AccessDeniedException"},
		"scheduler:ListSchedules":       {Place: spec.ScanECS, Reason: "the schedules that start tasks can't be listed: AccessDeniedException"},
		"scheduler:GetSchedule":         {Place: spec.ScanECS, ARN: "arn:aws:scheduler:us-east-1:123456789012:schedule/default/weekly", Reason: "the schedule can't be read: AccessDeniedException"},
		"scheduler:ListTagsForResource": {Place: spec.ScanECS, ARN: "arn:aws:scheduler:us-east-1:123456789012:schedule-group/default", Reason: "its tags can't be read, so whoever owns its schedules isn't known: AccessDeniedException"},
		"ssm:GetParameters":             {Place: spec.ScanSSM, ARN: "arn:aws:ssm:us-east-1:123456789012:parameter/shop/db/password", Reason: "its value can't be read: AccessDeniedException"},
	} {
		t.Run(without, func(t *testing.T) {
			w := newWorld(t)
			w.function("orders", map[string]string{"DB_PASSWORD": "x"}, nil)
			w.publish("orders")
			w.parameter("/shop/db/password", "hunter2", ssmtypes.ParameterTypeSecureString)
			w.cluster("shop")
			w.service("shop", "orders", w.register("orders", map[string]string{"DB_PASSWORD": "hunter2"}))
			w.rule("nightly", "shop", definition, "", nil)
			w.schedule("weekly", "shop", definition, "")
			_, err := w.roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
				RoleName: aws.String("service"), PolicyName: aws.String("scan"),
				PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + all + `],"Resource":"*"},{"Effect":"Deny","Action":"` + without + `","Resource":"*"}]}`),
			})
			require.NoError(t, err)
			estate, err := discover.Read(t.Context(), w.asRole(), nil)
			require.NoError(t, err)
			assert.Equal(t, []discover.Unread{want}, estate.Unread)
		})
	}
}

// A listing that fails for a passing reason would make a part look like all.
func TestAListingThatFailsIsAnError(t *testing.T) {
	w := newWorld(t)
	_, err := discover.Read(t.Context(), aws.Config{
		Region: region, BaseEndpoint: aws.String("http://127.0.0.1:1"), Credentials: w.cloud.Config(region).Credentials,
		RetryMaxAttempts: 1,
	}, nil)
	require.Error(t, err)
}
