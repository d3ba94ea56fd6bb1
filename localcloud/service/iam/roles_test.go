package iam_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/stretchr/testify/require"
)

const trustsLambda = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func TestRoleLifecycle(t *testing.T) {
	f := newFixture(t)
	name := aws.String("Reader")
	created, err := f.iam.CreateRole(f.ctx, &iam.CreateRoleInput{
		RoleName: name, Path: aws.String("/services/"), AssumeRolePolicyDocument: aws.String(trustsLambda),
		Description: aws.String("reads"), MaxSessionDuration: aws.Int32(7200),
		Tags: []types.Tag{{Key: aws.String("Service"), Value: aws.String("billing & more <x>")}},
	})
	require.NoError(t, err)
	require.Equal(t, "arn:aws:iam::123456789012:role/services/Reader", *created.Role.Arn)
	require.Regexp(t, `^AROA[A-Z2-7]{17}$`, *created.Role.RoleId)

	got, err := f.iam.GetRole(f.ctx, &iam.GetRoleInput{RoleName: name})
	require.NoError(t, err)
	trust, err := url.QueryUnescape(*got.Role.AssumeRolePolicyDocument)
	require.NoError(t, err)
	require.Equal(t, trustsLambda, trust, "documents come back URL-encoded, byte for byte")
	require.NotContains(t, *got.Role.AssumeRolePolicyDocument, " ")
	require.Equal(t, "billing & more <x>", *got.Role.Tags[0].Value)
	require.Equal(t, int32(7200), *got.Role.MaxSessionDuration)
	require.WithinDuration(t, f.cloud.Clock().Now(), *got.Role.CreateDate, time.Minute)

	_, err = f.iam.CreateRole(f.ctx, &iam.CreateRoleInput{RoleName: aws.String("reader"), AssumeRolePolicyDocument: aws.String(trustsLambda)})
	var exists *types.EntityAlreadyExistsException
	require.ErrorAs(t, err, &exists, "names are unique without regard to case")

	_, err = f.iam.UpdateRole(f.ctx, &iam.UpdateRoleInput{RoleName: name, MaxSessionDuration: aws.Int32(3600)})
	require.NoError(t, err)
	_, err = f.iam.UpdateAssumeRolePolicy(f.ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: aws.String(trustsAll)})
	require.NoError(t, err)
	_, err = f.iam.TagRole(f.ctx, &iam.TagRoleInput{RoleName: name, Tags: []types.Tag{{Key: aws.String("service"), Value: aws.String("new")}, {Key: aws.String("Owner"), Value: aws.String("ops")}}})
	require.NoError(t, err)
	_, err = f.iam.UntagRole(f.ctx, &iam.UntagRoleInput{RoleName: name, TagKeys: []string{"Owner"}})
	require.NoError(t, err)
	got, err = f.iam.GetRole(f.ctx, &iam.GetRoleInput{RoleName: name})
	require.NoError(t, err)
	require.Equal(t, "reads", *got.Role.Description, "what an update leaves out stays")
	require.Equal(t, int32(3600), *got.Role.MaxSessionDuration)
	require.Contains(t, *got.Role.AssumeRolePolicyDocument, "sts%3ATagSession")
	tags, err := f.iam.ListRoleTags(f.ctx, &iam.ListRoleTagsInput{RoleName: name})
	require.NoError(t, err)
	require.Len(t, tags.Tags, 1)
	require.Equal(t, "new", *tags.Tags[0].Value)
	updated, err := f.iam.UpdateRoleDescription(f.ctx, &iam.UpdateRoleDescriptionInput{RoleName: name, Description: aws.String("other")})
	require.NoError(t, err)
	require.Equal(t, "other", *updated.Role.Description)

	f.inline("Reader", allow("kms:*", "*"))
	_, err = f.iam.AttachRolePolicy(f.ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")})
	require.NoError(t, err)
	var conflict *types.DeleteConflictException
	_, err = f.iam.DeleteRole(f.ctx, &iam.DeleteRoleInput{RoleName: name})
	require.ErrorAs(t, err, &conflict)
	require.Contains(t, conflict.ErrorMessage(), "must detach all policies first")
	_, err = f.iam.DetachRolePolicy(f.ctx, &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")})
	require.NoError(t, err)
	_, err = f.iam.DeleteRole(f.ctx, &iam.DeleteRoleInput{RoleName: name})
	require.ErrorAs(t, err, &conflict)
	require.Contains(t, conflict.ErrorMessage(), "must delete policies first")

	policies, err := f.iam.ListRolePolicies(f.ctx, &iam.ListRolePoliciesInput{RoleName: name})
	require.NoError(t, err)
	require.Equal(t, []string{"inline"}, policies.PolicyNames)
	policy, err := f.iam.GetRolePolicy(f.ctx, &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("inline")})
	require.NoError(t, err)
	text, err := url.QueryUnescape(*policy.PolicyDocument)
	require.NoError(t, err)
	require.Equal(t, allow("kms:*", "*"), text)
	_, err = f.iam.DeleteRolePolicy(f.ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("inline")})
	require.NoError(t, err)
	profiles, err := f.iam.ListInstanceProfilesForRole(f.ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: name})
	require.NoError(t, err)
	require.Empty(t, profiles.InstanceProfiles)
	_, err = f.iam.DeleteRole(f.ctx, &iam.DeleteRoleInput{RoleName: name})
	require.NoError(t, err)

	var gone *types.NoSuchEntityException
	_, err = f.iam.GetRole(f.ctx, &iam.GetRoleInput{RoleName: name})
	require.ErrorAs(t, err, &gone)
	require.Equal(t, "The role with name Reader cannot be found.", gone.ErrorMessage())
	_, err = f.iam.DeleteRolePolicy(f.ctx, &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("inline")})
	require.ErrorAs(t, err, &gone)
}

