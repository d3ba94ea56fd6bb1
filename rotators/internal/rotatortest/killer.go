package rotatortest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"github.com/aistudio/secrets/sdk/spec"
)

// killed is the end of the rotator's process.
type killed struct{}

// ErrDead is how an event ends in which the rotator was killed.
var ErrDead = errors.New("the process is dead")

// Killer is the transport of all of a rotator's requests. It ends the rotator at its k-th point: before a request or after its
// answer.
type Killer struct {
	mu    sync.Mutex
	left  int // 0: never
	count int
	dead  bool
}

// Arm sets the point, counted from 1, at which the rotator dies next. 0: never.
func (k *Killer) Arm(point int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left, k.count, k.dead = point, 0, false
}

// Died tells whether the process has died since it was armed, and revives it.
func (k *Killer) Died() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	died := k.dead
	k.dead, k.left = false, 0
	return died
}

func (k *Killer) point() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.count++
	if k.left != 0 && k.count == k.left {
		k.dead = true
		panic(killed{})
	}
}

// RoundTrip implements http.RoundTripper.
func (k *Killer) RoundTrip(request *http.Request) (*http.Response, error) {
	k.point()
	response, err := http.DefaultTransport.RoundTrip(request)
	k.point()
	return response, err
}

// survive runs the rotator for one event.
func survive(handle func(context.Context, json.RawMessage) (*spec.SeedResult, error)) func(context.Context, json.RawMessage) (*spec.SeedResult, error) {
	return func(ctx context.Context, event json.RawMessage) (result *spec.SeedResult, err error) {
		defer func() {
			if reason := recover(); reason != nil {
				if _, ok := reason.(killed); !ok {
					panic(reason)
				}
				err = ErrDead
			}
		}()
		return handle(ctx, event)
	}
}
