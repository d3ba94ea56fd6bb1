package rotation

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// redacting is a Target whose errors don't show the values that it was given,
// whatever the Target or a library below it puts into them. The contract
// forbids values in errors; this is the net below it.
type redacting struct{ target Target }

func (r redacting) Generate(ctx context.Context, request GenerateRequest) (GenerateResponse, error) {
	response, err := r.target.Generate(ctx, request)
	return response, redact(err, request.Current, response.Value)
}

func (r redacting) Apply(ctx context.Context, request ApplyRequest) (ApplyResponse, error) {
	response, err := r.target.Apply(ctx, request)
	return response, redact(err, request.Pending, request.Current, request.Previous)
}

func (r redacting) Verify(ctx context.Context, request VerifyRequest) (VerifyResponse, error) {
	response, err := r.target.Verify(ctx, request)
	return response, redact(err, request.Pending)
}

func (r redacting) Retire(ctx context.Context, request RetireRequest) (RetireResponse, error) {
	response, err := r.target.Retire(ctx, request)
	return response, redact(err, request.Retired, request.Current, request.Pending)
}

// redact returns the error, or one with another text if it shows a value. What
// the error is (errors.Is) stays.
func redact(err error, values ...spec.Value) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, shown := range revealing(values) {
		text = strings.ReplaceAll(text, shown, spec.Redacted)
	}
	if text == err.Error() {
		return err
	}
	return redactedError{text, err}
}

type redactedError struct {
	text string
	err  error
}

func (e redactedError) Error() string { return e.text }

func (e redactedError) Unwrap() error { return e.err }

// named are the keys of a secret's JSON object that aren't secret themselves.
var named = []string{
	"engine", "host", "port", "username", "dbname", "masterarn", "ssl", "id", "client_id", "token_url", "scope", "expires_at",
}

// shortest is the least length of what is looked for: less is found everywhere.
const shortest = 4

// revealing lists what mustn't be seen of the values, the longest first: each as
// a whole and, if it is a JSON object, its strings.
func revealing(values []spec.Value) []string {
	var all []string
	for _, v := range values {
		text := v.RevealString()
		all = append(all, text)
		var object map[string]any
		if json.Unmarshal([]byte(text), &object) != nil {
			continue
		}
		for key, member := range object {
			if s, ok := member.(string); ok && !slices.Contains(named, key) {
				all = append(all, s)
			}
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < shortest })
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}
