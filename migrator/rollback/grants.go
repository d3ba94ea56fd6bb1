package rollback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/apply/steps"
	"github.com/aistudio/secrets/migrator/journal"
)

type rolesAPI interface {
	GetRolePolicy(context.Context, *iam.GetRolePolicyInput, ...func(*iam.Options)) (*iam.GetRolePolicyOutput, error)
	DeleteRolePolicy(context.Context, *iam.DeleteRolePolicyInput, ...func(*iam.Options)) (*iam.DeleteRolePolicyOutput, error)
}

// grants are the policies that the migration added to the roles of what is rolled
// back, or of all if all is.
func (r *run) grants() []journal.Grant {
	var list []journal.Grant
	for _, g := range r.known.Grants {
		if g.Status == journal.Revoked {
			continue
		}
		if len(r.Only) == 0 || slices.ContainsFunc(r.services, func(s journal.Service) bool { return s.Role == g.Role }) {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b journal.Grant) int { return strings.Compare(a.Key(), b.Key()) })
	return list
}

// revoke removes a policy that nobody needs any more.
func (r *run) revoke(ctx context.Context, g journal.Grant) (steps.Outcome, string, error) {
	if other := r.using(func(s journal.Service) bool { return s.Role == g.Role }); other != "" {
		return steps.Already, "kept: " + other + " uses it", nil
	}
	role := g.Role[strings.LastIndexByte(g.Role, '/')+1:]
	out, err := r.roles.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &g.PolicyName})
	missing := &types.NoSuchEntityException{}
	gone := errors.As(err, &missing)
	if err != nil && !gone {
		return "", "", fmt.Errorf("read the inline policy %s: %w", g.PolicyName, refusal.Of(err))
	}
	if !gone && !ours(aws.ToString(out.PolicyDocument), g) {
		return "", "", fmt.Errorf("somebody else has changed the inline policy %s: remove it by hand if nobody needs it", g.PolicyName)
	}
	if r.DryRun {
		return steps.Would, "the inline policy " + g.PolicyName + " removed", nil
	}
	g.Status = journal.Revoking
	if err := r.record(journal.Entry{Grant: &g}); err != nil {
		return "", "", err
	}
	if !gone {
		_, err := r.roles.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &g.PolicyName})
		if err != nil && !errors.As(err, &missing) {
			return "", "", fmt.Errorf("remove the inline policy %s: %w", g.PolicyName, refusal.Of(err))
		}
	}
	g.Status = journal.Revoked
	return steps.Done, "removed the inline policy " + g.PolicyName, r.record(journal.Entry{Grant: &g})
}

// ours tells whether the document, which IAM encodes as a URL, is the migration's.
func ours(encoded string, g journal.Grant) bool {
	text, err := url.PathUnescape(encoded)
	if err != nil {
		return false
	}
	var have any
	if json.Unmarshal([]byte(text), &have) != nil {
		return false
	}
	for _, mine := range []string{g.Policy, g.Before} {
		var want any
		if json.Unmarshal([]byte(mine), &want) == nil && reflect.DeepEqual(have, want) {
			return true
		}
	}
	return false
}
