package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

// want is a secret that the estate wants.
type want struct {
	kind     spec.Kind
	word     string // last segment of its name
	distinct string // tells it from another of its name
	name     string // once all are named
	about    string // the setting's name, for the description
	services []string
	owners   []string
	engine   string // of a database login whose settings tell; ""
	values   []*wantValue
	uses     []use
	first    Place
}

type wantValue struct {
	field  string
	digest string
	places []Place
	value  spec.Value
}

// use is a variable that takes its value from a secret.
type use struct {
	candidate *candidate
	variable  Variable
}

// wants finds the secrets, in the order of the services that use them first.
func (m *maker) wants() []*want {
	c := collector{maker: m, byIdentity: map[string]*want{}, byPassword: map[string]*want{}, moved: map[*discover.Parameter]bool{}}
	grouped := map[*setting]bool{}
	for _, candidate := range m.services {
		for i := range candidate.scopes {
			for _, s := range c.groups(candidate, candidate.Name, candidate.Owner, &candidate.scopes[i]) {
				grouped[s] = true
			}
		}
	}
	for _, candidate := range m.services {
		for _, sc := range candidate.scopes {
			for _, s := range sc.settings {
				if !grouped[s] {
					c.single(candidate, candidate.Name, candidate.Owner, sc, s)
				}
			}
		}
	}
	c.parameters()
	return c.wants
}

// collector gathers wants. Settings with the same value become one.
type collector struct {
	*maker
	wants      []*want
	byIdentity map[string]*want
	byPassword map[string]*want // logins by their password
	moved      map[*discover.Parameter]bool
}

// longEnough is the length in bytes from which two equal values are taken for
// one secret whatever their variables are called: nobody chooses the same by
// chance.
const longEnough = 20

// identity is the same for what one secret can hold.
func (c *collector) identity(s *setting, service string) string {
	identity := c.key.Of(s.value)
	if s.value.Len() < longEnough {
		identity += "\x00" + kebab(lastSegment(s.name))
	}
	if c.settings.IsSeparate(s.name) {
		identity += "\x00" + service
	}
	return identity
}

// groups finds the logins among a scope's settings and returns what belongs to
// them.
func (c *collector) groups(candidate *candidate, service, owner string, sc *scope) []*setting {
	byName := map[string]*setting{}
	var open []classify.Setting
	for _, s := range sc.settings {
		if s.value.Len() > 0 && !c.isSkipped(candidate, s) && !c.isFollowed(sc, s) {
			byName[s.name] = s
			open = append(open, classify.Setting{Name: s.name, Value: s.value})
		}
	}
	var members []*setting
	for _, group := range classify.Related(open) {
		password := byName[group.Members["password"]]
		if !password.verdict.Secret || isCiphertext(password.value) {
			continue
		}
		w := c.login(group, byName, service)
		w.add(service, owner)
		for _, field := range fieldsOf(group) {
			s := byName[group.Members[field]]
			w.place(field, s.place)
			members = append(members, s)
			if s.parameter != nil {
				c.moved[s.parameter] = true
			}
			// Host, port and database don't change when the login is rotated, so a
			// plain variable may keep them.
			if candidate != nil && (field == "username" || field == "password" || s.parameter != nil) {
				w.uses = append(w.uses, use{candidate, variableOf(sc.container, s, field)})
			}
		}
	}
	return members
}

// login returns the want of a login, which is there already if another service
// has the same.
func (c *collector) login(group classify.Group, byName map[string]*setting, service string) *want {
	identity := "login"
	for _, field := range []string{"host", "port", "username", "password", "dbname"} {
		identity += "\x00"
		if s := byName[group.Members[field]]; s != nil {
			identity += c.key.Of(s.value)
		}
	}
	password := byName[group.Members["password"]]
	if c.settings.IsSeparate(password.name) {
		identity += "\x00" + service
	}
	w := c.byIdentity[identity]
	if w != nil {
		return w
	}
	w = &want{
		kind: spec.KindDatabase, word: c.databaseWord(service, group.Prefix), about: group.Prefix, engine: group.Engine, first: password.place,
		distinct: distinctOf(password.place),
	}
	for _, field := range fieldsOf(group) {
		s := byName[group.Members[field]]
		w.values = append(w.values, &wantValue{field: field, digest: c.key.Of(s.value), value: s.value})
	}
	c.byIdentity[identity] = w
	if by := c.identity(password, service); c.byPassword[by] == nil {
		c.byPassword[by] = w
	}
	c.wants = append(c.wants, w)
	return w
}

