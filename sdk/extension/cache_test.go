package extension

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

// services speaks the JSON 1.1 protocol of Secrets Manager, for a store, and of
// the Parameter Store.
type services struct {
	*httptest.Server
	store *secretstest.Store

	mu     sync.Mutex
	status int      // not 0: of every answer
	dark   string   // region whose connections drop
	calls  []string // operations
}

func startServices(t *testing.T) *services {
	t.Helper()
	s := &services{store: secretstest.New()}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *services) fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

func (s *services) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func (s *services) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	region := strings.Split(r.Header.Get("Authorization"), "/")[2]
	s.mu.Lock()
	s.calls = append(s.calls, operation)
	status, dark := s.status, s.dark
	s.mu.Unlock()
	if region == dark {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	body, err := io.ReadAll(r.Body)
	if err == nil && status != 0 {
		err = errors.New("it is down")
	}
	var answer any
	if err == nil {
		answer, err = s.do(r, region, operation, body)
	}
	if err != nil {
		code, message := "InternalServiceError", err.Error()
		var known smithy.APIError
		if errors.As(err, &known) {
			code, message, status = known.ErrorCode(), known.ErrorMessage(), http.StatusBadRequest
		}
		w.WriteHeader(status)
		answer = map[string]string{"__type": code, "message": message}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *services) do(r *http.Request, region, operation string, body []byte) (any, error) {
	switch operation {
	case "GetSecretValue":
		var in secretsmanager.GetSecretValueInput
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		out, err := s.store.API(region).GetSecretValue(r.Context(), &in)
		if err != nil {
			return nil, err
		}
		answer := map[string]any{"ARN": out.ARN, "Name": out.Name, "VersionId": out.VersionId, "VersionStages": out.VersionStages, "CreatedDate": 1698765432.125}
		if out.SecretString != nil {
			answer["SecretString"] = *out.SecretString
		} else {
			answer["SecretBinary"] = out.SecretBinary
		}
		return answer, nil
	case "BatchGetSecretValue":
		var in secretsmanager.BatchGetSecretValueInput
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		out, err := s.store.API(region).BatchGetSecretValue(r.Context(), &in)
		if err != nil {
			return nil, err
		}
		var values []map[string]any
		for _, v := range out.SecretValues {
			values = append(values, map[string]any{"ARN": v.ARN, "Name": v.Name, "VersionId": v.VersionId, "VersionStages": v.VersionStages, "CreatedDate": 1698765432.125, "SecretString": v.SecretString})
		}
		return map[string]any{"SecretValues": values}, nil
	case "Query": // the rotation feed
		return map[string]any{"Items": []any{map[string]any{"SecretId": map[string]string{"S": "a"}, "VersionId": map[string]string{"S": "another"}}}}, nil
	case "GetParameter":
		var in struct {
			Name           string
			WithDecryption bool
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		if strings.HasPrefix(in.Name, "none") {
			return nil, &smithy.GenericAPIError{Code: "ParameterNotFound"}
		}
		value := "ciphertext"
		if in.WithDecryption {
			value = "green"
		}
		return map[string]any{"Parameter": map[string]any{"ARN": "arn:" + in.Name, "DataType": "text", "LastModifiedDate": 1698765432.125, "Name": in.Name, "Type": "SecureString", "Value": value, "Version": 3}}, nil
	}
	return nil, errors.New("unexpected " + operation)
}

func (s *services) cache(t *testing.T, variables map[string]string) *Cache {
	t.Helper()
	c, warnings := ReadConfig(lookupIn(variables))
	require.Empty(t, warnings)
	cache := NewCache(c, func(context.Context) (aws.Config, error) {
		return aws.Config{
			Region: "eu-west-1", BaseEndpoint: &s.URL, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""),
		}, nil
	})
	t.Cleanup(func() { assert.NoError(t, cache.Close()) })
	return cache
}

// movable is a clock that a test moves while others read it.
type movable struct{ offset atomic.Int64 }

func (m *movable) advance(d time.Duration) { m.offset.Add(int64(d)) }

// set makes it the cache's clock.
func (m *movable) set(c *Cache) {
	start := time.Now()
	c.options = []secrets.Option{secrets.WithClock(func() time.Time { return start.Add(time.Duration(m.offset.Load())) })}
}

// The bodies are those that AWS's extension gives.
func TestBodies(t *testing.T) {
	s := startServices(t)
	h := newTestHandler(s.cache(t, nil), io.Discard)
	text := s.store.Put("acme/dev/text", "a \"quoted\" \\ \u2028 <value> \n\x00\U0001F600")
	binary := s.store.PutBinary("acme/dev/binary", []byte{0, 0xff})

	w := get(h, http.MethodGet, "/secretsmanager/get?secretId=acme/dev/text")
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.Equal(t, `{"ARN":"`+strings.Replace(secretstest.ARN("acme/dev/text"), secretstest.Region, "eu-west-1", 1)+
		`","CreatedDate":"2023-10-31T15:17:12.125Z","Name":"acme/dev/text","SecretBinary":null,"SecretString":"a \"quoted\" \\ \u2028 \u003cvalue\u003e \n\u0000😀","VersionId":"`+text+
		`","VersionStages":["AWSCURRENT"],"ResultMetadata":{}}`, w.Body.String())

	w = get(h, http.MethodGet, "/v1/acme/dev/binary?versionId="+binary)
	assert.Contains(t, w.Body.String(), `"SecretBinary":"AP8=","SecretString":null`)

	w = get(h, http.MethodGet, "/systemsmanager/parameters/get/?name=%2Fshop%2Fcolour&withDecryption=true")
	assert.Equal(t, `{"Parameter":{"ARN":"arn:/shop/colour","DataType":"text","LastModifiedDate":"2023-10-31T15:17:12.125Z","Name":"/shop/colour","Selector":null,"SourceResult":null,"Type":"SecureString","Value":"green","Version":3},"ResultMetadata":{}}`, w.Body.String())

	w = get(h, http.MethodGet, "/v1/acme/dev/none")
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.JSONEq(t, `{"__type":"ResourceNotFoundException","message":"Secrets Manager can't find the specified secret."}`, w.Body.String())
}

func TestWhatIsCachedIsReadOnce(t *testing.T) {
	s := startServices(t)
	h := newTestHandler(s.cache(t, nil), io.Discard)
	s.store.Put("a", "one")
	for range 3 {
		for _, path := range []string{
			"/v1/a", "/secretsmanager/get?secretId=a&versionStage=AWSCURRENT", // one key
			"/systemsmanager/parameters/get?name=p", "/systemsmanager/parameters/get?name=p&withDecryption=true",
			"/systemsmanager/parameters/get?name=p&version=3", "/systemsmanager/parameters/get?name=p&label=x",
		} {
			assert.Equal(t, http.StatusOK, get(h, http.MethodGet, path).Code, path)
		}
		assert.Equal(t, http.StatusBadRequest, get(h, http.MethodGet, "/systemsmanager/parameters/get?name=none").Code)
	}
	assert.Equal(t, 6, s.count())
}

func TestACacheThatIsOff(t *testing.T) {
	for _, variable := range []string{"PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED=false", "PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE=0", "SECRETS_MANAGER_TTL=0"} {
		name, value, _ := strings.Cut(variable, "=")
		s := startServices(t)
		h := newTestHandler(s.cache(t, map[string]string{name: value, "SECRETS_PREFETCH": "a"}), io.Discard)
		s.store.Put("a", "one")
		for range 3 {
			assert.Equal(t, http.StatusOK, get(h, http.MethodGet, "/v1/a").Code)
		}
		assert.Equal(t, http.StatusOK, get(h, http.MethodGet, "/v1/a?refreshNow=1").Code)
		assert.Equal(t, 4, s.count(), variable)
	}
}

func TestRefreshNow(t *testing.T) {
	s := startServices(t)
	h := newTestHandler(s.cache(t, nil), io.Discard)
	read := func(path string) string {
		var body struct{ SecretString string }
		require.NoError(t, json.Unmarshal(get(h, http.MethodGet, path).Body.Bytes(), &body))
		return body.SecretString
	}
	s.store.Put("a", "one")
	require.Equal(t, "one", read("/v1/a"))
	assert.Equal(t, http.StatusBadRequest, get(h, http.MethodGet, "/v1/a?versionStage=AWSPENDING").Code)
	s.store.PutStage("a", "two", secrets.StagePending)
	assert.Equal(t, "two", read("/v1/a?versionStage=AWSPENDING&refreshNow=1"))
	assert.Equal(t, "two", read("/v1/a?versionStage=AWSPENDING"), "the cache has it, too")
	require.Equal(t, "one", read("/v1/a"))
	s.store.Put("a", "three")
	assert.Equal(t, "one", read("/v1/a"), "from the cache")
	assert.Equal(t, "three", read("/v1/a?refreshNow=1"))
	assert.Equal(t, "three", read("/v1/a"))

	s.fail(http.StatusInternalServerError)
	w := get(h, http.MethodGet, "/v1/a?refreshNow=1&versionStage=AWSPREVIOUS")
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.JSONEq(t, `{"__type":"InternalServiceError","message":"it is down"}`, w.Body.String())
	assert.Equal(t, "three", read("/v1/a"), "a failed refresh drops nothing")
}

func TestPrefetch(t *testing.T) {
	s := startServices(t)
	cache := s.cache(t, map[string]string{"SECRETS_PREFETCH": "a,b"})
	s.store.Put("a", "one")
	s.store.Put("b", "two")
	require.NoError(t, cache.Prefetch(t.Context()))
	h := newTestHandler(cache, io.Discard)
	w := get(h, http.MethodGet, "/v1/b")
	assert.Contains(t, w.Body.String(), `"SecretString":"two"`)
	assert.Equal(t, []string{"BatchGetSecretValue"}, s.calls)
}

// The AWS configuration is loaded at the first read, and again if it failed.
func TestNothingIsLoadedBeforeItIsNeeded(t *testing.T) {
	loads := 0
	cache := NewCache(Config{Secrets: Service{Cached: true}}, func(context.Context) (aws.Config, error) {
		loads++
		return aws.Config{}, errors.New("broken file")
	})
	require.NoError(t, cache.Check())
	require.NoError(t, cache.Prefetch(t.Context()))
	require.Zero(t, loads)
	var log strings.Builder
	for range 2 {
		assert.Equal(t, http.StatusInternalServerError, get(newTestHandler(cache, &log), http.MethodGet, "/v1/a").Code)
	}
	assert.Equal(t, 2, loads)
	assert.Contains(t, log.String(), "load the AWS configuration: broken file")
	require.NoError(t, cache.Close())
	assert.Equal(t, http.StatusServiceUnavailable, get(newTestHandler(cache, &log), http.MethodGet, "/v1/a").Code)
}

func TestTheSDKsVariablesAreChecked(t *testing.T) {
	t.Setenv("SECRETS_CACHE_TTL", "3600")
	cache := startServices(t).cache(t, nil)
	require.ErrorContains(t, cache.Check(), "SECRETS_CACHE_TTL")
	_, err := cache.Secret(t.Context(), SecretRequest{ID: "a"})
	require.ErrorContains(t, err, "SECRETS_CACHE_TTL")
}

func TestNoConnection(t *testing.T) {
	s := startServices(t)
	cache := s.cache(t, nil)
	s.Close()
	assert.Equal(t, http.StatusBadGateway, get(newTestHandler(cache, io.Discard), http.MethodGet, "/v1/a").Code)

	slow := startServices(t)
	release := make(chan struct{})
	slow.store.BeforeCall(func(context.Context, string, string) error { <-release; return nil })
	defer close(release)
	w := get(newTestHandler(slow.cache(t, map[string]string{"SECRETS_MANAGER_TIMEOUT_MILLIS": "10"}), io.Discard), http.MethodGet, "/v1/a")
	assert.Equal(t, http.StatusGatewayTimeout, w.Code)
	assert.JSONEq(t, `{"__type":"TimeoutError","message":"Timeout"}`, w.Body.String())
}

func TestTheCacheFollowsTheFeed(t *testing.T) {
	s := startServices(t)
	cache := s.cache(t, map[string]string{"SECRETS_FEED_TABLE": "changes"})
	var clock movable
	clock.set(cache)
	h := newTestHandler(cache, io.Discard)
	s.store.Put("a", "one")
	require.Contains(t, get(h, http.MethodGet, "/v1/a").Body.String(), `"SecretString":"one"`)
	s.store.Put("a", "two")
	require.Contains(t, get(h, http.MethodGet, "/v1/a").Body.String(), `"SecretString":"one"`)
	clock.advance(time.Minute + 2*time.Second) // after a freeze, it asks the feed first
	assert.Contains(t, get(h, http.MethodGet, "/v1/a").Body.String(), `"SecretString":"two"`)
	assert.Equal(t, []string{"GetSecretValue", "Query", "GetSecretValue"}, s.calls)
}

func TestTheTTLIsAWSs(t *testing.T) {
	s := startServices(t)
	cache := s.cache(t, map[string]string{"SECRETS_MANAGER_TTL": "100", "SSM_PARAMETER_STORE_TTL": "1000"})
	var clock movable
	clock.set(cache)
	h := newTestHandler(cache, io.Discard)
	s.store.Put("a", "one")
	read := func() {
		assert.Equal(t, http.StatusOK, get(h, http.MethodGet, "/v1/a").Code)
		assert.Equal(t, http.StatusOK, get(h, http.MethodGet, "/systemsmanager/parameters/get?name=p").Code)
	}
	read()
	clock.advance(101 * time.Second)
	read()
	clock.advance(700 * time.Second)
	read()
	assert.Equal(t, []string{"GetSecretValue", "GetParameter", "GetSecretValue", "GetSecretValue"}, s.calls)
	s.fail(http.StatusServiceUnavailable)
	clock.advance(10 * time.Hour)
	read()
}

// broken panics in every call.
type broken struct{}

func (broken) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	panic("the-value")
}

