package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

// The codes of blocks.
const (
	NameCollision        = "name-collision"         // two secrets of the plan would have one name
	NameInUse            = "name-in-use"            // the name is that of a secret with another value
	ScheduledForDeletion = "scheduled-for-deletion" // the name is that of a secret which is being deleted
	ValueTooLarge        = "value-too-large"        // over Secrets Manager's 64 KB
	ValueNotText         = "value-not-text"         // a JSON object can't hold it
	ValueUnreadable      = "value-unreadable"       // a secret has a value that can't be compared
	NoKey                = "no-key"                 // the KMS key isn't there
	EnvironmentTooLarge  = "environment-too-large"  // over Lambda's 4 KB
	NameTaken            = "name-taken"             // the variable of a reference is there, and holds something else
	NameTwice            = "name-twice"             // in the environment and among the secrets of a container
	OwnedByTool          = "owned-by-tool"          // an infrastructure tool would undo the edit
	RoleMissing          = "role-missing"           // nobody could read the secret
	RoleOwnedByTool      = "role-owned-by-tool"     // the role lacks rights, and a tool owns it
	RightsUnknown        = "rights-unknown"         // what a role may read can't be found out
	NotAReader           = "not-a-reader"           // the stack's own policy of the secret denies the role
	PolicyTooLarge       = "policy-too-large"       // over IAM's limit of inline policies
	UpdateInProgress     = "update-in-progress"     // of a function
	DeploymentController = "deployment-controller"  // something else deploys the service
	PlatformTooOld       = "platform-too-old"       // Fargate can't inject it
	UnknownKey           = "unknown-key"            // a key that a secret's JSON object hasn't
	ClientEncrypted      = "client-encrypted"       // only its program can read the value
	Overridden           = "overridden"             // a schedule sets a secret by itself
	UniversalTarget      = "universal-target"       // a schedule calls RunTask by itself
	RevisionInactive     = "revision-inactive"      // there would be no way back to what runs now
	AliasMissing         = "alias-missing"          // the function hasn't the alias that is to move
	Unread               = "unread"                 // nobody knows what is in it
)

// Limits of AWS, in bytes.
const (
	maxValue       = 65536   // of a secret's value (Secrets Manager user guide, "Secrets Manager quotas")
	maxEnvironment = 4 << 10 // of a function's variables (Lambda developer guide, "Lambda quotas"), as a JSON object
)

// variableSize is what a variable takes of that: two texts, a colon and a comma.
// Lambda measures the JSON object of all, as the message of its refusal shows.
func variableSize(name, value string) int { return quotedSize(name) + quotedSize(value) + len(":,") }

func quotedSize(text string) int {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // texts always encode
	return out.Len() - len("\n")
}

// block finds what a person must settle, for the plan as it is now.
func (m *maker) block() {
	m.blockUnread()
	m.blockCiphertext()
	m.blockKey()
	values := m.valuesByPlace()
	for _, s := range m.plan.Secrets {
		if s.Skip == "" {
			m.blockSecret(s, values)
		}
	}
	byID := m.byID()
	for _, c := range m.services {
		m.blockInjected(c)
	}
	for _, s := range m.plan.Services {
		if c := byID[s.ID]; c != nil && s.Skip == "" {
			m.blockService(s, c)
		}
	}
	m.blockGrants()
}

func (m *maker) blocked(code, subject, problem, remedy, patch string) {
	m.plan.Blocked = append(m.plan.Blocked, Block{Code: code, Subject: subject, Problem: problem, Remedy: remedy, Patch: patch})
}

