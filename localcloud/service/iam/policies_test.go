package iam_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/stretchr/testify/require"
)

func TestManagedPolicyLifecycle(t *testing.T) {
	f := newFixture(t)
	arn := f.role("app", trustsAll, "")
	session := iam.NewFromConfig(f.assume(arn))
	list := func() error {
		_, err := session.ListRoles(f.ctx, &iam.ListRolesInput{})
		return err
	}
	created, err := f.iam.CreatePolicy(f.ctx, &iam.CreatePolicyInput{
		PolicyName: aws.String("lists"), Path: aws.String("/team/"), Description: aws.String("may list"),
		PolicyDocument: aws.String(allow("iam:ListRoles", "*")), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}},
	})
	require.NoError(t, err)
	id := created.Policy.Arn
	require.Equal(t, "arn:aws:iam::123456789012:policy/team/lists", *id)
	require.Equal(t, "v1", *created.Policy.DefaultVersionId)

	requireCode(t, list(), "AccessDenied")
	for range 2 { // attaching is idempotent
		_, err = f.iam.AttachRolePolicy(f.ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("app"), PolicyArn: id})
		require.NoError(t, err)
	}
	require.NoError(t, list())

	attached, err := f.iam.ListAttachedRolePolicies(f.ctx, &iam.ListAttachedRolePoliciesInput{RoleName: aws.String("app")})
	require.NoError(t, err)
	require.Len(t, attached.AttachedPolicies, 1)
	require.Equal(t, "lists", *attached.AttachedPolicies[0].PolicyName)
	entities, err := f.iam.ListEntitiesForPolicy(f.ctx, &iam.ListEntitiesForPolicyInput{PolicyArn: id})
	require.NoError(t, err)
	require.Equal(t, "app", *entities.PolicyRoles[0].RoleName)
	require.Empty(t, entities.PolicyUsers)
	got, err := f.iam.GetPolicy(f.ctx, &iam.GetPolicyInput{PolicyArn: id})
	require.NoError(t, err)
	require.Equal(t, int32(1), *got.Policy.AttachmentCount)
	require.Equal(t, "may list", *got.Policy.Description)

	second, err := f.iam.CreatePolicyVersion(f.ctx, &iam.CreatePolicyVersionInput{PolicyArn: id, PolicyDocument: aws.String(allow("kms:*", "*"))})
	require.NoError(t, err)
	require.Equal(t, "v2", *second.PolicyVersion.VersionId)
	require.NoError(t, list(), "a new version isn't the default by itself")
	_, err = f.iam.SetDefaultPolicyVersion(f.ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: id, VersionId: aws.String("v2")})
	require.NoError(t, err)
	requireCode(t, list(), "AccessDenied")
	_, err = f.iam.CreatePolicyVersion(f.ctx, &iam.CreatePolicyVersionInput{PolicyArn: id, PolicyDocument: aws.String(allow("iam:*", "*")), SetAsDefault: true})
	require.NoError(t, err)
	require.NoError(t, list())

	for range 2 {
		_, err = f.iam.CreatePolicyVersion(f.ctx, &iam.CreatePolicyVersionInput{PolicyArn: id, PolicyDocument: aws.String(allow("iam:*", "*"))})
		require.NoError(t, err)
	}
	_, err = f.iam.CreatePolicyVersion(f.ctx, &iam.CreatePolicyVersionInput{PolicyArn: id, PolicyDocument: aws.String(allow("iam:*", "*"))})
	requireCode(t, err, "LimitExceeded")
	_, err = f.iam.DeletePolicyVersion(f.ctx, &iam.DeletePolicyVersionInput{PolicyArn: id, VersionId: aws.String("v3")})
	requireCode(t, err, "DeleteConflict")
	version, err := f.iam.GetPolicyVersion(f.ctx, &iam.GetPolicyVersionInput{PolicyArn: id, VersionId: aws.String("v2")})
	require.NoError(t, err)
	text, err := url.QueryUnescape(*version.PolicyVersion.Document)
	require.NoError(t, err)
	require.Equal(t, allow("kms:*", "*"), text)

	_, err = f.iam.DeletePolicy(f.ctx, &iam.DeletePolicyInput{PolicyArn: id})
	requireCode(t, err, "DeleteConflict")
	_, err = f.iam.DetachRolePolicy(f.ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("app"), PolicyArn: id})
	require.NoError(t, err)
	_, err = f.iam.DetachRolePolicy(f.ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("app"), PolicyArn: id})
	requireCode(t, err, "NoSuchEntity")
	_, err = f.iam.DeletePolicy(f.ctx, &iam.DeletePolicyInput{PolicyArn: id})
	require.Contains(t, requireCode(t, err, "DeleteConflict"), "more than one version")
	versions, err := f.iam.ListPolicyVersions(f.ctx, &iam.ListPolicyVersionsInput{PolicyArn: id})
	require.NoError(t, err)
	require.Len(t, versions.Versions, 5)
	for _, v := range versions.Versions {
		if !v.IsDefaultVersion {
			_, err = f.iam.DeletePolicyVersion(f.ctx, &iam.DeletePolicyVersionInput{PolicyArn: id, VersionId: v.VersionId})
			require.NoError(t, err)
		}
	}
	_, err = f.iam.DeletePolicy(f.ctx, &iam.DeletePolicyInput{PolicyArn: id})
	require.NoError(t, err)
	_, err = f.iam.GetPolicy(f.ctx, &iam.GetPolicyInput{PolicyArn: id})
	requireCode(t, err, "NoSuchEntity")
	requireCode(t, list(), "AccessDenied")
}

