package main

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/require"
)

// estate is what the company has: 60 functions, 25 services, 200 parameters, and
// two tasks that are started by the clock.
type estate struct {
	secrets map[string]map[string]string // values that functions must answer with, by function and variable
	plain   map[string]bool              // functions whose program doesn't know of Secrets Manager
}

// shapes are what functions and containers look like. They return all variables
// and those that are secrets.
func (w *world) shape(i int) (environment, secrets map[string]string) {
	environment = map[string]string{"LOG_LEVEL": "info", "TABLE_NAME": "orders-dev", "FEATURE_NEW_CART": "true"}
	switch i % 6 {
	case 0:
		secrets = map[string]string{"DB_PASSWORD": w.canary()}
		maps.Copy(environment, map[string]string{"DB_HOST": fmt.Sprintf("db%d.dev.acme.internal", i), "DB_PORT": "5432", "DB_NAME": "app", "DB_USER": "app"})
	case 1:
		secrets = map[string]string{"PARTNER_API_KEY": w.canary(), "WEBHOOK_SIGNING_SECRET": w.canary()}
	case 2:
		secrets = map[string]string{"DATABASE_URL": "postgres://app:" + w.canary() + "@db.dev.acme.internal:5432/app"}
	case 3:
		secrets = map[string]string{"SESSION_SECRET": w.canary()}
		environment["JWT_ISSUER"] = "https://auth.dev.acme.example"
	case 4:
		secrets = map[string]string{"OAUTH_CLIENT_SECRET": w.canary()}
		environment["OAUTH_CLIENT_ID"] = "orders-app"
	case 5: // nothing that must move, and all that looks as if it should
		maps.Copy(environment, map[string]string{
			"BUCKET_ARN": "arn:aws:s3:::acme-dev-uploads", "REQUEST_ID": "6f1c2a9e-3b77-4f3a-9a1d-0c5b8e2d4f60",
			"IMAGE_DIGEST": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "PASSWORD_MIN_LENGTH": "12", "TOKEN_TTL": "3600",
			"API_URL": "https://api.dev.acme.example/v1",
		})
	}
	maps.Copy(environment, secrets)
	return environment, secrets
}

func (w *world) build() *estate {
	w.Helper()
	e := &estate{secrets: map[string]map[string]string{}, plain: map[string]bool{}}
	for i := range 42 {
		environment, secrets := w.shape(i)
		f := function{name: fmt.Sprintf("worker-%02d", i), environment: environment}
		f.upload = i < 4
		if i == 1 || i == 3 {
			f.program, e.plain[f.name] = "plain", true
		}
		w.function(f)
		e.secrets[f.name] = secrets
	}
	w.specialFunctions(e) // 18
	for i := range 17 {
		environment, _ := w.shape(i)
		w.service(task{name: serviceName(i), environment: environment})
	}
	w.specialServices(e) // 8
	w.scheduledTasks()
	w.manyParameters()
	w.advance(2 * minute)
	return e
}

func serviceName(i int) string { return fmt.Sprintf("service-%02d", i) }

