package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/settings"
)

// Renew makes a new plan for the estate as it is now, and keeps what people have
// changed in the old one: names, kinds, tags and descriptions of secrets, what is
// skipped, the services' waves, ways and aliases. Services that are switched
// already stay in it with their secrets, so that they are validated and can be
// rolled back. A secret is known again by a place that holds it.
//
// Facts are those of a draft that Renew made with the zero Facts.
func Renew(old Plan, s settings.Settings, estate discover.Estate, classifier Classifier, key digest.Key, facts Facts) (Plan, error) {
	m := newMaker(s, estate, classifier, key, facts)
	wants := m.wants()
	m.nameAll(wants)
	m.addSecrets(wants)
	m.addServices(wants)
	r := renewal{maker: m, old: old, switched: map[string]bool{}, renamed: map[string]string{}}
	byID := m.byID()
	for _, s := range old.Services {
		if c := byID[s.ID]; c != nil && isSwitched(s, c) {
			r.switched[s.ID] = true
		}
	}
	r.secrets()
	r.services(byID)
	m.addGrants()
	m.block()
	m.plan.Blocked = slices.DeleteFunc(m.plan.Blocked, func(b Block) bool { return r.switched[b.Subject] || r.settled(b) })
	m.order()
	return m.plan, m.plan.Validate()
}

type renewal struct {
	*maker
	old      Plan
	switched map[string]bool
	renamed  map[string]string // old names by new ones
}

// secrets carries over what the old plan says of the same values.
func (r *renewal) secrets() {
	byPlace := map[Place]*Secret{}
	for i := range r.old.Secrets {
		for _, v := range r.old.Secrets[i].Values {
			for _, p := range v.Places {
				if _, taken := byPlace[withoutRevision(p)]; !taken {
					byPlace[withoutRevision(p)] = &r.old.Secrets[i]
				}
			}
		}
	}
	kept := map[string]bool{}
	for i := range r.plan.Secrets {
		s := &r.plan.Secrets[i]
		before := oldSecret(s, byPlace)
		if before == nil || kept[before.Name] {
			continue
		}
		kept[before.Name] = true
		r.renamed[s.Name] = before.Name
		s.Name, s.Description, s.Tags, s.Skip = before.Name, before.Description, maps.Clone(before.Tags), before.Skip
		if s.Kind != before.Kind {
			s.Kind, s.Rotation = before.Kind, before.Rotation
		}
		s.Values = r.withPlaces(s.Values, before.Values)
	}
	needed := map[string]bool{}
	for _, s := range r.old.Services {
		for _, v := range s.Variables {
			if r.switched[s.ID] {
				needed[v.Secret] = true
			}
		}
	}
	for _, s := range r.old.Secrets {
		if needed[s.Name] && !kept[s.Name] {
			r.plan.Secrets = append(r.plan.Secrets, s)
		}
	}
	r.unique()
	slices.SortFunc(r.plan.Secrets, func(a, b Secret) int { return cmp.Compare(a.Name, b.Name) })
}

func oldSecret(s *Secret, byPlace map[Place]*Secret) *Secret {
	for _, v := range s.Values {
		for _, p := range v.Places {
			// A login's host may be in many secrets; its password is in one.
			if v.Field == "" || v.Field == "password" {
				if before := byPlace[withoutRevision(p)]; before != nil {
					return before
				}
			}
		}
	}
	return nil
}

// withPlaces adds the places of switched services, which no longer count as
// places of a secret, where the value is still the same.
func (r *renewal) withPlaces(values, before []Value) []Value {
	left := map[Place]bool{}
	for _, s := range r.old.Services {
		for _, v := range s.Variables {
			if r.switched[s.ID] {
				left[placeOf(s, v)] = true
			}
		}
	}
	for i := range values {
		for _, old := range before {
			if old.Field != values[i].Field || old.Digest != values[i].Digest {
				continue
			}
			for _, p := range old.Places {
				if left[p] && !slices.Contains(values[i].Places, p) {
					values[i].Places = append(values[i].Places, p)
				}
			}
		}
	}
	return values
}

