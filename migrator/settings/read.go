package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/sdk/spec"
)

// The modes of a migration and the ways to a secret, as they are written.
const (
	DualRead  = "dual-read"
	Final     = "final"
	Injection = "injection"
	Reference = "reference"
)

// Where the first value of a declared secret comes from (docs/stack.md, "First
// values").
const (
	Seeded  = "seeded"  // the stack makes it
	Awaited = "awaited" // somebody will put it
	Present = "present" // somebody has put it
)

// Defaults of the migration's file.
const (
	defaultClassification = "confidential"
	// defaultPolicyLimit is the most of a role's inline policies together, without
	// white space (IAM user guide, "IAM and AWS STS quotas").
	defaultPolicyLimit = 10240
)

// MistakesError is the error of settings that can't be used: every mistake that
// was found, each with its file and key.
type MistakesError []string

// Error lists all mistakes, one a line.
func (m MistakesError) Error() string {
	return fmt.Sprintf("the migration's settings have %d mistake(s):\n  %s", len(m), strings.Join(m, "\n  "))
}

// Read reads the settings of a stack from its file and the migration's, which
// needn't exist. A migrationFile of "" is none. The error of files that could be
// read is a MistakesError.
func Read(stack, stackFile, migrationFile string) (Settings, error) {
	s := Settings{Stack: stack}
	text, err := os.ReadFile(stackFile)
	if err != nil {
		return Settings{}, fmt.Errorf("read the stack's file: %w", err)
	}
	mistakes, err := s.readStack(stackFile, text)
	if err != nil {
		return Settings{}, err
	}
	text = nil
	if migrationFile != "" {
		if text, err = os.ReadFile(migrationFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Settings{}, fmt.Errorf("read the migration's file: %w", err)
		}
	}
	more, err := s.readMigration(migrationFile, text)
	if err != nil {
		return Settings{}, err
	}
	if mistakes = append(mistakes, more...); len(mistakes) > 0 {
		return Settings{}, mistakes
	}
	return s, nil
}

// stackDocument is what a migration uses of a stack's file. The stack's own
// program checks the rest.
type stackDocument struct {
	Config struct {
		Region   string `yaml:"aws:region"`
		Settings struct {
			Organization  string `yaml:"organization"`
			Environment   string `yaml:"environment"`
			Owner         string `yaml:"owner"`
			ReplicaRegion string `yaml:"replicaRegion"`
		} `yaml:"aistudio-secrets:settings"`
		Services map[string]struct {
			Role string `yaml:"role"`
		} `yaml:"aistudio-secrets:services"`
		Databases map[string]struct {
			Engine string `yaml:"engine"`
			Host   string `yaml:"host"`
		} `yaml:"aistudio-secrets:databases"`
		Catalogue map[string]struct {
			Kind     string   `yaml:"kind"`
			Owner    string   `yaml:"owner"`
			Value    string   `yaml:"value"`
			Readers  []string `yaml:"readers"`
			Rotation struct {
				Disabled string `yaml:"disabled"`
			} `yaml:"rotation"`
		} `yaml:"aistudio-secrets:catalogue"`
	} `yaml:"config"`
}

var (
	word   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)
	region = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
)

