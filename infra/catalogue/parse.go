package catalogue

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"

	"github.com/aistudio/secrets/sdk/spec"
)

// Namespace is the Pulumi project whose configuration holds the catalogue: its
// keys are written "aistudio-secrets:<key>".
const Namespace = "aistudio-secrets"

// The keys of the configuration, each an object.
const (
	KeySettings  = Namespace + ":settings"
	KeyServices  = Namespace + ":services"
	KeyDatabases = Namespace + ":databases"
	KeyRotators  = Namespace + ":rotators"
	KeyCatalogue = Namespace + ":catalogue"
	KeyRegion    = "aws:region"
)

// Keys returns the keys of the configuration that Parse reads.
func Keys() []string {
	return []string{KeyRegion, KeySettings, KeyServices, KeyDatabases, KeyRotators, KeyCatalogue}
}

// entry is a Secret as it is written.
type entry struct {
	Kind               string        `mapstructure:"kind"`
	Owner              string        `mapstructure:"owner"`
	Description        string        `mapstructure:"description"`
	DataClassification string        `mapstructure:"dataClassification"`
	Readers            []string      `mapstructure:"readers"`
	Value              string        `mapstructure:"value"`
	Database           *DatabaseUser `mapstructure:"database"`
	Rotation           rotation      `mapstructure:"rotation"`
}

type rotation struct {
	Every    string `mapstructure:"every"`    // "30d", "12h"
	Schedule string `mapstructure:"schedule"` // rate or cron expression
	Window   string `mapstructure:"window"`   // "3h"
	Disabled string `mapstructure:"disabled"` // why the secret isn't rotated
}

// document is the configuration as it is written, without its namespace.
type document struct {
	Settings  Settings                  `mapstructure:"settings"`
	Services  map[string]Service        `mapstructure:"services"`
	Databases map[string]DatabaseServer `mapstructure:"databases"`
	Rotators  map[string]Rotator        `mapstructure:"rotators"`
	Catalogue map[string]entry          `mapstructure:"catalogue"`
}

// Parse reads the values of Keys, in which objects are JSON as Pulumi hands
// them to a program. The error is of type MistakesError and holds all that is wrong.
func Parse(values map[string]string) (Stack, error) {
	var mistakes MistakesError
	written := decode(values, &mistakes)
	malformed := slices.Clone(mistakes)

	stack := Stack{
		Region:    values[KeyRegion],
		Settings:  written.Settings,
		Services:  written.Services,
		Databases: written.Databases,
	}
	if values[KeySettings] == "" {
		mistakes.add(KeySettings, "is missing")
	}
	stack.validateRegions(&mistakes)
	stack.validateSettings(&mistakes)
	stack.validateServices(&mistakes)
	stack.validateDatabases(&mistakes)
	stack.readRotators(written.Rotators, &mistakes)
	for _, key := range slices.Sorted(maps.Keys(written.Catalogue)) {
		stack.Secrets = append(stack.Secrets, stack.readSecret(key, written.Catalogue[key], &mistakes))
	}
	stack.validateTogether(&mistakes)
	if len(mistakes) == 0 {
		return stack, nil
	}
	return Stack{}, mistakes.without(malformed)
}

// decode reads the objects of our namespace and adds every unknown key and
// wrong type.
func decode(values map[string]string, mistakes *MistakesError) document {
	objects := map[string]any{}
	for _, key := range Keys() {
		field, ours := strings.CutPrefix(key, Namespace+":")
		if !ours || values[key] == "" {
			continue
		}
		reader := json.NewDecoder(strings.NewReader(values[key]))
		reader.UseNumber() // so that 7.5 isn't cut to 7
		var object map[string]any
		if err := reader.Decode(&object); err != nil {
			mistakes.add(key, "is not an object: write it as YAML with a key a line")
			continue
		}
		objects[field] = object
	}

	var written document
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:      &written,
		ErrorUnused: true,
		MatchName:   func(key, field string) bool { return key == field },
	})
	if err != nil {
		mistakes.addErr(Namespace, err)
		return written
	}
	addDecodeErrors(decoder.Decode(objects), mistakes)
	return written
}

func addDecodeErrors(err error, mistakes *MistakesError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			addDecodeErrors(part, mistakes)
		}
		return
	}
	var decodeError *mapstructure.DecodeError
	if !errors.As(err, &decodeError) {
		mistakes.addErr(Namespace, err)
		return
	}
	if _, joined := decodeError.Unwrap().(interface{ Unwrap() []error }); joined {
		addDecodeErrors(decodeError.Unwrap(), mistakes)
		return
	}
	problem := strings.Replace(decodeError.Unwrap().Error(), "has invalid keys:", "has unknown keys:", 1)
	mistakes.add(yamlPath(decodeError.Name()), "%s", problem)
}

var mapKey = regexp.MustCompile(`\[([^\]]*[^\]0-9][^\]]*)\]`)

// yamlPath turns mapstructure's "catalogue[orders/database].rotation.every"
// into the path in YAML.
func yamlPath(name string) string {
	return Namespace + ":" + mapKey.ReplaceAllString(name, ".$1")
}