func (broken) BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error) {
	panic("the-value")
}

func (broken) GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	panic("the-value")
}

// The SDK calls AWS in goroutines of its own, where a panic would end the
// process and with it the function.
func TestAPanicInACallEndsTheRequestOnly(t *testing.T) {
	reader := func(api secrets.API) *secrets.Client {
		client, err := secrets.New(t.Context(), secrets.WithAPI(func(string) secrets.API { return api }))
		require.NoError(t, err)
		return client
	}
	cache := NewCache(Config{Prefetch: []string{"a", "b"}}, nil)
	cache.readers = &readers{secrets: reader(bodies{broken{}}), parameters: reader(parameters{broken{}})}
	var log strings.Builder
	h := newTestHandler(cache, &log)
	for _, path := range []string{"/v1/a", "/v1/a?refreshNow=1", "/v1/a?refreshNow=1&versionStage=b", "/systemsmanager/parameters/get?name=p"} {
		assert.Equal(t, http.StatusInternalServerError, get(h, http.MethodGet, path).Code)
	}
	require.Error(t, cache.Prefetch(t.Context()))
	assert.Contains(t, log.String(), "panic (string)")
	assert.NotContains(t, log.String(), "the-value")
	require.NoError(t, cache.Close())
}

// A hit over HTTP, from the handler on.
func BenchmarkHit(b *testing.B) {
	store := secretstest.New()
	store.Put("a", strings.Repeat("x", 200))
	client, err := secrets.New(context.Background(), secrets.WithRegion(secretstest.Region), secrets.WithAPI(func(region string) secrets.API { return bodies{store.API(region)} }))
	require.NoError(b, err)
	cache := NewCache(Config{}, nil)
	cache.readers = &readers{secrets: client, parameters: client}
	server := httptest.NewServer(func() http.Handler {
		h := NewHandler(cache, testToken, slog.New(slog.DiscardHandler))
		h.Ready()
		return h
	}())
	defer server.Close()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/v1/a", nil)
	require.NoError(b, err)
	request.Header.Set("X-Aws-Parameters-Secrets-Token", testToken)
	for b.Loop() {
		response, err := server.Client().Do(request)
		if err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}
