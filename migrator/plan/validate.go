package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// Validate returns all that is wrong with the plan, as a MistakesError, or nil.
// It is about the plan alone: see Check for whether it fits the estate.
func (p Plan) Validate() error {
	v := validation{Plan: p, secrets: map[string]*Secret{}}
	v.head()
	v.allSecrets()
	v.allServices()
	v.allGrants()
	if len(v.mistakes) > 0 {
		return v.mistakes
	}
	return nil
}

type validation struct {
	Plan
	secrets  map[string]*Secret
	mistakes MistakesError
}

func (v *validation) add(at, format string, args ...any) {
	v.mistakes = append(v.mistakes, at+": "+fmt.Sprintf(format, args...))
}

// addErr gives each problem of a joined error a line.
func (v *validation) addErr(at string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, part := range joined.Unwrap() {
			v.addErr(at, part)
		}
		return
	}
	if inner := errors.Unwrap(err); inner != nil {
		if _, joined := inner.(interface{ Unwrap() []error }); joined {
			v.addErr(at, inner)
			return
		}
	}
	v.add(at, "%s", err)
}

func (v *validation) head() {
	if v.Version != Version {
		v.add("version", "%d: this program reads version %d", v.Version, Version)
	}
	for _, need := range []struct{ key, value string }{
		{"stack", v.Stack}, {"organization", v.Organization}, {"environment", v.Environment},
		{"account", v.Account}, {"region", v.Region}, {"kmsKey", v.KMSKey},
	} {
		if need.value == "" {
			v.add(need.key, "is missing")
		}
	}
	if v.Mode != DualRead && v.Mode != Final {
		v.add("mode", "%q is unknown: write %s or %s", v.Mode, DualRead, Final)
	}
}

func (v *validation) allSecrets() {
	identifiers := map[string]string{}
	for i := range v.Secrets {
		s := &v.Secrets[i]
		at := fmt.Sprintf("secrets[%d] %s", i, s.Name)
		if v.secrets[s.Name] != nil {
			v.add(at, "another secret has this name: give each a name of its own")
		} else if other := identifiers[identifier(s.Name)]; other != "" {
			v.add(at, "the stack would call its resources like those of %s: choose another name", other)
		}
		v.secrets[s.Name], identifiers[identifier(s.Name)] = s, s.Name
		v.secret(at, s)
	}
}

func (v *validation) secret(at string, s *Secret) {
	name, err := spec.ParseName(s.Name)
	if err != nil {
		v.addErr(at, err)
	} else {
		if name.Organization != v.Organization || name.Environment != v.Environment {
			v.add(at, "its name begins with %s/%s, and the plan is for %s/%s", name.Organization, name.Environment, v.Organization, v.Environment)
		}
		if err := spec.ValidateTags(name, s.Tags); err != nil {
			v.addErr(at, err)
		}
	}
	if _, err := spec.ParseKind(string(s.Kind)); err != nil {
		v.add(at+".kind", "%s", err)
	} else if tag := s.Tags[spec.TagSecretType]; tag != "" && tag != string(s.Kind) {
		v.add(at+".tags", "%s is %q and the kind is %q: write the same", spec.TagSecretType, tag, s.Kind)
	}
	if len(s.Values) == 0 {
		v.add(at+".values", "is empty")
	}
	fields := map[string]bool{}
	for j, value := range s.Values {
		at := fmt.Sprintf("%s.values[%d]", at, j)
		switch {
		case fields[value.Field]:
			v.add(at, "field %q is there twice", value.Field)
		case value.Field == "" && len(s.Values) > 1:
			v.add(at, "has no field, and the secret has others: the secret is one value or a JSON object")
		}
		fields[value.Field] = true
		switch {
		case value.Constant != "" && (value.Digest != "" || len(value.Places) > 0):
			v.add(at, "has both a constant and places: write one")
		case value.Constant != "" && (value.Field != "engine" || !slices.Contains(spec.Engines(), value.Constant)):
			v.add(at, "only the field engine is a constant, one of %s", strings.Join(spec.Engines(), ", "))
		case value.Constant == "" && (value.Digest == "" || len(value.Places) == 0):
			v.add(at, "has no digest or no place to read it from")
		}
		for k, place := range value.Places {
			if place.ID == "" || (place.In == spec.ScanSSM) != (place.Variable == "") || !slices.Contains([]spec.ScanPlace{spec.ScanLambda, spec.ScanECS, spec.ScanSSM}, place.In) {
				v.add(fmt.Sprintf("%s.places[%d]", at, k), "is no place: a variable of a function (in: lambda) or of a container (in: ecs), or a parameter (in: ssm)")
			}
		}
	}
}

