package recovery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/sdk/spec"
)

// State is how a secret stands in the two regions.
type State string

// The states. [InSync], [Promoted] and [Alone] need nothing done.
const (
	InSync     State = "in-sync"     // the DR region has a replica with the same versions
	InProgress State = "in-progress" // AWS is replicating
	Differs    State = "differs"     // the replica has other versions than the primary
	Failed     State = "failed"      // AWS couldn't replicate; the note says why
	Missing    State = "missing"     // the DR region doesn't have it
	Alone      State = "alone"       // the catalogue doesn't declare it and one region alone has it: it stays where it is
	Replica    State = "replica"     // the DR region has a replica, and the primary region doesn't answer
	Promoted   State = "promoted"    // the DR region has a secret of its own: failed over
	Reversed   State = "reversed"    // the DR region has the primary, and the primary region a replica of it: on the way back
	Unknown    State = "unknown"     // it can't be read; the note says why
)

// States returns all states, those that need nothing done first.
func States() []State {
	return []State{InSync, Promoted, Alone, Reversed, Replica, InProgress, Differs, Failed, Missing, Unknown}
}

// Secret is one secret in both regions.
type Secret struct {
	Name    string `json:"name"`
	State   State  `json:"state"`
	Note    string `json:"note,omitempty"`
	Home    Copy   `json:"primaryRegion"`
	Standby Copy   `json:"drRegion"`

	declared bool     // in the catalogue
	readers  []string // ARNs or names of the roles that may read it
	rotates  bool     // by the catalogue
	rotator  string   // name of its rotation function, by the catalogue
	schedule *catalogue.Schedule
}

// Copy is a secret in one region.
type Copy struct {
	Answered   bool                `json:"answered"` // the region did
	Exists     bool                `json:"exists"`
	ARN        string              `json:"arn,omitempty"`
	KeyID      string              `json:"keyId,omitempty"`
	PrimaryIn  string              `json:"primaryIn,omitempty"`  // region of its primary; empty: it has no replicas and is none
	Replicas   []ReplicaStatus     `json:"replicas,omitempty"`   // of a primary
	Versions   map[string][]string `json:"versions,omitempty"`   // id to staging labels, of those that have some
	Rotation   Rotation            `json:"rotation,omitzero"`    // whether a replica shows its primary's isn't documented
	Unreadable string              `json:"unreadable,omitempty"` // why it can't be described

	created time.Time
}

// ReplicaStatus is what a primary says of a replica.
type ReplicaStatus struct {
	Region  string `json:"region"`
	Status  string `json:"status"` // InSync, InProgress or Failed
	Message string `json:"message,omitempty"`
}

// Rotation is how a secret is rotated.
type Rotation struct {
	Enabled     bool   `json:"enabled"`
	FunctionARN string `json:"functionArn,omitempty"`
	Days        int64  `json:"days,omitempty"` // between rotations, where there is no schedule
	Schedule    string `json:"schedule,omitempty"`
	Duration    string `json:"duration,omitempty"` // of the window
}

// Current returns the id of the current version, "" if there is none.
func (c Copy) Current() string { return c.holder("AWSCURRENT") }

func (c Copy) holder(label string) string {
	for id, labels := range c.Versions {
		if slices.Contains(labels, label) {
			return id
		}
	}
	return ""
}

// pending returns the version of a rotation that isn't complete. AWSPENDING on
// the current version is the trace of one that is.
func (c Copy) pending() string {
	if id := c.holder("AWSPENDING"); id != c.Current() {
		return id
	}
	return ""
}

func (c Copy) isReplicaOf(region string) bool { return c.Exists && c.PrimaryIn == region }

// stands tells whether the copy is a secret of its own.
func (c Copy) stands(region string) bool {
	return c.Exists && (c.PrimaryIn == "" || c.PrimaryIn == region)
}

func (c Copy) replicaIn(region string) ReplicaStatus {
	for _, r := range c.Replicas {
		if r.Region == region {
			return r
		}
	}
	return ReplicaStatus{}
}

// Status is how all secrets of a stack stand.
type Status struct {
	Time          time.Time     `json:"time"`
	Environment   string        `json:"environment"`
	PrimaryRegion string        `json:"primaryRegion"`
	DRRegion      string        `json:"drRegion"`
	Answers       bool          `json:"primaryRegionAnswers"`
	Where         string        `json:"where"` // the region that has the primaries now; "both" on the way
	Counts        map[State]int `json:"counts"`
	Secrets       []*Secret     `json:"secrets"` // by name
}

