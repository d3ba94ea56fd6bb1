package layer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"
)

// load is what the generator sends: the requests in turn, over some connections.
type load struct {
	address     string
	requests    [][]byte // as they go over the wire
	connections int
}

// request returns a GET as it goes over the wire.
func request(ctx context.Context, address, path, token string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	r.Header.Set("X-Aws-Parameters-Secrets-Token", token)
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	return wire.Bytes(), nil
}

// once sends every request once, one after the other.
func (l load) once(ctx context.Context) error {
	c, err := dial(ctx, l.address)
	if err != nil {
		return err
	}
	defer c.file.Close()
	for _, wire := range l.requests {
		if err := c.do(wire); err != nil {
			return err
		}
	}
	return nil
}

// open sends so many requests a second, whether or not those before were
// answered, and returns the time that each took from the moment it was due. When
// a connection was free then and only the generator woke up late, the time is
// from the waking: the generator's lateness isn't the server's.
func (l load) open(ctx context.Context, rate int, d time.Duration) ([]time.Duration, error) {
	interval := time.Second * time.Duration(l.connections) / time.Duration(rate)
	return l.each(ctx, func(c *connection, worker int) ([]time.Duration, error) {
		start := time.Now()
		due := start.Add(interval * time.Duration(worker) / time.Duration(l.connections))
		var times []time.Duration
		for i := worker; due.Sub(start) < d; i += l.connections {
			began := due
			for free := time.Until(due); free > 0; free = time.Until(due) {
				pause(free)
				began = time.Now()
			}
			if err := c.do(l.requests[i%len(l.requests)]); err != nil {
				return nil, err
			}
			times = append(times, time.Since(began))
			due = due.Add(interval)
		}
		return times, nil
	})
}

// closed sends the next request on each connection as soon as the one before
// was answered, and returns how many a second that are.
func (l load) closed(ctx context.Context, d time.Duration) (float64, error) {
	times, err := l.each(ctx, func(c *connection, worker int) ([]time.Duration, error) {
		var times []time.Duration
		for i, start := worker, time.Now(); time.Since(start) < d; i += l.connections {
			if err := c.do(l.requests[i%len(l.requests)]); err != nil {
				return nil, err
			}
			times = append(times, time.Since(start))
		}
		return times, nil
	})
	return float64(len(times)) / d.Seconds(), err
}

// each runs work on every connection at the same time, each on a thread that
// blocks in the kernel: Go's poller and timers would add tens of microseconds of
// their own to every request.
func (l load) each(ctx context.Context, work func(c *connection, worker int) ([]time.Duration, error)) ([]time.Duration, error) {
	// Threads come back from the kernel without waiting for one another.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(l.connections + 2))
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		times []time.Duration
		errs  []error
	)
	for worker := range l.connections {
		c, err := dial(ctx, l.address)
		if err != nil {
			return nil, err
		}
		all.Go(func() {
			defer c.file.Close()
			own, err := work(c, worker)
			mu.Lock()
			defer mu.Unlock()
			times, errs = append(times, own...), append(errs, err)
		})
	}
	all.Wait()
	return times, errors.Join(errs...)
}

// connection is an HTTP client with as little of its own as possible: what it
// takes is measured too.
type connection struct {
	file   *os.File // the socket
	reader *bufio.Reader
}

func dial(ctx context.Context, address string) (*connection, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp4", address)
	if err != nil {
		return nil, fmt.Errorf("connect to the layer: %w", err)
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return nil, fmt.Errorf("connect to the layer: %w", err)
	}
	file.Fd() // from now on it blocks
	return &connection{file, bufio.NewReader(file)}, nil
}

func (c *connection) do(wire []byte) error {
	if _, err := c.file.Write(wire); err != nil {
		return fmt.Errorf("send a request to the layer: %w", err)
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return fmt.Errorf("read the layer's response: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("read the layer's response: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the layer answers with status %d", response.StatusCode)
	}
	return nil
}