// blockUnread tells of what couldn't be looked into: it isn't clean. What is said
// of a service as it runs holds the service up.
func (m *maker) blockUnread() {
	ids := map[string]string{}
	for _, c := range m.services {
		ids[c.ARN] = c.ID
	}
	for _, u := range m.estate.Unread {
		subject := u.ARN
		if id := ids[strings.TrimSuffix(u.ARN, ":$LATEST")]; id != "" {
			subject = id
		}
		if subject == "" {
			subject = string(u.Place)
		}
		m.blocked(Unread, subject, "not all of it is known: "+u.Reason, "let the migration read it, and make the plan again", "")
	}
	for _, c := range m.services {
		for _, reason := range c.unread {
			m.blocked(Unread, c.ID, "not all of it is known: "+reason, "let the migration read it, and make the plan again", "")
		}
	}
}

// ciphertexts are the forms of values that a program encrypted for itself: KMS's
// own in base64, and those of common tools.
var ciphertexts = regexp.MustCompile(`^(?:AQ[EI]CA[HW][A-Za-z0-9+/]{60,}={0,2}|ENC\[.+\]|ENC\(.+\)|vault:v\d+:\S+)$`)

func isCiphertext(value spec.Value) bool {
	return value.Len() > 0 && ciphertexts.MatchString(strings.TrimSpace(value.RevealString()))
}

func (m *maker) blockCiphertext() {
	const remedy = "list its name under classify.secrets, if it is to move as it is and its program decrypts what it reads from the secret; or under classify.notSecrets, if it is to stay"
	for _, c := range m.services {
		for _, sc := range c.scopes {
			for _, s := range sc.settings {
				if !isCiphertext(s.value) || m.isSkipped(c, s) || m.isFollowed(&sc, s) || s.verdict.Confidence >= listed {
					continue
				}
				m.blocked(ClientEncrypted, c.ID, fmt.Sprintf("%s was encrypted by its own program, so what is in it isn't known", placeText(s.place)), remedy, "")
			}
		}
	}
}

func (m *maker) blockKey() {
	if m.facts.Known && m.facts.KeyARN == "" && len(m.plan.Secrets) > 0 {
		problem := "there is no KMS key " + m.plan.KMSKey + " in " + m.plan.Region
		if m.facts.KeyWhy != "" {
			problem = "the KMS key " + m.plan.KMSKey + " can't be used: " + m.facts.KeyWhy
		}
		m.blocked(NoKey, m.plan.KMSKey, problem, "deploy the stack "+m.plan.Stack+" first, which makes it", "")
	}
}

// valuesByPlace are the values of the estate, in all revisions that there are.
func (m *maker) valuesByPlace() map[Place]spec.Value {
	values := map[Place]spec.Value{}
	for _, f := range m.estate.Functions {
		for _, s := range f.Settings {
			values[Place{In: spec.ScanLambda, ID: f.Name, Variable: s.Name}] = s.Value
		}
	}
	for _, d := range m.estate.TaskDefinitions {
		for _, c := range d.Containers {
			for _, s := range c.Settings {
				values[Place{In: spec.ScanECS, ID: d.ARN, Container: c.Name, Variable: s.Name}] = s.Value
			}
		}
	}
	for _, p := range m.estate.Parameters {
		values[Place{In: spec.ScanSSM, ID: p.Name}] = p.Value
	}
	return values
}

// errGone is the error of a place that is no longer in the estate.
var errGone = errors.New("it isn't there")

