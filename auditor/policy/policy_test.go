package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
)

var rules, remedies = []string{"tags-missing", "replica-missing"}, []string{"tags-missing"}

func TestParse(t *testing.T) {
	p, err := policy.Parse(strings.NewReader(`
maximumAge: { database: 20d, other: 12h }
unusedAfter: 30d
tags:
  Owner: []
  Environment: [dev, prod]
severities: { tags-missing: critical }
threshold: medium
policyReads: 0
access: { pages: 3, expected: ["arn:aws:iam::*:role/backup"] }
suppressions:
  - { rule: replica-missing, secret: "aistudio/prod/studio/*", owner: team-studio, reason: one region, expires: 2027-03-31 }
remedy: { rules: [tags-missing], tagValues: { ManagedBy: pulumi } }
`), rules, remedies)
	require.NoError(t, err)
	assert.Equal(t, 20*24*time.Hour, p.MaximumAge["database"])
	assert.Equal(t, 100*24*time.Hour, p.MaximumAge["api-key"], "as in the default")
	assert.Equal(t, 12*time.Hour, p.MaximumAge[policy.Other])
	assert.Equal(t, finding.Critical, p.Severities["tags-missing"])
	assert.Equal(t, finding.Medium, p.Threshold)
	assert.Zero(t, p.PolicyReads)
	assert.Equal(t, []string{"dev", "prod"}, p.Tags["Environment"])
	assert.NotContains(t, p.Tags, "Service", "the file's tags take the place of the default's")
	assert.Equal(t, map[string]string{"ManagedBy": "pulumi"}, p.Remedy.TagValues)

	s := p.Suppressions[0]
	lastMoment := time.Date(2027, 3, 31, 23, 59, 59, 0, time.UTC)
	assert.False(t, s.Expired(lastMoment))
	assert.True(t, s.Expired(lastMoment.Add(time.Second)))
	assert.Equal(t, "2027-03-31", s.LastDay())
	assert.True(t, s.Matches("replica-missing", finding.Resource{Name: "aistudio/prod/studio/key"}))
	assert.False(t, s.Matches("replica-missing", finding.Resource{Name: "aistudio/prod/studios"}))
	assert.False(t, s.Matches("tags-missing", finding.Resource{Name: "aistudio/prod/studio/key"}))
}

func TestEmptyFileIsTheDefault(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "{}\n"} {
		p, err := policy.Parse(strings.NewReader(text), rules, remedies)
		require.NoError(t, err)
		require.Equal(t, policy.Default(), p)
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := policy.Parse(strings.NewReader(`maximumAge: { database: soon, disk: 9d }
unusedafter: 90d
unusedAfter: 0d
severities: { tags-missing: dreadful, nothing: low }
policyReads: -1
suppressions:
  - { rule: nothing, secret: "", owner: me, expires: 2027-02-30, because: x }
  - { rule: tags-missing, secret: a, reason: b }
remedy: { rules: [replica-missing] }
`), rules, remedies)
	var mistakes policy.MistakesError
	require.ErrorAs(t, err, &mistakes)
	for _, want := range []string{
		`line 1: "soon" is no duration`, `maximumAge: unknown kind of secret "disk"`,
		`line 2: there is no key "unusedafter"`, `line 3: "0d" is no duration`,
		`line 4: unknown severity "dreadful"`, `severities: there is no rule "nothing"`, "policyReads: -1 is negative",
		`line 7: suppression of rule "nothing"`, "line 7: suppression without secret", "line 7: suppression without reason",
		`line 7: "2027-02-30" is no date`, `line 7: a suppression has no key "because"`,
		"line 8: suppression without owner", "line 8: suppression without a date",
		`remedy: "replica-missing" can't be mended`,
	} {
		assert.Contains(t, err.Error(), want)
	}
}

// TestWhatWouldCountForNothing: what a policy says and nobody would look at is a
// mistake.
func TestWhatWouldCountForNothing(t *testing.T) {
	for text, want := range map[string]string{
		"threshold: low\n---\nthreshold: high\n": "line 2: a second document begins",
		"access: { window: 91d }\n":              "access.window: the trail's event history holds 90d",
		"suppressions:\n  - { rule: suppression-expired, secret: '*', owner: me, reason: quiet, expires: 2027-01-01 }\n": "line 2: suppression-expired can't be suppressed",
		"suppressions:\n  - { rule: tags-missing, secret: a, owner: me, reason: b, expires: 2026-01-01 }\n" +
			"  - { rule: tags-missing, secret: a, owner: me, reason: b, expires: 2027-01-01 }\n": "line 3: the same suppression as in line 2",
	} {
		_, err := policy.Parse(strings.NewReader(text), append(rules, "suppression-expired"), remedies)
		require.ErrorContains(t, err, want)
	}
	p, err := policy.Parse(strings.NewReader("access: { window: 90d }\nsuppressions:\n"+
		"  - { rule: tags-missing, secret: a, owner: me, reason: b, expires: 2026-01-01 }\n"+
		"  - { rule: tags-missing, secret: b, owner: me, reason: b, expires: 2026-01-01 }\n---\n"), rules, remedies)
	require.Error(t, err, "an empty document is one too")
	require.Empty(t, p.Suppressions)
}

func TestNoYAML(t *testing.T) {
	_, err := policy.Parse(strings.NewReader("a: b: c"), rules, remedies)
	require.ErrorContains(t, err, "read the policy")
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/bc", false}, {"*", "", true}, {"*", "a/b", true}, {"a/*", "a/b/c", true},
		{"a/*", "b/a/", false}, {"*/key", "a/b/key", true}, {"*/key", "a/keys", false}, {"a*b*c", "a1b2c", true},
		{"a*b*c", "a1c2b", false}, {"ab*ba", "aba", false}, {"", "", true}, {"", "a", false},
	} {
		assert.Equal(t, tt.want, policy.Match(tt.pattern, tt.text), "%q %q", tt.pattern, tt.text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("maximumAge: { database: 20d }\nsuppressions:\n  - { rule: tags-missing, expires: 2027-01-01 }\n")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = policy.Parse(strings.NewReader(text), rules, remedies)
	})
}
