package sts

import (
	"context"
	"net/http"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

type getSessionTokenIn struct{ DurationSeconds *int }

type getSessionTokenOut struct{ Credentials credentialsXML }

// getSessionToken is for users and the root, who need no permission for it.
func (s *Service) getSessionToken(_ context.Context, r *api.Request, in *getSessionTokenIn) (*getSessionTokenOut, error) {
	r.AllowAll()
	if r.Caller.Role != "" || !r.Caller.Issued.IsZero() {
		return nil, api.StatusErrorf(http.StatusForbidden, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	longest, otherwise := 36*time.Hour, 12*time.Hour
	if r.Caller.Root {
		longest, otherwise = time.Hour, time.Hour
	}
	d, err := duration(in.DurationSeconds, otherwise, longest)
	if err != nil {
		return nil, err
	}
	c, err := s.roles.NewUserSession(r.Caller, d)
	if err != nil {
		return nil, err
	}
	r.TrailResponse = map[string]any{"credentials": trail(c)}
	return &getSessionTokenOut{newCredentialsXML(c)}, nil
}

// shortest is the least DurationSeconds that STS takes.
const shortest = 15 * time.Minute

func duration(seconds *int, otherwise, longest time.Duration) (time.Duration, error) {
	if seconds == nil {
		return min(otherwise, longest), nil
	}
	d := time.Duration(*seconds) * time.Second
	if d < shortest {
		return 0, api.Errorf("ValidationError", "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900", *seconds)
	}
	if d > longest {
		return 0, api.Errorf("ValidationError", "The requested DurationSeconds exceeds the maximum of %d seconds.", int(longest.Seconds()))
	}
	return d, nil
}
