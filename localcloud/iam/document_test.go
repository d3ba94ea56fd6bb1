package iam_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/iam"
)

func statement(elements string) string {
	return `{"Version":"2012-10-17","Statement":[{` + elements + `}]}`
}

func TestParseTakes(t *testing.T) {
	for name, c := range map[string]struct {
		kind iam.Kind
		text string
	}{
		"one statement":    {iam.Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`},
		"old version":      {iam.Identity, `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`},
		"lists":            {iam.Identity, statement(`"Sid":"A1","Effect":"Deny","NotAction":["kms:Decrypt","s3:Get*"],"NotResource":["arn:aws:s3:::a","arn:aws:s3:::b/*"]`)},
		"short ARN":        {iam.Identity, statement(`"Effect":"Allow","Action":"sqs:*","Resource":"arn:aws:sqs:*"`)},
		"variables":        {iam.Identity, statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}/${*}"`)},
		"conditions":       {iam.Identity, statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":true},"NumericLessThan":{"s3:max-keys":10},"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a*","b"]}}`)},
		"no condition":     {iam.Identity, statement(`"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{}`)},
		"principals":       {iam.Resource, statement(`"Sid":"any text","Effect":"Allow","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:role/path/to/r","arn:aws:sts::123456789012:assumed-role/r/s","*"],"Service":"lambda.amazonaws.com"},"Action":"*","Resource":"*"`)},
		"everyone":         {iam.Resource, statement(`"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"`)},
		"deleted role":     {iam.Resource, statement(`"Effect":"Allow","Principal":{"AWS":"AROAEXAMPLEEXAMPLE123"},"Action":"*","Resource":"*"`)},
		"federated":        {iam.Trust, statement(`"Effect":"Allow","Principal":{"Federated":"accounts.google.com"},"Action":"sts:AssumeRoleWithWebIdentity"`)},
		"trust":            {iam.Trust, statement(`"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","ecs-tasks.amazonaws.com"]},"Action":["sts:AssumeRole","sts:TagSession"]`)},
		"id and white":     {iam.Identity, " {\n\"Id\":\"x\", \"Statement\" : [ {\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"} ] }\n"},
		"variable operand": {iam.Identity, statement(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"a:b":"${aws:PrincipalTag/level}"}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := iam.Parse(c.kind, c.text)
			require.NoError(t, err)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	const rest = `,"Action":"s3:*","Resource":"*"`
	for name, c := range map[string]struct {
		kind iam.Kind
		text string
		says string
	}{
		"empty":               {iam.Identity, ``, "Syntax errors in policy."},
		"not JSON":            {iam.Identity, `{"Statement":[}`, "Syntax errors in policy."},
		"text behind":         {iam.Identity, statement(`"Effect":"Allow"`+rest) + "x", "Syntax errors in policy."},
		"a list":              {iam.Identity, `[]`, "Syntax errors in policy."},
		"no statement":        {iam.Identity, `{"Version":"2012-10-17"}`, "Statement is missing"},
		"empty statement":     {iam.Identity, `{"Version":"2012-10-17","Statement":[]}`, "Statement is empty"},
		"version":             {iam.Identity, `{"Version":"2012-10-18","Statement":[{"Effect":"Allow"` + rest + `}]}`, "Version must be"},
		"null version":        {iam.Identity, `{"Version":null,"Statement":[{"Effect":"Allow"` + rest + `}]}`, "Version must be"},
		"unknown top":         {iam.Identity, `{"Version":"2012-10-17","Statements":[]}`, `unknown element "Statements"`},
		"unknown element":     {iam.Identity, statement(`"Effect":"Allow","Actions":"*"` + rest), `unknown element "Actions"`},
		"case of element":     {iam.Identity, statement(`"effect":"Allow"` + rest), `unknown element "effect"`},
		"element twice":       {iam.Identity, statement(`"Effect":"Deny","Effect":"Allow"` + rest), "stands twice"},
		"no effect":           {iam.Identity, statement(`"Sid":"a"` + rest), "Missing required field Effect"},
		"effect":              {iam.Identity, statement(`"Effect":"allow"` + rest), "Effect must be Allow or Deny"},
		"no action":           {iam.Identity, statement(`"Effect":"Allow","Resource":"*"`), "must contain actions"},
		"no actions":          {iam.Identity, statement(`"Effect":"Allow","Action":[],"Resource":"*"`), "Syntax errors in policy."},
		"action and not":      {iam.Identity, statement(`"Effect":"Allow","NotAction":"s3:*"` + rest), "exclude each other"},
		"action vendor":       {iam.Identity, statement(`"Effect":"Allow","Action":"GetSecretValue","Resource":"*"`), "prefaced by a vendor"},
		"action wildcard":     {iam.Identity, statement(`"Effect":"Allow","Action":"*:Get","Resource":"*"`), "prefaced by a vendor"},
		"no resource":         {iam.Identity, statement(`"Effect":"Allow","Action":"s3:*"`), "must contain resources"},
		"resource form":       {iam.Identity, statement(`"Effect":"Allow","Action":"s3:*","Resource":"bucket"`), `must be in ARN format or "*"`},
		"short resource":      {iam.Identity, statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3"`), `must be in ARN format or "*"`},
		"number resource":     {iam.Identity, statement(`"Effect":"Allow","Action":"s3:*","Resource":5`), "Syntax errors in policy."},
		"identity principal":  {iam.Identity, statement(`"Effect":"Allow","Principal":"*"` + rest), "should not specify a principal"},
		"resource principal":  {iam.Resource, statement(`"Effect":"Allow"` + rest), "Missing required field Principal"},
		"principal name":      {iam.Resource, statement(`"Effect":"Allow","Principal":{"AWS":"bob"}` + rest), `Invalid principal in policy: "AWS":"bob"`},
		"principal wildcard":  {iam.Resource, statement(`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/*"}` + rest), "Invalid principal in policy"},
		"principal text":      {iam.Resource, statement(`"Effect":"Allow","Principal":"123456789012"` + rest), "Invalid principal in policy"},
		"principal service":   {iam.Resource, statement(`"Effect":"Allow","Principal":{"Service":"lambda"}` + rest), "Invalid principal in policy"},
		"principal kind":      {iam.Resource, statement(`"Effect":"Allow","Principal":{"Role":"x"}` + rest), "Invalid principal in policy"},
		"principal empty":     {iam.Resource, statement(`"Effect":"Allow","Principal":{}` + rest), "Principal is empty"},
		"trust resource":      {iam.Trust, statement(`"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"`), "Has prohibited field Resource"},
		"trust action":        {iam.Trust, statement(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject"`), "may only specify STS AssumeRole actions"},
		"trust principal":     {iam.Trust, statement(`"Effect":"Allow","Action":"sts:AssumeRole"`), "Missing required field Principal"},
		"trust no action":     {iam.Trust, statement(`"Effect":"Allow","Principal":"*"`), "Missing required field Action"},
		"same sids":           {iam.Identity, `{"Statement":[{"Sid":"a","Effect":"Allow"` + rest + `},{"Sid":"a","Effect":"Allow"` + rest + `}]}`, "must be unique"},
		"sid":                 {iam.Identity, statement(`"Sid":"a b","Effect":"Allow"` + rest), "must be alpha-numeric"},
		"operator":            {iam.Identity, statement(`"Effect":"Allow","Condition":{"StringIs":{"a:b":"c"}}` + rest), `unknown condition operator "StringIs"`},
		"operator case":       {iam.Identity, statement(`"Effect":"Allow","Condition":{"stringEquals":{"a:b":"c"}}` + rest), "unknown condition operator"},
		"Null with IfExists":  {iam.Identity, statement(`"Effect":"Allow","Condition":{"NullIfExists":{"a:b":"true"}}` + rest), "Null takes neither"},
		"condition key":       {iam.Identity, statement(`"Effect":"Allow","Condition":{"Bool":{"SecureTransport":"true"}}` + rest), "prefaced by a vendor"},
		"condition value":     {iam.Identity, statement(`"Effect":"Allow","Condition":{"StringEquals":{"a:b":{"c":"d"}}}` + rest), "must be a string, number or boolean"},
		"number":              {iam.Identity, statement(`"Effect":"Allow","Condition":{"NumericEquals":{"a:b":"many"}}` + rest), "does not fit the condition operator"},
		"date":                {iam.Identity, statement(`"Effect":"Allow","Condition":{"DateLessThan":{"aws:CurrentTime":"soon"}}` + rest), "does not fit the condition operator"},
		"bool":                {iam.Identity, statement(`"Effect":"Allow","Condition":{"Bool":{"aws:SecureTransport":"yes"}}` + rest), "does not fit the condition operator"},
		"network":             {iam.Identity, statement(`"Effect":"Allow","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}` + rest), "does not fit the condition operator"},
		"variable end":        {iam.Identity, statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username"`), "a policy variable has no end"},
		"variable default":    {iam.Identity, statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username, none}"`), "needs single quotes"},
		"variable name":       {iam.Identity, statement(`"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${}"`), "is not a policy variable"},
		"statement not a map": {iam.Identity, `{"Statement":["x"]}`, "a JSON object is expected"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := iam.Parse(c.kind, c.text)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestPrincipalsOfADocument(t *testing.T) {
	d, err := iam.Parse(iam.Resource, statement(`"Effect":"Allow","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:user/u","arn:aws:iam::210987654321:role/r","AROAEXAMPLEEXAMPLE123"],"Service":"s3.amazonaws.com"},"Action":"*","Resource":"*"`))
	require.NoError(t, err)
	require.Equal(t, []string{"arn:aws:iam::123456789012:user/u", "arn:aws:iam::210987654321:role/r"}, d.Principals())
}

// FuzzParse looks for documents that crash the parser or the evaluation of what
// it took.
func FuzzParse(f *testing.F) {
	f.Add(0, statement(`"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username, 'x'}*"`))
	f.Add(1, statement(`"Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"*","Resource":"*","Condition":{"ForAllValues:StringLike":{"aws:TagKeys":["a?"]},"Null":{"a:b":true}}`))
	f.Add(2, statement(`"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"`))
	f.Add(0, `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":["::/0","10.0.0.1"]},"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"},"BinaryEquals":{"a:b":"QQ=="}}}]}`)
	f.Fuzz(func(t *testing.T, kind int, text string) {
		d, err := iam.Parse(iam.Kind(kind&3), text)
		if err != nil {
			return
		}
		keys := iam.Context{}
		keys.Set("aws:username", "bob")
		keys.Set("aws:SourceIp", "10.0.0.1")
		keys.Set("aws:TagKeys", "a", "b")
		q := iam.Query{
			Principal: iam.Principal{Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/bob"},
			Action:    "s3:GetObject", Resource: "arn:aws:s3:::b/bob", Context: keys,
		}
		iam.Evaluate(q, iam.Policies{Identity: []*iam.Document{d}})
		iam.Evaluate(q, iam.Policies{Resource: d})
	})
}
