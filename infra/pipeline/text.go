package pipeline

import (
	"fmt"
	"io"
	"strings"
)

// marks are what stands before a change in the log, as Pulumi writes them.
var marks = map[Operation]string{Create: "+ ", Update: "~ ", Replace: "+-", Delete: "- ", Import: "= "}

// line is a change in the log.
func line(change Change) string {
	text := fmt.Sprintf("%s %-7s %s %s", marks[change.Operation], change.Operation, change.Type, change.Name)
	if len(change.Properties) > 0 {
		text += " (" + strings.Join(change.Properties, ", ") + ")"
	}
	return text + stays(change)
}

// WriteText writes the end of a run for people, after the log.
func (r Report) WriteText(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s of %s: %s", r.Command, r.Stack, r.Outcome)
	if counts := r.counts(); counts != "" {
		fmt.Fprintf(&text, ", %s", counts)
	}
	fmt.Fprintf(&text, " (%.1f s, exit code %d)\n", r.Seconds, r.ExitCode)
	if r.Digest != "" {
		fmt.Fprintf(&text, "  digest %s\n", r.Digest)
	}
	for _, refusal := range r.Refusals {
		fmt.Fprintf(&text, "  refused, %s: %s%s\n", refusal.Gate, refusal.Problem, about(refusal.URN))
	}
	for _, failure := range r.Failures {
		fmt.Fprintf(&text, "  failed: %s%s\n", failure.Problem, about(failure.URN))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&text, "  warning: %s\n", warning)
	}
	for _, next := range r.Next {
		fmt.Fprintf(&text, "  next: %s\n", next)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func about(urn string) string {
	if urn == "" {
		return ""
	}
	return " [" + urn + "]"
}

// achieved is the past tense of the operations.
var achieved = map[Operation]string{Create: "created", Import: "imported", Update: "updated", Replace: "replaced", Delete: "deleted"}

// counts tells how many resources each operation has: that was done, or has to
// be.
func (r Report) counts() string {
	var parts []string
	done := r.Outcome == Succeeded && r.Command != "preview" && r.Command != "drift"
	for _, operation := range []Operation{Create, Import, Update, Replace, Delete} {
		var n int
		for _, change := range r.Changes {
			if change.Operation == operation {
				n++
			}
		}
		switch {
		case n > 0 && done:
			parts = append(parts, fmt.Sprintf("%d %s", n, achieved[operation]))
		case n > 0:
			parts = append(parts, fmt.Sprintf("%d to %s", n, operation))
		}
	}
	if r.Unchanged > 0 {
		parts = append(parts, fmt.Sprintf("%d unchanged", r.Unchanged))
	}
	return strings.Join(parts, ", ")
}
