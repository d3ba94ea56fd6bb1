package settings

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/aistudio/secrets/migrator/classify"
)

// Settings are what a migration of one stack goes by.
type Settings struct {
	Stack string // its name: dev for Pulumi.dev.yaml

	// From the stack's file.
	Organization  string // first segment of every secret's name
	Environment   string // second segment
	Owner         string // team that owns what nobody else does
	Region        string
	ReplicaRegion string              // "": none
	KMSKey        string              // alias of the key that encrypts the secrets
	Databases     map[string]Database // servers that the stack declares
	Readers       map[string]string   // services that the stack declares, and their role as role/<path/name>; "": the stack makes it
	Declared      map[string]Declared // the catalogue, by <service>/<secret>

	// From the migration's file.
	Mode               string              // dual-read (default) or final
	Classify           classify.Config     // lists of names
	Owners             Names               // teams by service or parameter
	OwnerTags          []string            // tags of a resource that name its team
	Services           Names               // names of services by service or parameter
	ServiceTags        []string            // tags of a resource that name its service
	DataClassification string              // of secrets
	Skip               []Skip              // what stays as it is
	Separate           []string            // patterns of variables whose value no two services share, even if it is the same
	Waves              []int               // services in the first wave, the second …; the last number goes on
	How                Names               // injection or reference, by service
	Aliases            map[string][]string // aliases to move, by service: lambda/<function>
	PolicyLimit        int                 // characters of a role's inline policies that IAM takes
}

// Database is a database server that the stack declares.
type Database struct {
	Engine string
	Host   string
}

// Declared is an entry of the stack's catalogue.
type Declared struct {
	Kind    string
	Owner   string
	Value   string // Seeded, Awaited or Present
	Readers []string

	RotationDisabled string // why it isn't rotated; "": it is
}

// Skip is something that stays as it is, and why.
type Skip struct {
	Service   string // pattern of services; "": any
	Variable  string // pattern of variables; "": all of the service
	Parameter string // pattern of parameters, in place of the two
	Reason    string
}

// Names gives names by pattern. Of several patterns that match, the longest
// counts, since it says the most; of several of a length the first in
// alphabetical order.
type Names map[string]string

// Of returns the name for an id, and whether there is one.
func (n Names) Of(id string) (string, bool) {
	best := ""
	for _, pattern := range slices.Sorted(maps.Keys(n)) {
		if len(pattern) > len(best) && Match(pattern, id) {
			best = pattern
		}
	}
	return n[best], best != ""
}

// Match tells whether a text has the form of a pattern of path.Match, without
// regard to case. A "/**" at a pattern's end stands for all that is below.
func Match(pattern, text string) bool {
	pattern, text = strings.ToLower(pattern), strings.ToLower(text)
	if above, ok := strings.CutSuffix(pattern, "/**"); ok {
		segments := strings.Count(above, "/") + 1
		parts := strings.Split(text, "/")
		if len(parts) <= segments {
			return false
		}
		pattern, text = above, strings.Join(parts[:segments], "/")
	}
	// Read refuses malformed patterns.
	match, _ := path.Match(pattern, text)
	return match
}

func checkPattern(pattern string) error {
	if _, err := path.Match(strings.ToLower(strings.TrimSuffix(pattern, "/**")), ""); err != nil || pattern == "" {
		return fmt.Errorf("%q is no pattern: * and ? stand for anything but /, [ab] for one of several, /** at the end for all below", pattern)
	}
	return nil
}

// SkipService returns why a whole service stays as it is.
func (s Settings) SkipService(id string) (reason string, ok bool) {
	for _, skip := range s.Skip {
		if skip.Parameter == "" && skip.Variable == "" && Match(skip.Service, id) {
			return skip.Reason, true
		}
	}
	return "", false
}

// SkipVariable returns why a variable of a service stays as it is.
func (s Settings) SkipVariable(id, variable string) (reason string, ok bool) {
	for _, skip := range s.Skip {
		if skip.Variable != "" && (skip.Service == "" || Match(skip.Service, id)) && Match(skip.Variable, variable) {
			return skip.Reason, true
		}
	}
	return "", false
}

// SkipParameter returns why a parameter stays as it is.
func (s Settings) SkipParameter(name string) (reason string, ok bool) {
	for _, skip := range s.Skip {
		if skip.Parameter != "" && Match(skip.Parameter, name) {
			return skip.Reason, true
		}
	}
	return "", false
}

// IsSeparate tells whether no two services are to share a variable's value.
func (s Settings) IsSeparate(variable string) bool {
	return slices.ContainsFunc(s.Separate, func(pattern string) bool { return Match(pattern, variable) })
}
