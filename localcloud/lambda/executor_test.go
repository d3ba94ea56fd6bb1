package lambda_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/lambda"
)

// buildDir is where built builds; TestMain removes it.
var buildDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if code := os.Getenv(victimCode); code != "" {
		buildDir = filepath.Dir(code) // where its parent built
		victim(code)
	}
	dir, err := os.MkdirTemp("", "lambda-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	buildDir = dir
	return m.Run()
}

// built is the folder with the programs of testdata, one folder each.
var built = sync.OnceValue(func() string {
	for _, b := range []struct{ source, target, arch string }{
		{"function", "function/bootstrap", runtime.GOARCH},
		{"extension", "layer/extensions/recorder", runtime.GOARCH},
		{"extension", "other/bootstrap", otherArch()},
	} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(buildDir, b.target), "./testdata/"+b.source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("build %s: %v\n%s", b.source, err, out))
		}
	}
	if err := os.WriteFile(filepath.Join(buildDir, "layer/data.txt"), []byte("from a layer"), 0o600); err != nil {
		panic(err)
	}
	return buildDir
})

func otherArch() string {
	if runtime.GOARCH == "arm64" {
		return "amd64"
	}
	return "arm64"
}

func lambdaArch(goarch string) string {
	if goarch == "amd64" {
		return "x86_64"
	}
	return goarch
}

// host is an executor and what it told its cloud.
type host struct {
	*lambda.Executor
	background sync.WaitGroup

	mu   sync.Mutex
	keys int
	now  time.Time
	logs map[string][]string // by stream
}

func newHost(t *testing.T) *host {
	h := &host{logs: map[string][]string{}, now: time.Now()}
	h.Executor = lambda.NewExecutor(lambda.Config{
		Dir:      t.TempDir(),
		Endpoint: func() string { return "http://127.0.0.1:4566" },
		Now: func() time.Time {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.now
		},
		Go: func(f func()) { h.background.Go(f) },
		Credentials: func(context.Context, lambda.Function) (lambda.Credentials, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.keys++
			return lambda.Credentials{
				AccessKeyID: fmt.Sprintf("ASIA%d", h.keys), SecretAccessKey: "secret", SessionToken: "token",
				Expiration: h.now.Add(time.Hour),
			}, nil
		},
		Log: func(_ lambda.Function, stream string, lines []string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.logs[stream] = append(h.logs[stream], lines...)
		},
	})
	t.Cleanup(func() {
		h.background.Wait()
		require.NoError(t, h.Close())
	})
	return h
}

// log is all that was logged, when there is one stream.
func (h *host) log(t *testing.T) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Len(t, h.logs, 1)
	for _, lines := range h.logs {
		return lines
	}
	return nil
}

func function() lambda.Function {
	return lambda.Function{
		Name: "worker", Version: "$LATEST", Account: "123456789012", Region: "us-east-1",
		Handler: "bootstrap", Memory: 128, Timeout: time.Minute, Architecture: lambdaArch(runtime.GOARCH),
		Variables: map[string]string{"COLOUR": "green"},
		Code:      filepath.Join(built(), "function"),
		LogGroup:  "/aws/lambda/worker",
	}
}

type reply struct {
	Value, RequestID, ARN string
	PID                   int
	Env                   map[string]string
	ErrorType             string `json:"errorType"`
	ErrorMessage          string `json:"errorMessage"`
}

var requests struct {
	sync.Mutex
	n int
}

// outcome is an invocation that has ended.
type outcome struct {
	result lambda.Result
	err    error
	id     string
}

// start invokes in the background.
func start(t *testing.T, p *lambda.Pool, do, value string) <-chan outcome {
	t.Helper()
	requests.Lock()
	requests.n++
	id := fmt.Sprintf("request-%d", requests.n)
	requests.Unlock()
	payload, err := json.Marshal(map[string]string{"Do": do, "Value": value})
	require.NoError(t, err)
	done := make(chan outcome, 1)
	go func() {
		result, err := p.Invoke(t.Context(), lambda.Invocation{
			RequestID: id, ARN: "arn:aws:lambda:us-east-1:123456789012:function:worker", Payload: payload,
		})
		done <- outcome{result, err, id}
	}()
	return done
}

func decode(t *testing.T, o outcome) reply {
	t.Helper()
	require.NoError(t, o.err)
	var r reply
	require.NoError(t, json.Unmarshal(o.result.Payload, &r), "%s", o.result.Payload)
	return r
}

