package plan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// account is what a test makes in the local cloud.
type cloud struct {
	testing.TB
	*localcloud.Cloud
	secrets *secretsmanager.Client
	keys    *kms.Client
	roles   *iam.Client
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	c, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	config := c.Config(region)
	return &cloud{t, c, secretsmanager.NewFromConfig(config), kms.NewFromConfig(config), iam.NewFromConfig(config)}
}

func (c *cloud) secret(name, value, managedBy string) string {
	c.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name}
	if value != "" {
		in.SecretString = &value
	}
	if managedBy != "" {
		in.Tags = []types.Tag{{Key: aws.String(spec.TagManagedBy), Value: &managedBy}}
	}
	out, err := c.secrets.CreateSecret(c.Context(), in)
	require.NoError(c, err)
	return *out.ARN
}

func (c *cloud) key() string {
	const name = "alias/acme/dev/secrets"
	c.Helper()
	key, err := c.keys.CreateKey(c.Context(), &kms.CreateKeyInput{})
	require.NoError(c, err)
	_, err = c.keys.CreateAlias(c.Context(), &kms.CreateAliasInput{AliasName: aws.String(name), TargetKeyId: key.KeyMetadata.KeyId})
	require.NoError(c, err)
	return *key.KeyMetadata.Arn
}

// statement is an Allow with a condition.
func statement(action, resource string, condition map[string]map[string]string) map[string]any {
	s := map[string]any{"Effect": "Allow", "Action": action, "Resource": resource}
	if condition != nil {
		s["Condition"] = condition
	}
	return s
}

func (c *cloud) role(name string, tags map[string]string, statements ...map[string]any) string {
	c.Helper()
	in := &iam.CreateRoleInput{
		RoleName:                 &name,
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com","AWS":"` + c.Account() + `"},"Action":"sts:AssumeRole"}]}`),
	}
	for key, value := range tags {
		in.Tags = append(in.Tags, iamtypes.Tag{Key: &key, Value: &value})
	}
	out, err := c.roles.CreateRole(c.Context(), in)
	require.NoError(c, err)
	if len(statements) > 0 {
		document, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
		require.NoError(c, err)
		_, err = c.roles.PutRolePolicy(c.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: aws.String(string(document))})
		require.NoError(c, err)
	}
	return *out.Role.Arn
}

// draft is a plan of one function a secret.
func draft(c *cloud, secrets map[string]string) plan.Plan {
	p := plan.Plan{
		Version: plan.Version, Stack: "dev", Organization: "acme", Environment: "dev", Account: c.Account(), Region: region, KMSKey: "alias/acme/dev/secrets", Mode: plan.DualRead,
	}
	for name, role := range secrets {
		p.Secrets = append(p.Secrets, plan.Secret{Name: name, Kind: spec.KindCustom, Tags: map[string]string{"Service": "orders"}})
		p.Services = append(p.Services, plan.Service{ID: "lambda/" + name, Kind: plan.LambdaFunction, Role: role, Variables: []plan.Variable{{Name: "X", Secret: name}}})
	}
	return p
}

