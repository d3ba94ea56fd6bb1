package pipeline

import (
	"slices"
	"time"

	"github.com/aistudio/secrets/infra/pipeline/checks"
)

// Outcome is how a run ended.
type Outcome string

// The outcomes.
const (
	// Succeeded is that all was done, or that there was nothing to do.
	Succeeded Outcome = "succeeded"
	// Pending is that a preview or a look for drift found changes.
	Pending Outcome = "pending"
	// Refused is that a gate is closed, or that the stack isn't in a state to
	// work on. No resource was touched.
	Refused Outcome = "refused"
	// Failed is that something went wrong. An update may have done a part.
	Failed Outcome = "failed"
	// Cancelled is that a run was told to stop, and did. An update may have done
	// a part.
	Cancelled Outcome = "cancelled"
)

// The exit codes of the outcomes.
const (
	ExitSucceeded = 0
	ExitFailed    = 1 // failed or cancelled
	ExitPending   = 2
	ExitRefused   = 3
)

// ExitCode returns the exit code that tells a CI system of the outcome.
func (o Outcome) ExitCode() int {
	switch o {
	case Succeeded:
		return ExitSucceeded
	case Pending:
		return ExitPending
	case Refused:
		return ExitRefused
	case Failed, Cancelled:
		return ExitFailed
	}
	return ExitFailed
}

// Report is what a run found and did. It holds names of properties, and never
// their values.
type Report struct {
	Command  string  `json:"command"`
	Project  string  `json:"project"`
	Stack    string  `json:"stack"`
	Outcome  Outcome `json:"outcome"`
	ExitCode int     `json:"exitCode"`

	// Revision is what was deployed, or would be.
	Revision Revision `json:"revision"`
	// Digest identifies the previewed changes: it is what people approve.
	Digest string `json:"digest,omitempty"`
	// Changes are the resources that change or changed, without those that
	// stay the same.
	Changes []Change `json:"changes"`
	// Unchanged is the number of resources that stay the same.
	Unchanged int `json:"unchanged"`
	// Violations are what the policy checks found.
	Violations []checks.Violation `json:"violations"`
	// Refusals are the gates that are closed.
	Refusals []Refusal `json:"refusals"`
	// Approvals are those that hold for these changes.
	Approvals []Approval `json:"approvals"`
	// ApprovalsNeeded is how many people have to approve; 0 if nobody has to.
	ApprovalsNeeded int `json:"approvalsNeeded"`
	// Failures are what went wrong.
	Failures []Failure `json:"failures"`
	// Warnings are what should be known, such as a gate that was opened.
	Warnings []string `json:"warnings"`
	// Next is what to do about it.
	Next []string `json:"next"`

	Started time.Time `json:"started"`
	// Seconds is how long the run took.
	Seconds float64 `json:"seconds"`
}

// Refusal is one closed gate.
type Refusal struct {
	// Gate is its name, one of those in docs/pipeline.md.
	Gate string `json:"gate"`
	// URN is the resource, if it is about one.
	URN     string `json:"urn,omitempty"`
	Problem string `json:"problem"`
}

// The gates.
const (
	GateChecks    = "checks"    // a policy check found something
	GateDeletion  = "deletion"  // a guarded resource would be deleted or replaced
	GateApproval  = "approval"  // people haven't approved
	GatePromotion = "promotion" // the stage before hasn't run this
	GateLock      = "lock"      // somebody else works on the stack
	GatePending   = "pending"   // an update was killed, and what it did is unknown
	GateRevision  = "revision"  // it isn't known what would be deployed
	GateInput     = "input"     // an argument or a file is wrong
)

// Failure is one thing that went wrong.
type Failure struct {
	// URN is the resource, if it is about one.
	URN     string `json:"urn,omitempty"`
	Problem string `json:"problem"`
}

// NotBegun returns the report of a command that could not begin: refused,
// because an argument or a file is wrong, or failed.
func NotBegun(command, stack string, outcome Outcome, err error) Report {
	report := newReport(command, stack, time.Now())
	if outcome == Refused {
		report.refuse(GateInput, "", err.Error())
	} else {
		report.fail("", err.Error())
	}
	report.end(report.Started, outcome)
	return report
}

func newReport(command, stack string, now time.Time) Report {
	return Report{
		Command: command, Stack: stack, Started: now,
		Changes: []Change{}, Violations: []checks.Violation{}, Refusals: []Refusal{}, Approvals: []Approval{},
		Failures: []Failure{}, Warnings: []string{}, Next: []string{},
	}
}

func (r *Report) refuse(gate, urn, problem string) {
	r.Refusals = append(r.Refusals, Refusal{Gate: gate, URN: urn, Problem: problem})
}

func (r *Report) fail(urn, problem string) {
	r.Failures = append(r.Failures, Failure{URN: urn, Problem: problem})
}

// warn notes what should be known, once.
func (r *Report) warn(warning string) {
	if !slices.Contains(r.Warnings, warning) {
		r.Warnings = append(r.Warnings, warning)
	}
}

// next notes what to do, once.
func (r *Report) next(step string) {
	if !slices.Contains(r.Next, step) {
		r.Next = append(r.Next, step)
	}
}

// end closes the report. Refusals and failures decide; else it is what was
// achieved.
func (r *Report) end(now time.Time, achieved Outcome) {
	r.Outcome = achieved
	switch {
	case achieved == Cancelled:
	case len(r.Failures) > 0:
		r.Outcome = Failed
	case len(r.Refusals) > 0:
		r.Outcome = Refused
	}
	r.ExitCode = r.Outcome.ExitCode()
	r.Seconds = now.Sub(r.Started).Round(time.Millisecond).Seconds()
}