func invoke(t *testing.T, p *lambda.Pool, do, value string) (lambda.Result, reply, string) {
	t.Helper()
	o := <-start(t, p, do, value)
	return o.result, decode(t, o), o.id
}

func TestResultAndReuse(t *testing.T) {
	p := newHost(t).NewPool(function())
	result, first, id := invoke(t, p, "echo", "hello")
	assert.Empty(t, result.FunctionError)
	assert.Equal(t, "hello", first.Value)
	assert.Equal(t, id, first.RequestID)
	assert.Equal(t, "arn:aws:lambda:us-east-1:123456789012:function:worker", first.ARN)

	_, second, _ := invoke(t, p, "echo", "again")
	assert.Equal(t, first.PID, second.PID, "the environment is used again")
}

func TestVariables(t *testing.T) {
	p := newHost(t).NewPool(function())
	_, r, _ := invoke(t, p, "env", "")
	for name, want := range map[string]string{
		"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_REGION": "us-east-1", "_HANDLER": "bootstrap",
		"AWS_LAMBDA_FUNCTION_NAME": "worker", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/worker",
		"AWS_ACCESS_KEY_ID": "ASIA1", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"COLOUR": "green", "TZ": ":UTC", "LAMBDA_TASK_ROOT": filepath.Join(built(), "function"),
	} {
		assert.Equal(t, want, r.Env[name], name)
	}
	assert.NotContains(t, r.Env, "HOME", "nothing of the emulator's own environment")
}

func TestFunctionErrors(t *testing.T) {
	tests := map[string]struct {
		do, value       string
		errType, errMsg string // %s is the request's ID
		same            bool   // the environment lives on
	}{
		"error":     {"error", "no such user", "errorString", "no such user", true},
		"panic":     {"panic", "at the disco", "string", "at the disco", false},
		"exit":      {"exit", "", "Runtime.ExitError", "RequestId: %s Error: Runtime exited with error: exit status 7", false},
		"kill":      {"kill", "", "Runtime.ExitError", "RequestId: %s Error: Runtime exited with error: signal: killed", false},
		"too large": {"big", "", "Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newHost(t).NewPool(function())
			_, before, _ := invoke(t, p, "echo", "")
			result, r, id := invoke(t, p, tt.do, tt.value)
			assert.Equal(t, "Unhandled", result.FunctionError)
			assert.Equal(t, tt.errType, r.ErrorType)
			assert.Equal(t, strings.ReplaceAll(tt.errMsg, "%s", id), r.ErrorMessage)

			result, after, _ := invoke(t, p, "echo", "fine")
			assert.Empty(t, result.FunctionError)
			assert.Equal(t, tt.same, before.PID == after.PID)
		})
	}
}

func TestTimeoutKillsTheEnvironment(t *testing.T) {
	f := function()
	f.Timeout = 3 * time.Second // time enough for an echo
	h := newHost(t)
	p := h.NewPool(f)
	_, before, _ := invoke(t, p, "echo", "")
	result, r, id := invoke(t, p, "hang", "")
	assert.Equal(t, "Unhandled", result.FunctionError)
	assert.Equal(t, "Sandbox.Timedout", r.ErrorType)
	assert.Equal(t, "RequestId: "+id+" Error: Task timed out after 3.00 seconds", r.ErrorMessage)
	assert.ErrorIs(t, syscall.Kill(before.PID, 0), syscall.ESRCH, "the process is gone")
	lines := h.log(t)
	assert.Contains(t, lines[len(lines)-1], "\tStatus: timeout")
}

func TestInitErrors(t *testing.T) {
	t.Run("panic", func(t *testing.T) {
		f := function()
		f.Variables = map[string]string{"INIT": "panic"}
		result, r, _ := invoke(t, newHost(t).NewPool(f), "echo", "")
		assert.Equal(t, "Unhandled", result.FunctionError)
		assert.Equal(t, "Runtime.ExitError", r.ErrorType)
		assert.Contains(t, r.ErrorMessage, "Runtime exited with error: exit status 2")
		assert.Contains(t, string(result.Tail), "START")
	})
	t.Run("exit", func(t *testing.T) {
		f := function()
		f.Variables = map[string]string{"INIT": "exit"}
		_, r, _ := invoke(t, newHost(t).NewPool(f), "echo", "")
		assert.Contains(t, r.ErrorMessage, "Runtime exited with error: exit status 3")
	})
	t.Run("reported", func(t *testing.T) {
		f := function()
		f.Code = t.TempDir()
		script := "#!/bin/sh\nbody='{\"errorType\":\"Config.Missing\",\"errorMessage\":\"no table\"}'\n" +
			`exec 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}` + "\n" +
			`printf 'POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s' ${#body} "$body" >&3` + "\n" +
			"read -r line <&3\nexit 1\n"
		script = strings.Replace(script, "/bin/sh", "/bin/bash", 1)
		require.NoError(t, os.WriteFile(filepath.Join(f.Code, "bootstrap"), []byte(script), 0o755))
		result, r, _ := invoke(t, newHost(t).NewPool(f), "echo", "")
		assert.Equal(t, "Unhandled", result.FunctionError)
		assert.Equal(t, "Config.Missing", r.ErrorType)
		assert.Equal(t, "no table", r.ErrorMessage)
	})
}