func (w *world) specialFunctions(e *estate) {
	w.Helper()
	add := func(f function, secrets map[string]string) {
		if f.environment == nil {
			f.environment = map[string]string{}
		}
		maps.Copy(f.environment, secrets)
		w.function(f)
		e.secrets[f.name] = secrets
	}
	// One value in two services and in a parameter.
	shared := w.canary()
	add(function{name: "mailer", upload: true}, map[string]string{"SMTP_PASSWORD": shared})
	add(function{name: "newsletter"}, map[string]string{"SMTP_PASSWORD": shared})
	w.parameter("/mail/smtp/password", shared, ssmtypes.ParameterTypeSecureString)
	// Bytes that careless tools trim, quote or encode anew (reports 12 and 17).
	add(function{name: "odd-bytes", upload: true}, map[string]string{
		"LEGACY_PASSWORD": w.plant("  pä$$\"wö/rd@#!%7B\\n'" + w.canary() + " \n"), "EMOJI_SECRET": w.plant("🔑" + w.canary()),
	})
	// An alias that clients invoke, at a published version.
	add(function{name: "aliased", upload: true}, map[string]string{"UPSTREAM_API_KEY": w.canary()})
	w.advance(minute)
	w.publish("aliased", "live")
	// Versions that hold what $LATEST holds no more.
	add(function{name: "published"}, map[string]string{"OLD_API_KEY": w.canary(), "CURRENT_API_KEY": w.canary()})
	w.advance(minute)
	w.publish("published", "")
	// What is safe already.
	w.secret("acme/dev/vault/key", w.canary(), nil)
	add(function{name: "safe", environment: map[string]string{
		"VAULT_SECRET_ARN": "arn:aws:secretsmanager:us-east-1:" + w.cloud.Account() + ":secret:acme/dev/vault/key", "PASSWORD": "{{resolve:secretsmanager:acme/dev/vault/key}}",
	}}, nil)
	// A name of a parameter, which the program reads itself.
	w.function(function{
		name: "reporting", environment: map[string]string{"DB_PASSWORD_PARAMETER": "/reporting/db/password"},
		rights: `{"Effect":"Allow","Action":["ssm:GetParameter","kms:Decrypt"],"Resource":"*"}`,
	})
	e.secrets["reporting"] = map[string]string{"DB_PASSWORD_PARAMETER": w.canary()}
	w.parameter("/reporting/db/password", e.secrets["reporting"]["DB_PASSWORD_PARAMETER"], ssmtypes.ParameterTypeSecureString)
	// An environment of nearly 4 KB.
	add(function{name: "big-environment", environment: map[string]string{"TEMPLATE": strings.Repeat("Dear customer, ", 268)}}, map[string]string{"API_KEY": w.canary()})
	// What tools own (report 22).
	add(function{name: "of-terraform", tags: map[string]string{"ManagedBy": "terraform"}}, map[string]string{"API_KEY": w.canary()})
	add(function{name: "tagged", tags: map[string]string{"Owner": "team-billing", "Service": "billing"}}, map[string]string{"API_KEY": w.canary()})
	add(function{name: "of-pulumi", tags: map[string]string{"pulumi:stack": "billing-dev"}}, map[string]string{"API_KEY": w.canary()})
	add(function{name: "role-of-terraform", roleTags: map[string]string{"terraform": "true"}}, map[string]string{"API_KEY": w.canary()})
	// A role that may read all that is to come.
	add(function{name: "may-read", rights: `{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","kms:Decrypt"],"Resource":"*"}`}, map[string]string{"API_KEY": w.canary()})
	// Names that are taken: by another secret, and by one that is being deleted
	// (report 16).
	add(function{name: "name-taken"}, map[string]string{"API_KEY": w.canary()})
	w.secret("acme/dev/name-taken/api-key", w.canary(), map[string]string{"ManagedBy": "somebody"})
	add(function{name: "name-deleted"}, map[string]string{"API_KEY": w.canary()})
	w.secret("acme/dev/name-deleted/api-key", w.canary(), nil)
	_, err := w.secrets.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("acme/dev/name-deleted/api-key"), RecoveryWindowInDays: aws.Int64(7)})
	require.NoError(w, err)
	// The variable of the reference is there and holds something else.
	add(function{name: "reference-taken", environment: map[string]string{"API_KEY_SECRET_ID": "of-the-program"}}, map[string]string{"API_KEY": w.canary()})
	// Only its program can read it.
	add(function{name: "encrypted", environment: map[string]string{"DB_PASSWORD": w.ciphertext()}}, nil)
	// What people decided about.
	add(function{name: "legacy-batch"}, map[string]string{"API_KEY": w.canary()})
}

func (w *world) publish(name, alias string) {
	w.Helper()
	published, err := w.lambda.PublishVersion(w.Context(), &lambda.PublishVersionInput{FunctionName: &name})
	require.NoError(w, err)
	w.advance(minute)
	if alias != "" {
		_, err = w.lambda.CreateAlias(w.Context(), &lambda.CreateAliasInput{FunctionName: &name, Name: &alias, FunctionVersion: published.Version})
		require.NoError(w, err)
	}
}

func (w *world) secret(name, value string, tags map[string]string) string {
	w.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}
	for key, value := range tags {
		in.Tags = append(in.Tags, secrettypes.Tag{Key: &key, Value: &value})
	}
	out, err := w.secrets.CreateSecret(w.Context(), in)
	require.NoError(w, err)
	return *out.ARN
}

// ciphertext looks as what KMS encrypts, in base64.
func (w *world) ciphertext() string {
	blob := append([]byte{1, 2, 2, 0, 0x78}, []byte(strings.Repeat("~", 40)+w.canary()+strings.Repeat("!", 80))...)
	return base64.StdEncoding.EncodeToString(blob)
}

