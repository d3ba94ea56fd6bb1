package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/aistudio/secrets/migrator/journal"
)

// standing is how a migration stands, by its folder.
type standing struct {
	Stack    string            `json:"stack"`
	Planned  bool              `json:"planned"`
	Started  time.Time         `json:"started,omitzero"`
	Ended    time.Time         `json:"lastChange,omitzero"`
	Services []serviceStanding `json:"services"`
	Secrets  map[string]int    `json:"secrets"`    // by their status
	Left     map[string]int    `json:"parameters"` // by their status
	Cleaned  bool              `json:"cleanupBegun"`
}

type serviceStanding struct {
	ID       string    `json:"id"`
	Wave     int       `json:"wave"`
	Status   string    `json:"status"`
	Switched time.Time `json:"switched,omitzero"`
	Problem  string    `json:"problem,omitempty"`
}

// notBegun is the status of a service that the journal doesn't know.
const notBegun = "not begun"

func newStatus(t terminal) *cobra.Command {
	m := migration{terminal: t}
	c := &cobra.Command{
		Use:     "status <stack>",
		Short:   "Show how the migration stands, by its folder",
		Example: "  migrate status dev",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m.open(args[0])
			s, err := m.standing()
			if err != nil {
				return err
			}
			if m.asJSON {
				return m.json(s)
			}
			return s.write(t)
		},
	}
	m.flags(c)
	return c
}

func (m *migration) standing() (standing, error) {
	state, err := journal.Read(m.folder)
	if err != nil {
		return standing{}, err
	}
	s := standing{Stack: m.stack, Started: state.Started, Ended: state.Ended, Services: []serviceStanding{}, Secrets: map[string]int{}, Left: map[string]int{}, Cleaned: state.Cleaned()}
	if p, err := m.plan(); err == nil {
		s.Planned = true
		for _, x := range p.Services {
			status := notBegun
			if x.Skip != "" {
				status = "skipped: " + x.Skip
			}
			if _, known := state.Services[x.ID]; !known {
				s.Services = append(s.Services, serviceStanding{ID: x.ID, Wave: x.Wave, Status: status})
			}
		}
		for _, x := range p.Secrets {
			if _, known := state.Secrets[x.Name]; !known {
				s.Secrets[notBegun]++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(state.Services)) {
		x := state.Services[id]
		s.Services = append(s.Services, serviceStanding{ID: id, Wave: x.Wave, Status: string(x.Status), Switched: x.Switched, Problem: x.Problem})
	}
	slices.SortStableFunc(s.Services, func(a, b serviceStanding) int { return cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(a.ID, b.ID)) })
	for _, x := range state.Secrets {
		s.Secrets[string(x.Status)]++
	}
	for _, x := range state.Parameters {
		s.Left[string(x.Status)]++
	}
	return s, nil
}

func (s standing) write(t terminal) error {
	if !s.Planned && s.Started.IsZero() {
		_, err := fmt.Fprintf(t.out, "There is no plan of %s, and nothing was migrated.\n", s.Stack)
		return err
	}
	rows := []string{"WAVE\tSERVICE\tSTATUS\tSINCE\tPROBLEM"}
	for _, x := range s.Services {
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s", x.Wave, x.ID, x.Status, moment(x.Switched), x.Problem))
	}
	if err := table(t.out, rows...); err != nil {
		return err
	}
	for _, part := range []struct {
		name   string
		counts map[string]int
	}{{"secrets", s.Secrets}, {"parameters", s.Left}} {
		for _, status := range slices.Sorted(maps.Keys(part.counts)) {
			if _, err := fmt.Fprintf(t.out, "%d %s %s\n", part.counts[status], part.name, status); err != nil {
				return err
			}
		}
	}
	return nil
}