// fieldsOf are a login's JSON keys that settings hold, in alphabetical order.
// The engine is written as AWS names it, whatever the setting says.
func fieldsOf(group classify.Group) []string {
	var fields []string
	for field := range group.Members {
		if field != "engine" {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	return fields
}

// single takes a setting that is a secret by itself.
func (c *collector) single(candidate *candidate, service, owner string, sc scope, s *setting) {
	switch {
	case c.isFollowed(&sc, s):
		return // it follows a secret already
	case !s.verdict.Secret:
		if reason, tell := worthTelling(s); tell {
			c.skip(s, reason)
		}
		return
	case c.isSkipped(candidate, s):
		c.skip(s, c.skipReason(candidate, s))
		return
	case isCiphertext(s.value) && s.verdict.Confidence < listed:
		return // see blockCiphertext
	}
	w := c.byPassword[c.identity(s, service)]
	field := "password"
	if w == nil || s.verdict.Kind != spec.KindDatabase {
		w, field = c.byValue(s, service), ""
	}
	w.add(service, owner)
	w.place(field, s.place)
	if s.parameter != nil {
		c.moved[s.parameter] = true
	}
	if candidate != nil {
		w.uses = append(w.uses, use{candidate, variableOf(sc.container, s, field)})
	}
}

func (c *collector) byValue(s *setting, service string) *want {
	identity := "value\x00" + c.identity(s, service)
	w := c.byIdentity[identity]
	if w == nil {
		about := s.name
		if s.parameter != nil && s.injected == "" {
			about = s.parameter.Name // the variable's name is about the parameter
		}
		w = &want{
			kind: kindFor(s), word: c.secretWord(service, about), about: about, first: s.place, distinct: distinctOf(s.place),
			values: []*wantValue{{digest: c.key.Of(s.value), value: s.value}},
		}
		c.byIdentity[identity] = w
		c.wants = append(c.wants, w)
	}
	return w
}

// parameters takes the parameters that no service of the estate names, if the
// settings say whose they are: who reads them can't be seen.
func (c *collector) parameters() {
	byService := map[string]*scope{}
	owners := map[string]string{}
	for i := range c.estate.Parameters {
		p := &c.estate.Parameters[i]
		if c.moved[p] || p.Value.Len() == 0 {
			continue
		}
		s := &setting{name: p.Name}
		c.holds(s, p)
		id := "parameter:" + p.Name
		service, ok := c.settings.Services.Of(id)
		if !ok {
			if s.verdict.Secret && !c.isSkipped(nil, s) {
				c.skip(s, "no function, service or schedule names it, so who reads it isn't known: say whose it is under services, as "+id)
				continue
			}
			service = ""
		}
		if byService[service] == nil {
			byService[service] = &scope{}
		}
		byService[service].settings = append(byService[service].settings, s)
		owners[service] = c.ownerOf(id, nil)
	}
	for _, service := range sortedKeys(byService) {
		sc := byService[service]
		slices.SortFunc(sc.settings, func(a, b *setting) int { return cmp.Compare(a.name, b.name) })
		grouped := map[*setting]bool{}
		if service != "" {
			for _, s := range c.groups(nil, service, owners[service], sc) {
				grouped[s] = true
			}
		}
		for _, s := range sc.settings {
			if !grouped[s] {
				c.single(nil, service, owners[service], *sc, s)
			}
		}
	}
}

func (m *maker) isSkipped(candidate *candidate, s *setting) bool {
	return m.skipReason(candidate, s) != ""
}

func (m *maker) skipReason(candidate *candidate, s *setting) string {
	if candidate != nil {
		if reason, ok := m.settings.SkipService(candidate.ID); ok {
			return reason
		}
		if reason, ok := m.settings.SkipVariable(candidate.ID, s.name); ok {
			return reason
		}
	}
	if s.parameter != nil {
		if reason, ok := m.settings.SkipParameter(s.parameter.Name); ok {
			return reason
		}
	}
	return ""
}

func (m *maker) skip(s *setting, reason string) {
	place := s.place
	if s.parameter != nil && s.name != s.parameter.Name {
		reason += " (named by variable " + s.name + ")"
	}
	m.plan.Skipped = append(m.plan.Skipped, Skipped{Place: place, Reason: reason})
}

// worthTelling returns why a setting stays, where somebody may have expected
// otherwise: all else would be every setting of an estate.
func worthTelling(s *setting) (reason string, tell bool) {
	if s.injected != "" && s.parameter == nil {
		if strings.Contains(s.injected, ":secretsmanager:") {
			return "ECS takes it from Secrets Manager already", true
		}
		return "ECS takes it from " + s.injected + ", which isn't among the parameters that could be read", true
	}
	if len(s.verdict.Reasons) == 0 || s.value.Len() == 0 {
		return "", false
	}
	reason = strings.Join(s.verdict.Reasons, "; ")
	switch {
	case s.verdict.Confidence >= listed, s.verdict.Confidence < doubtful, strings.Contains(reason, "secret in Secrets Manager"):
		return reason, true
	default:
		return "", false
	}
}

// doubtful is the confidence below which "no secret" wants a person's eye.
const doubtful = 0.7

// isFollowed tells whether the reference to a secret of the stack stands beside
// the variable already.
func (m *maker) isFollowed(sc *scope, s *setting) bool {
	return slices.ContainsFunc(sc.settings, func(other *setting) bool {
		if other.name != s.name+spec.ReferenceSuffix {
			return false
		}
		reference, err := spec.ParseReference(other.value.RevealString())
		if err != nil {
			return false
		}
		id := reference.SecretID
		if strings.HasPrefix(id, "arn:") {
			id = secretName(id)
		}
		return strings.HasPrefix(id, m.settings.Organization+"/"+m.settings.Environment+"/")
	})
}

func variableOf(container string, s *setting, field string) Variable {
	v := Variable{Container: container, Name: s.name, Field: field}
	if s.parameter != nil {
		v.Parameter = s.parameter.Name
	}
	return v
}

func distinctOf(p Place) string {
	if p.Container != "" {
		return kebab(p.Container)
	}
	return kebab(lastSegment(p.ID))
}

func (w *want) add(service, owner string) {
	w.services = sortedUnique(append(w.services, service))
	w.owners = sortedUnique(append(w.owners, owner))
}

// place adds a place of a value.
func (w *want) place(field string, p Place) {
	for _, v := range w.values {
		if v.field == field && !slices.Contains(v.places, p) {
			v.places = append(v.places, p)
		}
	}
}

// kindFor is the kind by which a value can be rotated one day: a database's or
// an OAuth client's rotation needs AWS's JSON keys, and a bare password hasn't
// any.
func kindFor(s *setting) spec.Kind {
	switch s.verdict.Kind {
	case spec.KindDatabase:
		d, err := spec.ParseDatabase(s.value)
		if err == nil && d.Validate() == nil {
			return spec.KindDatabase
		}
	case spec.KindOAuth:
		o, err := spec.ParseOAuth(s.value)
		if err == nil && o.ClientID != "" && o.ClientSecret.Len() > 0 {
			return spec.KindOAuth
		}
	case spec.KindAPIKey:
		if _, err := spec.ParseAPIKey(s.value); err == nil {
			return spec.KindAPIKey
		}
	}
	return spec.KindCustom
}
