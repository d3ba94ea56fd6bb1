package secretsmanager

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

type filter struct {
	Key    string
	Values []string
}

var filterValue = regexp.MustCompile(`^!?[a-zA-Z0-9 :_@/+=.\-!]*$`)

func (c *constraints) filters(filters []filter) {
	if len(filters) > 10 {
		c.fail("filters", "", "Member must have length less than or equal to 10")
	}
	for _, f := range filters {
		c.oneOf("filters.key", &f.Key, "description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all")
		c.size("filters.values", "", len(f.Values), 1, 10)
		for _, v := range f.Values {
			c.length("filters.values", &v, 0, 512)
			c.pattern("filters.values", &v, filterValue)
		}
	}
}

// passes reports whether a secret meets every filter. A filter is met by any of
// its values, unless one that begins with ! holds.
func passes(sec *secret, filters []filter) bool {
	for _, f := range filters {
		if !f.passes(sec) {
			return false
		}
	}
	return true
}

func (f filter) passes(sec *secret) bool {
	wanted, met := false, false
	for _, value := range f.Values {
		if unwanted, ok := strings.CutPrefix(value, "!"); ok {
			if f.holds(sec, unwanted) {
				return false
			}
			continue
		}
		wanted = true
		met = met || f.holds(sec, value)
	}
	return met || !wanted
}

// holds is the match of one value by the rules of the filter's key: see Filter
// in the API reference.
func (f filter) holds(sec *secret, value string) bool {
	prefix := func(s string) bool { return strings.HasPrefix(s, value) }
	switch f.Key {
	case "name":
		return prefix(sec.name)
	case "description":
		return sec.description != "" && strings.HasPrefix(strings.ToLower(sec.description), strings.ToLower(value))
	case "tag-key":
		return slices.ContainsFunc(sec.tags, func(t tag) bool { return prefix(t.Key) })
	case "tag-value":
		return slices.ContainsFunc(sec.tags, func(t tag) bool { return prefix(t.Value) })
	case "primary-region":
		return sec.primaryRegion != "" && prefix(sec.primaryRegion)
	case "owning-service":
		// No AWS service owns a secret here.
		return false
	default:
		return holdsAll(sec, value)
	}
}

// holdsAll is the key "all": every word of the value begins a word of some
// attribute, whatever the case.
func holdsAll(sec *secret, value string) bool {
	attributes := []string{sec.name, sec.description, sec.primaryRegion}
	for _, t := range sec.tags {
		attributes = append(attributes, t.Key, t.Value)
	}
	have := words(strings.Join(attributes, " "))
	for _, want := range words(value) {
		if !slices.ContainsFunc(have, func(w string) bool { return strings.HasPrefix(w, want) }) {
			return false
		}
	}
	return true
}

func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
