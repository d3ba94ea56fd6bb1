// Package secretsmanager is the local cloud's AWS Secrets Manager: all of the
// API of 2017-10-17. Values are encrypted by the local cloud's KMS in the name
// of the caller, rotations invoke the local cloud's Lambda and happen on its
// clock.
//
// Rules without a source in a comment are those of the API reference. Managed
// external secrets (Type, ExternalSecretRotation…) need AWS's partners and are
// refused.
package secretsmanager

import (
	"context"
	"sync"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS Secrets Manager. All its state is behind one lock, which is
// not held while a rotation function runs.
type Service struct {
	env       *api.Env
	keys      keys
	functions functions
	handlers  map[string]api.Handler

	mu      sync.Mutex
	secrets map[place]map[string]*secret   // by name
	orders  map[place]map[string][]*secret // see sorted
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
	// MayInvoke reports as an error that the function's policy doesn't let the
	// caller invoke it.
	MayInvoke(ctx context.Context, caller api.Caller, functionARN string) error
	InvokeSync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) ([]byte, error)
}

// New makes a Secrets Manager without secrets.
func New(env *api.Env, k keys, f functions) *Service {
	s := &Service{env: env, keys: k, functions: f, secrets: map[place]map[string]*secret{}, orders: map[place]map[string][]*secret{}}
	s.handlers = map[string]api.Handler{
		"BatchGetSecretValue":          api.JSON(s.batchGetSecretValue),
		"CancelRotateSecret":           api.JSON(s.cancelRotateSecret),
		"CreateSecret":                 api.JSON(s.createSecret),
		"DeleteResourcePolicy":         api.JSON(s.deleteResourcePolicy),
		"DeleteSecret":                 api.JSON(s.deleteSecret),
		"DescribeSecret":               api.JSON(s.describeSecret),
		"GetRandomPassword":            api.JSON(s.getRandomPassword),
		"GetResourcePolicy":            api.JSON(s.getResourcePolicy),
		"GetSecretValue":               api.JSON(s.getSecretValue),
		"ListSecretVersionIds":         api.JSON(s.listSecretVersionIDs),
		"ListSecrets":                  api.JSON(s.listSecrets),
		"PutResourcePolicy":            api.JSON(s.putResourcePolicy),
		"PutSecretValue":               api.JSON(s.putSecretValue),
		"RemoveRegionsFromReplication": api.JSON(s.removeRegionsFromReplication),
		"ReplicateSecretToRegions":     api.JSON(s.replicateSecretToRegions),
		"RestoreSecret":                api.JSON(s.restoreSecret),
		"RotateSecret":                 api.JSON(s.rotateSecret),
		"StopReplicationToReplica":     api.JSON(s.stopReplicationToReplica),
		"TagResource":                  api.JSON(s.tagResource),
		"UntagResource":                api.JSON(s.untagResource),
		"UpdateSecret":                 api.JSON(s.updateSecret),
		"UpdateSecretVersionStage":     api.JSON(s.updateSecretVersionStage),
		"ValidateResourcePolicy":       api.JSON(s.validateResourcePolicy),
	}
	return s
}

// Name implements api.Service.
func (s *Service) Name() string { return "secretsmanager" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler { return s.handlers[operation] }

// SensitiveMembers implements api.Sensitive.
func (s *Service) SensitiveMembers() []string {
	return []string{"SecretString", "SecretBinary", "RotationToken"}
}
