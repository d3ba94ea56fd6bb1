package logs

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// A filter pattern for JSON events, in braces: comparisons of members with texts
// and numbers, joined by && and ||, of which && binds closer, and parentheses
// (CloudWatch Logs user guide, "Matching terms in JSON log events"). Regular
// expressions and wildcards for the elements of arrays are refused.

// condition tells whether a decoded event matches.
type condition func(event any) bool

// jsonTokens are a pattern's parts: what is quoted, a selector, an operator, a
// parenthesis, or a word.
var jsonTokens = regexp.MustCompile(`^\s*("(?:[^"\\]|\\.)*"|&&|\|\||!=|<=|>=|[=<>(){}]|[^\s"=<>(){}&|!]+)`)

type jsonParser struct {
	tokens []string
	err    error
}

func parseJSONPattern(pattern string) (func(message string) bool, error) {
	p := &jsonParser{}
	for rest := strings.TrimSpace(pattern); rest != ""; {
		found := jsonTokens.FindStringSubmatch(rest)
		if found == nil {
			return nil, invalid("Invalid filter pattern: %q isn't understood.", rest)
		}
		p.tokens = append(p.tokens, found[1])
		rest = strings.TrimSpace(rest[len(found[0]):])
	}
	p.expect("{")
	matches := p.either()
	p.expect("}")
	if p.err == nil && len(p.tokens) > 0 {
		p.fail("%q is left over", p.tokens[0])
	}
	if p.err != nil {
		return nil, p.err
	}
	return func(message string) bool {
		var event any
		reader := json.NewDecoder(strings.NewReader(message))
		reader.UseNumber()
		return reader.Decode(&event) == nil && matches(event)
	}, nil
}

func (p *jsonParser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = invalid("Invalid filter pattern: "+format+".", args...)
	}
}

// next takes the next token, "" at the end.
func (p *jsonParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	token := p.tokens[0]
	p.tokens = p.tokens[1:]
	return token
}

// take takes the next token if it is this one.
func (p *jsonParser) take(token string) bool {
	if len(p.tokens) > 0 && strings.EqualFold(p.tokens[0], token) {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

func (p *jsonParser) expect(token string) {
	if !p.take(token) {
		p.fail("%q is missing", token)
	}
}

func (p *jsonParser) either() condition {
	one := p.both()
	for p.err == nil && p.take("||") {
		before, after := one, p.both()
		one = func(event any) bool { return before(event) || after(event) }
	}
	return one
}

func (p *jsonParser) both() condition {
	one := p.single()
	for p.err == nil && p.take("&&") {
		before, after := one, p.single()
		one = func(event any) bool { return before(event) && after(event) }
	}
	return one
}

func (p *jsonParser) single() condition {
	if p.take("(") {
		inner := p.either()
		p.expect(")")
		return inner
	}
	path := p.selector()
	switch operator := p.next(); strings.ToUpper(operator) {
	case "IS":
		return p.is(path)
	case "NOT":
		p.expect("EXISTS")
		return func(event any) bool { _, there := path.find(event); return !there }
	case "EXISTS":
		return func(event any) bool { _, there := path.find(event); return there }
	case "=", "!=":
		return p.equals(path, operator == "!=")
	case "<", ">", "<=", ">=":
		return p.compares(path, operator)
	default:
		p.fail("%q is no operator", operator)
		return nil
	}
}

func (p *jsonParser) is(path selector) condition {
	var want any
	switch what := p.next(); strings.ToUpper(what) {
	case "NULL":
	case "TRUE":
		want = true
	case "FALSE":
		want = false
	default:
		p.fail("IS %q: it can be NULL, TRUE or FALSE", what)
	}
	return func(event any) bool {
		value, there := path.find(event)
		return there && value == want
	}
}

// equals compares a text, of which an asterisk at an end stands for anything, or
// a number. What isn't there, or is an object or an array, neither is nor isn't
// anything.
func (p *jsonParser) equals(path selector, not bool) condition {
	term := p.term()
	number, isNumber := parseNumber(term)
	return func(event any) bool {
		value, there := path.find(event)
		if !there {
			return false
		}
		switch value := value.(type) {
		case string:
			return wildcard(term, value) != not
		case json.Number:
			n, _ := value.Float64()
			return (isNumber && n == number || wildcard(term, value.String())) != not
		case bool:
			return (strconv.FormatBool(value) == term) != not
		}
		return false
	}
}

func (p *jsonParser) compares(path selector, operator string) condition {
	text := p.term()
	limit, ok := parseNumber(text)
	if !ok {
		p.fail("%q is no number", text)
	}
	return func(event any) bool {
		value, _ := path.find(event)
		number, ok := value.(json.Number)
		if !ok {
			return false
		}
		n, _ := number.Float64()
		switch operator {
		case "<":
			return n < limit
		case ">":
			return n > limit
		case "<=":
			return n <= limit
		}
		return n >= limit
	}
}

// term is what a member is compared with, without its quotes.
func (p *jsonParser) term() string {
	token := p.next()
	switch {
	case token == "":
		p.fail("a value is missing")
	case strings.HasPrefix(token, `"`):
		return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(token[1 : len(token)-1])
	case strings.HasPrefix(token, "%"):
		p.refuse("regular expressions")
	}
	return token
}

func (p *jsonParser) refuse(what string) {
	if p.err == nil {
		p.err = api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support %s in filter patterns.", what)
	}
}

func parseNumber(text string) (float64, bool) {
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

// wildcard compares a value with a term that may begin and end with an asterisk.
func wildcard(term, value string) bool {
	inner, open := strings.CutPrefix(term, "*")
	inner, ends := strings.CutSuffix(inner, "*")
	switch {
	case open && ends:
		return strings.Contains(value, inner)
	case open:
		return strings.HasSuffix(value, inner)
	case ends:
		return strings.HasPrefix(value, inner)
	}
	return value == term
}

// selector is the way to a member: names, and indexes of arrays.
type selector []any

var selectorSteps = regexp.MustCompile(`^(?:\.([A-Za-z0-9_-]+)|\[(\d+)\])`)

func (p *jsonParser) selector() selector {
	token := p.next()
	rest, ok := strings.CutPrefix(token, "$")
	if strings.Contains(token, "[*]") {
		p.refuse("the elements of any index")
		return nil
	}
	var path selector
	for ok && rest != "" {
		step := selectorSteps.FindStringSubmatch(rest)
		if step == nil {
			ok = false
			break
		}
		if step[1] != "" {
			path = append(path, step[1])
		} else if index, err := strconv.Atoi(step[2]); err == nil {
			path = append(path, index)
		}
		rest = rest[len(step[0]):]
	}
	if !ok || len(path) == 0 {
		p.fail("%q is no selector such as $.eventName", token)
	}
	return path
}

func (s selector) find(value any) (any, bool) {
	for _, step := range s {
		switch step := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			inner, there := object[step]
			if !there {
				return nil, false
			}
			value = inner
		case int:
			array, _ := value.([]any)
			if step >= len(array) {
				return nil, false
			}
			value = array[step]
		}
	}
	return value, true
}
