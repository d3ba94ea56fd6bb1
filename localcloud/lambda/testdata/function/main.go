// The function that the tests deploy: it does what its event says.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do    string
	Value string
}

type reply struct {
	Value     string
	PID       int
	RequestID string
	ARN       string
	Env       map[string]string
}

func main() {
	switch os.Getenv("INIT") {
	case "panic":
		panic("init went wrong")
	case "exit":
		os.Exit(3)
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, e event) (reply, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	r := reply{Value: e.Value, PID: os.Getpid(), RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn}
	switch e.Do {
	case "echo":
	case "env":
		r.Env = map[string]string{}
		for _, name := range os.Environ() {
			for i := range name {
				if name[i] == '=' {
					r.Env[name[:i]] = name[i+1:]
					break
				}
			}
		}
	case "print":
		fmt.Println(e.Value)
		fmt.Fprint(os.Stderr, "no newline")
	case "error":
		return r, errors.New(e.Value)
	case "panic":
		panic(e.Value)
	case "exit":
		os.Exit(7)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "kill-process": // and answer
		pid, err := strconv.Atoi(e.Value)
		if err != nil {
			return r, err
		}
		return r, syscall.Kill(pid, syscall.SIGKILL)
	case "tell": // and hang
		go http.Get(e.Value) //nolint:errcheck,bodyclose // nobody answers
		select {}
	case "hang":
		select {}
	case "read":
		b, err := os.ReadFile(e.Value)
		r.Value = string(b)
		return r, err
	case "get": // waits for the other side's answer
		resp, err := http.Get(e.Value)
		if err != nil {
			return r, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		r.Value = string(b)
		return r, err
	case "count": // in the background, also after the invocation
		count, err := sharedCounter(e.Value)
		if err != nil {
			return r, err
		}
		go func() {
			for {
				count.Add(1)
			}
		}()
		for count.Load() == 0 {
			runtime.Gosched()
		}
	case "big":
		b := make([]byte, 7<<20)
		for i := range b {
			b[i] = 'x'
		}
		r.Value = string(b)
	default:
		return r, fmt.Errorf("unknown: %q", e.Do)
	}
	return r, nil
}

// sharedCounter is a number in a file that is mapped into memory, so that others
// can watch it.
func sharedCounter(path string) (*atomic.Uint64, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mem, err := syscall.Mmap(int(f.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*atomic.Uint64)(unsafe.Pointer(&mem[0])), nil
}
