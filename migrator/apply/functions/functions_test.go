package functions_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply/functions"
	"github.com/aistudio/secrets/sdk/spec"
)

// answer is what Lambda answers to a call.
type answer struct {
	status int
	code   string // of an error
	body   string
}

// replies is a Lambda that gives the answers in turn, the last one again and
// again.
func replies(t *testing.T, sleep functions.Sleep, answers ...answer) *functions.Functions {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		w.Header().Set("Content-Type", "application/json")
		if a.code != "" {
			w.Header().Set("X-Amzn-Errortype", a.code)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(server.Close)
	if sleep == nil {
		sleep = func(context.Context, time.Duration) error { return nil }
	}
	return functions.New(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 1,
	}, sleep)
}

func ok(body string) answer { return answer{http.StatusOK, "", body} }

func refused(status int, code string) answer {
	return answer{status, code, `{"Message":"canary"}`}
}

const active = `{"State":"Active","LastUpdateStatus":"Successful","RevisionId":"1","Version":"$LATEST","Environment":{"Variables":{"A":"canary"}}}`

func TestFunctionsThatCannotBeChanged(t *testing.T) {
	for want, a := range map[string]answer{
		"state Failed (EniLimitExceeded)":            ok(`{"State":"Failed","StateReasonCode":"EniLimitExceeded"}`),
		"its last update failed (InvalidSubnet)":     ok(`{"State":"Active","LastUpdateStatus":"Failed","LastUpdateStatusReasonCode":"InvalidSubnet"}`),
		"under way for more than 10m0s":              ok(`{"State":"Active","LastUpdateStatus":"InProgress"}`),
		"can't be decrypted (AccessDeniedException)": ok(`{"State":"Active","LastUpdateStatus":"Successful","Environment":{"Error":{"ErrorCode":"AccessDeniedException","Message":"canary"}}}`),
		"AWS answered ResourceNotFoundException":     refused(http.StatusNotFound, "ResourceNotFoundException"),
	} {
		_, err := replies(t, nil, a).Read(t.Context(), "orders", "")
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "canary")
	}
	_, err := replies(t, nil, ok(`{"State":"Inactive","LastUpdateStatus":"Successful"}`)).Read(t.Context(), "orders", "")
	require.NoError(t, err, "an idle function wakes when it is invoked")
}

func TestTheContextEndsAWait(t *testing.T) {
	stop := fmt.Errorf("stopped: %w", context.Canceled)
	_, err := replies(t, func(context.Context, time.Duration) error { return stop }, ok(`{"State":"Pending"}`)).Read(t.Context(), "orders", "")
	require.ErrorIs(t, err, context.Canceled)
}

// When a reply gets lost, the SDK's second attempt names a revision that its first
// one made old.
func TestAnUpdateWhoseReplyGotLostIsNobodyElses(t *testing.T) {
	const after = `{"State":"Active","LastUpdateStatus":"Successful","RevisionId":"2","Environment":{"Variables":{"A":"canary","B":"b"}}}`
	f := replies(t, nil, ok(active), refused(http.StatusPreconditionFailed, "PreconditionFailedException"), ok(after))
	read, err := f.Read(t.Context(), "orders", "")
	require.NoError(t, err)
	got, err := f.Update(t.Context(), read, read.Environment.With("B", spec.ValueString("b")))
	require.NoError(t, err)
	assert.Equal(t, "2", got.Revision)

	for _, refusal := range []answer{refused(http.StatusPreconditionFailed, "PreconditionFailedException"), refused(http.StatusConflict, "ResourceConflictException")} {
		f = replies(t, nil, ok(active), refusal, ok(active))
		read, err = f.Read(t.Context(), "orders", "")
		require.NoError(t, err)
		_, err = f.Update(t.Context(), read, read.Environment.With("B", spec.ValueString("b")))
		require.ErrorIs(t, err, functions.ErrChanged)
		assert.NotContains(t, err.Error(), "canary")
	}
}

func TestAnEnvironmentShowsNothing(t *testing.T) {
	read, err := replies(t, nil, ok(active)).Read(t.Context(), "orders", "")
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", read, read, read), "canary")
	other := read.Environment.With("B", spec.ValueString("b"))
	assert.True(t, read.Environment.Equal(other.Without("B")))
	assert.False(t, read.Environment.Equal(other))
}
