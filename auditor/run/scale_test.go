package run_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/auditor/internal/audittest"
	"github.com/aistudio/secrets/auditor/run"
)

var scale = flag.String("scale", "300", "numbers of secrets to audit in TestScale, such as 1000,10000,100000")

// TestScale audits estates of growing size with the command, as a process of its
// own, and reports time, calls and peak memory of two runs: the first one learns of
// every resource policy. Memory must stay flat, and the calls within a hundredth of
// the secrets and fifty; those of the first run only for as many new secrets as it
// asks the trail for.
//
//	go test ./run -run Scale -v -timeout 1h -scale 1000,10000,100000
func TestScale(t *testing.T) {
	t.Parallel()
	program := audittest.Build(t, "../cmd/audit")
	smallest := 0
	for text := range strings.SplitSeq(*scale, ",") {
		n, err := strconv.Atoi(text)
		require.NoError(t, err, "-scale")
		e := newEstateAt(t, time.Now().Add(-3*time.Hour)) // the command's clock is the real one
		e.fill(n)
		e.advance(3 * time.Hour)
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte("policyReads: 1000000\n"), 0o600))
		first, second := e.command(program, dir), e.command(program, dir)
		t.Logf("%d secrets: first run %s, %d calls, %d MB; second run %s (%s of it its own), %d calls, %d MB",
			n, first.took.Round(10*time.Millisecond), first.calls, first.memory>>20, second.took.Round(10*time.Millisecond), second.cpu.Round(10*time.Millisecond), second.calls, second.memory>>20)
		assert.Equal(t, n, second.secrets)
		assert.LessOrEqual(t, second.calls, n/100+50)
		if n <= 1000 {
			assert.LessOrEqual(t, first.calls, n/100+50)
		}
		if smallest == 0 {
			smallest = second.memory
		}
		assert.LessOrEqual(t, second.memory, smallest*12/10, "memory grows with the estate")
		require.NoError(t, e.cloud.Reset()) // its memory is needed for the next
	}
}

type measured struct {
	secrets, calls int
	took, cpu      time.Duration // cpu: of its own process, the rest is the local cloud's
	memory         int           // bytes, at its peak
}

func (e *estate) command(program, dir string) measured {
	e.t.Helper()
	cmd := exec.CommandContext(e.t.Context(), program, "run", "--quiet", "--json", "--environment", "prod", "--quota-share", "1000",
		"--out", filepath.Join(dir, "out"), "--policy", filepath.Join(dir, "policy.yaml"))
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+e.cloud.URL(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION="+east)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	require.NoError(e.t, cmd.Start())
	ended, peak := make(chan struct{}), make(chan int)
	go func() { peak <- watchMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	took := time.Since(start)
	close(ended)
	require.Equal(e.t, 1, cmd.ProcessState.ExitCode(), "%v: %s", err, stderr.String()) // there is no trail
	var summary run.Summary
	require.NoError(e.t, json.Unmarshal(stdout.Bytes(), &summary))
	calls := 0
	for _, n := range summary.Calls {
		calls += n
	}
	return measured{summary.Secrets, calls, took, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), <-peak}
}

var highWater = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// watchMemory returns the peak of a process's resident memory, in bytes. The
// usage that the kernel hands to a parent begins with the parent's own.
func watchMemory(pid int, ended <-chan struct{}) int {
	peak := 0
	for {
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
			if m := highWater.FindSubmatch(status); m != nil {
				kB, _ := strconv.Atoi(string(m[1]))
				peak = kB << 10
			}
		}
		select {
		case <-ended:
			return peak
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// fill makes n secrets without a fault.
func (e *estate) fill(n int) {
	e.t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for i := range n {
		group.Go(func() error {
			in := &secretsmanager.CreateSecretInput{
				Name: aws.String(fmt.Sprintf("acme/prod/service%d/secret%d", i%50, i)), SecretString: aws.String(canary), KmsKeyId: &e.key,
			}
			for key, value := range map[string]string{
				"Environment": "prod", "Service": fmt.Sprintf("service%d", i%50), "Owner": fmt.Sprintf("team%d", i%10), "SecretType": "custom",
				"DataClassification": "confidential", "ManagedBy": "pulumi",
			} {
				in.Tags = append(in.Tags, types.Tag{Key: &key, Value: &value})
			}
			_, err := e.east.CreateSecret(e.t.Context(), in)
			return err
		})
	}
	require.NoError(e.t, group.Wait())
}
