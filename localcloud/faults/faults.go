// Package faults makes the local cloud fail on purpose: throttled calls, slow
// ones, error codes, a region that is down, connections that drop before or
// after the effect took place, a caller that dies at its k-th call.
package faults

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Kind is what goes wrong.
type Kind string

// The kinds of fault.
const (
	// Throttle answers ThrottlingException with status 400, as AWS's JSON
	// services do when a quota is used up.
	Throttle Kind = "throttle"
	// Error answers Fault.Code with Fault.Status and Fault.Message.
	Error Kind = "error"
	// Latency lets the call wait for Fault.Delay of real time, then go on.
	Latency Kind = "latency"
	// DropBefore closes the connection before the call has any effect. With
	// only a region named, that region is down.
	DropBefore Kind = "drop-before"
	// DropAfter closes the connection after the call took effect and before
	// the caller hears of it.
	DropAfter Kind = "drop-after"
	// CrashBefore kills the Lambda execution environment that makes the call,
	// before the call has any effect.
	CrashBefore Kind = "crash-before"
	// CrashAfter kills it after the effect and before it hears of it.
	CrashAfter Kind = "crash-after"
)

var kinds = []Kind{Throttle, Error, Latency, DropBefore, DropAfter, CrashBefore, CrashAfter}

// Fault is one thing that goes wrong. Empty matching fields match everything.
type Fault struct {
	Kind Kind `json:"kind"`

	// Service is the SigV4 signing name, for example "secretsmanager".
	Service string `json:"service,omitempty"`
	// Operation is the API's operation, for example "GetSecretValue".
	Operation string `json:"operation,omitempty"`
	Region    string `json:"region,omitempty"`
	// Principal is the ARN of the caller's role or user.
	Principal string `json:"principal,omitempty"`

	// Skip lets that many matching calls pass first: 2 hits the third.
	Skip int `json:"skip,omitempty"`
	// Times is how many calls it hits; 0 means all until it is removed.
	Times int `json:"times,omitempty"`

	// Code, Message and Status are for Error. Defaults: InternalServiceError,
	// a text that says it is on purpose, 500.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Status  int    `json:"status,omitempty"`
	// Delay is for Latency; in JSON it is in nanoseconds.
	Delay time.Duration `json:"delay,omitempty"`

	// Hits is how many calls it has hit so far. List fills it in; Add ignores it.
	Hits int `json:"hits"`
}

// Call is what a fault is matched against.
type Call struct {
	Service, Operation, Region, Principal string
}

func (f Fault) matches(c Call) bool {
	return (f.Service == "" || f.Service == c.Service) &&
		(f.Operation == "" || f.Operation == c.Operation) &&
		(f.Region == "" || f.Region == c.Region) &&
		(f.Principal == "" || f.Principal == c.Principal)
}

type planned struct {
	Fault
	id   int
	seen int
}

// Plan is the set of faults that are switched on. The zero value is empty and
// ready; all methods are safe for concurrent use.
type Plan struct {
	mu     sync.Mutex
	nextID int
	faults []*planned
}

// Add switches a fault on and returns a function that switches it off.
func (p *Plan) Add(f Fault) (remove func(), err error) {
	if !slices.Contains(kinds, f.Kind) {
		return nil, fmt.Errorf("add fault: kind %q is none of %v", f.Kind, kinds)
	}
	if f.Kind == Latency && f.Delay <= 0 {
		return nil, fmt.Errorf("add fault: latency needs a positive delay, not %s", f.Delay)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nextID++
	id := p.nextID
	f.Hits = 0
	p.faults = append(p.faults, &planned{Fault: f, id: id})
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults = slices.DeleteFunc(p.faults, func(x *planned) bool { return x.id == id })
	}, nil
}

// Clear switches all faults off.
func (p *Plan) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// List returns the faults that are switched on.
func (p *Plan) List() []Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Fault, 0, len(p.faults))
	for _, f := range p.faults {
		list = append(list, f.Fault)
	}
	return list
}

// Match counts the call and returns the faults that hit it, in the order in
// which they were added.
func (p *Plan) Match(c Call) []Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	var hits []Fault
	for _, f := range p.faults {
		if !f.matches(c) {
			continue
		}
		f.seen++
		if f.seen <= f.Skip || (f.Times > 0 && f.seen > f.Skip+f.Times) {
			continue
		}
		f.Hits++
		hits = append(hits, f.Fault)
	}
	return hits
}
