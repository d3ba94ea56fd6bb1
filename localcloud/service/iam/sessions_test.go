package iam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/stretchr/testify/require"
)

// whoAmI asks with the given credentials.
func (f *fixture) whoAmI(cfg aws.Config) (string, error) {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(f.ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return *out.Arn, nil
}

func (f *fixture) with(cfg aws.Config, change func(*aws.Credentials)) aws.Config {
	f.Helper()
	c, err := cfg.Credentials.Retrieve(f.ctx)
	require.NoError(f, err)
	change(&c)
	return f.cloud.ConfigFor(region, c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
}

func TestCredentialsExpire(t *testing.T) {
	f := newFixture(t)
	arn := f.role("app", trustsAll, "")
	session := f.assume(arn, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(900) })
	_, err := f.whoAmI(session)
	require.NoError(t, err)
	require.NoError(t, f.cloud.Advance(f.ctx, 15*time.Minute))
	_, err = f.whoAmI(session)
	requireCode(t, err, "ExpiredToken")
	_, err = cloudtrail.NewFromConfig(session).LookupEvents(f.ctx, &cloudtrail.LookupEventsInput{})
	requireCode(t, err, "ExpiredTokenException")

	// Also when the clock moves by months and others have new sessions.
	require.NoError(t, f.cloud.Advance(f.ctx, 90*24*time.Hour))
	f.assume(arn)
	_, err = f.whoAmI(session)
	requireCode(t, err, "ExpiredToken")
}

func TestSessionKeysNeedTheirToken(t *testing.T) {
	f := newFixture(t)
	session := f.assume(f.role("app", trustsAll, ""))
	for _, token := range []string{"", "x"} {
		stolen := f.with(session, func(c *aws.Credentials) { c.SessionToken = token })
		_, err := f.whoAmI(stolen)
		requireCode(t, err, "InvalidClientTokenId")
		_, err = cloudtrail.NewFromConfig(stolen).LookupEvents(f.ctx, &cloudtrail.LookupEventsInput{})
		requireCode(t, err, "UnrecognizedClientException")
	}
}

func TestKeysOfAStateThatWasResetAreNotRoot(t *testing.T) {
	f := newFixture(t)
	session := f.assume(f.role("app", trustsAll, ""))
	require.NoError(t, f.cloud.Reset())
	_, err := f.whoAmI(session)
	requireCode(t, err, "InvalidClientTokenId")
}

func TestARoleMadeAnewIsAnotherRole(t *testing.T) {
	f := newFixture(t)
	arn := f.role("app", trustsAll, "")
	old := iam.NewFromConfig(f.assume(arn))
	_, err := f.iam.DeleteRole(f.ctx, &iam.DeleteRoleInput{RoleName: aws.String("app")})
	require.NoError(t, err)
	f.role("app", trustsAll, allow("iam:*", "*"))
	_, err = old.ListRoles(f.ctx, &iam.ListRolesInput{})
	requireCode(t, err, "AccessDenied")
	_, err = iam.NewFromConfig(f.assume(arn)).ListRoles(f.ctx, &iam.ListRolesInput{})
	require.NoError(t, err)
}

func TestAssumeRoleNeedsTheTrustPolicy(t *testing.T) {
	f := newFixture(t)
	caller := f.role("caller", trustsAll, allow("sts:AssumeRole", "arn:aws:iam::123456789012:role/*"))
	idle := f.role("idle", trustsAll, "")
	onlyCaller := strings.ReplaceAll(trustsAll, `"`+account+`"`, `"`+caller+`"`)
	target := f.role("target", onlyCaller, "")
	lambdas := f.role("lambdas", trustsLambda, "")
	shared := f.role("shared", trustsAll, "")
	try := func(who aws.Config, role string) error {
		_, err := sts.NewFromConfig(who).AssumeRole(f.ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("x1")})
		return err
	}
	require.NoError(t, try(f.assume(caller), target))
	require.NoError(t, try(f.assume(caller), shared))
	require.Contains(t, requireCode(t, try(f.assume(idle), target), "AccessDenied"), "because no role trust policy allows the sts:AssumeRole action")
	require.Contains(t, requireCode(t, try(f.assume(caller), lambdas), "AccessDenied"), "because no role trust policy allows the sts:AssumeRole action")
	require.Contains(t, requireCode(t, try(f.assume(idle), shared), "AccessDenied"), "because no identity-based policy allows the sts:AssumeRole action", "the trust policy names only the account")
	requireCode(t, try(f.assume(caller), "arn:aws:iam::123456789012:role/nobody"), "AccessDenied")

	other := f.cloud.ConfigFor(region, "210987654321", "x", "")
	require.Contains(t, requireCode(t, try(other, shared), "AccessDenied"), "because no role trust policy allows")
	f.role("open", strings.ReplaceAll(trustsAll, account, "210987654321"), "")
	require.NoError(t, try(other, "arn:aws:iam::123456789012:role/open"))
}

