package controls_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/controls"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
)

func TestStatusOfAControl(t *testing.T) {
	type counts = map[finding.Status]int
	for name, tt := range map[string]struct {
		rules []counts
		want  finding.Status
	}{
		"all pass":               {[]counts{{finding.Pass: 3}, {finding.Pass: 1, finding.NotApplicable: 2}}, finding.Pass},
		"one fails":              {[]counts{{finding.Pass: 3}, {finding.Fail: 1}}, finding.Fail},
		"one is unknown":         {[]counts{{finding.Pass: 3}, {finding.Unknown: 1}}, finding.Unknown},
		"failure before unknown": {[]counts{{finding.Unknown: 3}, {finding.Fail: 1}}, finding.Fail},
		"an exception":           {[]counts{{finding.Suppressed: 1}}, finding.Pass},
		"nothing to judge":       {[]counts{{finding.NotApplicable: 9}}, finding.NotApplicable},
		"no verdict at all":      {[]counts{{}}, finding.NotApplicable},
	} {
		var r audit.Result
		total := counts{}
		for _, c := range tt.rules {
			r.Rules = append(r.Rules, &audit.RuleResult{Rule: rules.Rule{ID: "r", Controls: rules.Controls{rules.SOC2: {"CC6.1"}}}, Counts: c})
			for status, n := range c {
				total[status] += n
			}
		}
		evaluated := controls.Evaluate(&r)
		require.Equal(t, rules.SOC2, evaluated[0].Name)
		require.Len(t, evaluated[0].Controls, 1, name)
		assert.Equal(t, tt.want, evaluated[0].Controls[0].Status, name)
		assert.Equal(t, total, evaluated[0].Controls[0].Counts, name)
		assert.Equal(t, counts{tt.want: 1}, evaluated[0].Counts, name)
		assert.Empty(t, evaluated[1].Controls, "another framework has none")
	}
}

// TestEveryControlIsExplained: whoever reads a page of controls learns what each
// is about.
func TestEveryControlIsExplained(t *testing.T) {
	var r audit.Result
	for _, rule := range rules.All() {
		r.Rules = append(r.Rules, &audit.RuleResult{Rule: rule, Counts: map[finding.Status]int{}})
	}
	for _, framework := range controls.Evaluate(&r) {
		assert.NotEmpty(t, framework.Slug, framework.Name)
		assert.NotEmpty(t, framework.Controls, framework.Name)
		for _, control := range framework.Controls {
			assert.NotEmpty(t, control.About, "%s %s", framework.Name, control.ID)
		}
	}
}
