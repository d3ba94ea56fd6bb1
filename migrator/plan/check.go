package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

// Difference is one thing in which an estate isn't what a plan was made for.
type Difference struct {
	Subject string `json:"subject"` // name of a secret, ID of a service, ARN of a role
	Change  string `json:"change"`  // a sentence without the subject
}

// String is a sentence.
func (d Difference) String() string { return d.Subject + ": " + d.Change }

// Check tells in what the estate has changed since the plan was made, and what
// blocks the plan as it is after it was edited. Nothing to tell means that it can
// be applied. What the migration has switched already fits, so an apply that was
// interrupted goes on with its plan; so does a service whose owner put in the
// patch. Facts are those of this plan.
func Check(p Plan, s settings.Settings, estate discover.Estate, classifier Classifier, key digest.Key, facts Facts) ([]Difference, error) {
	fresh, err := Make(s, estate, classifier, key, facts)
	if err != nil {
		return nil, fmt.Errorf("make a plan to compare with: %w", err)
	}
	c := newChecker(p, s, estate, classifier, key, facts)
	c.fresh = fresh
	c.check()
	return c.sorted(), nil
}

// CheckEdited tells what blocks the plan as it is now and isn't in its list of
// blocks, and what rights it doesn't give: what a person who edited it overlooked.
// It doesn't compare the estate's values with the plan's. Facts are those of this
// plan.
func CheckEdited(p Plan, s settings.Settings, estate discover.Estate, classifier Classifier, key digest.Key, facts Facts) []Difference {
	c := newChecker(p, s, estate, classifier, key, facts)
	for _, x := range c.services {
		x.updating = false // an apply waits for it
	}
	c.checkBlocks()
	c.checkGrants()
	return c.sorted()
}

func newChecker(p Plan, s settings.Settings, estate discover.Estate, classifier Classifier, key digest.Key, facts Facts) *checker {
	m := newMaker(s, estate, classifier, key, facts)
	c := &checker{maker: m, old: p, byID: m.byID(), switched: map[string]bool{}}
	for _, s := range p.Services {
		if x := c.byID[s.ID]; x != nil && isSwitched(s, x) {
			c.switched[s.ID] = true
		}
	}
	return c
}

func (c *checker) sorted() []Difference {
	slices.SortFunc(c.found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Change, b.Change))
	})
	return slices.Compact(c.found)
}

type checker struct {
	*maker
	old      Plan
	fresh    Plan
	byID     map[string]*candidate
	switched map[string]bool // services, by ID
	found    []Difference
}

func (c *checker) differ(subject, format string, args ...any) {
	c.found = append(c.found, Difference{subject, fmt.Sprintf(format, args...)})
}

func (c *checker) check() {
	if c.old.Account != c.estate.Account || c.old.Region != c.estate.Region {
		c.differ(c.old.Stack, "the plan is for account %s in %s, and this is account %s in %s", c.old.Account, c.old.Region, c.estate.Account, c.estate.Region)
		return
	}
	c.checkValues()
	for _, s := range c.old.Services {
		if s.Skip == "" && !c.switched[s.ID] {
			c.checkService(s)
		}
	}
	c.checkNew()
	c.checkBlocks()
	c.checkGrants()
}

// checkValues compares each place with the plan. A service that is switched may
// have kept its old value or not.
func (c *checker) checkValues() {
	values := c.valuesByPlace()
	left := map[Place]bool{}
	for _, s := range c.old.Services {
		for _, v := range s.Variables {
			if c.switched[s.ID] {
				left[placeOf(s, v)] = true
			}
		}
	}
	for _, s := range c.old.Secrets {
		if s.Skip != "" {
			continue
		}
		for _, v := range s.Values {
			for _, p := range v.Places {
				value, there := values[p]
				switch {
				case !there && left[p]:
				case !there:
					c.differ(s.Name, "%s is gone", placeText(p))
				case c.key.Of(value) != v.Digest:
					c.differ(s.Name, "%s has another value now", placeText(p))
				}
			}
		}
	}
}

// placeOf is where a variable's value was before the switch.
func placeOf(s Service, v Variable) Place {
	switch {
	case v.Parameter != "":
		return Place{In: spec.ScanSSM, ID: v.Parameter}
	case s.Kind == LambdaFunction:
		return Place{In: spec.ScanLambda, ID: strings.TrimPrefix(s.ID, "lambda/"), Variable: v.Name}
	default:
		return Place{In: spec.ScanECS, ID: s.TaskDefinition, Container: v.Container, Variable: v.Name}
	}
}

func (c *checker) checkService(s Service) {
	x := c.byID[s.ID]
	if x == nil {
		c.differ(s.ID, "it is gone")
		return
	}
	if s.Digest == x.Digest {
		return
	}
	before := len(c.found)
	if s.TaskDefinition != x.TaskDefinition {
		c.differ(s.ID, "it runs %s now, and ran %s", revisionOf(x.TaskDefinition), revisionOf(s.TaskDefinition))
	}
	if x.How == s.How && s.Role != x.Role {
		c.differ(s.ID, "its %s is %s now, and was %s", roleWord(s), lastSegment(x.Role), lastSegment(s.Role))
	}
	for _, v := range s.Variables {
		held := x.find(v.Container, v.Name)
		switch {
		case held == nil:
			c.differ(s.ID, "variable %s is gone", v.Name)
		case (held.parameter == nil) != (v.Parameter == "") || held.parameter != nil && held.parameter.Name != v.Parameter:
			c.differ(s.ID, "variable %s takes its value from elsewhere now", v.Name)
		case v.Parameter == "" && c.key.Of(held.value) != c.digestIn(v):
			c.differ(s.ID, "variable %s has another value now", v.Name)
		}
	}
	if len(c.found) == before {
		c.differ(s.ID, "its configuration has changed: other variables, its role or its aliases")
	}
}

