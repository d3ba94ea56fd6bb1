// Package resourcepolicy reads a secret's resource policy and says whom it lets
// in that it shouldn't: anybody, other accounts, or more than the secret's
// readers.
//
// It looks at what the policy's text allows. What identities are allowed by
// their own policies is IAM's to say.
package resourcepolicy

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/policy"
)

// Review reads the policy's text. Account is the secret's own. Expected are the
// ARNs that may read the secret; nil if nobody knows them, and then nothing is
// too wide. An empty text is no policy, which opens nothing.
func Review(text, account string, expected []string) (facts.ResourcePolicy, error) {
	var found facts.ResourcePolicy
	if strings.TrimSpace(text) == "" {
		return found, nil
	}
	var document struct {
		Statement oneOrMore[statement]
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return found, fmt.Errorf("read a resource policy: %w", err)
	}
	r := reviewer{account: account, expected: expected, found: &found}
	for i, s := range document.Statement {
		if s.Sid == "" {
			s.Sid = fmt.Sprintf("statement %d", i+1)
		}
		switch s.Effect {
		case "Allow":
			r.allow(s)
		case "Deny":
			r.deny(s)
		default:
			return found, fmt.Errorf("read a resource policy: %s has the effect %q", s.Sid, s.Effect)
		}
	}
	for _, list := range []*[]string{&found.Public, &found.CrossAccount, &found.TooWide} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return found, nil
}

type statement struct {
	Sid          string
	Effect       string
	Principal    *principal
	NotPrincipal *principal
	Action       oneOrMore[string]
	NotAction    oneOrMore[string]
	Condition    map[string]map[string]oneOrMore[json.RawMessage]
}

// principal is "*" or lists of them by type.
type principal map[string]oneOrMore[string]

func (p *principal) UnmarshalJSON(text []byte) error {
	var all string
	if json.Unmarshal(text, &all) == nil {
		*p = principal{"AWS": {all}}
		return nil
	}
	return json.Unmarshal(text, (*map[string]oneOrMore[string])(p))
}

type oneOrMore[T any] []T

func (o *oneOrMore[T]) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return json.Unmarshal(text, (*[]T)(o))
	}
	var one T
	if err := json.Unmarshal(text, &one); err != nil {
		return err
	}
	*o = oneOrMore[T]{one}
	return nil
}

type reviewer struct {
	account  string
	expected []string
	found    *facts.ResourcePolicy
}

const reading = "secretsmanager:getsecretvalue"

// concerns reports whether the statement is about an action; actions are
// compared without case (IAM user guide, "Action").
func (s statement) concerns(action string) bool {
	for _, a := range s.Action {
		if policy.Match(strings.ToLower(a), action) {
			return true
		}
	}
	if len(s.NotAction) == 0 {
		return false
	}
	for _, a := range s.NotAction {
		if policy.Match(strings.ToLower(a), action) {
			return false
		}
	}
	return true
}

func (r reviewer) allow(s statement) {
	if s.NotPrincipal != nil {
		r.found.Public = append(r.found.Public, s.Sid+": all but some (NotPrincipal)")
		return
	}
	if s.Principal == nil {
		return
	}
	for _, kind := range slices.Sorted(maps.Keys(*s.Principal)) {
		for _, who := range (*s.Principal)[kind] {
			r.allowed(s, kind, who)
		}
	}
}

func (r reviewer) allowed(s statement, kind, who string) {
	switch {
	case kind == "AWS" && who == "*":
		r.everybody(s)
	case kind == "AWS":
		r.principal(s, who)
	case kind == "Service":
		if len(s.values("aws:sourceaccount"))+len(s.values("aws:sourcearn")) == 0 {
			r.wide(s, "the service "+who+" for anybody's account (no aws:SourceAccount)")
		}
	default:
		r.wide(s, kind+" "+who)
	}
}

// narrowing are condition keys whose values name who is let in, or from where
// (IAM user guide, "Global condition context keys").
var narrowing = []string{
	"aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceaccount", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce",
}

// everybody judges a statement that is about all principals and what its
// conditions leave of them.
func (r reviewer) everybody(s statement) {
	if arns := s.values("aws:principalarn"); len(arns) > 0 {
		for _, arn := range arns {
			if arn == "*" {
				r.found.Public = append(r.found.Public, s.Sid+": everybody")
				continue
			}
			r.principal(s, arn)
		}
		return
	}
	if accounts := s.values("aws:principalaccount"); len(accounts) > 0 {
		for _, account := range accounts {
			if account != r.account {
				r.found.CrossAccount = append(r.found.CrossAccount, account)
			} else {
				r.wide(s, "everybody in the account")
			}
		}
		return
	}
	for _, key := range narrowing {
		if values := s.values(key); len(values) > 0 && !slices.Contains(values, "*") {
			r.wide(s, "everybody with "+key+" "+strings.Join(values, ", "))
			return
		}
	}
	r.found.Public = append(r.found.Public, s.Sid+": everybody")
}

// principal judges one principal that is an ARN or an account.
func (r reviewer) principal(s statement, who string) {
	account := who
	if fields := strings.SplitN(who, ":", 6); len(fields) == 6 {
		account = fields[4]
	}
	root := who == r.account || strings.HasSuffix(who, ":"+r.account+":root")
	switch {
	case account != r.account:
		r.found.CrossAccount = append(r.found.CrossAccount, who)
	case root:
		// The account itself: its IAM policies decide, as without a policy.
	default:
		r.reader(s, who)
	}
}

func (r reviewer) reader(s statement, who string) {
	if r.expected != nil && !r.expects(who) {
		r.wide(s, who)
	}
}

func (r reviewer) expects(who string) bool {
	return slices.ContainsFunc(r.expected, func(pattern string) bool { return policy.Match(pattern, who) })
}

func (r reviewer) wide(s statement, who string) {
	if s.concerns(reading) && r.expected != nil {
		r.found.TooWide = append(r.found.TooWide, who)
	}
}

// deny looks at the exceptions of a statement that denies reading to all
// others, which is how the managed secrets' policies are written.
func (r reviewer) deny(s statement) {
	if !s.concerns(reading) || s.Principal == nil || !slices.Contains((*s.Principal)["AWS"], "*") {
		return
	}
	for operator, keys := range s.Condition {
		if !strings.Contains(strings.ToLower(operator), "not") {
			continue
		}
		for key, values := range keys {
			if strings.EqualFold(key, "aws:PrincipalArn") {
				for _, who := range texts(values) {
					r.reader(s, who)
				}
			}
		}
	}
}

// values returns what a condition that must hold allows a key to be.
func (s statement) values(key string) []string {
	var values []string
	for operator, keys := range s.Condition {
		name := strings.ToLower(operator)
		// …IfExists and ForAllValues hold where the key is absent, and a
		// negation lets everybody else in: none of them narrows.
		if strings.Contains(name, "not") || strings.HasSuffix(name, "ifexists") || strings.HasPrefix(name, "forallvalues") ||
			!strings.Contains(name, "equals") && !strings.Contains(name, "like") {
			continue
		}
		for k, v := range keys {
			if strings.EqualFold(k, key) {
				values = append(values, texts(v)...)
			}
		}
	}
	return values
}

func texts(raw []json.RawMessage) []string {
	var list []string
	for _, value := range raw {
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		list = append(list, text)
	}
	return list
}
