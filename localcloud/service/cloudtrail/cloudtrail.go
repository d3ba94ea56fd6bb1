// Package cloudtrail is the local cloud's AWS CloudTrail.
package cloudtrail

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS CloudTrail.
type Service struct {
	env *api.Env
	bus bus
}

// Name implements api.Service.
func (s *Service) Name() string { return "cloudtrail" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{}[operation]
}

// bus is where events go on to: EventBridge.
type bus interface {
	// Deliver offers an event to the rules of the account's default bus.
	Deliver(ctx context.Context, account, region string, event map[string]any)
}

// New makes a CloudTrail without events.
func New(env *api.Env, b bus) *Service { return &Service{env: env, bus: b} }

// Record implements api.Recorder.
func (s *Service) Record(_ context.Context, _ api.Event) {}
