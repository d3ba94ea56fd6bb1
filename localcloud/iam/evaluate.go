package iam

import (
	"fmt"
	"strings"
)

// Query is one question: may the principal do this to that?
type Query struct {
	Principal Principal
	// Action is for example "secretsmanager:GetSecretValue".
	Action string
	// Resource is an ARN, or "*" for actions without one.
	Resource string
	// ResourceAccount is the account that owns the resource; empty means the
	// principal's.
	ResourceAccount string
	Context         Context
}

// Policies are those that apply to a query.
type Policies struct {
	// Identity are the principal's own.
	Identity []*Document
	// Boundary is the principal's permissions boundary; nil for none.
	Boundary *Document
	// Session are the policies passed when the session began. They limit it
	// only if there are any.
	Session []*Document
	// Resource is the resource's policy; nil for none. For sts:AssumeRole it is
	// the role's trust policy.
	Resource *Document
	// ResourceDecides is the rule of KMS keys and of trust policies: identity
	// policies count only if the resource's policy names the account.
	ResourceDecides bool
}

// Source is the kind of policy that a decision comes from, as AWS's messages
// call it.
type Source string

// The sources of decisions.
const (
	IdentityPolicy Source = "identity-based policy"
	ResourcePolicy Source = "resource-based policy"
	Boundary       Source = "permissions boundary"
	SessionPolicy  Source = "session policy"
	TrustPolicy    Source = "role trust policy"
)

// Decision is the answer to a Query.
type Decision struct {
	Allowed bool
	// Explicit is set when a Deny statement decided; otherwise a refusal means
	// that nothing allowed it.
	Explicit bool
	// Source is the kind of policy that denied, or that would have had to
	// allow. It is empty when Allowed.
	Source Source
}

// Reason words a refusal as AWS's access denied messages end.
func (d Decision) Reason(action string) string {
	if !d.Explicit {
		return fmt.Sprintf("because no %s allows the %s action", d.Source, action)
	}
	article := "a"
	if d.Source == IdentityPolicy {
		article = "an"
	}
	if d.Source == TrustPolicy {
		article = "the"
	}
	return fmt.Sprintf("with an explicit deny in %s %s", article, d.Source)
}

// Evaluate decides: an explicit deny anywhere wins; then, within one account,
// either the identity's or the resource's policy has to allow; between two
// accounts both have to. Boundary and session policies limit what they apply
// to.
func Evaluate(q Query, p Policies) Decision {
	resourceSource := ResourcePolicy
	if p.Resource != nil && p.Resource.kind == Trust {
		resourceSource = TrustPolicy
	}
	if d, denied := deniedBy(q, p, resourceSource); denied {
		return d
	}
	given := p.Resource.grants(q)
	if q.Principal.Service != "" {
		return decide(given != noGrant, resourceSource)
	}
	identity := q.Principal.Root || anyAllows(p.Identity, q)
	boundary := p.Boundary == nil || p.Boundary.allows(q)
	session := len(p.Session) == 0 || anyAllows(p.Session, q)

	sameAccount := q.ResourceAccount == "" || q.ResourceAccount == q.Principal.Account
	switch {
	case sameAccount && given == toSession:
		return decide(true, "")
	case sameAccount && given == noGrant && p.ResourceDecides:
		return decide(false, resourceSource)
	case sameAccount && given == toRole:
		identity = true
	case !sameAccount && given == noGrant && identity:
		return decide(false, resourceSource)
	}
	switch {
	case !identity:
		return decide(false, IdentityPolicy)
	case !boundary:
		return decide(false, Boundary)
	default:
		return decide(session, SessionPolicy)
	}
}

func decide(allowed bool, source Source) Decision {
	if allowed {
		return Decision{Allowed: true}
	}
	return Decision{Source: source}
}

func deniedBy(q Query, p Policies, resourceSource Source) (Decision, bool) {
	for _, layer := range []struct {
		source    Source
		documents []*Document
	}{
		{resourceSource, []*Document{p.Resource}},
		{IdentityPolicy, p.Identity},
		{Boundary, []*Document{p.Boundary}},
		{SessionPolicy, p.Session},
	} {
		for _, d := range layer.documents {
			if d.denies(q) {
				return Decision{Explicit: true, Source: layer.source}, true
			}
		}
	}
	return Decision{}, false
}

func anyAllows(documents []*Document, q Query) bool {
	for _, d := range documents {
		if d.allows(q) {
			return true
		}
	}
	return false
}

// allows is for policies of identities, which name no principal.
func (d *Document) allows(q Query) bool {
	for _, s := range d.Statements {
		if !s.Deny && s.covers(q) {
			return true
		}
	}
	return false
}

func (d *Document) denies(q Query) bool {
	if d == nil {
		return false
	}
	for _, s := range d.Statements {
		if s.Deny && s.names(q.Principal) != noGrant && s.covers(q) {
			return true
		}
	}
	return false
}

// grants returns the most direct way in which a resource's policy allows q.
func (d *Document) grants(q Query) grant {
	best := noGrant
	if d == nil {
		return best
	}
	for _, s := range d.Statements {
		if !s.Deny && s.covers(q) {
			best = max(best, s.names(q.Principal))
		}
	}
	return best
}

// names tells how the statement's principal element means the caller. Without
// one the policy is the caller's own.
func (s *Statement) names(caller Principal) grant {
	switch {
	case s.principals == nil:
		return toSession
	case !s.notPrincipal:
		return s.principals.grants(caller)
	case s.principals.spares(caller):
		return noGrant
	default:
		return toRole
	}
}

// covers reports whether action, resource and conditions fit.
func (s *Statement) covers(q Query) bool {
	if s.matchesAction(q.Action) == s.notAction || !s.matchesResource(q) {
		return false
	}
	for _, c := range s.conditions {
		if !c.holds(q.Context) {
			return false
		}
	}
	return true
}

func (s *Statement) matchesAction(action string) bool {
	action = strings.ToLower(action)
	for _, p := range s.actions {
		if g, _ := p.expand(nil); g.matches(action) {
			return true
		}
	}
	return false
}

func (s *Statement) matchesResource(q Query) bool {
	if s.resources == nil { // a trust policy is about its own role
		return true
	}
	for _, p := range s.resources {
		g, ok := p.expand(q.Context)
		switch {
		case ok && g.matchesResource(q.Resource):
			return !s.notResource
		case !ok && s.notResource && !s.Deny:
			// What is left out can't be told, so nothing is allowed.
			return false
		}
	}
	return s.notResource
}