// unique renames new secrets that have a name which a person gave to another.
func (r *renewal) unique() {
	taken := map[string]bool{}
	for _, name := range r.renamed {
		taken[identifier(name)] = true
	}
	for i := range r.plan.Secrets {
		s := &r.plan.Secrets[i]
		if r.isOld(s.Name) {
			continue
		}
		name := s.Name
		for taken[identifier(s.Name)] {
			s.Name += "-2"
		}
		taken[identifier(s.Name)] = true
		r.renamed[name] = s.Name
		if name != s.Name {
			r.blocked(NameCollision, s.Name, "it would be called "+name+", and another secret of the plan is", "give it a name, everywhere in this file, then remove this block", "")
		}
	}
}

func (r *renewal) isOld(name string) bool {
	return slices.ContainsFunc(r.old.Secrets, func(s Secret) bool { return s.Name == name })
}

// services carries over what the old plan says of the same services.
func (r *renewal) services(byID map[string]*candidate) {
	last := 1
	before := map[string]Service{}
	for _, s := range r.old.Services {
		before[s.ID] = s
		last = max(last, s.Wave)
	}
	r.withoutRemoved(before)
	for i := range r.plan.Services {
		s := &r.plan.Services[i]
		for j := range s.Variables {
			if name := r.renamed[s.Variables[j].Secret]; name != "" {
				s.Variables[j].Secret = name
			}
		}
		old, known := before[s.ID]
		if !known {
			s.Wave = last
			continue
		}
		s.Wave, s.Skip, s.Aliases = old.Wave, old.Skip, old.Aliases
		if s.How != old.How {
			s.How, s.Role = old.How, r.roleFor(*s, old.How)
		}
		delete(before, s.ID)
		if r.switched[s.ID] {
			// New variables came to a service that follows its others already.
			s.Variables = append(s.Variables, old.Variables...)
			slices.SortFunc(s.Variables, func(a, b Variable) int {
				return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Name, b.Name))
			})
		}
	}
	for _, id := range sortedKeys(before) {
		if r.switched[id] {
			s := before[id]
			s.Digest = byID[id].Digest
			r.plan.Services = append(r.plan.Services, s)
		}
	}
	slices.SortStableFunc(r.plan.Services, func(a, b Service) int { return cmp.Compare(a.Wave, b.Wave) })
}

// withoutRemoved leaves out what a person took out of the old plan's services: a
// variable whose place is among the old secrets' places, and that no service of
// the old plan has.
func (r *renewal) withoutRemoved(before map[string]Service) {
	known := map[Place]bool{}
	for _, s := range r.old.Secrets {
		for _, v := range s.Values {
			for _, p := range v.Places {
				known[withoutRevision(p)] = true
			}
		}
	}
	for i := range r.plan.Services {
		s := &r.plan.Services[i]
		old, had := before[s.ID]
		s.Variables = slices.DeleteFunc(s.Variables, func(v Variable) bool {
			if !had && v.Parameter != "" {
				return false // a new service that names a parameter of others
			}
			return known[withoutRevision(placeOf(*s, v))] && !slices.ContainsFunc(old.Variables, func(o Variable) bool {
				return o.Container == v.Container && o.Name == v.Name
			})
		})
	}
	r.plan.Services = slices.DeleteFunc(r.plan.Services, func(s Service) bool { return len(s.Variables) == 0 })
}

// roleFor is the role that reads the secrets of a task.
func (r *renewal) roleFor(s Service, how How) string {
	d := r.definitions[s.TaskDefinition]
	switch {
	case d == nil || s.Kind == LambdaFunction:
		return s.Role
	case how == ByInjection:
		return d.ExecutionRole
	default:
		return d.TaskRole
	}
}

// settled tells whether a person chose names since two secrets would have had
// one, or took the block away because the one they got is right.
func (r *renewal) settled(b Block) bool {
	if b.Code != NameCollision {
		return false
	}
	name := r.renamed[b.Subject]
	return name != "" && name != b.Subject || r.isOld(b.Subject) && !slices.ContainsFunc(r.old.Blocked, func(old Block) bool {
		return old.Code == b.Code && old.Subject == b.Subject
	})
}
