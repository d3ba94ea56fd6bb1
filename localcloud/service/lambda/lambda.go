// Package lambda is the local cloud's AWS Lambda.
package lambda

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/service/iam"
)

// Service is AWS Lambda.
type Service struct {
	env     *api.Env
	roles   roles
	logs    logSink
	workDir string
}

// Name implements api.Service.
func (s *Service) Name() string { return "lambda" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.REST{} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{}[operation]
}

// roles is what Lambda needs of IAM.
type roles interface {
	ServiceSession(ctx context.Context, roleARN, session, service string) (iam.Credentials, error)
}

// logSink is where functions' output goes.
type logSink interface {
	Put(ctx context.Context, account, region, group, stream string, lines []string)
}

// New makes a Lambda without functions, which unpacks them below workDir.
func New(env *api.Env, r roles, l logSink, workDir string) *Service {
	return &Service{env: env, roles: r, logs: l, workDir: workDir}
}

// InvokeSync invokes a function for another AWS service, whose principal the
// function's resource policy must allow.
func (s *Service) InvokeSync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) ([]byte, error) {
	return nil, api.Errorf("ResourceNotFoundException", "Function not found: %s", functionARN)
}

// InvokeAsync queues an event for a function, as EventBridge does. Failed ones
// are tried twice more.
func (s *Service) InvokeAsync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) error {
	return api.Errorf("ResourceNotFoundException", "Function not found: %s", functionARN)
}

// Crash kills the execution environment that holds these credentials.
func (s *Service) Crash(accessKeyID string) {}

// Close stops all execution environments.
func (s *Service) Close() error { return nil }
