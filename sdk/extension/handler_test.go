package extension

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testToken = "the-token"

// fakeSource answers with what it was asked for.
type fakeSource struct {
	err   error
	panic any
	wait  chan struct{} // nil: don't
	asked chan any      // nil: nobody cares
}

func (f *fakeSource) Secret(_ context.Context, r SecretRequest) ([]byte, error) {
	return f.answer(r, "secret "+r.ID+" "+r.Version+" "+r.Stage, r.Refresh)
}

func (f *fakeSource) Parameter(_ context.Context, r ParameterRequest) ([]byte, error) {
	text := "parameter " + r.Name + " " + r.Version + " " + r.Label
	if r.Decrypt {
		text += " decrypted"
	}
	return f.answer(r, text, r.Refresh)
}

func (f *fakeSource) answer(r any, text string, refresh bool) ([]byte, error) {
	if f.asked != nil {
		f.asked <- r
	}
	if f.wait != nil {
		<-f.wait
	}
	if f.panic != nil {
		panic(f.panic)
	}
	if refresh {
		text += " refreshed"
	}
	return []byte(text), f.err
}

func newTestHandler(from source, log io.Writer) *Handler {
	h := NewHandler(from, testToken, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	h.Ready()
	return h
}

// get asks the handler with the token, and the headers on top of it.
func get(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, target, nil)
	r.Header.Set("X-Aws-Parameters-Secrets-Token", testToken)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The protocol, one row a rule.
func TestProtocol(t *testing.T) {
	const wrong, tokenHeader = "wrong", "X-Aws-Parameters-Secrets-Token"
	for rule, tt := range map[string]struct {
		method, target string
		headers        []string
		status         int
		body           string
	}{
		"ping":                          {target: "/ping", status: 200, body: "healthy"},
		"ping needs no token":           {target: "/ping", headers: []string{tokenHeader, wrong}, status: 200, body: "healthy"},
		"ping may be forwarded":         {target: "/ping", headers: []string{"X-Forwarded-For", "1.2.3.4"}, status: 200, body: "healthy"},
		"ping is a GET":                 {method: "POST", target: "/ping", status: 405, body: "Not allowed"},
		"the other token header":        {target: "/secretsmanager/get?secretId=a", headers: []string{tokenHeader, "", "X-Vault-Token", testToken}, status: 200, body: "secret a  "},
		"one right token is enough":     {target: "/secretsmanager/get?secretId=a", headers: []string{tokenHeader, wrong, "X-Vault-Token", testToken}, status: 200, body: "secret a  "},
		"wrong token":                   {target: "/secretsmanager/get?secretId=a", headers: []string{tokenHeader, wrong}, status: 403, body: "Bad Token"},
		"no token":                      {target: "/secretsmanager/get?secretId=a", headers: []string{tokenHeader, ""}, status: 403, body: "Bad Token"},
		"a token that begins right":     {target: "/secretsmanager/get?secretId=a", headers: []string{tokenHeader, testToken + "x"}, status: 403, body: "Bad Token"},
		"forwarded":                     {target: "/secretsmanager/get?secretId=a", headers: []string{"X-Forwarded-For", "1.2.3.4"}, status: 400, body: "Forwarded"},
		"forwarded before token":        {target: "/secretsmanager/get?secretId=a", headers: []string{"X-Forwarded-For", "", tokenHeader, wrong}, status: 400, body: "Forwarded"},
		"token before method":           {method: "POST", target: "/secretsmanager/get?secretId=a", headers: []string{tokenHeader, wrong}, status: 403, body: "Bad Token"},
		"token before route":            {target: "/nothing", headers: []string{tokenHeader, wrong}, status: 403, body: "Bad Token"},
		"method":                        {method: "PUT", target: "/secretsmanager/get?secretId=a", status: 405, body: "Not allowed"},
		"HEAD is no GET":                {method: "HEAD", target: "/secretsmanager/get?secretId=a", status: 405, body: "Not allowed"},
		"method before route":           {method: "DELETE", target: "/nothing", status: 405, body: "Not allowed"},
		"route":                         {target: "/nothing", status: 404, body: "Not found"},
		"root":                          {target: "/", status: 404, body: "Not found"},
		"another version of the path":   {target: "/v2/a", status: 404, body: "Not found"},
		"below a route":                 {target: "/secretsmanager/get/a", status: 404, body: "Not found"},
		"secret":                        {target: "/secretsmanager/get?secretId=acme%2Fdev%2Fa%2Bb", status: 200, body: "secret acme/dev/a+b  "},
		"secret by ARN":                 {target: "/secretsmanager/get?secretId=arn:aws:secretsmanager:us-east-1:1:secret:a-bcdefg", status: 200, body: "secret arn:aws:secretsmanager:us-east-1:1:secret:a-bcdefg  "},
		"version":                       {target: "/secretsmanager/get?secretId=a&versionId=v1", status: 200, body: "secret a v1 "},
		"stage":                         {target: "/secretsmanager/get?secretId=a&versionStage=AWSPREVIOUS", status: 200, body: "secret a  AWSPREVIOUS"},
		"version and stage":             {target: "/secretsmanager/get?secretId=a&versionStage=S&versionId=v", status: 200, body: "secret a v S"},
		"the last one counts":           {target: "/secretsmanager/get?secretId=a&secretId=b", status: 200, body: "secret b  "},
		"refreshNow true":               {target: "/secretsmanager/get?secretId=a&refreshNow=true", status: 200, body: "secret a   refreshed"},
		"refreshNow 1":                  {target: "/secretsmanager/get?secretId=a&refreshNow=1", status: 200, body: "secret a   refreshed"},
		"refreshNow in capitals":        {target: "/secretsmanager/get?secretId=a&refreshNow=TRUE", status: 200, body: "secret a   refreshed"},
		"refreshNow false":              {target: "/secretsmanager/get?secretId=a&refreshNow=false", status: 200, body: "secret a  "},
		"refreshNow 0":                  {target: "/secretsmanager/get?secretId=a&refreshNow=0", status: 200, body: "secret a  "},
		"refreshNow of something else":  {target: "/secretsmanager/get?secretId=a&refreshNow=yes", status: 400, body: "invalid refreshNow value"},
		"refreshNow of nothing":         {target: "/secretsmanager/get?secretId=a&refreshNow=", status: 400, body: "invalid refreshNow value"},
		"no secret ID":                  {target: "/secretsmanager/get", status: 400, body: "missing parameter secretId"},
		"empty secret ID":               {target: "/secretsmanager/get?secretId=", status: 400, body: "empty parameter: secretId"},
		"empty stage":                   {target: "/secretsmanager/get?secretId=a&versionStage=", status: 400, body: "empty parameter: versionStage"},
		"unknown parameter":             {target: "/secretsmanager/get?secretId=a&colour=red", status: 400, body: "unknown parameter: colour"},
		"parameters are case-sensitive": {target: "/secretsmanager/get?secretid=a", status: 400, body: "unknown parameter: secretid"},
		"roleArn isn't supported":       {target: "/secretsmanager/get?secretId=a&roleArn=r", status: 400, body: "unknown parameter: roleArn"},
		"malformed query":               {target: "/secretsmanager/get?secretId=%zz", status: 400, body: "malformed query"},
		"semicolons":                    {target: "/secretsmanager/get?secretId=a;versionId=b", status: 400, body: "malformed query"},
		"path":                          {target: "/v1/acme/dev/shop/db?versionStage=S&versionId=v&refreshNow=1", status: 200, body: "secret acme/dev/shop/db v S refreshed"},
		"path with an escape":           {target: "/v1/acme%2Fdev", status: 200, body: "secret acme/dev  "},
		"path without an ID":            {target: "/v1/", status: 400, body: "missing secret ID"},
		"path and secretId":             {target: "/v1/a?secretId=b", status: 400, body: "unknown parameter: secretId"},
		"parameter":                     {target: "/systemsmanager/parameters/get?name=%2Fshop%2Fa", status: 200, body: "parameter /shop/a  "},
		"parameter with a slash":        {target: "/systemsmanager/parameters/get/?name=a&withDecryption=true", status: 200, body: "parameter a   decrypted"},
		"parameter's version":           {target: "/systemsmanager/parameters/get?name=a&version=3", status: 200, body: "parameter a 3 "},
		"parameter's version is number": {target: "/systemsmanager/parameters/get?name=a&version=x", status: 400, body: "invalid version value"},
		"parameter's label":             {target: "/systemsmanager/parameters/get?name=a&label=x&refreshNow=true", status: 200, body: "parameter a  x refreshed"},
		"version and label":             {target: "/systemsmanager/parameters/get?name=a&label=x&version=1", status: 400, body: "version and label exclude each other"},
		"no name":                       {target: "/systemsmanager/parameters/get", status: 400, body: "missing parameter name"},
		"withDecryption":                {target: "/systemsmanager/parameters/get?name=a&withDecryption=x", status: 400, body: "invalid withDecryption value"},
		"parameter's unknown parameter": {target: "/systemsmanager/parameters/get?name=a&secretId=x", status: 400, body: "unknown parameter: secretId"},
	} {
		t.Run(rule, func(t *testing.T) {
			if tt.method == "" {
				tt.method = http.MethodGet
			}
			w := get(newTestHandler(&fakeSource{}, io.Discard), tt.method, tt.target, tt.headers...)
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.body, w.Body.String())
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			if tt.status != 200 {
				assert.Contains(t, w.Header().Get("Content-Type"), "text/plain")
			}
		})
	}
}

