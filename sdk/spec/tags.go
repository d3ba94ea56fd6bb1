package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The keys of the tags that every managed secret carries.
const (
	TagEnvironment        = "Environment"        // the name's environment
	TagService            = "Service"            // the name's service
	TagOwner              = "Owner"              // the team to ask
	TagSecretType         = "SecretType"         // the Kind
	TagDataClassification = "DataClassification" // what leaks if the secret does, in the company's own words
	TagManagedBy          = "ManagedBy"          // the program that declares the secret
)

// Limits of tags (Secrets Manager API reference, Tag and TagResource).
const (
	maxTags           = 50
	maxTagKeyLength   = 128
	maxTagValueLength = 256
)

// RequiredTags returns the keys of the tags that every managed secret carries,
// in the order in which documents list them.
func RequiredTags() []string {
	return []string{TagEnvironment, TagService, TagOwner, TagSecretType, TagDataClassification, TagManagedBy}
}

// MissingTags returns the required keys that tags lacks or gives an empty
// value, in the order of RequiredTags.
func MissingTags(tags map[string]string) []string {
	var missing []string
	for _, key := range RequiredTags() {
		if strings.TrimSpace(tags[key]) == "" {
			missing = append(missing, key)
		}
	}
	return missing
}

// ValidateTags returns all that is wrong with the tags of the secret of that
// name, or nil: required tags that are missing, tags that contradict the name,
// an unknown kind, and tags that AWS refuses.
func ValidateTags(name Name, tags map[string]string) error {
	var errs []error
	for _, key := range MissingTags(tags) {
		errs = append(errs, fmt.Errorf("tag %s is missing", key))
	}
	for _, want := range []struct{ key, value string }{
		{TagEnvironment, name.Environment},
		{TagService, name.Service},
	} {
		if got := tags[want.key]; got != "" && got != want.value {
			errs = append(errs, fmt.Errorf("tag %s is %q but the name says %q", want.key, got, want.value))
		}
	}
	if kind := tags[TagSecretType]; kind != "" {
		if _, err := ParseKind(kind); err != nil {
			errs = append(errs, fmt.Errorf("tag %s: %w", TagSecretType, err))
		}
	}
	if len(tags) > maxTags {
		errs = append(errs, fmt.Errorf("%d tags are too many: AWS takes %d", len(tags), maxTags))
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		errs = append(errs, validateTag(key, tags[key])...)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("tags of secret %s: %w", name, err)
	}
	return nil
}

func validateTag(key, value string) []error {
	var errs []error
	if n := utf8.RuneCountInString(key); n == 0 || n > maxTagKeyLength {
		errs = append(errs, fmt.Errorf("tag key %q has %d characters: AWS takes 1 to %d", key, n, maxTagKeyLength))
	}
	if n := utf8.RuneCountInString(value); n > maxTagValueLength {
		errs = append(errs, fmt.Errorf("value of tag %q has %d characters: AWS takes at most %d", key, n, maxTagValueLength))
	}
	if strings.HasPrefix(strings.ToLower(key), "aws:") {
		errs = append(errs, fmt.Errorf("tag key %q starts with aws:, which AWS keeps to itself", key))
	}
	for _, text := range []string{key, value} {
		if i := strings.IndexFunc(text, func(r rune) bool { return !allowedInTag(r) }); i >= 0 {
			errs = append(errs, fmt.Errorf("tag %q holds a character that AWS refuses: use letters, digits, spaces and +-=._:/@", key))
			break
		}
	}
	return errs
}

func allowedInTag(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.Zs, r) || strings.ContainsRune("+-=._:/@", r))
}
