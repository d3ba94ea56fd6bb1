package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// header tells a reader what the file is and how to change it.
const header = `# The plan of a migration to AWS Secrets Manager. It holds no values.
#
# Read "blocked" first: what it names isn't migrated until it is settled; the rest is.
#
# What you may change:
#   rename a secret      replace its name everywhere in this file, the grants' policies included
#   keep a secret out    secrets[].skip: <why>; skip the services that use it too, or remove their variables
#   keep a service out   services[].skip: <why>
#   another kind         secrets[].kind and its tag SecretType: database, api-key, oauth or custom
#   another owner        secrets[].tags.Owner
#   another order        services[].wave, from 1; a wave starts when the one before is healthy
#   how ECS gets it      services[].how: injection or reference (then the role is the task's)
#
# The plan is checked again before it is applied. Where the estate has changed
# since, a new plan is made that keeps your changes.
`

// Write writes the plan as YAML, with a comment on top that tells how to edit it.
// The same plan is the same text.
func Write(w io.Writer, p Plan) error {
	var out bytes.Buffer
	out.WriteString(header)
	var text bytes.Buffer
	if err := WriteJSON(&text, p); err != nil {
		return err
	}
	decoder := json.NewDecoder(&text)
	decoder.UseNumber()
	node, err := nodeOf(decoder)
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(node), encoder.Close()); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// nodeOf makes YAML of the next JSON value, in the same order. The YAML library's
// own way from values to nodes writes texts with tabs and newlines that it can't
// always read back.
func nodeOf(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{}
	switch token := token.(type) {
	case json.Delim:
		node.Kind, node.Tag = yaml.SequenceNode, "!!seq"
		if token == '{' {
			node.Kind, node.Tag = yaml.MappingNode, "!!map"
		}
		for decoder.More() { // keys are values like any other
			child, err := nodeOf(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err = decoder.Token() // the closing bracket
		return node, err
	case json.Number:
		node.Kind, node.Tag, node.Value = yaml.ScalarNode, "!!int", token.String()
	case string:
		node.Kind, node.Tag, node.Value, node.Style = yaml.ScalarNode, "!!str", token, styleOf(token)
	default:
		return nil, fmt.Errorf("a plan has no %T", token)
	}
	return node, nil
}

// styleOf writes texts of several lines as blocks where that is sure to be read
// as it was, and with escapes otherwise.
func styleOf(text string) yaml.Style {
	if !strings.ContainsFunc(text, unicode.IsControl) {
		return 0
	}
	first, _ := utf8.DecodeRuneInString(text)
	plain := !strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsGraphic(r) })
	if plain && !unicode.IsSpace(first) && strings.HasSuffix(text, "\n") {
		return yaml.LiteralStyle
	}
	return yaml.DoubleQuotedStyle
}

// MistakesError is the error of a plan that can't be used: every mistake that
// was found, with its line or its place in the plan.
type MistakesError []string

// Error lists all mistakes, one a line.
func (m MistakesError) Error() string {
	return fmt.Sprintf("the plan has %d mistake(s):\n  %s", len(m), strings.Join(m, "\n  "))
}

// Load reads a plan's file. An unknown key or a wrong type is a mistake, and
// so is what Validate finds. The error of a file that could be read is a
// MistakesError.
func Load(path string) (Plan, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Plan{}, fmt.Errorf("read the plan: %w", err)
	}
	p, err := Parse(text)
	if err != nil {
		return Plan{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Parse is Load for a plan's text.
func Parse(text []byte) (Plan, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var p Plan
	var mistakes MistakesError
	var typed *yaml.TypeError
	err := decoder.Decode(&p)
	switch {
	case errors.As(err, &typed):
		for _, problem := range typed.Errors {
			mistakes = append(mistakes, friendly(problem))
		}
		return Plan{}, mistakes
	case errors.Is(err, io.EOF):
		return Plan{}, MistakesError{"it is empty"}
	case err != nil:
		return Plan{}, MistakesError{err.Error()}
	}
	return p, p.Validate()
}

// friendly says "key" where the decoder talks of Go's types.
func friendly(problem string) string {
	line, rest, ok := strings.Cut(problem, ": field ")
	name, _, unknown := strings.Cut(rest, " not found in type")
	if !ok || !unknown {
		return problem
	}
	return fmt.Sprintf("%s: there is no key %q", line, name)
}
