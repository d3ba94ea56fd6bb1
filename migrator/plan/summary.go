package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/aistudio/secrets/sdk/spec"
)

// Holds returns what holds a service up: blocks of its own, of its role, of its
// secrets and of their key.
func (p Plan) Holds(s Service) []Block {
	subjects := append([]string{s.ID, s.Role, p.KMSKey}, secretsOf(s)...)
	return p.blocksOf(subjects...)
}

// HoldsSecret returns what holds a secret up: blocks of its own and of its key.
func (p Plan) HoldsSecret(name string) []Block { return p.blocksOf(name, p.KMSKey) }

func (p Plan) blocksOf(subjects ...string) []Block {
	var found []Block
	for _, b := range p.Blocked {
		if slices.Contains(subjects, b.Subject) {
			found = append(found, b)
		}
	}
	return found
}

// WriteJSON writes the plan as JSON, with the keys of its YAML.
func WriteJSON(w io.Writer, p Plan) error {
	p.Secrets, p.Services, p.Grants = orEmpty(p.Secrets), orEmpty(p.Services), orEmpty(p.Grants)
	p.Skipped, p.Blocked = orEmpty(p.Skipped), orEmpty(p.Blocked)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(p); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Summary writes the plan for people at a terminal: what blocks first, then the
// secrets, the services by wave, the rights and what stays.
func Summary(w io.Writer, p Plan) error {
	var out bytes.Buffer
	s := summary{Plan: p, out: &out}
	s.head()
	s.blocks()
	s.secrets()
	s.waves()
	s.grants()
	s.skipped()
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write the plan's summary: %w", err)
	}
	return nil
}

type summary struct {
	Plan
	out io.Writer
}

func (s summary) line(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// table writes rows in columns.
func (s summary) table(rows [][]string) {
	var out bytes.Buffer
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, "  "+strings.Join(row, "\t"))
	}
	_ = t.Flush() // to a buffer
	for line := range strings.Lines(out.String()) {
		s.line("%s", strings.TrimRight(line, " \n"))
	}
}

func (s summary) head() {
	waves := map[int]bool{}
	held := 0
	for _, service := range s.Services {
		waves[service.Wave] = true
		if len(s.Holds(service)) > 0 {
			held++
		}
	}
	s.line("Migration of %s/%s (stack %s), account %s, %s, %s", s.Organization, s.Environment, s.Stack, s.Account, s.Region, s.Mode)
	s.line("%s, %s in %s, %d settings stay, %s, which hold up %s", count(len(s.Secrets), "secret"), count(len(s.Services), "service"),
		count(len(waves), "wave"), len(s.Skipped), count(len(s.Blocked), "block"), count(held, "service"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (s summary) blocks() {
	if len(s.Blocked) == 0 {
		return
	}
	s.line("\nBlocked: to be settled first. The rest isn't held up.")
	for _, b := range s.Blocked {
		s.line("  %s  %s", b.Subject, b.Code)
		s.line("      %s.", b.Problem)
		remedy := b.Remedy
		if b.Patch != "" {
			remedy += " (in the plan's file)"
		}
		s.line("      %s.", remedy)
	}
}

func (s summary) secrets() {
	if len(s.Secrets) == 0 {
		return
	}
	users := map[string]int{}
	for _, service := range s.Services {
		for _, name := range secretsOf(service) {
			users[name]++
		}
	}
	s.line("\nSecrets")
	rows := [][]string{{"NAME", "KIND", "OWNER", "USED BY", "FROM"}}
	for _, secret := range s.Secrets {
		rows = append(rows, []string{secret.Name, string(secret.Kind), secret.Tags[spec.TagOwner], count(users[secret.Name], "service"), origins(secret) + skipText(secret.Skip)})
	}
	s.table(rows)
}

// origins counts a secret's places by what they are.
func origins(secret Secret) string {
	words := map[spec.ScanPlace]string{spec.ScanLambda: "variable of Lambda", spec.ScanECS: "variable of ECS", spec.ScanSSM: "parameter"}
	counts := map[spec.ScanPlace]int{}
	for _, v := range secret.Values {
		for _, p := range v.Places {
			counts[p.In]++
		}
	}
	var parts []string
	for _, in := range slices.Sorted(maps.Keys(counts)) {
		text := fmt.Sprintf("%d %s", counts[in], words[in])
		if counts[in] > 1 {
			text = strings.Replace(text, "variable", "variables", 1)
			text = strings.Replace(text, "parameter", "parameters", 1)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func skipText(reason string) string {
	if reason == "" {
		return ""
	}
	return "; skipped: " + reason
}

func (s summary) waves() {
	byWave := map[int][]Service{}
	for _, service := range s.Services {
		byWave[service.Wave] = append(byWave[service.Wave], service)
	}
	for _, wave := range slices.Sorted(maps.Keys(byWave)) {
		s.line("\nWave %d", wave)
		rows := [][]string{{"SERVICE", "HOW", "VARIABLES", ""}}
		for _, service := range byWave[wave] {
			var names, notes []string
			for _, v := range service.Variables {
				names = append(names, v.Name)
			}
			for _, b := range s.Holds(service) {
				notes = append(notes, b.Code)
			}
			notes = sortedUnique(notes)
			if len(notes) > 0 {
				notes = []string{"blocked: " + strings.Join(notes, ", ")}
			}
			if service.Skip != "" {
				notes = append(notes, "skipped: "+service.Skip)
			}
			if len(service.Aliases) > 0 {
				notes = append(notes, "moves "+strings.Join(service.Aliases, ", "))
			}
			rows = append(rows, []string{service.ID, string(service.How), strings.Join(sortedUnique(names), " "), strings.Join(notes, "; ")})
		}
		s.table(rows)
	}
}

func (s summary) grants() {
	if len(s.Grants) == 0 {
		return
	}
	s.line("\nRights to add")
	rows := [][]string{{"ROLE", "SECRETS", "BY"}}
	for _, g := range s.Grants {
		by := "the migration"
		if g.ManagedBy != "" {
			by = g.ManagedBy
		}
		rows = append(rows, []string{lastSegment(g.Role), fmt.Sprint(len(g.Secrets)), by})
	}
	s.table(rows)
}

// skipped gathers what stays by its reason.
func (s summary) skipped() {
	if len(s.Skipped) == 0 {
		return
	}
	byReason := map[string][]string{}
	for _, skipped := range s.Skipped {
		byReason[skipped.Reason] = append(byReason[skipped.Reason], placeText(skipped.Place))
	}
	s.line("\nWhat stays as it is")
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		s.line("  %s", reason)
		places := byReason[reason]
		const shown = 5
		for _, place := range places[:min(shown, len(places))] {
			s.line("      %s", place)
		}
		if len(places) > shown {
			s.line("      and %d more, in the plan's file", len(places)-shown)
		}
	}
}