func TestExternalID(t *testing.T) {
	f := newFixture(t)
	role := f.role("partner", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"210987654321"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"right"}}}]}`, "")
	client := sts.NewFromConfig(f.cloud.ConfigFor(region, "210987654321", "x", ""))
	for id, code := range map[string]string{"right": "", "wrong": "AccessDenied", "": "AccessDenied", "not valid!": "ValidationError"} {
		in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("x1")}
		if id != "" {
			in.ExternalId = &id
		}
		_, err := client.AssumeRole(f.ctx, in)
		if code == "" {
			require.NoError(t, err)
			continue
		}
		requireCode(t, err, code)
	}
}

func TestSessionPoliciesLimit(t *testing.T) {
	f := newFixture(t)
	arn := f.role("app", trustsAll, allow("iam:*", "*"))
	managed, err := f.iam.CreatePolicy(f.ctx, &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(allow("iam:ListUsers", "*"))})
	require.NoError(t, err)
	session := iam.NewFromConfig(f.assume(arn, func(in *sts.AssumeRoleInput) {
		in.Policy = aws.String(allow("iam:ListRoles", "*"))
		in.PolicyArns = []ststypes.PolicyDescriptorType{{Arn: managed.Policy.Arn}}
	}))
	_, err = session.ListRoles(f.ctx, &iam.ListRolesInput{})
	require.NoError(t, err)
	_, err = session.ListUsers(f.ctx, &iam.ListUsersInput{})
	require.NoError(t, err)
	_, err = session.ListPolicies(f.ctx, &iam.ListPoliciesInput{})
	require.Contains(t, requireCode(t, err, "AccessDenied"), "because no session policy allows the iam:ListPolicies action")

	for text, code := range map[string]string{"{}": "MalformedPolicyDocument", strings.Repeat(" ", 2049): "PackedPolicyTooLarge"} {
		_, err = f.sts.AssumeRole(f.ctx, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("x1"), Policy: &text})
		requireCode(t, err, code)
	}
}

func TestTagsDecideAccess(t *testing.T) {
	f := newFixture(t)
	_, err := f.iam.CreateRole(f.ctx, &iam.CreateRoleInput{
		RoleName: aws.String("app"), AssumeRolePolicyDocument: aws.String(trustsAll),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}, {Key: aws.String("role"), Value: aws.String("kept")}},
	})
	require.NoError(t, err)
	arn := "arn:aws:iam::123456789012:role/app"
	f.inline("app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:GetRole","Resource":"arn:aws:iam::*:role/${aws:PrincipalTag/team}-*",
		"Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}","aws:PrincipalTag/role":"kept"}}}]}`)
	for _, team := range []string{"blue", "red"} {
		_, err := f.iam.CreateRole(f.ctx, &iam.CreateRoleInput{
			RoleName: aws.String(team + "-1"), AssumeRolePolicyDocument: aws.String(trustsAll),
			Tags: []types.Tag{{Key: aws.String("team"), Value: &team}},
		})
		require.NoError(t, err)
	}
	sees := func(cfg aws.Config, role string) bool {
		_, err := iam.NewFromConfig(cfg).GetRole(f.ctx, &iam.GetRoleInput{RoleName: &role})
		if err != nil {
			requireCode(t, err, "AccessDenied")
		}
		return err == nil
	}
	plain := f.assume(arn)
	require.True(t, sees(plain, "blue-1"))
	require.False(t, sees(plain, "red-1"))
	red := f.assume(arn, func(in *sts.AssumeRoleInput) {
		in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
	})
	require.True(t, sees(red, "red-1"), "a session's tag wins over the role's")
	require.False(t, sees(red, "blue-1"))
}

