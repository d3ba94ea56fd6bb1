package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/pipeline"
)

func newDestroy(s *setting) *cobra.Command {
	var u update
	command := &cobra.Command{
		Use:   "destroy <stack>",
		Short: "Delete all that a stack has, if all gates are open",
		Long: `Delete all that a stack has, if all gates are open.

In prod, each secret, key, trail and protected resource has to be named with
--allow-delete, and people have to approve. What the program retains (in prod
secrets and keys) stays in AWS: Pulumi forgets it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.run(command, args[0], u, func(ctx context.Context, p *pipeline.Pipeline) pipeline.Report { return p.Destroy(ctx) })
		},
	}
	u.gateFlags(command)
	u.lockFlags(command)
	return command
}
