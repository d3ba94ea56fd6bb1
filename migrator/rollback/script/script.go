// Package script writes the stand-alone shell script that rolls a migration back
// where the migrator isn't at hand. It needs bash and the aws CLI, version 1 or 2,
// and holds no value: where one has to come back from a secret, it goes through
// the shell's memory and a pipe, and never on a command line, which others can
// see.
package script

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// File is the script's name in the migration's folder.
const File = "rollback.sh"

//go:embed rollback.sh
var library string

// Write writes the script for all that the journal says is, or may be, at the new
// secrets, with permissions for its owner alone (0600): run it by bash rollback.sh.
func Write(folder string, s journal.State) error {
	path := filepath.Join(folder, File)
	text := render(filepath.Base(folder), s)
	if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, text) {
		return nil
	}
	if err := replace(path, text); err != nil {
		return fmt.Errorf("write the rollback script: %w", err)
	}
	return nil
}

// replace never leaves half a script behind.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), File+".*") // with 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func render(stack string, s journal.State) []byte {
	var out bytes.Buffer
	out.WriteString(library)
	fmt.Fprintf(&out, "\n# The migration of the stack %s, as of %s.\n", stack, s.Ended.UTC().Format("2006-01-02 15:04:05 MST"))
	services := live(s)
	if len(services) == 0 {
		out.WriteString("say 'nothing is switched: there is nothing to roll back'\n")
	}
	for _, x := range services {
		fmt.Fprintf(&out, "\nif wanted %s; then\n", quote(x.ID))
		for _, name := range secretsOf(x) {
			fmt.Fprintf(&out, "  check_secret %s\n", words(region(x.ARN), name, s.Secrets[name].Version))
		}
		restore(&out, x, s)
		out.WriteString("fi\nfinish\n")
	}
	out.WriteString("\ntell_unknown\nexit \"$failed\"\n")
	return out.Bytes()
}

// live are the services that can be brought back, in the order of a rollback.
func live(s journal.State) []journal.Service {
	var list []journal.Service
	for _, x := range s.Services {
		if x.Live() && x.Status != journal.Cleaning && x.Status != journal.Cleaned {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b journal.Service) int {
		switch {
		case a.Follows != b.Follows && a.Follows:
			return 1
		case a.Follows != b.Follows:
			return -1
		case a.Wave != b.Wave:
			return b.Wave - a.Wave
		}
		return strings.Compare(b.ID, a.ID)
	})
	return list
}

func secretsOf(s journal.Service) []string {
	var names []string
	for _, v := range s.Variables {
		names = append(names, v.Secret)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func restore(out *bytes.Buffer, x journal.Service, s journal.State) {
	at := region(x.ARN)
	switch {
	case x.Kind == plan.LambdaFunction:
		all := []string{at, x.ARN}
		for _, v := range x.Variables {
			all = append(all, v.Name)
		}
		fmt.Fprintf(out, "  begin_function %s\n", words(all...))
		for _, v := range x.Variables {
			if v.Parameter != "" {
				fmt.Fprintf(out, "  variable_text %s\n", words(v.Name, v.Reference, v.Old))
				continue
			}
			fmt.Fprintf(out, "  variable_secret %s\n", words(v.Name, v.Reference, v.Secret, regexp.QuoteMeta(v.Field), s.Secrets[v.Secret].Version))
		}
		if x.Compare {
			fmt.Fprintf(out, "  drop %s\n", quote(spec.EnvDualRead))
		}
		for _, alias := range x.Aliases {
			fmt.Fprintf(out, "  alias_back %s\n", words(append([]string{alias.Name, alias.Old}, x.Versions...)...))
		}
		out.WriteString("  end_function\n")
	case x.Follows:
		for _, revision := range x.Versions {
			fmt.Fprintf(out, "  deregister %s\n", words(at, revision))
		}
		family := tasks.FamilyOf(x.Old)
		fmt.Fprintf(out, "  newest %s\n", words(at, family[strings.LastIndexByte(family, '/')+1:], x.Old))
	case x.Kind == plan.ECSService:
		fmt.Fprintf(out, "  service %s\n", words(append([]string{at, x.Cluster, x.ARN, x.Old}, x.Versions...)...))
	case x.Kind == plan.RuleTask:
		name, bus := tasks.Rule(x.ARN)
		if bus == nil {
			bus = new(string)
			*bus = "default"
		}
		fmt.Fprintf(out, "  rule %s\n", words(append([]string{at, *name, *bus, tasks.TargetID(x.ID), x.Old}, x.Versions...)...))
	default:
		group, name, _ := strings.Cut(x.ARN[strings.Index(x.ARN, ":schedule/")+len(":schedule/"):], "/")
		fmt.Fprintf(out, "  schedule %s\n", words(append([]string{at, group, name, x.Old}, x.Versions...)...))
	}
}

// region is the one in an ARN.
func region(arn string) string {
	parts := strings.SplitN(arn, ":", 5)
	if len(parts) < 5 {
		return ""
	}
	return parts[3]
}

func words(all ...string) string {
	quoted := make([]string, len(all))
	for i, word := range all {
		quoted[i] = quote(word)
	}
	return strings.Join(quoted, " ")
}

// quote makes one word of the shell of any text.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
