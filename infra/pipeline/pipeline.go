// Package pipeline deploys a stack as a CI system does: it previews, puts the
// preview through gates, deploys what was previewed and nothing else, and tells
// of it in a report.
//
// It drives Pulumi through the Automation API, so it works on every backend that
// Pulumi has. What was deployed is recorded in the history of the stack, together
// with how it ended; promotion reads it there.
//
// The gates are policy checks of the previewed resources (package checks), the
// deletion of guarded resources, approvals, promotion, locks and pending
// operations. Each one that is closed is in the report with what to do. A gate
// that is opened by an option leaves a warning.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/opthistory"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/aistudio/secrets/infra/pipeline/checks"
)

// Options are what a pipeline is told.
type Options struct {
	// Project is the name of the Pulumi project, for the report.
	Project string
	// Revision is what is deployed.
	Revision Revision
	// Guarded is that the stack is production: secrets, keys and trails are
	// deleted only if they are named, and every change is approved.
	Guarded bool
	// Before is the stack whose revision is promoted to this one; nil if this
	// is the first stage.
	Before *auto.Stack
	// Unpromoted is the reason for deploying what the stage before hasn't run.
	Unpromoted string
	// AllowDelete are URNs or names of guarded resources that may be deleted or
	// replaced. A name stands for all guarded resources that have it.
	AllowDelete []string
	// Approvals are those in the approvals file.
	Approvals []Approval
	// Refresh is that an update first reads what is in AWS.
	Refresh bool
	// LockTimeout is how long to wait for others who work on the stack.
	LockTimeout time.Duration
	// CancelStaleLock is that a lock is removed. Only a person can know that
	// its process is gone, unless it ran on this machine.
	CancelStaleLock bool
	// Policy is what the checks need to know of the stack.
	Policy checks.Policy
	// Log takes a line for people; nil: there is no log.
	Log func(line string)
	// Now is the time; time.Now by default.
	Now func() time.Time
}

// Pipeline runs operations on one stack, one at a time.
type Pipeline struct {
	stack     auto.Stack
	options   Options
	cancelled bool // the stale lock was cancelled
}

// New returns the pipeline of a stack, whose workspace should run the CLI with
// Command.
func New(stack auto.Stack, options Options) *Pipeline {
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Pipeline{stack: stack, options: options}
}

// reporting runs an operation and returns the report that it fills in.
func (p *Pipeline) reporting(command string, operation func(*Report) Outcome) Report {
	report := newReport(command, p.stack.Name(), p.options.Now())
	report.Project, report.Revision = p.options.Project, p.options.Revision
	achieved := operation(&report)
	report.end(p.options.Now(), achieved)
	return report
}

func (p *Pipeline) log(format string, values ...any) {
	if p.options.Log != nil {
		p.options.Log(fmt.Sprintf(format, values...))
	}
}

// Preview tells what Up would do, and which gates are closed. It changes
// nothing. The outcome is Pending if there are changes, even if gates are
// closed, which the report tells too; a policy violation refuses.
func (p *Pipeline) Preview(ctx context.Context) Report {
	return p.reporting("preview", func(report *Report) Outcome {
		if outcome := p.preview(ctx, report, ""); outcome != Succeeded {
			return outcome
		}
		p.checkPending(ctx, report)
		p.checkGates(report)
		p.tellOpen(report)
		if len(report.Changes) > 0 {
			return Pending
		}
		return Succeeded
	})
}

// tellOpen turns into warnings what people still have to do before Up: a pull
// request fails on what it can mend.
func (p *Pipeline) tellOpen(report *Report) {
	report.Refusals = slices.DeleteFunc(report.Refusals, func(refusal Refusal) bool {
		open := refusal.Gate == GateApproval
		if open {
			report.warn("up will be refused until it is approved: " + refusal.Problem)
		}
		return open
	})
}

// Up deploys. It previews first, and if all gates are open makes the previewed
// changes and no others. Also where nothing changes, it runs, so that the
// history tells that this revision is deployed.
func (p *Pipeline) Up(ctx context.Context) Report {
	return p.reporting("up", func(report *Report) Outcome {
		p.checkUnpromoted(report)
		return p.gated(ctx, report)
	})
}

