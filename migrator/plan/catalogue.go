package plan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

// The keys of a stack's file that Catalogue writes.
const (
	keyServices  = "aistudio-secrets:services"
	keyDatabases = "aistudio-secrets:databases"
	keyCatalogue = "aistudio-secrets:catalogue"
)

// Undecided is why a secret that was migrated isn't rotated, in the catalogue's
// words, until its owner writes how it is, or another reason.
const Undecided = "it was migrated, and its owner hasn't chosen yet how it is rotated"

// maxReads is how many secrets the stack gives a role: each is a managed policy
// (IAM user guide, "IAM and AWS STS quotas").
const maxReads = 10

// Catalogue writes what the plan adds to the stack's file, for a person to merge
// below config: the secrets, the roles that read them, and the servers of
// database logins. What the stack declares already, as the settings say, isn't
// repeated but where it changes.
//
// filled tells which secrets have their value. The others are awaited: a stack
// that is deployed before the apply makes them empty, and the apply fills them.
// Rotation is off until an owner says how.
//
// A database login's host and user name aren't in the plan and are taken from the
// estate, unless they are secrets. Where that isn't possible a comment asks for
// them in place of an entry.
func Catalogue(w io.Writer, p Plan, s settings.Settings, estate discover.Estate, classifier Classifier, filled func(name string) bool) error {
	c := cataloguer{
		plan: p, settings: s, filled: filled, values: (&maker{estate: estate}).valuesByPlace(), classifier: classifier,
		services: mapping(), databases: mapping(), catalogue: mapping(), servers: map[string]string{},
	}
	c.nameReaders()
	for _, secret := range p.Secrets {
		if secret.Skip == "" {
			c.add(secret)
		}
	}
	return c.write(w)
}

type cataloguer struct {
	plan       Plan
	settings   settings.Settings
	filled     func(string) bool
	values     map[Place]spec.Value
	classifier Classifier

	readers  map[string]string // services of the stack, by the role's ARN
	servers  map[string]string // keys of databases, by host
	missing  []string          // entries that a person has to write
	services *yaml.Node
	// In the order in which they are written:
	databases *yaml.Node
	catalogue *yaml.Node
}

// nameReaders finds the stack's service for each role, or adds one.
func (c *cataloguer) nameReaders() {
	c.readers = map[string]string{}
	taken := map[string]bool{}
	declared := map[string]string{}
	for _, name := range sortedKeys(c.settings.Readers) {
		taken[name] = true
		declared[roleOf(c.settings, name)] = name
	}
	names := map[string][]string{} // of the plan's services, by role
	reads := map[string][]string{}
	for _, s := range c.plan.Services {
		if s.Role != "" && s.Skip == "" {
			names[s.Role] = sortedUnique(append(names[s.Role], s.Name))
			reads[s.Role] = sortedUnique(append(reads[s.Role], secretsOf(s)...))
		}
	}
	for _, role := range sortedKeys(names) {
		principal := principalOf(role)
		if name := declared[principal]; name != "" {
			c.readers[role] = name
			continue
		}
		name := names[role][0]
		if len(names[role]) > 1 || taken[name] {
			name = roleWordOf(role)
		}
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", strings.TrimRight(roleWordOf(role)[:min(len(roleWordOf(role)), maxServiceName-4)], "-"), i)
		}
		taken[name] = true
		c.readers[role] = name
		entry := mapping("role", text(principal))
		if n := len(reads[role]); n > maxReads {
			entry.Content[0].HeadComment = fmt.Sprintf("It reads %d secrets, and the stack takes %d a service: give its parts roles of their own.", n, maxReads)
		}
		put(c.services, name, entry)
	}
}

// roleOf is the role of a service of the stack: its own, or the one that the stack
// makes.
func roleOf(s settings.Settings, service string) string {
	if role := s.Readers[service]; role != "" {
		return role
	}
	return "role/" + spec.ReaderRole(s.Organization, s.Environment, service)
}

// principalOf is a role as the stack's file writes it.
func principalOf(arn string) string {
	_, resource, _ := strings.Cut(arn, ":role/")
	return "role/" + resource
}

func roleWordOf(arn string) string {
	name := kebab(lastSegment(arn))
	return strings.Trim(name[:min(len(name), maxServiceName)], "-")
}

func (c *cataloguer) add(s Secret) {
	path := pathOf(s.Name)
	value := settings.Awaited
	if c.filled(s.Name) {
		value = settings.Present
	}
	readers := c.readersOf(s.Name)
	if declared, ok := c.settings.Declared[path]; ok {
		change := mapping()
		if value == settings.Present && declared.Value != value {
			put(change, "value", text(value))
		}
		if all := sortedUnique(slices.Concat(declared.Readers, readers)); len(all) > len(declared.Readers) {
			put(change, "readers", list(all))
		}
		if len(change.Content) > 0 {
			put(c.catalogue, path, change)
		}
		return
	}
	entry := mapping("kind", text(string(s.Kind)), "owner", text(s.Tags[spec.TagOwner]), "description", text(s.Description),
		"dataClassification", text(s.Tags[spec.TagDataClassification]), "readers", list(readers), "value", text(value))
	if s.Kind == spec.KindDatabase {
		database, why := c.database(s)
		if why != "" {
			c.missing = append(c.missing, fmt.Sprintf("%s: %s. Write its entry by hand: kind: database, database.server and database.username.", path, why))
			return
		}
		put(entry, "database", database)
	}
	rotation := mapping("disabled", text(Undecided))
	rotation.Content[0].HeadComment = "Rotation: " + s.Rotation
	put(entry, "rotation", rotation)
	put(c.catalogue, path, entry)
}

