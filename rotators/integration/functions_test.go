package integration

import (
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	metrictypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/internal/rotatortest"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/apikey"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region     = "us-east-1"
	rotated    = "aistudio/dev/studio/rotated"
	admin      = "canary-admin"
	signingKey = "canary-signing-key"
	day        = 24 * time.Hour
)

// account is an emulator with one secret, whose rotation function is the real
// program of a kind with a role that may do what it needs and no more.
type account struct {
	testing.TB
	cloud    *localcloud.Cloud
	client   *secretsmanager.Client
	began    time.Time
	kind     spec.Kind
	interval time.Duration
	secret   string   // ARN
	function string   // ARN
	groups   []string // of logs
	values   []string // all that were current, the oldest first
	versions []string
}

// setting is how a kind of secret is rotated.
type setting struct {
	kind        spec.Kind
	interval    time.Duration
	first       string // value; "": seeded
	environment map[string]string
	statements  []string // beside those for the secret itself
}

func newAccount(t *testing.T) *account {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	return &account{TB: t, cloud: cloud, client: secretsmanager.NewFromConfig(cloud.Config(region)), began: cloud.Clock().Now()}
}

func (a *account) createSecret(name, value string) string {
	a.Helper()
	input := &secretsmanager.CreateSecretInput{Name: &name}
	if value != "" {
		input.SecretString = &value
	}
	created, err := a.client.CreateSecret(a.Context(), input)
	require.NoError(a, err)
	return *created.ARN
}

// rotate deploys the program of a kind, built before, and switches the rotation
// of a new secret on. Nothing is rotated before its time.
func (a *account) rotate(programs map[spec.Kind]string, s setting) {
	a.Helper()
	a.kind, a.interval = s.kind, s.interval
	a.secret = a.createSecret(rotated, s.first)
	name := "rotate-" + s.kind.String()
	statements := append([]string{allow(a.secret,
		"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage")}, s.statements...)
	a.function = a.deploy(name, programs[s.kind], s.environment, statements...)
	if s.first == "" {
		a.seed()
	}
	_, err := a.client.RotateSecret(a.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &a.secret, RotationLambdaARN: &a.function, RotateImmediately: aws.Bool(false),
		RotationRules: &smtypes.RotationRulesType{ScheduleExpression: aws.String(fmt.Sprintf("rate(%d days)", s.interval/day))},
	})
	require.NoError(a, err)
	require.NoError(a, a.cloud.Settle(a.Context()))
	a.note()
	require.Len(a, a.values, 1)
}

func (a *account) deploy(name, program string, environment map[string]string, statements ...string) string {
	a.Helper()
	a.groups = append(a.groups, "/aws/lambda/"+name)
	all := map[string]string{spec.EnvLogLevel: "debug"}
	maps.Copy(all, environment)
	return rotatortest.Deploy(a, a.cloud, rotatortest.Function{
		Name: name, Program: program, Environment: all, Statements: strings.Join(statements, ","),
	})
}

func allow(resource string, actions ...string) string {
	text, _ := json.Marshal(map[string]any{"Effect": "Allow", "Action": actions, "Resource": resource}) // strings only
	return string(text)
}

// seed has the function make the first value, as the infrastructure does.
func (a *account) seed() {
	a.Helper()
	payload, err := json.Marshal(spec.SeedRequest{Step: spec.StepSeed, SecretID: rotated})
	require.NoError(a, err)
	output, err := lambda.NewFromConfig(a.cloud.Config(region)).Invoke(a.Context(), &lambda.InvokeInput{FunctionName: &a.function, Payload: payload})
	require.NoError(a, err)
	require.Nil(a, output.FunctionError, "%s", output.Payload)
	var result spec.SeedResult
	require.NoError(a, json.Unmarshal(output.Payload, &result))
	require.True(a, result.Seeded)
}

// note keeps the current value.
func (a *account) note() {
	a.Helper()
	output, err := a.client.GetSecretValue(a.Context(), &secretsmanager.GetSecretValueInput{SecretId: &a.secret})
	require.NoError(a, err)
	a.values = append(a.values, *output.SecretString)
	a.versions = append(a.versions, *output.VersionId)
}

