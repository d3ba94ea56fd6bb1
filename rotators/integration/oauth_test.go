package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/internal/rotatortest"
	"github.com/aistudio/secrets/rotators/oauth"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestMain(m *testing.M) { rotatortest.Main(m) }

// world is an OAuth server and a secret whose rotator can be killed.
type world struct {
	*rotatortest.Estate
	server *server
	killer *rotatortest.Killer
}

func newWorld(t *testing.T, leeway bool) *world {
	w := &world{rotatortest.NewEstate(t), newServer(t, leeway), &rotatortest.Killer{}}
	w.Run(w.killer, func(*secretsmanager.Client) rotation.Target { return oauth.New(w.killer) })
	return w
}

// value is the secret's first value; more are keys beside the usual ones.
func (w *world) value(more map[string]string) string {
	w.Helper()
	object := map[string]string{
		"token_url": w.server.URL + "/token", "introspection_url": w.server.URL + "/introspect", "revocation_url": w.server.URL + "/revoke",
		"client_id": clientID, "client_secret": clientSecret, "scope": "read",
	}
	for key, text := range more {
		object[key] = text
	}
	text, err := json.Marshal(object)
	require.NoError(w, err)
	return string(text)
}

// granted is a value with tokens that a person granted.
func (w *world) granted() string {
	access, refresh := w.server.grant()
	return w.value(map[string]string{"access_token": access, "refresh_token": refresh})
}

func (w *world) parse(value string) spec.OAuth {
	w.Helper()
	o, err := spec.ParseOAuth(spec.ValueString(value))
	require.NoError(w, err)
	return o
}

func (w *world) current() spec.OAuth {
	w.Helper()
	value, _ := w.Staged("AWSCURRENT")
	return w.parse(value)
}

func (w *world) works(value string) bool {
	return w.server.active(w.parse(value).AccessToken.RevealString())
}

func (w *world) noCanary() {
	w.Helper()
	require.NotEmpty(w, w.Logs.String())
	for _, secret := range []string{"canary", w.current().AccessToken.RevealString(), w.current().RefreshToken.RevealString()} {
		assert.False(w, secret != "" && strings.Contains(w.Logs.String(), secret), "a credential is in a log or an error")
	}
}

func TestClientCredentialsOfARotatorThatIsKilledAnywhere(t *testing.T) {
	w := newWorld(t, true)
	w.ARN = w.CreateSecret("aistudio/dev/studio/partner", w.value(nil))
	w.RotateNow()
	w.RotateNow()
	oldest, _ := w.Staged("AWSPREVIOUS")
	points := w.KillRotations(w.killer, nil, func(when string, values ...string) {
		for _, value := range values {
			require.True(t, w.works(value), when)
		}
	}, w.works)
	assert.Greater(t, points, 20, "too few points to die at")
	assert.False(t, w.works(oldest), "a token that nobody needs was not revoked")
	assert.True(t, w.current().ExpiresAt.After(time.Now().Add(24*time.Hour)), "the expiry is kept")
	w.noCanary()
}

func TestRefreshTokensOfARotatorThatIsKilledAnywhere(t *testing.T) {
	w := newWorld(t, true)
	w.ARN = w.CreateSecret("aistudio/dev/studio/google", w.granted())
	w.RotateNow()
	points := w.KillRotations(w.killer, nil, func(when string, values ...string) {
		require.True(t, w.works(values[0]), when)
	}, w.works)
	assert.Greater(t, points, 20, "too few points to die at")
	w.RotateNow()
	assert.True(t, w.works(mustStaged(w)), "the last refresh token was good")
	w.noCanary()
}

func mustStaged(w *world) string {
	value, _ := w.Staged("AWSCURRENT")
	return value
}

// A server without leeway takes a used refresh token for stolen. There is one
// moment that the protocol leaves: after its answer and before it is stored.
// Then the error says what to do, and doing it is all that is needed.
func TestAStrictServerLosesNoGrantButInOneMoment(t *testing.T) {
	w := newWorld(t, false)
	lost := 0
	point := 1
	for ; ; point++ {
		when := fmt.Sprintf("killed at point %d", point)
		w.ARN = w.CreateSecret(fmt.Sprintf("aistudio/dev/studio/strict-%d", point), w.granted())
		before := w.current()
		w.killer.Arm(point)
		w.RotateNow()
		died := w.killer.Died()
		require.NoError(t, w.Cloud.Advance(t.Context(), 10*time.Minute))
		require.NoError(t, w.Cloud.Settle(t.Context()))
		if w.current().AccessToken.Equal(before.AccessToken) {
			lost++
			require.True(t, died, when)
			require.Contains(t, w.Logs.String(), "grant access anew", when)
			_, err := w.Client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &w.ARN, SecretString: aws.String(w.granted())})
			require.NoError(t, err)
			w.unstick()
			w.RotateNow()
			require.False(t, w.current().AccessToken.Equal(before.AccessToken), when)
		}
		require.True(t, w.works(mustStaged(w)), when)
		if !died {
			break
		}
	}
	assert.Greater(t, point, 20, "too few points to die at")
	// After the server's answer, and before the call that stores it.
	assert.LessOrEqual(t, lost, 2, "points at which a grant was lost")
	w.noCanary()
}

