package scan_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/inventory"
	"github.com/aistudio/secrets/migrator/scan"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestAScanIsOfAllRegions(t *testing.T) {
	started := time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	s := scan.Of("123456789012", started, started.Add(time.Minute),
		inventory.Inventory{
			Region: "us-east-1",
			Items: []inventory.Item{
				{Place: spec.ScanLambda, ARN: "arn:f", Variable: "DB_PASSWORD", Secret: true, Confidence: 0.95, Reasons: []string{"a", "b"}, Owner: "team"},
				{Place: spec.ScanLambda, ARN: "arn:f", Variable: "DB_HOST", Confidence: 0.9, Reasons: []string{"a host name"}},
				{Place: spec.ScanECS, ARN: "arn:t", Container: "app", Variable: "OLD", Unknown: true, Confidence: 0.95, Reasons: []string{"encrypted"}},
				{Place: spec.ScanSSM, ARN: "arn:p", Secret: true, Encrypted: true, Confidence: 1, Reasons: []string{"a"}},
				{Place: spec.ScanSSM, ARN: "arn:q", Secret: true, Confidence: 0.98, Reasons: []string{"a"}},
			},
			Unread: []inventory.Unread{{Place: spec.ScanECS, Reason: "denied"}},
		},
		inventory.Inventory{Region: "eu-west-1", Items: []inventory.Item{{Place: spec.ScanSSM, ARN: "arn:r", Secret: true, Confidence: 0.7, Reasons: []string{"a"}}}})
	assert.Equal(t, []string{"us-east-1", "eu-west-1"}, s.Regions)
	assert.Equal(t, []spec.ScanFinding{
		{Place: spec.ScanLambda, Region: "us-east-1", ARN: "arn:f", Variable: "DB_PASSWORD", Confidence: spec.ScanLikely, Reason: "a, b", Owner: "team"},
		{Place: spec.ScanSSM, Region: "us-east-1", ARN: "arn:q", Confidence: spec.ScanCertain, Reason: "a"},
		{Place: spec.ScanSSM, Region: "eu-west-1", ARN: "arn:r", Confidence: spec.ScanPossible, Reason: "a"},
	}, s.Findings, "what is encrypted isn't in plaintext")
	assert.Equal(t, []spec.ScanUnread{
		{Place: spec.ScanECS, Region: "us-east-1", Reason: "denied"},
		{Place: spec.ScanECS, Region: "us-east-1", ARN: "arn:t", Reason: "app: OLD: encrypted"},
	}, s.Unread)

	text, err := json.Marshal(s)
	require.NoError(t, err)
	read, err := spec.ReadScan(bytes.NewReader(text))
	require.NoError(t, err)
	assert.Equal(t, s, read)
}

func TestAnEmptyScanHasNoNulls(t *testing.T) {
	text, err := json.Marshal(scan.Of("123456789012", time.Unix(0, 0), time.Unix(1, 0)))
	require.NoError(t, err)
	assert.NotContains(t, string(text), "null")
}
