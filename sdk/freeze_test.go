//go:build unix

package secrets_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	secrets "github.com/aistudio/secrets/sdk"
)

const frozenEndpoint = "FROZEN_PROCESS_ENDPOINT"

// TestMain is the process that TestAFreezeDoesNotUseUpTheTimeout freezes, when
// it is started as such. Else it runs the tests, after which no goroutine may be
// left.
func TestMain(m *testing.M) {
	if endpoint := os.Getenv(frozenEndpoint); endpoint != "" {
		readAndPrint(endpoint)
		return
	}
	goleak.VerifyTestMain(m)
}

func readAndPrint(endpoint string) {
	client, err := secrets.New(context.Background(), secrets.WithTimeout(2*time.Second), secrets.WithConfig(aws.Config{
		Region: primary, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "example", ""),
	}))
	if err != nil {
		_, _ = io.WriteString(os.Stdout, err.Error())
		return
	}
	text, err := client.GetString(context.Background(), name)
	if err != nil {
		text = err.Error()
	}
	_, _ = io.WriteString(os.Stdout, text)
}

// A process is frozen in the middle of a call for longer than the timeout, as
// Lambda freezes an environment between invokes, and gets its answer when it
// goes on.
func TestAFreezeDoesNotUseUpTheTimeout(t *testing.T) {
	started := make(chan *os.Process, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		process := <-started // a second call would wait here
		assert.NoError(t, process.Signal(syscall.SIGSTOP))
		time.Sleep(3 * time.Second) // the freeze, which has to take real time
		assert.NoError(t, process.Signal(syscall.SIGCONT))
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"Name":"acme/dev/shop/db","VersionId":"v1","SecretString":"answered"}`)
	}))
	defer server.Close()
	var output bytes.Buffer
	process := exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), frozenEndpoint+"="+server.URL)
	process.Stdout = &output
	require.NoError(t, process.Start())
	started <- process.Process
	require.NoError(t, process.Wait())
	assert.Equal(t, "answered", output.String())
}
