package spec_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

func TestReadScan(t *testing.T) {
	scan, err := spec.ReadScan(strings.NewReader(`{
		"version": 1, "started": "2026-11-25T02:00:00Z", "finished": "2026-11-25T02:01:00Z",
		"account": "123456789012", "regions": ["us-east-1"], "newer": true,
		"findings": [{"place": "lambda", "region": "us-east-1", "arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
			"variable": "DB_PASSWORD", "confidence": "likely", "reason": "name and randomness"}],
		"unread": [{"place": "ecs", "region": "us-east-1", "reason": "AccessDenied"}]}`))
	require.NoError(t, err)
	require.Equal(t, spec.ScanLambda, scan.Findings[0].Place)
	require.Equal(t, spec.ScanLikely, scan.Findings[0].Confidence)
	require.Equal(t, "AccessDenied", scan.Unread[0].Reason)
}

func TestReadScanMistakes(t *testing.T) {
	_, err := spec.ReadScan(strings.NewReader(`{"version": 2, "findings": [{"place": "disk"}], "unread": [{"place": ""}]}`))
	for _, want := range []string{"version is 2", "finished is missing", `findings[0]: place "disk"`, "findings[0]: arn", "unread[0]"} {
		require.ErrorContains(t, err, want)
	}
	_, err = spec.ReadScan(strings.NewReader(`[`))
	require.Error(t, err)
}
