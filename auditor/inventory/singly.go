package inventory

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/resourcepolicy"
	"github.com/aistudio/secrets/auditor/rules"
)

const (
	concurrency     = 16  // calls at once, of those that are made for one secret
	maxVersionReads = 500 // ListSecretVersionIds a run
	maxReplicaReads = 200 // DescribeSecret a run
)

// readSingly makes the calls that are for one secret only: few, and bounded.
func (inv *Inventory) readSingly(ctx context.Context) error {
	inv.versions = map[uint64]facts.Fact[versions]{}
	inv.replicas = map[uint64]map[string]facts.Replica{}
	var group errgroup.Group
	group.SetLimit(concurrency)
	budget := struct{ policies, versions, replicas int }{inv.opts.Policy.PolicyReads, maxVersionReads, maxReplicaReads}
	births, err := inv.readBirths(ctx)
	if err != nil {
		return err
	}
	err = inv.eachSecret(func(s *facts.Secret) error {
		if !s.Deleted.IsZero() {
			return nil
		}
		r := inv.Regions[s.Region]
		id := reviewID(s.ARN, inv.expected(s.Name))
		switch {
		case inv.policies.known(s, id):
		case born(s, births) && inv.policies.mayBeNew(s, id, inv.opts.Now):
			inv.policies.note(s.ARN, id, facts.Known(facts.ResourcePolicy{}))
		case budget.policies > 0:
			budget.policies--
			group.Go(func() error { inv.readPolicy(ctx, r, s.ARN, s.Name, id); return nil })
		}
		if inv.versionsAreInDoubt(s) && budget.versions > 0 {
			budget.versions--
			group.Go(func() error { inv.readVersions(ctx, r, s.ARN); return nil })
		}
		if inv.replicaIsInDoubt(s) && budget.replicas > 0 {
			budget.replicas--
			group.Go(func() error { inv.readReplicas(ctx, r, s.ARN); return nil })
		}
		return nil
	})
	if waited := group.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		return err
	}
	inv.Reviewed = inv.policies.reviewed(inv.opts.Now)
	return nil
}

// expected returns who may read a secret by the catalogue, nil if it doesn't
// say.
func (inv *Inventory) expected(name string) []string {
	d := inv.declared[name]
	if d == nil || d.Readers == nil {
		return nil
	}
	expected := slices.Concat([]string{}, d.Readers, d.Administrators, inv.opts.Policy.Access.Expected)
	if d.Rotator != "" {
		expected = append(expected, d.Rotator)
	}
	return expected
}

func (inv *Inventory) readPolicy(ctx context.Context, r *Region, arn, name string, id uint64) {
	err := wait(ctx, r.throttle.policies)
	var out *secretsmanager.GetResourcePolicyOutput
	if err == nil {
		out, err = r.clients.secrets.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &arn})
	}
	if err != nil {
		inv.policies.note(arn, id, facts.Unknown[facts.ResourcePolicy](reason(err)))
		return
	}
	opened, err := resourcepolicy.Review(aws.ToString(out.ResourcePolicy), inv.opts.Account, inv.expected(name))
	if err != nil {
		inv.policies.note(arn, id, facts.Unknown[facts.ResourcePolicy]("the policy can't be understood"))
		return
	}
	opened.Read = inv.opts.Now
	inv.policies.note(arn, id, facts.Known(opened))
}

// written returns when a secret's value was written as far as its listing
// tells: at the last rotation or the creation, unless something was changed
// later.
func writtenByListing(s *facts.Secret) (at time.Time, sure bool) {
	at = s.Created
	if s.Rotation.Last.After(at) {
		at = s.Rotation.Last
	}
	const settling = 10 * time.Minute // tags and labels change with the value
	return at, s.Changed.Sub(at) < settling
}

// versionsAreInDoubt reports whether the listing leaves open what decides.
func (inv *Inventory) versionsAreInDoubt(s *facts.Secret) bool {
	return inv.valueIsInDoubt(s) || inv.rotationIsInDoubt(s) || inv.pendingIsInDoubt(s)
}

// valueIsInDoubt reports whether the value's age decides and the listing
// doesn't tell it: a value that somebody put by hand shows as a change, as any
// other change does.
func (inv *Inventory) valueIsInDoubt(s *facts.Secret) bool {
	at, sure := writtenByListing(s)
	if sure || s.Current == "" {
		return false
	}
	limit := inv.opts.Policy.MaximumAge[rules.KindOf(&facts.Subject{Secret: *s, Declared: inv.declared[s.Name]})]
	return inv.opts.Now.Sub(at) > limit && inv.opts.Now.Sub(s.Changed) <= limit
}

// rotationIsInDoubt reports whether the next rotation is overdue unless the last
// change was a value that somebody put by hand.
func (inv *Inventory) rotationIsInDoubt(s *facts.Secret) bool {
	_, sure := writtenByListing(s)
	c := rules.Context{Policy: inv.opts.Policy, Now: inv.opts.Now}
	return !sure && s.Current != "" && rules.Overdue(c, s, time.Time{}) && !rules.Overdue(c, s, s.Changed)
}

// pendingIsInDoubt reports whether a rotation is under way, or a version stuck
// whose secret was changed otherwise.
func (inv *Inventory) pendingIsInDoubt(s *facts.Secret) bool {
	return s.Pending != "" && s.Pending != s.Current && inv.opts.Now.Sub(s.Changed) < inv.opts.Policy.PendingGrace
}

// versions are when a secret's versions were made; zero: there is none.
type versions struct{ current, pending time.Time }

func (inv *Inventory) readVersions(ctx context.Context, r *Region, arn string) {
	err := wait(ctx, r.throttle.versions)
	var out *secretsmanager.ListSecretVersionIdsOutput
	if err == nil {
		out, err = r.clients.secrets.ListSecretVersionIds(ctx, &secretsmanager.ListSecretVersionIdsInput{SecretId: &arn, MaxResults: aws.Int32(100)})
	}
	var fact facts.Fact[versions]
	if err != nil {
		fact.Unknown = reason(err)
	} else {
		for _, v := range out.Versions {
			if slices.Contains(v.VersionStages, "AWSCURRENT") {
				fact.Value.current = utc(v.CreatedDate)
			}
			if slices.Contains(v.VersionStages, "AWSPENDING") && !slices.Contains(v.VersionStages, "AWSCURRENT") {
				fact.Value.pending = utc(v.CreatedDate)
			}
		}
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.versions[hash(arn)] = fact
}

// replicaIsInDoubt reports whether a replica's current version isn't the
// primary's: it is out of sync, or a rotation happened between two pages.
func (inv *Inventory) replicaIsInDoubt(s *facts.Secret) bool {
	if s.PrimaryRegion == "" {
		return false
	}
	for region, r := range inv.Regions {
		if region == s.Region {
			continue
		}
		if entry, ok := r.index.replica(s.Name, s.Region); ok && entry.current != hash(s.Current) {
			return true
		}
	}
	return false
}

func (inv *Inventory) readReplicas(ctx context.Context, r *Region, arn string) {
	if err := wait(ctx, r.throttle.describe); err != nil {
		return // what the listings say stands
	}
	out, err := r.clients.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		return
	}
	confirmed := map[string]facts.Replica{}
	for _, status := range out.ReplicationStatus {
		replica := facts.Replica{Region: aws.ToString(status.Region), InSync: status.Status == types.StatusTypeInSync}
		if !replica.InSync {
			replica.Evidence = strings.TrimSpace(string(status.Status) + " " + aws.ToString(status.StatusMessage))
		}
		confirmed[replica.Region] = replica
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.replicas[hash(arn)] = confirmed
}
