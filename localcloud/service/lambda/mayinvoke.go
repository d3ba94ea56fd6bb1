package lambda

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
)

// MayInvoke reports as an error that a function's policy doesn't let another
// AWS service invoke it, as that of a function that isn't there never does.
// Secrets Manager asks before it takes a rotation function.
func (s *Service) MayInvoke(ctx context.Context, caller api.Caller, functionARN string) error {
	_, err := s.serviceEvent(ctx, caller, functionARN, nil)
	return err
}
