// Package remedy mends what can be mended safely. It plans first, and does only
// what the policy switches on, rule by rule. Every act is written to a journal
// with its way back before it is done. No act deletes anything.
package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/rules"
	"github.com/aistudio/secrets/sdk/spec"
)

// Act is one change to one secret.
type Act struct {
	Rule    string            `json:"rule"`
	Secret  string            `json:"secret"` // ARN
	Region  string            `json:"region"`
	Do      Operation         `json:"do"`
	Why     string            `json:"why"`
	Tags    map[string]string `json:"tags,omitempty"`    // of Tag and Untag
	Version string            `json:"version,omitempty"` // of ClearPending and PutPending: the version
	Rotate  *Rotate           `json:"rotation,omitempty"`
	To      []string          `json:"regions,omitempty"` // of Replicate
	Undo    Operation         `json:"undo,omitempty"`    // empty: nothing to take back
}

// Rotate is a rotation's configuration.
type Rotate struct {
	Function string `json:"function"`
	Schedule string `json:"schedule"`
}

// Operation is what an act does.
type Operation string

// The operations. None of them deletes anything.
const (
	Tag            Operation = "tag"
	Untag          Operation = "untag"           // takes back tags that Tag set
	EnableRotation Operation = "enable-rotation" // without rotating at once
	CancelRotation Operation = "cancel-rotation"
	RotateNow      Operation = "rotate-now" // the old value stays as AWSPREVIOUS
	ClearPending   Operation = "clear-pending"
	PutPending     Operation = "put-pending"
	Replicate      Operation = "replicate"
)

// Rules returns the ids of the rules whose findings can be mended.
func Rules() []string {
	return slices.Sorted(maps.Keys(planners))
}

// planners say what would mend a finding, or nil if nothing safe would.
var planners = map[string]func(rules.Context, *facts.Subject) *Act{
	"tags-missing":        planTags,
	"rotation-disabled":   planRotation,
	"rotation-failed":     planRetry,
	"rotation-stuck":      planClear,
	"replica-out-of-sync": planReplica,
}

// Plan calls each for what would mend a secret's findings, whatever the policy
// switches on. A secret whose pending version is stuck is not rotated too: that
// needs the label gone first.
func Plan(c rules.Context, s *facts.Subject, each func(Act)) {
	if !s.Deleted.IsZero() || s.OwningService != "" {
		return
	}
	stuck := false
	for _, id := range []string{"tags-missing", "rotation-stuck", "rotation-disabled", "rotation-failed", "replica-out-of-sync"} {
		if !fails(c, id, s) || id == "rotation-failed" && stuck {
			continue
		}
		act := planners[id](c, s)
		if act == nil {
			continue
		}
		stuck = stuck || id == "rotation-stuck"
		act.Rule, act.Secret, act.Region = id, s.ARN, s.Region
		each(*act)
	}
}

func fails(c rules.Context, id string, s *facts.Subject) bool {
	for _, rule := range rules.All() {
		if rule.ID != id {
			continue
		}
		for _, suppression := range c.Policy.Suppressions {
			if !suppression.Expired(c.Now) && suppression.Matches(id, rules.Resource(s)) {
				return false
			}
		}
		return rule.Secret(c, s).Status == finding.Fail
	}
	return false
}

// planTags sets the missing tags whose values are known: from the catalogue and
// the name, or from the policy.
func planTags(c rules.Context, s *facts.Subject) *Act {
	known := maps.Clone(c.Policy.Remedy.TagValues)
	if known == nil {
		known = map[string]string{}
	}
	if d := s.Declared; d != nil {
		known[spec.TagOwner], known[spec.TagSecretType], known[spec.TagDataClassification] = d.Owner, string(d.Kind), d.DataClassification
		if name, err := spec.ParseName(s.Name); err == nil {
			known[spec.TagEnvironment], known[spec.TagService] = name.Environment, name.Service
		}
	}
	act := &Act{Do: Tag, Undo: Untag, Tags: map[string]string{}}
	for _, key := range rules.MissingTags(c, s) {
		// An empty tag is somebody's tag, which Untag wouldn't bring back.
		if _, there := s.Tags[key]; !there && known[key] != "" {
			act.Tags[key] = known[key]
		}
	}
	if len(act.Tags) == 0 {
		return nil
	}
	act.Why = "missing tags: " + strings.Join(slices.Sorted(maps.Keys(act.Tags)), ", ")
	return act
}

func planRotation(_ rules.Context, s *facts.Subject) *Act {
	d := s.Declared
	if d == nil || d.Schedule == "" || d.RotationFunction == "" || s.Current == "" {
		return nil
	}
	return &Act{
		Do: EnableRotation, Undo: CancelRotation, Rotate: &Rotate{d.RotationFunction, d.Schedule},
		Why: "rotation is off, and the catalogue declares " + d.Schedule,
	}
}

func planRetry(_ rules.Context, s *facts.Subject) *Act {
	return &Act{Do: RotateNow, Why: "the rotation of " + s.Failure.Value.Time.Format(time.RFC3339) + " failed"}
}

func planClear(_ rules.Context, s *facts.Subject) *Act {
	return &Act{Do: ClearPending, Undo: PutPending, Version: s.Pending, Why: "AWSPENDING is stuck since " + s.Changed.Format(time.RFC3339)}
}

func planReplica(_ rules.Context, s *facts.Subject) *Act {
	act := &Act{Do: Replicate}
	for _, region := range slices.Sorted(maps.Keys(s.Replicas.Value)) {
		if !s.Replicas.Value[region].InSync {
			act.To = append(act.To, region)
		}
	}
	act.Why = "out of sync: " + strings.Join(act.To, ", ")
	return act
}

