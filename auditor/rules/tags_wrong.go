package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

func tagsWrong() Rule {
	return Rule{
		ID:          "tags-wrong",
		Title:       "Tags have values that they may not have",
		Rationale:   "A tag that contradicts the name or the catalogue sends the alert to the wrong team and the bill to the wrong budget.",
		Remediation: "Deploy the stack, which sets the tags as declared, or correct them with aws secretsmanager tag-resource.",
		Severity:    finding.Low,
		Controls:    tagControls(),
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			if s.OwningService != "" {
				return managedByAWS(s)
			}
			var pairs []string
			for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
				if wrong := wrongTag(c, s, key, s.Tags[key]); wrong != "" {
					pairs = append(pairs, key, wrong)
				}
			}
			if pairs != nil {
				return finding.Failed(pairs...)
			}
			return finding.Passed()
		},
	}
}

// wrongTag says what is wrong with a tag that is there, or "".
func wrongTag(c Context, s *facts.Subject, key, value string) string {
	if value == "" {
		return ""
	}
	allowed, required := c.Policy.Tags[key]
	if required && len(allowed) > 0 && !slices.Contains(allowed, value) {
		return quote(value) + " is none of " + strings.Join(allowed, ", ")
	}
	want := ""
	if name, err := spec.ParseName(s.Name); err == nil {
		want = map[string]string{spec.TagEnvironment: name.Environment, spec.TagService: name.Service}[key]
	}
	if d := s.Declared; d != nil && want == "" {
		want = map[string]string{
			spec.TagOwner: d.Owner, spec.TagSecretType: string(d.Kind), spec.TagDataClassification: d.DataClassification,
		}[key]
	}
	if want != "" && value != want {
		return quote(value) + " should be " + quote(want)
	}
	if _, err := spec.ParseKind(value); key == spec.TagSecretType && err != nil {
		return quote(value) + " is no kind of secret"
	}
	return ""
}

func quote(s string) string { return "\"" + s + "\"" }