func TestErrorsOfAWSKeepTheirForm(t *testing.T) {
	quoted := &smithy.GenericAPIError{Code: `Odd"Code`, Message: "a \"quoted\"\nmessage \\ with <tags>"}
	w := get(newTestHandler(&fakeSource{err: quoted}, io.Discard), http.MethodGet, "/v1/a")
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.JSONEq(t, `{"__type":"Odd\"Code","message":"a \"quoted\"\nmessage \\ with \u003ctags\u003e"}`, w.Body.String())

	for err, want := range map[error]int{
		context.DeadlineExceeded:                            http.StatusGatewayTimeout,
		&url.Error{Op: "Post", Err: errors.New("no route")}: http.StatusBadGateway,
		errors.New("something else"):                        http.StatusInternalServerError,
	} {
		w := get(newTestHandler(&fakeSource{err: err}, io.Discard), http.MethodGet, "/v1/a")
		assert.Equal(t, want, w.Code, err.Error())
		assert.Contains(t, w.Body.String(), `{"__type":"`)
	}
}

func TestAPanicEndsTheRequestOnly(t *testing.T) {
	var log strings.Builder
	from := &fakeSource{panic: "the-value"}
	h := newTestHandler(from, &log)
	w := get(h, http.MethodGet, "/v1/a")
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.NotContains(t, w.Body.String()+log.String(), "the-value")
	assert.Contains(t, log.String(), "panic in a request")
	from.panic = nil
	assert.Equal(t, http.StatusOK, get(h, http.MethodGet, "/v1/a").Code)
	assert.Zero(t, h.active.Load())
}

