package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/validate"
	"github.com/aistudio/secrets/sdk/spec"
)

// ofMigration asks about what the migration's folder tells: the plan, and what the
// journal adds up to. What was switched and is in no plan any more was forgotten by
// somebody, and nothing passes without it.
func ofMigration(ask func(context.Context, *facts, plan.Plan, journal.State) Answer) question {
	return func(ctx context.Context, f *facts) Answer {
		p, err := f.plan()
		if err != nil {
			return failed("a plan", err)
		}
		state, err := f.journal()
		if err != nil {
			return unknown("%s", err)
		}
		var forgotten []string
		for id, s := range state.Services {
			if s.Live() && s.Status != journal.Cleaned && !slices.ContainsFunc(p.Services, func(x plan.Service) bool { return x.ID == id }) {
				forgotten = append(forgotten, id)
			}
		}
		if slices.Sort(forgotten); len(forgotten) > 0 {
			return unknown("the plan no longer has what was switched: %s: bring the plan back that has it, or roll it back; if it is no more, clean up", some(forgotten))
		}
		return ask(ctx, f, p, state)
	}
}

func plannedCheck() Check {
	return Check{
		ID: "planned", Name: "a plan of the migration", Why: "A plan changes nothing: it is the dry run that people review.",
		How: "reading plan.yaml in the migration's folder", Remedy: "Make a plan: bin/migrate plan {stack}.",
		ask: func(_ context.Context, f *facts) Answer {
			p, err := f.plan()
			switch {
			case err != nil && notThere(err):
				return fails("there is no %s in %s", planFile, f.Folder)
			case err != nil:
				return fails("%s", err)
			case p.Stack != f.Name || p.Account != f.Account || p.Region != f.Settings.Region:
				return fails("it is for stack %s in account %s, %s", p.Stack, p.Account, p.Region)
			}
			return passes("%d secrets, %d services", len(p.Secrets), len(p.Services))
		},
	}
}

func unblockedCheck() Check {
	return Check{
		ID: "unblocked", Name: "nothing blocks in the plan", Why: "What is blocked isn't migrated.",
		How: "reading plan.yaml in the migration's folder", Remedy: "See each block's remedy in the plan, then plan again; or set skip with a reason.",
		ask: ofMigration(func(_ context.Context, _ *facts, p plan.Plan, _ journal.State) Answer {
			var blocks []string
			for _, b := range p.Blocked {
				blocks = append(blocks, b.Code+" "+b.Subject)
			}
			return all("nothing blocks", blocks, nil)
		}),
	}
}

// planReviewed is the ID of the check that is about one plan.
const planReviewed = "plan-reviewed"

func planReviewedCheck() Check {
	c := manual(Prepare, planReviewed, "the plan was reviewed", "Names, owners and the order of services are for people to judge.")
	said := c.ask
	c.ask = func(ctx context.Context, f *facts) Answer {
		answer := said(ctx, f)
		confirmation, found := f.confirmation(Prepare, planReviewed)
		if !found {
			return answer
		}
		switch sum, err := planSum(f.Folder); {
		case err != nil:
			return failed("a plan", err)
		case sum != confirmation.Plan:
			return fails("the plan has changed since %s reviewed it at %s", confirmation.By, moment(confirmation.At))
		}
		return answer
	}
	return c
}

// manual is a check that passes by a person's word.
func manual(phase Name, id, name, why string) Check {
	return Check{
		ID: id, Name: name, Why: why, How: "a person's word in confirmations.json of the migration's folder", Manual: true,
		Remedy: fmt.Sprintf("bin/migrate phase confirm %s %s {stack} --by <who>", phase, id),
		ask: func(_ context.Context, f *facts) Answer {
			c, found := f.confirmation(phase, id)
			if !found && slices.Contains(Stacks(), string(phase)) {
				c, found = f.confirmation(Name(f.Name), id)
			}
			if !found {
				return fails("nobody has confirmed it")
			}
			return passes("%s at %s %s", c.By, moment(c.At), c.Note)
		},
	}
}

// manualOf is manual for the phase that migrates the stack itself.
func manualOf(id, name, why string, stacks ...string) Check {
	c := manual("{stack}", id, name, why)
	c.Stacks = stacks
	c.ask = func(_ context.Context, f *facts) Answer {
		said, found := f.confirmation(Name(f.Name), id)
		if !found {
			return fails("nobody has confirmed it")
		}
		return passes("%s at %s %s", said.By, moment(said.At), said.Note)
	}
	return c
}

