package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/aistudio/secrets/sdk/spec"
)

// stackFile is what an audit uses of a stack's configuration. The stack's own
// program checks the file; here it is only read.
type stackFile struct {
	Config struct {
		Region   string `yaml:"aws:region"`
		Settings struct {
			Organization   string   `yaml:"organization"`
			Environment    string   `yaml:"environment"`
			ReplicaRegion  string   `yaml:"replicaRegion"`
			Administrators []string `yaml:"administrators"` // role/<name>, user/<name> or root
		} `yaml:"aistudio-secrets:settings"`
		Services map[string]struct {
			Role string `yaml:"role"` // role/<name>; empty: the stack makes one
		} `yaml:"aistudio-secrets:services"`
		Databases map[string]struct {
			Master string `yaml:"master"`
		} `yaml:"aistudio-secrets:databases"`
		Rotators map[string]struct {
			Issuer struct {
				Admin struct {
					Secret string `yaml:"secret"`
				} `yaml:"admin"`
			} `yaml:"issuer"`
			Webhook struct {
				Secret string `yaml:"secret"`
			} `yaml:"webhook"`
		} `yaml:"aistudio-secrets:rotators"`
		Catalogue map[string]struct {
			Kind               spec.Kind `yaml:"kind"`
			Owner              string    `yaml:"owner"`
			DataClassification string    `yaml:"dataClassification"`
			Readers            []string  `yaml:"readers"` // services
			Value              string    `yaml:"value"`   // seeded, awaited or present
			Rotator            string    `yaml:"rotator"` // empty: that of its kind
			Rotation           struct {
				Disabled string `yaml:"disabled"`
			} `yaml:"rotation"`
		} `yaml:"aistudio-secrets:catalogue"`
	} `yaml:"config"`
}

// place is where a stack is deployed: an account and its partition, "aws" or
// another of AWS's.
type place struct{ partition, account string }

// arn returns the ARN of a principal, written as in a stack's file.
func (p place) arn(principal string) string {
	return "arn:" + p.partition + ":iam::" + p.account + ":" + principal
}

func readStack(path string) (*stackFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the stack's file: %w", err)
	}
	var file stackFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read the stack's file %s: %w", path, err)
	}
	if s := file.Config.Settings; s.Organization == "" || s.Environment == "" || file.Config.Region == "" {
		return nil, fmt.Errorf("%s is no stack's file: it has no aws:region, or no organization or environment in aistudio-secrets:settings", path)
	}
	return &file, nil
}

// catalogue is what the file declares. It names no ARN: those of roles follow
// from their names and the account. When a secret rotates, and by which function,
// stays unsaid; the catalogue in the stack's audit bucket says it.
func (f *stackFile) catalogue(in place) (*spec.AuditCatalogue, error) {
	s := f.Config.Settings
	c := &spec.AuditCatalogue{
		Organization: s.Organization, Environment: s.Environment, Regions: []string{f.Config.Region}, ReplicaRegion: s.ReplicaRegion,
		Known: f.known(),
	}
	for _, principal := range s.Administrators {
		c.Administrators = append(c.Administrators, in.arn(principal))
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.Config.Catalogue)) {
		secret, err := f.secret(name, in)
		errs = append(errs, err)
		c.Secrets = append(c.Secrets, secret)
	}
	return c, errors.Join(errs...)
}

// known are the secrets that the stack uses and doesn't declare.
func (f *stackFile) known() []string {
	var names []string
	for _, database := range f.Config.Databases {
		names = append(names, database.Master)
	}
	for _, rotator := range f.Config.Rotators {
		names = append(names, rotator.Issuer.Admin.Secret, rotator.Webhook.Secret)
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// secret is a secret of the file's catalogue, <service>/<secret>.
func (f *stackFile) secret(name string, in place) (spec.AuditSecret, error) {
	s, declared := f.Config.Settings, f.Config.Catalogue[name]
	secret := spec.AuditSecret{
		Name: strings.Join([]string{s.Organization, s.Environment, name}, "/"), Kind: declared.Kind, Owner: declared.Owner,
		DataClassification: declared.DataClassification, Readers: []string{}, RotationDisabled: declared.Rotation.Disabled,
	}
	for _, service := range declared.Readers {
		reader, ok := f.Config.Services[service]
		if !ok {
			return secret, fmt.Errorf("%s is to be read by %q, which is no service of aistudio-secrets:services", name, service)
		}
		if reader.Role == "" {
			reader.Role = "role/" + spec.ReaderRole(s.Organization, s.Environment, service)
		}
		secret.Readers = append(secret.Readers, in.arn(reader.Role))
	}
	seeded := declared.Value == "seeded" || declared.Value == "" && seeds(declared.Kind, secret.RotationDisabled)
	rotates := secret.RotationDisabled == "" && (seeded || declared.Value == "present")
	if seeded || rotates {
		rotator := declared.Rotator
		if rotator == "" {
			rotator = string(declared.Kind)
		}
		secret.Rotator = in.arn("role/" + spec.RotationFunction(s.Organization, s.Environment, rotator))
	}
	if !rotates && secret.RotationDisabled == "" {
		secret.RotationDisabled = "it awaits its first value"
	}
	return secret, nil
}

// seeds reports whether a rotation function makes the first value of a secret
// that doesn't say where it comes from: a database's user always, an OAuth client
// never, since people register it, and others if they are rotated.
func seeds(kind spec.Kind, rotationDisabled string) bool {
	return kind == spec.KindDatabase || kind != spec.KindOAuth && rotationDisabled == ""
}
