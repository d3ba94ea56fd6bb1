package main

import (
	"fmt"
	"os"
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
			Organization  string `yaml:"organization"`
			Environment   string `yaml:"environment"`
			ReplicaRegion string `yaml:"replicaRegion"`
		} `yaml:"aistudio-secrets:settings"`
		Databases map[string]struct {
			Master string `yaml:"master"`
		} `yaml:"aistudio-secrets:databases"`
		Catalogue map[string]struct {
			Kind               spec.Kind `yaml:"kind"`
			Owner              string    `yaml:"owner"`
			DataClassification string    `yaml:"dataClassification"`
			Rotation           struct {
				Schedule string `yaml:"schedule"`
				Disabled string `yaml:"disabled"`
			} `yaml:"rotation"`
		} `yaml:"aistudio-secrets:catalogue"`
	} `yaml:"config"`
}

// readStack makes a catalogue of a stack's file. It knows no ARNs, so who may
// read stays unknown; the catalogue in the stack's audit bucket knows.
func readStack(path string) (*spec.AuditCatalogue, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the stack's file: %w", err)
	}
	var file stackFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("read the stack's file %s: %w", path, err)
	}
	s := file.Config.Settings
	if s.Organization == "" || s.Environment == "" || file.Config.Region == "" {
		return nil, fmt.Errorf("%s is no stack's file: it has no aws:region, or no organization or environment in aistudio-secrets:settings", path)
	}
	c := &spec.AuditCatalogue{
		Organization: s.Organization, Environment: s.Environment, Regions: []string{file.Config.Region}, ReplicaRegion: s.ReplicaRegion,
	}
	for _, database := range file.Config.Databases {
		c.Known = append(c.Known, database.Master)
	}
	for name, secret := range file.Config.Catalogue {
		c.Secrets = append(c.Secrets, spec.AuditSecret{
			Name: strings.Join([]string{s.Organization, s.Environment, name}, "/"), Kind: secret.Kind, Owner: secret.Owner,
			DataClassification: secret.DataClassification, Schedule: secret.Rotation.Schedule, RotationDisabled: secret.Rotation.Disabled,
		})
	}
	return c, nil
}
