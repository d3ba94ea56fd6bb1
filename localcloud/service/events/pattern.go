package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"
)

// parsePattern reads an event pattern and checks that it uses only what this
// package matches:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html.
func parsePattern(text string) (map[string]any, error) {
	var pattern map[string]any
	if err := json.Unmarshal([]byte(text), &pattern); err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	if len(pattern) == 0 {
		return nil, errors.New("it is empty")
	}
	return pattern, checkPattern(pattern)
}

var operators = []string{"prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr"}

func checkPattern(pattern map[string]any) error {
	for name, p := range pattern {
		switch p := p.(type) {
		case map[string]any:
			if err := checkPattern(p); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		case []any:
			if len(p) == 0 {
				return fmt.Errorf("%s: an empty list matches nothing", name)
			}
			for _, item := range p {
				object, ok := item.(map[string]any)
				if !ok {
					continue
				}
				if name == "$or" {
					if err := checkPattern(object); err != nil {
						return err
					}
					continue
				}
				for op := range object {
					if len(object) != 1 || !slices.Contains(operators, op) {
						return fmt.Errorf("%s: unrecognized match type %s", name, op)
					}
				}
			}
		default:
			return fmt.Errorf("%s: a pattern's values are lists or objects", name)
		}
	}
	return nil
}

// matches reports whether every field of the pattern matches the event.
func matches(pattern, event map[string]any) bool {
	for name, p := range pattern {
		if name == "$or" {
			alternatives, _ := p.([]any)
			if !slices.ContainsFunc(alternatives, func(a any) bool {
				object, ok := a.(map[string]any)
				return ok && matches(object, event)
			}) {
				return false
			}
			continue
		}
		value, present := event[name]
		switch p := p.(type) {
		case map[string]any:
			object, _ := value.(map[string]any)
			if !matches(p, object) {
				return false
			}
		case []any:
			if !slices.ContainsFunc(p, func(item any) bool { return matchesItem(item, value, present) }) {
				return false
			}
		}
	}
	return true
}

func matchesItem(item, value any, present bool) bool {
	if op, ok := item.(map[string]any); ok {
		if want, ok := op["exists"].(bool); ok {
			return want == present
		}
	}
	if !present {
		return false
	}
	// A list in the event matches when one of its elements does.
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, func(v any) bool { return matchesValue(item, v) })
	}
	return matchesValue(item, value)
}

func matchesValue(item, value any) bool {
	op, ok := item.(map[string]any)
	if !ok {
		return reflect.DeepEqual(item, value)
	}
	text, isText := value.(string)
	for name, arg := range op {
		want, _ := arg.(string)
		switch name {
		case "prefix":
			return isText && strings.HasPrefix(text, want)
		case "suffix":
			return isText && strings.HasSuffix(text, want)
		case "equals-ignore-case":
			return isText && strings.EqualFold(text, want)
		case "wildcard":
			return isText && wildcard(want, text)
		case "anything-but":
			return !matchesAny(arg, value)
		case "numeric":
			n, ok := value.(float64)
			return ok && numeric(arg, n)
		case "cidr":
			prefix, err := netip.ParsePrefix(want)
			address, err2 := netip.ParseAddr(text)
			return err == nil && err2 == nil && prefix.Contains(address)
		}
	}
	return false
}

// matchesAny is for anything-but, which takes a value, a list or an operator.
func matchesAny(arg, value any) bool {
	if list, ok := arg.([]any); ok {
		return slices.ContainsFunc(list, func(item any) bool { return matchesValue(item, value) })
	}
	return matchesValue(arg, value)
}

// wildcard matches * against any run of characters.
func wildcard(pattern, text string) bool {
	// path.Match knows more than *: everything else is taken literally, and
	// the separator that its * stops at is replaced.
	quote := strings.NewReplacer("?", `\?`, "[", `\[`, `\`, `\\`, "/", "\x00")
	ok, err := path.Match(quote.Replace(pattern), strings.ReplaceAll(text, "/", "\x00"))
	return err == nil && ok
}

func numeric(arg any, n float64) bool {
	list, _ := arg.([]any)
	if len(list) == 0 || len(list)%2 != 0 {
		return false
	}
	for i := 0; i < len(list); i += 2 {
		limit, ok := list[i+1].(float64)
		if !ok {
			return false
		}
		switch list[i] {
		case "=":
			ok = n == limit
		case "<":
			ok = n < limit
		case "<=":
			ok = n <= limit
		case ">":
			ok = n > limit
		case ">=":
			ok = n >= limit
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return true
}
