package dynamodb

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// expressions is what the expressions of one call share: the substitutions for
// #names and :values, and which of them were used.
type expressions struct {
	names  map[string]string
	values map[string]value
	used   map[string]bool
}

func newExpressions(names map[string]string, values map[string]value) *expressions {
	return &expressions{names: names, values: values, used: map[string]bool{}}
}

func errExpression(format string, args ...any) error {
	return api.Errorf("ValidationException", "Invalid expression: %s", fmt.Sprintf(format, args...))
}

// allUsed is DynamoDB's check that no substitution is left over.
func (e *expressions) allUsed() error {
	for name := range e.names {
		if !e.used[name] {
			return api.Errorf("ValidationException", "Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", name)
		}
	}
	for name := range e.values {
		if !e.used[name] {
			return api.Errorf("ValidationException", "Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", name)
		}
	}
	return nil
}

// path is where in an item an attribute is: names and list indexes.
type path []string

// condition is a parsed condition, filter or key condition.
type condition func(item) bool

// operand gives a value of an item, if it is there.
type operand func(item) (value, bool)

var token = regexp.MustCompile(`^\s*(<>|<=|>=|[=<>(),+.\[\]-]|[#:]?[A-Za-z0-9_-]+)`)

// parser reads one expression by recursive descent.
type parser struct {
	*expressions
	tokens []string
	at     int
	// keys collects what a key condition says of each attribute.
	keys []string
}

func (e *expressions) parser(source string) (*parser, error) {
	p := &parser{expressions: e}
	for rest := source; strings.TrimSpace(rest) != ""; {
		m := token.FindStringSubmatch(rest)
		if m == nil {
			return nil, errExpression("syntax error near %q", strings.TrimSpace(rest))
		}
		p.tokens = append(p.tokens, m[1])
		rest = rest[len(m[0]):]
	}
	return p, nil
}

func (e *expressions) condition(source string) (condition, error) {
	if source == "" {
		return func(item) bool { return true }, nil
	}
	p, err := e.parser(source)
	if err != nil {
		return nil, err
	}
	c, err := p.or()
	if err != nil {
		return nil, err
	}
	return c, p.end()
}

func (p *parser) end() error {
	if p.at < len(p.tokens) {
		return errExpression("unexpected %q", p.tokens[p.at])
	}
	return nil
}

func (p *parser) peek() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

func (p *parser) next() string {
	t := p.peek()
	p.at++
	return t
}

