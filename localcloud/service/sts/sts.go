// Package sts is the local cloud's AWS Security Token Service.
package sts

import (
	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/service/iam"
)

// Service is AWS Security Token Service.
type Service struct {
	env   *api.Env
	roles *iam.Service
}

// Name implements api.Service.
func (s *Service) Name() string { return "sts" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol {
	return api.Query{Namespace: "https://sts.amazonaws.com/doc/2011-06-15/"}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{}[operation]
}

// New makes an STS for the roles of iam.
func New(env *api.Env, roles *iam.Service) *Service { return &Service{env: env, roles: roles} }