// pass lets the interval pass, after which the secret must have another value.
func (a *account) pass() {
	a.Helper()
	require.NoError(a, a.cloud.Advance(a.Context(), a.interval+day))
	a.note()
	n := len(a.values)
	require.NotEqual(a, a.versions[n-2], a.versions[n-1], "nothing was rotated: %s", a.logs())
	require.False(a, a.values[n-2] == a.values[n-1], "the value is the old one")
	previous, err := a.client.GetSecretValue(a.Context(), &secretsmanager.GetSecretValueInput{SecretId: &a.secret, VersionStage: aws.String("AWSPREVIOUS")})
	require.NoError(a, err)
	require.Equal(a, a.versions[n-2], *previous.VersionId)
	require.Equal(a, 1, a.events("RotationSucceeded"), "rotations since the last one")
	require.Zero(a, a.events("RotationFailed"), a.logs())
	require.Zero(a, a.events("RotationAbandoned"))
}

// events counts the trail's events of the last interval, with their day.
func (a *account) events(name string) (count int) {
	a.Helper()
	pages := cloudtrail.NewLookupEventsPaginator(cloudtrail.NewFromConfig(a.cloud.Config(region)), &cloudtrail.LookupEventsInput{
		StartTime:        aws.Time(a.cloud.Clock().Now().Add(-a.interval)),
		LookupAttributes: []trailtypes.LookupAttribute{{AttributeKey: trailtypes.LookupAttributeKeyEventName, AttributeValue: &name}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(a.Context())
		require.NoError(a, err)
		count += len(page.Events)
	}
	return count
}

// logs is all that the functions logged.
func (a *account) logs() string {
	a.Helper()
	client := cloudwatchlogs.NewFromConfig(a.cloud.Config(region))
	var text strings.Builder
	for _, group := range a.groups {
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(client, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group})
		for pages.HasMorePages() {
			page, err := pages.NextPage(a.Context())
			require.NoError(a, err)
			for _, event := range page.Events {
				fmt.Fprintln(&text, *event.Message)
			}
		}
	}
	return text.String()
}

// metric sums up one of the rotation function's metrics.
func (a *account) metric(name, step string) (count, sum float64) {
	a.Helper()
	output, err := cloudwatch.NewFromConfig(a.cloud.Config(region)).GetMetricStatistics(a.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String(spec.MetricNamespace), MetricName: &name, Period: aws.Int32(int32(day.Seconds())),
		StartTime: aws.Time(a.began.Add(-day)), EndTime: aws.Time(a.cloud.Clock().Now().Add(day)),
		Statistics: []metrictypes.Statistic{metrictypes.StatisticSampleCount, metrictypes.StatisticSum},
		Dimensions: []metrictypes.Dimension{
			{Name: aws.String(spec.DimensionKind), Value: aws.String(a.kind.String())}, {Name: aws.String(spec.DimensionStep), Value: &step},
		},
	})
	require.NoError(a, err)
	for _, point := range output.Datapoints {
		count += *point.SampleCount
		sum += *point.Sum
	}
	return count, sum
}

// check looks at what the rotations left: metrics, and no value in a log.
func (a *account) check() {
	a.Helper()
	rotations := float64(len(a.values) - 1)
	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		steps := rotations
		if step == "testSecret" {
			steps++ // switching rotation on tests the function
		}
		count, milliseconds := a.metric(spec.MetricStepDuration, step)
		assert.Equal(a, steps, count, "durations of %s", step)
		assert.Positive(a, milliseconds, step)
		count, errs := a.metric(spec.MetricStepErrors, step)
		assert.Equal(a, steps, count, step)
		assert.Zero(a, errs, step)
	}
	logs := a.logs()
	for _, value := range append([]string{"canary"}, a.values...) {
		for _, hidden := range secretsOf(value) {
			require.False(a, strings.Contains(logs, hidden), "a value is in a log")
		}
	}
	assert.Equal(a, int(rotations), strings.Count(logs, `"msg":"step done","step":"finishSecret"`), logs)
	assert.Empty(a, a.cloud.Unsupported())
}

// secretsOf are a value as a whole and, of an object, its secret members.
func secretsOf(value string) []string {
	all := []string{value}
	var members map[string]string
	if json.Unmarshal([]byte(value), &members) == nil {
		for _, key := range []string{"key", "client_secret", "access_token", "refresh_token"} {
			if members[key] != "" {
				all = append(all, members[key])
			}
		}
	}
	return all
}

