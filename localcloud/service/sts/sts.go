// Package sts is the local cloud's AWS Security Token Service.
package sts

import (
	"context"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/service/iam"
)

// Service is AWS Security Token Service.
type Service struct {
	env   *api.Env
	roles *iam.Service
}

// New makes an STS for the roles of iam.
func New(env *api.Env, roles *iam.Service) *Service { return &Service{env: env, roles: roles} }

// Name implements api.Service.
func (s *Service) Name() string { return "sts" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol {
	return api.Query{Namespace: "https://sts.amazonaws.com/doc/2011-06-15/"}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"AssumeRole":        api.FormXML(s.assumeRole),
		"GetCallerIdentity": api.FormXML(s.getCallerIdentity),
		"GetSessionToken":   api.FormXML(s.getSessionToken),
	}[operation]
}

type identityOut struct{ UserId, Account, Arn string }

func (s *Service) getCallerIdentity(_ context.Context, r *api.Request, _ *struct{}) (*identityOut, error) {
	r.AllowAll() // AWS asks for no permission
	return &identityOut{r.Caller.ID, r.Caller.Account, r.Caller.ARN}, nil
}

type credentialsXML struct {
	AccessKeyId     string
	SecretAccessKey string
	SessionToken    string
	Expiration      *api.XMLTime
}

func newCredentialsXML(c iam.Credentials) credentialsXML {
	return credentialsXML{c.AccessKeyID, c.SecretAccessKey, c.SessionToken, api.NewXMLTime(c.Expiration)}
}

// trail is what CloudTrail shows of credentials: nothing secret.
func trail(c iam.Credentials) map[string]any {
	return map[string]any{"accessKeyId": c.AccessKeyID, "expiration": c.Expiration.Format("Jan 2, 2006, 3:04:05 PM")}
}
