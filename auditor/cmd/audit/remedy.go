package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/auditor/remedy"
	"github.com/aistudio/secrets/auditor/run"
)

func newRemedy() *cobra.Command {
	var t target
	var apply bool
	var journal, undo string
	c := &cobra.Command{
		Use:   "remedy",
		Short: "Show what could be mended; with --apply, mend what the policy switches on",
		Long: `Show what could be mended; with --apply, mend what the policy switches on.

Without --apply nothing is changed. With it, only findings of the rules in
remedy.rules of the policy are mended. Each change is written to the journal
before it is made, and "audit remedy --undo <journal>" takes all of it back.
Nothing is ever deleted.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := t.options(c.Context(), t.logger(c.ErrOrStderr()))
			if err != nil {
				return err
			}
			o.Now = time.Now()
			if undo == "" && !apply {
				return run.Remedy(c.Context(), o, nil, c.OutOrStdout())
			}
			file, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("open the journal: %w", err)
			}
			mender := remedy.NewMender(o.AWS, file)
			if undo != "" {
				return errors.Join(undoAll(c, mender, undo), file.Close())
			}
			return errors.Join(run.Remedy(c.Context(), o, &mender, c.OutOrStdout()), file.Close())
		},
	}
	t.flags(c)
	c.Flags().BoolVar(&apply, "apply", false, "mend, and don't only show")
	c.Flags().StringVar(&journal, "journal", "remedy.jsonl", "file to which every change is added")
	c.Flags().StringVar(&undo, "undo", "", "take back what this journal says was done")
	c.MarkFlagsMutuallyExclusive("apply", "undo")
	return c
}

func undoAll(c *cobra.Command, mender remedy.Mender, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	defer file.Close()
	return mender.UndoAll(c.Context(), file)
}
