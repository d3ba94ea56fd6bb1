package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/pipeline"
)

func newUp(s *setting) *cobra.Command {
	u := update{staged: true}
	command := &cobra.Command{
		Use:   "up <stack>",
		Short: "Deploy to a stack what a preview showed, if all gates are open",
		Long: `Deploy to a stack what a preview showed, if all gates are open.

It previews, and then makes the previewed changes and no others. Only the first
stage is deployed to by up; the others get what ran before them, by promote.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.run(command, args[0], u, func(ctx context.Context, p *pipeline.Pipeline) pipeline.Report { return p.Up(ctx) })
		},
	}
	u.gateFlags(command)
	u.refreshFlag(command)
	u.lockFlags(command)
	command.Flags().StringVar(&u.unpromoted, "unpromoted", "", "reason for deploying what the stage before hasn't run; the report tells it")
	return command
}
