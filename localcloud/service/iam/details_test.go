package iam_test

import (
	"net/url"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/stretchr/testify/require"
)

func TestAccountAuthorizationDetails(t *testing.T) {
	f := newFixture(t)
	const (
		own   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}`
		ofAWS = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
	)
	made, err := f.iam.CreatePolicy(f.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("own"), PolicyDocument: aws.String(own)})
	require.NoError(t, err)
	for _, name := range []string{"a", "b", "c"} {
		_, err := f.iam.CreateRole(f.ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trustsLambda), Tags: []types.Tag{{Key: aws.String("Service"), Value: &name}}})
		require.NoError(t, err)
	}
	_, err = f.iam.PutRolePolicy(f.ctx, &iam.PutRolePolicyInput{RoleName: aws.String("b"), PolicyName: aws.String("inline"), PolicyDocument: aws.String(own)})
	require.NoError(t, err)
	for _, arn := range []string{*made.Policy.Arn, ofAWS} {
		_, err = f.iam.AttachRolePolicy(f.ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("b"), PolicyArn: &arn})
		require.NoError(t, err)
	}

	var roles []types.RoleDetail
	policies := map[string]types.ManagedPolicyDetail{}
	pagesSeen := 0
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(f.iam, &iam.GetAccountAuthorizationDetailsInput{
		Filter: []types.EntityType{types.EntityTypeRole, types.EntityTypeLocalManagedPolicy, types.EntityTypeAWSManagedPolicy}, MaxItems: aws.Int32(2),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(f.ctx)
		require.NoError(t, err)
		require.Empty(t, page.UserDetailList)
		roles = append(roles, page.RoleDetailList...)
		for _, p := range page.Policies {
			policies[*p.Arn] = p
		}
		pagesSeen++
	}
	require.Equal(t, 3, pagesSeen, "five things, two a page")
	require.Len(t, roles, 3)
	require.Equal(t, "b", *roles[1].RoleName)
	require.Equal(t, "b", *roles[1].Tags[0].Value, "unlike ListRoles, this gives the tags")
	document, err := url.PathUnescape(*roles[1].RolePolicyList[0].PolicyDocument)
	require.NoError(t, err)
	require.Equal(t, own, document)
	require.Len(t, roles[1].AttachedManagedPolicies, 2)
	require.Empty(t, roles[0].AttachedManagedPolicies)
	require.Len(t, policies, 2, "of AWS's own only what is in use")
	require.Contains(t, policies, ofAWS)
	document, err = url.PathUnescape(*policies[*made.Policy.Arn].PolicyVersionList[0].Document)
	require.NoError(t, err)
	require.Equal(t, own, document)
	require.True(t, policies[*made.Policy.Arn].PolicyVersionList[0].IsDefaultVersion)

	_, err = f.iam.GetAccountAuthorizationDetails(f.ctx, &iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{"Robot"}})
	require.ErrorContains(t, err, "Robot")
}
