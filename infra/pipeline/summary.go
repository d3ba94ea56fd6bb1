package pipeline

import (
	"fmt"
	"io"
	"strings"
)

// mostRows is how many changes a summary lists: GitHub takes comments of up to
// 65,536 characters.
const mostRows = 200

// WriteMarkdown writes the report as a page of Markdown, for a pull request.
func (r Report) WriteMarkdown(w io.Writer) error {
	var page strings.Builder
	fmt.Fprintf(&page, "## %s of %s: %s\n\n", r.Command, escape(r.Stack), r.Outcome)
	if counts := r.counts(); counts != "" {
		fmt.Fprintf(&page, "%s.\n\n", counts)
	}
	fmt.Fprintf(&page, "| | |\n| --- | --- |\n| commit | `%s`%s |\n| artifacts | `%s` |\n", r.Revision.Commit, dirtyMark(r.Revision.Dirty), r.Revision.Artifacts)
	if r.Digest != "" {
		fmt.Fprintf(&page, "| digest of the changes | `%s` |\n", r.Digest)
	}
	if r.ApprovalsNeeded > 0 {
		fmt.Fprintf(&page, "| approvals | %d of %d%s |\n", len(r.Approvals), r.ApprovalsNeeded, approvedBy(r.Approvals))
	}
	page.WriteString("\n")

	section(&page, "Refused", len(r.Refusals), func(i int) string {
		return fmt.Sprintf("**%s**: %s%s", r.Refusals[i].Gate, escape(r.Refusals[i].Problem), mentioned(r.Refusals[i].URN))
	})
	section(&page, "Failed", len(r.Failures), func(i int) string {
		return escape(r.Failures[i].Problem) + mentioned(r.Failures[i].URN)
	})
	section(&page, "Warnings", len(r.Warnings), func(i int) string { return escape(r.Warnings[i]) })
	section(&page, "Next", len(r.Next), func(i int) string { return escape(r.Next[i]) })

	if len(r.Changes) > 0 {
		page.WriteString("<details><summary>Changes</summary>\n\n| | resource | type | properties |\n| --- | --- | --- | --- |\n")
		for i, change := range r.Changes {
			if i == mostRows {
				fmt.Fprintf(&page, "| | and %d more | | |\n", len(r.Changes)-mostRows)
				break
			}
			fmt.Fprintf(&page, "| %s%s | %s | %s | %s |\n", change.Operation, stays(change), escape(change.Name), escape(change.Type), escape(strings.Join(change.Properties, ", ")))
		}
		page.WriteString("\n</details>\n")
	}
	_, err := io.WriteString(w, page.String())
	return err
}

// stays tells of a deletion that isn't one in AWS.
func stays(change Change) string {
	if change.Operation == Delete && change.Retained {
		return " (stays in AWS)"
	}
	return ""
}

func section(page *strings.Builder, title string, rows int, row func(int) string) {
	if rows == 0 {
		return
	}
	fmt.Fprintf(page, "### %s\n\n", title)
	for i := range rows {
		fmt.Fprintf(page, "- %s\n", row(i))
	}
	page.WriteString("\n")
}

func approvedBy(approvals []Approval) string {
	if len(approvals) == 0 {
		return ""
	}
	people := make([]string, 0, len(approvals))
	for _, approval := range approvals {
		people = append(people, escape(approval.ApprovedBy))
	}
	return ": " + strings.Join(people, ", ")
}

func mentioned(urn string) string {
	if urn == "" {
		return ""
	}
	return " (`" + strings.ReplaceAll(urn, "`", "'") + "`)"
}

// escape keeps text from outside from being taken as Markdown or HTML, and in
// one line and cell.
func escape(text string) string {
	return markdown.Replace(text)
}

var markdown = strings.NewReplacer(
	"\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "|", "\\|", "[", "\\[", "]", "\\]", "#", "\\#", "@", "&#64;",
	"<", "&lt;", ">", "&gt;", "&", "&amp;", "\r", "", "\n", " ",
)
