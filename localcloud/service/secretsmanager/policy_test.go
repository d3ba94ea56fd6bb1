package secretsmanager_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func statement(rest string) string {
	return `{"Version":"2012-10-17","Statement":{"Action":"secretsmanager:GetSecretValue","Resource":"*",` + rest + `}}`
}

func TestPublicPolicies(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "v")
	for rest, public := range map[string]bool{
		`"Effect":"Allow","Principal":"*"`:                                                                              true,
		`"Effect":"Allow","Principal":{"AWS":"*"}`:                                                                      true,
		`"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:root","*"]}`:                                   true,
		`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/reader"}`:                                  false,
		`"Effect":"Deny","Principal":"*"`:                                                                               false,
		`"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`:           false,
		`"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":["123456789012"]}}`:       false,
		`"Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:PrincipalArn":"*"}}`:                          true,
		`"Effect":"Allow","Principal":"*","Condition":{"StringNotEquals":{"aws:PrincipalAccount":"123456789012"}}`:      true,
		`"Effect":"Allow","Principal":"*","Condition":{"StringEqualsIfExists":{"aws:PrincipalAccount":"123456789012"}}`: true,
		`"Effect":"Allow","Principal":"*","Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}`:    true,
		`"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::123456789012:role/reader"}`:                                false,
	} {
		policy := statement(rest)
		_, err := b.client.PutResourcePolicy(t.Context(), &sm.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: &policy, BlockPublicPolicy: aws.Bool(true)})
		out, validateErr := b.client.ValidateResourcePolicy(t.Context(), &sm.ValidateResourcePolicyInput{ResourcePolicy: &policy})
		require.NoError(t, validateErr, rest)
		assert.Equal(t, !public, out.PolicyValidationPassed, rest)
		if public {
			fails(t, err, "PublicPolicyException", "BlockPublicPolicy")
			assert.Equal(t, "REFLEXIVE_PRINCIPAL_CHECK", *out.ValidationErrors[0].CheckName)
			_, err = b.client.PutResourcePolicy(t.Context(), &sm.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: &policy})
		}
		require.NoError(t, err, rest)
		got, err := b.client.GetResourcePolicy(t.Context(), &sm.GetResourcePolicyInput{SecretId: &id})
		require.NoError(t, err)
		assert.Equal(t, policy, *got.ResourcePolicy)
		assert.Equal(t, policy, b.check("secretsmanager:GetResourcePolicy").ResourcePolicy, "IAM is told of it")
	}
}

func TestMalformedPolicies(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "v")
	for _, policy := range []string{
		"no policy", "{}", `{"Version":"2012-10-17","Statement":[]}`, statement(`"Effect":"Perhaps","Principal":"*"`),
		statement(`"Effect":"Allow"`), statement(`"Effect":"Allow","Principal":"*","Colour":"red"`),
	} {
		_, err := b.client.PutResourcePolicy(t.Context(), &sm.PutResourcePolicyInput{SecretId: &id, ResourcePolicy: &policy})
		fails(t, err, "MalformedPolicyDocumentException", "")
		_, err = b.client.ValidateResourcePolicy(t.Context(), &sm.ValidateResourcePolicyInput{ResourcePolicy: &policy})
		fails(t, err, "MalformedPolicyDocumentException", "")
	}
	out, err := b.client.GetResourcePolicy(t.Context(), &sm.GetResourcePolicyInput{SecretId: &id})
	require.NoError(t, err)
	assert.Nil(t, out.ResourcePolicy)
}
