package catalogue

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

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
	KeyCache     = Namespace + ":cache"
	KeyEvents    = Namespace + ":events"
	KeyAudit     = Namespace + ":audit"
	KeyBudget    = Namespace + ":budget"
	KeyCatalogue = Namespace + ":catalogue"
	KeyRegion    = "aws:region"
)

// Keys returns the keys of the configuration that Parse reads.
func Keys() []string {
	return []string{KeyRegion, KeySettings, KeyServices, KeyDatabases, KeyRotators, KeyCache, KeyEvents, KeyAudit, KeyBudget, KeyCatalogue}
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
	OAuth              *oauth        `mapstructure:"oauth"`
	Rotator            string        `mapstructure:"rotator"` // "": the one of its kind's name
	Rotation           rotation      `mapstructure:"rotation"`
}

type oauth struct {
	TokenLifetime string `mapstructure:"tokenLifetime"` // "8h", "30d"
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
	Cache     Cache                     `mapstructure:"cache"`
	Events    Events                    `mapstructure:"events"`
	Audit     Audit                     `mapstructure:"audit"`
	Budget    Budget                    `mapstructure:"budget"`
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
		Cache:     written.Cache,
		Events:    written.Events,
		Audit:     written.Audit,
		Budget:    written.Budget,
	}
	if values[KeySettings] == "" {
		mistakes.add(KeySettings, "is missing")
	}
	stack.validateRegions(&mistakes)
	stack.validateSettings(&mistakes)
	stack.validateServices(&mistakes)
	stack.validateDatabases(&mistakes)
	stack.readRotators(written.Rotators, &mistakes)
	stack.readCache(&mistakes)
	stack.readEvents(&mistakes)
	stack.readAudit(&mistakes)
	stack.readBudget(&mistakes)
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
		DecodeHook:  decodeDuration,
		MatchName:   func(key, field string) bool { return key == field },
	})
	if err != nil {
		mistakes.addErr(Namespace, err)
		return written
	}
	addDecodeErrors(decoder.Decode(objects), mistakes)
	return written
}

// decodeDuration reads what Go's durations are written as.
func decodeDuration(_, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() {
		return value, nil
	}
	text, _ := value.(string)
	duration, err := time.ParseDuration(text)
	if err != nil {
		return nil, errors.New("is no duration: write a number and a unit, such as 90s, 15m or 1h")
	}
	return duration, nil
}

func addDecodeErrors(err error, mistakes *MistakesError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			addDecodeErrors(part, mistakes)
		}
		return
	}
	decodeError, ok := err.(*mapstructure.DecodeError) //nolint:errorlint // errors.As would find the first of what is joined further in
	if !ok {
		if inner := errors.Unwrap(err); inner != nil {
			addDecodeErrors(inner, mistakes)
			return
		}
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
	secret.Value = readValue(path+".value", secret.Kind, e, mistakes)
	secret.RotationDisabled = e.Rotation.Disabled
	secret.Schedule = readRotation(path, secret, e, mistakes)
	s.readRotator(path, &secret, e.Rotator, mistakes)
	return secret
}

// readRotator finds the rotation function of a secret.
func (s *Stack) readRotator(path string, secret *Secret, name string, mistakes *MistakesError) {
	secret.Rotator = name
	if name == "" {
		secret.Rotator = secret.Kind.String()
	}
	rotator, there := s.Rotators[secret.Rotator]
	switch {
	case there && rotator.Kind != secret.Kind:
		mistakes.add(path+".rotator", "%s rotates %s secrets, and this one is of kind %s", secret.Rotator, rotator.Kind, secret.Kind)
	case !there && name != "":
		mistakes.add(path+".rotator", "%q is no rotator of %s", name, KeyRotators)
	case !there && secret.NeedsRotator():
		mistakes.add(path, "needs the rotation function of its kind, which %s doesn't declare: add %s.%s", KeyRotators, KeyRotators, secret.Kind)
	}
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

// readValue says where the first value comes from: the rotation function makes
// it where it can, unless nothing is rotated and so needs no function.
func readValue(path string, kind spec.Kind, e entry, mistakes *MistakesError) FirstValue {
	value := FirstValue(e.Value)
	switch {
	case e.Value == "" && kind == spec.KindDatabase:
		return ValueSeeded
	case e.Value == "" && (kind == spec.KindOAuth || e.Rotation.Disabled != ""):
		return ValueAwaited
	case e.Value == "":
		return ValueSeeded
	case value == ValueSeeded && kind == spec.KindOAuth:
		mistakes.add(path, "oauth secrets can't be seeded, because a client is registered by people: write awaited, and present once the value is there")
		return ValueAwaited
	case value == ValueSeeded, value == ValueAwaited, value == ValuePresent:
		return value
	default:
		mistakes.add(path, "%q is unknown: write seeded, awaited or present", e.Value)
		return ValueAwaited
	}
}

// unwrapAll returns the problems inside an error that repeats what the path
// already says.
func unwrapAll(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}
