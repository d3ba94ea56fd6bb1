package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover/source"
)

// sourceResult is the JSON of a scan of files. It holds no values.
type sourceResult struct {
	Files    int             `json:"files"`
	Findings []sourceFinding `json:"findings"`
	Unread   []sourceUnread  `json:"unread"`
}

type sourceUnread struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

type sourceFinding struct {
	File       string   `json:"file"`
	Line       int      `json:"line"`
	Name       string   `json:"name,omitempty"`
	Kind       string   `json:"kind"`
	Confidence float64  `json:"confidence"`
	Reasons    []string `json:"reasons"`
}

func newSource(t terminal) *cobra.Command {
	var options source.Options
	var lists classify.Config
	var asJSON bool
	c := &cobra.Command{
		Use:   "source <folder>",
		Short: "Look for credentials in a tree of files, for builds",
		Long: `Look for credentials in a tree of files, for builds. What version control ignores
and what others wrote (node_modules, vendor and the like) is left out.

Exit status: 0 nothing was found; 1 something was, or a file couldn't be read; 2
it couldn't be done.`,
		Example: "  migrate source .\n  migrate source . --allow 'testdata/**' --allow '*_test.go' --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			classifier, err := classify.New(lists)
			if err != nil {
				return err
			}
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return fmt.Errorf("%s is no folder", args[0])
			}
			bar, files := &progress{terminal: t}, 0
			options.Report = func(string) { files++; bar.show("files", files, 0) }
			result, err := source.Scan(c.Context(), os.DirFS(args[0]), classifier, options)
			bar.end()
			if err != nil {
				return err
			}
			found := toSourceResult(result)
			if asJSON {
				err = t.json(found)
			} else {
				err = found.write(t)
			}
			if err == nil && len(found.Findings)+len(found.Unread) > 0 {
				err = errFindings
			}
			return err
		},
	}
	f := c.Flags()
	f.StringArrayVar(&options.Allow, "allow", nil, "pattern of files that may hold credentials; /** at the end for all that is below")
	f.StringArrayVar(&lists.Secrets, "secret", nil, "pattern of names that are secrets, whatever their value")
	f.StringArrayVar(&lists.NotSecrets, "not-secret", nil, "pattern of names that are none")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func toSourceResult(r source.Result) sourceResult {
	out := sourceResult{Files: r.Files, Findings: []sourceFinding{}, Unread: []sourceUnread{}}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, sourceFinding{f.File, f.Line, f.Name, string(f.Verdict.Kind), f.Verdict.Confidence, f.Verdict.Reasons})
	}
	for _, u := range r.Unread {
		out.Unread = append(out.Unread, sourceUnread(u))
	}
	return out
}

func (r sourceResult) write(t terminal) error {
	rows := []string{}
	for _, f := range r.Findings {
		rows = append(rows, fmt.Sprintf("%s:%d\t%s\t%s\t%s", f.File, f.Line, f.Name, f.Kind, strings.Join(f.Reasons, ", ")))
	}
	for _, u := range r.Unread {
		rows = append(rows, fmt.Sprintf("%s\t\tunread\t%s", u.File, u.Reason))
	}
	if err := table(t.out, rows...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(t.out, "%d files, %d findings, %d unread\n", r.Files, len(r.Findings), len(r.Unread))
	return err
}