func (s *Settings) readStack(file string, text []byte) (MistakesError, error) {
	var document stackDocument
	var mistakes MistakesError
	add := func(key, format string, args ...any) {
		mistakes = append(mistakes, fmt.Sprintf("%s: %s: %s", file, key, fmt.Sprintf(format, args...)))
	}
	if err := decode(text, &document, false, func(problem string) { add("config", "%s", problem) }); err != nil {
		return nil, fmt.Errorf("read the stack's file %s: %w", file, err)
	}
	c := document.Config
	s.Organization, s.Environment, s.Owner = c.Settings.Organization, c.Settings.Environment, c.Settings.Owner
	s.Region, s.ReplicaRegion = c.Region, c.Settings.ReplicaRegion
	for _, part := range []struct{ key, value string }{{"organization", s.Organization}, {"environment", s.Environment}} {
		if !word.MatchString(part.value) {
			add("aistudio-secrets:settings."+part.key, "%q: write up to 20 lower-case letters, digits and hyphens", part.value)
		}
	}
	if s.Organization == "aws" {
		add("aistudio-secrets:settings.organization", "%q is reserved: KMS keeps the aliases below alias/aws/ for AWS's own keys", s.Organization)
	}
	if s.Owner == "" {
		add("aistudio-secrets:settings.owner", "is missing: name the team to ask")
	}
	if !region.MatchString(s.Region) {
		add("aws:region", "%q is no region", s.Region)
	}
	if s.ReplicaRegion != "" && !region.MatchString(s.ReplicaRegion) {
		add("aistudio-secrets:settings.replicaRegion", "%q is no region", s.ReplicaRegion)
	}
	s.KMSKey = "alias/" + s.Organization + "/" + s.Environment + "/secrets"
	s.Readers, s.Databases, s.Declared = map[string]string{}, map[string]Database{}, map[string]Declared{}
	for name, service := range c.Services {
		s.Readers[name] = service.Role
	}
	for name, database := range c.Databases {
		s.Databases[name] = Database{Engine: database.Engine, Host: database.Host}
	}
	for name, entry := range c.Catalogue {
		d := Declared{Kind: entry.Kind, Owner: entry.Owner, Value: entry.Value, Readers: entry.Readers, RotationDisabled: entry.Rotation.Disabled}
		switch kind := spec.Kind(entry.Kind); {
		case d.Value != "":
		case kind == spec.KindOAuth, kind != spec.KindDatabase && entry.Rotation.Disabled != "":
			d.Value = Awaited
		default:
			d.Value = Seeded
		}
		s.Declared[name] = d
	}
	return mistakes, nil
}

// migrationDocument is the migration's file as it is written.
type migrationDocument struct {
	Mode               string `yaml:"mode"`
	DataClassification string `yaml:"dataClassification"`
	Classify           struct {
		Secrets    []string `yaml:"secrets"`
		NotSecrets []string `yaml:"notSecrets"`
	} `yaml:"classify"`
	Services    map[string]string `yaml:"services"`
	ServiceTags []string          `yaml:"serviceTags"`
	Owners      map[string]string `yaml:"owners"`
	OwnerTags   []string          `yaml:"ownerTags"`
	Skip        []struct {
		Service   string `yaml:"service"`
		Variable  string `yaml:"variable"`
		Parameter string `yaml:"parameter"`
		Reason    string `yaml:"reason"`
	} `yaml:"skip"`
	Separate    []string            `yaml:"separate"`
	Waves       []int               `yaml:"waves"`
	How         map[string]string   `yaml:"how"`
	Aliases     map[string][]string `yaml:"aliases"`
	PolicyLimit *int                `yaml:"policyLimit"`
}

