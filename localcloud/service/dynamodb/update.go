package dynamodb

import (
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// update reads an UpdateExpression. The function that it returns changes an
// item; it reads from the item as it was before.
func (e *expressions) update(source string) (func(item) (item, error), error) {
	p, err := e.parser(source)
	if err != nil {
		return nil, err
	}
	var steps []func(before, after item) error
	for p.at < len(p.tokens) {
		clause := strings.ToUpper(p.next())
		for {
			step, err := p.updateStep(clause)
			if err != nil {
				return nil, err
			}
			steps = append(steps, step)
			if !p.accept(",") {
				break
			}
		}
	}
	return func(before item) (item, error) {
		after := clone(before)
		for _, step := range steps {
			if err := step(before, after); err != nil {
				return nil, err
			}
		}
		return after, nil
	}, nil
}

func (p *parser) updateStep(clause string) (func(before, after item) error, error) {
	at, err := p.path()
	if err != nil {
		return nil, err
	}
	switch clause {
	case "REMOVE":
		return func(_, after item) error { return remove(after, at) }, nil
	case "SET":
		if err := p.expect("="); err != nil {
			return nil, err
		}
		source, err := p.sum()
		if err != nil {
			return nil, err
		}
		return func(before, after item) error {
			v, ok := source(before)
			if !ok {
				return api.Errorf("ValidationException", "The provided expression refers to an attribute that does not exist in the item")
			}
			return set(after, at, v)
		}, nil
	case "ADD", "DELETE":
		source, err := p.operand()
		if err != nil {
			return nil, err
		}
		return func(before, after item) error {
			v, _ := source(before)
			old, _ := get(after, at)
			changed, err := addOrDelete(clause, old, v)
			if err != nil {
				return err
			}
			if changed.kind() == "" {
				return remove(after, at)
			}
			return set(after, at, changed)
		}, nil
	}
	return nil, errExpression("%q is none of SET, REMOVE, ADD and DELETE", clause)
}

// sum reads an operand, or two with + or - between them.
func (p *parser) sum() (operand, error) {
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	sign := p.peek()
	if sign != "+" && sign != "-" {
		return left, nil
	}
	p.at++
	right, err := p.operand()
	if err != nil {
		return nil, err
	}
	return func(i item) (value, bool) {
		a, ok := left(i)
		b, ok2 := right(i)
		if !ok || !ok2 || a.N == nil || b.N == nil {
			return value{}, false
		}
		x, y := number(*a.N), number(*b.N)
		if sign == "-" {
			y.Neg(y)
		}
		return numeric(new(big.Rat).Add(x, y)), true
	}, nil
}

func addOrDelete(clause string, old, v value) (value, error) {
	switch {
	case clause == "ADD" && v.N != nil && (old.N != nil || old.kind() == ""):
		if old.N == nil {
			return v, nil
		}
		return numeric(new(big.Rat).Add(number(*old.N), number(*v.N))), nil
	case v.SS != nil && (old.SS != nil || old.kind() == ""):
		set := slices.DeleteFunc(slices.Clone(old.SS), func(s string) bool { return slices.Contains(v.SS, s) })
		if clause == "ADD" {
			set = append(set, v.SS...)
		}
		if len(set) == 0 {
			return value{}, nil
		}
		return value{SS: set}, nil
	}
	return value{}, api.Errorf("ValidationException", "An operand in the update expression has an incorrect data type")
}

// clone copies an item deep enough for set and remove, which copy maps on the
// way.
func clone(i item) item {
	c := item{}
	maps.Copy(c, i)
	return c
}

func errPath() error {
	return api.Errorf("ValidationException", "The document path provided in the update expression is invalid for update")
}

func set(i item, at path, v value) error {
	if len(at) == 1 {
		i[at[0]] = v
		return nil
	}
	parent, ok := i[at[0]]
	if !ok || parent.M == nil {
		return errPath()
	}
	inner := clone(parent.M)
	if err := set(inner, at[1:], v); err != nil {
		return err
	}
	i[at[0]] = value{M: inner}
	return nil
}

func remove(i item, at path) error {
	if len(at) == 1 {
		delete(i, at[0])
		return nil
	}
	parent, ok := i[at[0]]
	if !ok || parent.M == nil {
		return errPath()
	}
	inner := clone(parent.M)
	if err := remove(inner, at[1:]); err != nil {
		return err
	}
	i[at[0]] = value{M: inner}
	return nil
}