func learnedCheck() Check {
	return manualOf("learned", "what the stack before taught is in the plan", "Mistakes are made once.", string(Staging), string(Prod))
}

func windowCheck() Check {
	return manualOf("window", "the maintenance window is agreed on", "Whoever owns a service watches when it is switched.", string(Prod))
}

func checklistCheck() Check {
	return manualOf("checklist", "the final checklist was gone through", "Who watches, who decides to go back, who is told.", string(Prod))
}

func performanceCheck() Check {
	return manualOf("performance", "services are as fast as before", "A cache in front of Secrets Manager must not be felt.", string(Staging))
}

func cacheTunedCheck() Check {
	return manual(Cleanup, "cache-tuned", "the caches' TTL fits their metrics", "An hour is a default, not a measurement.")
}

func rotationTunedCheck() Check {
	return manual(Cleanup, "rotation-tuned", "rotations happen when they disturb nobody", "Schedules and windows are for owners to choose.")
}

func documentedCheck() Check {
	return manual(Cleanup, "documented", "the documentation is complete", "Runbooks must say what is, not what was.")
}

func dualReadCheck() Check {
	return Check{
		ID: "dual-read", Name: "services keep their old values while they read the new", Why: "A service that can't read its secret falls back to the old value.",
		How: "the mode in plan.yaml and in the journal", Remedy: "Set mode to dual-read in the plan.", Stacks: []string{string(Prod)},
		ask: ofMigration(func(_ context.Context, _ *facts, p plan.Plan, state journal.State) Answer {
			if p.Mode != plan.DualRead {
				return fails("the plan's mode is %s", p.Mode)
			}
			var final []string
			for id, s := range state.Services {
				if s.Live() && s.Mode != plan.DualRead && s.By != journal.Cleanup {
					final = append(final, id+" was switched with mode "+string(s.Mode))
				}
			}
			slices.Sort(final)
			return all("mode dual-read", final, nil)
		}),
	}
}

func appliedCheck() Check {
	return Check{
		ID: "applied", Name: "all secrets are made and all services are switched", Why: "The phase is over when nothing of the plan is left.",
		How: "plan.yaml and the journal in the migration's folder", Remedy: "Apply the plan: bin/migrate apply {stack}.",
		ask: ofMigration(func(_ context.Context, _ *facts, p plan.Plan, state journal.State) Answer {
			var open []string
			made := []journal.Status{journal.Written, journal.Adopted}
			for _, s := range p.Secrets {
				if s.Skip == "" && !slices.Contains(made, state.Secrets[s.Name].Status) {
					open = append(open, "secret "+s.Name)
				}
			}
			for _, s := range p.Services {
				if s.Skip == "" && !state.Services[s.ID].Done() {
					open = append(open, s.ID)
				}
			}
			return all(fmt.Sprintf("%d secrets, %d services", len(p.Secrets), len(p.Services)), open, nil)
		}),
	}
}

// soak is how long the services of a stack must do without their old values
// (ADR-006, phase 5: "Monitor for 24 hours").
func soak(stack string) time.Duration {
	if stack == string(Dev) {
		return time.Hour
	}
	return validate.DefaultSoak
}

func validCheck() Check {
	return Check{
		ID: "valid", Name: "the migration is valid, and has been for the soak time", Why: "A service that falls back, fails, or can't read must be found by us first.",
		How: "the newest validation in the migration's folder: an hour of soak in dev, 24 hours in staging and prod", Remedy: "Validate: bin/migrate validate {stack}; it says what is missing.",
		ask: ofMigration(func(_ context.Context, f *facts, _ plan.Plan, state journal.State) Answer {
			report, err := validate.Load(f.Folder)
			if err != nil {
				return failed("a validation", err)
			}
			// Once the cleanup has begun, what it was begun with stands.
			now := f.Now
			if state.Cleaned() {
				now = report.Finished
			}
			if err := report.Covers(f.Name, f.Account, state.LastSwitch(), soak(f.Name), now); err != nil {
				if report.Count(validate.Fail) == 0 && report.Count(validate.Unknown) > 0 {
					return unknown("%s", err)
				}
				return fails("%s", err)
			}
			return passes("%s It is of %s.", report.Summary(), moment(report.Finished))
		}),
	}
}