// Promote deploys what the last update of the stage before deployed, if that
// succeeded.
func (p *Pipeline) Promote(ctx context.Context) Report {
	return p.reporting("promote", func(report *Report) Outcome {
		p.checkPromotion(ctx, report)
		return p.gated(ctx, report)
	})
}

// gated runs an update behind the gates.
func (p *Pipeline) gated(ctx context.Context, report *Report) Outcome {
	if p.options.Guarded && p.options.Revision.Dirty {
		report.refuse(GateRevision, "", "the files differ from the commit, so nobody could have approved what they hold")
		report.next("commit the changes, or restore the files")
	}
	p.checkPending(ctx, report)
	if stopped(report) {
		return Refused
	}
	for {
		folder, err := os.MkdirTemp("", "pipeline-plan-")
		if err != nil {
			report.fail("", fmt.Sprintf("make a folder for the plan: %v", err))
			return Failed
		}
		outcome, again := p.attempt(ctx, report, filepath.Join(folder, "plan.json"))
		if err := os.RemoveAll(folder); err != nil {
			report.warn(fmt.Sprintf("remove the plan: %v", err))
		}
		if !again {
			return outcome
		}
		// Whoever had the lock may have changed the stack, so that the preview
		// and the plan are void.
		report.Violations, report.Approvals = []checks.Violation{}, []Approval{}
	}
}

func stopped(report *Report) bool { return len(report.Refusals)+len(report.Failures) > 0 }

// attempt previews and updates once. It returns whether to try again.
func (p *Pipeline) attempt(ctx context.Context, report *Report, plan string) (outcome Outcome, again bool) {
	if outcome := p.preview(ctx, report, plan); outcome != Succeeded {
		return outcome, false
	}
	unprotect := p.checkGates(report)
	if stopped(report) {
		return Refused, false
	}
	if err := p.unprotect(ctx, unprotect); err != nil {
		if met := lockOf(err); met != nil {
			return p.waitTurn(ctx, report, *met)
		}
		report.fail("", err.Error())
		return Failed, false
	}
	stream, collect := follow(p.progress())
	options := []optup.Option{
		optup.Plan(plan), optup.EventStreams(stream), optup.SuppressOutputs(), optup.SuppressProgress(),
		optup.ShowSecrets(false), optup.Message(p.options.Revision.message(report.Command)),
	}
	if p.options.Refresh {
		options = append(options, optup.Refresh())
	}
	p.log("deploying %s to %s", p.options.Revision, report.Stack)
	_, err := p.stack.Up(ctx, options...)
	ran := collect()
	if err == nil {
		p.checkMade(report, ran)
		return Succeeded, false
	}
	if met := lockOf(err); met != nil {
		return p.waitTurn(ctx, report, *met)
	}
	return p.failed(ctx, report, ran, err), false
}

// preview fills in what would change. A plan is written if it has a name.
func (p *Pipeline) preview(ctx context.Context, report *Report, plan string) Outcome {
	stream, collect := follow(nil)
	options := []optpreview.Option{optpreview.EventStreams(stream), optpreview.SuppressOutputs(), optpreview.SuppressProgress()}
	if plan != "" {
		options = append(options, optpreview.Plan(plan))
	}
	if p.options.Refresh {
		options = append(options, optpreview.Refresh())
	}
	p.log("previewing %s on %s", p.options.Revision, report.Stack)
	_, err := p.stack.Preview(ctx, options...)
	return p.previewed(ctx, report, collect(), err, "up")
}

