//go:build linux

package integration_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rieProgram builds AWS's Runtime Interface Emulator once, the one that
// tools/rie pins.
var rieProgram = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "rie-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rie")
	cmd := exec.Command("go", "build", "-o", path, "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie")
	cmd.Dir = filepath.Join("..", "..", "tools", "rie")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// rie is the Runtime Interface Emulator with a function and the layer, in a
// mount namespace where /opt is the layer.
type rie struct {
	*cloud
	process *exec.Cmd
	url     string

	mu  sync.Mutex
	out bytes.Buffer
}

func (r *rie) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(b)
}

func (r *rie) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.String()
}

// startRIE starts the emulator. The local cloud only answers the calls to AWS.
func startRIE(t *testing.T, bootstrap string, variables ...string) *rie {
	t.Helper()
	probe := exec.CommandContext(t.Context(), "/bin/sh", "-c", `mount --bind "$0" /opt`, t.TempDir())
	probe.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("a layer can't be mounted on /opt here (it takes root and mount namespaces): %v %s", err, out)
	}
	built, err := programs()
	require.NoError(t, err)
	emulator, err := rieProgram()
	require.NoError(t, err)
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"rie": emulator, "task/bootstrap": built[bootstrap], "opt/extensions/" + extensionName: built[extensionName],
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o700))
	}

	r := &rie{cloud: startCloud(t)}
	credentials, err := sts.NewFromConfig(r.Config(primary)).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String(r.role(t, `{"AWS":"`+r.Account()+`"}`)), RoleSessionName: aws.String("rie"),
	})
	require.NoError(t, err)
	port, api := freePort(t), freePort(t)
	r.url = "http://127.0.0.1:" + port + "/2015-03-31/functions/function/invocations"
	r.process = exec.Command("/bin/sh", "-c", `mount --bind "$0" /opt && exec "$@"`, filepath.Join(dir, "opt"),
		filepath.Join(dir, "rie"), "--runtime-interface-emulator-address", "127.0.0.1:"+port, "--runtime-api-address", "127.0.0.1:"+api,
		filepath.Join(dir, "task", "bootstrap"))
	r.process.Dir = filepath.Join(dir, "task")
	r.process.Env = append([]string{
		"PATH=/usr/bin:/bin", "AWS_REGION=" + primary, "AWS_ENDPOINT_URL=" + r.URL(), "AWS_LAMBDA_FUNCTION_TIMEOUT=30",
		"AWS_ACCESS_KEY_ID=" + *credentials.Credentials.AccessKeyId, "AWS_SECRET_ACCESS_KEY=" + *credentials.Credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN=" + *credentials.Credentials.SessionToken,
		"PARAMETERS_SECRETS_EXTENSION_HTTP_PORT=" + freePort(t), "PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL=debug",
	}, variables...)
	r.process.Stdout, r.process.Stderr = r, r
	r.process.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, r.process.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-r.process.Process.Pid, syscall.SIGKILL)
		_ = r.process.Wait()
		if t.Failed() {
			t.Log(r.log())
		}
	})
	return r
}

// invoke returns the body of the answer: RIE answers errors with 200, too. Two
// invocations at once would end it.
func (r *rie) invoke(t *testing.T, e any) string {
	t.Helper()
	payload, err := json.Marshal(e)
	require.NoError(t, err)
	var body []byte
	require.Eventually(t, func() bool { // until it listens
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, bytes.NewReader(payload))
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err = io.ReadAll(response.Body)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	return string(body)
}

func (r *rie) read(t *testing.T, path string) string {
	t.Helper()
	body := r.invoke(t, event{Path: path})
	var got answer
	require.NoError(t, json.Unmarshal([]byte(body), &got), body)
	return value(t, got)
}

// AWS's emulator agrees with the layer about the Extensions API: it registers,
// serves, and ends when it is told to.
func TestTheLayerUnderAWSsEmulator(t *testing.T) {
	r := startRIE(t, "bootstrap")
	assert.Equal(t, "one", r.read(t, secretPath))
	r.put(t, "two")
	assert.Equal(t, "one", r.read(t, secretPath), "from the cache")
	assert.Equal(t, "two", r.read(t, secretPath+"&refreshNow=true"))
	assert.NotContains(t, r.log(), `"level":"ERROR"`)

	require.NoError(t, r.process.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return strings.Contains(r.log(), `"msg":"shutting down"`) }, time.Minute, 10*time.Millisecond)
}

// When the layer is killed, Lambda ends the invocation with Extension.Crash, and
// the next one runs in a new environment.
func TestAWSsEmulatorOutlivesTheLayer(t *testing.T) {
	r := startRIE(t, "bootstrap")
	require.Equal(t, "one", r.read(t, secretPath))
	assert.Contains(t, r.invoke(t, event{Path: secretPath, Kill: extensionName}), `"errorType":"Extension.Crash"`)
	assert.Equal(t, "one", r.read(t, secretPath))
}

// Another program has the port: the layer reports it, and the Init fails.
func TestAWSsEmulatorHearsThatThePortIsTaken(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	r := startRIE(t, "bootstrap", "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT="+port)
	r.invoke(t, event{Path: secretPath}) // which RIE has no answer for
	assert.Contains(t, r.log(), "First fatal error stored in appctx: Extension.InitError")
	assert.Contains(t, r.log(), "listen for the function")
}

// A rotator is a function as AWS's emulator knows them, and tells what is wrong
// with an event.
func TestARotatorUnderAWSsEmulator(t *testing.T) {
	r := startRIE(t, "rotate-custom")
	body := r.invoke(t, map[string]string{"Step": "explodeSecret"})
	assert.Contains(t, body, `"errorMessage":`)
	assert.Contains(t, body, "explodeSecret")
	assert.Contains(t, body, "none of createSecret, setSecret, testSecret, finishSecret")
	assert.Contains(t, r.invoke(t, map[string]string{"Step": "setSecret", "SecretId": secretName}), "ClientRequestToken is missing")
}
