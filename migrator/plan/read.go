package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	atOnce    = 8  // calls to a service under way; the quotas decide how fast
	batchSize = 20 // the most that BatchGetSecretValue takes
	pageSize  = 100

	detailsPageSize = 1000 // the most that GetAccountAuthorizationDetails gives

	readAction = "secretsmanager:GetSecretValue"
)

type secretReader interface {
	secretsmanager.ListSecretsAPIClient
	BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error)
}

type keyReader interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
}

type roleReader interface {
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	iam.GetAccountAuthorizationDetailsAPIClient
	iam.SimulatePrincipalPolicyAPIClient
}

// Progress is told of every step: what is read, how many are done and of how
// many. It is called by one goroutine at a time.
type Progress func(what string, done, total int)

// factReader reads facts for one plan.
type factReader struct {
	secrets secretReader
	keys    keyReader
	roles   roleReader
	key     digest.Key
	draft   Plan
	tell    Progress

	mu    sync.Mutex
	facts Facts
}

// ReadFacts asks AWS for what a plan depends on, given a draft of it: a plan that
// was made with the zero Facts. It writes nothing. Calls wait for nothing but
// AWS: pass a configuration made by the package quota to stay under AWS's quotas.
// progress may be nil.
//
// The values of secrets that have a name of the plan, or whose keys task
// definitions refer to, are read to compare them by their digests.
func ReadFacts(ctx context.Context, config aws.Config, draft Plan, estate discover.Estate, key digest.Key, progress Progress) (Facts, error) {
	r := &factReader{
		secrets: secretsmanager.NewFromConfig(config), keys: kms.NewFromConfig(config), roles: iam.NewFromConfig(config),
		key: key, draft: draft, tell: progress,
		facts: Facts{Known: true, Secrets: map[string]Existing{}, Roles: map[string]Role{}},
	}
	if err := r.readKey(ctx); err != nil {
		return Facts{}, err
	}
	if err := r.readSecrets(ctx, estate); err != nil {
		return Facts{}, err
	}
	// Last, since what a role may read is asked by the secrets' ARNs.
	if err := r.readRoles(ctx); err != nil {
		return Facts{}, err
	}
	return r.facts, nil
}

func (r *factReader) progress(what string, done, total int) {
	if r.tell != nil {
		r.tell(what, done, total)
	}
}

func (r *factReader) readKey(ctx context.Context) error {
	out, err := r.keys.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &r.draft.KMSKey})
	switch {
	case codeOf(err) == "NotFoundException":
		return nil
	case err != nil:
		return fmt.Errorf("look for the KMS key %s: %w", r.draft.KMSKey, err)
	}
	if state := out.KeyMetadata.KeyState; state != kmstypes.KeyStateEnabled {
		r.facts.KeyWhy = "its state is " + string(state)
		return nil
	}
	r.facts.KeyARN = aws.ToString(out.KeyMetadata.Arn)
	return nil
}

// readSecrets lists the secrets of the stack, those scheduled for deletion too,
// and reads the values that matter.
func (r *factReader) readSecrets(ctx context.Context, estate discover.Estate) error {
	wanted := map[string]bool{}
	for _, s := range r.draft.Secrets {
		wanted[s.Name] = true
	}
	var toRead []string
	seen := 0
	pages := secretsmanager.NewListSecretsPaginator(r.secrets, &secretsmanager.ListSecretsInput{
		IncludePlannedDeletion: aws.Bool(true), MaxResults: aws.Int32(pageSize),
		Filters: []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{r.draft.Organization + "/" + r.draft.Environment + "/"}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list the secrets that there are: %w", err)
		}
		for _, s := range page.SecretList {
			name := aws.ToString(s.Name)
			if !wanted[name] {
				continue
			}
			e := Existing{ARN: aws.ToString(s.ARN)}
			for _, tag := range s.Tags {
				if aws.ToString(tag.Key) == spec.TagManagedBy {
					e.ManagedBy = aws.ToString(tag.Value)
				}
			}
			for _, stages := range s.SecretVersionsToStages {
				e.HasValue = e.HasValue || slices.Contains(stages, "AWSCURRENT")
			}
			if s.DeletedDate != nil {
				e.Deleted = *s.DeletedDate
			} else if e.HasValue {
				toRead = append(toRead, e.ARN)
			}
			r.facts.Secrets[name] = e
		}
		seen += len(page.SecretList)
		r.progress("secrets", seen, 0)
	}
	for _, d := range estate.TaskDefinitions {
		for _, c := range d.Containers {
			for _, i := range c.Injected {
				if arn, _, ok := injectedKey(i.ValueFrom); ok {
					toRead = append(toRead, arn)
				}
			}
		}
	}
	toRead = sortedUnique(toRead)
	done := 0
	for batch := range slices.Chunk(toRead, batchSize) {
		if err := r.readValues(ctx, batch); err != nil {
			return err
		}
		done += len(batch)
		r.progress("values of secrets", done, len(toRead))
	}
	return nil
}

