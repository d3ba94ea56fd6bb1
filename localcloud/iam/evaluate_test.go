package iam_test

import (
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/localcloud/iam"
)

const (
	home   = "123456789012"
	away   = "210987654321"
	secret = "arn:aws:secretsmanager:us-east-1:" + home + ":secret:org/dev/app/db-AbCdEf"
	read   = "secretsmanager:GetSecretValue"
)

var (
	session = iam.Principal{
		Account: home, Role: "arn:aws:iam::" + home + ":role/app", ARN: "arn:aws:sts::" + home + ":assumed-role/app/s",
	}
	user     = iam.Principal{Account: home, ARN: "arn:aws:iam::" + home + ":user/bob"}
	stranger = iam.Principal{
		Account: away, Role: "arn:aws:iam::" + away + ":role/app", ARN: "arn:aws:sts::" + away + ":assumed-role/app/s",
	}
	lambda = iam.Principal{Service: "secretsmanager.amazonaws.com"}
)

func identity(t require.TestingT, elements string) *iam.Document {
	d, err := iam.Parse(iam.Identity, statement(elements))
	require.NoError(t, err)
	return d
}

func resource(t require.TestingT, effect, principal string) *iam.Document {
	d, err := iam.Parse(iam.Resource, statement(`"Effect":"`+effect+`","Principal":`+principal+`,"Action":"`+read+`","Resource":"*"`))
	require.NoError(t, err)
	return d
}

