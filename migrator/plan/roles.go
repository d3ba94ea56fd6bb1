package plan

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	detailsPageSize = 1000 // the most that GetAccountAuthorizationDetails gives

	readAction = "secretsmanager:GetSecretValue"
)

type roleReader interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	iam.GetAccountAuthorizationDetailsAPIClient
	iam.SimulatePrincipalPolicyAPIClient
}

// readRoles finds out what the roles of the draft may read. One listing gives all
// roles with their policies, so that most needn't be asked about one by one.
func (r *factReader) readRoles(ctx context.Context) error {
	wants := map[string][]Secret{}
	byName := map[string]Secret{}
	for _, s := range r.draft.Secrets {
		byName[s.Name] = s
	}
	for _, s := range r.draft.Services {
		if s.Role == "" {
			continue
		}
		for _, name := range secretsOf(s) {
			if !slices.ContainsFunc(wants[s.Role], func(has Secret) bool { return has.Name == name }) {
				wants[s.Role] = append(wants[s.Role], byName[name])
			}
		}
	}
	if len(wants) == 0 {
		return nil
	}
	known, err := r.listRoles(ctx)
	switch {
	case isDenied(err):
		known = nil // they are read one by one
	case err != nil:
		return fmt.Errorf("list the roles with their policies: %w", err)
	}
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, arn := range sortedKeys(wants) {
		group.Go(func() error {
			role, err := r.readRole(ctx, arn, wants[arn], known)
			if err != nil {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.facts.Roles[arn] = role
			done++
			r.progress("roles", done, len(wants))
			return nil
		})
	}
	return group.Wait()
}

// listedRole is what a listing tells of a role.
type listedRole struct {
	tags    map[string]string
	mayRead bool // one of its policies allows reading some secret, or isn't known
	inline  int  // see Role.Inline
}

func (r *factReader) listRoles(ctx context.Context) (map[string]listedRole, error) {
	var details []types.RoleDetail
	allows := map[string]bool{} // managed policies, by ARN
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(r.roles, &iam.GetAccountAuthorizationDetailsInput{
		MaxItems: aws.Int32(detailsPageSize),
		Filter:   []types.EntityType{types.EntityTypeRole, types.EntityTypeLocalManagedPolicy, types.EntityTypeAWSManagedPolicy},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		details = append(details, page.RoleDetailList...)
		for _, p := range page.Policies {
			for _, v := range p.PolicyVersionList {
				if v.IsDefaultVersion {
					allows[aws.ToString(p.Arn)] = allowsReading(aws.ToString(v.Document))
				}
			}
		}
		r.progress("roles with their policies", len(details), 0)
	}
	roles := map[string]listedRole{}
	for _, d := range details {
		role := listedRole{tags: roleTags(d.Tags)}
		for _, p := range d.RolePolicyList {
			role.mayRead = role.mayRead || allowsReading(aws.ToString(p.PolicyDocument))
			if text, err := url.PathUnescape(aws.ToString(p.PolicyDocument)); err == nil {
				role.inline += policySize(text)
			}
		}
		for _, p := range d.AttachedManagedPolicies {
			allowed, known := allows[aws.ToString(p.PolicyArn)]
			role.mayRead = role.mayRead || allowed || !known
		}
		roles[aws.ToString(d.Arn)] = role
	}
	return roles, nil
}

func roleTags(list []types.Tag) map[string]string {
	tags := map[string]string{}
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

// readRole looks at one role. known is the listing, or nil.
func (r *factReader) readRole(ctx context.Context, arn string, secrets []Secret, known map[string]listedRole) (Role, error) {
	name := lastSegment(arn)
	listed, ok := known[arn]
	switch {
	case known != nil && !ok:
		return Role{Missing: true}, nil
	case known == nil:
		out, err := r.roles.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
		switch {
		case codeOf(err) == "NoSuchEntity":
			return Role{Missing: true}, nil
		case isDenied(err):
			return Role{Unread: "the role can't be read: " + codeOf(err)}, nil
		case err != nil:
			return Role{}, fmt.Errorf("read role %s: %w", name, err)
		}
		listed = listedRole{tags: roleTags(out.Role.Tags), mayRead: true}
	}
	role := Role{ManagedBy: discover.Function{Tags: listed.tags}.ManagedBy(), Inline: listed.inline}
	if !listed.mayRead {
		return role, nil
	}
	var err error
	if role.Readable, err = r.readable(ctx, arn, secrets); isDenied(err) {
		role.Unread = "IAM can't be asked: " + codeOf(err)
	} else if err != nil {
		return Role{}, fmt.Errorf("ask IAM what role %s may read: %w", name, err)
	}
	return role, nil
}

// readable returns which of the secrets a role may read and decrypt.
func (r *factReader) readable(ctx context.Context, role string, secrets []Secret) ([]string, error) {
	byARN := map[string]Secret{}
	var arns []string
	for _, s := range secrets {
		arn := r.arnOf(s.Name)
		byARN[arn] = s
		arns = append(arns, arn)
	}
	results, err := r.simulate(ctx, role, readAction, arns, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, arn := range arns {
		result := results[arn]
		if !result.allowed && result.wantsTags {
			again, err := r.simulate(ctx, role, readAction, []string{arn}, tagContext(byARN[arn].Tags))
			if err != nil {
				return nil, err
			}
			result = again[arn]
		}
		if !result.allowed {
			continue
		}
		decrypts, err := r.decrypts(ctx, role, arn)
		if err != nil {
			return nil, err
		}
		if decrypts {
			names = append(names, byARN[arn].Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// decrypts tells whether a role may use the key for a secret. Secrets Manager
// asks KMS on the caller's behalf, with the secret's ARN as context (Secrets
// Manager user guide, "Secrets Manager encryption context").
func (r *factReader) decrypts(ctx context.Context, role, secret string) (bool, error) {
	if r.facts.KeyARN == "" {
		return false, nil
	}
	results, err := r.simulate(ctx, role, "kms:Decrypt", []string{r.facts.KeyARN}, []types.ContextEntry{
		textContext("kms:ViaService", "secretsmanager."+r.draft.Region+".amazonaws.com"),
		textContext("kms:CallerAccount", r.draft.Account),
		textContext("kms:EncryptionContext:SecretARN", secret),
		{
			ContextKeyName: aws.String("kms:ResourceAliases"), ContextKeyType: types.ContextKeyTypeEnumStringList,
			ContextKeyValues: []string{r.draft.KMSKey},
		},
	})
	return results[r.facts.KeyARN].allowed, err
}

// arnOf is a secret's ARN. One that isn't there yet gets six characters of its
// own at the end, which stand for any.
func (r *factReader) arnOf(name string) string {
	if e := r.facts.Secrets[name]; e.ARN != "" {
		return e.ARN
	}
	return fmt.Sprintf("arn:%s:secretsmanager:%s:%s:secret:%s-Ab1Cd2", spec.Partition(r.draft.Region), r.draft.Region, r.draft.Account, name)
}

type simulated struct {
	allowed   bool
	wantsTags bool // a condition asked for the resource's tags, which the call didn't bring
}

// simulate asks about an action on each of the resources. The answer on one of
// several is among the resource-specific results (IAM API reference,
// ResourceSpecificResult), or a result of its own.
func (r *factReader) simulate(ctx context.Context, role, action string, resources []string, context []types.ContextEntry) (map[string]simulated, error) {
	results := map[string]simulated{}
	take := func(resource *string, decision types.PolicyEvaluationDecisionType, missing []string) {
		results[aws.ToString(resource)] = simulated{
			allowed: decision == types.PolicyEvaluationDecisionTypeAllowed,
			wantsTags: slices.ContainsFunc(missing, func(key string) bool {
				return strings.Contains(strings.ToLower(key), "resourcetag/")
			}),
		}
	}
	pages := iam.NewSimulatePrincipalPolicyPaginator(r.roles, &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: &role, ActionNames: []string{action}, ResourceArns: resources, ContextEntries: context,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range page.EvaluationResults {
			take(e.EvalResourceName, e.EvalDecision, e.MissingContextValues)
		}
		for _, e := range page.EvaluationResults {
			for _, one := range e.ResourceSpecificResults {
				take(one.EvalResourceName, one.EvalResourceDecision, one.MissingContextValues)
			}
		}
	}
	return results, nil
}

// tagContext is what conditions on a secret's tags see (Secrets Manager user
// guide, "Condition keys").
func tagContext(tags map[string]string) []types.ContextEntry {
	var entries []types.ContextEntry
	for _, key := range sortedKeys(tags) {
		entries = append(entries, textContext("aws:ResourceTag/"+key, tags[key]), textContext("secretsmanager:ResourceTag/"+key, tags[key]))
	}
	return entries
}

func textContext(key, value string) types.ContextEntry {
	return types.ContextEntry{ContextKeyName: &key, ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{value}}
}