func TestFactsAboutSecrets(t *testing.T) {
	c := newCloud(t)
	key := digest.New()
	object := `{"username":"app","port":5432,"nested":{"a":1}}`
	arns := map[string]string{
		"acme/dev/x/value": c.secret("acme/dev/x/value", apiKey, ""), "acme/dev/x/empty": c.secret("acme/dev/x/empty", "", "pulumi"),
		"acme/dev/x/object": c.secret("acme/dev/x/object", object, plan.ManagedBy), "acme/dev/x/gone": c.secret("acme/dev/x/gone", apiKey, ""),
		"elsewhere": c.secret("elsewhere", object, ""),
	}
	c.secret("acme/dev/x/other", apiKey, "") // not in the plan, so it isn't read
	_, err := c.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("acme/dev/x/gone"), RecoveryWindowInDays: aws.Int64(7)})
	require.NoError(t, err)

	p := draft(c, map[string]string{"acme/dev/x/value": "", "acme/dev/x/empty": "", "acme/dev/x/object": "", "acme/dev/x/gone": "", "acme/dev/x/none": ""})
	estate := discover.Estate{TaskDefinitions: []discover.TaskDefinition{definition("web", 1, discover.Container{Injected: []discover.Injected{
		{Name: "A", ValueFrom: arns["elsewhere"] + ":username::"}, {Name: "B", ValueFrom: arns["acme/dev/x/value"]},
		{Name: "C", ValueFrom: "arn:aws:secretsmanager:us-east-1:" + c.Account() + ":secret:never-Ab1Cd2:username::"},
	}})}}
	var told []string
	facts, err := plan.ReadFacts(t.Context(), c.Config(region), p, estate, key, func(what string, done, total int) { told = append(told, what) })
	require.NoError(t, err)
	assert.True(t, facts.Known)
	assert.Empty(t, facts.KeyARN)
	assert.Contains(t, told, "values of secrets")
	deleted := facts.Secrets["acme/dev/x/gone"].Deleted
	assert.WithinDuration(t, c.Clock().Now(), deleted, 8*24*time.Hour)
	fields := map[string]string{"username": key.OfBytes([]byte("app")), "port": key.OfBytes([]byte("5432")), "nested": key.OfBytes([]byte(`{"a":1}`))}
	assert.Equal(t, map[string]plan.Existing{
		"acme/dev/x/value":  {ARN: arns["acme/dev/x/value"], HasValue: true, Digest: key.OfBytes([]byte(apiKey))},
		"acme/dev/x/empty":  {ARN: arns["acme/dev/x/empty"], ManagedBy: "pulumi"},
		"acme/dev/x/object": {ARN: arns["acme/dev/x/object"], ManagedBy: plan.ManagedBy, HasValue: true, Digest: key.OfBytes([]byte(object)), Fields: fields},
		"acme/dev/x/gone":   {ARN: arns["acme/dev/x/gone"], HasValue: true, Deleted: deleted},
		"elsewhere":         {ARN: arns["elsewhere"], HasValue: true, Digest: key.OfBytes([]byte(object)), Fields: fields},
		"never":             {ARN: "arn:aws:secretsmanager:us-east-1:" + c.Account() + ":secret:never-Ab1Cd2", Unread: "ResourceNotFoundException"},
	}, facts.Secrets)
}

func TestFactsAboutTheKey(t *testing.T) {
	c := newCloud(t)
	arn := c.key()
	facts, err := plan.ReadFacts(t.Context(), c.Config(region), draft(c, nil), discover.Estate{}, digest.New(), nil)
	require.NoError(t, err)
	assert.Equal(t, arn, facts.KeyARN)
	_, err = c.keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &arn})
	require.NoError(t, err)
	facts, err = plan.ReadFacts(t.Context(), c.Config(region), draft(c, nil), discover.Estate{}, digest.New(), nil)
	require.NoError(t, err)
	assert.Empty(t, facts.KeyARN)
	assert.Equal(t, "its state is Disabled", facts.KeyWhy)
}

func TestFactsAboutRoles(t *testing.T) {
	c := newCloud(t)
	key := c.key()
	there := c.secret("acme/dev/x/there", apiKey, "")
	const reads = "secretsmanager:GetSecretValue"
	through := map[string]map[string]string{"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}
	thisSecret := map[string]map[string]string{"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com", "kms:EncryptionContext:SecretARN": there}}
	pattern := "arn:aws:secretsmanager:us-east-1:" + c.Account() + ":secret:acme/dev/x/"
	tests := map[string]struct {
		secret     string
		tags       map[string]string
		statements []map[string]any
		want       plan.Role
	}{
		"nothing":                  {"acme/dev/x/new", nil, nil, plan.Role{}},
		"reads-and-decrypts":       {"acme/dev/x/new", nil, []map[string]any{statement(reads, pattern+"new-??????", nil), statement("kms:Decrypt", key, through)}, plan.Role{Readable: []string{"acme/dev/x/new"}}},
		"reads-only":               {"acme/dev/x/new", nil, []map[string]any{statement(reads, pattern+"new-??????", nil)}, plan.Role{}},
		"reads-another":            {"acme/dev/x/new", nil, []map[string]any{statement(reads, pattern+"news-??????", nil), statement("kms:Decrypt", key, nil)}, plan.Role{}},
		"by-arn-and-for-this-only": {"acme/dev/x/there", nil, []map[string]any{statement(reads, there, nil), statement("kms:Decrypt", key, thisSecret)}, plan.Role{Readable: []string{"acme/dev/x/there"}}},
		"key-for-another-only":     {"acme/dev/x/new", nil, []map[string]any{statement(reads, "*", nil), statement("kms:Decrypt", key, thisSecret)}, plan.Role{}},
		"of-a-tool":                {"acme/dev/x/new", map[string]string{"ManagedBy": "terraform"}, nil, plan.Role{ManagedBy: "Terraform"}},
	}
	arns := map[string]string{}
	for name, test := range tests {
		arns[name] = c.role(name, test.tags, test.statements...)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			facts, err := plan.ReadFacts(t.Context(), c.Config(region), draft(c, map[string]string{test.secret: arns[name]}), discover.Estate{}, digest.New(), nil)
			require.NoError(t, err)
			role := facts.Roles[arns[name]]
			assert.Equal(t, len(test.statements) > 0, role.Inline > 0)
			role.Inline = 0
			assert.Equal(t, test.want, role)
			assert.Len(t, facts.Roles, 1)
		})
	}
	missing := "arn:aws:iam::" + c.Account() + ":role/none"
	facts, err := plan.ReadFacts(t.Context(), c.Config(region), draft(c, map[string]string{"acme/dev/x/new": missing}), discover.Estate{}, digest.New(), nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]plan.Role{missing: {Missing: true}}, facts.Roles)
}

