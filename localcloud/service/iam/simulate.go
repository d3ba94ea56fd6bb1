package iam

import (
	"context"
	"fmt"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
	policy "github.com/aistudio/secrets/localcloud/iam"
)

type simulateIn struct {
	PolicySourceArn, CallerArn, ResourceOwner, ResourcePolicy, ResourceHandlingOption string
	ActionNames, ResourceArns, PolicyInputList, PermissionsBoundaryPolicyInputList    []string
	ContextEntries                                                                    []contextEntry
	Marker                                                                            string
	MaxItems                                                                          *int
}

type contextEntry struct {
	ContextKeyName, ContextKeyType string
	ContextKeyValues               []string
}

type evaluationXML struct {
	EvalActionName   string
	EvalResourceName string
	EvalDecision     string
	order            int
}

type simulateOut struct {
	EvaluationResults []evaluationXML `xml:"EvaluationResults>member"`
	page
}

// simulatePrincipalPolicy asks the engine about a role or user without calling
// anything. As on AWS, conditions see only the context that the request brings.
func (s *Service) simulatePrincipalPolicy(ctx context.Context, r *api.Request, in *simulateIn) (*simulateOut, error) {
	if err := ask(ctx, r, in.PolicySourceArn, nil); err != nil {
		return nil, err
	}
	var p policy.Policies
	for _, text := range in.PolicyInputList {
		d, err := parseInput(policy.Identity, text)
		if err != nil {
			return nil, err
		}
		p.Identity = append(p.Identity, d)
	}
	if in.ResourcePolicy != "" {
		d, err := parseInput(policy.Resource, in.ResourcePolicy)
		if err != nil {
			return nil, err
		}
		p.Resource = d
	}
	caller, err := s.simulated(&p, in.PolicySourceArn)
	if err != nil {
		return nil, err
	}
	for _, text := range in.PermissionsBoundaryPolicyInputList {
		if p.Boundary, err = parseInput(policy.Identity, text); err != nil {
			return nil, err
		}
	}
	keys := policy.Context{}
	for _, e := range in.ContextEntries {
		keys.Set(e.ContextKeyName, e.ContextKeyValues...)
	}
	resources := in.ResourceArns
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	var results []evaluationXML
	for _, action := range in.ActionNames {
		for _, resource := range resources {
			d := policy.Evaluate(policy.Query{
				Principal: caller, Action: action, Resource: resource, ResourceAccount: accountOf(in.ResourceOwner), Context: keys,
			}, p)
			results = append(results, evaluationXML{action, resource, evalDecision(d), len(results)})
		}
	}
	out := &simulateOut{}
	key := func(e evaluationXML) string { return fmt.Sprintf("%06d", e.order) }
	out.EvaluationResults, out.page, err = paginate(results, key, in.Marker, in.MaxItems)
	return out, err
}

func parseInput(kind policy.Kind, text string) (*policy.Document, error) {
	d, err := policy.Parse(kind, text)
	if err != nil {
		return nil, api.Errorf("InvalidInput", "%v", err)
	}
	return d, nil
}

func evalDecision(d policy.Decision) string {
	switch {
	case d.Allowed:
		return "allowed"
	case d.Explicit:
		return "explicitDeny"
	}
	return "implicitDeny"
}

// simulated adds the policies of a role or user and says who it is.
func (s *Service) simulated(p *policy.Policies, arn string) (policy.Principal, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	account := accountOf(arn)
	caller := policy.Principal{Account: account, ARN: arn}
	if x := s.roleByARN(arn); x != nil {
		s.addPrincipal(p, account, &x.principal)
		caller.Role, caller.ARN = arn, "arn:aws:sts::"+account+":assumed-role/"+x.name+"/simulation"
		return caller, nil
	}
	if a := s.accounts[account]; a != nil {
		u := a.users[arn[strings.LastIndex(arn, "/")+1:]]
		if u != nil && u.arn == arn {
			s.addPrincipal(p, account, &u.principal)
			return caller, nil
		}
	}
	return caller, noSuchEntity("The entity %s cannot be found.", arn)
}