func (m *maker) blockSecret(s Secret, values map[Place]spec.Value) {
	value, err := s.Assemble(func(p Place) (spec.Value, error) {
		v, ok := values[p]
		if !ok {
			return spec.Value{}, errGone
		}
		return v, nil
	})
	switch {
	case errors.Is(err, errGone): // Check tells, unless it moved already
	case err != nil:
		m.blocked(ValueNotText, s.Name, err.Error(), "put the value into a secret by hand, and skip this one", "")
	case value.Len() > maxValue:
		m.blocked(ValueTooLarge, s.Name, fmt.Sprintf("its value has %d bytes, and a secret holds %d", value.Len(), maxValue),
			"keep the bulk elsewhere, encrypted, and only the key to it in a secret; skip this one", "")
	}
	there, ok := m.facts.Secrets[s.Name]
	declared, isDeclared := m.settings.Declared[pathOf(s.Name)]
	switch {
	case isDeclared && declared.Kind != string(s.Kind):
		m.blocked(NameInUse, s.Name, fmt.Sprintf("the stack declares a secret of this name and of the kind %s, and this one is of the kind %s", declared.Kind, s.Kind),
			"choose another name, everywhere in this file; or the same kind, if it is the one", "")
	case isDeclared && declared.Value == settings.Seeded && !(there.HasValue && there.holds(s, m.key)):
		m.blocked(NameInUse, s.Name, "the stack declares a secret of this name, and makes its value by itself",
			"choose another name, everywhere in this file; or write value: awaited in the stack's catalogue, if it is the one", "")
	case !ok:
	case !there.Deleted.IsZero():
		// Deleting without a recovery window would free the name, and would destroy
		// what somebody may still want back.
		m.blocked(ScheduledForDeletion, s.Name,
			fmt.Sprintf("a secret of this name was deleted on %s and can still be restored, so the name isn't free", there.Deleted.UTC().Format("2006-01-02")),
			"choose another name, everywhere in this file; or restore it, if it is the one: aws secretsmanager restore-secret --secret-id "+s.Name, "")
	case there.Unread != "":
		m.blocked(ValueUnreadable, s.Name, "a secret of this name is there and can't be compared: "+there.Unread, "let the migration read it, or choose another name, everywhere in this file", "")
	case there.HasValue && !there.holds(s, m.key):
		m.blocked(NameInUse, s.Name, "a secret of this name is there with another value", "choose another name, everywhere in this file; or bring that secret's value in line, if it is the one", "")
	case !there.HasValue && !ours(there.ManagedBy):
		m.blocked(NameInUse, s.Name, "a secret of this name is there without a value, and its tag ManagedBy doesn't say that it waits for this one",
			"choose another name, everywhere in this file; or tag it ManagedBy=pulumi, if it is the stack's", "")
	}
}

// holds tells whether the secret has what the plan has for it. Other keys of a
// JSON object don't matter, nor does the order.
func (e Existing) holds(s Secret, key digest.Key) bool {
	for _, v := range s.Values {
		want := v.Digest
		if v.Constant != "" {
			want = key.OfBytes([]byte(v.Constant))
		}
		have := e.Digest
		if v.Field != "" {
			have = e.Fields[v.Field]
		}
		if have != want {
			return false
		}
	}
	return true
}

// ours tells whether a secret that has no value waits for the migration: the
// stack made it, or a migration that was interrupted.
func ours(managedBy string) bool {
	return strings.EqualFold(managedBy, "pulumi") || managedBy == ManagedBy
}

// blockInjected proves the JSON keys that the estate refers to already: a task
// whose key doesn't exist doesn't start.
func (m *maker) blockInjected(c *candidate) {
	for _, sc := range c.scopes {
		for _, s := range sc.settings {
			arn, field, ok := injectedKey(s.injected)
			if !ok {
				continue
			}
			name := secretName(arn)
			if there, known := m.facts.Secrets[name]; known && there.HasValue && there.Unread == "" && there.Fields[field] == "" {
				m.blocked(UnknownKey, c.ID, fmt.Sprintf("container %s takes %s from the key %q of secret %s, which has no such key, so no task starts", sc.container, s.name, field, name),
					"add the key to the secret, or correct the task definition", "")
			}
		}
	}
}

var injectedForm = regexp.MustCompile(`^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:([^:]+?)(?:-[A-Za-z0-9]{6})?):([^:]+)(?::[^:]*){0,2}$`)

// injectedKey splits what ECS injects from into the secret's ARN and the key of
// its JSON object, if it names one.
func injectedKey(valueFrom string) (arn, key string, ok bool) {
	parts := injectedForm.FindStringSubmatch(valueFrom)
	if parts == nil {
		return "", "", false
	}
	return parts[1], parts[3], true
}

