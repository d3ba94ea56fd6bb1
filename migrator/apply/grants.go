package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
)

type rolesAPI interface {
	GetRolePolicy(context.Context, *iam.GetRolePolicyInput, ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error)
	PutRolePolicy(context.Context, *iam.PutRolePolicyInput, ...func(*iam.Options)) (*iam.PutRolePolicyOutput, error)
	SimulatePrincipalPolicy(context.Context, *iam.SimulatePrincipalPolicyInput, ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error)
}

// How long a new policy may take to count everywhere: IAM is eventually
// consistent (IAM user guide, "Changes that I make are not always immediately
// visible").
const (
	policyPatience = 2 * time.Minute
	policyInterval = 5 * time.Second

	// policyArrives is how long a new policy is given to reach the services besides:
	// IAM's simulation knows of it before they do.
	policyArrives = 15 * time.Second
)

const readAction = "secretsmanager:GetSecretValue"

// grant sees to it that the role may read its secrets.
func (r *run) grant(ctx context.Context, g plan.Grant) (Outcome, string, error) {
	if b := r.selection.blocked[g.Role]; b.Code != "" || g.ManagedBy != "" {
		// Somebody else has to do it, so it is only looked at.
		if r.DryRun {
			return Would, "looked at: " + cmp.Or(b.Remedy, "its owner has to add the policy"), nil
		}
		if err := r.awaitRights(ctx, g, 0); err != nil {
			return "", "", fmt.Errorf("%s: %s: %w", b.Problem, cmp.Or(b.Remedy, "its owner has to add the plan's policy"), err)
		}
		return Already, "", nil
	}
	have, err := r.policy(ctx, roleName(g.Role), g.PolicyName)
	if err != nil {
		return "", "", err
	}
	known := r.known.Grant(journal.Grant{Role: g.Role, PolicyName: g.PolicyName}.Key())
	ours := known.Status == journal.Granting || known.Status == journal.Granted
	want := g.Policy
	if ours {
		// A plan that was made later has what is missing alone.
		if want, err = joinPolicies(known.Policy, g.Policy); err != nil {
			return "", "", err
		}
	}
	switch same := samePolicy(have, want); {
	case same && (r.DryRun || !ours || known.Status == journal.Granted):
		return Already, "", r.awaitRights(ctx, g, policyPatience)
	case same: // of a run that was killed before it heard of it
	case have != "" && !(ours && (samePolicy(have, known.Policy) || samePolicy(have, known.Before))):
		return "", "", fmt.Errorf("the role has a policy of the name %s with other rights, which somebody else made or changed: remove or rename it", g.PolicyName)
	case r.DryRun:
		return Would, "allowed to read its secrets by the inline policy " + g.PolicyName, nil
	default:
		if err := r.addPolicy(ctx, g, want, have); err != nil {
			return "", "", err
		}
	}
	if err := r.record(journal.Entry{Grant: &journal.Grant{Role: g.Role, PolicyName: g.PolicyName, Policy: want, Status: journal.Granted}}); err != nil {
		return "", "", err
	}
	return Done, "may read its secrets by the inline policy " + g.PolicyName, r.awaitRights(ctx, g, policyPatience)
}

func (r *run) addPolicy(ctx context.Context, g plan.Grant, want, have string) error {
	if err := r.record(journal.Entry{Grant: &journal.Grant{Role: g.Role, PolicyName: g.PolicyName, Policy: want, Before: have, Status: journal.Granting}}); err != nil {
		return err
	}
	if _, err := r.roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String(roleName(g.Role)), PolicyName: &g.PolicyName, PolicyDocument: &want}); err != nil {
		return fmt.Errorf("add the inline policy %s: %w", g.PolicyName, refusal.Of(err))
	}
	r.granted = true
	return nil
}

// policy returns the text of the role's inline policy, or "" if there is none.
func (r *run) policy(ctx context.Context, role, name string) (string, error) {
	out, err := r.roles.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
	if missing := (&types.NoSuchEntityException{}); errors.As(err, &missing) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the inline policy %s: %w", name, refusal.Of(err))
	}
	// IAM encodes documents as URLs (RFC 3986).
	text, err := url.PathUnescape(aws.ToString(out.PolicyDocument))
	if err != nil {
		return "", fmt.Errorf("read the inline policy %s: %w", name, err)
	}
	return text, nil
}

// samePolicy tells whether two documents are the same JSON.
func samePolicy(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

type document struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid, Effect string
	Action      []string
	Resource    []string
	Condition   map[string]map[string]string `json:",omitempty"`
}

// joinPolicies adds to one of the plan's policies what another allows.
func joinPolicies(have, more string) (string, error) {
	var a, b document
	if err := errors.Join(json.Unmarshal([]byte(have), &a), json.Unmarshal([]byte(more), &b)); err != nil {
		return "", fmt.Errorf("read the plan's policy: %w", err)
	}
	for _, add := range b.Statement {
		i := slices.IndexFunc(a.Statement, func(s statement) bool {
			return s.Effect == add.Effect && slices.Equal(s.Action, add.Action) && reflect.DeepEqual(s.Condition, add.Condition)
		})
		if i < 0 {
			add.Sid = fmt.Sprintf("%s%d", add.Sid, len(a.Statement)) // a Sid must be unique
			a.Statement = append(a.Statement, add)
			continue
		}
		for _, resource := range add.Resource {
			if !slices.Contains(a.Statement[i].Resource, resource) {
				a.Statement[i].Resource = append(a.Statement[i].Resource, resource)
			}
		}
	}
	text, err := json.MarshalIndent(a, "", "  ")
	return string(text), err
}

// roleName is the last part of a role's ARN, which may have a path.
func roleName(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// awaitRights waits until IAM's simulation lets the role read the secrets.
func (r *run) awaitRights(ctx context.Context, g plan.Grant, patience time.Duration) error {
	var arns []string
	for _, name := range g.Secrets {
		if known := r.known.Secret(name); known.ARN != "" {
			arns = append(arns, known.ARN)
		}
	}
	if len(arns) == 0 {
		return nil
	}
	for waited := time.Duration(0); ; waited += policyInterval {
		denied, err := r.denied(ctx, g.Role, arns)
		if err != nil || denied == "" {
			return err
		}
		if waited >= patience {
			return fmt.Errorf("IAM still doesn't let it call %s on %s: look for a boundary or a policy that denies it", readAction, denied)
		}
		if err := r.Sleep(ctx, policyInterval); err != nil {
			return err
		}
	}
}

// denied names a secret that the role may not read, or "".
func (r *run) denied(ctx context.Context, role string, arns []string) (string, error) {
	in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &role, ActionNames: []string{readAction}, ResourceArns: arns}
	for {
		out, err := r.roles.SimulatePrincipalPolicy(ctx, in)
		if err != nil {
			return "", fmt.Errorf("ask IAM what the role may do: %w", refusal.Of(err))
		}
		for _, e := range out.EvaluationResults {
			if e.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed {
				return aws.ToString(e.EvalResourceName), nil
			}
		}
		if !out.IsTruncated {
			return "", nil
		}
		in.Marker = out.Marker
	}
}
