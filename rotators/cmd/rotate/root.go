package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/rotators/operate"
)

// errTold ends a command whose failure has been printed.
var errTold = errors.New("failed")

// newRoot makes the command; started is set once the arguments are understood.
func newRoot(t terminal, started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "rotate",
		Short: "Operate the rotation of a secret by hand",
		Long: `Operate the rotation of a secret by hand.

A secret is named by its name or ARN. Region and credentials are those of AWS's
usual environment (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and so on). No
command reads or prints a value. What changes something shows what it is going
to do and asks; --yes agrees beforehand, and --dry-run changes nothing.

Exit status: 0 done; 1 failed; 2 wrong usage, or can't be done as things are.`,
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { *started = true },
	}
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.AddCommand(newStatus(t), newHistory(t), newNow(t), newCancel(t), newRollback(t), newUnstick(t))
	return root
}

// operator reads AWS's environment.
func (t terminal) operator(ctx context.Context) (*operate.Operator, error) {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if aws.Region == "" {
		return nil, &operate.RefusedError{Reason: "no region: set AWS_REGION, or a profile that has one"}
	}
	return operate.New(aws, t.options), nil
}
