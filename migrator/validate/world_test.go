package validate_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/validate"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region = "us-east-1"

	tokenName    = "acme/dev/billing/partner-token"
	databaseName = "acme/dev/shop/database"
	token        = "canary-token-4f1c"
	password     = "canary-password-77aa"
)

// world is an estate that was migrated: the function billing reads a token that
// was in its environment and in a parameter, the ECS service web a password.
type world struct {
	*testing.T
	cloud   *localcloud.Cloud
	config  aws.Config
	secrets *secretsmanager.Client
	lambda  *lambda.Client
	ecs     *ecs.Client
	options validate.Options
	arns    map[string]string // of secrets, by name
	last    validate.Report
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	config := cloud.Config(region)
	w := &world{
		T: t, cloud: cloud, config: config, arns: map[string]string{},
		secrets: secretsmanager.NewFromConfig(config), lambda: lambda.NewFromConfig(config), ecs: ecs.NewFromConfig(config),
	}
	key := digest.New()
	w.secret(tokenName, token)
	w.secret(databaseName, `{"host":"db","password":"`+password+`"}`)
	for _, role := range []string{"billing", "web"} {
		w.role(role)
		w.allow(role, `"secretsmanager:GetSecretValue"`)
	}
	_, err = ssm.NewFromConfig(config).PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/billing/token"), Value: aws.String(token), Type: ssmtypes.ParameterTypeSecureString})
	require.NoError(t, err)
	function := w.function("billing", map[string]string{"PARTNER_TOKEN": token, "PARTNER_TOKEN_SECRET_ID": tokenName})
	old := w.register(map[string]string{"DB_PASSWORD": password}, nil)
	now := w.register(nil, map[string]string{"DB_PASSWORD": w.arns[databaseName] + ":password::"})
	service := w.service(now)
	w.options = validate.Options{Key: key, Switched: map[string]time.Time{}, Plan: plan.Plan{
		Version: plan.Version, Stack: "dev", Account: cloud.Account(), Region: region, Mode: plan.DualRead,
		Secrets: []plan.Secret{
			{Name: tokenName, Kind: spec.KindAPIKey, Values: []plan.Value{{Digest: key.OfBytes([]byte(token)), Places: []plan.Place{
				{In: spec.ScanLambda, ID: "billing", Variable: "PARTNER_TOKEN"}, {In: spec.ScanSSM, ID: "/billing/token"},
			}}}},
			{Name: databaseName, Kind: spec.KindDatabase, Values: []plan.Value{
				{Field: "host", Constant: "db"},
				{Field: "password", Digest: key.OfBytes([]byte(password)), Places: []plan.Place{{In: spec.ScanECS, ID: old, Container: "app", Variable: "DB_PASSWORD"}}},
			}},
		},
		Services: []plan.Service{
			{ID: "lambda/billing", Kind: plan.LambdaFunction, ARN: function, Role: w.roleARN("billing"), How: plan.ByReference,
				Variables: []plan.Variable{{Name: "PARTNER_TOKEN", Secret: tokenName}}},
			{ID: "ecs/shop/web", Kind: plan.ECSService, ARN: service, Cluster: "arn:aws:ecs:" + region + ":" + cloud.Account() + ":cluster/shop", Role: w.roleARN("web"), How: plan.ByInjection,
				Variables: []plan.Variable{{Container: "app", Name: "DB_PASSWORD", Secret: databaseName, Field: "password"}}},
		},
	}}
	w.advance(time.Hour)
	return w
}

func (w *world) advance(d time.Duration) {
	w.Helper()
	require.NoError(w, w.cloud.Advance(w.Context(), d))
}

func (w *world) secret(name, value string) {
	w.Helper()
	out, err := w.secrets.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	require.NoError(w, err)
	w.arns[name] = *out.ARN
}

func (w *world) roleARN(name string) string {
	return "arn:aws:iam::" + w.cloud.Account() + ":role/" + name
}

// role makes a role that the account's users may take on.
func (w *world) role(name string) {
	w.Helper()
	_, err := iam.NewFromConfig(w.config).CreateRole(w.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: w.trust(`"AWS":"` + w.cloud.Account() + `",`)})
	require.NoError(w, err)
}

