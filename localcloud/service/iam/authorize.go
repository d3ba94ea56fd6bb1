package iam

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	policy "github.com/aistudio/secrets/localcloud/iam"
)

// Authorize implements api.Authorizer: it gathers the policies that apply to
// the caller and what is known of the call, and lets the policy engine decide.
// The root of the resource's own account may do everything.
func (s *Service) Authorize(_ context.Context, caller api.Caller, region string, c api.Check) error {
	owner := cmp.Or(c.Account, accountOf(c.Resource))
	if caller.Root && (owner == "" || owner == caller.Account) {
		return nil
	}
	p := policy.Policies{ResourceDecides: c.PolicyDecides}
	if c.ResourcePolicy != "" {
		kind := policy.Resource
		if strings.HasPrefix(c.Action, "sts:") {
			kind = policy.Trust
		}
		var err error
		if p.Resource, err = s.parsed.parse(kind, c.ResourcePolicy); err != nil {
			return api.StatusErrorf(http.StatusInternalServerError, "InternalFailure", "The policy of %s can't be read: %v", c.Resource, err)
		}
	}
	q := policy.Query{
		Principal: policy.Principal{
			Account: caller.Account, ARN: caller.ARN, Role: caller.Role, Root: caller.Root, Service: caller.Service,
		},
		Action: c.Action, Resource: c.Resource, ResourceAccount: owner,
		Context: s.conditionKeys(caller, region, owner, c),
	}
	s.addPolicies(&p, caller, region)
	if d := policy.Evaluate(q, p); !d.Allowed {
		return accessDenied(caller, c, d)
	}
	return nil
}

// documentCache remembers the parsed policies of resources, which their services
// hand over as text with each question.
type documentCache struct {
	mu        sync.Mutex
	documents map[documentKey]*policy.Document
}

type documentKey struct {
	kind policy.Kind
	text string
}

// maxDocuments is when the cache starts over.
const maxDocuments = 4096

func (c *documentCache) parse(kind policy.Kind, text string) (*policy.Document, error) {
	key := documentKey{kind, text}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.documents[key]; ok {
		return d, nil
	}
	d, err := policy.Parse(kind, text)
	if err != nil {
		return nil, err
	}
	if c.documents == nil || len(c.documents) >= maxDocuments {
		c.documents = map[documentKey]*policy.Document{}
	}
	c.documents[key] = d
	return d, nil
}

// accountOf is the account in an ARN; "" for none, and for AWS's own resources.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || !accountForm.MatchString(parts[4]) {
		return ""
	}
	return parts[4]
}

// addPolicies adds the caller's own policies.
func (s *Service) addPolicies(p *policy.Policies, caller api.Caller, region string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.sessions[caller.AccessKeyID]
	if x != nil {
		p.Session = x.Policies
	}
	if from := s.principalOf(caller, x); from != nil {
		s.addPrincipal(p, caller.Account, from)
	}
	if r := s.roleByARN(caller.Role); r != nil {
		r.lastUsed, r.lastRegion = s.env.Clock.Now().Truncate(time.Second), region
	}
}

func (s *Service) addPrincipal(p *policy.Policies, account string, from *principal) {
	for _, d := range from.inline {
		p.Identity = append(p.Identity, d.parsed)
	}
	for arn := range from.attached {
		if m := s.policy(account, arn); m != nil {
			p.Identity = append(p.Identity, m.current.parsed)
		}
	}
	if from.boundary != "" {
		// A boundary that is gone allows nothing.
		p.Boundary = &policy.Document{}
		if m := s.policy(account, from.boundary); m != nil {
			p.Boundary = m.current.parsed
		}
	}
}

// conditionKeys are the global condition keys of "AWS global condition context
// keys", and those of the check.
func (s *Service) conditionKeys(caller api.Caller, region, owner string, c api.Check) policy.Context {
	now := s.env.Clock.Now()
	keys := policy.Context{}
	keys.Set("aws:CurrentTime", now.Format(time.RFC3339))
	keys.Set("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	keys.Set("aws:SecureTransport", "true")
	keys.Set("aws:PrincipalIsAWSService", strconv.FormatBool(caller.Service != ""))
	keys.Set("aws:ViaAWSService", strconv.FormatBool(caller.Via != ""))
	set := func(key, value string) {
		if value != "" {
			keys.Set(key, value)
		}
	}
	set("aws:RequestedRegion", region)
	if owner == "" {
		owner = caller.Account
	}
	set("aws:ResourceAccount", owner)
	set("aws:UserAgent", caller.UserAgent)
	if caller.Service != "" {
		keys.Set("aws:PrincipalServiceName", caller.Service)
		keys.Set("aws:PrincipalServiceNamesList", caller.Service)
		set("aws:SourceArn", caller.SourceARN)
		set("aws:SourceAccount", accountOf(caller.SourceARN))
	} else {
		s.principalKeys(caller, set)
	}
	if caller.Via != "" {
		service, _, _ := strings.Cut(caller.Via, ".")
		keys.Set("kms:ViaService", caller.Via)
		keys.Set("aws:CalledVia", service+".amazonaws.com")
		keys.Set("aws:CalledViaFirst", service+".amazonaws.com")
		keys.Set("aws:CalledViaLast", service+".amazonaws.com")
	} else {
		// The address of a service that calls for somebody is not theirs.
		set("aws:SourceIp", caller.SourceIP)
	}
	if strings.HasPrefix(c.Action, "kms:") {
		set("kms:CallerAccount", caller.Account)
	}
	for key, values := range c.Context {
		keys.Set(key, values...)
	}
	return keys
}

func (s *Service) principalKeys(caller api.Caller, set func(key, value string)) {
	set("aws:PrincipalArn", caller.Principal())
	set("aws:PrincipalAccount", caller.Account)
	set("aws:userid", caller.ID)
	for k, v := range caller.Tags {
		set("aws:PrincipalTag/"+k, v)
	}
	switch {
	case caller.Root:
		set("aws:PrincipalType", "Account")
	case caller.Role != "":
		set("aws:PrincipalType", "AssumedRole")
	default:
		set("aws:PrincipalType", "User")
		set("aws:username", caller.ARN[strings.LastIndex(caller.ARN, "/")+1:])
	}
	if !caller.Issued.IsZero() {
		set("aws:TokenIssueTime", caller.Issued.Format(time.RFC3339))
		set("aws:MultiFactorAuthPresent", "false")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if x := s.sessions[caller.AccessKeyID]; x != nil {
		set("aws:SourceIdentity", x.SourceIdentity)
	}
}

// accessDenied words a refusal as "Troubleshoot access denied error messages"
// shows it.
func accessDenied(caller api.Caller, c api.Check, d policy.Decision) error {
	who := caller.ARN
	if caller.Service != "" {
		who = caller.Service
	}
	on := ""
	if c.Resource != "*" {
		on = " on resource: " + c.Resource
	}
	e := api.Errorf("AccessDeniedException", "User: %s is not authorized to perform: %s%s %s", who, c.Action, on, d.Reason(c.Action))
	switch service, _, _ := strings.Cut(c.Action, ":"); service {
	case "iam", "sts":
		e.Code, e.Status = "AccessDenied", http.StatusForbidden
	case "lambda":
		e.Status = http.StatusForbidden
	}
	return e
}
