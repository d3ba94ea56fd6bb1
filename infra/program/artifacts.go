package program

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/aistudio/secrets/infra/catalogue"
)

// archives are the zips that the stack needs.
type archives struct {
	rotators map[string]string // by the rotator's name; those with nothing to do have none
	bundles  map[string]string // certificates of authorities, by the rotator's name
	layers   map[string]string // by Lambda's name of the architecture
	feed     string
	auditor  string
	policy   string // what the auditor demands; "": its defaults
	scan     string // "": there is none
	decided  string // what people have decided about names; "": nothing
}

// findArchives looks for the zips, so that one that isn't built is reported
// before anything is deployed. Files that the configuration names are below
// root.
func findArchives(stack catalogue.Stack, root, folder string) (archives, error) {
	found := archives{rotators: map[string]string{}, bundles: map[string]string{}, layers: map[string]string{}}
	var errs []error
	find := func(command, architecture string) string {
		path := filepath.Join(folder, fmt.Sprintf("%s_linux_%s.zip", command, goArchitecture(architecture)))
		if _, err := os.Stat(path); err != nil {
			errs = append(errs, fmt.Errorf("the archive of %s isn't there: build it with `go tool mage build`: %w", command, err))
		}
		return path
	}
	for _, secret := range stack.Secrets {
		if _, done := found.rotators[secret.Rotator]; done || !secret.NeedsRotator() {
			continue
		}
		rotator := stack.Rotators[secret.Rotator]
		found.rotators[secret.Rotator] = find("rotate-"+rotator.Program, rotator.Architecture)
		if rotator.CABundle != "" {
			path := below(root, rotator.CABundle)
			if err := checkBundle(path); err != nil {
				errs = append(errs, fmt.Errorf("%s.%s.caBundle: %w", catalogue.KeyRotators, secret.Rotator, err))
			}
			found.bundles[secret.Rotator] = path
		}
	}
	for _, architecture := range stack.Cache.Architectures {
		found.layers[architecture] = find("secrets-extension-layer", architecture)
	}
	found.feed = find("rotation-feed", stack.Events.Architecture)
	found.auditor = find("auditor", stack.Audit.Architecture)
	scan := stack.Audit.Scan
	if !scan.Off {
		found.scan = find("migration-scan", stack.Audit.Architecture)
	}
	for _, file := range []struct {
		key, path string
		text      *string
	}{
		{"policyFile", stack.Audit.PolicyFile, &found.policy},
		{"scan.migrationFile", scan.MigrationFile, &found.decided},
	} {
		if file.path == "" {
			continue
		}
		var err error
		if *file.text, err = readYAML(below(root, file.path)); err != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %w", catalogue.KeyAudit, file.key, err))
		}
	}
	return found, errors.Join(errs...)
}

// goArchitecture returns what Go calls Lambda's architecture.
func goArchitecture(architecture string) string {
	if architecture == "x86_64" {
		return "amd64"
	}
	return architecture
}

// below returns where a path is that starts at a folder unless it is absolute.
func below(folder, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

// checkBundle looks for certificates in a file.
func checkBundle(path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the authorities' certificates: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return nil
}

// readYAML reads what a function reads at the start of each run. What the YAML
// says is for the function to check, before whose next run nothing comes of it.
func readYAML(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the file: %w", err)
	}
	var keys map[string]any
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(text), nil
}
