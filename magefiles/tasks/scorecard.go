package tasks

import "context"

// Scorecard measures the success metrics of a stack. An empty bucket or code scan
// is left out. The command's exit status is the target's.
func (w *Workspace) Scorecard(ctx context.Context, stack, bucket, code string, flags ...string) error {
	args := append([]string{"--stack", w.stackFile(stack)}, flags...)
	if bucket != "" {
		args = append(args, "--bucket", bucket)
	}
	if code != "" {
		args = append(args, "--code", code)
	}
	return w.operate(ctx, "scorecard", args, stack)
}