func rotatingCheck() Check {
	return Check{
		ID: "rotating", Name: "the migrated secrets rotate", Why: "A secret that nobody rotates is no better than the variable it was.",
		How:    "secretsmanager:DescribeSecret of the plan's secrets whose kind rotates by default, but for those of which the stack's file says why they don't",
		Remedy: "Add the plan's catalogue entries to Pulumi.{stack}.yaml, say there how each rotates or why it doesn't, and deploy.",
		ask: ofMigration(func(ctx context.Context, f *facts, p plan.Plan, _ journal.State) Answer {
			var names []string
			excused := 0
			for _, s := range p.Secrets {
				switch {
				case s.Skip != "" || s.Kind.RotationInterval() == 0:
				case f.excused(s.Name):
					excused++
				default:
					names = append(names, s.Name)
				}
			}
			found, wrong, untold := f.describe(ctx, names)
			for _, name := range names {
				if secret := found[name]; secret != nil && !aws.ToBool(secret.RotationEnabled) {
					wrong = append(wrong, name+" doesn't rotate")
				}
			}
			good := fmt.Sprintf("%d secrets rotate", len(found))
			if excused > 0 {
				good += fmt.Sprintf(", of %d the stack's file says why they don't", excused)
			}
			return all(good, wrong, untold)
		}),
	}
}

// excused tells whether the stack's file has a reason why a secret isn't rotated
// that somebody has thought about.
func (f *facts) excused(name string) bool {
	path, ok := strings.CutPrefix(name, f.Settings.Organization+"/"+f.Settings.Environment+"/")
	reason := f.Settings.Declared[path].RotationDisabled
	return ok && reason != "" && reason != plan.Undecided
}

func cleanedCheck() Check {
	return Check{
		ID: "cleaned", Name: "old variables, parameters and revisions are gone", Why: "What is left in plaintext is what the migration is about.",
		How: "plan.yaml and the journal in the migration's folder", Remedy: "Clean up: bin/migrate cleanup {stack}.",
		ask: ofMigration(func(_ context.Context, _ *facts, p plan.Plan, state journal.State) Answer {
			var open []string
			for _, s := range p.Services {
				if s.Skip == "" && state.Services[s.ID].Status != journal.Cleaned {
					open = append(open, s.ID)
				}
			}
			for _, s := range p.Secrets {
				if s.Skip != "" {
					continue
				}
				for _, v := range s.Values {
					for _, place := range v.Places {
						if place.In == spec.ScanSSM && state.Parameters[place.ID].Status != journal.Deleted {
							open = append(open, "parameter "+place.ID)
						}
					}
				}
			}
			for arn, r := range state.Revisions {
				if r.Status != journal.Removed {
					open = append(open, arn)
				}
			}
			for name, parameter := range state.Parameters {
				if parameter.Status != journal.Deleted {
					open = append(open, "parameter "+name)
				}
			}
			slices.Sort(open)
			return all("nothing of the plan is left", slices.Compact(open), nil)
		}),
	}
}

func noPlaintextCheck() Check {
	return Check{
		ID: "no-plaintext", Name: "the daily scan finds no secret in plaintext", Why: "The estate is more than what the plan knew of.",
		How: "the newest scan in the audit's bucket, if it is of the last day, of the stack's regions, and newer than the cleanup", Remedy: "Plan again for what the scan finds, or put it on the list of what is no secret.",
		ask: ofMigration(func(ctx context.Context, f *facts, _ plan.Plan, state journal.State) Answer {
			scan, err := f.scan(ctx)
			switch {
			case err != nil:
				return failed("a scan in the bucket "+f.bucket(), err)
			case f.Now.Sub(scan.Finished) > latestAudit:
				return unknown("the newest scan is of %s", moment(scan.Finished))
			case scan.Started.Before(state.Ended):
				return unknown("the newest scan is of %s, and the migration's last change of %s", moment(scan.Started), moment(state.Ended))
			}
			var wrong, untold []string
			for _, config := range f.regions() {
				if !slices.Contains(scan.Regions, config.Region) {
					untold = append(untold, "not scanned: "+config.Region)
				}
			}
			for _, finding := range scan.Findings {
				wrong = append(wrong, strings.TrimSpace(finding.ARN+" "+finding.Variable))
			}
			for _, unread := range scan.Unread {
				untold = append(untold, "unread: "+string(unread.Place)+" "+unread.ARN)
			}
			return all(fmt.Sprintf("scanned at %s", moment(scan.Finished)), wrong, untold)
		}),
	}
}