func (r *factReader) readValues(ctx context.Context, arns []string) error {
	pages := secretsmanager.NewBatchGetSecretValuePaginator(r.secrets, &secretsmanager.BatchGetSecretValueInput{SecretIdList: arns})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read the values of %d secrets from %s: %w", len(arns), arns[0], err)
		}
		for _, v := range page.SecretValues {
			r.takeValue(v)
		}
		for _, failed := range page.Errors {
			name := secretName(aws.ToString(failed.SecretId))
			e := r.facts.Secrets[name]
			e.ARN, e.Unread = aws.ToString(failed.SecretId), aws.ToString(failed.ErrorCode)
			r.facts.Secrets[name] = e
		}
	}
	return nil
}

func (r *factReader) takeValue(v types.SecretValueEntry) {
	value := spec.NewValue(v.SecretBinary)
	if v.SecretString != nil {
		value = spec.ValueString(*v.SecretString)
	}
	name := aws.ToString(v.Name)
	e := r.facts.Secrets[name]
	e.ARN, e.HasValue, e.Digest, e.Fields = aws.ToString(v.ARN), true, r.key.Of(value), fieldDigests(value, r.key)
	r.facts.Secrets[name] = e
}

// fieldDigests are those of a JSON object's top-level texts and numbers, as ECS
// injects them. Of others only the key is there.
func fieldDigests(value spec.Value, key digest.Key) map[string]string {
	var object map[string]json.RawMessage
	if json.Unmarshal(value.Reveal(), &object) != nil {
		return nil
	}
	digests := map[string]string{}
	for name, raw := range object {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		digests[name] = key.OfBytes([]byte(text))
	}
	return digests
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
}

func (r *factReader) listRoles(ctx context.Context) (map[string]listedRole, error) {
	var details []iamtypes.RoleDetail
	allows := map[string]bool{} // managed policies, by ARN
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(r.roles, &iam.GetAccountAuthorizationDetailsInput{
		MaxItems: aws.Int32(detailsPageSize),
		Filter:   []iamtypes.EntityType{iamtypes.EntityTypeRole, iamtypes.EntityTypeLocalManagedPolicy, iamtypes.EntityTypeAWSManagedPolicy},
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
		}
		for _, p := range d.AttachedManagedPolicies {
			allowed, known := allows[aws.ToString(p.PolicyArn)]
			role.mayRead = role.mayRead || allowed || !known
		}
		roles[aws.ToString(d.Arn)] = role
	}
	return roles, nil
}

func roleTags(list []iamtypes.Tag) map[string]string {
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
	role := Role{ManagedBy: discover.Function{Tags: listed.tags}.ManagedBy()}
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
	results, err := r.simulate(ctx, role, "kms:Decrypt", []string{r.facts.KeyARN}, []iamtypes.ContextEntry{
		textContext("kms:ViaService", "secretsmanager."+r.draft.Region+".amazonaws.com"),
		textContext("kms:CallerAccount", r.draft.Account),
		textContext("kms:EncryptionContext:SecretARN", secret),
		{
			ContextKeyName: aws.String("kms:ResourceAliases"), ContextKeyType: iamtypes.ContextKeyTypeEnumStringList,
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
	return fmt.Sprintf("arn:%s:secretsmanager:%s:%s:secret:%s-Ab1Cd2", partitionOf(r.draft.Region), r.draft.Region, r.draft.Account, name)
}

type simulated struct {
	allowed   bool
	wantsTags bool // a condition asked for the resource's tags, which the call didn't bring
}

// simulate asks about an action on each of the resources. The answer on one of
// several is among the resource-specific results (IAM API reference,
// ResourceSpecificResult), or a result of its own.
func (r *factReader) simulate(ctx context.Context, role, action string, resources []string, context []iamtypes.ContextEntry) (map[string]simulated, error) {
	results := map[string]simulated{}
	take := func(resource *string, decision iamtypes.PolicyEvaluationDecisionType, missing []string) {
		results[aws.ToString(resource)] = simulated{
			allowed: decision == iamtypes.PolicyEvaluationDecisionTypeAllowed,
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
func tagContext(tags map[string]string) []iamtypes.ContextEntry {
	var entries []iamtypes.ContextEntry
	for _, key := range sortedKeys(tags) {
		entries = append(entries, textContext("aws:ResourceTag/"+key, tags[key]), textContext("secretsmanager:ResourceTag/"+key, tags[key]))
	}
	return entries
}

func textContext(key, value string) iamtypes.ContextEntry {
	return iamtypes.ContextEntry{ContextKeyName: &key, ContextKeyType: iamtypes.ContextKeyTypeEnumString, ContextKeyValues: []string{value}}
}

// codeOf is an error's code: AWS's messages may quote what was sent.
func codeOf(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func isDenied(err error) bool {
	return slices.Contains([]string{"AccessDenied", "AccessDeniedException"}, codeOf(err))
}