func TestPoliciesOfAWS(t *testing.T) {
	f := newFixture(t)
	f.role("app", trustsAll, "")
	for _, name := range []string{
		"AdministratorAccess", "AWSXRayDaemonWriteAccess", "service-role/AWSLambdaBasicExecutionRole",
		"service-role/AWSLambdaVPCAccessExecutionRole", "service-role/AmazonECSTaskExecutionRolePolicy",
	} {
		arn := aws.String("arn:aws:iam::aws:policy/" + name)
		_, err := f.iam.AttachRolePolicy(f.ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("app"), PolicyArn: arn})
		require.NoError(t, err, name)
		got, err := f.iam.GetPolicy(f.ctx, &iam.GetPolicyInput{PolicyArn: arn})
		require.NoError(t, err)
		require.Equal(t, name[strings.LastIndex(name, "/")+1:], *got.Policy.PolicyName)
		_, err = f.iam.GetPolicyVersion(f.ctx, &iam.GetPolicyVersionInput{PolicyArn: arn, VersionId: got.Policy.DefaultVersionId})
		require.NoError(t, err)
	}
	_, err := f.iam.AttachRolePolicy(f.ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("app"), PolicyArn: aws.String("arn:aws:iam::aws:policy/Nothing")})
	require.Contains(t, requireCode(t, err, "NoSuchEntity"), "does not exist or is not attachable")
	_, err = f.iam.DeletePolicy(f.ctx, &iam.DeletePolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
	requireCode(t, err, "AccessDenied")

	local, err := f.iam.ListPolicies(f.ctx, &iam.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal})
	require.NoError(t, err)
	require.Empty(t, local.Policies)
	used, err := f.iam.ListPolicies(f.ctx, &iam.ListPoliciesInput{OnlyAttached: true})
	require.NoError(t, err)
	require.Len(t, used.Policies, 5)
}

func TestPolicyTags(t *testing.T) {
	f := newFixture(t)
	created, err := f.iam.CreatePolicy(f.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(allow("s3:*", "*"))})
	require.NoError(t, err)
	_, err = f.iam.CreatePolicy(f.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(allow("s3:*", "*"))})
	requireCode(t, err, "EntityAlreadyExists")
	_, err = f.iam.TagPolicy(f.ctx, &iam.TagPolicyInput{PolicyArn: created.Policy.Arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")}}})
	require.NoError(t, err)
	_, err = f.iam.UntagPolicy(f.ctx, &iam.UntagPolicyInput{PolicyArn: created.Policy.Arn, TagKeys: []string{"a"}})
	require.NoError(t, err)
	tags, err := f.iam.ListPolicyTags(f.ctx, &iam.ListPolicyTagsInput{PolicyArn: created.Policy.Arn})
	require.NoError(t, err)
	require.Equal(t, []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}}, tags.Tags)
}

