// Package sandbox starts the programs of Lambda artifacts as Lambda does, to see
// how long that takes: a function until it asks for its first event, an external
// extension until it is registered.
package sandbox

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// startTime guards against a program that hangs when it starts. Lambda would give
// it 10 seconds.
const startTime = time.Minute

// Artifact is a zip that the build makes, with one program in it.
type Artifact string

// Named returns the artifact of that name for an architecture, as GOARCH.
func Named(root, name, arch string) Artifact {
	return Artifact(filepath.Join(root, "dist", name+"_linux_"+arch+".zip"))
}

// Size returns the number of bytes of the zip.
func (a Artifact) Size() (int64, error) {
	info, err := os.Stat(string(a))
	if err != nil {
		return 0, fmt.Errorf("look at the artifact: %w: make it with \"go tool mage build\"", err)
	}
	return info.Size(), nil
}

// Unpack writes the program into the folder and returns its path.
func (a Artifact) Unpack(dir string) (string, error) {
	archive, err := zip.OpenReader(string(a))
	if err != nil {
		return "", fmt.Errorf("open the artifact %s: %w: make it with \"go tool mage build\"", a, err)
	}
	defer archive.Close()
	if len(archive.File) != 1 {
		return "", fmt.Errorf("the artifact %s has %d files, not one program", a, len(archive.File))
	}
	packed, err := archive.File[0].Open()
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", a, err)
	}
	defer packed.Close()
	program, err := io.ReadAll(packed)
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", a, err)
	}
	path := filepath.Join(dir, filepath.Base(archive.File[0].Name))
	if err := os.WriteFile(path, program, 0o700); err != nil { //nolint:gosec // a program
		return "", fmt.Errorf("unpack %s: %w", a, err)
	}
	return path, nil
}

// Sandbox is a program that runs, and the part of Lambda that it talks to.
type Sandbox struct {
	// Started is how long it took from its exec to its first request to Lambda.
	Started time.Duration

	command *exec.Cmd
	output  bytes.Buffer
	server  *http.Server
	exited  chan struct{}

	once  sync.Once
	began time.Time
	first chan time.Duration // gets Started
	end   chan struct{}      // closed when no event will come any more
}

// Start starts a program with these variables and no others, and returns when
// it has made its first request to Lambda. Stop must be called.
func Start(ctx context.Context, program string, environment map[string]string) (*Sandbox, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a sandbox: %w", err)
	}
	s := &Sandbox{exited: make(chan struct{}), first: make(chan time.Duration, 1), end: make(chan struct{})}
	s.server = &http.Server{Handler: s.routes()} //nolint:gosec // a request for the next event takes any time
	go func() { _ = s.server.Serve(listener) }() // ends at Stop

	s.command = exec.CommandContext(ctx, program)
	s.command.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String()}
	for name, value := range environment {
		s.command.Env = append(s.command.Env, name+"="+value)
	}
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	s.began = time.Now()
	if err := s.command.Start(); err != nil {
		close(s.exited)
		return nil, errors.Join(fmt.Errorf("start %s: %w", program, err), s.Stop())
	}
	go func() {
		defer close(s.exited)
		_ = s.command.Wait() // Stop kills it
	}()
	select {
	case s.Started = <-s.first:
		return s, nil
	case <-s.exited:
		err = fmt.Errorf("%s ended before it asked Lambda for anything: %s", program, strings.TrimSpace(s.output.String()))
	case <-time.After(startTime):
		err = fmt.Errorf("%s asked Lambda for nothing in %s", program, startTime)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, errors.Join(err, s.Stop())
}

// Stop ends the program.
func (s *Sandbox) Stop() error {
	if s.command.Process != nil {
		_ = s.command.Process.Kill() // it may be gone
	}
	<-s.exited
	close(s.end)
	return s.server.Close()
}

// PeakMemory returns the most bytes of memory that the program had resident.
func (s *Sandbox) PeakMemory() (int64, error) { return PeakMemory(s.command.Process.Pid) }

// PeakMemory returns the most bytes of memory that a process had resident.
func PeakMemory(pid int) (int64, error) {
	if runtime.GOOS != "linux" {
		return 0, errors.New("the memory of a process is measured on Linux only")
	}
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("measure the program's memory: %w", err)
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(text, "kB")), 10, 64)
			return kilobytes * 1024, err
		}
	}
	return 0, errors.New("measure the program's memory: the kernel doesn't tell")
}

// routes are the requests of Lambda's APIs with which programs begin. There is
// one event, for an extension: the first invocation.
func (s *Sandbox) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(_ http.ResponseWriter, r *http.Request) {
		s.note()
		s.await(r)
	})
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", "sandbox")
		_, _ = io.WriteString(w, "{}")
		s.note()
	})
	var invoked sync.Once
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(w http.ResponseWriter, r *http.Request) {
		invoke := false
		invoked.Do(func() { invoke = true })
		if !invoke {
			s.await(r)
			return
		}
		_, _ = io.WriteString(w, `{"eventType":"INVOKE"}`)
	})
	return mux
}

func (s *Sandbox) note() { s.once.Do(func() { s.first <- time.Since(s.began) }) }

func (s *Sandbox) await(r *http.Request) {
	select {
	case <-s.end:
	case <-r.Context().Done():
	}
}

// WatchMemory returns the most bytes of memory that a process had resident until
// ended was closed; 0: nobody tells. What the kernel tells the parent of a
// process afterwards begins with the parent's own.
func WatchMemory(pid int, ended <-chan struct{}) int64 {
	var peak int64
	for {
		if now, err := PeakMemory(pid); err == nil {
			peak = now
		}
		select {
		case <-ended:
			return peak
		case <-time.After(5 * time.Millisecond):
		}
	}
}
