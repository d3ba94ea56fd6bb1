package iam

import (
	"context"
	"crypto/subtle"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	policy "github.com/aistudio/secrets/localcloud/iam"
)

// The beginnings of the access key ids that this IAM issues, so that a key of a
// state that was reset is told from a key that never was one of its own.
const (
	sessionPrefix  = "ASIALOCAL"
	longTermPrefix = "AKIALOCAL"
)

// Credentials are what STS hands out.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	Expiration      time.Time
}

// Session is what a new session of a role is made with.
type Session struct {
	Name     string
	Duration time.Duration
	// Policies limit the session; see SessionPolicies.
	Policies []*policy.Document
	// Tags are the session's own; they win over the role's.
	Tags map[string]string
	// Transitive are the keys of the tags that go on when a role of this
	// session assumes another.
	Transitive []string
	// SourceIdentity goes on too.
	SourceIdentity string
}

// session is what stands behind temporary credentials.
type session struct {
	Session
	caller  api.Caller // as it was issued, without the role's tags
	roleID  string     // unique id, so that a role made anew is another one
	token   string
	expires time.Time
}

// Role is what STS has to know of a role.
type Role struct {
	ARN         string
	ID          string
	TrustPolicy string
	MaxSession  time.Duration
	Tags        map[string]string
}

// Role finds a role by its ARN.
func (s *Service) Role(arn string) (Role, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	x := s.roleByARN(arn)
	if x == nil {
		return Role{}, false
	}
	return Role{x.arn, x.id, x.trust.text, x.maxSession, maps.Clone(x.tags)}, true
}

// roleByARN returns nil for what is not the ARN of a role; mu is held.
func (s *Service) roleByARN(arn string) *role {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[2] != "iam" {
		return nil
	}
	a := s.accounts[parts[4]]
	if a == nil {
		return nil
	}
	x := a.roles[arn[strings.LastIndex(arn, "/")+1:]]
	if x == nil || x.arn != arn {
		return nil
	}
	return x
}

var sessionNameForm = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// ServiceSession makes credentials, valid for an hour, for a role on behalf of
// an AWS service, for example "lambda.amazonaws.com", if the role's trust policy
// lets that service assume it.
func (s *Service) ServiceSession(ctx context.Context, roleARN, name, service string) (Credentials, error) {
	return s.SessionOf(ctx, roleARN, name, service, "")
}

// SessionOf is ServiceSession for a service that tells on whose behalf it acts,
// which trust policies see as aws:SourceArn and aws:SourceAccount.
func (s *Service) SessionOf(ctx context.Context, roleARN, name, service, sourceARN string) (Credentials, error) {
	if err := s.Trusts(ctx, roleARN, service, sourceARN); err != nil {
		return Credentials{}, err
	}
	return s.NewSession(roleARN, Session{Name: name, Duration: time.Hour})
}

// Trusts tells whether a role's trust policy lets a service assume it on behalf
// of something.
func (s *Service) Trusts(ctx context.Context, roleARN, service, sourceARN string) error {
	r, ok := s.Role(roleARN)
	if !ok {
		return noSuchEntity("The role %s cannot be found.", roleARN)
	}
	return s.Authorize(ctx, api.Caller{Account: accountOf(roleARN), Service: service, SourceARN: sourceARN}, "", api.Check{
		Action: "sts:AssumeRole", Resource: roleARN, ResourcePolicy: r.TrustPolicy, PolicyDecides: true,
	})
}

