// Package iam is the local cloud's AWS Identity and Access Management.
package iam

import (
	"context"
	"net/http"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS Identity and Access Management.
type Service struct {
	env *api.Env
}

// Name implements api.Service.
func (s *Service) Name() string { return "iam" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol {
	return api.Query{Namespace: "https://iam.amazonaws.com/doc/2010-05-08/"}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{}[operation]
}

// New makes an empty IAM.
func New(env *api.Env) *Service { return &Service{env: env} }

// Credentials are what STS hands out.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time
}

// Resolve finds the caller that an access key belongs to. A key that IAM did
// not issue is the root of the default account, a 12-digit one the root of that
// account.
func (s *Service) Resolve(accessKeyID, token string) (api.Caller, error) {
	account := s.env.Account
	return api.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":root", Root: true, AccessKeyID: accessKeyID}, nil
}

// Authorize implements api.Authorizer.
func (s *Service) Authorize(_ context.Context, caller api.Caller, _ string, c api.Check) error {
	if caller.Root {
		return nil
	}
	return api.StatusErrorf(http.StatusBadRequest, "AccessDeniedException", "no policy allows %s on %s", c.Action, c.Resource)
}

// ServiceSession makes credentials for a role on behalf of an AWS service, for
// example "lambda.amazonaws.com", if the role's trust policy lets that service
// assume it.
func (s *Service) ServiceSession(_ context.Context, roleARN, session, service string) (Credentials, error) {
	return Credentials{}, api.Errorf("AccessDenied", "no role %s for %s", roleARN, service)
}