// Healthy tells whether each secret could be failed over without a loss.
func (s *Status) Healthy() bool { return s.Answers && s.Counts[InSync] == s.moving() }

// moving counts the secrets that a failover is about.
func (s *Status) moving() int { return len(s.Secrets) - s.Counts[Alone] }

// Status looks at every secret in both regions: those of the catalogue, and what
// else has the stack's prefix. That a region doesn't answer is part of the
// result; the error is for a DR region that can't be read.
func (e *Estate) Status(ctx context.Context) (*Status, error) {
	status := &Status{
		Time: e.now().UTC(), Environment: e.stack.Settings.Environment,
		PrimaryRegion: e.home.region, DRRegion: e.standby.region, Counts: map[State]int{},
	}
	record, err := e.readRecord()
	if err != nil {
		return nil, err
	}
	there, err := e.list(ctx, e.standby.secrets)
	if err != nil {
		return nil, fmt.Errorf("list the secrets in the DR region %s: %w", e.standby.region, short(err))
	}
	here, err := e.list(ctx, e.home.hasty)
	if throttled(err) {
		here, err = e.list(ctx, e.home.secrets)
	}
	if err != nil && answered(err) {
		return nil, fmt.Errorf("list the secrets in the primary region %s: %w", e.home.region, short(err))
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var dark atomic.Bool
	dark.Store(err != nil)
	status.Secrets = e.all(here, there)
	if _, _, err := e.each(ctx, "describe", status.Secrets, func(ctx context.Context, s *Secret) error {
		if e.look(ctx, s, record, !dark.Load()); s.Home.Unreadable == noAnswer {
			dark.Store(true) // it went dark in between, which is no reason to ask for each
		}
		return nil
	}); err != nil {
		return nil, err
	}
	status.Answers = !dark.Load()
	for _, s := range status.Secrets {
		status.Counts[s.State]++
	}
	status.Where = where(status)
	return status, nil
}

// list returns the names that begin with the stack's prefix.
func (e *Estate) list(ctx context.Context, client *secretsmanager.Client) ([]string, error) {
	prefix := e.stack.Settings.Organization + "/" + e.stack.Settings.Environment + "/"
	pages := secretsmanager.NewListSecretsPaginator(client, &secretsmanager.ListSecretsInput{
		MaxResults: aws.Int32(100),
		Filters:    []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{prefix}}},
	})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range page.SecretList {
			if name := aws.ToString(s.Name); strings.HasPrefix(name, prefix) { // the filter ignores case
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// all joins what is declared and what is there.
func (e *Estate) all(lists ...[]string) []*Secret {
	found := map[string]*Secret{}
	for _, names := range lists {
		for _, name := range names {
			found[name] = &Secret{Name: name}
		}
	}
	for _, declared := range e.stack.Secrets {
		s := &Secret{Name: declared.Name.String(), declared: true, rotates: declared.Rotates(), schedule: declared.Schedule}
		if s.rotates {
			s.rotator = spec.RotationFunction(e.stack.Settings.Organization, e.stack.Settings.Environment, declared.Rotator)
		}
		for _, reader := range declared.Readers {
			s.readers = append(s.readers, e.role(reader))
		}
		found[s.Name] = s
	}
	secrets := make([]*Secret, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		secrets = append(secrets, found[name])
	}
	return secrets
}

// role returns "role/<path and name>" of a service's role.
func (e *Estate) role(service string) string {
	if own := e.stack.Services[service].Role; own != "" {
		return string(own)
	}
	return "role/" + spec.ReaderRole(e.stack.Settings.Organization, e.stack.Settings.Environment, service)
}

// look describes a secret in both regions and says how it stands.
func (e *Estate) look(ctx context.Context, s *Secret, record *Record, homeAnswers bool) {
	s.Standby = describe(ctx, e.standby.secrets, s.Name)
	s.Home = Copy{}
	if homeAnswers {
		s.Home = describe(ctx, e.home.hasty, s.Name)
	}
	s.State, s.Note = e.judge(s, record.moved(s))
}

func describe(ctx context.Context, client *secretsmanager.Client, name string) Copy {
	out, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
	switch {
	case has(err, "ResourceNotFoundException"):
		return Copy{Answered: true}
	case err != nil:
		return Copy{Answered: answered(err), Unreadable: short(err).Error()}
	}
	c := Copy{
		Answered: true, Exists: true, ARN: aws.ToString(out.ARN), KeyID: aws.ToString(out.KmsKeyId),
		PrimaryIn: aws.ToString(out.PrimaryRegion), Versions: out.VersionIdsToStages,
		Rotation: Rotation{Enabled: aws.ToBool(out.RotationEnabled), FunctionARN: aws.ToString(out.RotationLambdaARN)},
		created:  aws.ToTime(out.CreatedDate),
	}
	for id := range c.Versions {
		slices.Sort(c.Versions[id])
	}
	if out.DeletedDate != nil {
		c.Unreadable = "it is scheduled for deletion: restore it first"
	}
	if rules := out.RotationRules; rules != nil {
		c.Rotation.Schedule, c.Rotation.Duration = aws.ToString(rules.ScheduleExpression), aws.ToString(rules.Duration)
		if c.Rotation.Schedule == "" { // with a schedule, AWS computes the days from it
			c.Rotation.Days = aws.ToInt64(rules.AutomaticallyAfterDays)
		}
	}
	for _, r := range out.ReplicationStatus {
		c.Replicas = append(c.Replicas, ReplicaStatus{aws.ToString(r.Region), string(r.Status), aws.ToString(r.StatusMessage)})
	}
	return c
}

// judge derives the state from what both regions say. moved tells whether the
// secret belongs to a failover though the primary region doesn't have it.
func (e *Estate) judge(s *Secret, moved bool) (State, string) {
	home, standby := s.Home, s.Standby
	switch {
	case standby.Unreadable != "":
		return Unknown, "in " + e.standby.region + ": " + standby.Unreadable
	case home.Unreadable != "" && home.Answered:
		return Unknown, "in " + e.home.region + ": " + home.Unreadable
	case !home.Exists && !standby.Exists && home.Answered:
		return Missing, "it is in neither region: deploy the stack"
	case !standby.Exists:
		if status := home.replicaIn(e.standby.region); status.Status == string(types.StatusTypeFailed) {
			return Failed, status.Message
		}
		if !s.declared && len(home.Replicas) == 0 {
			return Alone, "the catalogue doesn't declare it, and it has no replica"
		}
		return Missing, ""
	case home.isReplicaOf(e.standby.region) && standby.stands(e.standby.region):
		return Reversed, ""
	case standby.stands(e.standby.region) && home.Answered && !home.Exists && !moved:
		return Alone, "the catalogue doesn't declare it, and it is in the DR region alone"
	case standby.stands(e.standby.region):
		if status := home.replicaIn(e.standby.region); status.Status == string(types.StatusTypeFailed) && status.Message != "" {
			return Promoted, "its old primary says: " + status.Message
		}
		return Promoted, ""
	case !home.Answered:
		return Replica, e.home.region + " doesn't answer, so nobody knows if it is in sync"
	case !standby.isReplicaOf(e.home.region):
		return Unknown, "the DR region has a replica of another region, " + standby.PrimaryIn
	}
	return e.judgeReplica(home, standby)
}

func (e *Estate) judgeReplica(home, standby Copy) (State, string) {
	status := home.replicaIn(e.standby.region)
	switch {
	case status.Status == string(types.StatusTypeFailed):
		return Failed, status.Message
	case status.Status == string(types.StatusTypeInProgress):
		return InProgress, ""
	case !sameVersions(home, standby):
		return Differs, "current is " + orNone(home.Current()) + " in " + e.home.region + " and " + orNone(standby.Current()) + " in " + e.standby.region
	case home.Current() == "":
		return InSync, "it has no value yet"
	case home.pending() != "":
		return InSync, "a rotation isn't complete"
	}
	return InSync, ""
}

// sameVersions compares the ids of the versions that have staging labels, and
// these.
func sameVersions(a, b Copy) bool {
	return maps.EqualFunc(settled(a.Versions), settled(b.Versions), slices.Equal)
}

// settled leaves AWSPENDING out. What it is on comes and goes, a test of a
// rotation's settings among it, and nobody reads it.
func settled(versions map[string][]string) map[string][]string {
	found := map[string][]string{}
	for id, labels := range versions {
		if rest := slices.DeleteFunc(slices.Clone(labels), func(label string) bool { return label == "AWSPENDING" }); len(rest) > 0 {
			found[id] = rest
		}
	}
	return found
}

func orNone(id string) string {
	if id == "" {
		return "none"
	}
	return id
}

// where tells in which region the primaries are.
func where(s *Status) string {
	away := s.Counts[Promoted] + s.Counts[Reversed]
	switch away {
	case 0:
		return s.PrimaryRegion
	case s.moving():
		return s.DRRegion
	}
	return "both"
}