// Rights may also come from policies that a role shares with others.
func TestFactsAboutSharedPolicies(t *testing.T) {
	c := newCloud(t)
	c.key()
	arn := c.role("service", nil)
	policy, err := c.roles.CreatePolicy(t.Context(), &iam.CreatePolicyInput{
		PolicyName: aws.String("reader"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["secretsmanager:Get*","kms:*"],"Resource":"*"}}`),
	})
	require.NoError(t, err)
	for _, policy := range []string{*policy.Policy.Arn, "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"} {
		_, err = c.roles.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("service"), PolicyArn: &policy})
		require.NoError(t, err)
	}
	facts, err := plan.ReadFacts(t.Context(), c.Config(region), draft(c, map[string]string{"acme/dev/x/new": arn}), discover.Estate{}, digest.New(), nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]plan.Role{arn: {Readable: []string{"acme/dev/x/new"}}}, facts.Roles)
}

// Whoever may not list the roles asks about each; whoever may not ask IAM at all
// knows nothing, which isn't the same as that a role may not read.
func TestFactsWithFewRights(t *testing.T) {
	c := newCloud(t)
	key := c.key()
	service := c.role("service", map[string]string{"ManagedBy": "terraform"}, statement("secretsmanager:GetSecretValue", "*", nil), statement("kms:Decrypt", key, nil))
	p := draft(c, map[string]string{"acme/dev/x/new": service})
	common := []map[string]any{statement("secretsmanager:ListSecrets", "*", nil), statement("kms:DescribeKey", "*", nil)}
	for name, test := range map[string]struct {
		allowed []string
		want    plan.Role
	}{
		"each":     {[]string{"iam:GetRole", "iam:SimulatePrincipalPolicy"}, plan.Role{ManagedBy: "Terraform", Readable: []string{"acme/dev/x/new"}}},
		"read":     {[]string{"iam:GetRole"}, plan.Role{ManagedBy: "Terraform", Unread: "IAM can't be asked: AccessDenied"}},
		"listonly": {[]string{"iam:GetAccountAuthorizationDetails"}, plan.Role{ManagedBy: "Terraform", Unread: "IAM can't be asked: AccessDenied", Inline: 244}},
		"nothing":  {nil, plan.Role{Unread: "the role can't be read: AccessDenied"}},
	} {
		statements := common
		for _, action := range test.allowed {
			statements = append(statements, statement(action, "*", nil))
		}
		arn := c.role("migrator-"+name, nil, statements...)
		facts, err := plan.ReadFacts(t.Context(), c.as(arn), p, discover.Estate{}, digest.New(), nil)
		require.NoError(t, err, name)
		assert.Equal(t, map[string]plan.Role{service: test.want}, facts.Roles, name)
	}
}

// as is the configuration of somebody who took on the role.
func (c *cloud) as(role string) aws.Config {
	c.Helper()
	out, err := sts.NewFromConfig(c.Config(region)).AssumeRole(c.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("plan")})
	require.NoError(c, err)
	return c.ConfigFor(region, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
}

// Many roles take few calls: those whose policies allow no reading needn't be
// asked about.
func TestManyRolesTakeFewCalls(t *testing.T) {
	c := newCloud(t)
	c.key()
	roles := map[string]string{}
	for i := range 60 {
		name := fmt.Sprint("role-", i)
		roles["acme/dev/x/"+name] = c.role(name, nil, statement("s3:GetObject", "*", nil))
	}
	calls := 0
	config := c.Config(region)
	config.APIOptions = append(config.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Count", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			calls++
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
	facts, err := plan.ReadFacts(t.Context(), config, draft(c, roles), discover.Estate{}, digest.New(), nil)
	require.NoError(t, err)
	assert.Len(t, facts.Roles, 60)
	assert.Equal(t, 3, calls, "the key, the secrets, the roles")
}
