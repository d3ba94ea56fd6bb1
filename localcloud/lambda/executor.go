package lambda

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Function is one version of a function, all that an execution environment
// needs to know of it.
type Function struct {
	Name    string
	Version string
	Account string
	Region  string
	// Role is the ARN of the execution role.
	Role    string
	Handler string
	// Memory is in MB. It is told to the function and not enforced.
	Memory  int
	Timeout time.Duration
	// Architecture is "x86_64" or "arm64".
	Architecture string
	// Variables are the function's own environment variables.
	Variables map[string]string
	// Code is the folder of the unpacked deployment package, Layers that of the
	// unpacked layers ("" for none). See [Unpack].
	Code   string
	Layers string
	// LogGroup gets the output.
	LogGroup string
}

// Credentials are those of the function's role. An environment is used as long
// as they last for one more timeout. A zero Expiration means for ever.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time
}

// Config connects an Executor to the cloud around it. All fields are required.
type Config struct {
	// Dir is where environments get their temporary folders.
	Dir string
	// Endpoint is what functions find in AWS_ENDPOINT_URL.
	Endpoint func() string
	// Now is the cloud's time: it names log streams and expires credentials.
	Now func() time.Time
	// Go runs background work: the shutdown of environments.
	Go func(func())
	// Credentials makes credentials for a new environment.
	Credentials func(ctx context.Context, f Function) (Credentials, error)
	// Log takes lines of a function's output.
	Log func(f Function, stream string, lines []string)
}

// Executor starts and ends the processes of functions. All methods are safe for
// concurrent use.
type Executor struct {
	cfg      Config
	spawn    chan func()
	mountOpt func() mountKind

	mu           sync.Mutex
	environments map[*environment]bool
	closed       bool
}

// ErrClosed is the error of an invocation after Close.
var ErrClosed = errors.New("the executor of Lambda functions is closed")

// NewExecutor makes an Executor. Close ends it.
func NewExecutor(cfg Config) *Executor {
	x := &Executor{cfg: cfg, spawn: make(chan func()), environments: map[*environment]bool{}}
	x.mountOpt = sync.OnceValue(x.probeMount)
	go func() {
		// The kernel's parent death signal is about the thread that started a
		// process, so all are started by one that lives as long as they do.
		runtime.LockOSThread()
		for f := range x.spawn {
			f()
		}
	}()
	return x
}

// onSpawner runs f on the thread that starts processes.
func (x *Executor) onSpawner(f func() error) error {
	done := make(chan error, 1)
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return ErrClosed
	}
	// Sent under the lock, so that Close can't close the channel meanwhile.
	x.spawn <- func() { done <- f() }
	x.mu.Unlock()
	return <-done
}

// add keeps an environment for Crash and Close.
func (x *Executor) add(e *environment) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	x.environments[e] = true
	return nil
}

func (x *Executor) remove(e *environment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.environments, e)
}

// Crash kills the processes of the environment that holds these credentials, as
// if it had run out of memory, and returns when they are gone. Its invocation
// ends with a function error. An unknown key does nothing.
func (x *Executor) Crash(accessKeyID string) {
	if accessKeyID == "" {
		return
	}
	x.mu.Lock()
	var victims []*environment
	for e := range x.environments {
		if e.credentials.AccessKeyID == accessKeyID {
			victims = append(victims, e)
		}
	}
	x.mu.Unlock()
	for _, e := range victims {
		e.kill()
	}
}

// Close kills all environments. Invocations that run end with a function error.
func (x *Executor) Close() error {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	close(x.spawn)
	environments := make([]*environment, 0, len(x.environments))
	for e := range x.environments {
		environments = append(environments, e)
	}
	x.mu.Unlock()
	for _, e := range environments {
		e.kill()
		e.shutdown(reasonFailure)
	}
	return nil
}

// environmentDir makes a folder for one environment's temporary files.
func (x *Executor) environmentDir(f Function) (string, error) {
	parent := filepath.Join(x.cfg.Dir, "environments")
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return "", fmt.Errorf("make a folder for execution environments: %w", err)
	}
	dir, err := os.MkdirTemp(parent, f.Name+"-")
	if err != nil {
		return "", fmt.Errorf("make a folder for an execution environment of %s: %w", f.Name, err)
	}
	return dir, nil
}
