package phase

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Text writes the report for a terminal: the checklist, and what is to do.
func (r Report) Text(w io.Writer) error {
	state := "open"
	if r.Complete {
		state = "complete"
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\nPhase %s: %s\n%s\n\n", r.At, state, r.Title)
	for _, b := range r.Before {
		if !b.Complete {
			fmt.Fprintf(out, "  before it: %s isn't complete\n", b.At)
		}
	}
	for _, item := range r.Items {
		fmt.Fprintf(out, "  %s\t%s\t%s\n", mark(item.Result), item.Name, item.Detail)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, item := range r.Items {
		if item.Result != Pass {
			if _, err := fmt.Fprintf(w, "\n  %s (%s)\n    why: %s\n    found out by: %s\n    -> %s\n", item.Name, item.ID, item.Why, item.How, item.Remedy); err != nil {
				return err
			}
		}
	}
	if len(r.Todo) > 0 {
		fmt.Fprintln(w, "\n  To do:")
	}
	for i, step := range r.Todo {
		line := step.Title
		if len(step.Command) > 0 {
			line += "\n       $ " + strings.Join(step.Command, " ")
		}
		if _, err := fmt.Fprintf(w, "    %d. %s\n", i+1, line); err != nil {
			return err
		}
	}
	return nil
}

func mark(r Result) string {
	return map[Result]string{Pass: "[x]", Fail: "[ ]", Unknown: "[?]"}[r]
}
