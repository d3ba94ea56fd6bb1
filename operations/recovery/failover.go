package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// PlanFailover looks at all secrets and says what would be done to make the DR
// region's copies the secrets. Nothing is changed.
func (e *Estate) PlanFailover(ctx context.Context) (*Plan, error) {
	status, err := e.Status(ctx)
	if err != nil {
		return nil, err
	}
	record, err := e.readRecord()
	if err != nil {
		return nil, err
	}
	p := &Plan{Action: "failover", Status: status, Warnings: []string{}, Blocked: []string{}, again: e.PlanFailover}
	for _, state := range []State{InProgress, Differs, Failed, Missing, Unknown} {
		if bad := pick(status.Secrets, state); len(bad) > 0 {
			p.Blocked = append(p.Blocked, fmt.Sprintf("%d of %d secrets are %s: %s", len(bad), len(status.Secrets), state, some(bad)))
		}
	}
	if back := pick(status.Secrets, Reversed); len(back) > 0 {
		p.Blocked = append(p.Blocked, fmt.Sprintf("%d secrets are on the way back: finish the failback first", len(back)))
	}
	if status.Answers {
		p.Warnings = append(p.Warnings, e.home.region+" answers: what is written there from now on is overwritten by the failback")
	} else {
		p.Warnings = append(p.Warnings, e.home.region+" doesn't answer, so nobody knows what the replicas lack")
	}
	if alone := pick(status.Secrets, Alone); len(alone) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d secrets that the catalogue doesn't declare have no replica, and stay where they are: %s", len(alone), some(alone)))
	}
	p.Warnings = append(p.Warnings, e.lossy(status.Secrets, nil)...)
	lacking, err := e.conflicts(ctx, pick(status.Secrets, Promoted), record)
	if err != nil {
		return nil, err
	}
	if len(lacking) > 0 {
		p.Warnings = append(p.Warnings, e.unknownVersions(lacking))
	}
	if mid := rotating(status.Secrets); len(mid) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("the rotation of %s isn't complete: see \"rotate status\" in %s afterwards", some(mid), e.standby.region))
	}
	replicas := promotable(e, status.Secrets)
	if n := len(replicas); n > 0 {
		p.Steps = append(p.Steps,
			fmt.Sprintf("keep the rotations' settings and keys in %s", e.record),
			fmt.Sprintf("stop the rotations in %s, if it answers", e.home.region),
			fmt.Sprintf("promote %d replicas in %s to secrets of their own", n, e.standby.region))
	} else {
		p.Steps = append(p.Steps, "nothing is left to promote; the rest is done again")
	}
	p.Steps = append(p.Steps,
		fmt.Sprintf("set their rotations up in %s, where it has the rotation function", e.standby.region),
		fmt.Sprintf("let the Lambda functions of the services read from %s, and no longer from %s", e.standby.region, e.home.region),
		"read every secret's current version there")
	p.do = func(ctx context.Context) (*Outcome, error) { return e.failover(ctx, status) }
	return p, nil
}

// rotating returns the secrets whose copy in the DR region has a version that a
// rotation hasn't finished.
func rotating(secrets []*Secret) []*Secret {
	return slices.DeleteFunc(slices.Clone(secrets), func(s *Secret) bool { return s.Standby.pending() == "" })
}

// promotable returns the secrets whose copy in the DR region is a replica.
func promotable(e *Estate, secrets []*Secret) []*Secret {
	var found []*Secret
	for _, s := range secrets {
		if s.Standby.isReplicaOf(e.home.region) {
			found = append(found, s)
		}
	}
	return found
}

func (e *Estate) failover(ctx context.Context, status *Status) (*Outcome, error) {
	r, err := e.begin(status)
	if err != nil {
		return nil, err
	}
	if err := r.fence(ctx, append(promotable(e, status.Secrets), pick(status.Secrets, Promoted)...), r.home.hasty); err != nil {
		return nil, err
	}
	promoted, err := r.promoteAll(ctx, status)
	if err != nil {
		return nil, err
	}
	if err := r.rotateThere(ctx, promoted); err != nil {
		return nil, err
	}
	if err := r.repoint(ctx, status.Answers); err != nil {
		return nil, err
	}
	if _, err := r.step(ctx, "read in "+e.standby.region, promoted, r.readable); err != nil {
		return nil, err
	}
	if !status.Answers {
		r.note("%s didn't answer: when it does, run the failover again, which stops its rotations, and then the failback", e.home.region)
	}
	return r.end(), nil
}

// fence stops the rotations of the old primaries of secrets that move, which would
// change passwords that the promoted secrets hold. What doesn't move goes on to
// rotate. The client is one of the primary region's.
func (r *run) fence(ctx context.Context, moving []*Secret, client *secretsmanager.Client) error {
	var rotating []*Secret
	for _, s := range moving {
		if s.Home.stands(r.home.region) && s.Home.Rotation.Enabled {
			rotating = append(rotating, s)
		}
	}
	if len(rotating) == 0 {
		return nil
	}
	_, err := r.step(ctx, "stop rotation in "+r.home.region, rotating, func(ctx context.Context, s *Secret) error {
		return cancelRotation(ctx, client, s.Name)
	})
	return err
}

func (r *run) promoteAll(ctx context.Context, status *Status) ([]*Secret, error) {
	good, err := r.step(ctx, "promote", promotable(r.Estate, status.Secrets), func(ctx context.Context, s *Secret) error {
		return r.promote(ctx, r.standby, s.Name)
	})
	if err != nil {
		return nil, err
	}
	return append(good, pick(status.Secrets, Promoted)...), nil
}

// promote makes a replica a secret of its own. When the answer to an earlier
// call was lost, it is one already.
func (e *Estate) promote(ctx context.Context, at site, name string) error {
	_, err := at.secrets.StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: &name})
	if err == nil {
		return nil
	}
	if c := describe(ctx, at.secrets, name); c.stands(at.region) {
		return nil
	}
	return short(err)
}

// readable reads the current version and checks that it is the one that was
// current before, or a later one: the one before may not have gone astray.
func (r *run) readable(ctx context.Context, s *Secret) error {
	d, err := r.digest(ctx, r.standby.secrets, s.Name)
	before := r.record.Secrets[s.Name].Current
	switch {
	case errors.Is(err, errNoValue) && before == "":
		return nil // it never had one
	case err != nil:
		return err
	case before == "" || d.version == before:
		return nil
	}
	known, err := versions(ctx, r.standby.secrets, s.Name)
	if err != nil {
		return err
	}
	if !slices.Contains(known, before) {
		return fmt.Errorf("version %s, which was the current one, is lost", before)
	}
	return nil
}

// versions returns the ids of all versions there are, those without a label
// among them.
func versions(ctx context.Context, client *secretsmanager.Client, name string) ([]string, error) {
	pages := secretsmanager.NewListSecretVersionIdsPaginator(client, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: &name, IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(100),
	})
	var ids []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, short(err)
		}
		for _, v := range page.Versions {
			ids = append(ids, aws.ToString(v.VersionId))
		}
	}
	return ids, nil
}
