package run_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/run"
)

// TestARotationFunctionOfAnotherAccount is judged as far as its account lets the
// auditor look, and is never said to be missing because it doesn't.
func TestARotationFunctionOfAnotherAccount(t *testing.T) {
	t.Parallel()
	e := small(t)
	ctx := t.Context()
	const owner = "210987654321"
	theirs := e.cloud.ConfigFor(east, owner, "x", "")
	made, err := iam.NewFromConfig(theirs).CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("rotator"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	require.NoError(t, err)
	functions := lambda.NewFromConfig(theirs)
	function, err := functions.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("shared-rotator"), Role: made.Role.Arn, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []lambdatypes.Architecture{architecture()}, Code: &lambdatypes.FunctionCode{ZipFile: rotatorCode(t)},
	})
	require.NoError(t, err)
	permit := func(id, action, principal string) {
		t.Helper()
		e.must(functions.AddPermission(ctx, &lambda.AddPermissionInput{
			FunctionName: aws.String("shared-rotator"), StatementId: &id, Action: &action, Principal: &principal,
		}))
	}
	permit("rotation", "lambda:InvokeFunction", "secretsmanager.amazonaws.com")
	e.advance(time.Minute)
	// Who sets it up has to be allowed to invoke it, so its owner does.
	one, err := e.east.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("acme/prod/app/one")})
	require.NoError(t, err)
	e.must(e.east.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: one.ARN, ResourcePolicy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + owner + `"},"Action":"secretsmanager:RotateSecret","Resource":"*"}]}`)}))
	e.must(secretsmanager.NewFromConfig(theirs).RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: one.ARN, RotationLambdaARN: function.FunctionArn, RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")},
	}))
	require.NoError(t, e.cloud.Settle(ctx))

	auditor := e.makeRole("auditor", auditorMay())
	about := func() map[string]string {
		o := e.options(auditor, e.store())
		o.Regions = []string{east}
		return aboutFunctions(t, e.audit(o))
	}
	denied := map[string]string{}
	for _, rule := range []string{"function-missing", "function-failing", "function-runtime-deprecated"} {
		denied[rule] = "unknown: Lambda GetFunctionConfiguration failed: AccessDeniedException"
	}
	require.Equal(t, denied, about())

	permit("auditor", "lambda:GetFunctionConfiguration", account)
	require.Equal(t, map[string]string{
		"function-failing": "unknown: the metrics of the function are in its account, " + owner,
	}, about(), "the other two pass")

	e.must(functions.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("shared-rotator")}))
	require.Equal(t, denied, about(), "its permissions went with it")
}

// aboutFunctions returns what isn't passed about functions, by rule.
func aboutFunctions(t *testing.T, o *run.Outcome) map[string]string {
	t.Helper()
	found := map[string]string{}
	for f, err := range o.Findings() {
		require.NoError(t, err)
		if strings.HasPrefix(f.Rule, "function-") {
			found[f.Rule] = string(f.Status)
			if f.Status == finding.Unknown {
				found[f.Rule] += ": " + f.Reason
			}
		}
	}
	return found
}
