package remote_test

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

var errDead = errors.New("the process is dead")

// killer ends the rotator at its k-th point: before a request or after its
// answer.
type killer struct {
	mu    sync.Mutex
	left  int // 0: never
	count int
	dead  bool
}

func (k *killer) arm(point int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left, k.count, k.dead = point, 0, false
}

// died tells whether the process has died since it was armed, and revives it.
func (k *killer) died() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	died := k.dead
	k.dead, k.left = false, 0
	return died
}

func (k *killer) point() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.count++
	if k.left != 0 && k.count == k.left {
		k.dead = true
		panic(killed{})
	}
}

func (k *killer) RoundTrip(request *http.Request) (*http.Response, error) {
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
				err = errDead
			}
		}()
		return handle(ctx, event)
	}
}
