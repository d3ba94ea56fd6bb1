package integration_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go/logging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/aistudio/secrets/localcloud/faults"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/apikey"
	"github.com/aistudio/secrets/sdk/dbconn/mysql"
	"github.com/aistudio/secrets/sdk/dbconn/postgres"
	"github.com/aistudio/secrets/sdk/dualread"
	"github.com/aistudio/secrets/sdk/dualread/parameter"
	"github.com/aistudio/secrets/sdk/extension"
	"github.com/aistudio/secrets/sdk/otelsecrets"
	"github.com/aistudio/secrets/sdk/spec"
)

// canaries are values that are planted in secrets and must come up nowhere.
type canaries struct {
	mu     sync.Mutex
	values []string
	out    strings.Builder // all that anybody could see
}

func (c *canaries) plant() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	value := `canary"` + rand.Text()
	c.values = append(c.values, value)
	return value
}

// Write takes a line of a log.
func (c *canaries) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

// show formats things in every way.
func (c *canaries) show(things ...any) {
	for _, thing := range things {
		encoded, err := json.Marshal(thing)
		fmt.Fprintf(c, "%v %+v %#v %s %q %x %s %v\n", thing, thing, thing, thing, thing, thing, encoded, err)
		slog.New(slog.NewTextHandler(c, nil)).Info("shown", "thing", thing)
		slog.New(slog.NewJSONHandler(c, nil)).Info("shown", "thing", thing)
		if err, ok := thing.(error); ok {
			for ; err != nil; err = errors.Unwrap(err) {
				fmt.Fprintf(c, "%v %+v %#v %q\n", err, err, err, err)
			}
		}
	}
}

// found tells which values came up, in any of their forms, and after what.
func (c *canaries) found() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out.String()
	var found []string
	for i, value := range c.values {
		quoted, _ := json.Marshal(value) // a string
		sum := sha256.Sum256([]byte(value))
		for form, text := range map[string]string{
			"plain": value, "its random part": strings.TrimPrefix(value, `canary"`), "JSON": strings.Trim(string(quoted), `"`),
			"base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(value)), "="), "URL": url.QueryEscape(value),
			"hexadecimal": hex.EncodeToString([]byte(value)), "bytes": strings.Trim(fmt.Sprint([]byte(value)), "[]"),
			"Go bytes": strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(value)), "[]byte{"), "}"), "its hash": hex.EncodeToString(sum[:]),
		} {
			if at := strings.Index(out, text); at >= 0 {
				found = append(found, fmt.Sprintf("canary %d came up (%s) after: %s", i, form, out[max(0, at-300):at]))
			}
		}
	}
	return found
}

// The test must be able to fail: each way of showing is seen.
func TestCanariesAreSeen(t *testing.T) {
	for _, show := range []func(c *canaries, value string){
		func(c *canaries, value string) { c.show(value) },
		func(c *canaries, value string) { c.show([]byte(value)) },
		func(c *canaries, value string) { c.show(fmt.Errorf("wrapped: %w", errors.New(value))) },
		func(c *canaries, value string) {
			c.show(struct{ inside struct{ text string } }{struct{ text string }{value}})
		},
		func(c *canaries, value string) { _, _ = io.WriteString(c, url.QueryEscape(value)) },
	} {
		c := &canaries{}
		show(c, c.plant())
		assert.NotEmpty(t, c.found())
	}
}

