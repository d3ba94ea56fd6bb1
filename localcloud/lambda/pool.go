package lambda

import (
	"context"
	"sync"
)

// Invocation is one event for a function.
type Invocation struct {
	RequestID string
	// ARN is the one that the function was invoked by, with its qualifier.
	ARN     string
	Payload []byte
	// TraceID is the X-Ray header; empty makes one.
	TraceID string
	// ClientContext is the JSON that the caller passed on.
	ClientContext string
}

// Result is what an invocation came to.
type Result struct {
	// Payload is the function's answer, or the error as JSON.
	Payload []byte
	// FunctionError is empty or "Unhandled".
	FunctionError string
	// Tail is the last 4 KB of the invocation's log.
	Tail []byte
}

// Pool runs one version of a function in as many environments as there are
// invocations at once. All methods are safe for concurrent use.
type Pool struct {
	x  *Executor
	fn Function

	mu      sync.Mutex
	idle    []*environment // the last one used is the last
	retired bool
}

// NewPool makes a pool without environments; they start when needed.
func (x *Executor) NewPool(f Function) *Pool { return &Pool{x: x, fn: f} }

// Invoke runs the function once. What goes wrong in the function is in the
// Result; the error is for what kept it from being run at all. The invocation
// goes on to its end when ctx ends, as on AWS.
func (p *Pool) Invoke(ctx context.Context, inv Invocation) (Result, error) {
	e, err := p.acquire(ctx)
	if err != nil {
		return Result{}, err
	}
	result := e.invoke(inv)
	p.release(e)
	return result, nil
}

func (p *Pool) acquire(ctx context.Context) (*environment, error) {
	for {
		e := p.takeIdle()
		if e == nil {
			return p.x.newEnvironment(ctx, p.fn)
		}
		if e.usable(p.x.cfg.Now()) {
			return e, nil
		}
		p.x.cfg.Go(func() { e.shutdown(e.reason()) })
	}
}

func (p *Pool) takeIdle() *environment {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	e := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return e
}

func (p *Pool) release(e *environment) {
	if !e.usable(p.x.cfg.Now()) {
		e.shutdown(e.reason())
		return
	}
	p.mu.Lock()
	retired := p.retired
	if !retired {
		p.idle = append(p.idle, e)
	}
	p.mu.Unlock()
	if retired {
		e.shutdown(reasonSpindown)
	}
}

// Retire shuts all idle environments down, in the background, and every other
// one when its invocation ends. Extensions are told.
func (p *Pool) Retire() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.retired = nil, true
	p.mu.Unlock()
	for _, e := range idle {
		p.x.cfg.Go(func() { e.shutdown(reasonSpindown) })
	}
}
