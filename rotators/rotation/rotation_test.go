package rotation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/emf"
	"github.com/aistudio/secrets/rotators/rotation"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

var (
	awsSteps  = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
	docsSteps = []string{"create_secret", "set_secret", "test_secret", "finish_secret"}
)

// fixture is a secret, the system that it is for, and the function between.
type fixture struct {
	manager  *manager
	system   *system
	rotator  *rotation.Rotator
	logs     *bytes.Buffer
	feed     *feed
	failures []error
}

type feed struct {
	changes []secrets.Change
	err     error
}

func (f *feed) Publish(_ context.Context, change secrets.Change) error {
	f.changes = append(f.changes, change)
	return f.err
}

// unseeded has a secret without a value.
func unseeded() *fixture {
	return withSecret(newManager())
}

func withSecret(m *manager) *fixture {
	f := &fixture{manager: m, system: &system{}, logs: &bytes.Buffer{}, feed: &feed{}}
	f.use(f.system, nil)
	return f
}

// use makes the rotator for another target.
func (f *fixture) use(target rotation.Target, metrics *emf.Writer) {
	f.rotator = rotation.New(f.manager, target, rotation.Options{
		Kind:    spec.KindCustom,
		Logger:  slog.New(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Metrics: metrics,
		Feed:    f.feed,
	})
}

// seeded has a secret whose value the system accepts.
func seeded(t *testing.T) *fixture {
	t.Helper()
	f := unseeded()
	result, err := f.seed(t.Context())
	require.NoError(t, err)
	require.True(t, result.Seeded)
	return f
}

func (f *fixture) seed(ctx context.Context) (*spec.SeedResult, error) {
	return f.handle(ctx, `{"Step":"seedSecret","SecretId":"`+name+`"}`)
}

func (f *fixture) step(ctx context.Context, step, token string) error {
	_, err := f.handle(ctx, fmt.Sprintf(`{"Step":%q,"SecretId":%q,"ClientRequestToken":%q,"RotationToken":"canary-token"}`, step, arn, token))
	return err
}

func (f *fixture) handle(ctx context.Context, event string) (*spec.SeedResult, error) {
	result, err := f.rotator.Handle(ctx, json.RawMessage(event))
	if err != nil {
		f.failures = append(f.failures, err)
	}
	return result, err
}

// rotate runs all steps once, as Secrets Manager does.
func (f *fixture) rotate(ctx context.Context, token string, steps []string) error {
	for _, step := range steps {
		if err := f.step(ctx, step, token); err != nil {
			return err
		}
	}
	return nil
}

// noCanary fails when a value or a rotation token was printed anywhere.
func (f *fixture) noCanary(t *testing.T) {
	t.Helper()
	require.NotEmpty(t, f.logs.String(), "nothing was logged, so nothing was looked at")
	assert.NotContains(t, f.logs.String(), "canary")
	for _, err := range f.failures {
		assert.NotContains(t, fmt.Sprintf("%v %+v", err, err), "canary")
	}
}

// token makes ids of versions as long as Secrets Manager asks for.
func token(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func TestRotation(t *testing.T) {
	for spelling, steps := range map[string][]string{"AWS": awsSteps, "documents": docsSteps} {
		t.Run(spelling, func(t *testing.T) {
			f := seeded(t)
			first := f.manager.value("AWSCURRENT")
			require.NoError(t, f.manager.startRotation(token(1)))
			require.NoError(t, f.rotate(t.Context(), token(1), steps))

			assert.Equal(t, token(1), f.manager.labelled("AWSCURRENT"))
			assert.True(t, f.manager.value("AWSPREVIOUS") == first, "AWSPREVIOUS isn't the value before")
			assert.True(t, f.system.accepts(f.manager.value("AWSCURRENT")))
			assert.True(t, f.system.accepts(first), "readers of the value before are locked out")
			assert.Equal(t, "canary-token", f.manager.tokens[len(f.manager.tokens)-1], "the RotationToken wasn't passed on")
			assert.Equal(t, []secrets.Change{{SecretID: arn, VersionID: token(1)}}, f.feed.changes)
			f.noCanary(t)
		})
	}
}

func TestOldValuesAreRetiredOneRotationLater(t *testing.T) {
	f := seeded(t)
	var values []string
	for n := 1; n <= 3; n++ {
		values = append(values, f.manager.value("AWSCURRENT"))
		require.NoError(t, f.manager.startRotation(token(n)))
		require.NoError(t, f.rotate(t.Context(), token(n), awsSteps))
		assert.True(t, len(f.system.retired) == n-1, "retired %d values after %d rotations", len(f.system.retired), n)
	}
	assert.True(t, f.system.retired[0] == values[0] && f.system.retired[1] == values[1])
}

func TestStepsMayRunTwice(t *testing.T) {
	f := seeded(t)
	require.NoError(t, f.manager.startRotation(token(1)))
	var pending string
	for _, step := range awsSteps {
		require.NoError(t, f.step(t.Context(), step, token(1)))
		if pending == "" {
			pending = f.manager.value("AWSPENDING")
		}
		require.NoError(t, f.step(t.Context(), step, token(1)))
	}
	assert.True(t, f.manager.value("AWSCURRENT") == pending, "the value changed")
	require.NoError(t, f.rotate(t.Context(), token(1), awsSteps), "the whole rotation again")
	assert.True(t, f.manager.value("AWSCURRENT") == pending, "the value changed")
	assert.Equal(t, 2, f.system.made, "a seed and a rotation")
}

func TestGuard(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*manager)
		token  string
		err    string
	}{
		"rotation is off":         {func(m *manager) { m.enabled = aws.Bool(false) }, token(1), "switched off"},
		"an unknown version":      {func(*manager) {}, token(2), "has no version"},
		"a version not pending":   {func(m *manager) { m.versions[token(1)].stages = []string{"OTHER"} }, token(1), "is not AWSPENDING"},
		"another rotation's turn": {func(m *manager) { m.version(token(3)); m.label(token(3), "AWSPENDING") }, token(1), "has no version"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := seeded(t)
				require.NoError(t, f.manager.startRotation(token(1)))
				test.change(f.manager)
				before := f.manager.value("AWSCURRENT")
				for _, step := range awsSteps {
					err := f.step(t.Context(), step, test.token)
					require.ErrorContains(t, err, test.err)
					require.ErrorIs(t, err, rotation.ErrDefinite)
					assert.ErrorContains(t, err, step)
					assert.ErrorContains(t, err, arn)
				}
				assert.True(t, f.manager.value("AWSCURRENT") == before)
				assert.Equal(t, 1, f.system.made, "only the seed made a value")
			})
		})
	}
}

