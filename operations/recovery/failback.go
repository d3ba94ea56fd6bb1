package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// PlanFailback looks at all secrets and says what would be done to bring them
// back to the primary region. Nothing is changed.
func (e *Estate) PlanFailback(ctx context.Context) (*Plan, error) {
	status, err := e.Status(ctx)
	if err != nil {
		return nil, err
	}
	record, err := e.readRecord()
	if err != nil {
		return nil, err
	}
	p := &Plan{Action: "failback", Status: status, Steps: []string{}, Warnings: []string{}, Blocked: []string{}, again: e.PlanFailback}
	p.do = func(ctx context.Context) (*Outcome, error) { return e.failback(ctx, status) }
	if !status.Answers {
		return nil, refuse("nothing was changed: %s doesn't answer, so nothing can be brought back to it", e.home.region)
	}
	away := pick(status.Secrets, Promoted, Reversed)
	if bad := pick(status.Secrets, Unknown); len(bad) > 0 {
		p.Blocked = append(p.Blocked, fmt.Sprintf("%d secrets can't be read: %s", len(bad), some(bad)))
	}
	if len(away) == 0 && record == nil {
		return p, nil
	}
	if record == nil {
		p.Warnings = append(p.Warnings, fmt.Sprintf("there is no record %s: settings of rotations are taken from the old primaries and the catalogue, and no Lambda function is repointed", e.record))
	}
	p.Blocked = append(p.Blocked, e.lossy(away, record)...)
	if mid := rotating(away); len(mid) > 0 {
		p.Blocked = append(p.Blocked, fmt.Sprintf("the rotation of %s isn't complete in %s: wait for it, or see \"rotate status\" there", some(mid), e.standby.region))
	}
	conflicts, err := e.conflicts(ctx, away, record)
	if err != nil {
		return nil, err
	}
	if len(conflicts) > 0 {
		p.Blocked = append(p.Blocked, e.unknownVersions(conflicts))
	}
	if listed := slices.DeleteFunc(pick(status.Secrets, Promoted), func(s *Secret) bool { return s.Home.replicaIn(e.standby.region).Region == "" }); len(listed) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d old primaries still list %s, whose secrets are none of their replicas any more: AWS may refuse to overwrite them until it has noticed; then run this again later: %s", len(listed), e.standby.region, some(listed)))
	}
	if left := pick(status.Secrets, Missing); len(left) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d secrets are missing in %s, and stay as they are in %s: %s", len(left), e.standby.region, e.home.region, some(left)))
	}
	p.Steps = []string{
		"stop the rotations in both regions",
		fmt.Sprintf("replicate %d secrets from %s onto their old primaries in %s, and compare", len(away), e.standby.region, e.home.region),
		fmt.Sprintf("promote these in %s", e.home.region),
		fmt.Sprintf("replicate them to %s as before, and compare", e.standby.region),
		fmt.Sprintf("set their rotations up in %s as before", e.home.region),
		"let the Lambda functions of the services read as before",
	}
	return p, nil
}

// lossy says what overwriting the old primaries would lose beside versions: their
// replicas in further regions, and keys that nobody remembers.
func (e *Estate) lossy(away []*Secret, record *Record) []string {
	var further, keyless []*Secret
	for _, s := range away {
		if slices.ContainsFunc(s.Home.Replicas, func(r ReplicaStatus) bool { return r.Region != e.standby.region }) {
			further = append(further, s)
		}
		before := e.before(s)
		if record != nil {
			if kept, known := record.Secrets[s.Name]; known {
				before = kept
			}
		}
		if s.Standby.KeyID != "" && before.HomeKey == "" && !s.Home.Exists {
			keyless = append(keyless, s)
		}
	}
	var reasons []string
	if len(further) > 0 {
		reasons = append(reasons, fmt.Sprintf("%d secrets have replicas in further regions, which their primary would lose: remove or promote those first: %s", len(further), some(further)))
	}
	if len(keyless) > 0 {
		reasons = append(reasons, fmt.Sprintf("the key of %d secrets in %s is unknown, so they would get Secrets Manager's own: %s", len(keyless), e.home.region, some(keyless)))
	}
	return reasons
}

// unknownVersions says what is the matter with conflicts.
func (e *Estate) unknownVersions(conflicts []*Secret) string {
	return fmt.Sprintf("%d secrets have a current version in %s that %s doesn't know, written there after the failover or not replicated before it, which the failback would overwrite: %s",
		len(conflicts), e.home.region, e.standby.region, some(conflicts))
}

// conflicts returns the secrets whose old primary has a current version that the
// DR region doesn't know: somebody wrote it after the failover, or it is what the
// failover lost.
func (e *Estate) conflicts(ctx context.Context, away []*Secret, record *Record) ([]*Secret, error) {
	var doubtful []*Secret
	for _, s := range away {
		current := s.Home.Current()
		if s.State != Promoted || current == "" || len(s.Standby.Versions[current]) > 0 {
			continue
		}
		if record != nil {
			// AWS drops versions without a label, and the DR region may have had many since.
			if before := record.Secrets[s.Name]; before.Current == current && !before.Lacking {
				continue
			}
		}
		doubtful = append(doubtful, s)
	}
	_, failures, err := e.each(ctx, "look for later versions", doubtful, func(ctx context.Context, s *Secret) error {
		known, err := versions(ctx, e.standby.secrets, s.Name)
		if err == nil && !slices.Contains(known, s.Home.Current()) {
			err = errors.New("unknown version")
		}
		return err
	})
	var found []*Secret
	for _, f := range failures {
		for _, s := range doubtful {
			if s.Name == f.Secret {
				found = append(found, s)
			}
		}
	}
	return found, err
}

