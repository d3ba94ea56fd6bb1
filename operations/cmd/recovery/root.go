package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/operations/quota"
	"github.com/aistudio/secrets/operations/recovery"
)

// errTold ends a command whose failure has been printed.
var errTold = errors.New("failed")

// newRoot makes the command; started is set once the arguments are understood.
func newRoot(t terminal, started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "recovery",
		Short: "Fail a stack's secrets over to the DR region and back, and drill it",
		Long: `Fail a stack's secrets over to the DR region and back, and drill it.

The stack is that of a Pulumi.<stack>.yaml. Credentials are those of AWS's usual
environment (AWS_PROFILE, AWS_ENDPOINT_URL and so on); take on a role among the
stack's administrators. What changes something shows what it is going to do and
asks; --yes agrees beforehand, and --dry-run changes nothing. All can be stopped
and run again, and goes on. No value is printed, written or kept.

Exit status: 0 done, and all is well; 1 something failed; 2 wrong usage, or it
can't be done as things are, and nothing was changed.`,
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { *started = true },
	}
	root.SetOut(t.out)
	root.SetErr(t.err)
	s := &stack{terminal: t}
	f := root.PersistentFlags()
	f.StringVar(&s.file, "stack", "", "the stack's file, such as Pulumi.prod.yaml (required)")
	f.StringVar(&s.record, "record", "", "file that keeps what was before a failover (default dist/recovery/<environment>/record.json)")
	f.Float64Var(&s.share, "quota-share", quota.DefaultShare, "share of AWS's request quotas to use")
	f.DurationVar(&s.patience, "patience", 5*time.Minute, "how long what AWS does in the background may take for one secret: a replication, a rotation")
	f.BoolVar(&s.asJSON, "json", false, "as JSON")
	root.AddCommand(newStatus(s), newDrill(s), newFailover(s), newFailback(s))
	return root
}

// stack are the flags of all commands.
type stack struct {
	terminal
	file, record string
	share        float64
	patience     time.Duration
	asJSON       bool
}

// open reads the stack's file and AWS's environment.
func (s *stack) open(ctx context.Context) (*recovery.Estate, catalogue.Stack, error) {
	if s.file == "" {
		return nil, catalogue.Stack{}, &recovery.RefusedError{Reason: "no stack: name its file with --stack, such as Pulumi.prod.yaml"}
	}
	declared, err := catalogue.ReadFile(s.file)
	if err != nil {
		return nil, catalogue.Stack{}, &recovery.RefusedError{Reason: err.Error()}
	}
	// Each client gets its own region. This one is that of the STS of profiles with a
	// role, so not the one that may be lost.
	aws, err := config.LoadDefaultConfig(ctx, config.WithRegion(cmp.Or(declared.Settings.ReplicaRegion, declared.Region)))
	if err != nil {
		return nil, catalogue.Stack{}, fmt.Errorf("read the AWS configuration: %w", err)
	}
	record := s.record
	if record == "" {
		record = filepath.Join(s.folder(declared), "record.json")
	}
	estate, err := recovery.New(recovery.Options{
		Stack: declared, AWS: aws, Record: record, QuotaShare: s.share, Poll: s.poll, Patience: s.patience, Progress: s.progress(time.Second),
	})
	if err != nil {
		return nil, catalogue.Stack{}, &recovery.RefusedError{Reason: err.Error()}
	}
	return estate, declared, nil
}

// folder is where a stack's records and reports are.
func (s *stack) folder(declared catalogue.Stack) string {
	return filepath.Join("dist", "recovery", declared.Settings.Environment)
}
