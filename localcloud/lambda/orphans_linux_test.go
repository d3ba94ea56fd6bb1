package lambda_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/aistudio/secrets/localcloud/lambda"
)

// victimCode is set in the process that TestNoOrphans kills, to the code that it
// runs.
const victimCode = "LAMBDA_TEST_VICTIM_CODE"

// victimRuns is set when the function runs while its emulator is killed.
const victimRuns = "LAMBDA_TEST_VICTIM_RUNS"

// victim runs a function, prints the process's ID and waits to be killed.
func victim(code string) {
	dir := os.Getenv("TMPDIR")
	x := lambda.NewExecutor(lambda.Config{
		Dir:         dir,
		Endpoint:    func() string { return "http://127.0.0.1:1" },
		Now:         time.Now,
		Go:          func(f func()) { go f() },
		Credentials: func(context.Context, lambda.Function) (lambda.Credentials, error) { return lambda.Credentials{}, nil },
		Log:         func(lambda.Function, string, []string) {},
	})
	f := function()
	f.Code = code
	p := x.NewPool(f)
	run := func(do, value string) lambda.Result {
		payload := fmt.Sprintf(`{"Do":%q,"Value":%q}`, do, value)
		result, err := p.Invoke(context.Background(), lambda.Invocation{RequestID: do, Payload: []byte(payload)})
		if err != nil {
			panic(err)
		}
		return result
	}
	_, pid, _ := strings.Cut(string(run("echo", "").Payload), `"PID":`)
	pid, _, _ = strings.Cut(pid, ",")
	if os.Getenv(victimRuns) == "" {
		fmt.Println(pid)
		select {}
	}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		fmt.Println(pid)
		select {}
	}))
	run("tell", server.URL)
}

// An emulator that is killed takes its functions with it, frozen ones too.
func TestNoOrphans(t *testing.T) {
	for name, runs := range map[string]string{"frozen": "", "running": "1"} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), victimCode+"="+function().Code, victimRuns+"="+runs, "TMPDIR="+t.TempDir())
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			require.NoError(t, err)
			fd, err := unix.PidfdOpen(pid, 0)
			require.NoError(t, err)
			defer func() {
				_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // gone, if the test passed
				_ = unix.Close(fd)
			}()

			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait(), "it was killed")
			waitForExit(t, fd)
		})
	}
}

// waitForExit waits until the process behind a pidfd has ended.
func waitForExit(t *testing.T, fd int) {
	t.Helper()
	gone := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(gone, 60_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 1, n, "the function's process has ended")
		return
	}
}
