package report

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
)

// TestOCSF: a finding has only attributes that its version of the schema knows,
// and all that it requires; what couldn't be judged is a warning there.
func TestOCSF(t *testing.T) {
	r := &audit.Result{Run: "2026-11-25T060000Z", Time: time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC), Account: "123456789012"}
	rule := &audit.RuleResult{Rule: rules.All()[0], Severity: finding.High}
	text, err := json.Marshal(toOCSF(r, rule, finding.Finding{
		ID: "0123456789abcdef", Rule: rule.ID, Severity: finding.High, Status: finding.Unknown, Reason: "AccessDenied",
		Resource: finding.Resource{ARN: "a", Name: "n", Type: "AWS::SecretsManager::Secret", Region: "us-east-1", Owner: "team"},
		Evidence: []finding.Evidence{{Name: "a", Value: "b"}}, FirstSeen: r.Time,
	}))
	require.NoError(t, err)
	var o map[string]any
	require.NoError(t, json.Unmarshal(text, &o))
	for _, required := range []string{"activity_id", "category_uid", "class_uid", "cloud", "compliance", "finding_info", "metadata", "severity_id", "time", "type_uid"} {
		require.Contains(t, o, required)
	}
	compliance := o["compliance"].(map[string]any)
	known := []string{"compliance_references", "compliance_standards", "control", "control_parameters", "requirements", "standards", "status", "status_code", "status_details", "status_id"}
	for _, name := range slices.Sorted(maps.Keys(compliance)) {
		require.Contains(t, known, name, "an attribute of the object compliance in 1.4.0")
	}
	require.Equal(t, "Warning", compliance["status"])
	require.InDelta(t, 2, compliance["status_id"], 0)
	require.NotEmpty(t, compliance["standards"])
	metadata := o["metadata"].(map[string]any)
	require.Equal(t, "1.4.0", metadata["version"], "the first that has status_details")
	require.Equal(t, []any{"cloud"}, metadata["profiles"], "whose attribute cloud is")
	require.Equal(t, "AccessDenied", o["status_detail"])
}
