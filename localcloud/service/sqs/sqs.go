// Package sqs is the local cloud's Amazon Simple Queue Service.
package sqs

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is Amazon Simple Queue Service.
type Service struct {
	env *api.Env
}

// Name implements api.Service.
func (s *Service) Name() string { return "sqs" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.0"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{}[operation]
}

// New makes an SQS without queues.
func New(env *api.Env) *Service { return &Service{env: env} }

// Send puts a message into a queue for another service, whose principal the
// queue's policy must allow.
func (s *Service) Send(ctx context.Context, caller api.Caller, queueARN string, body []byte) error {
	return api.Errorf("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
}
