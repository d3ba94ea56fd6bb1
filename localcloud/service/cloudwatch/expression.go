package cloudwatch

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"slices"
	"strconv"
)

// compute does metric math: numbers, ids of queries that came before, + - * /,
// comparisons, && and ||, IF(condition, a, b) and FILL(id, number). CloudWatch's
// expressions of that kind read as Go's do. The other functions are refused.
// Of two operands of which one has no value at a time, that one counts as 0; a
// time at which neither has one, or the result is none, has no value. In an IF
// that AWS says nothing of, all have to have one.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
func compute(expression string, results map[string]series, times []int64) (series, error) {
	tree, err := parser.ParseExpr(expression)
	if err != nil {
		return nil, errors.New("it can't be parsed")
	}
	return calculator{results, times}.eval(tree)
}

type calculator struct {
	results map[string]series
	times   []int64
}

func (c calculator) eval(e ast.Expr) (series, error) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return c.eval(e.X)
	case *ast.Ident:
		if found, ok := c.results[e.Name]; ok {
			return found, nil
		}
		return nil, fmt.Errorf("there is no %s before it", e.Name)
	case *ast.BasicLit:
		v, err := strconv.ParseFloat(e.Value, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is no number", e.Value)
		}
		return c.constant(v), nil
	case *ast.UnaryExpr:
		if e.Op != token.SUB {
			return nil, fmt.Errorf("the operator %s isn't supported by the emulator", e.Op)
		}
		return c.combine(func(v []float64) float64 { return -v[0] }, 0, e.X)
	case *ast.BinaryExpr:
		op, ok := operators[e.Op]
		if !ok {
			return nil, fmt.Errorf("the operator %s isn't supported by the emulator", e.Op)
		}
		return c.combine(func(v []float64) float64 { return op(v[0], v[1]) }, 0, e.X, e.Y)
	case *ast.CallExpr:
		name, _ := e.Fun.(*ast.Ident)
		switch {
		case name != nil && name.Name == "IF" && len(e.Args) == 3:
			return c.combine(func(v []float64) float64 {
				if v[0] != 0 {
					return v[1]
				}
				return v[2]
			}, math.NaN(), e.Args...)
		case name != nil && name.Name == "FILL" && len(e.Args) == 2:
			return c.fill(e.Args[0], e.Args[1])
		}
	}
	return nil, errors.New("the emulator supports numbers, ids, arithmetic, comparisons, IF and FILL only")
}

func (c calculator) constant(v float64) series {
	out := series{}
	for _, t := range c.times {
		out[t] = v
	}
	return out
}

func (c calculator) fill(what, with ast.Expr) (series, error) {
	found, err := c.eval(what)
	if err != nil {
		return nil, err
	}
	out, err := c.eval(with)
	if err != nil {
		return nil, err
	}
	out = maps.Clone(out)
	maps.Copy(out, found)
	return out, nil
}

// combine applies f at each time at which an operand has a value that isn't the
// same at all times; what others lack is replaced.
func (c calculator) combine(f func([]float64) float64, lacking float64, operands ...ast.Expr) (series, error) {
	in := make([]series, len(operands))
	var dated []series // those that have times
	for i, e := range operands {
		var err error
		if in[i], err = c.eval(e); err != nil {
			return nil, err
		}
		if !scalar(e) {
			dated = append(dated, in[i])
		}
	}
	out := series{}
	for _, t := range c.times {
		known := len(dated) == 0 || slices.ContainsFunc(dated, func(s series) bool { _, ok := s[t]; return ok })
		values := make([]float64, len(in))
		for i, s := range in {
			v, ok := s[t]
			if !ok {
				v = lacking
			}
			values[i] = v
		}
		if known && !slices.ContainsFunc(values, math.IsNaN) {
			if v := f(values); !math.IsNaN(v) && !math.IsInf(v, 0) {
				out[t] = v
			}
		}
	}
	return out, nil
}

// scalar tells whether an expression is a number, which has no times.
func scalar(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return scalar(e.X)
	case *ast.BasicLit:
		return true
	case *ast.UnaryExpr:
		return scalar(e.X)
	case *ast.BinaryExpr:
		return scalar(e.X) && scalar(e.Y)
	}
	return false
}

var operators = map[token.Token]func(a, b float64) float64{
	token.ADD:  func(a, b float64) float64 { return a + b },
	token.SUB:  func(a, b float64) float64 { return a - b },
	token.MUL:  func(a, b float64) float64 { return a * b },
	token.QUO:  func(a, b float64) float64 { return a / b },
	token.GTR:  func(a, b float64) float64 { return truth(a > b) },
	token.GEQ:  func(a, b float64) float64 { return truth(a >= b) },
	token.LSS:  func(a, b float64) float64 { return truth(a < b) },
	token.LEQ:  func(a, b float64) float64 { return truth(a <= b) },
	token.EQL:  func(a, b float64) float64 { return truth(a == b) },
	token.NEQ:  func(a, b float64) float64 { return truth(a != b) },
	token.LAND: func(a, b float64) float64 { return truth(a != 0 && b != 0) },
	token.LOR:  func(a, b float64) float64 { return truth(a != 0 || b != 0) },
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