// NewSession makes credentials for a role. The trust policy has been asked.
func (s *Service) NewSession(roleARN string, opts Session) (Credentials, error) {
	if !sessionNameForm.MatchString(opts.Name) {
		return Credentials{}, validation("1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]{2,64}")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.roleByARN(roleARN)
	if x == nil {
		return Credentials{}, noSuchEntity("The role %s cannot be found.", roleARN)
	}
	account := accountOf(roleARN)
	return s.issue(&session{
		Session: opts,
		roleID:  x.id,
		caller: api.Caller{
			Account: account,
			ARN:     "arn:aws:sts::" + account + ":assumed-role/" + x.name + "/" + opts.Name,
			Role:    x.arn, Session: opts.Name, ID: x.id + ":" + opts.Name, Tags: opts.Tags,
		},
	})
}

// NewUserSession makes temporary credentials for a user or an account's root,
// as GetSessionToken does.
func (s *Service) NewUserSession(caller api.Caller, d time.Duration) (Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(&session{Session: Session{Duration: d}, caller: caller})
}

// issue gives a session its credentials; mu is held.
func (s *Service) issue(x *session) (Credentials, error) {
	var err error
	if x.caller.AccessKeyID, err = s.newID(sessionPrefix, 20); err != nil {
		return Credentials{}, err
	}
	secret, err := s.randomText(30)
	if err != nil {
		return Credentials{}, err
	}
	if x.token, err = s.randomText(96); err != nil {
		return Credentials{}, err
	}
	now := s.env.Clock.Now()
	x.caller.Issued = now.Truncate(time.Second)
	x.expires = now.Add(x.Duration).Truncate(time.Second)
	s.dropExpired(now)
	s.sessions[x.caller.AccessKeyID] = x
	return Credentials{x.caller.AccessKeyID, secret, x.token, x.expires}, nil
}

// remembered is how many sessions there may be before expired ones are forgotten.
// Until then their users hear that they expired and not that they never were: a
// call may be on its way while a test moves the clock by months.
const remembered = 10_000

// dropExpired forgets the half of the expired sessions that expired first.
func (s *Service) dropExpired(now time.Time) {
	if len(s.sessions) < remembered {
		return
	}
	var expired []string
	for id, x := range s.sessions {
		if !now.Before(x.expires) {
			expired = append(expired, id)
		}
	}
	slices.SortFunc(expired, func(a, b string) int { return s.sessions[a].expires.Compare(s.sessions[b].expires) })
	for _, id := range expired[:(len(expired)+1)/2] {
		delete(s.sessions, id)
	}
}

// SessionTags returns the transitive tags and the source identity that a
// caller's session passes on to the next role.
func (s *Service) SessionTags(caller api.Caller) (tags map[string]string, sourceIdentity string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	tags = map[string]string{}
	x := s.sessions[caller.AccessKeyID]
	if x == nil {
		return tags, ""
	}
	for _, k := range x.Transitive {
		tags[k] = x.Tags[k]
	}
	return tags, x.SourceIdentity
}

var accountForm = regexp.MustCompile(`^\d{12}$`)

// Resolve finds the caller that an access key belongs to. A key that IAM did
// not issue is the root of the default account, a 12-digit one the root of that
// account. The service decides how an error is called.
func (s *Service) Resolve(service, accessKeyID, token string) (api.Caller, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case strings.HasPrefix(accessKeyID, sessionPrefix):
		return s.resolveSession(service, accessKeyID, token)
	case strings.HasPrefix(accessKeyID, longTermPrefix):
		k := s.keys[accessKeyID]
		if k == nil || !k.active {
			return api.Caller{}, invalidToken(service)
		}
		u := s.accounts[k.account].users[k.user]
		return api.Caller{Account: k.account, ARN: u.arn, ID: u.id, AccessKeyID: k.id, Tags: maps.Clone(u.tags)}, nil
	}
	account := s.env.Account
	if accountForm.MatchString(accessKeyID) {
		account = accessKeyID
	}
	return api.Caller{
		Account: account, ARN: principalARN(account, "root", "", ""), ID: account, Root: true, AccessKeyID: accessKeyID,
	}, nil
}

func (s *Service) resolveSession(service, accessKeyID, token string) (api.Caller, error) {
	x := s.sessions[accessKeyID]
	if x == nil || subtle.ConstantTimeCompare([]byte(x.token), []byte(token)) != 1 {
		return api.Caller{}, invalidToken(service)
	}
	now := s.env.Clock.Now()
	if !now.Before(x.expires) {
		return api.Caller{}, expiredToken(service)
	}
	caller := x.caller
	caller.Tags = map[string]string{}
	if p := s.principalOf(caller, x); p != nil {
		maps.Copy(caller.Tags, p.tags)
	}
	maps.Copy(caller.Tags, x.Tags)
	return caller, nil
}

// principalOf finds the role or user of a caller; mu is held. One that is gone,
// or was made anew under the same name, isn't the caller's any more. x is the
// caller's session, nil if it has none.
func (s *Service) principalOf(caller api.Caller, x *session) *principal {
	if caller.Role != "" {
		if r := s.roleByARN(caller.Role); r != nil && (x == nil || x.roleID == r.id) {
			return &r.principal
		}
		return nil
	}
	a := s.accounts[caller.Account]
	if a == nil {
		return nil
	}
	u := a.users[caller.ARN[strings.LastIndex(caller.ARN, "/")+1:]]
	if u == nil || u.arn != caller.ARN || u.id != caller.ID {
		return nil
	}
	return &u.principal
}

// queryServices are those with the query protocol, whose common errors have
// other names.
var queryServices = map[string]bool{"iam": true, "sts": true}

func invalidToken(service string) error {
	const message = "The security token included in the request is invalid."
	if queryServices[service] {
		return api.StatusErrorf(http.StatusForbidden, "InvalidClientTokenId", message)
	}
	return api.Errorf("UnrecognizedClientException", message)
}

func expiredToken(service string) error {
	const message = "The security token included in the request is expired"
	if queryServices[service] {
		return api.StatusErrorf(http.StatusForbidden, "ExpiredToken", message)
	}
	return api.Errorf("ExpiredTokenException", message)
}
