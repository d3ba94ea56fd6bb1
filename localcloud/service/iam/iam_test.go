package iam_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

const (
	region    = "us-east-1"
	account   = localcloud.DefaultAccount
	trustsAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}]}`
)

// fixture is a cloud with clients of its root.
type fixture struct {
	*testing.T
	ctx   context.Context
	cloud *localcloud.Cloud
	iam   *iam.Client
	sts   *sts.Client
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	cfg := cloud.Config(region)
	return &fixture{T: t, ctx: t.Context(), cloud: cloud, iam: iam.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg)}
}

// role makes a role and, if text isn't empty, gives it an inline policy.
func (f *fixture) role(name, trust, text string) string {
	f.Helper()
	out, err := f.iam.CreateRole(f.ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	require.NoError(f, err)
	if text != "" {
		f.inline(name, text)
	}
	return *out.Role.Arn
}

func (f *fixture) inline(role, text string) {
	f.Helper()
	_, err := f.iam.PutRolePolicy(f.ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("inline"), PolicyDocument: &text})
	require.NoError(f, err)
}

// assume returns the configuration of a session of the role.
func (f *fixture) assume(role string, opts ...func(*sts.AssumeRoleInput)) aws.Config {
	f.Helper()
	in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("session")}
	for _, opt := range opts {
		opt(in)
	}
	out, err := f.sts.AssumeRole(f.ctx, in)
	require.NoError(f, err)
	c := out.Credentials
	return f.cloud.ConfigFor(region, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// requireCode checks the code of an AWS error and returns its message.
func requireCode(t *testing.T, err error, code string) string {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.ErrorCode(), e.ErrorMessage())
	return e.ErrorMessage()
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

func TestRoleSessionMayOnlyWhatItsPoliciesAllow(t *testing.T) {
	f := newFixture(t)
	arn := f.role("reader", trustsAll, allow("iam:GetRole", "arn:aws:iam::*:role/reader"))
	require.Equal(t, "arn:aws:iam::123456789012:role/reader", arn)
	f.role("other", trustsAll, "")
	session := iam.NewFromConfig(f.assume(arn))

	got, err := session.GetRole(f.ctx, &iam.GetRoleInput{RoleName: aws.String("reader")})
	require.NoError(t, err)
	require.Equal(t, arn, *got.Role.Arn)

	_, err = session.GetRole(f.ctx, &iam.GetRoleInput{RoleName: aws.String("other")})
	require.Equal(t, "User: arn:aws:sts::123456789012:assumed-role/reader/session is not authorized to perform: iam:GetRole on resource: arn:aws:iam::123456789012:role/other because no identity-based policy allows the iam:GetRole action",
		requireCode(t, err, "AccessDenied"))

	f.inline("reader", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`)
	_, err = session.GetRole(f.ctx, &iam.GetRoleInput{RoleName: aws.String("reader")})
	require.Contains(t, requireCode(t, err, "AccessDenied"), "with an explicit deny in an identity-based policy")
}

func TestCallerIdentity(t *testing.T) {
	f := newFixture(t)
	root, err := f.sts.GetCallerIdentity(f.ctx, &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	require.Equal(t, "arn:aws:iam::123456789012:root", *root.Arn)
	require.Equal(t, account, *root.Account)

	session, err := sts.NewFromConfig(f.assume(f.role("reader", trustsAll, ""))).GetCallerIdentity(f.ctx, &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	require.Equal(t, "arn:aws:sts::123456789012:assumed-role/reader/session", *session.Arn)
	require.Regexp(t, `^AROA[A-Z2-7]{17}:session$`, *session.UserId)

	other, err := sts.NewFromConfig(f.cloud.ConfigFor(region, "210987654321", "x", "")).GetCallerIdentity(f.ctx, &sts.GetCallerIdentityInput{})
	require.NoError(t, err)
	require.Equal(t, "arn:aws:iam::210987654321:root", *other.Arn)
}

func TestMalformedPolicyIsRefused(t *testing.T) {
	f := newFixture(t)
	f.role("reader", trustsAll, "")
	_, err := f.iam.PutRolePolicy(f.ctx, &iam.PutRolePolicyInput{
		RoleName: aws.String("reader"), PolicyName: aws.String("p"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resources":"*"}]}`),
	})
	var malformed *types.MalformedPolicyDocumentException
	require.ErrorAs(t, err, &malformed)
}
