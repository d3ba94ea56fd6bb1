package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/pipeline"
)

func newDrift(s *setting) *cobra.Command {
	return &cobra.Command{
		Use:   "drift <stack>",
		Short: "Tell what was changed in AWS behind Pulumi's back",
		Long: `Tell what was changed in AWS behind Pulumi's back. Neither the state nor AWS is
changed; up --refresh makes it again what the program says.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return s.run(command, args[0], update{}, func(ctx context.Context, p *pipeline.Pipeline) pipeline.Report { return p.Drift(ctx) })
		},
	}
}
