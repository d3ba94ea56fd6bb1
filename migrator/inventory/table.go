package inventory

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the inventory for people at a terminal: the settings in
// their order, what couldn't be read, and the counts.
func (i Inventory) WriteTable(w io.Writer) error {
	shared := map[string]int{}
	for _, s := range i.Shared {
		shared[s.Digest] = len(s.Places)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PLACE\tNAME\tVARIABLE\tKIND\tSURE\tVALUE\tGROUP\tOWNER\tWHY")
	for _, item := range i.Items {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", item.Place, item.Name, variable(item), kind(item),
			fmt.Sprintf("%.0f %%", 100*item.Confidence), value(item.Digest, shared), group(item), or(item.Owner), strings.Join(item.Reasons, "; "))
	}
	for _, f := range i.Source {
		fmt.Fprintf(table, "%s\t%s:%d\t%s\t%s\t%.0f %%\t%s\t-\t-\t%s\n", PlaceSource, f.File, f.Line, or(f.Name), f.Kind,
			100*f.Confidence, value(f.Digest, shared), strings.Join(f.Reasons, "; "))
	}
	for _, u := range i.Unread {
		arn := u.ARN
		if arn == "" {
			arn = "all"
		}
		fmt.Fprintf(table, "%s\t%s\t-\tunread\t-\t-\t-\t-\t%s\n", u.Place, arn, u.Reason)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	c := i.Counts
	_, err := fmt.Fprintf(w, "\n%d functions, %d services, %d task definitions, %d scheduled tasks, %d parameters in account %s, %s.\n"+
		"%d settings: %d secrets, %d of them in plaintext; %d in source code; %d encrypted by their programs; %d different values; %d things couldn't be read.\n",
		c.Functions, c.Services, c.TaskDefinitions, c.ScheduledTasks, c.Parameters, i.Account, i.Region,
		c.Settings, c.Secrets, c.Plaintext, c.Source, c.Unknown, c.Values, c.Unread)
	if err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	return nil
}

func variable(item Item) string {
	if item.Container == "" {
		return or(item.Variable)
	}
	return item.Container + " " + item.Variable
}

func kind(item Item) string {
	switch {
	case item.Secret && item.Encrypted:
		return string(item.Kind) + ", encrypted"
	case item.Secret:
		return string(item.Kind)
	case item.Unknown:
		return "unknown"
	default:
		return "no secret"
	}
}

// value is the beginning of the digest, which is enough to see that two are the
// same, and in how many places the value is.
func value(digest string, shared map[string]int) string {
	switch n := shared[digest]; {
	case digest == "":
		return "-"
	case n > 1:
		return fmt.Sprintf("%s in %d places", digest[:8], n)
	default:
		return digest[:8]
	}
}

func group(item Item) string {
	if item.Group == "" {
		return "-"
	}
	return item.Group + " " + item.Member
}

func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
