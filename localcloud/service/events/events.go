// Package events is the local cloud's Amazon EventBridge.
package events

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is Amazon EventBridge.
type Service struct {
	env       *api.Env
	functions functions
	queues    queues
}

// Name implements api.Service.
func (s *Service) Name() string { return "events" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{}[operation]
}

// functions and queues are the targets that rules can have.
type functions interface {
	InvokeAsync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) error
}

type queues interface {
	Send(ctx context.Context, caller api.Caller, queueARN string, body []byte) error
}

// New makes an EventBridge without rules.
func New(env *api.Env, f functions, q queues) *Service {
	return &Service{env: env, functions: f, queues: q}
}

// Deliver offers an event to the rules of the account's default bus in region.
func (s *Service) Deliver(ctx context.Context, account, region string, event map[string]any) {}
