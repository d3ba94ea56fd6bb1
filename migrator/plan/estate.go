package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

// candidate is a service of the estate with all of its settings.
type candidate struct {
	Service
	tags       map[string]string
	scopes     []scope // one of a function, one a container of a task
	unread     []string
	updating   bool     // an update of the function is under way
	aliases    []string // that the function has
	controller string   // of an ECS service's deployments
	platform   string   // of Fargate
	universal  bool     // a schedule's call to RunTask
	overrides  []scope  // what a schedule puts over its containers
}

// scope is settings that belong together: the environment of one process.
type scope struct {
	container string
	settings  []*setting // by name
	twice     []string   // names that are both in the environment and among the secrets
}

// setting is a variable, or a parameter that no variable names.
type setting struct {
	name      string
	place     Place // that holds the value
	value     spec.Value
	parameter *discover.Parameter // that holds the value; nil: the variable does
	injected  string              // where ECS takes it from, as it stands; "": from the environment
	verdict   classify.Verdict
}

// candidates makes the candidates of the estate, by ID.
func (m *maker) candidates() []*candidate {
	var all []*candidate
	for i := range m.estate.Functions {
		all = append(all, m.function(&m.estate.Functions[i]))
	}
	for i := range m.estate.Services {
		all = append(all, m.service(&m.estate.Services[i]))
	}
	for i := range m.estate.ScheduledTasks {
		all = append(all, m.scheduledTask(&m.estate.ScheduledTasks[i]))
	}
	slices.SortFunc(all, func(a, b *candidate) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range all {
		m.describe(c)
	}
	return all
}

func (m *maker) function(f *discover.Function) *candidate {
	c := &candidate{
		Service: Service{ID: "lambda/" + f.Name, Kind: LambdaFunction, ARN: f.ARN, Role: f.Role, How: ByReference, ManagedBy: f.ManagedBy()},
		tags:    f.Tags, updating: f.Updating,
	}
	for _, alias := range f.Aliases {
		c.aliases = append(c.aliases, alias.Name)
	}
	c.Aliases = slices.Clone(m.settings.Aliases[c.ID])
	c.scopes = []scope{m.scope("", Place{In: spec.ScanLambda, ID: f.Name}, f.Settings, nil)}
	return c
}

func (m *maker) service(s *discover.Service) *candidate {
	c := &candidate{
		Service:    Service{ID: "ecs/" + lastSegment(s.Cluster) + "/" + s.Name, Kind: ECSService, ARN: s.ARN, Cluster: s.Cluster, ManagedBy: s.ManagedBy()},
		tags:       s.Tags,
		controller: s.Controller,
		platform:   s.Platform,
	}
	m.runs(c, s.TaskDefinition)
	return c
}

func (m *maker) scheduledTask(s *discover.ScheduledTask) *candidate {
	c := &candidate{
		Service: Service{ID: "rule/" + s.Name + "/" + s.Target, Kind: RuleTask, ARN: s.ARN, Cluster: s.Cluster, ManagedBy: s.ManagedBy()},
		tags:    s.Tags, universal: s.Universal,
	}
	if s.Target == "" {
		c.ID, c.Kind = "schedule/"+s.Name, ScheduledTask
	}
	m.runs(c, s.TaskDefinition)
	for _, o := range s.Overrides {
		c.overrides = append(c.overrides, m.scope(o.Name, Place{In: spec.ScanECS, ID: s.ARN, Container: o.Name}, o.Settings, nil))
	}
	return c
}

// runs fills in what a task definition says. One without a revision stands for
// the newest of its family.
func (m *maker) runs(c *candidate, arn string) {
	c.How = ByInjection
	if how, ok := m.settings.How.Of(c.ID); ok {
		c.How = How(how)
	}
	d := m.definitions[arn]
	if d == nil {
		c.TaskDefinition = arn
		c.unread = append(c.unread, "its task definition "+revisionOf(arn)+" couldn't be read")
		return
	}
	c.TaskDefinition = d.ARN
	if c.ManagedBy == "" {
		c.ManagedBy = d.ManagedBy()
	}
	c.Role = d.ExecutionRole
	if c.How == ByReference {
		c.Role = d.TaskRole
	}
	for _, container := range d.Containers {
		c.scopes = append(c.scopes, m.scope(container.Name, Place{In: spec.ScanECS, ID: d.ARN, Container: container.Name}, container.Settings, container.Injected))
		for _, file := range container.EnvironmentFiles {
			m.plan.Skipped = append(m.plan.Skipped, Skipped{
				Place:  Place{In: spec.ScanECS, ID: d.ARN, Container: container.Name},
				Reason: "its variables in " + file + " aren't read, so whether they hold secrets isn't known",
			})
		}
	}
	slices.SortFunc(c.scopes, func(a, b scope) int { return cmp.Compare(a.container, b.container) })
}

// scope classifies settings. Where the value is in a parameter, it is the
// parameter that counts.
func (m *maker) scope(container string, at Place, settings []classify.Setting, injected []discover.Injected) scope {
	sc := scope{container: container}
	for _, s := range settings {
		place := at
		place.Variable = s.Name
		one := &setting{name: s.Name, place: place, value: s.Value}
		if p := m.parameterNamedBy(s); p != nil {
			m.holds(one, p)
		} else {
			one.verdict = m.classifier.Classify(s)
		}
		sc.settings = append(sc.settings, one)
	}
	for _, i := range injected {
		if slices.ContainsFunc(settings, func(s classify.Setting) bool { return s.Name == i.Name }) {
			sc.twice = append(sc.twice, i.Name)
			continue
		}
		place := at
		place.Variable = i.Name
		one := &setting{name: i.Name, place: place, injected: i.ValueFrom}
		if p := m.parameters[i.ValueFrom]; p != nil {
			m.holds(one, p)
		}
		sc.settings = append(sc.settings, one)
	}
	slices.SortFunc(sc.settings, func(a, b *setting) int { return cmp.Compare(a.name, b.name) })
	slices.Sort(sc.twice)
	return sc
}

// parameterNamedBy finds the parameter that a variable names. A name without a
// slash is a word like any other, unless the variable says what it is.
func (m *maker) parameterNamedBy(s classify.Setting) *discover.Parameter {
	if s.Value.Len() > maxParameterName {
		return nil
	}
	text := s.Value.RevealString()
	p := m.parameters[text]
	if p == nil || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "arn:") {
		return p
	}
	if name := strings.ToUpper(s.Name); strings.Contains(name, "PARAM") || strings.Contains(name, "SSM") {
		return p
	}
	return nil
}

