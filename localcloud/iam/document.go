package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Kind is what a policy document is attached to; it decides which elements the
// document must and must not have.
type Kind int

// The kinds of policy document.
const (
	// Identity documents are attached to a role or user; permission boundaries
	// and session policies are written the same way.
	Identity Kind = iota
	// Resource documents are attached to a secret, key, function and so on.
	Resource
	// Trust documents say who may assume a role.
	Trust
)

// Document is a parsed policy.
type Document struct {
	Version    string
	ID         string
	Statements []Statement

	kind Kind
}

// Statement is one statement of a policy.
type Statement struct {
	SID  string
	Deny bool

	principals   *principals
	notPrincipal bool
	actions      []pattern
	notAction    bool
	resources    []pattern
	notResource  bool
	conditions   []condition
}

const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

var errSyntax = errors.New("Syntax errors in policy.")

func syntaxError(format string, args ...any) error {
	return fmt.Errorf("%w ("+format+")", append([]any{errSyntax}, args...)...)
}

// Parse reads a policy document. It is strict: an element that AWS doesn't
// document, a duplicate one or a value of the wrong form is an error, worded as
// AWS words MalformedPolicyDocument where its wording is known.
func Parse(kind Kind, text string) (*Document, error) {
	top, err := object(json.RawMessage(text))
	if err != nil {
		return nil, err
	}
	d := &Document{Version: version2008, kind: kind}
	var statements json.RawMessage
	for _, m := range top {
		switch m.name {
		case "Version":
			if d.Version, err = text1(m); err != nil {
				return nil, err
			}
			if d.Version != version2008 && d.Version != version2012 {
				return nil, syntaxError("Version must be %s or %s", version2012, version2008)
			}
		case "Id":
			if d.ID, err = text1(m); err != nil {
				return nil, err
			}
		case "Statement":
			statements = m.value
		default:
			return nil, syntaxError("unknown element %q", m.name)
		}
	}
	if statements == nil {
		return nil, syntaxError("Statement is missing")
	}
	list, err := oneOrMore(statements)
	if err != nil {
		return nil, syntaxError("Statement must be an object or a list of them")
	}
	sids := map[string]bool{}
	for i, raw := range list {
		s, err := parseStatement(kind, d.Version, raw)
		if err != nil {
			return nil, fmt.Errorf("%w (statement %d)", err, i+1)
		}
		if s.SID != "" && sids[s.SID] {
			return nil, fmt.Errorf("Statement IDs (SID) in a single policy must be unique. (%q)", s.SID)
		}
		sids[s.SID] = true
		d.Statements = append(d.Statements, s)
	}
	if len(list) == 0 {
		return nil, syntaxError("Statement is empty")
	}
	return d, nil
}

// sidForm is what identity policies allow; services that have resource policies
// allow more.
var sidForm = regexp.MustCompile(`^[A-Za-z0-9]*$`)

