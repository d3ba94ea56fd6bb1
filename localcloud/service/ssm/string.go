package ssm

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
)

// ReadString reads a parameter, decrypted, for another service in the caller's
// name, as ECS does for the secrets of a container. The name may be an ARN.
func (s *Service) ReadString(ctx context.Context, caller api.Caller, region, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := api.NewRequest(api.Request{
		Service: s.Name(), Operation: "GetParameters", Region: region, Account: caller.Account,
		Caller: caller, Time: s.env.Clock.Now(),
	}, s.env.IAM)
	p, err := s.get(ctx, r, "GetParameters", name, true)
	if err != nil {
		return "", err
	}
	return p.Value, nil
}
