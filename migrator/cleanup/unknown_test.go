package cleanup_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/cleanup"
	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/journal"
)

// answering gives an answer of its own to one of AWS's operations.
type answering struct {
	aws.HTTPClient
	operation string
	status    int
	answer    func(asked string) string
}

func (a *answering) Do(request *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(request.Header.Get("X-Amz-Target"), "."+a.operation) {
		return a.HTTPClient.Do(request)
	}
	asked, err := io.ReadAll(request.Body)
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Request: request,
		Body: io.NopCloser(bytes.NewReader([]byte(a.answer(string(asked))))),
	}, err
}

// with has AWS answer otherwise until the function that it returns is called.
func with(w *applytest.World, operation string, status int, answer func(string) string) (well func()) {
	before := w.Config
	w.Config.HTTPClient = &answering{cmp.Or[aws.HTTPClient](before.HTTPClient, http.DefaultClient), operation, status, answer}
	return func() { w.Config = before }
}

// In another account nothing of the migration is there, which must not look as if
// it were gone.
func TestAnotherAccountIsRefused(t *testing.T) {
	w, p := migrated(t)
	p.Account = "210987654321"
	_, err := cleanup.Run(t.Context(), w.Config, options(w, p))
	require.ErrorContains(t, err, "the plan is for account 210987654321 in us-east-1")
	assert.Empty(t, w.State().Parameters)
	assert.Contains(t, w.Environment("orders"), "API_KEY")
}

// Who may not list the parameters doesn't know that one is gone.
func TestParametersThatCannotBeListedAreNotGone(t *testing.T) {
	w, p := migrated(t)
	well := with(w, "DescribeParameters", http.StatusBadRequest, func(string) string { return `{"__type":"AccessDeniedException"}` })
	for _, dry := range []bool{true, false} {
		o := options(w, p)
		o.DryRun = dry
		result := clean(w, o)
		assert.Contains(t, failures(result)["/mail/token"], "whether it is there isn't known: the parameters can't be listed")
		require.Len(t, result.Remains, 1)
		assert.Equal(t, "parameter /mail/token", result.Remains[0].Subject)
	}
	assert.Empty(t, w.State().Parameters["/mail/token"].Status)
	assert.NotEqual(t, journal.Cleaned, w.State().Services["lambda/mail"].Status)
	assert.True(t, there(w, "/mail/token"))
	well()
	require.True(t, clean(w, options(w, p)).Complete)
	checkClean(w)
}

// Services of AWS's that read by themselves have no ARN; and what can't be
// understood may be a read of anything.
func TestReadersThatCloudTrailDoesNotNameByAnARN(t *testing.T) {
	for name, c := range map[string]struct{ event, want string }{
		"a service of AWS's": {`{"userIdentity":{"type":"AWSService","invokedBy":"cloudformation.amazonaws.com"},"requestParameters":{"name":"/mail/token"}}`, "read since the migration, last by cloudformation.amazonaws.com"},
		"somebody":           {`{"requestParameters":{"path":"/mail","recursive":true}}`, "last by somebody whom CloudTrail doesn't name"},
		"no event":           {`<event>`, "who reads it isn't known"},
	} {
		t.Run(name, func(t *testing.T) {
			w, p := migrated(t)
			well := with(w, "LookupEvents", http.StatusOK, func(asked string) string {
				if !strings.Contains(asked, `"GetParameter"`) {
					return `{"Events":[]}`
				}
				text, err := json.Marshal(map[string]any{"Events": []any{map[string]string{"EventId": "e1", "CloudTrailEvent": c.event}}})
				assert.NoError(t, err)
				return string(text)
			})
			assert.Contains(t, failures(clean(w, options(w, p)))["/mail/token"], c.want)
			assert.True(t, there(w, "/mail/token"))
			well()
			require.True(t, clean(w, options(w, p)).Complete)
		})
	}
}

// The daily scans of the organization's stacks read what isn't encrypted, and need
// none of it.
func TestTheDailyScanNeedsNoParameter(t *testing.T) {
	w, p := migrated(t)
	w.ReadAs("acme-staging-migration-scan", "/mail/token")
	require.True(t, clean(w, options(w, p)).Complete)
	w, p = migrated(t)
	w.ReadAs("other-staging-migration-scan", "/mail/token")
	assert.Contains(t, failures(clean(w, options(w, p)))["/mail/token"], "role/other-staging-migration-scan")
}

// What somebody has put into a parameter since is theirs, also where the plan no
// longer tells what was migrated.
func TestAParameterOfAnotherValueStaysWithoutThePlan(t *testing.T) {
	w, p := migrated(t)
	require.True(t, clean(w, options(w, p)).Complete)
	p.Secrets, p.Services, p.Grants = nil, nil, nil
	w.Parameter("/mail/token", "canary-other")
	assert.Equal(t, "its value isn't the one that was migrated", failures(clean(w, options(w, p)))["/mail/token"])
	assert.True(t, there(w, "/mail/token"))
}

// A service that is no more needs nothing, and keeps nothing from its end.
func TestAServiceThatIsGoneIsCleanedUp(t *testing.T) {
	w, p := migrated(t)
	w.Remove("mail")
	result := clean(w, options(w, p))
	require.True(t, result.Complete, "%+v", result.Steps)
	assert.Equal(t, journal.Cleaned, w.State().Services["lambda/mail"].Status)
	assert.False(t, there(w, "/mail/token"))
}
