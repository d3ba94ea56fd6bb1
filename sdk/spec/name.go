package spec

import (
	"errors"
	"fmt"
	"strings"
)

// MaxNameLength is the longest name that Secrets Manager takes, in bytes (API
// reference, CreateSecret, Name).
const MaxNameLength = 512

// Name is the name of a managed secret, written
// "<organization>/<environment>/<service>/<secret>".
type Name struct {
	Organization string
	Environment  string
	Service      string
	Secret       string
}

// ParseName splits and validates a name. For every name that it accepts,
// String returns the same text.
func ParseName(s string) (Name, error) {
	if len(s) > MaxNameLength {
		return Name{}, fmt.Errorf("secret name of %d bytes is too long: at most %d", len(s), MaxNameLength)
	}
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return Name{}, fmt.Errorf("secret name %q has %d segments: write <organization>/<environment>/<service>/<secret>", s, len(parts))
	}
	name := Name{Organization: parts[0], Environment: parts[1], Service: parts[2], Secret: parts[3]}
	if err := name.Validate(); err != nil {
		return Name{}, err
	}
	return name, nil
}

// String returns "<organization>/<environment>/<service>/<secret>".
func (n Name) String() string {
	return n.Organization + "/" + n.Environment + "/" + n.Service + "/" + n.Secret
}

// Validate returns all that is wrong with the name, or nil. The rules are
// Secrets Manager's (API reference, CreateSecret, Name) and one of ours: four
// segments that aren't empty and hold no slash.
func (n Name) Validate() error {
	full := n.String()
	var errs []error
	for _, segment := range []struct{ what, text string }{
		{"organization", n.Organization},
		{"environment", n.Environment},
		{"service", n.Service},
		{"secret", n.Secret},
	} {
		if segment.text == "" {
			errs = append(errs, fmt.Errorf("the %s is empty", segment.what))
		}
		for _, r := range segment.text {
			if !allowedInSegment(r) {
				errs = append(errs, fmt.Errorf("the %s %q holds %q: use ASCII letters, digits and _+=.@-", segment.what, segment.text, r))
				break
			}
		}
	}
	if len(full) > MaxNameLength {
		errs = append(errs, fmt.Errorf("%d bytes are too long: at most %d", len(full), MaxNameLength))
	}
	if endsLikeARN(full) {
		errs = append(errs, fmt.Errorf("it ends in a hyphen and six characters, which Secrets Manager mistakes for the end of an ARN: choose another ending than %q", full[len(full)-7:]))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("secret name %q: %w", full, err)
	}
	return nil
}

func allowedInSegment(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_+=.@-", r)
}

func endsLikeARN(name string) bool {
	return len(name) >= 7 && name[len(name)-7] == '-'
}
