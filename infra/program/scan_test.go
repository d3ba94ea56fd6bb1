package program_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/sdk/spec"
)

const scan = "aistudio-dev-migration-scan" // the function, its role and its schedule

// The daily scan of the dev stack by the real function, as its schedule invokes
// it, and what its role may do. A service of this stack reads by tag.
func TestScan(t *testing.T) {
	at := time.Now().UTC().Truncate(time.Hour)
	w := newWorld(t, []string{"orders"}, []string{loose}, localcloud.WithStart(at.Add(-10*time.Minute)))
	w.auditAt = at.Add(time.Hour)
	decisions := t.TempDir() + "/migration.dev.yaml"
	writeFile(t, decisions, []byte("classify:\n  notSecrets: [/shop/not/password]\n"))
	w.adapt = func(config map[string]string) {
		change(t, config, catalogue.KeyServices, func(services map[string]any) { services["orders"].(map[string]any)["access"] = "byTag" })
		change(t, config, catalogue.KeyAudit, func(audit map[string]any) { audit["scan"] = map[string]any{"migrationFile": decisions} })
	}
	w.deploy(t, "dev", w.cloud.Config(region))
	for _, name := range []string{"/shop/db/password", "/shop/not/password"} {
		_, err := ssm.NewFromConfig(w.cloud.Config(region)).PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: aws.String(canary), Type: ssmtypes.ParameterTypeString})
		require.NoError(t, err)
	}
	require.NoError(t, w.cloud.Advance(t.Context(), 15*time.Minute))
	assert.Empty(t, w.cloud.Unsupported())
	assert.Empty(t, w.receive(t, scan+"-failures"))

	text := w.object(t, spec.ScanKey)
	assert.NotContains(t, text, canary)
	result, err := spec.ReadScan(strings.NewReader(text))
	require.NoError(t, err)
	assert.Equal(t, []string{region}, result.Regions)
	assert.Empty(t, result.Unread, "the role is enough to read all")
	require.Len(t, result.Findings, 1, "what people have decided counts")
	assert.Contains(t, text, "/shop/db/password")

	schedule, err := scheduler.NewFromConfig(w.cloud.Config(region)).GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String(scan)})
	require.NoError(t, err)
	assert.Equal(t, "UTC", aws.ToString(schedule.ScheduleExpressionTimezone))

	t.Run("every statement is needed", w.checkScanStatements)
	t.Run("access by tag", w.checkByTag)
}

// canary is a value that nothing may show.
const canary = "tr0ub4dor-and-3-canaries"

// checkScanStatements takes away one statement of the scan's role after the
// other.
func (w *world) checkScanStatements(t *testing.T) {
	client, objects := lambda.NewFromConfig(w.cloud.Config(region)), s3.NewFromConfig(w.cloud.Config(region))
	invoke := func() (failed bool, unread int) {
		out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(scan), Payload: []byte(`{}`)})
		require.NoError(t, err)
		require.NoError(t, w.cloud.Settle(t.Context()))
		var summary struct{ Unread int }
		if out.FunctionError == nil {
			require.NoError(t, json.Unmarshal(out.Payload, &summary))
		}
		return out.FunctionError != nil, summary.Unread
	}
	r := rotator{world: w, role: scan}
	whole := w.record.named("aws:iam/rolePolicy:RolePolicy")["scan"].Inputs["policy"].StringValue()
	var document struct{ Statement []policy.Statement }
	require.NoError(t, json.Unmarshal([]byte(whole), &document))
	var found []string
	for _, removed := range document.Statement {
		found = append(found, removed.Sid)
		if slices.Contains([]string{"Log", "Trace", "KeepFailures"}, removed.Sid) {
			continue // every function's, see checkAuditStatements
		}
		t.Run(removed.Sid, func(t *testing.T) {
			r.put(t, without(t, whole, removed.Sid))
			if removed.Sid == "Look" {
				_, err := objects.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(auditBucket), Key: aws.String(spec.ScanConfigKey)})
				require.NoError(t, err)
			}
			failed, unread := invoke()
			if removed.Sid == "Discover" {
				assert.True(t, failed || unread > 0)
			} else {
				assert.True(t, failed, "it needs no statement %s", removed.Sid)
			}
			r.put(t, whole)
			failed, unread = invoke()
			assert.False(t, failed)
			assert.Zero(t, unread)
		})
	}
	assert.Equal(t, []string{"Discover", "Look", "ReadDecided", "WriteResult", "Log", "Trace", "KeepFailures"}, found)
}
