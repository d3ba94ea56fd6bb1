package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/rotators/operate"
)

func newStatus(t terminal) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status <secret>",
		Short: "Show how the rotation of a secret stands",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := t.operator(c.Context())
			if err != nil {
				return err
			}
			status, err := o.Status(c.Context(), args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(t.out, status)
			}
			return writeStatus(t.out, status)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func writeStatus(w io.Writer, s *operate.Status) error {
	rows := []string{
		"Secret\t" + s.Name,
		"ARN\t" + s.ARN,
		"Rotation\t" + rotation(s.Rotation),
		"Function\t" + or(s.Rotation.Function, "-"),
		"Last rotation\t" + moment(s.Rotation.Last) + by(s.LastRun),
		"Next rotation\t" + due(s.Rotation.Next),
	}
	for _, v := range s.Versions {
		rows = append(rows, fmt.Sprintf("Version\t%s  %s  made %s", v.ID, strings.Join(v.Stages, " "), moment(v.Created)))
	}
	if p := s.Pending; p != nil {
		rows = append(rows, fmt.Sprintf("Pending\t%s: %s (version %s)", p.State, p.Reason, p.Version))
	} else {
		rows = append(rows, "Pending\tnothing")
	}
	for _, e := range s.Errors {
		step := ""
		if e.Step != "" {
			step = e.Step + ": "
		}
		rows = append(rows, fmt.Sprintf("Last error, %s\t%s  %s%s", e.Source, moment(e.Time), step, e.Message))
	}
	for _, r := range s.Replicas {
		state := "in sync"
		if !r.InSync {
			state = "NOT in sync: " + r.Reason
		}
		rows = append(rows, "Replica\t"+r.Region+"  "+state)
	}
	for _, note := range s.Notes {
		rows = append(rows, "Note\t"+note)
	}
	return table(w, rows...)
}

func rotation(r operate.Rotation) string {
	text := "off"
	if r.On {
		text = "on"
	}
	if r.Schedule != "" {
		text += ", " + r.Schedule
	}
	if r.Window != "" {
		text += ", window " + r.Window
	}
	return text
}

func due(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return "by " + moment(t)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func by(run *operate.Run) string {
	if run == nil {
		return ""
	}
	return fmt.Sprintf("  (the trail's last: %s, by %s)", run.Result, run.By)
}
