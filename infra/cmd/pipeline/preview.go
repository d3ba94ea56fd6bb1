package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/pipeline"
)

func newPreview(s *setting) *cobra.Command {
	var u update
	command := &cobra.Command{
		Use:   "preview <stack>",
		Short: "Tell what up would change, and which gates are closed",
		Long: `Tell what up would change, and which gates are closed. Nothing is changed.

The report has the digest that people approve. Missing approvals don't refuse a
preview; what the policy checks find, and the deletion of what is guarded, do.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.run(command, args[0], u, func(ctx context.Context, p *pipeline.Pipeline) pipeline.Report { return p.Preview(ctx) })
		},
	}
	u.gateFlags(command)
	u.refreshFlag(command)
	return command
}
