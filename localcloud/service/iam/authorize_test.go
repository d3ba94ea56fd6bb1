package iam_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
	service "github.com/aistudio/secrets/localcloud/service/iam"
)

// bench is an IAM by itself, as the other services see it.
type bench struct {
	*testing.T
	iam   *service.Service
	clock *clock.Clock
}

func newBench(t *testing.T) bench {
	env := &api.Env{
		Clock: clock.New(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), Account: account,
		Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
	t.Cleanup(env.Clock.Stop)
	s := service.New(env)
	env.IAM = s
	return bench{t, s, env.Clock}
}

func (b bench) role(name, trust, text string) string {
	b.Helper()
	b.call("CreateRole", url.Values{"RoleName": {name}, "AssumeRolePolicyDocument": {trust}})
	if text != "" {
		b.call("PutRolePolicy", url.Values{"RoleName": {name}, "PolicyName": {"p"}, "PolicyDocument": {text}})
	}
	return "arn:aws:iam::" + account + ":role/" + name
}

func (b bench) call(operation string, form url.Values) {
	b.Helper()
	root, err := b.iam.Resolve("iam", "test", "")
	require.NoError(b, err)
	r := api.NewRequest(api.Request{
		Service: "iam", Operation: operation, Account: account, Region: region, Caller: root, Body: []byte(form.Encode()),
	}, b.iam)
	_, err = b.iam.Handler(operation)(b.Context(), r)
	require.NoError(b, err)
}

// caller is a session of the role, as the dispatcher would find it.
func (b bench) caller(role string, opts service.Session) api.Caller {
	b.Helper()
	opts.Name, opts.Duration = "session", time.Hour
	c, err := b.iam.NewSession(role, opts)
	require.NoError(b, err)
	caller, err := b.iam.Resolve("sts", c.AccessKeyID, c.SessionToken)
	require.NoError(b, err)
	return caller
}

const secretARN = "arn:aws:secretsmanager:us-east-1:" + account + ":secret:org/dev/app/db-AbCdEf"

func (b bench) ask(caller api.Caller, c api.Check) error {
	if c.Resource == "" {
		c.Resource = secretARN
	}
	if c.Action == "" {
		c.Action = "secretsmanager:GetSecretValue"
	}
	return b.iam.Authorize(context.Background(), caller, region, c)
}

func TestServiceSessionNeedsTheServiceInTheTrustPolicy(t *testing.T) {
	b := newBench(t)
	lambdas := b.role("lambdas", trustsLambda, allow("secretsmanager:GetSecretValue", "*"))
	people := b.role("people", trustsAll, "")

	c, err := b.iam.ServiceSession(t.Context(), lambdas, "function", "lambda.amazonaws.com")
	require.NoError(t, err)
	require.Equal(t, b.clock.Now().Add(time.Hour).Truncate(time.Minute), c.Expiration.Truncate(time.Minute))
	caller, err := b.iam.Resolve("secretsmanager", c.AccessKeyID, c.SessionToken)
	require.NoError(t, err)
	require.Equal(t, "arn:aws:sts::123456789012:assumed-role/lambdas/function", caller.ARN)
	require.Equal(t, lambdas, caller.Role)
	require.NoError(t, b.ask(caller, api.Check{}))

	_, err = b.iam.ServiceSession(t.Context(), lambdas, "function", "events.amazonaws.com")
	require.Equal(t, "User: events.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: "+lambdas+" because no role trust policy allows the sts:AssumeRole action", requireAPI(t, err, "AccessDenied").Message)
	_, err = b.iam.ServiceSession(t.Context(), people, "function", "lambda.amazonaws.com")
	requireAPI(t, err, "AccessDenied")
	_, err = b.iam.ServiceSession(t.Context(), lambdas+"x", "function", "lambda.amazonaws.com")
	requireAPI(t, err, "NoSuchEntity")
}

func requireAPI(t *testing.T, err error, code string) api.Error {
	t.Helper()
	var e *api.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code)
	return *e
}

