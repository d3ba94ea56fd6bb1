package tasks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Demo builds the Lambda functions, for this machine's architecture, and the
// programs of the story, and runs the demo, which ends by itself. The demo uses
// the real Pulumi engine if a good CLI is there; none is built for it.
func (w *Workspace) Demo(ctx context.Context) error {
	artifacts := w.path("bin", "lambda")
	if err := w.buildLambdas(ctx, artifacts, runtime.GOARCH); err != nil {
		return err
	}
	for _, program := range []struct{ module, pkg, name string }{
		{"migrator", "./cmd/migrate", "migrate"},
		{"operations", "./cmd/recovery", "recovery"},
		{"demo", "./shop", "shop"},
	} {
		if _, err := w.compileHere(ctx, program.module, program.pkg, program.name); err != nil {
			return err
		}
	}
	demo, err := w.compileHere(ctx, "demo", ".", "demo")
	if err != nil {
		return err
	}
	engine, err := w.demoEngine(ctx)
	if err != nil {
		return err
	}
	return w.serve(ctx, demo, append(engine, "-artifacts", artifacts)...)
}

// demoEngine returns the demo's arguments for the real engine, with the plugin
// built for it, or none.
func (w *Workspace) demoEngine(ctx context.Context) ([]string, error) {
	pin, err := w.pin(pulumi)
	if err != nil {
		return nil, err
	}
	cli := w.present(ctx, pulumi, pin)
	if cli == "" {
		return nil, nil
	}
	plugin, err := w.compileHere(ctx, "localcloud/pulumi", "./cmd/pulumi-resource-aws", "pulumi-resource-aws")
	if err != nil {
		return nil, err
	}
	return []string{"-pulumi", cli, "-plugins", filepath.Dir(plugin)}, nil
}

// LocalStart runs the local cloud until it is interrupted.
func (w *Workspace) LocalStart(ctx context.Context, args ...string) error {
	localcloud, err := w.compileHere(ctx, "localcloud", "./cmd/localcloud", "localcloud")
	if err != nil {
		return err
	}
	return w.serve(ctx, localcloud, args...)
}

// serve runs a program of ours in front of the user. After a Ctrl-C it has the
// time that it needs to clean up.
func (w *Workspace) serve(ctx context.Context, program string, args ...string) error {
	c := command{
		dir:     w.Root,
		name:    program,
		args:    args,
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		patient: true,
	}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("run %w", err)
	}
	return nil
}