func (w *world) trust(more string) *string {
	return aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{` + more + `"Service":["lambda.amazonaws.com","ecs-tasks.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`)
}

// closed takes the right to take on a role from the account.
func (w *world) closed(role string) {
	w.Helper()
	_, err := iam.NewFromConfig(w.config).UpdateAssumeRolePolicy(w.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &role, PolicyDocument: w.trust("")})
	require.NoError(w, err)
}

func (w *world) allow(role, actions string) {
	w.Helper()
	_, err := iam.NewFromConfig(w.config).PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{
		RoleName: &role, PolicyName: aws.String("read"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}}`),
	})
	require.NoError(w, err)
}

func (w *world) function(name string, environment map[string]string) string {
	w.Helper()
	var code bytes.Buffer
	archive := zip.NewWriter(&code)
	file, err := archive.Create("bootstrap")
	require.NoError(w, err)
	_, err = file.Write([]byte("#!/bin/sh\n"))
	require.NoError(w, err)
	require.NoError(w, archive.Close())
	out, err := w.lambda.CreateFunction(w.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Role: aws.String(w.roleARN("billing")), Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Code: &lambdatypes.FunctionCode{ZipFile: code.Bytes()}, Environment: &lambdatypes.Environment{Variables: environment},
	})
	require.NoError(w, err)
	w.advance(time.Minute)
	return *out.FunctionArn
}

// environment changes that of the function.
func (w *world) environment(environment map[string]string) {
	w.Helper()
	function := "billing"
	_, err := w.lambda.UpdateFunctionConfiguration(w.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: &function, Environment: &lambdatypes.Environment{Variables: environment}})
	require.NoError(w, err)
	w.advance(time.Minute)
}

func (w *world) register(environment, injected map[string]string) string {
	w.Helper()
	c := ecstypes.ContainerDefinition{Name: aws.String("app"), Image: aws.String("app:1"), Memory: aws.Int32(128)}
	for name, value := range environment {
		c.Environment = append(c.Environment, ecstypes.KeyValuePair{Name: &name, Value: &value})
	}
	for name, from := range injected {
		c.Secrets = append(c.Secrets, ecstypes.Secret{Name: &name, ValueFrom: &from})
	}
	out, err := w.ecs.RegisterTaskDefinition(w.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), ExecutionRoleArn: aws.String(w.roleARN("web")), ContainerDefinitions: []ecstypes.ContainerDefinition{c},
		Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: ecstypes.NetworkModeAwsvpc, RequiresCompatibilities: []ecstypes.Compatibility{ecstypes.CompatibilityFargate},
	})
	require.NoError(w, err)
	return *out.TaskDefinition.TaskDefinitionArn
}

func (w *world) service(revision string) string {
	w.Helper()
	_, err := w.ecs.CreateCluster(w.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("shop")})
	require.NoError(w, err)
	out, err := w.ecs.CreateService(w.Context(), &ecs.CreateServiceInput{Cluster: aws.String("shop"), ServiceName: aws.String("web"), TaskDefinition: &revision, DesiredCount: aws.Int32(2)})
	require.NoError(w, err)
	return *out.Service.ServiceArn
}

func (w *world) deploy(revision string) {
	w.Helper()
	_, err := w.ecs.UpdateService(w.Context(), &ecs.UpdateServiceInput{Cluster: aws.String("shop"), Service: aws.String("web"), TaskDefinition: &revision})
	require.NoError(w, err)
}

// sends has the service billing send counters of its dual reads.
func (w *world) sends(counts map[string]float64) {
	w.Helper()
	service := "billing"
	for metric, count := range counts {
		_, err := cloudwatch.NewFromConfig(w.config).PutMetricData(w.Context(), &cloudwatch.PutMetricDataInput{
			Namespace: aws.String(spec.MetricNamespace), MetricData: []cwtypes.MetricDatum{{
				MetricName: &metric, Value: &count, Dimensions: []cwtypes.Dimension{{Name: aws.String(spec.DimensionService), Value: &service}},
			}},
		})
		require.NoError(w, err)
	}
}

// fails invokes the function, whose program is none.
func (w *world) fails() {
	w.Helper()
	out, err := w.lambda.Invoke(w.Context(), &lambda.InvokeInput{FunctionName: aws.String("billing"), Payload: []byte("{}")})
	require.NoError(w, err)
	require.NotNil(w, out.FunctionError)
	w.advance(time.Minute)
}

// become makes the validation that of somebody with a policy.
func (w *world) become(policy string) {
	w.Helper()
	w.role("migrator")
	_, err := iam.NewFromConfig(w.config).PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("migrator"), PolicyName: aws.String("rights"), PolicyDocument: &policy})
	require.NoError(w, err)
	session, err := sts.NewFromConfig(w.config).AssumeRole(w.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(w.roleARN("migrator")), RoleSessionName: aws.String("ann")})
	require.NoError(w, err)
	w.config = w.cloud.ConfigFor(region, *session.Credentials.AccessKeyId, *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken)
}

// validate validates, and looks for values in all that is said.
func (w *world) validate() validate.Report {
	w.Helper()
	report, err := validate.Run(w.Context(), w.config, w.options)
	require.NoError(w, err)
	text, err := json.Marshal(report)
	require.NoError(w, err)
	var page bytes.Buffer
	require.NoError(w, report.Text(&page))
	for _, value := range []string{token, password} {
		assert.NotContains(w, string(text)+page.String()+fmt.Sprintf("%+v", report), value)
	}
	w.last = report
	return report
}

// check returns the answer to a question.
func (w *world) check(q validate.Question, subject string) validate.Check {
	w.Helper()
	for _, c := range w.last.Checks {
		if c.Question == q && c.Subject == subject {
			return c
		}
	}
	require.FailNow(w, "no such check", "%s %s in %+v", q, subject, w.last.Checks)
	return validate.Check{}
}

// answers asserts the answer to a question, and what is said about it.
func (w *world) answers(q validate.Question, subject string, want validate.Result, says string) {
	w.Helper()
	c := w.check(q, subject)
	assert.Equal(w, want, c.Result, "%+v", c)
	assert.Contains(w, c.Detail+" "+c.How, says)
	if want == validate.Pass {
		assert.Empty(w, c.Remedy)
	} else {
		assert.NotEmpty(w, c.Remedy, "%+v", c)
	}
}

// sessionOf is the configuration of somebody who took on a role.
func (w *world) sessionOf(role string) aws.Config {
	w.Helper()
	session, err := sts.NewFromConfig(w.config).AssumeRole(w.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(w.roleARN(role)), RoleSessionName: aws.String("it")})
	require.NoError(w, err)
	return w.cloud.ConfigFor(region, *session.Credentials.AccessKeyId, *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken)
}
