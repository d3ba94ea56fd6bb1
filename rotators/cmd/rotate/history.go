package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/rotators/operate"
)

func newHistory(t terminal) *cobra.Command {
	var asJSON bool
	var since string
	c := &cobra.Command{
		Use:   "history <secret>",
		Short: "Show the rotations of a secret: when, how they ended, how long they took, who started them",
		Long: `Show the rotations of a secret: when, how they ended, how long they took, who started them.

The source is CloudTrail's event history, which holds 90 days; what happened in
the last minutes may not be there yet.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			o, err := t.operator(c.Context())
			if err != nil {
				return err
			}
			history, err := o.History(c.Context(), args[0], from)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(t.out, history)
			}
			return writeHistory(t.out, history)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().StringVar(&since, "since", "90d", "how far back: a number of days such as 7d, a duration such as 12h, or a date")
	return c
}

func parseSince(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &operate.RefusedError{Reason: "--since: write 7d, 12h, 2026-11-25 or 2026-11-25T06:00:00Z"}
}

func writeHistory(w io.Writer, h *operate.History) error {
	rows := []string{"STARTED\tRESULT\tTOOK\tFAILURES\tBY\tVERSION\tERROR"}
	for _, run := range h.Runs {
		took := "-"
		if run.Seconds() > 0 || run.Result == operate.Succeeded {
			took = fmt.Sprintf("%.0fs", run.Seconds())
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%d\t%s\t%s\t%s", moment(run.Started), run.Result, took, run.Failures, run.By, run.Version, run.Error))
	}
	if len(h.Runs) == 0 {
		rows = []string{fmt.Sprintf("No rotation of %s since %s.", h.Secret, moment(h.Since))}
	}
	err := table(w, rows...)
	if !h.Complete {
		_, incomplete := fmt.Fprintln(w, "The trail has more events than were read: older rotations are left out.")
		err = errors.Join(err, incomplete)
	}
	return err
}