func TestBadRoles(t *testing.T) {
	f := newFixture(t)
	for name, c := range map[string]struct {
		in   iam.CreateRoleInput
		code string
	}{
		"name":      {iam.CreateRoleInput{RoleName: aws.String("a b"), AssumeRolePolicyDocument: aws.String(trustsLambda)}, "ValidationError"},
		"long name": {iam.CreateRoleInput{RoleName: aws.String(strings.Repeat("a", 65)), AssumeRolePolicyDocument: aws.String(trustsLambda)}, "ValidationError"},
		"path":      {iam.CreateRoleInput{RoleName: aws.String("a"), Path: aws.String("x"), AssumeRolePolicyDocument: aws.String(trustsLambda)}, "ValidationError"},
		"session":   {iam.CreateRoleInput{RoleName: aws.String("a"), MaxSessionDuration: aws.Int32(900), AssumeRolePolicyDocument: aws.String(trustsLambda)}, "ValidationError"},
		"trust":     {iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String(allow("s3:*", "*"))}, "MalformedPolicyDocument"},
		"no such principal": {iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String(
			strings.ReplaceAll(trustsAll, `"`+account+`"`, `"arn:aws:iam::123456789012:role/nobody"`))}, "MalformedPolicyDocument"},
		"long trust": {iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String(trustsLambda + strings.Repeat(" ", 2048))}, "LimitExceeded"},
		"tag":        {iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String(trustsLambda), Tags: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("")}}}, "InvalidInput"},
		"same tags": {iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String(trustsLambda),
			Tags: []types.Tag{{Key: aws.String("x"), Value: aws.String("")}, {Key: aws.String("X"), Value: aws.String("")}}}, "InvalidInput"},
		"boundary": {iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: aws.String(trustsLambda),
			PermissionsBoundary: aws.String("arn:aws:iam::123456789012:policy/none")}, "NoSuchEntity"},
	} {
		_, err := f.iam.CreateRole(f.ctx, &c.in)
		require.Error(t, err, name)
		requireCode(t, err, c.code)
	}
	list, err := f.iam.ListRoles(f.ctx, &iam.ListRolesInput{})
	require.NoError(t, err)
	require.Empty(t, list.Roles)
	require.Empty(t, f.cloud.Unsupported())
}

func TestListRolesInPages(t *testing.T) {
	f := newFixture(t)
	for i := range 7 {
		f.role(fmt.Sprintf("role-%d", i), trustsLambda, "")
	}
	_, err := f.iam.CreateRole(f.ctx, &iam.CreateRoleInput{RoleName: aws.String("elsewhere"), Path: aws.String("/x/"), AssumeRolePolicyDocument: aws.String(trustsLambda)})
	require.NoError(t, err)
	var names []string
	sizes := []int{}
	for p := iam.NewListRolesPaginator(f.iam, &iam.ListRolesInput{MaxItems: aws.Int32(3)}); p.HasMorePages(); {
		page, err := p.NextPage(f.ctx)
		require.NoError(t, err)
		sizes = append(sizes, len(page.Roles))
		for _, r := range page.Roles {
			names = append(names, *r.RoleName)
		}
		if len(sizes) == 1 { // the last item of a page may go before the next is asked for
			_, err = f.iam.DeleteRole(f.ctx, &iam.DeleteRoleInput{RoleName: page.Roles[2].RoleName})
			require.NoError(t, err)
		}
	}
	require.Equal(t, []int{3, 3, 2}, sizes)
	require.Equal(t, []string{"elsewhere", "role-0", "role-1", "role-2", "role-3", "role-4", "role-5", "role-6"}, names)

	under, err := f.iam.ListRoles(f.ctx, &iam.ListRolesInput{PathPrefix: aws.String("/x/")})
	require.NoError(t, err)
	require.Len(t, under.Roles, 1)
	_, err = f.iam.ListRoles(f.ctx, &iam.ListRolesInput{Marker: aws.String("!")})
	requireCode(t, err, "ValidationError")
}

func TestBoundaryLimitsARole(t *testing.T) {
	f := newFixture(t)
	arn := f.role("app", trustsAll, allow("iam:*", "*"))
	session := iam.NewFromConfig(f.assume(arn))
	_, err := session.ListRoles(f.ctx, &iam.ListRolesInput{})
	require.NoError(t, err)
	boundary, err := f.iam.CreatePolicy(f.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("bound"), PolicyDocument: aws.String(allow("kms:*", "*"))})
	require.NoError(t, err)
	_, err = f.iam.PutRolePermissionsBoundary(f.ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String("app"), PermissionsBoundary: boundary.Policy.Arn})
	require.NoError(t, err)
	_, err = session.ListRoles(f.ctx, &iam.ListRolesInput{})
	require.Contains(t, requireCode(t, err, "AccessDenied"), "because no permissions boundary allows the iam:ListRoles action")
	got, err := f.iam.GetRole(f.ctx, &iam.GetRoleInput{RoleName: aws.String("app")})
	require.NoError(t, err)
	require.Equal(t, *boundary.Policy.Arn, *got.Role.PermissionsBoundary.PermissionsBoundaryArn)
	_, err = f.iam.DeletePolicy(f.ctx, &iam.DeletePolicyInput{PolicyArn: boundary.Policy.Arn})
	requireCode(t, err, "DeleteConflict")
	_, err = f.iam.DeleteRolePermissionsBoundary(f.ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: aws.String("app")})
	require.NoError(t, err)
	_, err = session.ListRoles(f.ctx, &iam.ListRolesInput{})
	require.NoError(t, err)
}