func parseStatement(kind Kind, version string, raw json.RawMessage) (Statement, error) {
	var s Statement
	elements, err := object(raw)
	if err != nil {
		return s, err
	}
	names := map[string]bool{}
	effect := ""
	for _, m := range elements {
		names[m.name] = true
		switch m.name {
		case "Sid":
			s.SID, err = text1(m)
			if err == nil && kind == Identity && !sidForm.MatchString(s.SID) {
				err = fmt.Errorf("Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
			}
		case "Effect":
			effect, err = text1(m)
		case "Principal", "NotPrincipal":
			s.notPrincipal = m.name == "NotPrincipal"
			s.principals, err = parsePrincipals(m.value)
		case "Action", "NotAction":
			s.notAction = m.name == "NotAction"
			s.actions, err = parseActions(kind, m)
		case "Resource", "NotResource":
			s.notResource = m.name == "NotResource"
			s.resources, err = parseResources(version, m)
		case "Condition":
			s.conditions, err = parseConditions(version, m.value)
		default:
			err = syntaxError("unknown element %q", m.name)
		}
		if err != nil {
			return s, err
		}
	}
	for _, pair := range [][2]string{{"Principal", "NotPrincipal"}, {"Action", "NotAction"}, {"Resource", "NotResource"}} {
		if names[pair[0]] && names[pair[1]] {
			return s, syntaxError("%s and %s exclude each other", pair[0], pair[1])
		}
	}
	switch effect {
	case "Allow":
	case "Deny":
		s.Deny = true
	case "":
		return s, errors.New("Missing required field Effect")
	default:
		return s, syntaxError("Effect must be Allow or Deny")
	}
	return s, s.checkElements(kind)
}

// checkElements checks what a kind of policy must and must not have.
func (s *Statement) checkElements(kind Kind) error {
	switch {
	case s.actions == nil && kind == Trust:
		return errors.New("Missing required field Action")
	case s.actions == nil:
		return errors.New("Policy statement must contain actions.")
	case kind == Identity && s.principals != nil:
		return errors.New("Policy document should not specify a principal.")
	case kind != Identity && s.principals == nil:
		return errors.New("Missing required field Principal")
	case kind == Trust && s.resources != nil:
		return errors.New("Has prohibited field Resource")
	case kind != Trust && s.resources == nil:
		return errors.New("Policy statement must contain resources.")
	}
	return nil
}

// actionForm is service:Name; wildcards may stand in the name only.
var actionForm = regexp.MustCompile(`^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$`)

func parseActions(kind Kind, m member) ([]pattern, error) {
	values, err := texts(m)
	if err != nil {
		return nil, err
	}
	list := make([]pattern, 0, len(values))
	for _, v := range values {
		if v != "*" && !actionForm.MatchString(v) {
			return nil, errors.New("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		}
		if kind == Trust && v != "*" && !strings.HasPrefix(strings.ToLower(v), "sts:") {
			return nil, errors.New("AssumeRole policy may only specify STS AssumeRole actions.")
		}
		list = append(list, wildcards(strings.ToLower(v)))
	}
	return list, nil
}

func parseResources(version string, m member) ([]pattern, error) {
	values, err := texts(m)
	if err != nil {
		return nil, err
	}
	list := make([]pattern, 0, len(values))
	for _, v := range values {
		if v != "*" && !isARN(v) {
			return nil, fmt.Errorf("Resource %s must be in ARN format or \"*\".", v)
		}
		p, err := parsePattern(v, version == version2012)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// isARN lets a last wildcard stand for the rest, as in "arn:aws:sqs:*".
func isARN(s string) bool {
	parts := strings.SplitN(s, ":", 6)
	return parts[0] == "arn" && (len(parts) == 6 || strings.HasSuffix(s, "*"))
}

type member struct {
	name  string
	value json.RawMessage
}

// object reads a JSON object. encoding/json alone would match member names
// without regard to case and let the last of two duplicates win; AWS does
// neither.
func object(raw json.RawMessage) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, syntaxError("a JSON object is expected")
	}
	var members []member
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, syntaxError("invalid JSON")
		}
		m := member{name: name.(string)}
		if err := d.Decode(&m.value); err != nil {
			return nil, syntaxError("invalid JSON")
		}
		if slices.ContainsFunc(members, func(o member) bool { return o.name == m.name }) {
			return nil, syntaxError("element %q stands twice", m.name)
		}
		members = append(members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, syntaxError("invalid JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, syntaxError("text after the JSON object")
	}
	return members, nil
}

func text1(m member) (string, error) {
	var s *string
	if json.Unmarshal(m.value, &s) != nil || s == nil {
		return "", syntaxError("%s must be a string", m.name)
	}
	return *s, nil
}

// texts reads a string or a list of strings, of which there must be one.
func texts(m member) ([]string, error) {
	list, err := oneOrMore(m.value)
	if err != nil || len(list) == 0 {
		return nil, syntaxError("%s must be a string or a list of them", m.name)
	}
	values := make([]string, len(list))
	for i, raw := range list {
		if values[i], err = text1(member{m.name, raw}); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func oneOrMore(raw json.RawMessage) ([]json.RawMessage, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return []json.RawMessage{raw}, nil
	}
	var list []json.RawMessage
	err := json.Unmarshal(raw, &list)
	return list, err
}
