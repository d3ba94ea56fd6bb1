package apply

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

type secretsAPI interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
	RestoreSecret(context.Context, *secretsmanager.RestoreSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.RestoreSecretOutput, error)
}

const (
	current = "AWSCURRENT"

	// arriving labels a value on its way into a secret that exists. Under a label
	// of its own it can't push aside a value that somebody else puts at the same
	// time; the first version of a secret gets AWSCURRENT with it (Secrets Manager
	// API reference, PutSecretValue).
	arriving = "MIGRATION"
)

// How long a replica may take to get a secret.
const (
	replicaPatience = 5 * time.Minute
	replicaInterval = 5 * time.Second
)

// holds tells whether an earlier run gave the secret what the plan has for it.
func (r *run) holds(s plan.Secret) bool {
	known := r.known.Secret(s.Name)
	return (known.Status == journal.Written || known.Status == journal.Adopted) && known.Source == r.source(s)
}

// source is a digest of what the plan says of the secret's values.
func (r *run) source(s plan.Secret) string {
	var all []string
	for _, v := range s.Values {
		all = append(all, v.Field, v.Constant, v.Digest)
	}
	text, _ := json.Marshal(all) // strings always marshal
	return r.Key.OfBytes(text)
}

// secret sees to it that the secret is there and has the plan's value.
func (r *run) secret(ctx context.Context, s plan.Secret) (Outcome, string, error) {
	found, err := r.describe(ctx, s.Name)
	if err != nil {
		return "", "", err
	}
	known := r.known.Secret(s.Name)
	if found != nil && r.holds(s) && found.current == known.Version {
		return Already, "", r.finish(ctx, known, found)
	}
	if found != nil && found.deletion != nil {
		if known.Status != journal.Deleted && known.Status != journal.Deleting && known.Status != journal.Restoring {
			return "", "", fmt.Errorf("a secret of this name is scheduled for deletion on %s: restore it (aws secretsmanager restore-secret --secret-id %s), or give it another name in the plan", found.deletion.Format(time.DateOnly), s.Name)
		}
		if r.DryRun {
			return Would, "restored, since the rollback scheduled it for deletion, and filled", nil
		}
		if known, err = r.undelete(ctx, known); err != nil {
			return "", "", err
		}
		if found, err = r.describe(ctx, s.Name); err != nil {
			return "", "", err
		}
	}
	value, err := r.compose(ctx, s)
	if err != nil {
		return "", "", err
	}
	defer clear(value)
	if found == nil {
		if r.DryRun {
			return Would, "created", nil
		}
		return r.create(ctx, s, known, value)
	}
	return r.fill(ctx, s, known, found, value)
}

// described is what DescribeSecret tells.
type described struct {
	arn      string
	current  string // id of the current version; "": there is no value
	arriving string // id of the version with that label
	deletion *time.Time
	replicas []types.ReplicationStatusType
}

// describe returns nil if there is no secret of the name.
func (r *run) describe(ctx context.Context, name string) (*described, error) {
	out, err := r.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	if missing := (&types.ResourceNotFoundException{}); errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", refusal.Of(err))
	}
	d := &described{arn: aws.ToString(out.ARN), deletion: out.DeletedDate, replicas: out.ReplicationStatus}
	for version, stages := range out.VersionIdsToStages {
		if slices.Contains(stages, current) {
			d.current = version
		}
		if slices.Contains(stages, arriving) {
			d.arriving = version
		}
	}
	return d, nil
}

// compose returns the secret's bytes, from the places where its values are.
func (r *run) compose(ctx context.Context, s plan.Secret) ([]byte, error) {
	want := map[plan.Place]string{}
	for _, v := range s.Values {
		for _, p := range v.Places {
			want[p] = v.Digest
		}
	}
	value, err := s.Assemble(func(p plan.Place) (spec.Value, error) {
		value, err := r.places.Read(ctx, p)
		if err == nil && r.Key.Of(value) != want[p] {
			err = errors.New("it has changed since the plan was made: make a new plan")
		}
		return value, err
	})
	if err != nil {
		return nil, err
	}
	return value.Reveal(), nil
}

// token is the request token, and with it the version's id, of an attempt to
// give a secret its value. It is the same when a run that was killed is run
// again, and tells nothing of the value.
func (r *run) token(name string, attempt int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%d", r.plan.Stack, r.plan.Account, r.plan.Region, name, attempt))
	return hex.EncodeToString(sum[:16])
}