func TestInvalidEntrypoint(t *testing.T) {
	otherFunction := function()
	otherFunction.Code = filepath.Join(built(), "other")
	wrongMachine := otherFunction
	wrongMachine.Architecture = lambdaArch(otherArch())
	missing := function()
	missing.Code = t.TempDir()
	notExecutable := function()
	notExecutable.Code = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(notExecutable.Code, "bootstrap"), []byte("#!/bin/sh\n"), 0o644))

	for name, tt := range map[string]struct {
		f    lambda.Function
		want string
	}{
		"not what the function declares": {otherFunction, "exec format error (the binary is for " + lambdaArch(otherArch())},
		"not this machine's":             {wrongMachine, "the emulator runs on " + lambdaArch(runtime.GOARCH)},
		"missing":                        {missing, "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
		"not executable":                 {notExecutable, "fork/exec /var/task/bootstrap: permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			result, r, _ := invoke(t, newHost(t).NewPool(tt.f), "echo", "")
			assert.Equal(t, "Unhandled", result.FunctionError)
			assert.Equal(t, "Runtime.InvalidEntrypoint", r.ErrorType)
			assert.Contains(t, r.ErrorMessage, tt.want)
		})
	}
}

func TestFreeze(t *testing.T) {
	h := newHost(t)
	p, other := h.NewPool(function()), h.NewPool(function())
	path := filepath.Join(t.TempDir(), "counter")
	require.NoError(t, os.WriteFile(path, make([]byte, 8), 0o600))
	count := func() uint64 {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return binary.NativeEndian.Uint64(b)
	}

	invoke(t, p, "count", path)
	frozen := count()
	require.Positive(t, frozen)
	for range 3 { // time passes
		invoke(t, other, "echo", "")
	}
	assert.Equal(t, frozen, count(), "the background goroutine doesn't run between invocations")
	for range 1000 { // the scheduler decides how soon the goroutine gets its turn
		if invoke(t, p, "echo", ""); count() > frozen {
			break
		}
	}
	assert.Greater(t, count(), frozen, "it goes on with the next invocations")
}

func TestConcurrency(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer server.Close()
	p := newHost(t).NewPool(function())
	first, second := start(t, p, "get", server.URL), start(t, p, "get", server.URL)
	<-arrived
	<-arrived // both run now
	close(release)
	a, b := decode(t, <-first).PID, decode(t, <-second).PID
	assert.NotEqual(t, a, b)

	_, r, _ := invoke(t, p, "echo", "")
	assert.Contains(t, []int{a, b}, r.PID, "one of the two is used again")
}

func TestExtension(t *testing.T) {
	h := newHost(t)
	f := function()
	f.Layers = filepath.Join(built(), "layer")
	record := filepath.Join(t.TempDir(), "events")
	f.Variables = map[string]string{"EXTENSION_LOG": record}
	p := h.NewPool(f)

	_, r, first := invoke(t, p, "env", "")
	path := "/opt/data.txt"
	if root := r.Env["LAMBDA_LAYER_ROOT"]; root != "" {
		path = filepath.Join(root, "data.txt")
	}
	_, r, second := invoke(t, p, "read", path)
	assert.Equal(t, "from a layer", r.Value)
	p.Retire()
	h.background.Wait()

	events, err := os.ReadFile(record)
	require.NoError(t, err)
	assert.Equal(t, []string{
		"registered for worker, task root ",
		"INVOKE " + first,
		"INVOKE " + second,
		"SHUTDOWN  spindown",
	}, strings.Split(strings.TrimSpace(string(events)), "\n"))
	assert.Contains(t, h.log(t), "EXTENSION\tName: recorder\tState: Ready\tEvents: [INVOKE, SHUTDOWN]")
	assert.Contains(t, h.log(t), "extension: INVOKE "+first)
}

