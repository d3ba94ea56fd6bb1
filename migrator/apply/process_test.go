//go:build unix

package apply_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/plan"
)

// child tells the test binary to be an apply in a process of its own: the cloud's
// URL, the migration's folder, and the call at which it is killed, or -1.
const child = "MIGRATOR_TEST_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(child); text != "" {
		if err := applyAsChild(strings.Fields(text)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func applyAsChild(arguments []string) error {
	url, folder := arguments[0], arguments[1]
	at, err := strconv.Atoi(arguments[2])
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(folder, "plan.json"))
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	key, err := digest.Open(folder)
	if err != nil {
		return err
	}
	config := aws.Config{
		Region: p.Region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: &suicide{at: int64(at)}},
	}
	sleep := func(ctx context.Context, d time.Duration) error { return advance(ctx, url, d) }
	result, err := apply.Run(context.Background(), config, p, apply.Options{Folder: folder, Key: key, Sleep: sleep})
	if err == nil && !result.Complete {
		err = fmt.Errorf("not complete: %+v", result.Steps)
	}
	return err
}

func advance(ctx context.Context, url string, d time.Duration) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/_localcloud/clock", strings.NewReader(`{"advance":"`+d.String()+`"}`))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

// suicide kills its process at a call, after its effect.
type suicide struct {
	at    int64
	calls atomic.Int64
}

func (s *suicide) RoundTrip(r *http.Request) (*http.Response, error) {
	number := s.calls.Add(1) - 1
	response, err := http.DefaultTransport.RoundTrip(r)
	if number == s.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return response, err
}

// Killed for real, with nothing left to tidy up, and gone on with by another
// process.
func TestAKilledProcessIsFollowedByAnother(t *testing.T) {
	run := func(w *applytest.World, at int) (killed bool) {
		w.Helper()
		program, err := os.Executable()
		require.NoError(w, err)
		command := exec.CommandContext(w.Context(), program)
		command.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", child, w.Cloud.URL(), w.Folder, at))
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, &out
		err = command.Run()
		assert.NotContains(w, out.String(), "canary")
		if exit := (&exec.ExitError{}); errors.As(err, &exit) {
			status, ok := exit.Sys().(syscall.WaitStatus)
			require.True(w, ok && status.Signaled(), out.String())
			return true
		}
		require.NoError(w, err)
		return false
	}
	const step = 3 // the other tests kill at every call
	for at := 0; ; at += step {
		w := applytest.New(t)
		p := applytest.Small(w)
		text, err := json.Marshal(p)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(w.Folder, "plan.json"), text, 0o600))
		if !run(w, at) {
			return
		}
		run(w, -1)
		applytest.CheckSmall(w)
	}
}