func TestConnectionLimitComesFirst(t *testing.T) {
	from := &fakeSource{wait: make(chan struct{}), asked: make(chan any)}
	h := newTestHandler(from, io.Discard)
	h.limit = 2
	done := make(chan int)
	for range 2 {
		go func() { done <- get(h, http.MethodGet, "/v1/a").Code }()
		<-from.asked
	}
	w := get(h, http.MethodPost, "/nothing", "X-Aws-Parameters-Secrets-Token", "wrong")
	assert.Equal(t, http.StatusTooManyRequests, w.Code)
	assert.Equal(t, "Connection limit exceeded", w.Body.String())
	assert.Equal(t, http.StatusOK, get(h, http.MethodGet, "/ping").Code, "two more for pings")
	close(from.wait)
	assert.Equal(t, http.StatusOK, <-done)
	assert.Equal(t, http.StatusOK, <-done)
}

func TestNothingIsServedBeforeReady(t *testing.T) {
	h := NewHandler(&fakeSource{}, testToken, slog.New(slog.DiscardHandler))
	h.patience = time.Millisecond
	w := get(h, http.MethodGet, "/v1/a")
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Equal(t, "not ready to serve traffic, please wait", w.Body.String())
	assert.Equal(t, http.StatusOK, get(h, http.MethodGet, "/ping").Code)

	h.patience = time.Hour
	done := make(chan int)
	go func() { done <- get(h, http.MethodGet, "/v1/a").Code }()
	require.Eventually(t, func() bool { return h.active.Load() == 1 }, time.Minute, time.Millisecond)
	h.Ready()
	h.Ready()
	assert.Equal(t, http.StatusOK, <-done, "the first request waits for the first invocation")
}

func TestWithoutATokenNobodyIsServed(t *testing.T) {
	h := NewHandler(&fakeSource{}, "", slog.New(slog.DiscardHandler))
	h.Ready()
	assert.Equal(t, http.StatusForbidden, get(h, http.MethodGet, "/v1/a", "X-Aws-Parameters-Secrets-Token", "").Code)
}

func TestTheLogHoldsNeitherValuesNorTokens(t *testing.T) {
	var log strings.Builder
	h := newTestHandler(&fakeSource{}, &log)
	get(h, http.MethodGet, "/v1/the-id")
	get(h, http.MethodGet, "/v1/a", "X-Aws-Parameters-Secrets-Token", "another-token")
	assert.Contains(t, log.String(), "request served")
	assert.Contains(t, log.String(), "request failed")
	for _, secret := range []string{testToken, "another-token", "secret the-id"} {
		assert.NotContains(t, log.String(), secret)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"/secretsmanager/get?secretId=a&versionId=b&versionStage=c&refreshNow=1", "/v1/a/b?refreshNow=0", "/v1/%00",
		"/systemsmanager/parameters/get/?name=a&label=b&withDecryption=true", "/systemsmanager/parameters/get?name=a&version=2", "/secretsmanager/get?%zz;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		request, err := parse(u)
		if err != nil {
			var refused *refusal
			require.ErrorAs(t, err, &refused)
			assert.Contains(t, []int{400, 404}, refused.status)
			assert.Nil(t, request)
			return
		}
		switch r := request.(type) {
		case SecretRequest:
			assert.NotEmpty(t, r.ID)
		case ParameterRequest:
			assert.NotEmpty(t, r.Name)
			assert.True(t, r.Version == "" || r.Label == "")
		default:
			t.Errorf("%T", request)
		}
	})
}
