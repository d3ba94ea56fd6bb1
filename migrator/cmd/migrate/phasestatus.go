package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/phase"
)

func newPhaseStatus(t terminal) *cobra.Command {
	m := change{migration: migration{terminal: t}}
	c := &cobra.Command{
		Use:   "status [stack]",
		Short: "Show where each stack stands, or ask AWS about all phases of one",
		Long: `Show where each stack stands, or ask AWS about all phases of one.

Without a stack it shows what the last run of each phase recorded in the stacks'
folders. With one, every check is made now.

Exit status: 0, and with a stack 1 if it isn't through all phases; 2 it couldn't
be asked.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return m.recorded()
			}
			return m.phases(c, args[0])
		},
	}
	m.migration.flags(c)
	return c
}

// recorded shows the phases' last results, of all stacks.
func (c *change) recorded() error {
	all := []phase.Standing{}
	for _, stack := range phase.Stacks() {
		for _, name := range phase.Of(stack) {
			s, err := phase.Recorded(c.folderOf(stack), phase.At{Phase: name, Stack: stack})
			if err != nil {
				return err
			}
			all = append(all, s)
		}
	}
	if c.asJSON {
		return c.json(all)
	}
	rows := []string{"STACK\tPHASE\tSTATE\tCHECKS\tLOOKED AT\tOPEN"}
	for _, s := range all {
		state := "open"
		switch {
		case s.Time.IsZero():
			state = "never run"
		case s.Complete:
			state = "complete"
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%d of %d\t%s\t%s", s.Stack, s.Phase, state, s.Passed, s.Checks, moment(s.Time), strings.Join(s.Open, ", ")))
	}
	return table(c.out, rows...)
}

// phases looks at all phases of a stack.
func (c *change) phases(command *cobra.Command, name string) error {
	c.open(name)
	stack, err := c.phaseStack(command.Context())
	if err != nil {
		return err
	}
	reports, complete := []phase.Report{}, true
	for _, p := range phase.Of(name) {
		report, err := phase.Look(command.Context(), phase.At{Phase: p, Stack: name}, stack, c.folderOf)
		if err != nil {
			return err
		}
		reports = append(reports, report)
		complete = complete && report.Complete
	}
	if c.asJSON {
		err = c.json(reports)
	} else {
		for _, r := range reports {
			if err = r.Text(c.out); err != nil {
				return err
			}
		}
	}
	if err == nil && !complete {
		err = errFindings
	}
	return err
}
