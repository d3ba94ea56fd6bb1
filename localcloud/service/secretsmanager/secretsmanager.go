// Package secretsmanager is the local cloud's AWS Secrets Manager.
package secretsmanager

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS Secrets Manager.
type Service struct {
	env       *api.Env
	keys      keys
	functions functions
}

// Name implements api.Service.
func (s *Service) Name() string { return "secretsmanager" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{}[operation]
}

// keys is what Secrets Manager needs of KMS.
type keys interface {
	Encrypt(ctx context.Context, caller api.Caller, region, keyID string, plaintext []byte, encryptionContext map[string]string) (ciphertext []byte, keyARN string, err error)
	Decrypt(ctx context.Context, caller api.Caller, region string, ciphertext []byte, encryptionContext map[string]string) ([]byte, error)
}

// functions is what it needs of Lambda: a synchronous invocation in the name of
// a service principal (caller.Service, caller.SourceARN). A function error is
// an error that carries the function's message.
type functions interface {
	InvokeSync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) ([]byte, error)
}

// New makes a Secrets Manager without secrets.
func New(env *api.Env, k keys, f functions) *Service {
	return &Service{env: env, keys: k, functions: f}
}
