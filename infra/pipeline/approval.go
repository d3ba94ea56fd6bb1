package pipeline

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// approvers is how many different people have to approve a change of a guarded
// stack.
const approvers = 2

// longestApproval is how long an approval may hold: what was looked at longer
// ago is looked at again.
const longestApproval = 7 * 24 * time.Hour

// Approval is one person's consent to one change.
type Approval struct {
	Stack string `yaml:"stack" json:"stack"`
	// Commit is the full hash of the commit that is deployed.
	Commit string `yaml:"commit" json:"commit"`
	// Digest is that of the previewed changes.
	Digest     string    `yaml:"digest" json:"digest"`
	ApprovedBy string    `yaml:"approvedBy" json:"approvedBy"`
	ApprovedAt time.Time `yaml:"approvedAt" json:"approvedAt"`
	ExpiresAt  time.Time `yaml:"expiresAt" json:"expiresAt"`
	// Reason is for those who read the file later.
	Reason string `yaml:"reason,omitempty" json:"reason,omitempty"`
}

// ReadApprovals reads an approvals file, whose format is in docs/pipeline.md.
// All mistakes are told at once, each with the number of its entry. The file
// says who approved; that it was they is for those who keep the file to make
// sure, such as a branch on which each of them commits for themselves.
func ReadApprovals(file string) ([]Approval, error) {
	text, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the approvals: %w", err)
	}
	defer text.Close()
	var content struct {
		Approvals []Approval `yaml:"approvals"`
	}
	decoder := yaml.NewDecoder(text)
	decoder.KnownFields(true)
	if err := decoder.Decode(&content); err != nil {
		return nil, fmt.Errorf("read the approvals %s: %w", file, err)
	}
	var errs []error
	for i, approval := range content.Approvals {
		if err := approval.validate(); err != nil {
			errs = append(errs, fmt.Errorf("read the approvals %s: entry %d: %w", file, i+1, err))
		}
	}
	return content.Approvals, errors.Join(errs...)
}

func (a Approval) validate() error {
	var errs []error
	for _, field := range []struct{ name, value string }{
		{"stack", a.Stack}, {"approvedBy", a.ApprovedBy}, {"commit", a.Commit}, {"digest", a.Digest},
	} {
		if strings.TrimSpace(field.value) == "" {
			errs = append(errs, fmt.Errorf("%s is missing", field.name))
		}
	}
	switch {
	case a.ApprovedAt.IsZero():
		errs = append(errs, errors.New("approvedAt is missing"))
	case a.ExpiresAt.IsZero():
		errs = append(errs, errors.New("expiresAt is missing"))
	case !a.ExpiresAt.After(a.ApprovedAt):
		errs = append(errs, errors.New("expiresAt isn't after approvedAt"))
	case a.ExpiresAt.Sub(a.ApprovedAt) > longestApproval:
		errs = append(errs, fmt.Errorf("expiresAt is more than %d days after approvedAt", int(longestApproval.Hours()/24)))
	}
	return errors.Join(errs...)
}

// checkApprovals refuses a change of a guarded stack that too few people have
// approved.
func (o Options) checkApprovals(report *Report, now time.Time) {
	if !o.Guarded || len(report.Changes) == 0 {
		return
	}
	report.ApprovalsNeeded = approvers
	people := map[string]bool{}
	var others []string // why an approval of this stack doesn't count
	for _, approval := range o.Approvals {
		if approval.Stack != report.Stack {
			continue
		}
		switch who := approval.ApprovedBy; {
		case approval.Digest != report.Digest:
			others = append(others, fmt.Sprintf("that of %s is for other changes (%.19s)", who, approval.Digest))
		case approval.Commit != report.Revision.Commit:
			others = append(others, fmt.Sprintf("that of %s is for commit %.12s", who, approval.Commit))
		case approval.ApprovedAt.After(now):
			others = append(others, fmt.Sprintf("that of %s is dated in the future", who))
		case !now.Before(approval.ExpiresAt):
			others = append(others, fmt.Sprintf("that of %s expired on %s", who, approval.ExpiresAt.UTC().Format(time.RFC3339)))
		case people[person(who)]:
			others = append(others, fmt.Sprintf("%s is there twice", who))
		default:
			people[person(who)] = true
			report.Approvals = append(report.Approvals, approval)
		}
	}
	if len(people) >= approvers {
		return
	}
	problem := fmt.Sprintf("%d of %d approvals of these changes are there", len(people), approvers)
	if len(others) > 0 {
		problem += ": " + strings.Join(others, "; ")
	}
	report.refuse(GateApproval, "", problem)
	report.next(fmt.Sprintf("let %d people look at the preview and add to the approvals file: stack %s, commit %s, digest %s", approvers, report.Stack, report.Revision.Commit, report.Digest))
}

// person is the same for one person's name in different spellings.
func person(name string) string {
	return strings.ToLower(strings.TrimPrefix(strings.TrimSpace(name), "@"))
}