// secretName is the name in a secret's ARN, without the six characters at its
// end.
func secretName(arn string) string {
	name := arn[strings.LastIndexByte(arn, ':')+1:]
	if len(name) > 7 && name[len(name)-7] == '-' {
		return name[:len(name)-7]
	}
	return name
}

func (m *maker) blockService(s Service, c *candidate) {
	if s.ManagedBy != "" {
		m.blocked(OwnedByTool, s.ID, s.ManagedBy+" owns it and would undo an edit at its next run", "make the change there, with the patch; the migration goes on from what it finds", m.patch(s))
	}
	if s.Role == "" {
		m.blocked(RoleMissing, s.ID, "it has no "+roleWord(s)+", so nothing could read the secrets for it", "give it one", "")
	}
	if c.updating {
		m.blocked(UpdateInProgress, s.ID, "an update of the function is under way", "wait until it is done, and make the plan again", "")
	}
	if c.controller != "" && c.controller != "ECS" {
		m.blocked(DeploymentController, s.ID, "its deployments are "+c.controller+"'s, which the migration can't follow", "deploy the change with it, with the patch", m.patch(s))
	}
	if s.How == ByInjection && oldPlatform(c.platform, s.Variables) {
		m.blocked(PlatformTooOld, s.ID, "Fargate's platform version "+c.platform+" can't inject such a secret", "move the service to platform version 1.4.0 or LATEST", "")
	}
	if c.universal {
		m.blocked(UniversalTarget, s.ID, "its target is a call to RunTask, whose input the migration doesn't edit", "give it ECS's own target for tasks; or register a revision with the patch, and name that in its input", m.patch(s))
	}
	if d := m.definitions[s.TaskDefinition]; d != nil && !d.Active {
		// ECS doesn't let a service go to such a revision (Amazon ECS API reference,
		// DeregisterTaskDefinition).
		m.blocked(RevisionInactive, s.ID, "what it runs, "+revisionOf(s.TaskDefinition)+", was deregistered, so neither ECS nor a rollback could bring it back to that", "deploy an active revision, and make the plan again", "")
	}
	for _, alias := range s.Aliases {
		if !slices.Contains(c.aliases, alias) {
			m.blocked(AliasMissing, s.ID, "it has no alias "+alias, "correct its aliases in this file or in the migration's", "")
		}
	}
	for _, sc := range c.scopes {
		for _, name := range sc.twice {
			m.blocked(NameTwice, s.ID, fmt.Sprintf("container %s has %s both in its environment and among its secrets, which ECS refuses in a new revision", sc.container, name),
				"take one of the two away", "")
		}
	}
	for _, sc := range c.overrides {
		for _, o := range sc.settings {
			if o.verdict.Secret {
				m.blocked(Overridden, s.ID, fmt.Sprintf("its input sets %s of container %s, over what the task definition says", o.name, sc.container), "take the variable out of its input", "")
			}
		}
	}
	m.blockReader(s)
	m.blockVariables(s, c)
}

// blockReader finds secrets of the stack whose policy, which denies all but the
// catalogue's readers, would keep the role out whatever its own policies allow.
func (m *maker) blockReader(s Service) {
	if s.Role == "" {
		return
	}
	for _, name := range secretsOf(s) {
		declared, ok := m.settings.Declared[pathOf(name)]
		if ok && !slices.ContainsFunc(declared.Readers, func(reader string) bool { return principalOf(s.Role) == roleOf(m.settings, reader) }) {
			m.blocked(NotAReader, s.ID, "the stack declares secret "+name+" without its role "+lastSegment(s.Role)+" among the readers, so the secret's policy would deny it",
				"add the role to the stack's catalogue, with the entries that come with the plan, and deploy it", "")
		}
	}
}

func roleWord(s Service) string {
	switch {
	case s.Kind == LambdaFunction, s.How == ByInjection:
		return "execution role"
	default:
		return "task role"
	}
}