// readSecret reads the entry at a key of the catalogue.
func (s *Stack) readSecret(key string, e entry, mistakes *MistakesError) Secret {
	path := KeyCatalogue + "." + key
	secret := Secret{
		Owner:              e.Owner,
		Description:        e.Description,
		DataClassification: e.DataClassification,
		Readers:            e.Readers,
	}
	secret.Name = s.readName(path, key, mistakes)
	if secret.Owner == "" {
		mistakes.add(path+".owner", "is missing: name the team to ask")
	}
	if secret.DataClassification == "" {
		mistakes.add(path+".dataClassification", "is missing: say how sensitive it is, such as confidential")
	}
	s.readReaders(path, secret, mistakes)

	var err error
	if secret.Kind, err = spec.ParseKind(e.Kind); err != nil {
		mistakes.addErr(path+".kind", err)
		return secret // the rest depends on the kind
	}
	if secret.Owner != "" && secret.DataClassification != "" && secret.Name != (spec.Name{}) {
		if err := spec.ValidateTags(secret.Name, secret.Tags()); err != nil {
			mistakes.addErr(path, unwrapAll(err))
		}
	}
	secret.Database = s.readDatabase(path, secret.Kind, e.Database, mistakes)
	secret.Value = readValue(path+".value", secret.Kind, e.Value, mistakes)
	secret.RotationDisabled = e.Rotation.Disabled
	secret.Schedule = readRotation(path+".rotation", secret.Kind, e.Rotation, mistakes)
	if _, ok := s.Rotators[secret.Kind]; secret.NeedsRotator() && HasRotator(secret.Kind) && !ok {
		mistakes.add(path, "needs the rotation function of its kind, which %s doesn't declare: add %s.%s", KeyRotators, KeyRotators, secret.Kind)
	}
	return secret
}

func (s *Stack) readName(path, key string, mistakes *MistakesError) spec.Name {
	service, name, ok := strings.Cut(key, "/")
	if !ok || strings.Contains(name, "/") {
		mistakes.add(path, "is no name: write <service>/<secret>")
		return spec.Name{}
	}
	full := spec.Name{Organization: s.Settings.Organization, Environment: s.Settings.Environment, Service: service, Secret: name}
	if !wordPattern.MatchString(full.Organization) || !wordPattern.MatchString(full.Environment) { // reported once, with the settings
		full.Organization, full.Environment = "organization", "environment"
	}
	if err := full.Validate(); err != nil {
		mistakes.addErr(path, unwrapAll(err))
		return spec.Name{}
	}
	return full
}

func (s *Stack) readReaders(path string, secret Secret, mistakes *MistakesError) {
	for i, reader := range secret.Readers {
		if _, ok := s.Services[reader]; !ok {
			mistakes.add(path+".readers", "%q is no service of %s", reader, KeyServices)
		}
		if slices.Contains(secret.Readers[:i], reader) {
			mistakes.add(path+".readers", "%q is there twice", reader)
		}
	}
}

func (s *Stack) readDatabase(path string, kind spec.Kind, user *DatabaseUser, mistakes *MistakesError) DatabaseUser {
	path += ".database"
	switch {
	case kind != spec.KindDatabase && user != nil:
		mistakes.add(path, "belongs to database secrets, and this one is of kind %s", kind)
		return DatabaseUser{}
	case kind != spec.KindDatabase:
		return DatabaseUser{}
	case user == nil:
		mistakes.add(path, "is missing: name the server and the username")
		return DatabaseUser{}
	}
	if user.Username == "" {
		mistakes.add(path+".username", "is missing")
	}
	if _, ok := s.Databases[user.Server]; !ok {
		mistakes.add(path+".server", "%q is no server of %s", user.Server, KeyDatabases)
	}
	return *user
}

func readValue(path string, kind spec.Kind, text string, mistakes *MistakesError) FirstValue {
	value := FirstValue(text)
	switch {
	case text == "" && kind == spec.KindDatabase:
		return ValueSeeded
	case text == "":
		return ValueAwaited
	case value == ValueSeeded && kind != spec.KindDatabase:
		mistakes.add(path, "only database secrets can be seeded: write awaited, and present once the value is there")
		return ValueAwaited
	case value == ValueSeeded, value == ValueAwaited, value == ValuePresent:
		return value
	default:
		mistakes.add(path, "%q is unknown: write seeded, awaited or present", text)
		return ValueAwaited
	}
}

func readRotation(path string, kind spec.Kind, r rotation, mistakes *MistakesError) *Schedule {
	if r.Disabled != "" {
		if r.Every != "" || r.Schedule != "" || r.Window != "" {
			mistakes.add(path, "is both disabled and configured: leave one out")
		}
		return nil
	}
	if !HasRotator(kind) {
		mistakes.add(path, "there is no rotation function for %s secrets yet: write disabled, with the reason", kind)
	}

	var schedule Schedule
	var err error
	switch {
	case r.Every != "" && r.Schedule != "":
		mistakes.add(path, "has both every and schedule: leave one out")
		return nil
	case r.Every != "":
		path += ".every"
		schedule, err = parseEvery(r.Every)
	case r.Schedule != "":
		path += ".schedule"
		schedule, err = parseExpression(r.Schedule)
	default:
		byKind := defaultSchedule(kind)
		if byKind == nil {
			mistakes.add(path, "is missing: %s secrets have no default, so write every, schedule or disabled", kind)
			return nil
		}
		schedule = *byKind
	}
	if err != nil {
		mistakes.addErr(path, err)
		return nil
	}
	mistakes.addErr(path, schedule.validate(kind))
	if r.Window != "" {
		if schedule, err = schedule.withWindow(r.Window); err != nil {
			mistakes.addErr(strings.TrimSuffix(strings.TrimSuffix(path, ".every"), ".schedule")+".window", err)
		}
	}
	return &schedule
}

// unwrapAll returns the problems inside an error that repeats what the path
// already says.
func unwrapAll(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
