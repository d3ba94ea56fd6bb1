package handlers

import (
	"errors"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// isError tells whether err is, or wraps, an error of type E.
func isError[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// gone turns an error of type E, by which a service says that it doesn't have a
// resource, into errNotFound.
func gone[E error](err error) error {
	if isError[E](err) {
		return errNotFound
	}
	return err
}

// unlessGone drops an error of type E: what is to be deleted is gone already.
func unlessGone[E error](err error) error {
	if isError[E](err) {
		return nil
	}
	return err
}

// optional is a text for a request in which an empty one must be left out.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// keepSpelling is the actual text, in the spelling known so far if both mean the
// same, so that a refresh reports no change where there is none.
func keepSpelling(known, actual string, same func(a, b string) bool) string {
	if known != "" && actual != "" && same(known, actual) {
		return known
	}
	return actual
}

// nameOrPrefix is the name, or else one that begins with the prefix.
func nameOrPrefix(name, prefix string) (string, error) {
	if name != "" {
		return name, nil
	}
	return resource.NewUniqueHex(prefix, 26, 0)
}

// unlessNotFound drops errNotFound: what is to be deleted is gone already.
func unlessNotFound(err error) error {
	if errors.Is(err, errNotFound) {
		return nil
	}
	return err
}
