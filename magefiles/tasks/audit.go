package tasks

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// ExitError is an error with the exit status that mage ends with. The audit's
// tells a build what was found.
type ExitError struct {
	Status int
	Err    error
}

// Error implements error.
func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns the error behind the status.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitStatus is how mage asks for the status.
func (e *ExitError) ExitStatus() int { return e.Status }

// AuditRun audits the secrets of a stack once. The reports go to
// dist/audit/<stack>. The command's exit status is the target's, here and below.
func (w *Workspace) AuditRun(ctx context.Context, stack string, flags ...string) error {
	return w.audit(ctx, append([]string{"run", "--stack", w.stackFile(stack), "--out", w.auditFolder(stack)}, flags...)...)
}

// AuditReport fetches the newest reports of a stack's daily audit from a bucket.
func (w *Workspace) AuditReport(ctx context.Context, stack, bucket string, flags ...string) error {
	return w.audit(ctx, append([]string{"report", "--environment", stack, "--bucket", bucket, "--out", w.auditFolder(stack)}, flags...)...)
}

// AuditAccess shows who accessed a secret.
func (w *Workspace) AuditAccess(ctx context.Context, secret string, flags ...string) error {
	return w.audit(ctx, append([]string{"access", secret}, flags...)...)
}

// AuditRules prints the catalogue of rules and controls.
func (w *Workspace) AuditRules(ctx context.Context, flags ...string) error {
	return w.audit(ctx, append([]string{"rules"}, flags...)...)
}

func (w *Workspace) stackFile(stack string) string {
	return filepath.Join(w.Root, "Pulumi."+stack+".yaml")
}

func (w *Workspace) auditFolder(stack string) string {
	return filepath.Join(w.Root, "dist", "audit", stack)
}

func (w *Workspace) audit(ctx context.Context, args ...string) error {
	program, err := w.compileHere(ctx, "auditor", "./cmd/audit", "audit")
	if err != nil {
		return err
	}
	err = w.serve(ctx, program, args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &ExitError{exit.ExitCode(), fmt.Errorf("audit %s: %w", args[0], err)}
	}
	return err
}
