// Package remedy mends what can be mended safely. It plans first, and does only
// what the policy switches on, rule by rule. Every act is written to a journal
// with its way back before it is done. No act deletes anything.
package remedy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/rules"
	"github.com/aistudio/secrets/sdk/spec"
)

// Act is one change to one secret.
type Act struct {
	Back    bool              `json:"back,omitempty"` // it takes another act back
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
	State string    `json:"state"` // doing, done, failed, or refused: AWS did nothing
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
	if err := m.note(Entry{Act: a, State: doing}); err != nil {
		return err
	}
	err := perform(ctx, m.Clients(a.Region), a, a.Do)
	entry := Entry{Act: a, State: done}
	if err != nil {
		entry.State, entry.Error = failed, err.Error()
		var answer *smithyhttp.ResponseError
		if errors.As(err, &answer) && answer.HTTPStatusCode()/100 == 4 {
			entry.State = refused
		}
		err = fmt.Errorf("%s of %s: %w", a.Do, a.Secret, err)
	}
	return errors.Join(err, m.note(entry))
}

// The states of an act in the journal.
const (
	doing   = "doing"
	done    = "done"
	failed  = "failed"
	refused = "refused"
)

// note writes a line. It begins a new one, since a run that was killed may have
// left the last one unfinished.
func (m Mender) note(e Entry) error {
	e.Time = m.Now().UTC()
	line, err := json.Marshal(e)
	if err == nil {
		_, err = m.Journal.Write(slices.Concat([]byte{'\n'}, line, []byte{'\n'}))
	}
	if err != nil {
		return fmt.Errorf("write the journal, so nothing more is changed: %w", err)
	}
	return nil
}

// UndoAll takes back what a journal says was done, the last act first. An act
// that wasn't finished is taken back too; one that AWS refused, and one that was
// taken back before, is not. It goes on after an error, and calls each with every
// act and its error.
func (m Mender) UndoAll(ctx context.Context, journal io.Reader, each func(Act, error)) error {
	acts, err := toUndo(journal)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range slices.Backward(acts) {
		back := a.back()
		err := m.Do(ctx, back)
		each(back, err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// back is the act that takes this one back.
func (a Act) back() Act {
	a.Do, a.Undo, a.Back = a.Undo, "", true
	return a
}

// toUndo reads which acts of a journal stand. A line that a killed run left
// unfinished is left out: it says nothing of an act that was begun, since that has
// a whole line of its own before it.
func toUndo(journal io.Reader) ([]Act, error) {
	var acts []Act
	lines := bufio.NewScanner(journal)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e Entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.State == doing && e.Act.Undo != "":
			acts = append(acts, e.Act)
		case e.State == refused && !e.Act.Back:
			acts = remove(acts, func(a Act) bool { return reflect.DeepEqual(a, e.Act) })
		case e.State == done && e.Act.Back:
			acts = remove(acts, func(a Act) bool { return reflect.DeepEqual(a.back(), e.Act) })
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	return acts, nil
}

const maxLine = 1 << 20 // bytes; an act has less than 50 tags of 384 characters

// remove takes away the last act that fits.
func remove(acts []Act, fits func(Act) bool) []Act {
	for i, a := range slices.Backward(acts) {
		if fits(a) {
			return slices.Delete(acts, i, i+1)
		}
	}
	return acts
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
		err = untag(ctx, client, a)
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

// untag takes away the tags that still have the values that were set: another one
// is somebody's.
func untag(ctx context.Context, client changer, a Act) error {
	described, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &a.Secret})
	if err != nil {
		return err
	}
	var keys []string
	for _, tag := range described.Tags {
		if value, set := a.Tags[aws.ToString(tag.Key)]; set && value == aws.ToString(tag.Value) {
			keys = append(keys, aws.ToString(tag.Key))
		}
	}
	if keys == nil {
		return nil
	}
	_, err = client.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: &a.Secret, TagKeys: keys})
	return err
}