func TestSimulatePrincipalPolicy(t *testing.T) {
	f := newFixture(t)
	arn := f.role("app", trustsAll, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:*:*:secret:org/dev/*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}},
		{"Effect":"Deny","Action":"secretsmanager:DeleteSecret","Resource":"*"}]}`)
	secret := "arn:aws:secretsmanager:us-east-1:123456789012:secret:org/dev/app/db-AbCdEf"
	in := &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: &arn, ActionNames: []string{"secretsmanager:GetSecretValue", "secretsmanager:DeleteSecret", "secretsmanager:PutSecretValue"},
		ResourceArns:   []string{secret},
		ContextEntries: []types.ContextEntry{{ContextKeyName: aws.String("aws:RequestedRegion"), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{"us-east-1"}}},
	}
	decisions := func() map[string]types.PolicyEvaluationDecisionType {
		out, err := f.iam.SimulatePrincipalPolicy(f.ctx, in)
		require.NoError(t, err)
		m := map[string]types.PolicyEvaluationDecisionType{}
		for i, r := range out.EvaluationResults {
			require.Equal(t, in.ActionNames[i], *r.EvalActionName)
			require.Equal(t, secret, *r.EvalResourceName)
			m[strings.TrimPrefix(*r.EvalActionName, "secretsmanager:")] = r.EvalDecision
		}
		return m
	}
	require.Equal(t, map[string]types.PolicyEvaluationDecisionType{
		"GetSecretValue": "allowed", "DeleteSecret": "explicitDeny", "PutSecretValue": "implicitDeny",
	}, decisions())
	in.PolicyInputList = []string{allow("secretsmanager:PutSecretValue", "*")}
	require.Equal(t, types.PolicyEvaluationDecisionTypeAllowed, decisions()["PutSecretValue"])
	in.ContextEntries = nil
	require.Equal(t, types.PolicyEvaluationDecisionTypeImplicitDeny, decisions()["GetSecretValue"])
	in.PermissionsBoundaryPolicyInputList = []string{allow("kms:*", "*")}
	require.Equal(t, types.PolicyEvaluationDecisionTypeImplicitDeny, decisions()["PutSecretValue"])
	in.PolicySourceArn = aws.String("arn:aws:iam::123456789012:role/nobody")
	_, err := f.iam.SimulatePrincipalPolicy(f.ctx, in)
	requireCode(t, err, "NoSuchEntity")
}

func TestInlinePoliciesAreListedByName(t *testing.T) {
	f := newFixture(t)
	f.role("app", trustsAll, "")
	for _, name := range []string{"b", "a", "c"} {
		_, err := f.iam.PutRolePolicy(f.ctx, &iam.PutRolePolicyInput{RoleName: aws.String("app"), PolicyName: &name, PolicyDocument: aws.String(allow("s3:*", "*"))})
		require.NoError(t, err)
	}
	list, err := f.iam.ListRolePolicies(f.ctx, &iam.ListRolePoliciesInput{RoleName: aws.String("app"), MaxItems: aws.Int32(2)})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, list.PolicyNames)
	require.True(t, list.IsTruncated)
	_, err = f.iam.GetRolePolicy(f.ctx, &iam.GetRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("d")})
	require.Equal(t, "The role policy with name d cannot be found.", requireCode(t, err, "NoSuchEntity"))
	_, err = f.iam.GetUserPolicy(f.ctx, &iam.GetUserPolicyInput{UserName: aws.String("nobody"), PolicyName: aws.String("d")})
	require.Equal(t, "The user with name nobody cannot be found.", requireCode(t, err, "NoSuchEntity"))
}