func (w *world) specialServices(*estate) {
	w.Helper()
	// Two containers with a value each, one of them a function's too.
	w.service(task{name: "two-containers", environment: map[string]string{"PAYMENTS_API_KEY": w.canary(), "LOG_LEVEL": "debug"}, sidecar: map[string]string{"PROXY_PASSWORD": w.canary()}})
	// The variable is taken from a parameter.
	w.parameter("/search/api/key", w.canary(), ssmtypes.ParameterTypeSecureString)
	w.service(task{name: "search", environment: map[string]string{"LOG_LEVEL": "info"}, secrets: map[string]string{"SEARCH_API_KEY": "/search/api/key"}})
	// It reads a key of a secret already.
	arn := w.secret("acme/dev/ledger/database", `{"engine":"postgres","host":"db","username":"app","password":"`+w.canary()+`"}`, nil)
	w.service(task{name: "ledger", environment: map[string]string{"AUDIT_TOKEN": w.canary()}, secrets: map[string]string{"DB_PASSWORD": arn + ":password::"},
		rights: `{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"` + arn + `"}`})
	// Old revisions with plaintext (report 18).
	w.service(task{name: "many-revisions", environment: map[string]string{"CRM_API_KEY": w.canary()}})
	role := "arn:aws:iam::" + w.cloud.Account() + ":role/task-many-revisions"
	w.revision(task{name: "many-revisions", environment: map[string]string{"CRM_API_KEY": w.canary()}}, role)
	newest := w.revision(task{name: "many-revisions", environment: map[string]string{"CRM_API_KEY": w.canary()}}, role)
	_, err := w.ecs.UpdateService(w.Context(), &ecs.UpdateServiceInput{Cluster: aws.String(cluster), Service: aws.String("many-revisions"), TaskDefinition: &newest})
	require.NoError(w, err)
	// What somebody else deploys, or owns.
	w.service(task{name: "blue-green", environment: map[string]string{"API_KEY": w.canary()}, controller: ecstypes.DeploymentControllerTypeCodeDeploy})
	w.service(task{name: "web-of-terraform", environment: map[string]string{"API_KEY": w.canary()}, tags: map[string]string{"terraform": "true"}})
	// It is to read by itself.
	w.service(task{name: "by-reference", environment: map[string]string{"API_KEY": w.canary()}})
	// Nothing is secret.
	w.service(task{name: "static", environment: map[string]string{"PORT": "8080", "PUBLIC_KEY_ID": "K2JCJMDEHXQW5F"}})
}

func (w *world) scheduledTasks() {
	w.Helper()
	clusterARN := "arn:aws:ecs:" + region + ":" + w.cloud.Account() + ":cluster/" + cluster
	config := w.cloud.Config(region)
	nightly := w.definition(task{name: "nightly", environment: map[string]string{"EXPORT_PASSWORD": w.canary()}})
	rules := eventbridge.NewFromConfig(config)
	_, err := rules.PutRule(w.Context(), &eventbridge.PutRuleInput{Name: aws.String("nightly"), ScheduleExpression: aws.String("rate(1 day)")})
	require.NoError(w, err)
	role := w.role("starter", `{"Effect":"Allow","Action":["ecs:RunTask","iam:PassRole"],"Resource":"*"}`, nil)
	_, err = rules.PutTargets(w.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("nightly"), Targets: []eventtypes.Target{{
		Id: aws.String("task"), Arn: &clusterARN, RoleArn: &role,
		EcsParameters: &eventtypes.EcsParameters{TaskDefinitionArn: &nightly, TaskCount: aws.Int32(1), LaunchType: eventtypes.LaunchTypeFargate,
			NetworkConfiguration: &eventtypes.NetworkConfiguration{AwsvpcConfiguration: &eventtypes.AwsVpcConfiguration{Subnets: []string{"subnet-1"}}}},
	}}})
	require.NoError(w, err)
	weekly := w.definition(task{name: "weekly", environment: map[string]string{"REPORT_TOKEN": w.canary()}})
	_, err = scheduler.NewFromConfig(config).CreateSchedule(w.Context(), &scheduler.CreateScheduleInput{
		Name: aws.String("weekly"), ScheduleExpression: aws.String("rate(7 days)"), FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: schedulertypes.FlexibleTimeWindowModeOff},
		Target: &schedulertypes.Target{Arn: &clusterARN, RoleArn: &role, EcsParameters: &schedulertypes.EcsParameters{TaskDefinitionArn: &weekly, TaskCount: aws.Int32(1)}},
	})
	require.NoError(w, err)
}

// manyParameters fills the Parameter Store up to 200.
func (w *world) manyParameters() {
	w.Helper()
	const made = 3
	for i := range 200 - made {
		name := fmt.Sprintf("/config/app-%02d/setting-%d", i/10, i%10)
		switch i % 4 {
		case 0, 1:
			w.parameter(name, fmt.Sprintf("value-%d", i), ssmtypes.ParameterTypeString)
		case 2:
			w.parameter(name, "eu,us,ap", ssmtypes.ParameterTypeStringList)
		default:
			w.parameter(fmt.Sprintf("/shop/app-%02d/api-key-%d", i/10, i%10), w.canary(), ssmtypes.ParameterTypeSecureString)
		}
	}
}
