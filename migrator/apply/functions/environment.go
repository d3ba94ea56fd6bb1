package functions

import (
	"maps"

	"github.com/aistudio/secrets/sdk/spec"
)

// Environment is a function's variables. It is immutable and shows no value.
type Environment struct{ variables map[string]spec.Value }

func newEnvironment(variables map[string]string) Environment {
	e := Environment{map[string]spec.Value{}}
	for name, value := range variables {
		e.variables[name] = spec.ValueString(value)
	}
	return e
}

// Get returns a variable and whether it is there.
func (e Environment) Get(name string) (spec.Value, bool) {
	v, ok := e.variables[name]
	return v, ok
}

// Text is a variable that is no secret, or "".
func (e Environment) Text(name string) string { return e.variables[name].RevealString() }

// With returns the environment with a variable set.
func (e Environment) With(name string, value spec.Value) Environment {
	next := maps.Clone(e.variables)
	next[name] = value
	return Environment{next}
}

// Without returns the environment without a variable.
func (e Environment) Without(name string) Environment {
	next := maps.Clone(e.variables)
	delete(next, name)
	return Environment{next}
}

// Equal tells whether both have the same variables with the same values.
func (e Environment) Equal(other Environment) bool {
	return maps.EqualFunc(e.variables, other.variables, spec.Value.Equal)
}

func (e Environment) reveal() map[string]string {
	variables := map[string]string{}
	for name, value := range e.variables {
		variables[name] = value.RevealString()
	}
	return variables
}
