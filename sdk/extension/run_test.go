package extension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lambdaAPI is Lambda's Extensions API as far as one extension sees it.
type lambdaAPI struct {
	*httptest.Server
	events chan string // bodies of the next events
	atRegistration,
	atNext func() // called at each of the requests
	refuse string // path that is refused

	mu      sync.Mutex
	calls   []string
	reports []string
}

func startLambdaAPI(t *testing.T) *lambdaAPI {
	t.Helper()
	l := &lambdaAPI{events: make(chan string, 3), atRegistration: func() {}, atNext: func() {}}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *lambdaAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	l.calls = append(l.calls, r.Method+" "+r.URL.Path+" "+r.Header.Get("Lambda-Extension-Name")+r.Header.Get("Lambda-Extension-Identifier")+" "+string(body))
	l.mu.Unlock()
	switch {
	case r.URL.Path == l.refuse:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errorType":"Refused"}`)
	case r.URL.Path == "/2020-01-01/extension/register":
		l.atRegistration()
		w.Header().Set("Lambda-Extension-Identifier", "id-1")
		_, _ = io.WriteString(w, `{"functionName":"shop"}`)
	case r.URL.Path == "/2020-01-01/extension/event/next":
		l.atNext()
		select {
		case event := <-l.events:
			_, _ = io.WriteString(w, event)
		case <-r.Context().Done():
		}
	default:
		l.mu.Lock()
		l.reports = append(l.reports, r.Header.Get("Lambda-Extension-Function-Error-Type")+" "+string(body))
		l.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	}
}

// log collects a log's lines.
type log struct {
	mu    sync.Mutex
	lines []map[string]any
	wrong error
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var parsed map[string]any
	l.wrong = errors.Join(l.wrong, json.Unmarshal(line, &parsed))
	l.lines = append(l.lines, parsed)
	return len(line), nil
}

func (l *log) has(message string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if line["msg"] == message {
			return true
		}
	}
	return false
}

// freePort returns a port that nobody listens on, below those that Linux gives
// to connections by itself: one of these might be taken before it is used.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:"+port)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		return port
	}
}