// revisionOf is a task definition's family and revision.
func revisionOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// find returns a variable of a candidate, or nil.
func (c *candidate) find(container, name string) *setting {
	for _, sc := range c.scopes {
		if sc.container != container {
			continue
		}
		for _, s := range sc.settings {
			if s.name == name {
				return s
			}
		}
	}
	return nil
}

// digestIn is the digest of the value that the plan has for a variable.
func (c *checker) digestIn(v Variable) string {
	for _, s := range c.old.Secrets {
		for _, value := range s.Values {
			if s.Name == v.Secret && value.Field == v.Field {
				return value.Digest
			}
		}
	}
	return ""
}

// checkNew tells of secrets that the plan doesn't know. What a person took out of
// a service is known by its place.
func (c *checker) checkNew() {
	known := map[Place]bool{}
	for _, s := range c.old.Secrets {
		for _, v := range s.Values {
			for _, p := range v.Places {
				known[withoutRevision(p)] = true
			}
		}
	}
	for _, s := range c.old.Skipped {
		known[withoutRevision(s.Place)] = true
	}
	told, had := map[string]bool{}, map[string]bool{}
	for _, s := range c.old.Services {
		had[s.ID] = true
		told[s.ID] = s.Skip != ""
	}
	for _, s := range c.fresh.Services {
		for _, v := range s.Variables {
			// A new service may name a parameter of others.
			isNew := v.Parameter != "" && !had[s.ID]
			if p := withoutRevision(placeOf(s, v)); (!known[p] || isNew) && !told[s.ID] {
				known[p] = true
				c.differ(s.ID, "variable %s looks like a secret and isn't in the plan", v.Name)
			}
		}
	}
	for _, s := range c.fresh.Secrets {
		for _, v := range s.Values {
			for _, p := range v.Places {
				if p.In == spec.ScanSSM && !known[p] {
					c.differ(s.Name, "%s looks like a secret and isn't in the plan", placeText(p))
				}
			}
		}
	}
}

// withoutRevision is the place in whatever revision of its task definition.
func withoutRevision(p Place) Place {
	if p.In == spec.ScanECS {
		p.ID = p.ID[:max(0, strings.LastIndexByte(p.ID, ':'))]
	}
	return p
}

// checkBlocks finds what blocks the plan as it is now, and wasn't in it.
func (c *checker) checkBlocks() {
	type blockKey struct{ code, subject string }
	known := map[blockKey]bool{}
	for _, b := range c.old.Blocked {
		known[blockKey{b.Code, b.Subject}] = true
	}
	c.plan = c.old
	c.plan.Blocked = nil
	c.block()
	for _, b := range c.plan.Blocked {
		if !known[blockKey{b.Code, b.Subject}] && !c.switched[b.Subject] {
			c.differ(b.Subject, "%s: %s", b.Problem, b.Remedy)
		}
	}
}

// checkGrants finds rights that the plan doesn't give, say since a person changed
// how a service gets at its secrets.
func (c *checker) checkGrants() {
	pending := c.old
	pending.Services = slices.DeleteFunc(slices.Clone(pending.Services), func(s Service) bool { return c.switched[s.ID] })
	given := map[[2]string]bool{}
	for _, g := range c.old.Grants {
		for _, name := range g.Secrets {
			given[[2]string{g.Role, name}] = true
		}
	}
	for _, g := range c.grants(pending) {
		for _, name := range g.Secrets {
			if !given[[2]string{g.Role, name}] {
				c.differ(g.Role, "it may not read %s, and the plan has no grant for it", name)
			}
		}
	}
}

func (m *maker) byID() map[string]*candidate {
	all := make(map[string]*candidate, len(m.services))
	for _, c := range m.services {
		all[c.ID] = c
	}
	return all
}

// isSwitched tells whether all of a service's variables follow the plan's
// secrets already, by whoever made the change.
func isSwitched(s Service, c *candidate) bool {
	for _, v := range s.Variables {
		if s.How == ByInjection {
			held := c.find(v.Container, v.Name)
			if held == nil || !injects(held.injected, v) {
				return false
			}
			continue
		}
		name, _ := v.Reference()
		held := c.find(v.Container, name)
		if held == nil {
			return false
		}
		reference, err := spec.ParseReference(held.value.RevealString())
		if err != nil || reference.Field != v.Field || reference.SecretID != v.Secret && secretName(reference.SecretID) != v.Secret {
			return false
		}
	}
	return true
}

func injects(valueFrom string, v Variable) bool {
	if arn, key, ok := injectedKey(valueFrom); ok {
		return secretName(arn) == v.Secret && key == v.Field
	}
	return v.Field == "" && strings.Contains(valueFrom, ":secretsmanager:") && secretName(strings.TrimRight(valueFrom, ":")) == v.Secret
}
