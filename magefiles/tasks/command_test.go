package tasks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program that is stopped gets one interrupt, cleans up in its own time, and
// says by its exit status whether it ended well.
func TestAPatientCommandCleansUp(t *testing.T) {
	for _, status := range []string{"0", "3"} {
		t.Run("exit status "+status, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			out := &printed{}
			c := shell(`interrupts=0
				trap 'interrupts=$((interrupts+1)); kill $!' INT
				sleep 1000 & echo ready; wait
				echo "cleaned up after $interrupts"
				exit ` + status)
			c.patient = true
			c.stdout = &lines{each: func(line string) {
				if line == "ready" {
					cancel()
				}
				_, _ = out.Write([]byte(line + "\n"))
			}}

			err := c.run(ctx)
			if status == "0" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, context.Canceled)
			}
			assert.Equal(t, "ready\ncleaned up after 1\n", out.String())
		})
	}
}

// A command that doesn't heed the interrupt is killed with all that it started.
func TestAStubbornCommandIsKilled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var child int
	c := shell(`trap '' INT; sleep 1000 & echo $!; wait`)
	c.stdout = &lines{each: func(line string) {
		child, _ = strconv.Atoi(line)
		cancel()
	}}
	require.ErrorIs(t, c.run(ctx), context.Canceled)
	require.NotZero(t, child)
	assert.Eventually(t, func() bool { return !running(child) }, time.Minute, time.Millisecond)
}

// running tells whether a process exists and is no zombie, which is what is left
// of it until its new parent asks.
func running(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestAFailedCommandSaysWhatItWasAndWhatItPrinted(t *testing.T) {
	_, err := shell(`echo no such luck >&2; exit 3`).output(t.Context())
	require.Error(t, err)
	assert.ErrorContains(t, err, "exit status 3")
	assert.ErrorContains(t, err, "no such luck")
}

func TestGoRunsWithoutACompilerForC(t *testing.T) {
	w, _ := openTree(t, map[string]string{"go.work": "go 1.26\nuse ./a\n", "a/go.mod": "module example.com/a\n"})
	t.Setenv("CGO_ENABLED", "1")
	t.Setenv("GOWORK", "off")
	printed, err := w.goCommand("a", "env", "CGO_ENABLED", "GOWORK").output(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "0\n"+w.path("go.work")+"\n", printed)

	printed, err = w.goCommand("a", "env", "GOWORK").alone().output(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "off\n", printed)
}

func TestInterruptibleEndsWhenToldToTerminate(t *testing.T) {
	ctx, stop := Interruptible(t.Context())
	defer stop()
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	<-ctx.Done()
	assert.ErrorIs(t, ctx.Err(), context.Canceled)
}

// A task whose mage was killed ends: here a shell that started this program is.
func TestInterruptibleEndsWithItsParent(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	parent := exec.Command("sh", "-c", `"$0" & wait`, self)
	parent.Env = append(os.Environ(), orphanVariable+"=1")
	stdout, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())

	reader := bufio.NewReader(stdout)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	require.NoError(t, parent.Process.Kill())
	line, err = reader.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, errParentGone.Error()+"\n", line)
	_ = parent.Wait() // it was killed
}

const orphanVariable = "TASKS_TEST_ORPHAN"

func TestMain(m *testing.M) {
	if os.Getenv(orphanVariable) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := Interruptible(context.Background())
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println(context.Cause(ctx))
}

func TestLines(t *testing.T) {
	var got []string
	l := &lines{each: func(line string) { got = append(got, line) }}
	for _, piece := range []string{"o", "ne\ntwo\r\n\nth", "ree"} {
		_, err := io.WriteString(l, piece)
		require.NoError(t, err)
	}
	l.flush()
	l.flush()
	assert.Equal(t, []string{"one", "two", "", "three"}, got)
}

func shell(script string) command {
	return command{name: "sh", args: []string{"-c", script}, stdout: io.Discard}
}