func TestASecretWithoutAValueTellsToSeed(t *testing.T) {
	f := unseeded()
	require.NoError(t, f.manager.startRotation(token(1)))
	err := f.step(t.Context(), "createSecret", token(1))
	require.ErrorContains(t, err, "seedSecret")
	require.ErrorIs(t, err, rotation.ErrDefinite)
}

func TestEvents(t *testing.T) {
	for event, message := range map[string]string{
		`[]`:                    "isn't one of a rotation",
		`{"Step":"setSecret"`:   "syntax error at byte",
		`{"Step":7}`:            `key "Step" has the wrong type`,
		`{"Step":"dropSecret"}`: `"dropSecret", none of createSecret`,
		`{}`:                    `the event's Step is ""`,
		`{"Step":"setSecret"}`:  "SecretId is missing\nClientRequestToken is missing",
		`{"Step":"seedSecret"}`: "SecretId is missing",
		`{"Step":"seedSecret","SecretId":"x","Database":{"engine":"db2"}}`: "unknown engine",
	} {
		f := unseeded()
		_, err := f.handle(t.Context(), event)
		require.ErrorContains(t, err, message, event)
		require.ErrorIs(t, err, rotation.ErrDefinite, event)
	}
}

func FuzzHandle(f *testing.F) {
	f.Add(`{"Step":"createSecret","SecretId":"` + arn + `","ClientRequestToken":"` + token(1) + `","RotationToken":"canary"}`)
	f.Add(`{"Step":"seedSecret","SecretId":"` + name + `","Database":{"port":"canary"}}`)
	f.Add(`{"Step":"createSecret","RotationToken":"canary`)
	f.Add(`{"RotationToken":{"canary":1}}`)
	f.Fuzz(func(t *testing.T, event string) {
		fixture := unseeded()
		fixture.manager.intercept = func(string) error { return denied }
		_, err := fixture.handle(t.Context(), event)
		require.Error(t, err)
		var parsed struct{ RotationToken string }
		if json.Unmarshal([]byte(event), &parsed) == nil && strings.HasPrefix(parsed.RotationToken, "canary") {
			assert.NotContains(t, err.Error(), parsed.RotationToken)
			assert.NotContains(t, fixture.logs.String(), parsed.RotationToken)
		}
	})
}

func TestAPendingValueThatIsReadLateIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := seeded(t)
		f.manager.lag = 5
		require.NoError(t, f.manager.startRotation(token(1)))
		require.NoError(t, f.step(t.Context(), "createSecret", token(1)))
		f.manager.versions[token(1)].unseen = 5
		require.NoError(t, f.step(t.Context(), "createSecret", token(1)), "a second create can't read what the first has stored")
		assert.True(t, f.manager.versions[token(1)].unseen < 5)
		for _, step := range awsSteps[1:] {
			f.manager.versions[token(1)].unseen = 5
			require.NoError(t, f.step(t.Context(), step, token(1)))
		}
		assert.Equal(t, token(1), f.manager.labelled("AWSCURRENT"))

		require.NoError(t, f.manager.startRotation(token(2)))
		require.NoError(t, f.step(t.Context(), "createSecret", token(2)))
		f.manager.versions[token(2)].unseen = 1000
		require.Error(t, f.step(t.Context(), "setSecret", token(2)), "the wait has no bound")
	})
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := seeded(t)
		require.NoError(t, f.manager.startRotation(token(1)))
		ctx, cancel := context.WithCancel(t.Context())
		f.manager.after = func(string) error { cancel(); return nil }
		require.ErrorIs(t, f.step(ctx, "setSecret", token(1)), context.Canceled)
	})
}

// vault PR#28989: a password that the database rejects was retried for ever.
func TestARejectedValueIsReplaced(t *testing.T) {
	t.Run("when it is made", func(t *testing.T) {
		f := seeded(t)
		f.system.rejectGenerated = 4
		require.NoError(t, f.manager.startRotation(token(1)))
		require.NoError(t, f.rotate(t.Context(), token(1), awsSteps))
		assert.True(t, f.system.accepts(f.manager.value("AWSCURRENT")))
	})
	t.Run("but not for ever", func(t *testing.T) {
		f := seeded(t)
		f.system.rejectGenerated = 1000
		require.NoError(t, f.manager.startRotation(token(1)))
		err := f.step(t.Context(), "createSecret", token(1))
		require.ErrorIs(t, err, rotation.ErrDefinite)
		require.ErrorContains(t, err, "too simple")
		assert.Equal(t, 995, f.system.rejectGenerated)
	})
	t.Run("when it is applied", func(t *testing.T) {
		f := seeded(t)
		f.system.rejectApplied = 1
		require.NoError(t, f.manager.startRotation(token(1)))
		require.NoError(t, f.step(t.Context(), "createSecret", token(1)))
		err := f.step(t.Context(), "setSecret", token(1))
		require.ErrorIs(t, err, rotation.ErrRejected)
		require.ErrorContains(t, err, "rotate the secret again")
		assert.Empty(t, f.manager.labelled("AWSPENDING"), "the rejected value would block the next rotation")

		require.NoError(t, f.manager.startRotation(token(2)))
		require.NoError(t, f.rotate(t.Context(), token(2), awsSteps))
		assert.Equal(t, token(2), f.manager.labelled("AWSCURRENT"))
		f.noCanary(t)
	})
}

func TestErrorsTellWhetherARetryHelps(t *testing.T) {
	for name, test := range map[string]struct {
		err      error
		definite bool
		advice   string
	}{
		"throttled":       {throttled, false, "Rate exceeded"},
		"connection lost": {lost, false, "reset by peer"},
		"denied":          {denied, true, "lacks this right"},
	} {
		t.Run(name, func(t *testing.T) {
			f := seeded(t)
			require.NoError(t, f.manager.startRotation(token(1)))
			f.manager.intercept = func(operation string) error {
				if operation == "PutSecretValue" {
					return test.err
				}
				return nil
			}
			err := f.step(t.Context(), "createSecret", token(1))
			require.ErrorIs(t, err, test.err)
			require.ErrorContains(t, err, test.advice)
			assert.Equal(t, test.definite, errors.Is(err, rotation.ErrDefinite))
			assert.Contains(t, f.logs.String(), fmt.Sprintf(`"passing":%t`, !test.definite))
			f.noCanary(t)
		})
	}
}

func TestAFeedThatFailsDoesNotFailTheRotation(t *testing.T) {
	f := seeded(t)
	f.feed.err = lost
	require.NoError(t, f.manager.startRotation(token(1)))
	require.NoError(t, f.rotate(t.Context(), token(1), awsSteps))
	assert.Contains(t, f.logs.String(), "feed wasn't told")
	require.NoError(t, f.step(t.Context(), "finishSecret", token(1)), "a retry tells the feed again")
	assert.Len(t, f.feed.changes, 2)
}

func TestBinaryValuesStayBinary(t *testing.T) {
	f := unseeded()
	f.manager.version(token(9)).binary = []byte{0xff, 0}
	f.manager.label(token(9), "AWSCURRENT")
	require.NoError(t, f.manager.startRotation(token(1)))
	require.NoError(t, f.step(t.Context(), "createSecret", token(1)))
	assert.Nil(t, f.manager.versions[token(1)].text)
	assert.NotEmpty(t, f.manager.versions[token(1)].binary)
}