// Undeclared returns the names of the plan's secrets that the stack's file doesn't
// declare yet, sorted. The apply would make them, and Pulumi doesn't create what is
// there already.
func Undeclared(p Plan, s settings.Settings) []string {
	var names []string
	for _, secret := range p.Secrets {
		if _, declared := s.Declared[pathOf(secret.Name)]; !declared && secret.Skip == "" {
			names = append(names, secret.Name)
		}
	}
	slices.Sort(names)
	return names
}

// pathOf is <service>/<secret>.
func pathOf(name string) string {
	parts := strings.SplitN(name, "/", 3)
	return parts[len(parts)-1]
}

func (c *cataloguer) readersOf(secret string) []string {
	readers := []string{}
	for _, s := range c.plan.Services {
		if s.Skip == "" && s.Role != "" && slices.Contains(secretsOf(s), secret) {
			readers = append(readers, c.readers[s.Role])
		}
	}
	return sortedUnique(readers)
}

// database is what the catalogue says of a login, or why that isn't known.
func (c *cataloguer) database(s Secret) (entry *yaml.Node, why string) {
	known := map[string]string{}
	for _, v := range s.Values {
		if v.Constant != "" {
			known[v.Field] = v.Constant
		} else if v.Field != "" && v.Field != "password" {
			known[v.Field] = c.look(v)
		}
	}
	for _, need := range []string{"engine", "host", "username"} {
		if known[need] == "" {
			return nil, "its " + need + " isn't known, or is a secret itself"
		}
	}
	entry = mapping("server", text(c.server(known)), "username", text(known["username"]))
	if known["dbname"] != "" {
		put(entry, "dbname", text(known["dbname"]))
	}
	return entry, ""
}

// look returns a value of the estate that is no secret.
func (c *cataloguer) look(v Value) string {
	for _, p := range v.Places {
		value, ok := c.values[p]
		if !ok {
			continue
		}
		name := p.Variable
		if name == "" {
			name = p.ID
		}
		if !c.classifier.Classify(classify.Setting{Name: name, Value: value}).Secret {
			return value.RevealString()
		}
	}
	return ""
}

// server is the key of the stack's database with that host, which is added if
// there is none.
func (c *cataloguer) server(login map[string]string) string {
	host := login["host"]
	for _, key := range sortedKeys(c.settings.Databases) {
		if c.settings.Databases[key].Host == host {
			return key
		}
	}
	if key := c.servers[host]; key != "" {
		return key
	}
	word, _, _ := strings.Cut(host, ".")
	word = kebab(word)
	key := word
	for i := 2; c.isServer(key); i++ {
		key = fmt.Sprintf("%s-%d", word, i)
	}
	c.servers[host] = key
	entry := mapping("engine", text(login["engine"]), "host", text(host))
	if port, err := strconv.Atoi(login["port"]); err == nil {
		put(entry, "port", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(port)})
	}
	master := text(strings.Join([]string{c.plan.Organization, c.plan.Environment, "platform", key + "-admin"}, "/"))
	master.LineComment = "name the secret of the user who makes the others"
	put(entry, "master", master)
	put(c.databases, key, entry)
	return key
}

func (c *cataloguer) isServer(key string) bool {
	if _, declared := c.settings.Databases[key]; declared {
		return true
	}
	for _, taken := range c.servers {
		if taken == key {
			return true
		}
	}
	return false
}

func (c *cataloguer) write(w io.Writer) error {
	config := mapping()
	for _, part := range []struct {
		key  string
		node *yaml.Node
	}{{keyServices, c.services}, {keyDatabases, c.databases}, {keyCatalogue, c.catalogue}} {
		if len(part.node.Content) > 0 {
			put(config, part.key, part.node)
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# What the migration adds to Pulumi.%s.yaml: merge it into what is below config there,\n", c.plan.Stack)
	fmt.Fprintln(&out, "# and deploy the stack before the apply, which puts the values into the stack's secrets.")
	for _, missing := range c.missing {
		fmt.Fprintf(&out, "# %s\n", missing)
	}
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(mapping("config", config)), encoder.Close()); err != nil {
		return fmt.Errorf("write the catalogue's entries: %w", err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write the catalogue's entries: %w", err)
	}
	return nil
}

// mapping is a YAML mapping of keys and nodes, in turn.
func mapping(pairs ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, _ := pairs[i].(string)
		value, _ := pairs[i+1].(*yaml.Node)
		put(m, key, value)
	}
	return m
}

func put(m *yaml.Node, key string, value *yaml.Node) { m.Content = append(m.Content, text(key), value) }

// text is a YAML string, quoted where it would be read as something else.
func text(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}

func list(items []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for _, item := range items {
		n.Content = append(n.Content, text(item))
	}
	return n
}