func TestRefusalsAreWordedByService(t *testing.T) {
	b := newBench(t)
	caller := b.caller(b.role("app", trustsAll, ""), service.Session{})
	for action, want := range map[string]api.Error{
		"secretsmanager:ListSecrets": {Status: 400, Code: "AccessDeniedException", Message: "User: arn:aws:sts::123456789012:assumed-role/app/session is not authorized to perform: secretsmanager:ListSecrets because no identity-based policy allows the secretsmanager:ListSecrets action"},
		"lambda:ListFunctions":       {Status: 403, Code: "AccessDeniedException", Message: "User: arn:aws:sts::123456789012:assumed-role/app/session is not authorized to perform: lambda:ListFunctions because no identity-based policy allows the lambda:ListFunctions action"},
		"iam:ListRoles":              {Status: 403, Code: "AccessDenied", Message: "User: arn:aws:sts::123456789012:assumed-role/app/session is not authorized to perform: iam:ListRoles because no identity-based policy allows the iam:ListRoles action"},
	} {
		got := requireAPI(t, b.ask(caller, api.Check{Action: action, Resource: "*"}), want.Code)
		require.Equal(t, want, got)
	}
}

// TestGlobalConditionKeys asks with a policy that allows only if the condition
// holds.
func TestGlobalConditionKeys(t *testing.T) {
	b := newBench(t)
	app := b.caller(b.role("app", trustsAll, ""), service.Session{Tags: map[string]string{"team": "blue"}, SourceIdentity: "ann"})
	app.SourceIP, app.UserAgent = "10.1.2.3", "sdk"
	via := app
	via.Via = "secretsmanager.us-east-1.amazonaws.com"
	lambda := api.Caller{Account: account, Service: "secretsmanager.amazonaws.com", SourceARN: secretARN}
	root := api.Caller{Account: "210987654321", ARN: "arn:aws:iam::210987654321:root", ID: "210987654321", Root: true}

	for condition, c := range map[string]struct {
		caller api.Caller
		want   bool
	}{
		`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/app"}`:                                                  {app, true},
		`"StringEquals":{"aws:PrincipalArn":"` + app.ARN + `"}`:                                                                  {app, false},
		`"StringEquals":{"aws:PrincipalAccount":"123456789012"}`:                                                                 {app, true},
		`"StringEquals":{"aws:PrincipalType":"AssumedRole"}`:                                                                     {app, true},
		`"StringEquals":{"aws:PrincipalTag/team":"blue"}`:                                                                        {app, true},
		`"StringLike":{"aws:userid":"AROA*:session"}`:                                                                            {app, true},
		`"Null":{"aws:username":"true"}`:                                                                                         {app, true},
		`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`:                                                                              {app, true},
		`"StringEquals":{"aws:UserAgent":"sdk"}`:                                                                                 {app, true},
		`"Bool":{"aws:SecureTransport":"true"}`:                                                                                  {app, true},
		`"Bool":{"aws:ViaAWSService":"false","aws:PrincipalIsAWSService":"false"}`:                                               {app, true},
		`"Bool":{"aws:MultiFactorAuthPresent":"false"}`:                                                                          {app, true},
		`"StringEquals":{"aws:RequestedRegion":"us-east-1"}`:                                                                     {app, true},
		`"StringEquals":{"aws:RequestedRegion":"us-west-2"}`:                                                                     {app, false},
		`"StringEquals":{"aws:ResourceAccount":"123456789012"}`:                                                                  {app, true},
		`"StringEquals":{"aws:SourceIdentity":"ann"}`:                                                                            {app, true},
		`"DateGreaterThan":{"aws:CurrentTime":"2026-03-01T11:59:59Z"},"DateLessThan":{"aws:CurrentTime":"2026-03-02T00:00:00Z"}`: {app, true},
		`"NumericGreaterThan":{"aws:EpochTime":"1772366399"}`:                                                                    {app, true},
		`"DateGreaterThanEquals":{"aws:TokenIssueTime":"2026-03-01T12:00:00Z"}`:                                                  {app, true},
		`"Null":{"aws:SourceArn":"true","aws:SourceAccount":"true"}`:                                                             {app, true},
		`"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}`:                                                            {app, true}, // of the check

		`"Bool":{"aws:ViaAWSService":"true"}`:                                         {via, true},
		`"StringEquals":{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com"}`:  {via, true},
		`"ForAnyValue:StringEquals":{"aws:CalledVia":"secretsmanager.amazonaws.com"}`: {via, true},
		`"Null":{"aws:SourceIp":"true"}`:                                              {via, true},

		`"Bool":{"aws:PrincipalIsAWSService":"true"}`:                                      {lambda, true},
		`"StringEquals":{"aws:PrincipalServiceName":"secretsmanager.amazonaws.com"}`:       {lambda, true},
		`"StringEquals":{"aws:SourceAccount":"123456789012"}`:                              {lambda, true},
		`"StringEquals":{"aws:SourceAccount":"210987654321"}`:                              {lambda, false},
		`"ArnLike":{"aws:SourceArn":"arn:aws:secretsmanager:*:123456789012:secret:org/*"}`: {lambda, true},
		`"Null":{"aws:PrincipalArn":"true","aws:PrincipalAccount":"true"}`:                 {lambda, true},

		`"StringEquals":{"aws:PrincipalType":"Account","aws:userid":"210987654321"},"Null":{"aws:TokenIssueTime":"true"}`: {root, true},
	} {
		policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{` + condition + `}}]}`
		err := b.ask(c.caller, api.Check{ResourcePolicy: policy, Context: map[string][]string{"secretsmanager:VersionStage": {"AWSCURRENT"}}})
		require.Equal(t, c.want, err == nil, "%s: %v", condition, err)
	}

	keyPolicy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"123456789012"}}}]}`
	key := api.Check{Action: "kms:Decrypt", Resource: "arn:aws:kms:us-east-1:123456789012:key/k", ResourcePolicy: keyPolicy, PolicyDecides: true}
	require.NoError(t, b.ask(app, key))
	require.Error(t, b.ask(root, key))
}

