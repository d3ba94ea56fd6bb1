package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/sdk/spec"
)

// archives are the zips of the rotation functions that the stack needs.
type archives map[spec.Kind]string

// findArchives looks for the zips, so that one that isn't built is reported
// before anything is deployed.
func findArchives(stack catalogue.Stack, folder string) (archives, error) {
	found := archives{}
	var errs []error
	for _, secret := range stack.Secrets {
		if _, done := found[secret.Kind]; done || !secret.NeedsRotator() {
			continue
		}
		path := filepath.Join(folder, fmt.Sprintf("rotate-%s_linux_%s.zip", secret.Kind, goArchitecture(stack.Rotators[secret.Kind].Architecture)))
		if _, err := os.Stat(path); err != nil {
			errs = append(errs, fmt.Errorf("the archive of the rotation function for %s secrets isn't there: build it with `go tool mage build`: %w", secret.Kind, err))
		}
		found[secret.Kind] = path
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
