package tasks

import "context"

// Bench runs all benchmarks and writes bench/README.md, with args for the
// program in bench/. What they measure is built first: the Lambda artifacts.
func (w *Workspace) Bench(ctx context.Context, args ...string) error {
	if err := w.installDatabases(ctx); err != nil {
		return err
	}
	if err := w.BuildLambdas(ctx); err != nil {
		return err
	}
	program, err := w.compileHere(ctx, "bench", ".", "bench")
	if err != nil {
		return err
	}
	return w.serve(ctx, program, append([]string{"-root", w.Root}, args...)...)
}
