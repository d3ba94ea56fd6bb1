package iam_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/iam"
)

// holds tells whether a Condition element lets a call through.
func holds(t *testing.T, condition string, keys iam.Context) bool {
	t.Helper()
	d, err := iam.Parse(iam.Identity, statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":`+condition))
	require.NoError(t, err)
	q := iam.Query{
		Principal: iam.Principal{Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/bob"},
		Action:    "s3:GetObject", Resource: "arn:aws:s3:::b/k", Context: keys,
	}
	return iam.Evaluate(q, iam.Policies{Identity: []*iam.Document{d}}).Allowed
}

func TestConditions(t *testing.T) {
	keys := iam.Context{}
	keys.Set("t:s", "Value")
	keys.Set("t:n", "10")
	keys.Set("t:big", "1e3")
	keys.Set("t:date", "2026-03-01T12:00:00Z")
	keys.Set("t:epoch", "1772366400") // the same moment
	keys.Set("t:bool", "true")
	keys.Set("t:bin", "QUI=")
	keys.Set("t:ip", "10.1.2.3")
	keys.Set("t:mapped", "::ffff:10.1.2.3")
	keys.Set("t:ip6", "2001:db8::1")
	keys.Set("t:arn", "arn:aws:lambda:us-east-1:123456789012:function:f:live")
	keys.Set("t:list", "a", "b")
	keys.Set("t:empty")
	keys.Set("t:word", "many")
	for condition, want := range map[string]bool{
		`{"StringEquals":{"t:s":"Value"}}`:           true,
		`{"StringEquals":{"T:S":"Value"}}`:           true,
		`{"StringEquals":{"t:s":"value"}}`:           false,
		`{"StringEquals":{"t:s":["x","Value"]}}`:     true,
		`{"StringEquals":{"t:s":"Val*"}}`:            false,
		`{"StringEquals":{"t:none":"Value"}}`:        false,
		`{"StringEqualsIfExists":{"t:none":"x"}}`:    true,
		`{"StringEqualsIfExists":{"t:s":"x"}}`:       false,
		`{"StringNotEquals":{"t:s":"x"}}`:            true,
		`{"StringNotEquals":{"t:s":["x","Value"]}}`:  false,
		`{"StringNotEquals":{"t:none":"x"}}`:         true,
		`{"StringNotEqualsIfExists":{"t:none":"x"}}`: true,
		`{"StringEqualsIgnoreCase":{"t:s":"vALUE"}}`: true,
		`{"StringNotEqualsIgnoreCase":{"t:s":"vA"}}`: true,
		`{"StringLike":{"t:s":"V?l*"}}`:              true,
		`{"StringLike":{"t:s":"v?l*"}}`:              false,
		`{"StringNotLike":{"t:s":"V*"}}`:             false,
		`{"StringNotLike":{"t:s":["x*","y*"]}}`:      true,
		`{"StringEquals":{"t:s":"${t:s}"}}`:          true,
		`{"StringEquals":{"t:s":"${t:none}"}}`:       false,
		`{"StringNotEquals":{"t:s":"${t:none}"}}`:    true,
		`{"StringLike":{"t:s":"${t:none, 'V'}*"}}`:   true,

		`{"NumericEquals":{"t:n":10}}`:              true,
		`{"NumericEquals":{"t:n":"10.0"}}`:          true,
		`{"NumericEquals":{"t:big":"1000"}}`:        true,
		`{"NumericNotEquals":{"t:n":10}}`:           false,
		`{"NumericNotEquals":{"t:n":[9,11]}}`:       true,
		`{"NumericLessThan":{"t:n":10}}`:            false,
		`{"NumericLessThan":{"t:n":"10.5"}}`:        true,
		`{"NumericLessThanEquals":{"t:n":10}}`:      true,
		`{"NumericGreaterThan":{"t:n":9}}`:          true,
		`{"NumericGreaterThan":{"t:n":10}}`:         false,
		`{"NumericGreaterThanEquals":{"t:n":10}}`:   true,
		`{"NumericGreaterThanEquals":{"t:word":1}}`: false,

		`{"DateEquals":{"t:date":"2026-03-01T13:00:00+01:00"}}`: true,
		`{"DateEquals":{"t:date":1772366400}}`:                  true,
		`{"DateEquals":{"t:epoch":"2026-03-01T12:00:00Z"}}`:     true,
		`{"DateNotEquals":{"t:date":"2026-03-01T12:00:00Z"}}`:   false,
		`{"DateLessThan":{"t:date":"2026-03-02"}}`:              true,
		`{"DateLessThan":{"t:date":"2026-03-01T12:00:00Z"}}`:    false,
		`{"DateLessThanEquals":{"t:date":"2026-03-01T12:00Z"}}`: true,
		`{"DateGreaterThan":{"t:date":"2026-02"}}`:              true,
		`{"DateGreaterThanEquals":{"t:date":"2027-01-01"}}`:     false,
		`{"DateGreaterThan":{"t:word":"2020-01-01T00:00:00Z"}}`: false,

		`{"Bool":{"t:bool":"true"}}`:        true,
		`{"Bool":{"t:bool":true}}`:          true,
		`{"Bool":{"t:bool":"TRUE"}}`:        true,
		`{"Bool":{"t:bool":false}}`:         false,
		`{"Bool":{"t:none":false}}`:         false,
		`{"BoolIfExists":{"t:none":false}}`: true,
		`{"BinaryEquals":{"t:bin":"QUI="}}`: true,
		`{"BinaryEquals":{"t:bin":"QUJD"}}`: false,

		`{"IpAddress":{"t:ip":"10.0.0.0/8"}}`:                     true,
		`{"IpAddress":{"t:mapped":"10.0.0.0/8"}}`:                 true,
		`{"IpAddress":{"t:ip":"10.1.2.3"}}`:                       true,
		`{"IpAddress":{"t:ip":["192.0.2.0/24","10.1.0.0/16"]}}`:   true,
		`{"IpAddress":{"t:ip":"192.0.2.0/24"}}`:                   false,
		`{"IpAddress":{"t:ip6":"2001:db8::/32"}}`:                 true,
		`{"IpAddress":{"t:word":"0.0.0.0/0"}}`:                    false,
		`{"NotIpAddress":{"t:ip":"192.0.2.0/24"}}`:                true,
		`{"NotIpAddress":{"t:ip":["192.0.2.0/24","10.0.0.0/8"]}}`: false,
		`{"NotIpAddress":{"t:none":"192.0.2.0/24"}}`:              true,

		`{"ArnEquals":{"t:arn":"arn:aws:lambda:*:123456789012:function:f:*"}}`: true,
		`{"ArnLike":{"t:arn":"arn:aws:lambda:us-east-?:*:function:*"}}`:        true,
		`{"ArnLike":{"t:arn":"arn:aws:lambda:*:function:f:live"}}`:             false,
		`{"ArnNotEquals":{"t:arn":"arn:aws:lambda:*:*:function:g"}}`:           true,
		`{"ArnNotLike":{"t:arn":"arn:aws:lambda:*:*:function:f*"}}`:            false,
		`{"ArnNotLike":{"t:none":"arn:aws:lambda:*:*:function:f*"}}`:           true,

		`{"Null":{"t:none":"true"}}`:        true,
		`{"Null":{"t:none":false}}`:         false,
		`{"Null":{"t:s":"false"}}`:          true,
		`{"Null":{"t:s":"true"}}`:           false,
		`{"Null":{"t:empty":"true"}}`:       true,
		`{"Null":{"t:s":["true","false"]}}`: true,

		`{"ForAllValues:StringEquals":{"t:list":["a","b","c"]}}`: true,
		`{"ForAllValues:StringEquals":{"t:list":["a"]}}`:         false,
		`{"ForAllValues:StringEquals":{"t:none":["a"]}}`:         true,
		`{"ForAllValues:StringEquals":{"t:empty":["a"]}}`:        true,
		`{"ForAllValues:StringNotEquals":{"t:list":["c"]}}`:      true,
		`{"ForAllValues:StringNotEquals":{"t:list":["b"]}}`:      false,
		`{"ForAnyValue:StringEquals":{"t:list":["b","c"]}}`:      true,
		`{"ForAnyValue:StringEquals":{"t:list":["c"]}}`:          false,
		`{"ForAnyValue:StringEquals":{"t:none":["c"]}}`:          false,
		`{"ForAnyValue:StringEquals":{"t:empty":["c"]}}`:         false,
		`{"ForAnyValue:StringEqualsIfExists":{"t:none":["c"]}}`:  true,
		`{"ForAnyValue:StringNotEquals":{"t:list":["a"]}}`:       true,
		`{"ForAnyValue:StringNotEquals":{"t:list":["a","b"]}}`:   false,
		`{"ForAnyValue:StringNotEquals":{"t:none":["a"]}}`:       false,
		`{"ForAnyValue:StringLike":{"t:list":["B*","b*"]}}`:      true,
		`{"StringEquals":{"t:list":"b"}}`:                        true,
		`{"StringNotEquals":{"t:list":"b"}}`:                     false,

		`{"StringEquals":{"t:s":"Value","t:n":"10"}}`:                     true,
		`{"StringEquals":{"t:s":"Value","t:n":"11"}}`:                     false,
		`{"StringEquals":{"t:s":"Value"},"Bool":{"t:bool":"false"}}`:      false,
		`{"StringEquals":{"t:s":"Value"},"NumericLessThan":{"t:n":"11"}}`: true,
		`{"StringEquals":{"t:s":[]}}`:                                     false,
	} {
		require.Equal(t, want, holds(t, condition, keys), condition)
	}
}

func TestPoliciesOf2008HaveNoVariables(t *testing.T) {
	allowed := func(resource, condition, value string) bool {
		d, err := iam.Parse(iam.Identity, `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"arn:aws:a:::`+resource+`","Condition":{"StringEquals":{"t:s":"`+condition+`"}}}]}`)
		require.NoError(t, err)
		keys := iam.Context{}
		keys.Set("t:s", value)
		q := iam.Query{Action: "a:b", Resource: "arn:aws:a:::${t:s}", Context: keys}
		return iam.Evaluate(q, iam.Policies{Identity: []*iam.Document{d}}).Allowed
	}
	require.True(t, allowed("${t:s}", "x", "x"), "the resource is named so")
	require.True(t, allowed("*", "${t:s}", "${t:s}"), "so is the value")
	require.False(t, allowed("*", "${t:s}", "x"))
}
