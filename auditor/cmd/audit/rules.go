package main

import (
	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/auditor/report"
)

func newRules() *cobra.Command {
	var html, asJSON bool
	c := &cobra.Command{
		Use:   "rules",
		Short: "Print the catalogue of rules and the controls that they are evidence for",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case html:
				return report.RulesHTML(c.OutOrStdout())
			case asJSON:
				return writeJSON(c.OutOrStdout(), report.RulesList())
			}
			return report.RulesMarkdown(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&html, "html", false, "as a page for a browser")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.MarkFlagsMutuallyExclusive("html", "json")
	return c
}