// Enabled reports whether the policy lets the act be done.
func (a Act) Enabled(p policy.Remedy) bool { return slices.Contains(p.Rules, a.Rule) }

// Entry is a line of the journal.
type Entry struct {
	Time  time.Time `json:"time"`
	Act   Act       `json:"act"`
	State string    `json:"state"` // doing, done or failed
	Error string    `json:"error,omitempty"`
}

type changer interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	TagResource(context.Context, *secretsmanager.TagResourceInput, ...func(*secretsmanager.Options)) (*secretsmanager.TagResourceOutput, error)
	UntagResource(context.Context, *secretsmanager.UntagResourceInput, ...func(*secretsmanager.Options)) (*secretsmanager.UntagResourceOutput, error)
	RotateSecret(context.Context, *secretsmanager.RotateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.RotateSecretOutput, error)
	CancelRotateSecret(context.Context, *secretsmanager.CancelRotateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CancelRotateSecretOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
	ReplicateSecretToRegions(context.Context, *secretsmanager.ReplicateSecretToRegionsInput, ...func(*secretsmanager.Options)) (*secretsmanager.ReplicateSecretToRegionsOutput, error)
}

// Mender does acts and writes its journal.
type Mender struct {
	Clients func(region string) changer
	Journal io.Writer // JSON lines
	Now     func() time.Time
}

// NewMender makes a Mender whose clients have that configuration.
func NewMender(cfg aws.Config, journal io.Writer) Mender {
	return Mender{
		Clients: func(region string) changer {
			return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Region = region })
		},
		Journal: journal, Now: time.Now,
	}
}

// Do does an act. The journal has it before it begins, so that it can be taken
// back whatever happens.
func (m Mender) Do(ctx context.Context, a Act) error {
	if err := m.note(Entry{Act: a, State: "doing"}); err != nil {
		return err
	}
	err := perform(ctx, m.Clients(a.Region), a, a.Do)
	entry := Entry{Act: a, State: "done"}
	if err != nil {
		entry.State, entry.Error = "failed", err.Error()
		err = fmt.Errorf("%s of %s: %w", a.Do, a.Secret, err)
	}
	return errors.Join(err, m.note(entry))
}

func (m Mender) note(e Entry) error {
	e.Time = m.Now().UTC()
	line, err := json.Marshal(e)
	if err == nil {
		_, err = m.Journal.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the journal, so nothing more is changed: %w", err)
	}
	return nil
}

// UndoAll takes back what a journal says was done, the last act first. An act
// that wasn't finished is taken back too. It goes on after an error.
func (m Mender) UndoAll(ctx context.Context, journal io.Reader) error {
	var acts []Act
	decoder := json.NewDecoder(journal)
	for {
		var e Entry
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		if e.State == "doing" && e.Act.Undo != "" {
			acts = append(acts, e.Act)
		}
	}
	var errs []error
	for _, a := range slices.Backward(acts) {
		a.Do, a.Undo = a.Undo, ""
		errs = append(errs, m.Do(ctx, a))
	}
	return errors.Join(errs...)
}

const pending = "AWSPENDING"

func perform(ctx context.Context, client changer, a Act, operation Operation) error {
	id := &a.Secret
	var err error
	switch operation {
	case Tag:
		in := &secretsmanager.TagResourceInput{SecretId: id}
		for _, key := range slices.Sorted(maps.Keys(a.Tags)) {
			in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(a.Tags[key])})
		}
		_, err = client.TagResource(ctx, in)
	case Untag:
		_, err = client.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: id, TagKeys: slices.Sorted(maps.Keys(a.Tags))})
	case EnableRotation:
		_, err = client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
			SecretId: id, RotationLambdaARN: &a.Rotate.Function, RotateImmediately: aws.Bool(false),
			RotationRules: &types.RotationRulesType{ScheduleExpression: &a.Rotate.Schedule},
		})
	case CancelRotation:
		_, err = client.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: id})
	case RotateNow:
		_, err = client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: id})
		var refused *types.InvalidRequestException
		if errors.As(err, &refused) && strings.Contains(refused.ErrorMessage(), "will be reattempted") {
			err = nil // the failed rotation goes on, which is what was wanted
		}
	case ClearPending:
		_, err = client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: id, VersionStage: aws.String(pending), RemoveFromVersionId: &a.Version,
		})
	case PutPending:
		_, err = client.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: id, VersionStage: aws.String(pending), MoveToVersionId: &a.Version,
		})
	case Replicate:
		err = replicate(ctx, client, a)
	default:
		err = fmt.Errorf("unknown operation %q", operation)
	}
	return err
}

// replicate tries again what failed, with the key that each replica has: without
// one AWS would take its own.
func replicate(ctx context.Context, client changer, a Act) error {
	described, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &a.Secret})
	if err != nil {
		return err
	}
	in := &secretsmanager.ReplicateSecretToRegionsInput{SecretId: &a.Secret}
	for _, status := range described.ReplicationStatus {
		if status.Status == types.StatusTypeFailed && slices.Contains(a.To, aws.ToString(status.Region)) {
			in.AddReplicaRegions = append(in.AddReplicaRegions, types.ReplicaRegionType{Region: status.Region, KmsKeyId: status.KmsKeyId})
		}
	}
	if in.AddReplicaRegions == nil {
		return nil // it isn't failing any more
	}
	_, err = client.ReplicateSecretToRegions(ctx, in)
	return err
}