var serviceName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,29}$`)

// migrationReader takes what the migration's file says, and notes its mistakes.
type migrationReader struct {
	*Settings
	file     string
	document migrationDocument
	mistakes MistakesError
}

func (r *migrationReader) add(key, format string, args ...any) {
	r.mistakes = append(r.mistakes, fmt.Sprintf("%s: %s: %s", r.file, key, fmt.Sprintf(format, args...)))
}

func (r *migrationReader) pattern(key, pattern string) {
	if err := checkPattern(pattern); err != nil {
		r.add(key, "%s", err)
	}
}

// patterns takes a list of patterns.
func (r *migrationReader) patterns(key string, list []string) []string {
	for i, pattern := range list {
		r.pattern(fmt.Sprintf("%s[%d]", key, i), pattern)
	}
	return list
}

// names takes names by pattern; check tells what is wrong with one, or "".
func (r *migrationReader) names(key string, names map[string]string, check func(pattern, name string) string) Names {
	for _, pattern := range slices.Sorted(maps.Keys(names)) {
		r.pattern(key+"."+pattern, pattern)
		if problem := check(pattern, names[pattern]); problem != "" {
			r.add(key+"."+pattern, "%s", problem)
		}
	}
	return names
}

func (s *Settings) readMigration(file string, text []byte) (MistakesError, error) {
	r := &migrationReader{Settings: s, file: file}
	err := decode(text, &r.document, true, func(problem string) { r.mistakes = append(r.mistakes, file+": "+problem) })
	if err != nil {
		return nil, fmt.Errorf("read the migration's file %s: %w", file, err)
	}
	d := r.document
	s.Mode = or(d.Mode, DualRead)
	if s.Mode != DualRead && s.Mode != Final {
		r.add("mode", "%q is unknown: write %s or %s", d.Mode, DualRead, Final)
	}
	s.DataClassification = or(d.DataClassification, defaultClassification)
	s.Classify = classify.Config{
		Secrets:    r.patterns("classify.secrets", d.Classify.Secrets),
		NotSecrets: r.patterns("classify.notSecrets", d.Classify.NotSecrets),
	}
	s.Separate = r.patterns("separate", d.Separate)
	r.whose()
	r.how()
	r.skips()
	r.order()
	return r.mistakes, nil
}

// whose takes the names of services and teams.
func (r *migrationReader) whose() {
	d := r.document
	r.Services = r.names("services", d.Services, func(_, name string) string {
		if serviceName.MatchString(name) {
			return ""
		}
		return fmt.Sprintf("%q is no name of a service: write up to 30 letters, digits, - and _", name)
	})
	r.Owners = r.names("owners", d.Owners, func(_, name string) string {
		if strings.TrimSpace(name) != "" {
			return ""
		}
		return "is empty: name the team to ask"
	})
	r.OwnerTags, r.ServiceTags = d.OwnerTags, d.ServiceTags
	if d.OwnerTags == nil {
		r.OwnerTags = []string{spec.TagOwner, "Team"}
	}
	if d.ServiceTags == nil {
		r.ServiceTags = []string{spec.TagService}
	}
}

func (r *migrationReader) how() {
	r.How = r.names("how", r.document.How, func(pattern, how string) string {
		switch {
		case how != Injection && how != Reference:
			return fmt.Sprintf("%q is unknown: write %s or %s", how, Injection, Reference)
		case how == Injection && strings.HasPrefix(pattern, "lambda/"):
			return "Lambda injects no secrets: its functions follow a reference"
		default:
			return ""
		}
	})
}

func (r *migrationReader) skips() {
	for i, skip := range r.document.Skip {
		key := fmt.Sprintf("skip[%d]", i)
		switch {
		case skip.Parameter == "" && skip.Service == "" && skip.Variable == "":
			r.add(key, "skips nothing: write service, variable or parameter")
		case skip.Parameter != "" && (skip.Service != "" || skip.Variable != ""):
			r.add(key, "parameter stands alone: write what else is skipped as an entry of its own")
		}
		if strings.TrimSpace(skip.Reason) == "" {
			r.add(key+".reason", "is missing: whoever reads the plan wants to know why")
		}
		for _, part := range []struct{ key, pattern string }{{".service", skip.Service}, {".variable", skip.Variable}, {".parameter", skip.Parameter}} {
			if part.pattern != "" {
				r.pattern(key+part.key, part.pattern)
			}
		}
		r.Skip = append(r.Skip, Skip(skip))
	}
}

// order takes the waves, the aliases and the limit of policies.
func (r *migrationReader) order() {
	d := r.document
	r.Waves, r.Aliases, r.PolicyLimit = d.Waves, d.Aliases, defaultPolicyLimit
	for i, size := range d.Waves {
		if size < 1 {
			r.add(fmt.Sprintf("waves[%d]", i), "%d: a wave has at least one service", size)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d.Aliases)) {
		if !strings.HasPrefix(key, "lambda/") {
			r.add("aliases."+key, "only functions have aliases: write lambda/<function>")
		}
		if len(d.Aliases[key]) == 0 {
			r.add("aliases."+key, "names no alias")
		}
	}
	if d.PolicyLimit != nil {
		r.PolicyLimit = *d.PolicyLimit
		if r.PolicyLimit < 1 {
			r.add("policyLimit", "%d is not positive", r.PolicyLimit)
		}
	}
}

// decode reads a document and tells of each of its mistakes. The error is for
// what isn't YAML.
func decode(text []byte, into any, strict bool, tell func(problem string)) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(strict)
	err := decoder.Decode(into)
	var typed *yaml.TypeError
	switch {
	case errors.As(err, &typed):
		for _, problem := range typed.Errors {
			tell(friendly(problem))
		}
		return nil
	case errors.Is(err, io.EOF): // an empty file
		return nil
	default:
		return err
	}
}

// friendly says "key" where the decoder talks of Go's types.
func friendly(problem string) string {
	line, rest, ok := strings.Cut(problem, ": field ")
	name, _, unknown := strings.Cut(rest, " not found in type")
	if !ok || !unknown {
		return problem
	}
	return fmt.Sprintf("%s: there is no key %q", line, name)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
