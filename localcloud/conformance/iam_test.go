package conformance

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"
)

const identity = "IAM and STS"

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"sts:AssumeRole"}]}`

func (p *probe) iam() *iam.Client { return iam.NewFromConfig(p.config(region)) }
func (p *probe) sts() *sts.Client { return sts.NewFromConfig(p.config(region)) }

func (p *probe) role(name string) *types.Role {
	out, err := p.iam().CreateRole(p.ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)})
	require.NoError(p, err)
	return out.Role
}

// short is the case's name where 64 characters are the most.
func (p *probe) short() string { return p.prefix[len("iam-and-sts-"):] }

// assume returns a client with the credentials of a session of the role.
func (p *probe) assume(role *types.Role) *sm.Client { return sm.NewFromConfig(p.assumeConfig(role)) }

// assumeConfig is a configuration with the credentials of a session of the role.
func (p *probe) assumeConfig(role *types.Role) aws.Config {
	out, err := p.sts().AssumeRole(p.ctx, &sts.AssumeRoleInput{RoleArn: role.Arn, RoleSessionName: aws.String("tester")})
	require.NoError(p, err)
	cfg := p.config(region)
	cfg.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
	return cfg
}

func identityCases() []testCase {
	const reader = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	return []testCase{
		{service: identity, name: "create a role", run: func(p *probe) {
			role := p.role(p.short())
			p.equal("arn:aws:iam::123456789012:role/"+p.short(), *role.Arn)
			require.Regexp(p, "^AROA[A-Z0-9]+$", *role.RoleId)
			_, err := p.iam().CreateRole(p.ctx, &iam.CreateRoleInput{RoleName: aws.String(p.short()), AssumeRolePolicyDocument: aws.String(trust)})
			p.fails(err, "EntityAlreadyExists", "Role with name "+p.short()+" already exists.")
		}},
		{service: identity, name: "get a role that isn't there", run: func(p *probe) {
			_, err := p.iam().GetRole(p.ctx, &iam.GetRoleInput{RoleName: aws.String("none")})
			p.fails(err, "NoSuchEntity", "none")
		}},
		{service: identity, name: "malformed trust policy", run: func(p *probe) {
			_, err := p.iam().CreateRole(p.ctx, &iam.CreateRoleInput{RoleName: aws.String(p.short()), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17"}`)})
			p.fails(err, "MalformedPolicyDocument", "")
		}, moto: &difference{"takes it", "[CreateRole](https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html): MalformedPolicyDocument"}},
		{service: identity, name: "inline policy", run: func(p *probe) {
			c, role := p.iam(), p.role(p.short())
			_, err := c.PutRolePolicy(p.ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("read"), PolicyDocument: aws.String(reader)})
			require.NoError(p, err)
			out, err := c.ListRolePolicies(p.ctx, &iam.ListRolePoliciesInput{RoleName: role.RoleName})
			require.NoError(p, err)
			p.equal([]string{"read"}, out.PolicyNames)
			_, err = c.DeleteRolePolicy(p.ctx, &iam.DeleteRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("read")})
			require.NoError(p, err)
			_, err = c.GetRolePolicy(p.ctx, &iam.GetRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("read")})
			p.fails(err, "NoSuchEntity", "")
		}},
		{service: identity, name: "malformed inline policy", run: func(p *probe) {
			role := p.role(p.short())
			_, err := p.iam().PutRolePolicy(p.ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("read"), PolicyDocument: aws.String("no policy")})
			p.fails(err, "MalformedPolicyDocument", "")
		}},
		{service: identity, name: "managed policy", run: func(p *probe) {
			c, role := p.iam(), p.role(p.short())
			policy, err := c.CreatePolicy(p.ctx, &iam.CreatePolicyInput{PolicyName: aws.String(p.short()), PolicyDocument: aws.String(reader)})
			require.NoError(p, err)
			_, err = c.AttachRolePolicy(p.ctx, &iam.AttachRolePolicyInput{RoleName: role.RoleName, PolicyArn: policy.Policy.Arn})
			require.NoError(p, err)
			out, err := c.ListAttachedRolePolicies(p.ctx, &iam.ListAttachedRolePoliciesInput{RoleName: role.RoleName})
			require.NoError(p, err)
			p.equal(*policy.Policy.Arn, *out.AttachedPolicies[0].PolicyArn)
			_, err = c.DeletePolicy(p.ctx, &iam.DeletePolicyInput{PolicyArn: policy.Policy.Arn})
			p.fails(err, "DeleteConflict", "")
		}, moto: &difference{"deletes an attached policy", "[DeletePolicy](https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html): DeleteConflict"}},
		{service: identity, name: "delete a role with a policy", run: func(p *probe) {
			c, role := p.iam(), p.role(p.short())
			_, err := c.PutRolePolicy(p.ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("read"), PolicyDocument: aws.String(reader)})
			require.NoError(p, err)
			_, err = c.DeleteRole(p.ctx, &iam.DeleteRoleInput{RoleName: role.RoleName})
			p.fails(err, "DeleteConflict", "Cannot delete entity, must delete policies first.")
		}},
		{service: identity, name: "who am I", run: func(p *probe) {
			role := p.role(p.short())
			out, err := p.sts().AssumeRole(p.ctx, &sts.AssumeRoleInput{RoleArn: role.Arn, RoleSessionName: aws.String("tester")})
			require.NoError(p, err)
			p.equal("arn:aws:sts::123456789012:assumed-role/"+p.short()+"/tester", *out.AssumedRoleUser.Arn)
			require.Regexp(p, "^ASIA", *out.Credentials.AccessKeyId)
			cfg := p.config(region)
			cfg.Credentials = credentials.NewStaticCredentialsProvider(*out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
			me, err := sts.NewFromConfig(cfg).GetCallerIdentity(p.ctx, &sts.GetCallerIdentityInput{})
			require.NoError(p, err)
			p.equal(*out.AssumedRoleUser.Arn, *me.Arn)
			p.equal(account, *me.Account)
		}},
		{service: identity, name: "a role without policies is denied", run: func(p *probe) {
			arn := p.create(p.name("s"), "v").ARN
			_, err := p.assume(p.role(p.short())).GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
			p.fails(err, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/"+p.short()+"/tester is not authorized to perform: secretsmanager:GetSecretValue on resource: "+*arn)
		}, moto: &difference{"asks no policy unless it is told to", "[policy evaluation](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html): an implicit deny"}},
		{service: identity, name: "a role with a policy is let in", run: func(p *probe) {
			p.create(p.name("s"), "v")
			role := p.role(p.short())
			_, err := p.iam().PutRolePolicy(p.ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("read"), PolicyDocument: aws.String(reader)})
			require.NoError(p, err)
			out, err := p.assume(role).GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
			require.NoError(p, err)
			p.equal("v", *out.SecretString)
		}},
		{service: identity, name: "a secret's policy lets a role in", run: func(p *probe) {
			p.create(p.name("s"), "v")
			role := p.role(p.short())
			policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + *role.Arn + `"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
			_, err := p.sm.PutResourcePolicy(p.ctx, &sm.PutResourcePolicyInput{SecretId: p.name("s"), ResourcePolicy: &policy})
			require.NoError(p, err)
			_, err = p.assume(role).GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
			require.NoError(p, err)
		}},
		{service: identity, name: "a secret's policy denies whatever the role may", run: func(p *probe) {
			p.create(p.name("s"), "v")
			role := p.role(p.short()[:40])
			_, err := p.iam().PutRolePolicy(p.ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("read"), PolicyDocument: aws.String(reader)})
			require.NoError(p, err)
			policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSPREVIOUS"}}}]}`
			_, err = p.sm.PutResourcePolicy(p.ctx, &sm.PutResourcePolicyInput{SecretId: p.name("s"), ResourcePolicy: &policy})
			require.NoError(p, err)
			p.put(p.name("s"), "w")
			c := p.assume(role)
			_, err = c.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
			require.NoError(p, err)
			_, err = c.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s"), VersionStage: aws.String("AWSPREVIOUS")})
			p.fails(err, "AccessDeniedException", "with an explicit deny in a resource-based policy")
		}, moto: &difference{"asks no policy unless it is told to", "[policy evaluation](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html): an explicit deny overrides"}},
		{service: identity, name: "access by the secret's tag", run: func(p *probe) {
			for _, team := range []string{"red", "blue"} {
				_, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name(team), SecretString: aws.String("v"), Tags: []smtypes.Tag{tag("Team", team)}})
				require.NoError(p, err)
			}
			role := p.role(p.short())
			policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{"StringEquals":{"secretsmanager:ResourceTag/Team":"red"}}}]}`
			_, err := p.iam().PutRolePolicy(p.ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("read"), PolicyDocument: &policy})
			require.NoError(p, err)
			c := p.assume(role)
			_, err = c.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("red")})
			require.NoError(p, err)
			_, err = c.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("blue")})
			p.fails(err, "AccessDeniedException", "")
		}, moto: &difference{"asks no policy unless it is told to", "[ABAC](https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access-abac.html): secretsmanager:ResourceTag"}},
		{service: identity, name: "assume a role that trusts another", run: func(p *probe) {
			policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
			out, err := p.iam().CreateRole(p.ctx, &iam.CreateRoleInput{RoleName: aws.String(p.short()), AssumeRolePolicyDocument: &policy})
			require.NoError(p, err)
			user := p.assumeConfig(p.role(p.short() + "-2"))
			_, err = sts.NewFromConfig(user).AssumeRole(p.ctx, &sts.AssumeRoleInput{RoleArn: out.Role.Arn, RoleSessionName: aws.String("tester")})
			p.fails(err, "AccessDenied", "sts:AssumeRole")
		}, moto: &difference{"doesn't look at the trust policy", "[AssumeRole](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html): the role's trust policy must allow the caller"}},
	}
}