// key is the API key of the n-th value, counted from the newest, 0.
func (a *account) key(n int) string {
	a.Helper()
	key, err := spec.ParseAPIKey(spec.ValueString(a.values[len(a.values)-1-n]))
	require.NoError(a, err)
	return key.Key.RevealString()
}

// Each kind's real program, deployed with just the rights it needs, rotates by
// its own schedule.
func TestEveryProgramRotatesBySchedule(t *testing.T) {
	programs := map[spec.Kind]string{}
	for _, kind := range []spec.Kind{spec.KindAPIKey, spec.KindCustom, spec.KindOAuth} {
		programs[kind] = rotatortest.Build(t, "../cmd/rotate-"+kind.String())
	}
	applier := rotatortest.Build(t, "../custom/testdata/gate")

	t.Run("API keys that are generated", func(t *testing.T) {
		a := newAccount(t)
		a.rotate(programs, setting{kind: spec.KindAPIKey, interval: 90 * day, environment: map[string]string{spec.EnvAPIKeyPrefix: "studio"}})
		for n := range 2 {
			a.pass()
			client, err := secrets.New(t.Context(), secrets.WithConfig(a.cloud.Config(region)))
			require.NoError(t, err)
			verifier := apikey.New(client, rotated)
			for age := range 2 {
				_, err = verifier.Verify(t.Context(), a.key(age))
				require.NoError(t, err, "the key of %d rotations ago", age)
			}
			if n == 1 {
				_, err = verifier.Verify(t.Context(), a.key(2))
				require.ErrorIs(t, err, apikey.ErrInvalid)
			}
		}
		assert.True(t, strings.HasPrefix(a.key(0), "studio_"))
		a.check()
	})

	t.Run("API keys of an issuer", func(t *testing.T) {
		a := newAccount(t)
		system := &issuer{keys: map[string]*issued{}}
		server := httptest.NewServer(system)
		t.Cleanup(server.Close)
		credential := a.createSecret("aistudio/dev/platform/issuer", `{"token":"`+admin+`"}`)
		a.rotate(programs, setting{
			kind: spec.KindAPIKey, interval: 90 * day, statements: []string{allow(credential, "secretsmanager:GetSecretValue")},
			environment: map[string]string{spec.EnvAPIKeyIssuer: strings.NewReplacer("$URL", server.URL, "$ADMIN", credential).Replace(issuerDescription)},
		})
		for n := range 2 {
			a.pass()
			want := []string{a.key(0), a.key(1)}
			slices.Sort(want)
			assert.True(t, slices.Equal(want, system.active()), "rotation %d: the issuer has other keys than the current and the previous one", n+1)
		}
		assert.Equal(t, 3, system.late, "keys that weren't active at once")
		a.check()
	})

	t.Run("custom values that are generated", func(t *testing.T) {
		a := newAccount(t)
		a.rotate(programs, setting{kind: spec.KindCustom, interval: 30 * day, environment: map[string]string{spec.EnvPasswordOptions: `{"PasswordLength":50,"ExcludePunctuation":true}`}})
		for range 2 {
			a.pass()
			assert.Len(t, []byte(a.values[len(a.values)-1]), 50)
		}
		a.check()
	})

	t.Run("custom values that a webhook applies", func(t *testing.T) {
		a := newAccount(t)
		system := &gate{TB: t, accepted: map[string]bool{}, signed: true}
		server := httptest.NewServer(system)
		t.Cleanup(server.Close)
		key := a.createSecret("aistudio/dev/platform/webhook", signingKey)
		a.rotate(programs, setting{
			kind: spec.KindCustom, interval: 30 * day, statements: []string{allow(key, "secretsmanager:GetSecretValue")},
			environment: map[string]string{spec.EnvWebhook: fmt.Sprintf(`{"url":%q,"secret":%q}`, server.URL, key)},
		})
		for range 2 {
			a.pass()
			system.knows(a)
		}
		a.check()
	})

	t.Run("custom values that a function applies", func(t *testing.T) {
		a := newAccount(t)
		system := &gate{TB: t, accepted: map[string]bool{}}
		server := httptest.NewServer(system)
		t.Cleanup(server.Close)
		function := a.deploy("gate", applier, map[string]string{"GATE": server.URL}, allow("arn:aws:secretsmanager:*:*:secret:"+rotated+"-??????", "secretsmanager:GetSecretValue"))
		a.rotate(programs, setting{
			kind: spec.KindCustom, interval: 30 * day, statements: []string{allow(function, "lambda:InvokeFunction")},
			environment: map[string]string{spec.EnvApplier: function},
		})
		for range 2 {
			a.pass()
			system.knows(a)
		}
		a.check()
	})

	t.Run("OAuth tokens", func(t *testing.T) {
		a := newAccount(t)
		system := newServer(t, true)
		access, refresh := system.grant()
		first, err := json.Marshal(map[string]string{
			"token_url": system.URL + "/token", "introspection_url": system.URL + "/introspect", "revocation_url": system.URL + "/revoke",
			"client_id": clientID, "client_secret": clientSecret, "scope": "read", "access_token": access, "refresh_token": refresh,
		})
		require.NoError(t, err)
		a.rotate(programs, setting{kind: spec.KindOAuth, interval: 7 * day, first: string(first)})
		for range 2 {
			a.pass()
			token, err := spec.ParseOAuth(spec.ValueString(a.values[len(a.values)-1]))
			require.NoError(t, err)
			assert.True(t, system.active(token.AccessToken.RevealString()))
		}
		a.check()
	})
}