func TestRootOfAnotherAccountIsAStranger(t *testing.T) {
	b := newBench(t)
	own, err := b.iam.Resolve("secretsmanager", "test", "")
	require.NoError(t, err)
	require.NoError(t, b.ask(own, api.Check{ResourcePolicy: `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`}))
	other, err := b.iam.Resolve("secretsmanager", "210987654321", "")
	require.NoError(t, err)
	require.Contains(t, requireAPI(t, b.ask(other, api.Check{}), "AccessDeniedException").Message, "because no resource-based policy allows")
	require.NoError(t, b.ask(other, api.Check{Resource: "*"}))
}

func TestAPolicyThatCannotBeReadAllowsNothing(t *testing.T) {
	b := newBench(t)
	caller := b.caller(b.role("app", trustsAll, allow("*", "*")), service.Session{})
	requireAPI(t, b.ask(caller, api.Check{ResourcePolicy: `{"Statement":`}), "InternalFailure")
}

func TestCredentialsAreRandom(t *testing.T) {
	b := newBench(t)
	role := b.role("app", trustsAll, "")
	seen := map[string]bool{}
	for range 20 {
		c, err := b.iam.NewSession(role, service.Session{Name: "session", Duration: time.Hour})
		require.NoError(t, err)
		require.Len(t, c.AccessKeyID, 20)
		require.Len(t, c.SecretAccessKey, 40)
		token, err := base64.RawStdEncoding.DecodeString(c.SessionToken)
		require.NoError(t, err)
		require.Len(t, token, 96)
		for _, s := range []string{c.AccessKeyID, c.SecretAccessKey, c.SessionToken} {
			require.False(t, seen[s])
			seen[s] = true
		}
	}
}

func TestExpiredSessionsAreForgottenInTheEnd(t *testing.T) {
	b := newBench(t)
	role := b.role("app", trustsAll, "")
	old, err := b.iam.NewSession(role, service.Session{Name: "session", Duration: time.Hour})
	require.NoError(t, err)
	require.NoError(t, b.clock.Advance(t.Context(), 2*time.Hour))
	_, err = b.iam.Resolve("secretsmanager", old.AccessKeyID, old.SessionToken)
	requireAPI(t, err, "ExpiredTokenException")
	require.NoError(t, b.clock.Advance(t.Context(), 365*24*time.Hour))
	_, err = b.iam.Resolve("secretsmanager", old.AccessKeyID, old.SessionToken)
	requireAPI(t, err, "ExpiredTokenException")
	for range 10_000 {
		_, err = b.iam.NewSession(role, service.Session{Name: "session", Duration: time.Hour})
		require.NoError(t, err)
	}
	_, err = b.iam.Resolve("secretsmanager", old.AccessKeyID, old.SessionToken)
	requireAPI(t, err, "UnrecognizedClientException")
}
