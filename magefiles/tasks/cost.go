package tasks

import "context"

// Cost estimates what a stack costs. The command's exit status is the target's.
func (w *Workspace) Cost(ctx context.Context, stack string, flags ...string) error {
	return w.operate(ctx, "cost", append([]string{"--stack", w.stackFile(stack)}, flags...), stack)
}
