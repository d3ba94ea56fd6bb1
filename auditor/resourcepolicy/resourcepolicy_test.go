package resourcepolicy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/resourcepolicy"
)

const (
	account = "123456789012"
	orders  = "arn:aws:iam::123456789012:role/orders"
	admin   = "arn:aws:iam::123456789012:role/admin"
	other   = "arn:aws:iam::123456789012:role/other"
	foreign = "arn:aws:iam::210987654321:role/orders"
)

func statement(effect, principal, action, rest string) string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"S","Effect":"` + effect + `","Principal":` + principal +
		`,"Action":` + action + `,"Resource":"*"` + rest + `}]}`
}

func TestReview(t *testing.T) {
	const read = `"secretsmanager:GetSecretValue"`
	public, cross, wide := []string{"S: everybody"}, []string{foreign}, []string{other}
	for name, tt := range map[string]struct {
		text string
		want facts.ResourcePolicy
	}{
		"none":                   {"", facts.ResourcePolicy{}},
		"a reader":               {statement("Allow", `{"AWS":"`+orders+`"}`, read, ""), facts.ResourcePolicy{}},
		"the account":            {statement("Allow", `{"AWS":"arn:aws:iam::123456789012:root"}`, `"secretsmanager:*"`, ""), facts.ResourcePolicy{}},
		"the account by number":  {statement("Allow", `{"AWS":"123456789012"}`, read, ""), facts.ResourcePolicy{}},
		"everybody":              {statement("Allow", `"*"`, read, ""), facts.ResourcePolicy{Public: public}},
		"everybody in a list":    {statement("Allow", `{"AWS":["`+orders+`","*"]}`, `["SecretsManager:get*"]`, ""), facts.ResourcePolicy{Public: public}},
		"everybody may write":    {statement("Allow", `"*"`, `"secretsmanager:PutSecretValue"`, ""), facts.ResourcePolicy{Public: public}},
		"of an organization":     {statement("Allow", `"*"`, read, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), facts.ResourcePolicy{CrossAccount: []string{"everybody with aws:principalorgid o-1"}}},
		"of one, if it exists":   {statement("Allow", `"*"`, read, `,"Condition":{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}`), facts.ResourcePolicy{Public: public}},
		"not of one":             {statement("Allow", `"*"`, read, `,"Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}`), facts.ResourcePolicy{Public: public}},
		"any organization":       {statement("Allow", `"*"`, read, `,"Condition":{"StringLike":{"aws:PrincipalOrgID":"*"}}`), facts.ResourcePolicy{Public: public}},
		"everybody over TLS":     {statement("Allow", `"*"`, read, `,"Condition":{"Bool":{"aws:SecureTransport":true}}`), facts.ResourcePolicy{Public: public}},
		"only a reader":          {statement("Allow", `"*"`, read, `,"Condition":{"ArnLike":{"aws:PrincipalArn":["`+orders+`"]}}`), facts.ResourcePolicy{}},
		"only another":           {statement("Allow", `"*"`, read, `,"Condition":{"ArnEquals":{"aws:PrincipalArn":"`+other+`"}}`), facts.ResourcePolicy{TooWide: wide}},
		"another account":        {statement("Allow", `{"AWS":"`+foreign+`"}`, read, ""), facts.ResourcePolicy{CrossAccount: cross}},
		"another account number": {statement("Allow", `{"AWS":["210987654321"]}`, read, ""), facts.ResourcePolicy{CrossAccount: []string{"210987654321"}}},
		"by condition":           {statement("Allow", `"*"`, read, `,"Condition":{"StringEquals":{"aws:PrincipalAccount":["210987654321","`+account+`"]}}`), facts.ResourcePolicy{CrossAccount: []string{"210987654321"}, TooWide: []string{"everybody in the account"}}},
		"too wide":               {statement("Allow", `{"AWS":"`+other+`"}`, read, ""), facts.ResourcePolicy{TooWide: wide}},
		"another may describe":   {statement("Allow", `{"AWS":"`+other+`"}`, `"secretsmanager:DescribeSecret"`, ""), facts.ResourcePolicy{}},
		"a service":              {statement("Allow", `{"Service":"x.amazonaws.com"}`, read, ""), facts.ResourcePolicy{TooWide: []string{"the service x.amazonaws.com for anybody's account (no aws:SourceAccount)"}}},
		"a service, ours":        {statement("Allow", `{"Service":"x.amazonaws.com"}`, read, `,"Condition":{"StringEquals":{"aws:SourceAccount":"`+account+`"}}`), facts.ResourcePolicy{}},
		"denied to others":       {statement("Deny", `"*"`, read, `,"Condition":{"ArnNotEquals":{"aws:PrincipalArn":["`+orders+`","`+admin+`"]}}`), facts.ResourcePolicy{}},
		"denied, with one more":  {statement("Deny", `"*"`, read, `,"Condition":{"ArnNotEquals":{"aws:PrincipalArn":["`+orders+`","`+other+`"]}}`), facts.ResourcePolicy{TooWide: wide}},
		"all but some":           {strings.Replace(statement("Allow", `{"AWS":"`+orders+`"}`, read, ""), "Principal", "NotPrincipal", 1), facts.ResourcePolicy{Public: []string{"S: all but some (NotPrincipal)"}}},
		"all but some actions":   {strings.Replace(statement("Allow", `{"AWS":"`+other+`"}`, `"secretsmanager:DeleteSecret"`, ""), "Action", "NotAction", 1), facts.ResourcePolicy{TooWide: wide}},
		"of a part of one": {statement("Allow", `"*"`, read, `,"Condition":{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-1/r-1/*"}}`),
			facts.ResourcePolicy{CrossAccount: []string{"everybody with aws:principalorgpaths o-1/r-1/*"}}},
		"of many organizations":        {statement("Allow", `"*"`, read, `,"Condition":{"StringLike":{"aws:PrincipalOrgID":"o-*"}}`), facts.ResourcePolicy{Public: public}},
		"from an endpoint":             {statement("Allow", `"*"`, read, `,"Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`), facts.ResourcePolicy{CrossAccount: []string{"everybody from aws:sourcevpce vpce-1"}}},
		"from any endpoint":            {statement("Allow", `"*"`, read, `,"Condition":{"StringLike":{"aws:SourceVpce":"vpce-*"}}`), facts.ResourcePolicy{Public: public}},
		"a role of any account":        {statement("Allow", `"*"`, read, `,"Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/orders"}}`), facts.ResourcePolicy{Public: []string{"S: everybody like arn:aws:iam::*:role/orders"}}},
		"any principal's ARN":          {statement("Allow", `"*"`, read, `,"Condition":{"StringLike":{"aws:PrincipalArn":"arn:*"}}`), facts.ResourcePolicy{Public: []string{"S: everybody like arn:*"}}},
		"any account's number":         {statement("Allow", `"*"`, read, `,"Condition":{"StringLike":{"aws:PrincipalAccount":"*"}}`), facts.ResourcePolicy{Public: public}},
		"a federation, everybody":      {statement("Allow", `{"Federated":"*"}`, read, ""), facts.ResourcePolicy{Public: public}},
		"a federation":                 {statement("Allow", `{"Federated":"accounts.google.com"}`, read, ""), facts.ResourcePolicy{CrossAccount: []string{"Federated accounts.google.com"}}},
		"a deleted role":               {statement("Allow", `{"AWS":"AROAEXAMPLEID12345678"}`, read, ""), facts.ResourcePolicy{TooWide: []string{"AROAEXAMPLEID12345678"}}},
		"may write the policy":         {statement("Allow", `{"AWS":"`+other+`"}`, `"secretsmanager:PutResourcePolicy"`, ""), facts.ResourcePolicy{TooWide: wide}},
		"may replace the value":        {statement("Allow", `{"AWS":"`+other+`"}`, `["secretsmanager:PutSecretValue"]`, ""), facts.ResourcePolicy{TooWide: wide}},
		"reads by a question mark":     {statement("Allow", `{"AWS":"`+other+`"}`, `"secretsmanager:GetSecretValu?"`, ""), facts.ResourcePolicy{TooWide: wide}},
		"lists by a question mark":     {statement("Allow", `{"AWS":"`+other+`"}`, `"secretsmanager:ListSecretVersionId?"`, ""), facts.ResourcePolicy{}},
		"a service, theirs":            {statement("Allow", `{"Service":"x.amazonaws.com"}`, read, `,"Condition":{"StringEquals":{"aws:SourceAccount":"210987654321"}}`), facts.ResourcePolicy{CrossAccount: []string{"the service x.amazonaws.com for 210987654321"}}},
		"a service, by ARN":            {statement("Allow", `{"Service":"x.amazonaws.com"}`, read, `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:x:us-east-1:`+account+`:thing/*"}}`), facts.ResourcePolicy{}},
		"a service, by their ARN":      {statement("Allow", `{"Service":"x.amazonaws.com"}`, read, `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:x:us-east-1:210987654321:thing/*"}}`), facts.ResourcePolicy{CrossAccount: []string{"the service x.amazonaws.com for 210987654321"}}},
		"a service, by any ARN":        {statement("Allow", `{"Service":"x.amazonaws.com"}`, read, `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:x:*:*:*"}}`), facts.ResourcePolicy{TooWide: []string{"the service x.amazonaws.com for anybody's account (no aws:SourceAccount)"}}},
		"a service, for a bucket":      {statement("Allow", `{"Service":"x.amazonaws.com"}`, read, `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::ours"}}`), facts.ResourcePolicy{}},
		"services of ours":             {statement("Allow", `"*"`, read, `,"Condition":{"StringEquals":{"aws:SourceAccount":"`+account+`"}}`), facts.ResourcePolicy{}},
		"services of others":           {statement("Allow", `"*"`, read, `,"Condition":{"StringEquals":{"aws:SourceAccount":"210987654321"}}`), facts.ResourcePolicy{CrossAccount: []string{"services for 210987654321"}}},
		"denied writes, with one more": {statement("Deny", `"*"`, `"secretsmanager:PutResourcePolicy"`, `,"Condition":{"ArnNotEquals":{"aws:PrincipalArn":["`+admin+`","`+other+`"]}}`), facts.ResourcePolicy{TooWide: wide}},
		"a single statement":           {`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`, facts.ResourcePolicy{Public: []string{"statement 1: everybody"}}},
	} {
		got, err := resourcepolicy.Review(tt.text, account, []string{orders, admin})
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, got, name)
	}
}