func TestTagSessionNeedsItsPermission(t *testing.T) {
	f := newFixture(t)
	caller := f.role("caller", trustsAll, allow("sts:*", "*"))
	role := f.role("app", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`, "")
	client := sts.NewFromConfig(f.assume(caller))
	in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("x1")}
	_, err := client.AssumeRole(f.ctx, in)
	require.NoError(t, err)
	in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
	_, err = client.AssumeRole(f.ctx, in)
	require.Contains(t, requireCode(t, err, "AccessDenied"), "sts:TagSession")
	in.Tags, in.SourceIdentity = nil, aws.String("ann")
	_, err = client.AssumeRole(f.ctx, in)
	require.Contains(t, requireCode(t, err, "AccessDenied"), "sts:SetSourceIdentity")
}

func TestRoleChaining(t *testing.T) {
	f := newFixture(t)
	long := func(name, text string) string {
		_, err := f.iam.CreateRole(f.ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trustsAll), MaxSessionDuration: aws.Int32(43200)})
		require.NoError(t, err)
		f.inline(name, text)
		return "arn:aws:iam::123456789012:role/" + name
	}
	first, second := long("first", allow("sts:*", "*")), long("second", `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"iam:ListRoles","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/goes":"on","aws:SourceIdentity":"ann"},"Null":{"aws:PrincipalTag/stays":"true"}}}]}`)
	session := f.assume(first, func(in *sts.AssumeRoleInput) {
		in.DurationSeconds = aws.Int32(43200)
		in.Tags = []ststypes.Tag{{Key: aws.String("goes"), Value: aws.String("on")}, {Key: aws.String("stays"), Value: aws.String("here")}}
		in.TransitiveTagKeys = []string{"goes"}
		in.SourceIdentity = aws.String("ann")
	})
	client := sts.NewFromConfig(session)
	in := &sts.AssumeRoleInput{RoleArn: &second, RoleSessionName: aws.String("chained"), DurationSeconds: aws.Int32(3601)}
	_, err := client.AssumeRole(f.ctx, in)
	requireCode(t, err, "ValidationError")
	in.DurationSeconds, in.Tags = nil, []ststypes.Tag{{Key: aws.String("Goes"), Value: aws.String("off")}}
	_, err = client.AssumeRole(f.ctx, in)
	requireCode(t, err, "InvalidParameterValue")
	in.Tags = nil
	out, err := client.AssumeRole(f.ctx, in)
	require.NoError(t, err)
	require.Equal(t, "ann", *out.SourceIdentity)
	require.Equal(t, "arn:aws:sts::123456789012:assumed-role/second/chained", *out.AssumedRoleUser.Arn)
	c := out.Credentials
	_, err = iam.NewFromConfig(f.cloud.ConfigFor(region, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)).ListRoles(f.ctx, &iam.ListRolesInput{})
	require.NoError(t, err)
}

func TestAssumeRoleChecksItsInput(t *testing.T) {
	f := newFixture(t)
	arn := f.role("app", trustsAll, "")
	for name, c := range map[string]struct {
		change func(*sts.AssumeRoleInput)
		code   string
	}{
		"session name": {func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a b") }, "ValidationError"},
		"too short":    {func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(899) }, "ValidationError"},
		"too long":     {func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) }, "ValidationError"},
		"tag": {func(in *sts.AssumeRoleInput) {
			in.Tags = []ststypes.Tag{{Key: aws.String("aws:x"), Value: aws.String("")}}
		}, "ValidationError"},
		"same tags": {func(in *sts.AssumeRoleInput) {
			in.Tags = []ststypes.Tag{{Key: aws.String("x"), Value: aws.String("")}, {Key: aws.String("X"), Value: aws.String("")}}
		}, "InvalidParameterValue"},
		"transitive": {func(in *sts.AssumeRoleInput) { in.TransitiveTagKeys = []string{"x"} }, "InvalidParameterValue"},
		"policy ARN": {func(in *sts.AssumeRoleInput) {
			in.PolicyArns = []ststypes.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::123456789012:policy/none-such")}}
		}, "ValidationError"},
	} {
		in := &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("session")}
		c.change(in)
		_, err := f.sts.AssumeRole(f.ctx, in)
		require.Error(t, err, name)
		requireCode(t, err, c.code)
	}
}

func TestUsers(t *testing.T) {
	f := newFixture(t)
	name := aws.String("ann")
	created, err := f.iam.CreateUser(f.ctx, &iam.CreateUserInput{UserName: name, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}})
	require.NoError(t, err)
	require.Equal(t, "arn:aws:iam::123456789012:user/ann", *created.User.Arn)
	key, err := f.iam.CreateAccessKey(f.ctx, &iam.CreateAccessKeyInput{UserName: name})
	require.NoError(t, err)
	cfg := f.cloud.ConfigFor(region, *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
	who, err := f.whoAmI(cfg)
	require.NoError(t, err)
	require.Equal(t, *created.User.Arn, who)

	self := iam.NewFromConfig(cfg)
	_, err = self.GetUser(f.ctx, &iam.GetUserInput{})
	requireCode(t, err, "AccessDenied")
	_, err = f.iam.PutUserPolicy(f.ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("self"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GetUser","iam:CreateAccessKey"],"Resource":"arn:aws:iam::*:user/${aws:username}","Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}]}`)})
	require.NoError(t, err)
	got, err := self.GetUser(f.ctx, &iam.GetUserInput{})
	require.NoError(t, err)
	require.Equal(t, "ann", *got.User.UserName)
	_, err = self.GetUser(f.ctx, &iam.GetUserInput{UserName: aws.String("bob")})
	requireCode(t, err, "AccessDenied")

	_, err = self.CreateAccessKey(f.ctx, &iam.CreateAccessKeyInput{})
	require.NoError(t, err)
	_, err = self.CreateAccessKey(f.ctx, &iam.CreateAccessKeyInput{})
	requireCode(t, err, "LimitExceeded")
	keys, err := f.iam.ListAccessKeys(f.ctx, &iam.ListAccessKeysInput{UserName: name})
	require.NoError(t, err)
	require.Len(t, keys.AccessKeyMetadata, 2)

	token, err := sts.NewFromConfig(cfg).GetSessionToken(f.ctx, &sts.GetSessionTokenInput{})
	require.NoError(t, err)
	c := token.Credentials
	temporary := f.cloud.ConfigFor(region, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	_, err = iam.NewFromConfig(temporary).GetUser(f.ctx, &iam.GetUserInput{})
	require.NoError(t, err, "the session may what its user may")
	_, err = sts.NewFromConfig(temporary).GetSessionToken(f.ctx, &sts.GetSessionTokenInput{})
	requireCode(t, err, "AccessDenied")

	_, err = f.iam.UpdateAccessKey(f.ctx, &iam.UpdateAccessKeyInput{UserName: name, AccessKeyId: key.AccessKey.AccessKeyId, Status: types.StatusTypeInactive})
	require.NoError(t, err)
	_, err = f.whoAmI(cfg)
	requireCode(t, err, "InvalidClientTokenId")

	_, err = f.iam.DeleteUser(f.ctx, &iam.DeleteUserInput{UserName: name})
	require.Contains(t, requireCode(t, err, "DeleteConflict"), "must delete access keys first")
	for _, k := range keys.AccessKeyMetadata {
		_, err = f.iam.DeleteAccessKey(f.ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: k.AccessKeyId})
		require.NoError(t, err)
	}
	_, err = f.iam.DeleteUserPolicy(f.ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: aws.String("self")})
	require.NoError(t, err)
	_, err = f.iam.DeleteUser(f.ctx, &iam.DeleteUserInput{UserName: name})
	require.NoError(t, err)
	_, err = iam.NewFromConfig(temporary).GetUser(f.ctx, &iam.GetUserInput{UserName: name})
	requireCode(t, err, "AccessDenied")
	_, err = f.iam.CreateUser(f.ctx, &iam.CreateUserInput{UserName: name})
	require.NoError(t, err)
	_, err = f.iam.PutUserPolicy(f.ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("all"), PolicyDocument: aws.String(allow("iam:*", "*"))})
	require.NoError(t, err)
	_, err = iam.NewFromConfig(temporary).GetUser(f.ctx, &iam.GetUserInput{UserName: name})
	requireCode(t, err, "AccessDenied") // a user made anew is another user
}