// previewed takes over what a preview told.
func (p *Pipeline) previewed(ctx context.Context, report *Report, ran *run, err error, command string) Outcome {
	report.Changes, report.Unchanged = ran.changes.sorted(), ran.unchanged
	switch {
	case err != nil:
		return p.failed(ctx, report, ran, err)
	case ran.incomplete != nil:
		report.fail("", fmt.Sprintf("read what Pulumi tells of the preview: %v", ran.incomplete))
		return Failed
	}
	report.Digest = ""
	if len(report.Changes) > 0 {
		if report.Digest, err = digest(report.Project, report.Stack, command, report.Revision, report.Changes); err != nil {
			report.fail("", err.Error())
			return Failed
		}
	}
	if command == "up" {
		report.Violations = append([]checks.Violation{}, ran.violations(p.policy())...)
	}
	for _, change := range report.Changes {
		p.log("  %s", line(change))
	}
	p.log("  %d to change, %d stay the same", len(report.Changes), report.Unchanged)
	return Succeeded
}

// checkGates refuses what a preview showed, and returns the URNs of what has to
// lose its protection because it is named.
func (p *Pipeline) checkGates(report *Report) (unprotect []string) {
	for _, violation := range report.Violations {
		report.refuse(GateChecks, violation.URN, violation.Check+": "+violation.Problem)
	}
	if len(report.Violations) > 0 {
		report.next("mend what the checks found; pipeline checks explains each one")
	}
	unprotect = p.options.checkDeletions(report)
	p.options.checkApprovals(report, p.options.Now())
	return unprotect
}

func (p *Pipeline) policy() checks.Policy {
	policy := p.options.Policy
	policy.Guarded = p.options.Guarded
	return policy
}

// checkMade fails an update that made what the preview couldn't show, since AWS
// hadn't made up its values yet.
func (p *Pipeline) checkMade(report *Report, ran *run) {
	report.Violations = append(report.Violations, ran.violations(p.policy())...)
	for _, violation := range report.Violations {
		report.fail(violation.URN, "this was made, and only then a check could see what is wrong with it: "+violation.Check+": "+violation.Problem)
	}
	if len(report.Violations) > 0 {
		report.next("mend what the checks found, and deploy again")
	}
}

// unprotect takes the protection off what is deleted by name. It comes back with
// the next update if the resource is still there.
func (p *Pipeline) unprotect(ctx context.Context, urns []string) error {
	workspace := p.stack.Workspace()
	var env []string
	for name, value := range workspace.GetEnvVars() {
		env = append(env, name+"="+value)
	}
	if home := workspace.PulumiHome(); home != "" {
		env = append(env, "PULUMI_HOME="+home)
	}
	for _, urn := range urns {
		p.log("taking the protection off %s", urn)
		_, _, _, err := workspace.PulumiCommand().Run(ctx, workspace.WorkDir(), nil, nil, nil, env,
			"state", "unprotect", urn, "--yes", "--stack", p.stack.Name())
		if err != nil {
			return fmt.Errorf("take the protection off %s: %w", urn, err)
		}
	}
	return nil
}

// Destroy deletes all that the stack has. In a guarded stack each guarded
// resource has to be named, and people have to approve.
func (p *Pipeline) Destroy(ctx context.Context) Report {
	return p.reporting("destroy", func(report *Report) Outcome { return p.destroy(ctx, report) })
}

func (p *Pipeline) destroy(ctx context.Context, report *Report) Outcome {
	p.checkPending(ctx, report)
	for !stopped(report) {
		stream, collect := follow(nil)
		p.log("previewing the end of %s", report.Stack)
		_, err := p.stack.PreviewDestroy(ctx, optdestroy.EventStreams(stream), optdestroy.SuppressOutputs(), optdestroy.SuppressProgress())
		if outcome := p.previewed(ctx, report, collect(), err, "destroy"); outcome != Succeeded {
			return outcome
		}
		unprotect := p.checkGates(report)
		if stopped(report) {
			break
		}
		err = p.unprotect(ctx, unprotect)
		ran := &run{}
		if err == nil {
			var stream chan<- events.EngineEvent
			stream, collect = follow(p.progress())
			_, err = p.stack.Destroy(ctx, optdestroy.EventStreams(stream), optdestroy.SuppressOutputs(), optdestroy.SuppressProgress(),
				optdestroy.ShowSecrets(false), optdestroy.Message(p.options.Revision.message("destroy")))
			ran = collect()
		}
		if err == nil {
			return Succeeded
		}
		met := lockOf(err)
		if met == nil {
			return p.failed(ctx, report, ran, err)
		}
		if outcome, again := p.waitTurn(ctx, report, *met); !again {
			return outcome
		}
		report.Approvals = []Approval{}
	}
	return Refused
}

