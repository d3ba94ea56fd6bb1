package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/aistudio/secrets/sdk/spec"
)

// Reference returns the variable that is set for a service which gets at its
// secret by reference.
func (v Variable) Reference() (name, value string) {
	return v.Name + spec.ReferenceSuffix, spec.Reference{SecretID: v.Secret, Field: v.Field}.String()
}

// ValueFrom returns what ECS injects the variable from, given the secret's ARN.
// The colons after the field stand for the newest version (ECS developer guide,
// "Pass Secrets Manager secrets through Amazon ECS environment variables").
func (v Variable) ValueFrom(arn string) string {
	if v.Field == "" {
		return arn
	}
	return arn + ":" + v.Field + "::"
}

// addServices writes down who uses the secrets.
func (m *maker) addServices(wants []*want) {
	variables := map[*candidate][]Variable{}
	for _, w := range wants {
		for _, u := range w.uses {
			u.variable.Secret = w.name
			variables[u.candidate] = append(variables[u.candidate], u.variable)
		}
	}
	for _, c := range m.services {
		if len(variables[c]) == 0 {
			continue
		}
		s := c.Service
		s.Variables = variables[c]
		slices.SortFunc(s.Variables, func(a, b Variable) int {
			return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Name, b.Name))
		})
		m.plan.Services = append(m.plan.Services, s)
		for _, alias := range c.aliases {
			if !slices.Contains(c.Aliases, alias) {
				m.plan.Skipped = append(m.plan.Skipped, Skipped{
					Place:  Place{In: spec.ScanLambda, ID: resourceName(c.ID) + ":" + alias},
					Reason: "who calls this alias gets a published version, which keeps the old values: list the alias under aliases to move it",
				})
			}
		}
	}
	m.addWaves()
}

// addWaves puts the services into waves, those first that risk the least: with
// few variables, and without aliases to move. What somebody else has to change
// comes last.
func (m *maker) addWaves() {
	slices.SortStableFunc(m.plan.Services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(min(len(a.ManagedBy), 1), min(len(b.ManagedBy), 1)), cmp.Compare(len(a.Variables), len(b.Variables)), cmp.Compare(len(a.Aliases), len(b.Aliases)), cmp.Compare(a.ID, b.ID))
	})
	wave, left := 1, m.waveSize(1)
	for i := range m.plan.Services {
		if left == 0 {
			wave++
			left = m.waveSize(wave)
		}
		m.plan.Services[i].Wave = wave
		left--
	}
}

// waveSize is the number of services in a wave, from 1: as the settings have it,
// else twice those of the wave before.
func (m *maker) waveSize(wave int) int {
	if sizes := m.settings.Waves; len(sizes) > 0 {
		return sizes[min(wave, len(sizes))-1]
	}
	return 1 << min(wave-1, 16)
}

// order sorts what isn't in order yet.
func (m *maker) order() {
	slices.SortFunc(m.plan.Skipped, func(a, b Skipped) int {
		return cmp.Or(comparePlaces(a.Place, b.Place), cmp.Compare(a.Reason, b.Reason))
	})
	m.plan.Skipped = slices.Compact(m.plan.Skipped)
	slices.SortFunc(m.plan.Blocked, func(a, b Block) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Problem, b.Problem))
	})
	m.plan.Blocked = slices.Compact(m.plan.Blocked)
}

func sortedKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
