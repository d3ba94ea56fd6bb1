package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	atOnce    = 8  // calls to a service under way; the quotas decide how fast
	batchSize = 20 // the most that BatchGetSecretValue takes
	pageSize  = 100
	patience  = 10 // attempts at a call of IAM, with pauses of up to 20 seconds between
)

type secretReader interface {
	secretsmanager.ListSecretsAPIClient
	BatchGetSecretValue(context.Context, *secretsmanager.BatchGetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.BatchGetSecretValueOutput, error)
}

type keyReader interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
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
		secrets: secretsmanager.NewFromConfig(config), keys: kms.NewFromConfig(config),
		// IAM documents no request rates, and its simulation is throttled early.
		roles: iam.NewFromConfig(config, func(o *iam.Options) { o.RetryMaxAttempts = patience }),
		key:   key, draft: draft, tell: progress,
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
