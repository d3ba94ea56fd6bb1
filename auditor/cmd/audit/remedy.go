package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/auditor/remedy"
	"github.com/aistudio/secrets/auditor/run"
)

func newRemedy() *cobra.Command {
	var t target
	var apply, asJSON bool
	var journal, undo string
	c := &cobra.Command{
		Use:   "remedy",
		Short: "Show what could be mended; with --apply, mend what the policy switches on",
		Long: `Show what could be mended; with --apply, mend what the policy switches on.

Without --apply nothing is changed. With it, only findings of the rules in
remedy.rules of the policy are mended. Each change is written to the journal
before it is made, and "audit remedy --undo <journal>" takes all of it back.
Nothing is ever deleted.

Exit codes: 0 when all was done, 2 when an act failed, or when not all secrets
could be listed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := t.options(c.Context(), t.logger(c.ErrOrStderr()))
			if err != nil {
				return err
			}
			o.Now = time.Now()
			out := &mending{w: c.OutOrStdout(), asJSON: asJSON}
			if undo == "" && !apply {
				return errors.Join(run.Remedy(c.Context(), o, nil, out.tell), out.end())
			}
			file, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("open the journal: %w", err)
			}
			mender := remedy.NewMender(o.AWS, file)
			if undo != "" {
				err = undoAll(c, mender, undo, out)
			} else {
				err = run.Remedy(c.Context(), o, &mender, out.tell)
			}
			return errors.Join(err, out.end(), file.Close())
		},
	}
	t.flags(c)
	c.Flags().BoolVar(&apply, "apply", false, "mend, and don't only show")
	c.Flags().StringVar(&journal, "journal", "remedy.jsonl", "file to which every change is added")
	c.Flags().StringVar(&undo, "undo", "", "take back what this journal says was done")
	c.Flags().BoolVar(&asJSON, "json", false, "print the acts as JSON")
	c.MarkFlagsMutuallyExclusive("apply", "undo")
	return c
}

func undoAll(c *cobra.Command, mender remedy.Mender, path string, out *mending) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	defer file.Close()
	return mender.UndoAll(c.Context(), file, func(act remedy.Act, err error) { out.tell(run.NewMended(run.TakenBack, act, err)) })
}

// mending prints acts, as they come or as JSON at the end.
type mending struct {
	w      io.Writer
	asJSON bool
	acts   []run.Mended
}

func (m *mending) tell(act run.Mended) {
	if m.asJSON {
		m.acts = append(m.acts, act)
		return
	}
	fmt.Fprintln(m.w, act)
}

func (m *mending) end() error {
	if !m.asJSON {
		return nil
	}
	list := struct {
		Acts []run.Mended `json:"acts"`
	}{m.acts}
	if list.Acts == nil {
		list.Acts = []run.Mended{} // an array, and not null
	}
	return writeJSON(m.w, list)
}