func TestExtensionThatCrashes(t *testing.T) {
	f := function()
	f.Layers = filepath.Join(built(), "layer")
	f.Variables = map[string]string{"EXTENSION_CRASH": "1"}
	result, r, id := invoke(t, newHost(t).NewPool(f), "echo", "")
	assert.Equal(t, "Unhandled", result.FunctionError)
	assert.Equal(t, "Extension.Crash", r.ErrorType)
	assert.Equal(t, "RequestId: "+id+" Error: extension recorder exited: exit status 9", r.ErrorMessage)
}

// An extension that is killed while the function answers ends the environment
// with that invocation, and not with the next one.
func TestExtensionThatIsKilledInAnInvocation(t *testing.T) {
	f := function()
	f.Layers = filepath.Join(built(), "layer")
	pid := filepath.Join(t.TempDir(), "pid")
	f.Variables = map[string]string{"EXTENSION_PID": pid, "EXTENSION_LOG": filepath.Join(t.TempDir(), "events")}
	p := newHost(t).NewPool(f)
	for range 10 { // the scheduler decides who hears of it first
		victim, err := os.ReadFile(pid)
		if err != nil {
			invoke(t, p, "echo", "")
			continue
		}
		result, before, _ := invoke(t, p, "kill-process", string(victim))
		require.Empty(t, result.FunctionError, before.ErrorMessage)
		result, after, _ := invoke(t, p, "echo", "fine")
		require.Empty(t, result.FunctionError, after.ErrorMessage)
		require.NotEqual(t, before.PID, after.PID, "a new environment")
	}
}

func TestLogs(t *testing.T) {
	h := newHost(t)
	p := h.NewPool(function())
	result, _, id := invoke(t, p, "print", "to standard output")
	lines := h.log(t)
	require.Len(t, lines, 5)
	assert.Equal(t, "START RequestId: "+id+" Version: $LATEST", lines[0])
	assert.Equal(t, []string{"to standard output", "no newline"}, lines[1:3])
	assert.Equal(t, "END RequestId: "+id, lines[3])
	assert.Regexp(t, "^REPORT RequestId: "+id+"\tDuration: [0-9.]+ ms\tBilled Duration: [0-9]+ ms\tMemory Size: 128 MB\tMax Memory Used: [1-9][0-9]* MB\tInit Duration: [0-9.]+ ms$", lines[4])
	assert.Equal(t, strings.Join(lines, "\n")+"\n", string(result.Tail))
	for stream := range h.logs {
		assert.Regexp(t, `^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`, stream)
	}
}

func TestCrash(t *testing.T) {
	h := newHost(t)
	p := h.NewPool(function())
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		h.Crash("ASIA2") // nobody's
		h.Crash("ASIA1")
	}))
	defer server.Close()
	result, r, id := invoke(t, p, "get", server.URL)
	assert.Equal(t, "Unhandled", result.FunctionError)
	assert.Equal(t, "Runtime.ExitError", r.ErrorType)
	assert.Equal(t, "RequestId: "+id+" Error: Runtime exited with error: signal: killed", r.ErrorMessage)
}

func TestExpiredCredentialsEndAnEnvironment(t *testing.T) {
	h := newHost(t)
	p := h.NewPool(function())
	_, before, _ := invoke(t, p, "echo", "")
	h.mu.Lock()
	h.now = h.now.Add(2 * time.Hour)
	h.mu.Unlock()
	_, after, _ := invoke(t, p, "echo", "")
	assert.NotEqual(t, before.PID, after.PID)
	h.background.Wait()
	assert.ErrorIs(t, syscall.Kill(before.PID, 0), syscall.ESRCH)
}

func TestCloseLeavesNoProcess(t *testing.T) {
	h := newHost(t)
	p := h.NewPool(function())
	_, idle, _ := invoke(t, p, "echo", "")
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	defer server.Close()
	running := start(t, p, "get", server.URL)
	<-arrived
	require.NoError(t, h.Close())
	assert.Contains(t, decode(t, <-running).ErrorMessage, "signal: killed")
	assert.ErrorIs(t, syscall.Kill(idle.PID, 0), syscall.ESRCH)
	_, err := p.Invoke(t.Context(), lambda.Invocation{RequestID: "late", Payload: []byte("{}")})
	assert.ErrorIs(t, err, lambda.ErrClosed)
}
