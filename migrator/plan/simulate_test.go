package plan

import (
	"context"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// byTag is a role whose policy goes by the secret's tag Service, answered in the
// shape that the API reference gives for lists of resources; the local cloud
// knows no missing context.
type byTag struct{ roleReader }

func (byTag) SimulatePrincipalPolicy(_ context.Context, in *iam.SimulatePrincipalPolicyInput, _ ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error) {
	result := types.EvaluationResult{EvalActionName: &in.ActionNames[0], EvalDecision: types.PolicyEvaluationDecisionTypeImplicitDeny, EvalResourceName: aws.String("*")}
	for _, arn := range in.ResourceArns {
		one := types.ResourceSpecificResult{EvalResourceName: &arn, EvalResourceDecision: types.PolicyEvaluationDecisionTypeImplicitDeny}
		tagged := slices.IndexFunc(in.ContextEntries, func(e types.ContextEntry) bool { return *e.ContextKeyName == "secretsmanager:ResourceTag/Service" })
		switch {
		case in.ActionNames[0] == "kms:Decrypt", tagged >= 0 && in.ContextEntries[tagged].ContextKeyValues[0] == "orders":
			one.EvalResourceDecision = types.PolicyEvaluationDecisionTypeAllowed
		case tagged < 0:
			one.MissingContextValues = []string{"secretsmanager:ResourceTag/Service"}
		}
		result.ResourceSpecificResults = append(result.ResourceSpecificResults, one)
	}
	return &iam.SimulatePrincipalPolicyOutput{EvaluationResults: []types.EvaluationResult{result}}, nil
}

func TestRightsByTag(t *testing.T) {
	r := &factReader{roles: byTag{}, facts: Facts{KeyARN: "arn:aws:kms:us-east-1:1:key/1"}}
	names, err := r.readable(t.Context(), "arn:aws:iam::1:role/x", []Secret{
		{Name: "a/b/orders/c", Tags: map[string]string{"Service": "orders"}}, {Name: "a/b/billing/c", Tags: map[string]string{"Service": "billing"}},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"a/b/orders/c"}, names)
}

func TestAllowsReading(t *testing.T) {
	for _, c := range []struct {
		document string
		want     bool
	}{
		{`{"Statement":{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}}`, true},
		{`{"Statement":[{"Effect":"Allow","Action":["s3:*","SecretsManager:get*"],"Resource":"*"}]}`, true},
		{`{"Statement":[{"Effect":"Allow","Action":"*"}]}`, true},
		{`{"Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValu?"}]}`, true},
		{`{"Statement":[{"Effect":"Allow","NotAction":"s3:*"}]}`, true},
		{`{"Statement":[{"Effect":"Allow","Action":["s3:*","secretsmanager:List*","secretsmanager:GetResourcePolicy"]}]}`, false},
		{`{"Statement":[{"Effect":"Deny","Action":"secretsmanager:*"}]}`, false},
		{`{"Statement":[]}`, false},
		{`not JSON`, true},
		{`%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22secretsmanager%3A%2A%22%7D%7D`, true},
		{`%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22sqs%3A%2A%22%7D%7D`, false},
		{`%zz`, true},
	} {
		assert.Equal(t, c.want, allowsReading(c.document), c.document)
	}
}