func (v *validation) allServices() {
	ids := map[string]bool{}
	for i := range v.Services {
		s := &v.Services[i]
		at := fmt.Sprintf("services[%d] %s", i, s.ID)
		if s.ID == "" || ids[s.ID] {
			v.add(at, "the id is missing or there twice")
		}
		ids[s.ID] = true
		v.service(at, s)
	}
}

func (v *validation) service(at string, s *Service) {
	if !slices.Contains([]ServiceKind{LambdaFunction, ECSService, RuleTask, ScheduledTask}, s.Kind) {
		v.add(at+".kind", "%q is unknown: write %s, %s, %s or %s", s.Kind, LambdaFunction, ECSService, RuleTask, ScheduledTask)
	} else if prefix, _, _ := strings.Cut(s.ID, "/"); prefix != string(s.Kind) {
		v.add(at+".kind", "is %q, which the id doesn't begin with", s.Kind)
	}
	if s.ARN == "" || s.Digest == "" {
		v.add(at, "its arn or digest is missing")
	}
	if s.Wave < 1 {
		v.add(at+".wave", "%d: the first wave is 1", s.Wave)
	}
	switch {
	case s.How != ByReference && s.How != ByInjection:
		v.add(at+".how", "%q is unknown: write %s or %s", s.How, ByInjection, ByReference)
	case s.How == ByInjection && s.Kind == LambdaFunction:
		v.add(at+".how", "Lambda injects no secrets: write %s", ByReference)
	}
	if len(s.Aliases) > 0 && s.Kind != LambdaFunction {
		v.add(at+".aliases", "only functions have aliases")
	}
	if len(s.Variables) == 0 {
		v.add(at+".variables", "is empty: remove the service")
	}
	seen := map[[2]string]bool{}
	for j, variable := range s.Variables {
		v.variable(fmt.Sprintf("%s.variables[%d] %s", at, j, variable.Name), s, variable)
		if key := [2]string{variable.Container, variable.Name}; seen[key] {
			v.add(at, "variable %s is there twice", variable.Name)
		} else {
			seen[key] = true
		}
	}
}

// variable proves, among others, that the secret has the field: ECS starts no
// task for a key that isn't there.
func (v *validation) variable(at string, s *Service, variable Variable) {
	if variable.Name == "" {
		v.add(at, "the name is missing")
	}
	if (variable.Container == "") != (s.Kind == LambdaFunction) {
		v.add(at, "container is for tasks, and needed there")
	}
	secret := v.secrets[variable.Secret]
	switch {
	case secret == nil:
		v.add(at, "secret %q isn't among the secrets: if it was renamed, write its new name here too", variable.Secret)
	case secret.Skip != "" && s.Skip == "":
		v.add(at, "secret %s is skipped: remove the variable, or skip the service too", variable.Secret)
	case !slices.ContainsFunc(secret.Values, func(value Value) bool { return value.Field == variable.Field }):
		v.add(at, "secret %s has no field %q", variable.Secret, variable.Field)
	}
}

func (v *validation) allGrants() {
	for i, g := range v.Grants {
		at := fmt.Sprintf("grants[%d] %s", i, g.Role)
		if g.Role == "" || g.PolicyName == "" || g.Policy == "" {
			v.add(at, "role, policyName or policy is missing")
		}
		for _, name := range g.Secrets {
			if v.secrets[name] == nil {
				v.add(at, "secret %q isn't among the secrets: if it was renamed, write its new name here too", name)
			} else if !strings.Contains(g.Policy, ":secret:"+name+"-") {
				v.add(at, "the policy doesn't name secret %s: if it was renamed, write its new name in the policy too", name)
			}
		}
	}
}
