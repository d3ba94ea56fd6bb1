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
		d := Declared{Kind: entry.Kind, Owner: entry.Owner, Value: entry.Value, Readers: entry.Readers}
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

// migrationDocument is the migration's file.
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

func (s *Settings) readMigration(file string, text []byte) (MistakesError, error) {
	var d migrationDocument
	var mistakes MistakesError
	add := func(key, format string, args ...any) {
		mistakes = append(mistakes, fmt.Sprintf("%s: %s: %s", file, key, fmt.Sprintf(format, args...)))
	}
	err := decode(text, &d, true, func(problem string) { mistakes = append(mistakes, file+": "+problem) })
	if err != nil {
		return nil, fmt.Errorf("read the migration's file %s: %w", file, err)
	}
	pattern := func(key, pattern string) {
		if err := checkPattern(pattern); err != nil {
			add(key, "%s", err)
		}
	}

	s.Mode = or(d.Mode, DualRead)
	if s.Mode != DualRead && s.Mode != Final {
		add("mode", "%q is unknown: write %s or %s", d.Mode, DualRead, Final)
	}
	s.DataClassification = or(d.DataClassification, defaultClassification)
	s.Classify = classify.Config{Secrets: d.Classify.Secrets, NotSecrets: d.Classify.NotSecrets}
	for i, p := range d.Classify.Secrets {
		pattern(fmt.Sprintf("classify.secrets[%d]", i), p)
	}
	for i, p := range d.Classify.NotSecrets {
		pattern(fmt.Sprintf("classify.notSecrets[%d]", i), p)
	}
	s.Services, s.Owners, s.How = d.Services, d.Owners, d.How
	for _, key := range slices.Sorted(maps.Keys(d.Services)) {
		pattern("services."+key, key)
		if !serviceName.MatchString(d.Services[key]) {
			add("services."+key, "%q is no name of a service: write up to 30 letters, digits, - and _", d.Services[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d.Owners)) {
		pattern("owners."+key, key)
		if strings.TrimSpace(d.Owners[key]) == "" {
			add("owners."+key, "is empty: name the team to ask")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d.How)) {
		pattern("how."+key, key)
		if how := d.How[key]; how != Injection && how != Reference {
			add("how."+key, "%q is unknown: write %s or %s", how, Injection, Reference)
		} else if strings.HasPrefix(key, "lambda/") && how == Injection {
			add("how."+key, "Lambda injects no secrets: its functions follow a reference")
		}
	}
	s.OwnerTags, s.ServiceTags = d.OwnerTags, d.ServiceTags
	if d.OwnerTags == nil {
		s.OwnerTags = []string{spec.TagOwner, "Team"}
	}
	if d.ServiceTags == nil {
		s.ServiceTags = []string{spec.TagService}
	}
	for i, skip := range d.Skip {
		key := fmt.Sprintf("skip[%d]", i)
		switch {
		case skip.Parameter == "" && skip.Service == "" && skip.Variable == "":
			add(key, "skips nothing: write service, variable or parameter")
		case skip.Parameter != "" && (skip.Service != "" || skip.Variable != ""):
			add(key, "parameter stands alone: write what else is skipped as an entry of its own")
		}
		if strings.TrimSpace(skip.Reason) == "" {
			add(key+".reason", "is missing: whoever reads the plan wants to know why")
		}
		for _, part := range []struct{ key, pattern string }{{".service", skip.Service}, {".variable", skip.Variable}, {".parameter", skip.Parameter}} {
			if part.pattern != "" {
				pattern(key+part.key, part.pattern)
			}
		}
		s.Skip = append(s.Skip, Skip(skip))
	}
	s.Separate = d.Separate
	for i, p := range d.Separate {
		pattern(fmt.Sprintf("separate[%d]", i), p)
	}
	s.Waves = d.Waves
	for i, size := range d.Waves {
		if size < 1 {
			add(fmt.Sprintf("waves[%d]", i), "%d: a wave has at least one service", size)
		}
	}
	s.Aliases = d.Aliases
	for _, key := range slices.Sorted(maps.Keys(d.Aliases)) {
		if !strings.HasPrefix(key, "lambda/") {
			add("aliases."+key, "only functions have aliases: write lambda/<function>")
		}
		if len(d.Aliases[key]) == 0 {
			add("aliases."+key, "names no alias")
		}
	}
	s.PolicyLimit = defaultPolicyLimit
	if d.PolicyLimit != nil {
		s.PolicyLimit = *d.PolicyLimit
		if s.PolicyLimit < 1 {
			add("policyLimit", "%d is not positive", s.PolicyLimit)
		}
	}
	return mistakes, nil
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
