package rotationfeed

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/emf"
	secrets "github.com/aistudio/secrets/sdk"
)

type recorder struct {
	changes []secrets.Change
	err     error
}

func (r *recorder) Publish(_ context.Context, change secrets.Change) error {
	if r.err == nil {
		r.changes = append(r.changes, change)
	}
	return r.err
}

const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:acme/dev/shop/db-AbCdEf"

func TestWhatChangesACurrentVersion(t *testing.T) {
	for name, test := range map[string]struct {
		event string
		want  []secrets.Change
	}{
		"a rotation": {
			`{"source":"aws.secretsmanager","detail-type":"AWS Service Event via CloudTrail","detail":{"eventName":"RotationSucceeded","additionalEventData":{"SecretId":"` + arn + `"}}}`,
			[]secrets.Change{{SecretID: arn}},
		},
		"a rotation that began": {`{"source":"aws.secretsmanager","detail":{"eventName":"RotationStarted","additionalEventData":{"SecretId":"` + arn + `"}}}`, nil},
		"a new value by hand": {
			`{"source":"aws.secretsmanager","detail":{"eventName":"PutSecretValue","requestParameters":{"secretId":"acme/dev/shop/db","clientRequestToken":"v"}}}`,
			[]secrets.Change{{SecretID: "acme/dev/shop/db", VersionID: "v"}},
		},
		"a pending value":   {`{"source":"aws.secretsmanager","detail":{"eventName":"PutSecretValue","requestParameters":{"secretId":"x","versionStages":["AWSPENDING"]}}}`, nil},
		"a current value":   {`{"source":"aws.secretsmanager","detail":{"eventName":"PutSecretValue","requestParameters":{"secretId":"x","versionStages":["a","AWSCURRENT"]}}}`, []secrets.Change{{SecretID: "x"}}},
		"an update":         {`{"source":"aws.secretsmanager","detail":{"eventName":"UpdateSecret","requestParameters":{"secretId":"x"}}}`, []secrets.Change{{SecretID: "x"}}},
		"a label moved":     {`{"source":"aws.secretsmanager","detail":{"eventName":"UpdateSecretVersionStage","requestParameters":{"secretId":"x","versionStage":"AWSCURRENT","moveToVersionId":"v"}}}`, []secrets.Change{{SecretID: "x", VersionID: "v"}}},
		"another label":     {`{"source":"aws.secretsmanager","detail":{"eventName":"UpdateSecretVersionStage","requestParameters":{"secretId":"x","versionStage":"AWSPENDING"}}}`, nil},
		"a call that fails": {`{"source":"aws.secretsmanager","detail":{"eventName":"UpdateSecret","errorCode":"AccessDenied","requestParameters":{"secretId":"x"}}}`, nil},
		"a read":            {`{"source":"aws.secretsmanager","detail":{"eventName":"GetSecretValue","requestParameters":{"secretId":"x"}}}`, nil},
		"another service":   {`{"source":"aws.kms","detail":{"eventName":"UpdateSecret","requestParameters":{"secretId":"x"}}}`, nil},
		"no secret":         {`{"source":"aws.secretsmanager","detail":{"eventName":"UpdateSecret"}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			feed := &recorder{}
			require.NoError(t, New(feed, slog.New(slog.DiscardHandler), nil, "").Handle(t.Context(), json.RawMessage(test.event)))
			assert.Equal(t, test.want, feed.changes)
		})
	}
}

func TestTheLagIsMeasured(t *testing.T) {
	var out strings.Builder
	w := New(&recorder{}, slog.New(slog.DiscardHandler), emf.New(&out, "Secrets"), "dev")
	w.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 7, 500e6, time.UTC) }
	require.NoError(t, w.Handle(t.Context(), json.RawMessage(`{"source":"aws.secretsmanager","detail":{"eventTime":"2026-01-02T03:04:05Z","eventName":"UpdateSecret","requestParameters":{"secretId":"x"}}}`)))
	assert.Contains(t, out.String(), `"FeedLag":2500`)
	assert.Contains(t, out.String(), `"Environment":"dev"`, "stacks of one account would share the metric")
}

// Lambda tries again only what fails.
func TestAFeedThatFailsIsAnError(t *testing.T) {
	broken := errors.New("throttled")
	w := New(&recorder{err: broken}, slog.New(slog.DiscardHandler), nil, "")
	require.ErrorIs(t, w.Handle(t.Context(), json.RawMessage(`{"source":"aws.secretsmanager","detail":{"eventName":"UpdateSecret","requestParameters":{"secretId":"x"}}}`)), broken)
}

func FuzzHandle(f *testing.F) {
	f.Add(`{"source":"aws.secretsmanager","detail":{"eventName":"UpdateSecret","requestParameters":{"secretId":"x"}}}`)
	f.Add(`{"detail":{"eventTime":3}}`)
	w := New(&recorder{}, slog.New(slog.DiscardHandler), nil, "")
	f.Fuzz(func(t *testing.T, event string) { _ = w.Handle(t.Context(), json.RawMessage(event)) })
}
