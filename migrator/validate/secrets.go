package validate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

type secretReader interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	valueReader
}

type valueReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// secret is what is known of a secret: digests, no value.
type secret struct {
	name    string
	arn     string
	key     string    // KMS key, as the secret names it; "": AWS's own
	version string    // the current one
	made    time.Time // when that version was
	rotated time.Time
	tags    map[string]string
	digests digests
	problem string // why it can't be read; "": it can
}

// digests are those of a secret's value: of the whole under "", and of the
// strings in its JSON object by key.
type digests map[string]string

func digestsOf(key digest.Key, text string) digests {
	found := digests{"": key.OfBytes([]byte(text))}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil {
		return found
	}
	for name, raw := range object {
		var field spec.Value
		if field.UnmarshalJSON(raw) == nil {
			found[name] = key.Of(field)
		} else {
			found[name] = key.OfBytes(raw) // a number or a boolean, as it stands
		}
	}
	return found
}

func (v *validation) checkSecrets(ctx context.Context) error {
	v.secrets = map[string]*secret{}
	return each(ctx, v.wantedSecrets(), func(ctx context.Context, wanted plan.Secret) error {
		found, err := v.readSecret(ctx, wanted.Name)
		if err != nil {
			return err
		}
		v.mu.Lock()
		v.secrets[wanted.Name] = found
		v.mu.Unlock()
		defer v.step()
		there := v.exists(wanted, found)
		v.add(there)
		if there.Result != Pass {
			return nil
		}
		equal, err := v.equal(ctx, wanted, found)
		if err != nil {
			return err
		}
		v.add(equal)
		return nil
	})
}

func (v *validation) readSecret(ctx context.Context, name string) (*secret, error) {
	s := &secret{name: name}
	described, err := v.secretAPI.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	if err != nil {
		s.problem = "it can't be described: " + code(err)
		return s, ctx.Err()
	}
	s.arn, s.key, s.tags = aws.ToString(described.ARN), aws.ToString(described.KmsKeyId), map[string]string{}
	s.rotated = aws.ToTime(described.LastRotatedDate)
	for _, tag := range described.Tags {
		s.tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	if described.DeletedDate != nil {
		s.problem = "it is scheduled for deletion"
		return s, nil
	}
	value, err := v.secretAPI.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		s.problem = "its value can't be read: " + code(err)
		return s, ctx.Err()
	}
	s.version, s.made = aws.ToString(value.VersionId), aws.ToTime(value.CreatedDate)
	s.digests = digestsOf(v.Key, text(value))
	return s, nil
}

// text is the value of a secret, byte for byte.
func text(value *secretsmanager.GetSecretValueOutput) string {
	if value.SecretString != nil {
		return *value.SecretString
	}
	return string(value.SecretBinary)
}

func (v *validation) exists(wanted plan.Secret, found *secret) Check {
	check := Check{Question: Exists, Subject: wanted.Name, Result: Pass, How: "reading it as the migrator"}
	if found.problem == "" {
		check.Detail = "version " + found.version
		return check
	}
	check.Result, check.Detail = Fail, found.problem
	check.Remedy = "Apply the plan, or see why the secret can't be read."
	if b := v.blocked(wanted.Name); b != nil {
		check.Detail, check.Remedy = found.problem+"; the plan says "+b.Code+": "+b.Problem, b.Remedy
	}
	return check
}

// equal compares the secret, the plan and the old places that are still there.
func (v *validation) equal(ctx context.Context, wanted plan.Secret, found *secret) (Check, error) {
	check := Check{Question: Equal, Subject: wanted.Name, How: "comparing keyed digests of the secret and of its old places"}
	var different []string // fields of the secret
	var changed, unread []string
	same, gone := 0, 0
	for _, value := range wanted.Values {
		if value.Digest == "" {
			continue // a constant
		}
		if found.digests[value.Field] != value.Digest {
			different = append(different, cmp.Or(value.Field, "the value"))
		}
		for _, place := range value.Places {
			old, err := v.readPlace(ctx, place)
			switch {
			case ctx.Err() != nil:
				return Check{}, ctx.Err()
			case err != nil:
				unread = append(unread, name(place)+" ("+code(err)+")")
			case old == nil:
				gone++
			case v.Key.Of(*old) == value.Digest:
				same++
			default:
				changed = append(changed, name(place))
			}
		}
	}
	count := fmt.Sprintf("%d old places hold the same, %d are gone", same, gone)
	rotated := v.rotated(found)
	switch {
	case len(changed) > 0:
		check.Result = Fail
		check.Detail = "somebody changed an old place since the plan was made: " + strings.Join(changed, ", ")
		check.Remedy = "Find out which value is right. If it is the old place's, put it into the secret; if it is the secret's, put the old place back or clean it up."
	case len(different) > 0 && rotated == "":
		check.Result = Fail
		check.Detail = "the secret holds something else than its old places: " + strings.Join(different, ", ")
		check.Remedy = "Find out which value is right: nothing tells of a rotation since the migration."
	case len(unread) > 0:
		check.Result = Unknown
		check.Detail = "old places can't be read: " + strings.Join(unread, ", ")
		check.Remedy = "Let the migrator read them: docs/migrating.md has the policy."
	case len(different) > 0:
		check.Result = Pass
		check.Detail = rotated + ", so its old places are outdated; " + count
	default:
		check.Result = Pass
		check.Detail = count
	}
	return check, nil
}

// rotated tells why the secret may hold something else than what the migration
// wrote, or "". A rotation is complete after it has made its version; one that is
// newer than the last rotation was put by somebody.
func (v *validation) rotated(s *secret) string {
	wrote, known := v.Versions[s.name]
	switch {
	case s.rotated.IsZero(), s.made.After(s.rotated), known && wrote == s.version:
		return ""
	default:
		return "it was rotated at " + moment(s.rotated)
	}
}
