// Package kms is the local cloud's AWS Key Management Service.
package kms

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS Key Management Service.
type Service struct {
	env *api.Env
}

// Name implements api.Service.
func (s *Service) Name() string { return "kms" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{}[operation]
}

// New makes a KMS without keys.
func New(env *api.Env) *Service { return &Service{env: env} }

// Encrypt encrypts for another service in the caller's name (caller.Via is
// set): the caller needs kms:GenerateDataKey or kms:Encrypt as the check says.
// keyID is a key id, key ARN, alias name or alias ARN of the region. It returns
// the ciphertext and the ARN of the key.
func (s *Service) Encrypt(ctx context.Context, caller api.Caller, region, keyID string, plaintext []byte, encryptionContext map[string]string) (ciphertext []byte, keyARN string, err error) {
	return nil, "", api.Errorf("NotFoundException", "no key %s", keyID)
}

// Decrypt is the reverse: the caller needs kms:Decrypt on the key.
func (s *Service) Decrypt(ctx context.Context, caller api.Caller, region string, ciphertext []byte, encryptionContext map[string]string) ([]byte, error) {
	return nil, api.Errorf("InvalidCiphertextException", "")
}
