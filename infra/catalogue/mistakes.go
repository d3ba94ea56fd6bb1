package catalogue

import (
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong with a stack's configuration.
type Mistake struct {
	Path    string // of the key in Pulumi.<stack>.yaml, such as "aistudio-secrets:catalogue.orders/database.owner"
	Problem string // what is wrong, and what to write instead
}

// MistakesError is the error of a configuration that can't be deployed. It holds
// every mistake that was found, in the order of the configuration's parts.
type MistakesError []Mistake

// Error lists all mistakes, one a line.
func (m MistakesError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "the stack's configuration has %d mistake(s); nothing was deployed:", len(m))
	for _, mistake := range m {
		fmt.Fprintf(&text, "\n  %s: %s", mistake.Path, mistake.Problem)
	}
	return text.String()
}

func (m *MistakesError) add(path, format string, args ...any) {
	*m = append(*m, Mistake{Path: path, Problem: fmt.Sprintf(format, args...)})
}

// addErr splits what errors.Join joined, so that each problem has its line.
func (m *MistakesError) addErr(path string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			m.addErr(path, part)
		}
		return
	}
	if err != nil {
		m.add(path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// without returns the mistakes without what else is said of the keys of the
// first ones: a value that couldn't be read isn't missing too.
func (m MistakesError) without(first MistakesError) MistakesError {
	said := map[string]bool{}
	for _, mistake := range first {
		said[mistake.Path] = true
	}
	return append(first, slices.DeleteFunc(m[len(first):], func(mistake Mistake) bool { return said[mistake.Path] })...)
}