// Values are planted in secrets and parameters; all that reads them does so, and
// fails, with every log on; and all that could be logged or printed is looked
// through.
func TestNoValueComesUp(t *testing.T) {
	c, seen := startCloud(t), &canaries{}
	d := startDatabase(t)
	log.SetOutput(seen)
	defer log.SetOutput(io.Discard)
	create := func(name, value string) {
		_, err := c.admin.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
		require.NoError(t, err)
	}
	object := func(members map[string]any) string {
		text, err := json.Marshal(members)
		require.NoError(t, err)
		return string(text)
	}
	create("text", seen.plant())
	create("broken", `{"username":"shop","password":`+seen.plant())
	create("mistyped", object(map[string]any{"username": "shop", "password": []string{seen.plant()}, "port": seen.plant()}))
	create("postgres", object(map[string]any{"engine": "postgres", "host": d.server.Host, "port": d.server.Port, "username": "shop", "password": seen.plant()}))
	create("mysql", object(map[string]any{"engine": "mysql", "host": "127.0.0.1", "port": 1, "username": "shop", "password": seen.plant()}))
	create("key", object(map[string]any{"key": seen.plant()}))
	_, err := c.admin.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("binary"), SecretBinary: []byte(seen.plant())})
	require.NoError(t, err)
	parameters := ssm.NewFromConfig(c.Config(primary))
	_, err = parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("old"), Value: aws.String(seen.plant()), Type: ssmtypes.ParameterTypeSecureString})
	require.NoError(t, err)
	t.Setenv("OLD_PASSWORD", seen.plant())
	names := []string{"text", "broken", "mistyped", "postgres", "mysql", "key", "binary", "none"}

	// The AWS SDK logs all it can, bodies included, if the client lets it.
	talkative := c.Config(primary)
	talkative.ClientLogMode = aws.LogSigning | aws.LogRetries | aws.LogRequestWithBody | aws.LogResponseWithBody | aws.LogDeprecatedUsage
	talkative.RetryMaxAttempts = 1
	talkative.Logger = logging.NewStandardLogger(seen)
	metrics, spans := metric.NewManualReader(), tracetest.NewSpanRecorder()
	hooks, err := otelsecrets.Hooks(metric.NewMeterProvider(metric.WithReader(metrics)), trace.NewTracerProvider(trace.WithSpanProcessor(spans)))
	require.NoError(t, err)
	client := c.client(t, secrets.WithConfig(talkative), secrets.WithHooks(hooks), secrets.WithFailover(replica))

	presented := seen.plant() // a caller's key
	use := func() {
		for _, name := range names {
			secret, err := client.Get(t.Context(), name)
			seen.show(secret, &secret, err)
			secret, err = client.Refresh(t.Context(), name, secrets.Stage(secrets.StageCurrent))
			seen.show(secret, err)
			decoded, err := secrets.GetJSON[spec.APIKey](t.Context(), client, name)
			seen.show(decoded, err)
			number, err := secrets.GetJSON[struct{ Username, Password int }](t.Context(), client, name)
			seen.show(number, err)
			seen.show(client.Do(t.Context(), name, func(_ context.Context, secret secrets.Secret) error {
				seen.show(secret)
				return secrets.Refused(errors.New("no"))
			}))
			database, err := spec.ParseDatabase(secret.Value)
			seen.show(database, err)

			verifier := apikey.New(client, name)
			match, err := verifier.Verify(t.Context(), presented)
			seen.show(verifier, match, err)

			pg, my := postgres.NewConnector(client, name, postgres.Options{TLS: d.tls}), mysql.NewConnector(client, name, mysql.Options{})
			_, err = pg.Connect(t.Context())
			seen.show(err)
			_, err = my.Connect(t.Context())
			seen.show(err, pg, my)

			for _, mode := range []string{"new", "compare", "old", "odl"} {
				t.Setenv(spec.EnvDualRead, mode)
				for _, old := range []dualread.Source{dualread.Env("OLD_PASSWORD"), parameter.Source(parameters, "old"), parameter.Source(parameters, "none")} {
					reader := dualread.New(client, name, old, dualread.Options{Field: "password", Observe: func(_ context.Context, r dualread.Result) { seen.show(r) }})
					value, err := reader.Value(t.Context())
					seen.show(reader, value, err, reader.Stats())
				}
			}
		}
		seen.show(client.Prefetch(t.Context(), names...))
		seen.show(client, client.Stats())
	}

	token, wrong := seen.plant(), seen.plant()
	cache := extension.NewCache(extension.Config{Secrets: extension.Service{Cached: true}, Parameters: extension.Service{Cached: true}, FeedTable: "feed", FeedEvery: time.Nanosecond},
		func(context.Context) (aws.Config, error) { return talkative, nil })
	defer func() { require.NoError(t, cache.Close()) }()
	layer := extension.NewHandler(cache, token, slog.New(slog.NewJSONHandler(seen, &slog.HandlerOptions{Level: slog.LevelDebug})))
	layer.Ready()
	served := 0
	useLayer := func() {
		paths := []string{"/systemsmanager/parameters/get?name=old", "/systemsmanager/parameters/get?name=old&withDecryption=true&refreshNow=1", "/ping", "/none", "/v1/%00"}
		for _, name := range names {
			paths = append(paths, "/v1/"+name, "/secretsmanager/get?refreshNow=1&secretId="+name, "/v1/"+name+"?versionStage=AWSPREVIOUS", "/v1/"+name+"?colour=red")
		}
		for _, path := range paths {
			for _, shown := range []string{token, wrong} {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
				r.Header.Set("X-Aws-Parameters-Secrets-Token", shown)
				w := httptest.NewRecorder()
				layer.ServeHTTP(w, r)
				if w.Code == http.StatusOK {
					served++
				} else {
					_, _ = io.Copy(seen, bytes.NewReader(w.Body.Bytes()))
				}
			}
		}
		seen.show(cache, layer)
	}
	for _, fault := range []*faults.Fault{
		nil, {Kind: faults.DropBefore, Region: primary}, {Kind: faults.DropAfter}, {Kind: faults.Throttle}, {Kind: faults.Error, Code: "AccessDeniedException", Status: 400, Message: "no"},
	} {
		if c.Faults.Clear(); fault != nil {
			fault.Service = "secretsmanager"
			c.fail(t, *fault)
			c.advance(t, 2*time.Hour)
		}
		use()
		useLayer()
	}
	assert.Greater(t, served, 10)

	var collected metricdata.ResourceMetrics
	require.NoError(t, metrics.Collect(t.Context(), &collected))
	seen.show(collected)
	require.NotEmpty(t, spans.Ended())
	for _, span := range spans.Ended() {
		seen.show(span.Name(), span.Attributes(), span.Events(), span.Status())
	}
	assert.Contains(t, seen.out.String(), "SDK ", "the AWS SDK does log")
	assert.Empty(t, seen.found())
}
