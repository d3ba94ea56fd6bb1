package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/pipeline"
)

func newPromote(s *setting) *cobra.Command {
	u := update{staged: true}
	command := &cobra.Command{
		Use:   "promote <stack>",
		Short: "Deploy to a stack what ran with success in the stage before it",
		Long: `Deploy to a stack what ran with success in the stage before it.

It is refused unless the last deployment of the stage before was of this commit
and these artifacts, by the pipeline, and succeeded. All else is as with up.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.run(command, args[0], u, func(ctx context.Context, p *pipeline.Pipeline) pipeline.Report { return p.Promote(ctx) })
		},
	}
	u.gateFlags(command)
	u.refreshFlag(command)
	u.lockFlags(command)
	return command
}