func (e *Estate) failback(ctx context.Context, status *Status) (*Outcome, error) {
	earlier, err := e.readRecord()
	if err != nil {
		return nil, err
	}
	r, err := e.begin(status)
	if err != nil {
		return nil, err
	}
	away := pick(status.Secrets, Promoted, Reversed)
	left := pick(status.Secrets, Unknown)
	keep := len(left) > 0 && (earlier != nil || len(away) > 0) // the record, for another run
	if err := r.fence(ctx, away, r.home.secrets); err != nil {
		return nil, err
	}
	enabled := slices.DeleteFunc(slices.Clone(away), func(s *Secret) bool { return !s.Standby.Rotation.Enabled })
	stopped, err := r.step(ctx, "stop rotation in "+r.standby.region, enabled, func(ctx context.Context, s *Secret) error {
		return cancelRotation(ctx, r.standby.secrets, s.Name)
	})
	if err != nil {
		return nil, err
	}
	away = slices.DeleteFunc(away, func(s *Secret) bool { return s.Standby.Rotation.Enabled && !slices.Contains(stopped, s) })

	back, err := r.giveBack(ctx, away)
	if err != nil {
		return nil, err
	}
	// Those that a killed run had brought back, and those whose replica is gone or
	// behind, may lack their rotation yet.
	for _, s := range status.Secrets {
		if !slices.Contains([]State{Promoted, Reversed, Alone}, s.State) && s.Home.Unreadable == "" && s.Home.stands(r.home.region) && !s.Home.Rotation.Enabled {
			back = append(back, s)
		}
	}
	lacking := slices.DeleteFunc(back, func(s *Secret) bool { return !r.record.Secrets[s.Name].Rotation.Enabled })
	if _, err := r.step(ctx, "set up rotation in "+r.home.region, lacking, func(ctx context.Context, s *Secret) error {
		_, err := setRotation(ctx, r.home.secrets, s.Name, r.record.Secrets[s.Name].Rotation, false)
		return err
	}); err != nil {
		return nil, err
	}
	if err := r.repointBack(ctx); err != nil {
		return nil, err
	}
	if len(left) > 0 {
		r.note("%d secrets can't be read and were left as they are: run it again when they can: %s", len(left), some(left))
	}
	if len(r.outcome.Failures) == 0 && !keep {
		if err := r.removeRecord(); err != nil {
			return nil, err
		}
	}
	return r.end(), nil
}

// giveBack brings the secrets to the primary region and replicates them from
// there. A secret whose step fails stays where it is.
func (r *run) giveBack(ctx context.Context, away []*Secret) ([]*Secret, error) {
	steps := []struct {
		name string
		do   func(context.Context, *Secret) error
	}{
		{"replicate to " + r.home.region, func(ctx context.Context, s *Secret) error {
			if s.State == Reversed && s.Standby.replicaIn(r.home.region).Status == string(types.StatusTypeInSync) {
				return nil
			}
			return r.replicate(ctx, r.standby, r.home.region, s.Name, r.record.Secrets[s.Name].HomeKey)
		}},
		{"compare", r.compare},
		{"promote in " + r.home.region, func(ctx context.Context, s *Secret) error { return r.promote(ctx, r.home, s.Name) }},
		{"replicate to " + r.standby.region, func(ctx context.Context, s *Secret) error {
			return r.replicate(ctx, r.home, r.standby.region, s.Name, r.record.Secrets[s.Name].DRKey)
		}},
		{"compare again", r.compare},
	}
	var err error
	for _, step := range steps {
		if away, err = r.step(ctx, step.name, away, step.do); err != nil {
			return nil, err
		}
	}
	return away, nil
}

// replicate copies a secret onto what has its name in another region, and waits
// until AWS has done it.
func (e *Estate) replicate(ctx context.Context, from site, to, name, key string) error {
	target := types.ReplicaRegionType{Region: &to}
	if key != "" {
		target.KmsKeyId = &key
	}
	_, err := from.secrets.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: &name, AddReplicaRegions: []types.ReplicaRegionType{target}, ForceOverwriteReplicaSecret: true,
	})
	// The answer to an earlier call may have been lost: then it is under way, and
	// to ask for it again is a mistake.
	if err != nil && !has(err, "InvalidParameterException", "InvalidRequestException", "ResourceExistsException") {
		return short(err)
	}
	refused := err
	return e.wait(ctx, "the replication to "+to, func(ctx context.Context) (bool, error) {
		out, err := from.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
		if err != nil {
			return false, short(err)
		}
		for _, status := range out.ReplicationStatus {
			switch {
			case aws.ToString(status.Region) != to:
			case status.Status == types.StatusTypeFailed:
				return false, fmt.Errorf("AWS couldn't replicate it: %s", aws.ToString(status.StatusMessage))
			default:
				return status.Status == types.StatusTypeInSync, nil
			}
		}
		if refused != nil {
			return false, short(refused)
		}
		return false, fmt.Errorf("%s lists no replica in %s", from.region, to)
	})
}

// compare checks that both regions have the same versions, labels and current
// value.
func (r *run) compare(ctx context.Context, s *Secret) error {
	home, standby := describe(ctx, r.home.secrets, s.Name), describe(ctx, r.standby.secrets, s.Name)
	switch {
	case home.Unreadable != "":
		return errors.New(home.Unreadable)
	case standby.Unreadable != "":
		return errors.New(standby.Unreadable)
	case !sameVersions(home, standby):
		return fmt.Errorf("the versions differ: current is %s in %s and %s in %s", orNone(home.Current()), r.home.region, orNone(standby.Current()), r.standby.region)
	}
	return r.same(ctx, s.Name, r.home.secrets, r.standby.secrets)
}