// attempt is the entry of what is about to be written: the attempt of a run that
// was killed, or the next one.
func (r *run) attempt(s plan.Secret, known journal.Secret, value []byte) journal.Secret {
	next := known
	next.Name, next.Digest, next.Source = s.Name, r.Key.OfBytes(value), r.source(s)
	if known.Status != journal.Writing || known.Digest != next.Digest {
		next.Attempt++
	}
	next.Status = journal.Writing
	return next
}

func (r *run) create(ctx context.Context, s plan.Secret, known journal.Secret, value []byte) (Outcome, string, error) {
	next := r.attempt(s, known, value)
	next.Made = true
	if err := r.record(journal.Entry{Secret: &next}); err != nil {
		return "", "", err
	}
	text, binary := payload(value)
	in := &secretsmanager.CreateSecretInput{
		Name: &s.Name, ClientRequestToken: aws.String(r.token(s.Name, next.Attempt)),
		SecretString: text, SecretBinary: binary,
	}
	if r.plan.KMSKey != "" {
		in.KmsKeyId = &r.plan.KMSKey
	}
	if s.Description != "" {
		in.Description = &s.Description
	}
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: aws.String(s.Tags[key])})
	}
	out, err := r.secrets.CreateSecret(ctx, in)
	if exists := (&types.ResourceExistsException{}); errors.As(err, &exists) {
		return "", "", errors.New("somebody else made a secret of this name at this moment: run again to compare the two")
	}
	if err != nil {
		return "", "", fmt.Errorf("create the secret: %w", refusal.Of(err))
	}
	next.ARN, next.Version = aws.ToString(out.ARN), aws.ToString(out.VersionId)
	return r.written(ctx, next, journal.Written, "created")
}

// payload is text where the value is text, which is what most readers take.
func payload(value []byte) (*string, []byte) {
	if utf8.Valid(value) {
		return aws.String(string(value)), nil
	}
	return nil, value
}

// fill gives a secret that exists the value, unless it has it, or has another.
func (r *run) fill(ctx context.Context, s plan.Secret, known journal.Secret, found *described, value []byte) (Outcome, string, error) {
	token := r.token(s.Name, known.Attempt)
	mine := known.Version
	if known.Status == journal.Writing && found.current == token && known.Attempt > 0 {
		mine = token // of a run that was killed before it heard of it
	}
	next := r.attempt(s, known, value)
	next.ARN = found.arn
	if found.current != "" {
		held, err := r.read(ctx, s.Name, found.current)
		if err != nil {
			return "", "", err
		}
		same := r.same(s, held)
		next.Digest = r.Key.OfBytes(held)
		clear(held)
		switch {
		case same && found.current == mine:
			next.Attempt, next.Version = known.Attempt, mine
			if r.DryRun {
				return Already, "", nil
			}
			return r.written(ctx, next, journal.Written, madeOrFilled(next))
		case same:
			next.Attempt, next.Version, next.Made = known.Attempt, found.current, false
			if r.DryRun {
				return Would, "adopted: it has this value already", nil
			}
			return r.written(ctx, next, journal.Adopted, "adopted: it had this value already")
		case found.current != mine:
			return "", "", errors.New("the secret exists and has another value: give it another name in the plan, or settle with its owner which value is right")
		}
		next.Digest = r.Key.OfBytes(value)
	}
	if r.DryRun {
		return Would, "given its value", nil
	}
	if err := r.record(journal.Entry{Secret: &next}); err != nil {
		return "", "", err
	}
	version, err := r.put(ctx, s.Name, r.token(s.Name, next.Attempt), found.current, value)
	if err != nil {
		return "", "", err
	}
	next.Version = version
	return r.written(ctx, next, journal.Written, "given its value")
}

func madeOrFilled(s journal.Secret) string {
	if s.Made {
		return "created"
	}
	return "given its value"
}

// put makes the value the current one, in the place of before or of none, and of
// no other.
func (r *run) put(ctx context.Context, name, token, before string, value []byte) (string, error) {
	text, binary := payload(value)
	out, err := r.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &name, ClientRequestToken: &token, VersionStages: []string{arriving}, SecretString: text, SecretBinary: binary,
	})
	if err != nil {
		return "", fmt.Errorf("give the secret its value: %w", refusal.Of(err))
	}
	if slices.Contains(out.VersionStages, current) {
		return token, nil
	}
	if before == "" {
		return "", errors.Join(errors.New("somebody else gave the secret a value at this moment, which stays: run again to compare the two"), r.unlabel(ctx, name, token))
	}
	_, err = r.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &name, VersionStage: aws.String(current), RemoveFromVersionId: &before, MoveToVersionId: &token,
	})
	if err != nil {
		return "", fmt.Errorf("make the new value the secret's current one: %w", refusal.Of(err))
	}
	return token, nil
}