// Drift compares the state with what is in AWS, and changes neither. The outcome
// is Pending if they differ.
func (p *Pipeline) Drift(ctx context.Context) Report {
	return p.reporting("drift", func(report *Report) Outcome { return p.drift(ctx, report) })
}

func (p *Pipeline) drift(ctx context.Context, report *Report) Outcome {
	stream, collect := follow(nil)
	p.log("comparing %s with AWS", report.Stack)
	_, err := p.stack.PreviewRefresh(ctx, optrefresh.EventStreams(stream), optrefresh.SuppressOutputs(), optrefresh.SuppressProgress(), optrefresh.RunProgram(false))
	ran := collect()
	if err != nil {
		return p.failed(ctx, report, ran, err)
	}
	report.Changes, report.Unchanged = ran.drift.sorted(), ran.unchanged
	for _, change := range report.Changes {
		p.log("  %s", line(change))
	}
	if len(report.Changes) == 0 {
		return Succeeded
	}
	report.next(fmt.Sprintf("find out in CloudTrail who changed it; pipeline up %s --refresh makes it again what the program says", report.Stack))
	return Pending
}

// failed tells why an operation ended early.
func (p *Pipeline) failed(ctx context.Context, report *Report, ran *run, err error) Outcome {
	updating := report.Command != "preview" && report.Command != "drift"
	if ctx.Err() != nil {
		var command *CommandError
		if errors.As(err, &command) && command.Code < 0 {
			report.fail("", "Pulumi had to be killed, since it didn't stop in time")
			report.next("see in docs/pipeline.md how to go on after an update that was killed")
		}
		if updating {
			p.checkStopped(context.WithoutCancel(ctx), report)
		}
		return Cancelled
	}
	report.Failures = append(report.Failures, ran.failures...)
	if len(ran.failures) == 0 {
		report.fail("", message(err))
	}
	if updating && len(ran.done) > 0 {
		report.next(fmt.Sprintf("what was made stays; mend what failed and run the same again: pipeline %s %s", report.Command, report.Stack))
	}
	return Failed
}

// checkStopped looks in the state whether a cancelled update ended in order, since
// whoever cancelled it has to know.
func (p *Pipeline) checkStopped(ctx context.Context, report *Report) {
	p.checkPending(ctx, report)
	if !stopped(report) {
		report.next(fmt.Sprintf("what had begun was finished, and the rest left; run the same again: pipeline %s %s", report.Command, report.Stack))
	}
}

// progress logs what an update does as it does it.
func (p *Pipeline) progress() func(apitype.EngineEvent) {
	var begun, done int
	return func(event apitype.EngineEvent) {
		switch {
		case event.ResourcePreEvent != nil:
			if change, ok := changeOf(event.ResourcePreEvent.Metadata); ok {
				begun++
				p.log("  %s …", line(change))
			}
		case event.ResOutputsEvent != nil:
			if change, ok := changeOf(event.ResOutputsEvent.Metadata); ok {
				done++
				p.log("  %s: done (%d)", line(change), done)
			}
		case event.DiagnosticEvent != nil && event.DiagnosticEvent.Severity == "error":
			p.log("  ! %s", plain(event.DiagnosticEvent.Message))
		}
	}
}

// history returns the last update that deployed or destroyed something, or nil.
func history(ctx context.Context, stack *auto.Stack) (*auto.UpdateSummary, error) {
	for page := 1; ; page++ {
		updates, err := stack.History(ctx, historyPage, page, opthistory.ShowSecrets(false))
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %s", stack.Name(), message(err))
		}
		for _, update := range updates {
			if update.Kind == string(apitype.UpdateUpdate) || update.Kind == string(apitype.DestroyUpdate) {
				return &update, nil
			}
		}
		if len(updates) < historyPage {
			return nil, nil
		}
	}
}

// historyPage is how many updates are read at once.
const historyPage = 20