func TestNobodyKnowsTheReaders(t *testing.T) {
	got, err := resourcepolicy.Review(statement("Allow", `{"AWS":"`+other+`"}`, `"*"`, ""), account, nil)
	require.NoError(t, err)
	require.True(t, got.Empty())
	// Of other accounts nobody has to know who reads.
	for _, text := range []string{
		statement("Allow", `"*"`, `"*"`, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`),
		statement("Allow", `{"Service":"x.amazonaws.com"}`, `"*"`, ""),
	} {
		got, err := resourcepolicy.Review(text, account, nil)
		require.NoError(t, err)
		require.NotEmpty(t, got.CrossAccount, text)
	}
}

// TestAHostilePattern: a policy's size is its pattern's, and no pattern takes
// long.
func TestAHostilePattern(t *testing.T) {
	pattern := `"secretsmanager:` + strings.Repeat("*a", 5000) + `"`
	_, err := resourcepolicy.Review(statement("Allow", `{"AWS":"`+other+`"}`, pattern, ""), account, []string{})
	require.NoError(t, err)
}

func TestUnreadable(t *testing.T) {
	for _, text := range []string{"{", `{"Statement":[{"Effect":"Perhaps","Principal":"*","Action":"*"}]}`, `{"Statement":[{"Effect":"Allow","Principal":7}]}`} {
		_, err := resourcepolicy.Review(text, account, nil)
		assert.Error(t, err, text)
	}
}

func FuzzReview(f *testing.F) {
	f.Add(statement("Allow", `"*"`, `"*"`, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`))
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = resourcepolicy.Review(text, account, []string{orders})
	})
}