func (r *run) unlabel(ctx context.Context, name, version string) error {
	_, err := r.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &name, VersionStage: aws.String(arriving), RemoveFromVersionId: &version,
	})
	if err != nil {
		return fmt.Errorf("take the label %s away: %w", arriving, refusal.Of(err))
	}
	return nil
}

// written reads the secret back, compares, and takes it down.
func (r *run) written(ctx context.Context, s journal.Secret, status journal.Status, detail string) (Outcome, string, error) {
	if status == journal.Written {
		held, err := r.read(ctx, s.Name, s.Version)
		if err != nil {
			return "", "", err
		}
		same := r.Key.OfBytes(held) == s.Digest
		clear(held)
		if !same {
			return "", "", errors.New("read back, the secret has another value than was written: don't use it, and find out who else writes it")
		}
	}
	found, err := r.describe(ctx, s.Name)
	if err != nil {
		return "", "", err
	}
	if found == nil || found.current != s.Version {
		return "", "", errors.New("somebody else gave the secret another value at this moment: run again to compare the two")
	}
	s.Status = status
	if err := r.record(journal.Entry{Secret: &s}); err != nil {
		return "", "", err
	}
	return Done, detail, r.finish(ctx, s, found)
}

// finish takes the label of the way away and waits for the replicas.
func (r *run) finish(ctx context.Context, s journal.Secret, found *described) error {
	if r.DryRun {
		return nil
	}
	if found.arriving != "" {
		if err := r.unlabel(ctx, s.Name, found.arriving); err != nil {
			return err
		}
	}
	for waited := time.Duration(0); ; waited += replicaInterval {
		late := ""
		for _, replica := range found.replicas {
			switch replica.Status {
			case types.StatusTypeInSync:
			case types.StatusTypeFailed:
				return fmt.Errorf("its replica in %s failed: see aws secretsmanager describe-secret --secret-id %s, mend it, and run again", aws.ToString(replica.Region), s.Name)
			default:
				late = aws.ToString(replica.Region)
			}
		}
		if late == "" {
			return nil
		}
		if waited >= replicaPatience {
			return fmt.Errorf("its replica in %s isn't in step after %s: run again later", late, replicaPatience)
		}
		if err := r.Sleep(ctx, replicaInterval); err != nil {
			return err
		}
		var err error
		if found, err = r.describe(ctx, s.Name); err != nil {
			return err
		}
		if found == nil {
			return errors.New("somebody deleted the secret at this moment")
		}
	}
}

// undelete takes back what a rollback did.
func (r *run) undelete(ctx context.Context, known journal.Secret) (journal.Secret, error) {
	known.Status = journal.Restoring
	if err := r.record(journal.Entry{Secret: &known}); err != nil {
		return known, err
	}
	if _, err := r.secrets.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: &known.Name}); err != nil {
		return known, fmt.Errorf("restore the secret, which a rollback scheduled for deletion: %w", refusal.Of(err))
	}
	known.Status = journal.Restored
	return known, r.record(journal.Entry{Secret: &known})
}

func (r *run) read(ctx context.Context, name, version string) ([]byte, error) {
	out, err := r.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionId: &version})
	if err != nil {
		return nil, fmt.Errorf("read the secret's value: %w", refusal.Of(err))
	}
	return bytesOf(out), nil
}

func bytesOf(out *secretsmanager.GetSecretValueOutput) []byte {
	if out.SecretString != nil {
		return []byte(*out.SecretString)
	}
	return out.SecretBinary
}

// same tells whether the bytes are the plan's value: whole, or each of the plan's
// fields in a JSON object, which may have more.
func (r *run) same(s plan.Secret, held []byte) bool {
	if len(s.Values) == 1 && s.Values[0].Field == "" {
		return r.Key.OfBytes(held) == s.Values[0].Digest
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(held, &object) != nil {
		return false
	}
	for _, v := range s.Values {
		text, ok := scalar(object[v.Field])
		if !ok || len(v.Places) == 0 && text != v.Constant || len(v.Places) > 0 && r.Key.OfBytes([]byte(text)) != v.Digest {
			return false
		}
	}
	return true
}

// scalar is the text of a JSON string, number or boolean.
func scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || bytes.ContainsAny(raw[:1], "{[n") {
		return "", false
	}
	if raw[0] != '"' {
		return string(raw), true
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err == nil
}