// accept takes the next token if it is the word or sign.
func (p *parser) accept(word string) bool {
	if strings.EqualFold(p.peek(), word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(word string) error {
	if !p.accept(word) {
		return errExpression("wanted %q, found %q", word, p.peek())
	}
	return nil
}

func (p *parser) or() (condition, error) {
	left, err := p.and()
	for err == nil && p.accept("OR") {
		a := left
		var b condition
		b, err = p.and()
		left = func(i item) bool { return a(i) || b(i) }
	}
	return left, err
}

func (p *parser) and() (condition, error) {
	left, err := p.not()
	for err == nil && p.accept("AND") {
		a := left
		var b condition
		b, err = p.not()
		left = func(i item) bool { return a(i) && b(i) }
	}
	return left, err
}

func (p *parser) not() (condition, error) {
	if p.accept("NOT") {
		c, err := p.not()
		return func(i item) bool { return !c(i) }, err
	}
	if p.accept("(") {
		c, err := p.or()
		if err != nil {
			return nil, err
		}
		return c, p.expect(")")
	}
	return p.comparison()
}

func (p *parser) comparison() (condition, error) {
	if c, err := p.predicate(); c != nil || err != nil {
		return c, err
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	switch op := p.next(); strings.ToUpper(op) {
	case "=", "<>", "<", "<=", ">", ">=":
		right, err := p.operand()
		if err != nil {
			return nil, err
		}
		return comparing(op, left, right), nil
	case "BETWEEN":
		low, err := p.operand()
		if err != nil {
			return nil, err
		}
		if err := p.expect("AND"); err != nil {
			return nil, err
		}
		high, err := p.operand()
		if err != nil {
			return nil, err
		}
		from, to := comparing(">=", left, low), comparing("<=", left, high)
		return func(i item) bool { return from(i) && to(i) }, nil
	case "IN":
		list, err := p.arguments()
		if err != nil {
			return nil, err
		}
		return func(i item) bool {
			return slices.ContainsFunc(list, func(o operand) bool { return comparing("=", left, o)(i) })
		}, nil
	default:
		return nil, errExpression("wanted a comparison, found %q", op)
	}
}

func comparing(op string, left, right operand) condition {
	return func(i item) bool {
		a, ok := left(i)
		b, ok2 := right(i)
		if !ok || !ok2 {
			return op == "<>" && ok != ok2
		}
		switch op {
		case "=":
			return equal(a, b)
		case "<>":
			return !equal(a, b)
		}
		order, ok := compare(a, b)
		return ok && (op == "<" && order < 0 || op == "<=" && order <= 0 || op == ">" && order > 0 || op == ">=" && order >= 0)
	}
}

// predicate reads a function that is a condition by itself; nil: none is here.
func (p *parser) predicate() (condition, error) {
	name := strings.ToLower(p.peek())
	if !slices.Contains([]string{"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"}, name) {
		return nil, nil
	}
	p.at++
	args, err := p.arguments()
	if err != nil {
		return nil, err
	}
	want := 2
	if strings.HasSuffix(name, "exists") {
		want = 1
	}
	if len(args) != want {
		return nil, errExpression("%s takes %d operands, not %d", name, want, len(args))
	}
	return func(i item) bool {
		v, ok := args[0](i)
		if name == "attribute_exists" || name == "attribute_not_exists" {
			return ok == (name == "attribute_exists")
		}
		arg, ok2 := args[1](i)
		switch {
		case !ok || !ok2:
			return false
		case name == "attribute_type":
			return arg.S != nil && v.kind() == *arg.S
		case name == "contains":
			return contains(v, arg)
		}
		return v.S != nil && arg.S != nil && strings.HasPrefix(*v.S, *arg.S)
	}, nil
}

func (p *parser) arguments() ([]operand, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	var list []operand
	for {
		o, err := p.operand()
		if err != nil {
			return nil, err
		}
		list = append(list, o)
		if !p.accept(",") {
			return list, p.expect(")")
		}
	}
}

// operand reads a path, a :value, size(path) or if_not_exists(path, value).
func (p *parser) operand() (operand, error) {
	t := p.peek()
	switch {
	case strings.HasPrefix(t, ":"):
		p.at++
		v, ok := p.values[t]
		if !ok {
			return nil, errExpression("An expression attribute value used in expression is not defined; attribute value: %s", t)
		}
		p.used[t] = true
		return func(item) (value, bool) { return v, true }, nil
	case strings.EqualFold(t, "size"), strings.EqualFold(t, "if_not_exists"):
		p.at++
		args, err := p.arguments()
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(t, "size") {
			return func(i item) (value, bool) {
				v, ok := args[0](i)
				return value{N: ptr(strconv.Itoa(v.size()))}, ok
			}, nil
		}
		if len(args) != 2 {
			return nil, errExpression("if_not_exists takes 2 operands, not %d", len(args))
		}
		return func(i item) (value, bool) {
			if v, ok := args[0](i); ok {
				return v, true
			}
			return args[1](i)
		}, nil
	}
	at, err := p.path()
	if err != nil {
		return nil, err
	}
	return func(i item) (value, bool) { return get(i, at) }, nil
}

func ptr[T any](v T) *T { return &v }

func (p *parser) name() (string, error) {
	t := p.next()
	if strings.HasPrefix(t, "#") {
		name, ok := p.names[t]
		if !ok {
			return "", errExpression("An expression attribute name used in the document path is not defined; attribute name: %s", t)
		}
		p.used[t] = true
		return name, nil
	}
	if t == "" || strings.HasPrefix(t, ":") || !regexp.MustCompile(`^[A-Za-z_]`).MatchString(t) {
		return "", errExpression("wanted an attribute, found %q", t)
	}
	return t, nil
}

func (p *parser) path() (path, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	at := path{name}
	p.keys = append(p.keys, name)
	for {
		switch {
		case p.accept("."):
			name, err := p.name()
			if err != nil {
				return nil, err
			}
			at = append(at, name)
		case p.accept("["):
			at = append(at, p.next())
			if err := p.expect("]"); err != nil {
				return nil, err
			}
		default:
			return at, nil
		}
	}
}

func get(i item, at path) (value, bool) {
	v, ok := i[at[0]]
	for _, name := range at[1:] {
		if !ok {
			return value{}, false
		}
		if n, err := strconv.Atoi(name); err == nil && v.L != nil {
			if ok = n < len(v.L); ok {
				v = v.L[n]
			}
			continue
		}
		v, ok = v.M[name]
	}
	return v, ok
}
