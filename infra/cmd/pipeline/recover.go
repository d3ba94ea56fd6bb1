package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/pipeline"
)

func newRecover(s *setting) *cobra.Command {
	var u update
	var imports, clears []string
	command := &cobra.Command{
		Use:   "recover <stack>",
		Short: "Settle what an update left that was killed",
		Long: `Settle what an update left that was killed.

How its updates and deletions ended is read from AWS. For each resource that it
was creating, say how that ended, after a look into AWS: --import, if the
resource was made, or --clear, if it wasn't. Without them the command lists what
is open, and changes nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			settlement := pipeline.Settlement{Import: map[string]string{}, Clear: clears}
			var errs []error
			for _, text := range imports {
				urn, id, err := pipeline.ParseImport(text)
				errs = append(errs, err)
				settlement.Import[urn] = id
			}
			if err := errors.Join(errs...); err != nil {
				return err
			}
			return s.run(command, args[0], u, func(ctx context.Context, p *pipeline.Pipeline) pipeline.Report {
				return p.Recover(ctx, settlement)
			})
		},
	}
	u.lockFlags(command)
	f := command.Flags()
	f.StringArrayVar(&imports, "import", nil, "<urn>=<id> of a resource that was made; the ID is the one that Pulumi has for its type")
	f.StringArrayVar(&clears, "clear", nil, "URN of a resource that wasn't made")
	return command
}
