package apikey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/template"
)

// Description says how an issuer's admin API is used. It holds no secret.
//
// URLs, headers and bodies are templates (package text/template) with the
// fields .Admin (the admin credential), .Token (the id of the version, a UUID,
// the same in every try), .ID and .Key, of which .ID and .Key are empty in
// Create and List. The function json writes a value as a JSON string, and the
// function path escapes one for a URL's path. Places in answers are JSON
// Pointers (RFC 6901); "" is the whole.
type Description struct {
	Admin  Admin   `json:"admin"`
	Create Create  `json:"create"`
	List   *List   `json:"list,omitempty"`
	Verify Request `json:"verify"` // made with the new key; 2xx: the key works
	Revoke Request `json:"revoke"` // 2xx, 404 or 410: the key is gone
}

// Admin is where the admin credential is.
type Admin struct {
	Secret  string `json:"secret"`            // ARN or name
	Pointer string `json:"pointer,omitempty"` // of the credential in the secret's JSON; "": the whole secret
}

// Request is an HTTP request. URLs begin with https://, or name the machine
// itself.
type Request struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

// Create makes a key. A process that dies before it has stored the key makes
// the request again, so there must be a way not to lose the first one: either
// the request has .Token as its idempotency key, by which the issuer answers
// with the same key, or there is a List and the request has .Token in the
// key's name, by which keys that were never stored are found and revoked.
type Create struct {
	Request
	ID  string `json:"id"`  // pointer to the key's id in the answer, a string or a number
	Key string `json:"key"` // pointer to the key
}

// List finds keys by their names. All must be in one answer: use .Token as the
// filter if the API has one.
type List struct {
	Request
	Items string `json:"items"` // pointer to the array in the answer
	ID    string `json:"id"`    // pointer to the id in an item
	Name  string `json:"name"`  // pointer to the name in an item, which contains the token
}

// ParseDescription reads a Description and checks it.
func ParseDescription(text string) (Description, error) {
	var d Description
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return Description{}, fmt.Errorf("description of the issuer: %w", err)
	}
	if err := d.validate(); err != nil {
		return Description{}, fmt.Errorf("description of the issuer: %w", err)
	}
	return d, nil
}

func (d Description) validate() error {
	var errs []error
	requests := map[string]Request{"create": d.Create.Request, "verify": d.Verify, "revoke": d.Revoke}
	if d.List != nil {
		requests["list"] = d.List.Request
	}
	for name, r := range requests {
		if r.Method == "" || r.URL == "" {
			errs = append(errs, fmt.Errorf("%s needs method and url", name))
		}
		if _, err := r.render(fields{}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if d.Admin.Secret == "" {
		errs = append(errs, errors.New("admin.secret is missing: name the secret with the admin credential"))
	}
	if d.Create.ID == "" {
		errs = append(errs, errors.New("create.id is missing: without the key's id it can't be revoked later"))
	}
	if !d.Create.uses(func(f *fields) { f.Token = probe }) {
		errs = append(errs, errors.New("create doesn't use .Token: send it as the idempotency key, or in the key's name with a list to find it"))
	}
	if !d.Verify.uses(func(f *fields) { f.Key = probe }) {
		errs = append(errs, errors.New("verify doesn't use .Key: it has to use the new key as a client does"))
	}
	if !d.Revoke.uses(func(f *fields) { f.ID = probe }) {
		errs = append(errs, errors.New("revoke doesn't use .ID: it has to name the key by its id"))
	}
	return errors.Join(errs...)
}

// fields are what the templates see.
type fields struct{ Admin, Token, ID, Key string }

// probe is a text that templates don't change.
const probe = "00000000-0000-4000-8000-000000000000"

// uses tells whether the request depends on what set fills in.
func (r Request) uses(set func(*fields)) bool {
	var f fields
	set(&f)
	rendered, err := r.render(f)
	if err != nil {
		return false
	}
	text := rendered.URL + "\n" + rendered.Body
	for _, value := range rendered.Headers {
		text += "\n" + value
	}
	return strings.Contains(text, probe)
}

// render fills the templates. Its errors hold nothing of the fields.
func (r Request) render(f fields) (Request, error) {
	var err error
	fill := func(name, text string) string {
		parsed, parseErr := template.New(name).Funcs(template.FuncMap{"json": jsonString, "path": url.PathEscape}).Parse(text)
		if parseErr != nil {
			err = errors.Join(err, parseErr)
			return ""
		}
		var out bytes.Buffer
		if parsed.Execute(&out, f) != nil {
			err = errors.Join(err, fmt.Errorf("the template of %s can't be filled: use .Admin, .Token, .ID and .Key", name))
		}
		return out.String()
	}
	filled := Request{Method: r.Method, URL: fill("url", r.URL), Body: fill("body", r.Body), Headers: map[string]string{}}
	for name, text := range r.Headers {
		filled.Headers[name] = fill("header "+name, text)
	}
	return filled, err
}

func jsonString(text string) (string, error) {
	raw, err := json.Marshal(text)
	return string(raw), err
}

// find returns the text at a pointer of a JSON document. Its errors hold
// nothing of the document.
func find(document any, pointer string) (any, error) {
	if pointer != "" && !strings.HasPrefix(pointer, "/") {
		return nil, fmt.Errorf("%q isn't a JSON Pointer: begin it with a slash", pointer)
	}
	for _, part := range strings.Split(pointer, "/")[1:] {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		var found bool
		switch node := document.(type) {
		case map[string]any:
			document, found = node[part]
		case []any:
			if index, err := strconv.Atoi(part); err == nil && index >= 0 && index < len(node) {
				document, found = node[index], true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is nothing at %s", pointer)
		}
	}
	return document, nil
}

// findText returns the string or number at a pointer.
func findText(document any, pointer string) (string, error) {
	node, err := find(document, pointer)
	if err != nil {
		return "", err
	}
	switch text := node.(type) {
	case string:
		if text != "" {
			return text, nil
		}
	case json.Number:
		return text.String(), nil
	}
	return "", fmt.Errorf("what is at %s is neither a text nor a number", pointer)
}

// parse reads a document, with numbers as they were written.
func parse(document []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var parsed any
	if decoder.Decode(&parsed) != nil {
		return nil, errors.New("it isn't JSON")
	}
	return parsed, nil
}