// oldPlatform tells whether Fargate's platform can't inject the variables: whole
// secrets need 1.3.0, keys of JSON objects 1.4.0 (ECS developer guide, "Pass
// Secrets Manager secrets through Amazon ECS environment variables").
func oldPlatform(platform string, variables []Variable) bool {
	if platform == "" || strings.EqualFold(platform, "LATEST") {
		return false
	}
	need := [2]int{1, 3}
	if slices.ContainsFunc(variables, func(v Variable) bool { return v.Field != "" }) {
		need[1] = 4
	}
	var have [2]int
	for i, part := range strings.SplitN(platform, ".", 3) {
		if i < len(have) {
			have[i], _ = strconv.Atoi(part)
		}
	}
	return slices.Compare(have[:], need[:]) < 0
}

// longestSwitch is the longest value of the switch of dual reads, which the
// apply sets.
const longestSwitch = "compare"

func (m *maker) blockVariables(s Service, c *candidate) {
	if s.How == ByInjection {
		return
	}
	size := len("{}") - len(",")
	if m.plan.Mode == DualRead {
		size += variableSize(spec.EnvDualRead, longestSwitch)
	}
	for _, sc := range c.scopes {
		present := map[string]*setting{}
		for _, one := range sc.settings {
			present[one.name] = one
			if one.parameter != nil {
				// The variable holds the parameter's name, or its ARN, which is longer.
				size += variableSize(one.name, cmp.Or(one.parameter.ARN, one.parameter.Name))
				continue
			}
			size += variableSize(one.name, one.value.RevealString())
		}
		for _, v := range s.Variables {
			if v.Container != sc.container {
				continue
			}
			name, reference := v.Reference()
			size += variableSize(name, reference)
			if old := present[v.Name]; old != nil && m.plan.Mode == Final && old.parameter == nil {
				size -= variableSize(v.Name, old.value.RevealString())
			}
			// None of the names that Lambda keeps to itself ends like a reference's
			// (Lambda developer guide, "Defined runtime environment variables").
			if other := present[name]; other != nil && other.value.RevealString() != reference {
				m.blocked(NameTaken, s.ID, "variable "+name+" is there already and holds something else", "rename it in the service, or skip the variable in the migration's file", "")
			}
		}
	}
	if s.Kind == LambdaFunction && size > maxEnvironment {
		remedy := "shorten or remove other variables"
		if m.plan.Mode == DualRead {
			remedy += ", or migrate it alone with the mode final, which keeps no old values"
		}
		m.blocked(EnvironmentTooLarge, s.ID, fmt.Sprintf("with the references its variables would have %d bytes, and Lambda takes %d", size, maxEnvironment), remedy, "")
	}
}

// policySize is how IAM counts a policy (IAM user guide, "IAM and AWS STS quotas").
func policySize(text string) int {
	return len(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text))
}

func (m *maker) blockGrants() {
	for _, g := range m.plan.Grants {
		role := m.facts.Roles[g.Role]
		size := policySize(g.Policy)
		switch {
		case role.Missing:
			m.blocked(RoleMissing, g.Role, "there is no such role", "make it, or give the services another", "")
		case role.Unread != "":
			m.blocked(RightsUnknown, g.Role, "what it may read isn't known: "+role.Unread, "let the migration ask IAM, or see to it that the role has the policy", g.Policy)
		case g.ManagedBy != "":
			m.blocked(RoleOwnedByTool, g.Role, fmt.Sprintf("it may not read %d of its secrets, and %s owns it", len(g.Secrets), g.ManagedBy), "add the policy there", g.Policy)
		}
		if size+role.Inline > m.settings.PolicyLimit {
			m.blocked(PolicyTooLarge, g.Role, fmt.Sprintf("the policy for its %d secrets has %d characters, its other inline policies have %d, and IAM takes %d of all", len(g.Secrets), size, role.Inline, m.settings.PolicyLimit),
				"give its services roles of their own, or attach managed policies", "")
		}
	}
}
