package secrets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// probeEvery is how often a primary region that doesn't answer is tried again.
const probeEvery = 30 * time.Second

// regions reads from the first of several regions that answers. The first one
// is the primary: it alone decides that a secret doesn't exist or may not be
// read, since a replica may be missing or lag behind.
type regions struct {
	endpoints []*endpoint   // at least one
	timeout   time.Duration // of one region's answer
	patience  time.Duration // until the next region is asked as well
	clock     *clock
	closing   context.Context // ends all calls
	failovers atomic.Uint64   // reads that a replica answered

	mu      sync.Mutex
	answers uint64  // of the primary; guarded by mu
	dark    bool    // the primary doesn't answer; guarded by mu
	probe   instant // when it is asked again; guarded by mu
}

type answer struct {
	region int // index of the endpoint
	secret Secret
	err    error
}

// get reads what the key asks for. ctx ends the calls to replicas; a call to
// the primary goes on to its timeout, to learn whether the region is back.
func (r *regions) get(ctx context.Context, k key) (Secret, error) {
	order, before := r.order(ctx, k)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, len(order))
	asked := 0
	askNext := func() {
		if asked < len(order) {
			go r.ask(ctx, order[asked], k, answers)
			asked++
		}
	}
	askNext()
	impatient := time.NewTicker(r.patience)
	defer impatient.Stop()

	errs := make([]error, len(order))
	for answered := 0; answered < len(order); {
		select {
		case a := <-answers:
			answered++
			switch {
			case a.err == nil && a.region != 0:
				r.failovers.Add(1)
				r.overtaken(before)
				return a.secret, nil
			case a.err == nil, a.region == 0 && !passing(a.err):
				return a.secret, a.err
			}
			errs[a.region] = a.err
			askNext()
		case <-impatient.C:
			askNext()
		}
	}
	err := errs[0]
	for i, other := range errs[1:] {
		err = fmt.Errorf("%w; and from failover region %s: %v", err, r.endpoints[i+1].name, other) //nolint:errorlint // not wrapped: only the primary's error decides whether it is passing
	}
	return Secret{}, err
}

// order returns the regions in the order in which they are asked: the primary
// last while it is dark, but for a call now and then to see if it is back. It
// returns the number of the primary's answers so far, too.
func (r *regions) order(ctx context.Context, k key) ([]int, uint64) {
	order := make([]int, 0, len(r.endpoints))
	for i := range r.endpoints {
		order = append(order, i)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dark || len(order) == 1 {
		return order, r.answers
	}
	if now := r.clock.read(); !now.before(r.probe) {
		r.probe = now.add(probeEvery)
		go r.ask(ctx, 0, k, make(chan answer, 1))
	}
	return append(order[1:], 0), r.answers
}

func (r *regions) ask(ctx context.Context, region int, k key, answers chan<- answer) {
	if region == 0 {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := withRunningTimeout(ctx, r.timeout)
	defer cancel()
	defer context.AfterFunc(r.closing, cancel)()
	secret, err := r.endpoints[region].get(ctx, k)
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		err = fmt.Errorf("%w (%w: no answer in %s)", err, context.DeadlineExceeded, r.timeout)
	}
	if region == 0 {
		r.note(err)
	}
	answers <- answer{region, secret, err}
}

// note learns from how a call to the primary ended.
func (r *regions) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && passing(err) {
		r.darken()
		return
	}
	r.answers++
	r.dark = false
}

// overtaken learns that a replica answered first, in a read that began when
// the primary had given so many answers.
func (r *regions) overtaken(before uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers == before {
		r.darken()
	}
}

// darken starts to avoid the primary; r.mu is held.
func (r *regions) darken() {
	if !r.dark {
		r.dark = true
		r.probe = r.clock.read().add(probeEvery)
	}
}
