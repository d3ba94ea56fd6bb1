package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/phase"
	"github.com/aistudio/secrets/migrator/validate"
)

func newPhase(t terminal) *cobra.Command {
	c := &cobra.Command{
		Use:   "phase",
		Short: "Run ADR-006's plan phase by phase: foundation, prepare, dev, staging, prod, cleanup",
		Long: `Run ADR-006's plan phase by phase: foundation, prepare, dev, staging, prod, cleanup.

Each stack goes through foundation, prepare, the phase of its own name, and
cleanup; staging starts when dev is complete, prod when staging is. A phase has a
checklist, and is complete when every check passes.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(newPhaseRun(t), newPhaseStatus(t), newPhaseConfirm(t))
	return c
}

func newPhaseRun(t terminal) *cobra.Command {
	m := change{migration: migration{terminal: t}}
	c := &cobra.Command{
		Use:   "run <phase> [stack]",
		Short: "Do what is left of a phase, step by step, and show its checklist",
		Long: `Do what is left of a phase, step by step, and show its checklist.

Steps whose checks pass are skipped. A step that is a command is shown before it
runs, and asked about. It ends at the first step that a person must do.

Exit status: 0 the phase is complete; 1 it isn't; 2 a phase before it isn't
complete, a command failed, or it couldn't be asked.`,
		Example: "  migrate phase run foundation dev --dry-run\n  migrate phase run prod",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			_, at, err := phase.Find(phase.Name(args[0]), strings.Join(args[1:], ""))
			if err != nil {
				return err
			}
			m.open(at.Stack)
			if m.dryRun {
				return m.look(c.Context(), at)
			}
			runner := phase.Runner{
				Stack:   m.phaseStack,
				Folders: m.folderOf,
				Tell:    func(s phase.Step) { m.say("\n%s\n", stepText(s.Title, m.commandLine(s))) },
				Agree: func(phase.Step) error {
					if m.yes {
						return nil
					}
					return m.agrees("Run it?")
				},
				Command: func(ctx context.Context, s phase.Step) error { return m.run(ctx, m.commandLine(s)) },
			}
			report, err := runner.Run(c.Context(), at)
			var early *phase.NotReadyError
			if err != nil && !errors.As(err, &early) {
				return err
			}
			return errors.Join(m.show(report), err)
		},
	}
	m.flags(c)
	return c
}

// look shows a phase and changes nothing.
func (c *change) look(ctx context.Context, at phase.At) error {
	stack, err := c.phaseStack(ctx)
	if err != nil {
		return err
	}
	report, err := phase.Look(ctx, at, stack, c.folderOf)
	if err != nil {
		return err
	}
	return c.show(report)
}

func (c *change) show(report phase.Report) error {
	var err error
	if c.asJSON {
		err = c.json(report)
	} else {
		err = report.Text(c.out)
	}
	if err == nil && !report.Complete && report.Ready() {
		err = errFindings
	}
	return err
}

func stepText(title string, command []string) string {
	if len(command) == 0 {
		return title + ": that is for you to do."
	}
	return title + ":\n  $ " + strings.Join(command, " ")
}

// phaseStack reads a stack's settings and whose account this is.
func (m *migration) phaseStack(ctx context.Context) (phase.Stack, error) {
	s, err := m.settings()
	if err != nil {
		return phase.Stack{}, err
	}
	config, err := m.aws(ctx, s.Region)
	if err != nil {
		return phase.Stack{}, err
	}
	now, account, err := validate.Now(ctx, config)
	if err != nil {
		return phase.Stack{}, err
	}
	return phase.Stack{Name: m.stack, Settings: s, Folder: m.folder, Config: config, Account: account, Now: now}, nil
}

// commandLine is what a step runs: "migrate" is this program, which is to find
// the same files.
func (c *change) commandLine(step phase.Step) []string {
	if len(step.Command) == 0 || step.Command[0] != program {
		return step.Command
	}
	line := append(slices.Clone(step.Command), "--root", c.root, "--stack-file", c.file, "--config", c.config)
	if c.yes && slices.Contains([]string{"apply", "cleanup"}, step.Command[1]) {
		line = append(line, "--yes")
	}
	return line
}

// program is how steps name this program.
const program = "migrate"

// run runs a step's command.
func (c *change) run(ctx context.Context, line []string) error {
	name, own := line[0], line[0] == program
	if own {
		self, err := c.self()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		name = self
	}
	process := exec.CommandContext(ctx, name, line[1:]...)
	process.Stdin, process.Stdout, process.Stderr = c.in, c.out, c.err
	if c.asJSON {
		process.Stdout = c.err
	}
	if !own {
		process.Dir = c.root
	}
	process.Cancel = func() error { return process.Process.Signal(os.Interrupt) }
	process.WaitDelay = time.Minute
	err := process.Run()
	var exit *exec.ExitError
	if own && errors.As(err, &exit) && exit.ExitCode() == exitFindings {
		return nil // it said what is left to look at, and the checks will too
	}
	return err
}