// maxParameterName is the longest ARN of a parameter, with some room: names
// have up to 1,011 characters (Systems Manager API reference, PutParameter).
const maxParameterName = 1200

// holds says that a parameter holds the setting's value. Whoever encrypted a
// parameter took it for a secret, so it takes one of the lists to say that it
// isn't.
func (m *maker) holds(s *setting, p *discover.Parameter) {
	s.parameter, s.value, s.place = p, p.Value, Place{In: spec.ScanSSM, ID: p.Name}
	s.verdict = m.classifier.Classify(classify.Setting{Name: p.Name, Value: p.Value})
	if !s.verdict.Secret && s.verdict.Confidence < listed && s.name != p.Name {
		if byVariable := m.classifier.Classify(classify.Setting{Name: s.name, Value: p.Value}); byVariable.Secret {
			s.verdict = byVariable
		}
	}
	if !s.verdict.Secret && s.verdict.Confidence < listed && p.Type == discover.SecureString && p.Value.Len() > 0 {
		s.verdict = classify.Verdict{Secret: true, Kind: spec.KindCustom, Confidence: encrypted, Reasons: []string{"it is an encrypted parameter"}}
	}
}

const (
	listed    = 1.0 // the confidence of what people listed
	encrypted = 0.75
)

// describe gives a candidate its name, its owner and its digest.
func (m *maker) describe(c *candidate) {
	c.Name = m.nameOf(c.ID, resourceName(c.ID), c.tags)
	c.Owner = m.ownerOf(c.ID, c.tags)
	c.Digest = m.digestOf(c)
}

func (m *maker) nameOf(id, resource string, tags map[string]string) string {
	if name, ok := m.settings.Services.Of(id); ok {
		return name
	}
	for _, tag := range m.settings.ServiceTags {
		if tags[tag] != "" {
			return m.serviceWord(tags[tag])
		}
	}
	return m.serviceWord(resource)
}

func (m *maker) ownerOf(id string, tags map[string]string) string {
	if owner, ok := m.settings.Owners.Of(id); ok {
		return owner
	}
	for _, tag := range m.settings.OwnerTags {
		if owner := strings.TrimSpace(tags[tag]); owner != "" {
			return owner
		}
	}
	return m.settings.Owner
}

// digestOf is of all that a switch goes by. The values are in it by their own
// digests.
func (m *maker) digestOf(c *candidate) string {
	var text strings.Builder
	line := func(parts ...string) {
		for _, part := range parts {
			text.WriteString(part)
			text.WriteByte(0)
		}
		text.WriteByte('\n')
	}
	line(c.ARN, c.Role, c.TaskDefinition, c.controller, c.platform)
	line(c.aliases...)
	for _, sc := range slices.Concat(c.scopes, c.overrides) {
		for _, s := range sc.settings {
			held := ""
			if s.parameter == nil {
				held = m.key.Of(s.value)
			}
			line(sc.container, s.name, s.injected, held)
		}
	}
	return m.key.OfBytes([]byte(text.String()))
}

// resourceName is what AWS calls the service of an ID.
func resourceName(id string) string {
	parts := strings.Split(id, "/")
	if parts[0] == "rule" && len(parts) > 2 {
		return parts[len(parts)-2]
	}
	return parts[len(parts)-1]
}

func lastSegment(arn string) string { return arn[strings.LastIndexAny(arn, "/:")+1:] }