const issuerDescription = `{
	"admin": {"secret": "$ADMIN", "pointer": "/token"},
	"create": {"method": "POST", "url": "$URL/keys", "headers": {"Authorization": "Bearer {{.Admin}}", "Idempotency-Key": "{{.Token}}"}, "id": "/id", "key": "/key"},
	"verify": {"method": "GET", "url": "$URL/me", "headers": {"X-Api-Key": "{{.Key}}"}},
	"revoke": {"method": "DELETE", "url": "$URL/keys/{{path .ID}}", "headers": {"Authorization": "Bearer {{.Admin}}"}}}`

// issuer issues keys, which work from the second time on that they are used.
type issuer struct {
	mu   sync.Mutex
	keys map[string]*issued // by id, which is the idempotency key
	late int                // keys that were used before they were active
}

type issued struct {
	key    string
	active bool
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	id := r.Header.Get("Idempotency-Key")
	switch {
	case r.URL.Path == "/me":
		for _, known := range i.keys {
			if known.key == r.Header.Get("X-Api-Key") {
				if known.active {
					return
				}
				known.active = true
				i.late++
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
	case r.Header.Get("Authorization") != "Bearer "+admin:
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodPost:
		if i.keys[id] == nil {
			i.keys[id] = &issued{key: "canary-key-" + id}
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"id": id, "key": i.keys[id].key})
	case r.Method == http.MethodDelete:
		delete(i.keys, strings.TrimPrefix(r.URL.Path, "/keys/"))
	}
}

// active are the keys that work, sorted.
func (i *issuer) active() (keys []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, known := range i.keys {
		if known.active {
			keys = append(keys, known.key)
		}
	}
	slices.Sort(keys)
	return keys
}

// gate accepts the values of the last set until they are retired.
type gate struct {
	testing.TB
	mu       sync.Mutex
	accepted map[string]bool
	signed   bool // calls must be
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	assert.NoError(g, err)
	signature := custom.Sign(spec.ValueString(signingKey), r.Header.Get(custom.HeaderTimestamp), body)
	if g.signed && !hmac.Equal([]byte(signature), []byte(r.Header.Get(custom.HeaderSignature))) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var call custom.Call
	assert.NoError(g, json.Unmarshal(body, &call))
	switch pending := call.Values["pending"]; call.Step {
	case custom.StepSet:
		g.accepted[pending] = true
	case custom.StepTest:
		if !g.accepted[pending] {
			w.WriteHeader(http.StatusConflict)
		}
	case custom.StepRetire:
		delete(g.accepted, call.Values["retired"])
	}
}

// knows asserts that the gate accepts the current and the previous value only.
func (g *gate) knows(a *account) {
	a.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	want := slices.Sorted(slices.Values(a.values[len(a.values)-2:]))
	assert.True(a, slices.Equal(want, slices.Sorted(maps.Keys(g.accepted))), "the gate accepts other values than the current and the previous one")
}