func TestEvaluate(t *testing.T) {
	reads := []*iam.Document{identity(t, `"Effect":"Allow","Action":"secretsmanager:Get*","Resource":"arn:aws:secretsmanager:*:*:secret:org/dev/*"`)}
	writes := identity(t, `"Effect":"Allow","Action":"secretsmanager:Put*","Resource":"*"`)
	denies := identity(t, `"Effect":"Deny","Action":"*","Resource":"*"`)
	everything := identity(t, `"Effect":"Allow","Action":"*","Resource":"*"`)

	role := `{"AWS":"arn:aws:iam::` + home + `:role/app"}`
	theSession := `{"AWS":"arn:aws:sts::` + home + `:assumed-role/app/s"}`
	account := `{"AWS":"` + home + `"}`
	for name, c := range map[string]struct {
		who  iam.Principal
		p    iam.Policies
		want string // "" is allowed; else how the message ends
	}{
		"nothing":          {session, iam.Policies{}, "because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"identity":         {session, iam.Policies{Identity: reads}, ""},
		"identity denies":  {session, iam.Policies{Identity: []*iam.Document{everything, denies}}, "with an explicit deny in an identity-based policy"},
		"other action":     {session, iam.Policies{Identity: []*iam.Document{writes}}, "because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"a resource's no":  {session, iam.Policies{Identity: reads, Resource: resource(t, "Deny", `"*"`)}, "with an explicit deny in a resource-based policy"},
		"no to another":    {session, iam.Policies{Identity: reads, Resource: resource(t, "Deny", `{"AWS":"arn:aws:iam::`+home+`:role/other"}`)}, ""},
		"no to my account": {session, iam.Policies{Identity: reads, Resource: resource(t, "Deny", account)}, "with an explicit deny in a resource-based policy"},

		"resource names role":            {session, iam.Policies{Resource: resource(t, "Allow", role)}, ""},
		"resource names session":         {session, iam.Policies{Resource: resource(t, "Allow", theSession)}, ""},
		"resource names everyone":        {session, iam.Policies{Resource: resource(t, "Allow", `"*"`)}, ""},
		"resource names account":         {session, iam.Policies{Resource: resource(t, "Allow", account)}, "because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"resource names account, and I":  {session, iam.Policies{Identity: reads, Resource: resource(t, "Allow", account)}, ""},
		"resource names user":            {user, iam.Policies{Resource: resource(t, "Allow", `{"AWS":"arn:aws:iam::`+home+`:user/bob"}`)}, ""},
		"resource names role of another": {session, iam.Policies{Resource: resource(t, "Allow", `{"AWS":"arn:aws:iam::`+away+`:role/app"}`)}, "because no identity-based policy allows the secretsmanager:GetSecretValue action"},

		"boundary allows":                 {session, iam.Policies{Identity: reads, Boundary: everything}, ""},
		"boundary doesn't":                {session, iam.Policies{Identity: reads, Boundary: writes}, "because no permissions boundary allows the secretsmanager:GetSecretValue action"},
		"boundary alone":                  {session, iam.Policies{Boundary: everything}, "because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"boundary denies":                 {session, iam.Policies{Identity: reads, Boundary: denies}, "with an explicit deny in a permissions boundary"},
		"boundary limits role's grant":    {session, iam.Policies{Boundary: writes, Resource: resource(t, "Allow", role)}, "because no permissions boundary allows the secretsmanager:GetSecretValue action"},
		"boundary spares session's grant": {session, iam.Policies{Boundary: writes, Resource: resource(t, "Allow", theSession)}, ""},
		"boundary spares user's grant":    {user, iam.Policies{Boundary: writes, Resource: resource(t, "Allow", `{"AWS":"arn:aws:iam::`+home+`:user/bob"}`)}, ""},
		"session policy allows":           {session, iam.Policies{Identity: reads, Session: []*iam.Document{writes, everything}}, ""},
		"session policy doesn't":          {session, iam.Policies{Identity: reads, Session: []*iam.Document{writes}}, "because no session policy allows the secretsmanager:GetSecretValue action"},
		"session policy denies":           {session, iam.Policies{Identity: reads, Session: []*iam.Document{everything, denies}}, "with an explicit deny in a session policy"},
		"session limits role's grant":     {session, iam.Policies{Session: []*iam.Document{writes}, Resource: resource(t, "Allow", role)}, "because no session policy allows the secretsmanager:GetSecretValue action"},
		"session policy spares its grant": {session, iam.Policies{Session: []*iam.Document{writes}, Resource: resource(t, "Allow", theSession)}, ""},
		"explicit deny before all":        {session, iam.Policies{Identity: []*iam.Document{denies}, Resource: resource(t, "Allow", theSession)}, "with an explicit deny in an identity-based policy"},

		"other account, identity only": {stranger, iam.Policies{Identity: reads}, "because no resource-based policy allows the secretsmanager:GetSecretValue action"},
		"other account, resource only": {stranger, iam.Policies{Resource: resource(t, "Allow", `"*"`)}, "because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"other account, both":          {stranger, iam.Policies{Identity: reads, Resource: resource(t, "Allow", `{"AWS":"`+away+`"}`)}, ""},
		"other account, its role":      {stranger, iam.Policies{Identity: reads, Resource: resource(t, "Allow", `{"AWS":"arn:aws:iam::`+away+`:role/app"}`)}, ""},
		"other account, boundary":      {stranger, iam.Policies{Identity: reads, Boundary: writes, Resource: resource(t, "Allow", `"*"`)}, "because no permissions boundary allows the secretsmanager:GetSecretValue action"},
		"other account's root":         {iam.Principal{Account: away, ARN: "arn:aws:iam::" + away + ":root", Root: true}, iam.Policies{}, "because no resource-based policy allows the secretsmanager:GetSecretValue action"},
		"other account's root, named":  {iam.Principal{Account: away, ARN: "arn:aws:iam::" + away + ":root", Root: true}, iam.Policies{Resource: resource(t, "Allow", `{"AWS":"`+away+`"}`)}, ""},
		"root of another with its no":  {iam.Principal{Account: away, ARN: "arn:aws:iam::" + away + ":root", Root: true}, iam.Policies{Resource: resource(t, "Deny", `"*"`)}, "with an explicit deny in a resource-based policy"},

		"key policy silent":         {session, iam.Policies{Identity: reads, ResourceDecides: true}, "because no resource-based policy allows the secretsmanager:GetSecretValue action"},
		"key policy names account":  {session, iam.Policies{Identity: reads, ResourceDecides: true, Resource: resource(t, "Allow", account)}, ""},
		"key policy, no identity":   {session, iam.Policies{ResourceDecides: true, Resource: resource(t, "Allow", account)}, "because no identity-based policy allows the secretsmanager:GetSecretValue action"},
		"key policy names role":     {session, iam.Policies{ResourceDecides: true, Resource: resource(t, "Allow", role)}, ""},
		"key policy names a second": {session, iam.Policies{Identity: reads, ResourceDecides: true, Resource: resource(t, "Allow", `{"AWS":"arn:aws:iam::`+home+`:role/other"}`)}, "because no resource-based policy allows the secretsmanager:GetSecretValue action"},

		"service, nothing":  {lambda, iam.Policies{}, "because no resource-based policy allows the secretsmanager:GetSecretValue action"},
		"service, named":    {lambda, iam.Policies{Resource: resource(t, "Allow", `{"Service":"secretsmanager.amazonaws.com"}`)}, ""},
		"service, another":  {lambda, iam.Policies{Resource: resource(t, "Allow", `{"Service":"s3.amazonaws.com"}`)}, "because no resource-based policy allows the secretsmanager:GetSecretValue action"},
		"service, identity": {lambda, iam.Policies{Identity: reads}, "because no resource-based policy allows the secretsmanager:GetSecretValue action"},
		"service, denied":   {lambda, iam.Policies{Resource: resource(t, "Deny", `"*"`)}, "with an explicit deny in a resource-based policy"},
		"session is not it": {session, iam.Policies{Resource: resource(t, "Allow", `{"Service":"secretsmanager.amazonaws.com"}`)}, "because no identity-based policy allows the secretsmanager:GetSecretValue action"},
	} {
		t.Run(name, func(t *testing.T) {
			d := iam.Evaluate(iam.Query{Principal: c.who, Action: read, Resource: secret, ResourceAccount: home}, c.p)
			require.Equal(t, c.want == "", d.Allowed)
			if !d.Allowed {
				require.Equal(t, c.want, d.Reason(read))
			}
		})
	}
}

func TestTrustPolicyIsCalledSo(t *testing.T) {
	trust, err := iam.Parse(iam.Trust, statement(`"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"`))
	require.NoError(t, err)
	q := iam.Query{Principal: session, Action: "sts:AssumeRole", Resource: "arn:aws:iam::" + home + ":role/x", ResourceAccount: home}
	require.Equal(t, "with an explicit deny in the role trust policy", iam.Evaluate(q, iam.Policies{Resource: trust, ResourceDecides: true}).Reason(q.Action))
	trust, err = iam.Parse(iam.Trust, statement(`"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"`))
	require.NoError(t, err)
	require.Equal(t, "because no role trust policy allows the sts:AssumeRole action", iam.Evaluate(q, iam.Policies{Resource: trust, ResourceDecides: true}).Reason(q.Action))
}

func TestNotPrincipalSparesOnlyWhoIsListedAtAllLevels(t *testing.T) {
	deny := func(principals string) iam.Policies {
		d, err := iam.Parse(iam.Resource, statement(`"Effect":"Deny","NotPrincipal":`+principals+`,"Action":"*","Resource":"*"`))
		require.NoError(t, err)
		return iam.Policies{Identity: []*iam.Document{identity(t, `"Effect":"Allow","Action":"*","Resource":"*"`)}, Resource: d}
	}
	q := iam.Query{Principal: session, Action: read, Resource: secret}
	require.False(t, iam.Evaluate(q, deny(`{"AWS":"`+session.Role+`"}`)).Allowed)
	require.False(t, iam.Evaluate(q, deny(`{"AWS":["`+session.ARN+`","`+home+`"]}`)).Allowed)
	require.True(t, iam.Evaluate(q, deny(`{"AWS":["`+session.Role+`","`+session.ARN+`","`+home+`"]}`)).Allowed)
	q.Principal = user
	require.True(t, iam.Evaluate(q, deny(`{"AWS":["`+user.ARN+`","`+home+`"]}`)).Allowed)
	q.Principal = stranger
	require.False(t, iam.Evaluate(q, deny(`{"AWS":["`+session.Role+`","`+session.ARN+`","`+home+`"]}`)).Allowed)
}

func TestActionsAndResources(t *testing.T) {
	keys := iam.Context{}
	keys.Set("aws:PrincipalTag/app", "app")
	for elements, want := range map[string]bool{
		`"Action":"SecretsManager:getsecretvalue","Resource":"*"`:                                                             true,
		`"Action":"secretsmanager:Get??????Value","Resource":"*"`:                                                             true,
		`"Action":"secretsmanager:Get?Value","Resource":"*"`:                                                                  false,
		`"NotAction":"secretsmanager:Put*","Resource":"*"`:                                                                    true,
		`"NotAction":["kms:*","secretsmanager:Get*"],"Resource":"*"`:                                                          false,
		`"Action":"*","NotResource":"arn:aws:secretsmanager:*:*:secret:org/prod/*"`:                                           true,
		`"Action":"*","NotResource":["arn:aws:s3:::x","arn:aws:secretsmanager:*:*:secret:org/dev/*"]`:                         false,
		`"Action":"*","Resource":"arn:aws:secretsmanager:*:*:secret:org/dev/${aws:PrincipalTag/app}/*"`:                       true,
		`"Action":"*","Resource":"arn:aws:secretsmanager:*:*:secret:org/dev/${aws:PrincipalTag/team}/*"`:                      false,
		`"Action":"*","Resource":"arn:aws:secretsmanager:*:*:secret:org/dev/${aws:PrincipalTag/team, 'app'}/*"`:               true,
		`"Action":"*","NotResource":"arn:aws:secretsmanager:*:*:secret:org/dev/${aws:PrincipalTag/team}/*"`:                   false,
		`"Action":"*","Resource":"arn:aws:secretsmanager:us-west-2:*:secret:*"`:                                               false,
		`"Action":["s3:*","secretsmanager:GetSecretValue"],"Resource":["arn:aws:s3:::x","` + secret + `"]`:                    true,
		`"Action":"secretsmanager:*","Resource":"arn:aws:secretsmanager:us-east-1:` + home + `:secret:org/dev/app/db-??????"`: true,
	} {
		d := identity(t, `"Effect":"Allow",`+elements)
		got := iam.Evaluate(iam.Query{Principal: session, Action: read, Resource: secret, Context: keys}, iam.Policies{Identity: []*iam.Document{d}})
		require.Equal(t, want, got.Allowed, elements)
	}
}

// drawDocument makes small policies over few names, so that they often speak of
// the same thing.
func drawDocument(t *rapid.T, kind iam.Kind, label string) *iam.Document {
	effect := rapid.SampledFrom([]string{"Allow", "Deny"}).Draw(t, label+" effect")
	action := rapid.SampledFrom([]string{"*", "a:*", "a:x", "a:y", "b:x"}).Draw(t, label+" action")
	arn := rapid.SampledFrom([]string{"*", "arn:aws:a:::r*", "arn:aws:a:::r1", "arn:aws:a:::r2"}).Draw(t, label+" resource")
	principal := ""
	if kind == iam.Resource {
		principal = `"Principal":` + rapid.SampledFrom([]string{
			`"*"`, `{"AWS":"` + home + `"}`, `{"AWS":"` + away + `"}`, `{"AWS":"` + session.Role + `"}`, `{"AWS":"` + session.ARN + `"}`, `{"Service":"secretsmanager.amazonaws.com"}`,
		}).Draw(t, label+" principal") + ","
	}
	d, err := iam.Parse(kind, statement(principal+`"Effect":"`+effect+`","Action":"`+action+`","Resource":"`+arn+`"`))
	require.NoError(t, err)
	return d
}

func drawDocuments(t *rapid.T, label string) []*iam.Document {
	var list []*iam.Document
	for range rapid.IntRange(0, 3).Draw(t, label+" count") {
		list = append(list, drawDocument(t, iam.Identity, label))
	}
	return list
}

func drawCase(t *rapid.T) (iam.Query, iam.Policies) {
	p := iam.Policies{
		Identity:        drawDocuments(t, "identity"),
		Session:         drawDocuments(t, "session"),
		ResourceDecides: rapid.Bool().Draw(t, "resource decides"),
	}
	if rapid.Bool().Draw(t, "has boundary") {
		p.Boundary = drawDocument(t, iam.Identity, "boundary")
	}
	if rapid.Bool().Draw(t, "has resource policy") {
		p.Resource = drawDocument(t, iam.Resource, "resource")
	}
	return iam.Query{
		Principal:       rapid.SampledFrom([]iam.Principal{session, user, stranger, lambda}).Draw(t, "principal"),
		Action:          rapid.SampledFrom([]string{"a:x", "a:y", "b:x"}).Draw(t, "action"),
		Resource:        rapid.SampledFrom([]string{"arn:aws:a:::r1", "arn:aws:a:::r2"}).Draw(t, "resource"),
		ResourceAccount: home,
	}, p
}

func TestEvaluateProperties(t *testing.T) {
	deny, allow := identity(t, `"Effect":"Deny","Action":"*","Resource":"*"`), identity(t, `"Effect":"Allow","Action":"*","Resource":"*"`)
	rapid.Check(t, func(t *rapid.T) {
		q, p := drawCase(t)
		before := iam.Evaluate(q, p)

		denied := p
		denied.Identity = append([]*iam.Document{deny}, p.Identity...)
		require.True(t, iam.Evaluate(q, denied).Explicit, "a deny of everything always decides")

		allowed := p
		allowed.Identity = append([]*iam.Document{allow}, p.Identity...)
		if before.Allowed {
			require.True(t, iam.Evaluate(q, allowed).Allowed, "one more allow never takes anything away")
		}

		bounded := p
		bounded.Boundary = nil
		if before.Allowed {
			require.True(t, iam.Evaluate(q, bounded).Allowed, "a boundary gives nothing")
		}

		shuffled := p
		shuffled.Identity = append([]*iam.Document{}, p.Identity...)
		seed := rapid.Int64().Draw(t, "seed")
		rand.New(rand.NewSource(seed)).Shuffle(len(shuffled.Identity), func(i, j int) {
			shuffled.Identity[i], shuffled.Identity[j] = shuffled.Identity[j], shuffled.Identity[i]
		})
		require.Equal(t, before, iam.Evaluate(q, shuffled), "the order of policies doesn't matter")

		if len(p.Identity) == 0 && p.Resource == nil {
			require.False(t, before.Allowed, "nothing allows by itself")
		}
	})
}
