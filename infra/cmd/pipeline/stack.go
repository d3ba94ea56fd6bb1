package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/pipeline"
	"github.com/aistudio/secrets/infra/pipeline/checks"
	"github.com/aistudio/secrets/infra/program"
)

// stages are the stacks in the order in which a revision goes through them. The
// last one is production.
var stages = []string{"dev", "staging", "prod"}

// update are the flags of what changes a stack.
type update struct {
	allowDelete     []string
	approvals       string
	unpromoted      string
	staged          bool // it matters what the stage before has run
	refresh         bool
	lockTimeout     time.Duration
	cancelStaleLock bool
}

func (u *update) gateFlags(command *cobra.Command) {
	f := command.Flags()
	f.StringArrayVar(&u.allowDelete, "allow-delete", nil, "URN or name of a secret, key, trail or protected resource that may be deleted or replaced; can be given more than once")
	f.StringVar(&u.approvals, "approvals", "", "file of the approvals, which prod needs")
}

func (u *update) lockFlags(command *cobra.Command) {
	f := command.Flags()
	f.DurationVar(&u.lockTimeout, "lock-timeout", 0, "how long to wait while somebody else works on the stack")
	f.BoolVar(&u.cancelStaleLock, "cancel-stale-lock", false, "remove the lock of a run that was killed; be sure that it is gone")
}

func (u *update) refreshFlag(command *cobra.Command) {
	command.Flags().BoolVar(&u.refresh, "refresh", false, "read first what is in AWS, so that drift is undone")
}

// open prepares the pipeline of a stack. An error that is no *failedError means
// that the arguments or the files are wrong.
func (s *setting) open(ctx context.Context, name string, u update) (*pipeline.Pipeline, error) {
	project, err := filepath.Abs(s.project)
	if err != nil {
		return nil, fmt.Errorf("find the project: %w", err)
	}
	config, err := program.ReadStackFile(filepath.Join(project, "Pulumi."+name+".yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no stack %s: %w", name, err)
	} else if err != nil {
		return nil, err
	}
	described, err := describe(config)
	if err != nil {
		return nil, fmt.Errorf("Pulumi.%s.yaml: %w", name, err)
	}
	options := pipeline.Options{
		Guarded:     name == stages[len(stages)-1] || described.Settings.Protect,
		Unpromoted:  u.unpromoted,
		AllowDelete: u.allowDelete, Refresh: u.refresh, LockTimeout: u.lockTimeout, CancelStaleLock: u.cancelStaleLock,
		Policy: checks.Policy{NotRotated: notRotated(described), Config: config},
		Log:    s.log,
	}
	if u.approvals != "" {
		if options.Approvals, err = pipeline.ReadApprovals(u.approvals); err != nil {
			return nil, err
		}
	}
	artifacts, err := s.folder(s.artifacts)
	if err != nil {
		return nil, fmt.Errorf("find the artifacts: %w", err)
	}
	if options.Revision, err = pipeline.ReadRevision(ctx, project, artifacts, s.commit); err != nil {
		return nil, err
	}
	cli, err := pipeline.NewCommand(ctx, s.cli, s.grace)
	if err != nil {
		return nil, &failedError{err}
	}
	stack, err := selectStack(ctx, cli, project, artifacts, name)
	if err != nil {
		return nil, err
	}
	settings, err := stack.Workspace().ProjectSettings(ctx)
	if err != nil {
		return nil, &failedError{fmt.Errorf("read Pulumi.yaml: %w", err)}
	}
	options.Project = string(settings.Name)
	if at := slices.Index(stages, name); at > 0 && u.staged {
		if options.Before, err = selectStack(ctx, cli, project, artifacts, stages[at-1]); err != nil {
			return nil, err
		}
	}
	return pipeline.New(*stack, options), nil
}

// describe parses what a stack declares.
func describe(config map[string]string) (catalogue.Stack, error) {
	values := map[string]string{}
	for _, key := range catalogue.Keys() {
		if value, ok := config[key]; ok {
			values[key] = value
		}
	}
	return catalogue.Parse(values)
}

// notRotated returns the reasons that the catalogue gives.
func notRotated(stack catalogue.Stack) map[string]string {
	reasons := map[string]string{}
	for _, secret := range stack.Secrets {
		switch {
		case secret.Rotates():
		case secret.RotationDisabled != "":
			reasons[secret.Name.String()] = secret.RotationDisabled
		default:
			reasons[secret.Name.String()] = "it awaits its first value"
		}
	}
	return reasons
}

func selectStack(ctx context.Context, cli *pipeline.Command, project, artifacts, name string) (*auto.Stack, error) {
	stack, err := auto.SelectStackLocalSource(ctx, name, project,
		auto.Pulumi(cli), auto.Program(program.New(program.Options{Artifacts: artifacts})))
	var refused *pipeline.CommandError
	switch {
	case err == nil:
		return &stack, nil
	case auto.IsSelectStack404Error(err):
		return nil, fmt.Errorf("the backend %s has no stack %s: make it once, with pulumi stack init %s --secrets-provider <a KMS key>", backend(), name, name)
	case errors.As(err, &refused):
		return nil, &failedError{fmt.Errorf("open stack %s: %w", name, refused)}
	}
	return nil, &failedError{fmt.Errorf("open stack %s: %w", name, err)}
}

// backend names where Pulumi keeps its state, without a password in it.
func backend() string {
	address := os.Getenv("PULUMI_BACKEND_URL")
	if address == "" {
		return "that pulumi login chose"
	}
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		return address
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	return scheme + "://" + rest
}
