package rotation

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// redacting is a Target whose errors don't show the values that it was given,
// whatever the Target or a library below it puts into them. The contract
// forbids values in errors; this is the net below it.
type redacting struct{ target Target }

func (r redacting) Generate(ctx context.Context, request GenerateRequest) (GenerateResponse, error) {
	response, err := r.target.Generate(ctx, request)
	return response, redact(err, request.Current, request.Newest, response.Value)
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
	"token_endpoint_auth_method", "introspection_url", "resource_url", "revocation_url", "registration_client_uri",
}

// shortest is the least length of what is looked for: less is found everywhere.
const shortest = 4

// revealing lists what mustn't be seen of the values, the longest first: each as
// a whole and, if it is JSON, its strings, as they are and as they are usually
// escaped.
func revealing(values []spec.Value) []string {
	var all []string
	add := func(text string) {
		if len(text) < shortest {
			return
		}
		quoted, _ := json.Marshal(text) // strings only
		all = append(all, text,
			strings.Trim(strconv.Quote(text), `"`), strings.Trim(string(quoted), `"`),
			url.QueryEscape(text), url.PathEscape(text),
			base64.StdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)))
	}
	for _, v := range values {
		text := v.RevealString()
		add(text)
		var document any
		if json.Unmarshal([]byte(text), &document) == nil {
			addStrings(document, add)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(all)
}

// addStrings adds the strings of a JSON document, but for those that are named.
func addStrings(document any, add func(string)) {
	switch document := document.(type) {
	case string:
		add(document)
	case []any:
		for _, element := range document {
			addStrings(element, add)
		}
	case map[string]any:
		for key, member := range document {
			if !slices.Contains(named, key) {
				addStrings(member, add)
			}
		}
	}
}
