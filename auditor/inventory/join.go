package inventory

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/rules"
)

// Each calls do for every secret, with all that is known of it, region by
// region in the order of the options and by name within one. It ends with the
// first error.
func (inv *Inventory) Each(ctx context.Context, do func(*facts.Subject) error) error {
	return inv.eachSecret(func(s *facts.Secret) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return do(inv.subject(s))
	})
}

func (inv *Inventory) eachSecret(do func(*facts.Secret) error) error {
	for _, region := range inv.opts.Regions {
		file := inv.Regions[region].file
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("read the secrets of %s from %s: %w", region, file.Name(), err)
		}
		decoder := json.NewDecoder(bufio.NewReaderSize(file, 1<<16))
		for {
			var s facts.Secret
			err := decoder.Decode(&s)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("read the secrets of %s from %s: %w", region, file.Name(), err)
			}
			if err := do(&s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (inv *Inventory) subject(s *facts.Secret) *facts.Subject {
	subject := &facts.Subject{Secret: *s, Declared: inv.declared[s.Name], Catalogue: inv.opts.Catalogue}
	if s.KeyID != "" {
		subject.Key = inv.keys[regionKey{s.Region, s.KeyID}]
	}
	subject.Written = inv.writtenOf(subject)
	subject.ByHand = inv.byHandOf(s)
	subject.Stuck = inv.stuckOf(s)
	subject.Failure = inv.failureOf(s)
	subject.Policy = inv.policyOf(s)
	subject.Replicas = inv.replicasOf(s)
	subject.Reads = facts.Fact[[]facts.Access]{Value: inv.reads.Value[s.Name], Unknown: inv.reads.Unknown}
	return subject
}

func (inv *Inventory) writtenOf(s *facts.Subject) facts.Fact[time.Time] {
	at, sure := writtenByListing(&s.Secret)
	if sure {
		return facts.Known(at)
	}
	if read, ok := inv.versions[hash(s.ARN)]; ok && (read.Unknown != "" || !read.Value.current.IsZero()) {
		return facts.Fact[time.Time]{Value: read.Value.current, Unknown: read.Unknown}
	}
	limit := inv.opts.Policy.MaximumAge[rules.KindOf(s)]
	switch {
	case inv.opts.Now.Sub(at) <= limit:
		return facts.Known(at) // young enough, and perhaps younger
	case inv.opts.Now.Sub(s.Changed) > limit:
		return facts.Known(s.Changed) // at the latest
	}
	return facts.Unknown[time.Time](tooManyVersions)
}

const tooManyVersions = "more secrets were changed by hand than a run looks into"

func (inv *Inventory) byHandOf(s *facts.Secret) facts.Fact[time.Time] {
	if !inv.rotationIsInDoubt(s) {
		return facts.Known(time.Time{})
	}
	read, ok := inv.versions[hash(s.ARN)]
	if !ok {
		return facts.Unknown[time.Time](tooManyVersions)
	}
	return facts.Fact[time.Time]{Value: read.Value.current, Unknown: read.Unknown}
}

func (inv *Inventory) stuckOf(s *facts.Secret) facts.Fact[time.Time] {
	switch {
	case s.Pending == "" || s.Pending == s.Current:
		return facts.Known(time.Time{})
	case !inv.pendingIsInDoubt(s):
		return facts.Known(s.Changed) // at the latest
	}
	read, ok := inv.versions[hash(s.ARN)]
	if !ok {
		return facts.Unknown[time.Time](tooManyVersions)
	}
	return facts.Fact[time.Time]{Value: read.Value.pending, Unknown: read.Unknown}
}

func (inv *Inventory) failureOf(s *facts.Secret) facts.Fact[*facts.RotationFailure] {
	failures := inv.failures[s.Region]
	if at, failed := failures.Value[s.Name]; failed && at.After(s.Created) { // before, another secret had the name
		return facts.Known(&facts.RotationFailure{Time: at, Event: "RotationFailed"})
	}
	return facts.Fact[*facts.RotationFailure]{Unknown: failures.Unknown}
}

func (inv *Inventory) policyOf(s *facts.Secret) facts.Fact[facts.ResourcePolicy] {
	if found, ok := inv.policies.found[s.ARN]; ok {
		return found
	}
	if _, clean := inv.Reviewed.find(reviewID(s.ARN, inv.expected(s.Name))); clean {
		return facts.Known(facts.ResourcePolicy{})
	}
	return facts.Unknown[facts.ResourcePolicy](fmt.Sprintf(
		"not read yet: a run reads %d resource policies (policyReads of the policy), the next one goes on", inv.opts.Policy.PolicyReads))
}

func (inv *Inventory) replicasOf(s *facts.Secret) facts.Fact[map[string]facts.Replica] {
	replicas := map[string]facts.Replica{}
	confirmed := inv.replicas[hash(s.ARN)]
	for _, region := range inv.opts.Regions {
		r := inv.Regions[region]
		if region == s.Region {
			continue
		}
		entry, ok := r.index.replica(s.Name, s.Region)
		if !ok {
			if r.Incomplete != "" {
				return facts.Unknown[map[string]facts.Replica]("the listing of " + region + " ended early: " + r.Incomplete)
			}
			continue
		}
		replica := facts.Replica{Region: region, InSync: entry.current == hash(s.Current), Accessed: entry.lastRead(), AWSKey: entry.awsKey}
		if !replica.InSync {
			replica.Evidence = "its current version isn't the primary's"
		}
		if known, ok := confirmed[region]; ok {
			replica.InSync, replica.Evidence = known.InSync, known.Evidence
		}
		replicas[region] = replica
	}
	return facts.Known(replicas)
}

func joinReasons(reasons []string) string {
	slices.Sort(reasons)
	return strings.Join(slices.Compact(reasons), "; ")
}
