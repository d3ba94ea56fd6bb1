package program

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aistudio/secrets/infra/catalogue"
)

// archives are the zips that the stack needs.
type archives struct {
	rotators map[string]string // by the rotator's name; those with nothing to do have none
	layers   map[string]string // by Lambda's name of the architecture
	feed     string
}

// findArchives looks for the zips, so that one that isn't built is reported
// before anything is deployed.
func findArchives(stack catalogue.Stack, folder string) (archives, error) {
	found := archives{rotators: map[string]string{}, layers: map[string]string{}}
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
		found.rotators[secret.Rotator] = find("rotate-"+rotator.Kind.String(), rotator.Architecture)
	}
	for _, architecture := range stack.Cache.Architectures {
		found.layers[architecture] = find("secrets-extension-layer", architecture)
	}
	found.feed = find("rotation-feed", stack.Events.Architecture)
	return found, errors.Join(errs...)
}

// goArchitecture returns what Go calls Lambda's architecture.
func goArchitecture(architecture string) string {
	if architecture == "x86_64" {
		return "amd64"
	}
	return architecture
}