func status(ctx context.Context, port, path string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+path, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("X-Aws-Parameters-Secrets-Token", testToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}

func variables(port string, more ...string) map[string]string {
	v := map[string]string{"AWS_SESSION_TOKEN": testToken, "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": port, "PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL": "debug"}
	for i := 0; i < len(more); i += 2 {
		v[more[i]] = more[i+1]
	}
	return v
}

// vault-lambda-extension#31: the function's requests came before the extension
// listened. Lambda starts the runtime after the registration.
func TestReport6VaultExtension31ItListensBeforeItRegisters(t *testing.T) {
	port := freePort(t)
	api := startLambdaAPI(t)
	listening := 0
	api.atRegistration = func() { listening, _ = status(t.Context(), port, "/ping") }
	api.events <- `{"eventType":"INVOKE","deadlineMs":1,"requestId":"r"}`
	api.events <- `{"eventType":"FUTURE"}`
	api.events <- `{"eventType":"SHUTDOWN","shutdownReason":"spindown"}`

	var lines log
	require.NoError(t, Run(t.Context(), "secrets-extension", lookupIn(variables(port, "AWS_LAMBDA_RUNTIME_API", api.Listener.Addr().String())), &lines))
	assert.Equal(t, http.StatusOK, listening)
	assert.Equal(t, []string{
		`POST /2020-01-01/extension/register secrets-extension {"events":["INVOKE","SHUTDOWN"]}`,
		"GET /2020-01-01/extension/event/next id-1 ",
		"GET /2020-01-01/extension/event/next id-1 ",
		"GET /2020-01-01/extension/event/next id-1 ",
	}, api.calls)
	assert.Empty(t, api.reports)
	_, err := status(t.Context(), port, "/ping")
	require.Error(t, err, "it doesn't listen any more")
	require.NoError(t, lines.wrong, "every line is JSON")
	assert.True(t, lines.has("unknown event"))
	assert.True(t, lines.has("shutting down"))
}

// setEnvironment makes the services those of the AWS SDK's environment.
func (s *services) setEnvironment(t *testing.T) {
	t.Helper()
	s.store.Put("a", "one")
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
}

func TestThePrefetchListIsReadOnceAfterTheFirstInvocation(t *testing.T) {
	s := startServices(t)
	s.setEnvironment(t)
	api := startLambdaAPI(t)
	api.events <- `{"eventType":"INVOKE"}`
	api.events <- `{"eventType":"INVOKE"}`
	nexts := 0
	api.atNext = func() {
		nexts++
		if nexts == 1 {
			assert.Zero(t, s.count())
		}
		if nexts == 3 {
			assert.Eventually(t, func() bool { return s.count() == 1 }, time.Minute, time.Millisecond)
			api.events <- `{"eventType":"SHUTDOWN"}`
		}
	}
	require.NoError(t, Run(t.Context(), "secrets-extension", lookupIn(variables(freePort(t), "SECRETS_PREFETCH", "a", "AWS_LAMBDA_RUNTIME_API", api.Listener.Addr().String())), io.Discard))
	assert.Equal(t, 1, s.count())
}

// vault-lambda-extension#113: a snapshot must hold nothing secret.
func TestReport5VaultExtension113NothingIsReadBeforeTheFirstInvocation(t *testing.T) {
	port := freePort(t)
	s := startServices(t)
	s.setEnvironment(t)
	api := startLambdaAPI(t)
	var (
		reads  = make(chan int, 1)
		before int
		nexts  int
	)
	api.atNext = func() {
		switch nexts++; nexts {
		case 1: // Init is over: the function asks, and nothing is known yet
			go func() {
				code, _ := status(t.Context(), port, "/v1/a")
				reads <- code
			}()
			before = s.count()
			api.events <- `{"eventType":"INVOKE"}`
		case 2:
			assert.Equal(t, http.StatusOK, <-reads)
			api.events <- `{"eventType":"SHUTDOWN"}`
		}
	}
	require.NoError(t, Run(t.Context(), "secrets-extension", lookupIn(variables(port, "AWS_LAMBDA_RUNTIME_API", api.Listener.Addr().String())), io.Discard))
	assert.Zero(t, before)
	assert.Equal(t, 1, s.count())
}

func TestAPortThatIsTakenFailsTheInit(t *testing.T) {
	port := freePort(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:"+port)
	require.NoError(t, err)
	defer listener.Close()
	api := startLambdaAPI(t)
	var lines log
	err = Run(t.Context(), "secrets-extension", lookupIn(variables(port, "AWS_LAMBDA_RUNTIME_API", api.Listener.Addr().String())), &lines)
	require.ErrorContains(t, err, "address already in use")
	require.Len(t, api.reports, 1)
	assert.Contains(t, api.reports[0], `Extension.InitError {"errorMessage":"listen for the function: `)
	assert.True(t, lines.has("stopping"))
}

func TestWhatLambdaRefusesEndsIt(t *testing.T) {
	for path, report := range map[string]string{"register": "", "event/next": "Extension.ExitError"} {
		port := freePort(t)
		api := startLambdaAPI(t)
		api.refuse = "/2020-01-01/extension/" + path
		err := Run(t.Context(), "secrets-extension", lookupIn(variables(port, "AWS_LAMBDA_RUNTIME_API", api.Listener.Addr().String())), io.Discard)
		require.ErrorContains(t, err, `status 403: {"errorType":"Refused"}`)
		assert.Contains(t, fmt.Sprint(api.reports), report)
	}
}

func TestSidecar(t *testing.T) {
	startServices(t).setEnvironment(t)
	port, dir := freePort(t), t.TempDir()
	own, made := filepath.Join(dir, "own"), filepath.Join(dir, "made")
	require.NoError(t, os.WriteFile(own, []byte(testToken+"\n"), 0o600))
	for _, tt := range []struct {
		file string
		want int
	}{{own, http.StatusOK}, {made, http.StatusForbidden}} {
		ctx, stop := context.WithCancel(t.Context())
		var (
			lines log
			done  = make(chan error)
		)
		go func() {
			done <- Run(ctx, "secrets-extension", lookupIn(variables(port, "AWS_TOKEN", "file://"+tt.file)), &lines)
		}()
		require.Eventually(t, func() bool { return lines.has("serving") }, time.Minute, time.Millisecond)
		code, err := status(t.Context(), port, "/ping")
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, code)
		code, err = status(t.Context(), port, "/v1/a")
		require.NoError(t, err)
		assert.Equal(t, tt.want, code, tt.file)
		assert.FileExists(t, tt.file)
		stop()
		require.NoError(t, <-done)
	}
	require.ErrorContains(t, Run(t.Context(), "secrets-extension", lookupIn(nil), io.Discard), "no token")
}

func TestWarningsAreLogged(t *testing.T) {
	var lines log
	require.Error(t, Run(t.Context(), "secrets-extension", lookupIn(map[string]string{"SECRETS_MANAGER_TTL": "soon"}), &lines))
	assert.True(t, lines.has("configuration"))

	var silent log
	require.Error(t, Run(t.Context(), "secrets-extension", lookupIn(map[string]string{"SECRETS_MANAGER_TTL": "soon", "PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL": "none"}), &silent))
	assert.Empty(t, silent.lines)
}
