package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// ManagedBy is the value of the tag ManagedBy of the secrets that the migration
// makes. Once the stack's catalogue has them, its program writes its own.
const ManagedBy = "migrator"

// addSecrets writes the wants down.
func (m *maker) addSecrets(wants []*want) {
	for _, w := range wants {
		name, err := spec.ParseName(w.name)
		if err != nil {
			// Validate reports it.
			name = spec.Name{Organization: m.settings.Organization, Environment: m.settings.Environment}
		}
		s := Secret{Name: w.name, Kind: w.kind, Description: w.describe(), Rotation: w.rotation()}
		owner := m.settings.Owner
		if len(w.owners) == 1 {
			owner = w.owners[0]
		}
		s.Tags = map[string]string{
			spec.TagEnvironment: name.Environment, spec.TagService: name.Service, spec.TagOwner: owner, spec.TagSecretType: w.kind.String(),
			spec.TagDataClassification: m.settings.DataClassification, spec.TagManagedBy: ManagedBy,
		}
		for _, v := range w.values {
			slices.SortFunc(v.places, comparePlaces)
			s.Values = append(s.Values, Value{Field: v.field, Digest: v.digest, Places: v.places})
		}
		if w.kind == spec.KindDatabase && w.engine != "" {
			s.Values = append(s.Values, Value{Field: "engine", Constant: w.engine})
		}
		slices.SortFunc(s.Values, func(a, b Value) int { return cmp.Compare(a.Field, b.Field) })
		m.plan.Secrets = append(m.plan.Secrets, s)
	}
	slices.SortFunc(m.plan.Secrets, func(a, b Secret) int { return cmp.Compare(a.Name, b.Name) })
}

func (w *want) isLogin() bool { return len(w.values) > 1 }

func (w *want) describe() string {
	services := w.services
	more := ""
	if len(services) > 3 {
		services, more = services[:3], fmt.Sprintf(" and %d more", len(w.services)-3)
	}
	of := strings.Join(services, ", ") + more
	if w.isLogin() {
		if w.about == "" {
			return "Database login of " + of
		}
		return "Database login of " + of + ", was " + w.about + "_…"
	}
	return "Was " + w.about + " of " + of
}

// rotation says what a rotation waits for. The migration itself switches none
// on: the old value must stay good for as long as somebody may go back to it.
func (w *want) rotation() string {
	const after = "after the cleanup: "
	switch {
	case w.kind == spec.KindDatabase && w.isLogin() && w.engine == "":
		return after + "every 30 days, once the key engine is in the secret and its server is among the stack's databases"
	case w.kind == spec.KindDatabase:
		return after + "every 30 days, once its server is among the stack's databases"
	case w.kind == spec.KindAPIKey:
		return after + "every 90 days, once the catalogue names a rotator that issues such keys"
	case w.kind == spec.KindOAuth:
		return after + "every 7 days, once the catalogue names its rotator"
	default:
		return "its owner has to say how and how often; a password or a URL alone can't be rotated by the database rotator, which needs a login's JSON keys"
	}
}

func comparePlaces(a, b Place) int {
	return cmp.Or(cmp.Compare(a.In, b.In), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Container, b.Container), cmp.Compare(a.Variable, b.Variable))
}

// Assemble makes the secret's value of its parts: byte for byte where it is one
// value, else the JSON object of its fields, always in the same order. read
// gives the value at a place; the first place that it has is taken.
func (s Secret) Assemble(read func(Place) (spec.Value, error)) (spec.Value, error) {
	one := func(v Value) (spec.Value, error) {
		if v.Constant != "" {
			return spec.ValueString(v.Constant), nil
		}
		if len(v.Places) == 0 {
			return spec.Value{}, fmt.Errorf("secret %s: no place holds its field %q", s.Name, v.Field)
		}
		value, err := read(v.Places[0])
		if err != nil {
			return spec.Value{}, fmt.Errorf("secret %s: read %s: %w", s.Name, placeText(v.Places[0]), err)
		}
		return value, nil
	}
	if len(s.Values) == 1 && s.Values[0].Field == "" {
		return one(s.Values[0])
	}
	values := make([]namedValue, 0, len(s.Values))
	for _, v := range s.Values {
		value, err := one(v)
		if err != nil {
			return spec.Value{}, err
		}
		values = append(values, namedValue{v.Field, value})
	}
	encoded, err := encodeObject(values)
	if err != nil {
		return spec.Value{}, fmt.Errorf("secret %s: %w", s.Name, err)
	}
	return encoded, nil
}