// unstick takes AWSPENDING from a version that keeps it, as an operator does.
func (w *world) unstick() {
	w.Helper()
	described, err := w.Client.DescribeSecret(w.Context(), &secretsmanager.DescribeSecretInput{SecretId: &w.ARN})
	require.NoError(w, err)
	for id, stages := range described.VersionIdsToStages {
		for _, stage := range stages {
			if stage != "AWSPENDING" {
				continue
			}
			_, err := w.Client.UpdateSecretVersionStage(w.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: &w.ARN, VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: aws.String(id),
			})
			require.NoError(w, err)
		}
	}
}

// A rotation that stored new tokens and was given up has used up the current
// refresh token: the next one goes on from the tokens that it stored.
func TestARotationThatWasGivenUpLosesNoGrant(t *testing.T) {
	w := newWorld(t, false)
	w.ARN = w.CreateSecret("aistudio/dev/studio/given-up", w.granted())
	before := w.current()
	w.server.breaks("/introspect", true)
	w.RotateNow()
	require.NoError(t, w.Cloud.Advance(t.Context(), time.Hour))
	require.NoError(t, w.Cloud.Settle(t.Context()))
	w.server.breaks("/introspect", false)
	require.True(t, w.current().RefreshToken.Equal(before.RefreshToken), "it was to fail")
	w.unstick()

	w.RotateNow()
	assert.False(t, w.current().RefreshToken.Equal(before.RefreshToken))
	assert.True(t, w.works(mustStaged(w)))
	w.noCanary()
}

// RFC 7592: the client's secret changes with its tokens, also when the run that
// changed it died.
func TestTheClientsSecretOfARotatorThatIsKilledAnywhere(t *testing.T) {
	w := newWorld(t, true)
	w.ARN = w.CreateSecret("aistudio/dev/studio/registered", w.value(map[string]string{
		"registration_client_uri": w.server.URL + "/register", "registration_access_token": "canary-admission-0",
	}))
	w.RotateNow()
	points := w.KillRotations(w.killer, nil, func(when string, values ...string) {
		require.True(t, w.works(values[0]), when)
		require.Equal(t, w.server.secret(), w.parse(values[0]).ClientSecret.RevealString(), when)
	}, func(string) bool { return true }) // the server knows one secret, so the current one may be refused meanwhile
	assert.Greater(t, points, 25, "too few points to die at")
	w.noCanary()
}

func TestMistakesInTheSecretAreNamed(t *testing.T) {
	w := newWorld(t, true)
	for name, test := range map[string]struct {
		value string
		want  string
	}{
		"no client":         {`{"token_url":"https://a.example/token","client_secret":"canary"}`, `key \"client_id\" is missing`},
		"no secret":         {`{"token_url":"https://a.example/token","client_id":"a"}`, `key \"client_secret\" is missing`},
		"no TLS":            {`{"token_url":"http://a.example/token","client_id":"a","client_secret":"canary"}`, `must begin with https://`},
		"an unknown method": {`{"token_url":"https://a.example/token","client_id":"a","client_secret":"canary","token_endpoint_auth_method":"x"}`, `token_endpoint_auth_method`},
		"the wrong secret":  {w.value(map[string]string{"client_secret": "canary-wrong"}), `the server refused the client (invalid_client)`},
		"a scope too many":  {w.value(map[string]string{"scope": "read write"}), `the server refused the request (invalid_scope)`},
	} {
		t.Run(name, func(t *testing.T) {
			w.ARN = w.CreateSecret("aistudio/dev/studio/"+strings.ReplaceAll(name, " ", "-"), test.value)
			w.RotateNow()
			assert.Contains(t, w.Logs.String(), test.want)
			assert.NotContains(t, w.Logs.String(), "canary")
		})
	}
}
