package run_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/finding"
	reports "github.com/aistudio/secrets/auditor/report"
	"github.com/aistudio/secrets/auditor/run"
)

// checkFormats looks for exactly the outcome's findings in every report.
func checkFormats(t *testing.T, dir string, o *run.Outcome) {
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return text
	}
	var want []string // rule and ARN
	for f, err := range o.Findings() {
		require.NoError(t, err)
		want = append(want, string(f.Status)+" "+f.Rule+" "+f.Resource.ARN)
	}
	slices.Sort(want)
	sorted := func(list []string) []string { slices.Sort(list); return list }

	var report struct {
		Findings []finding.Finding `json:"findings"`
	}
	require.NoError(t, json.Unmarshal(read("report.json"), &report))
	var got []string
	for _, f := range report.Findings {
		got = append(got, string(f.Status)+" "+f.Rule+" "+f.Resource.ARN)
	}
	assert.Equal(t, want, sorted(got), "report.json")

	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	published, err := jsonschema.UnmarshalJSON(bytes.NewReader(reports.Schema))
	require.NoError(t, err)
	require.NoError(t, compiler.AddResource(reports.SchemaID, published))
	schema, err := compiler.Compile(reports.SchemaID)
	require.NoError(t, err)
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(read("report.json")))
	require.NoError(t, err)
	assert.NoError(t, schema.Validate(instance), "report.json follows its published schema")
	instance.(map[string]any)["more"] = true
	assert.Error(t, schema.Validate(instance), "the schema refuses what it doesn't know")

	rows, err := csv.NewReader(bytes.NewReader(read("findings.csv"))).ReadAll()
	require.NoError(t, err)
	got = nil
	for _, row := range rows[1:] {
		got = append(got, row[1]+" "+row[3]+" "+row[6])
	}
	assert.Equal(t, want, sorted(got), "findings.csv")

	var asff []struct {
		GeneratorId string
		RecordState string
		Compliance  struct{ Status string }
		Resources   []struct{ Id string }
	}
	require.NoError(t, json.Unmarshal(read("findings.asff.json"), &asff))
	got = nil
	for _, f := range asff {
		if f.Compliance.Status == "PASSED" {
			continue // a rule that could judge all
		}
		status := map[string]string{"FAILED": "fail", "NOT_AVAILABLE": "unknown"}[f.Compliance.Status]
		if f.RecordState == "ARCHIVED" {
			status = "suppressed"
		}
		got = append(got, status+" "+strings.TrimPrefix(f.GeneratorId, "secrets-auditor/")+" "+f.Resources[0].Id)
	}
	assert.Equal(t, want, sorted(got), "findings.asff.json")

	got = nil
	lines := bufio.NewScanner(bytes.NewReader(read("findings.ocsf.jsonl")))
	for lines.Scan() {
		var f struct {
			ClassUID   int    `json:"class_uid"`
			TypeUID    int    `json:"type_uid"`
			Status     string `json:"status"`
			Compliance struct{ Control, Status string }
			Resources  []struct{ UID string }
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &f))
		assert.Equal(t, 2003, f.ClassUID)
		assert.Equal(t, 2003, f.TypeUID/100)
		status := map[string]string{"Fail": "fail", "Warning": "unknown", "Pass": "resolved"}[f.Compliance.Status]
		if f.Status == "Suppressed" {
			status = "suppressed"
		}
		got = append(got, status+" "+f.Compliance.Control+" "+f.Resources[0].UID)
	}
	assert.Equal(t, want, sorted(got), "findings.ocsf.jsonl")

	page := string(read("report.html"))
	for f, err := range o.Findings() {
		require.NoError(t, err)
		assert.Contains(t, page, f.Resource.Name, "report.html")
	}
}
