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
	"regexp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/policy"
)

// Version is another one whenever Review judges otherwise than before, so that
// what an older Review found harmless is reviewed again.
const Version = "2"

// Review reads the policy's text. Account is the secret's own. Expected are the
// ARNs that may read the secret; nil if nobody knows them, and then nobody of the
// account is too many. An empty text is no policy, which opens nothing.
//
// What narrows a statement is looked for in its conditions, as S3 does when it
// decides whether a policy is public (S3 user guide, "The meaning of public"). A
// condition that isn't understood narrows nothing.
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

// powers are the actions by which somebody gets at a value, or puts another in
// its place: whoever may write the policy may let himself read.
var powers = []string{
	"secretsmanager:getsecretvalue", "secretsmanager:putresourcepolicy", "secretsmanager:putsecretvalue", "secretsmanager:updatesecret",
	"secretsmanager:updatesecretversionstage", "secretsmanager:rotatesecret",
}

// gives reports whether the statement is about one of the powers; actions are
// compared without case (IAM user guide, "Action").
func (s statement) gives() bool { return slices.ContainsFunc(powers, s.concerns) }

func (s statement) concerns(action string) bool {
	matches := func(pattern string) bool { return like(strings.ToLower(pattern), action) }
	return slices.ContainsFunc(s.Action, matches) || len(s.NotAction) > 0 && !slices.ContainsFunc(s.NotAction, matches)
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
	case who == "*":
		r.everybody(s)
	case kind == "AWS":
		r.principal(s, who)
	case kind == "Service":
		r.service(s, who)
	default:
		// A federation or a canonical user, which may be anybody's.
		r.found.CrossAccount = append(r.found.CrossAccount, kind+" "+who)
	}
}

// service judges a service, which acts for whoever uses it: a condition has to
// say for whom (IAM user guide, "The confused deputy problem").
func (r reviewer) service(s statement, who string) {
	if r.source(s, "the service "+who) {
		return
	}
	if r.expected == nil {
		r.found.CrossAccount = append(r.found.CrossAccount, "the service "+who+" for anybody's account")
		return
	}
	r.wide(s, "the service "+who+" for anybody's account (no aws:SourceAccount)")
}

// source judges for whom a service may act by the statement's conditions. It
// reports false if they don't say.
func (r reviewer) source(s statement, who string) (said bool) {
	accounts := s.values("aws:sourceaccount")
	for _, arn := range s.values("aws:sourcearn") {
		account := field(arn, arnAccount)
		if account == "" && !wild(arn) {
			continue // S3's have none; there is one bucket of a name
		}
		accounts = append(accounts, account)
	}
	named := len(accounts) > 0 || len(s.values("aws:sourcearn")) > 0
	if slices.ContainsFunc(accounts, wild) {
		return false
	}
	for _, account := range accounts {
		if account != r.account {
			r.found.CrossAccount = append(r.found.CrossAccount, who+" for "+account)
		}
	}
	return named
}

// networks are condition keys that name where a call comes from, and
// organizations those that name whose it is (IAM user guide, "AWS global condition
// context keys"). Neither names an account.
var (
	networks      = []string{"aws:sourcevpc", "aws:sourcevpce"}
	organizations = []string{"aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths"}
)

// everybody judges a statement that is about all principals and what its
// conditions leave of them.
func (r reviewer) everybody(s statement) {
	if arns := s.values("aws:principalarn"); len(arns) > 0 {
		for _, arn := range arns {
			r.principal(s, arn)
		}
		return
	}
	if accounts := s.values("aws:principalaccount"); len(accounts) > 0 {
		for _, account := range accounts {
			r.principal(s, account)
			if account == r.account {
				r.wide(s, "everybody in the account")
			}
		}
		return
	}
	for _, key := range organizations {
		// o-1/r-2/* is within o-1, and o-* is any.
		if values := s.values(key); len(values) > 0 && !slices.ContainsFunc(values, anyOrganization) {
			r.found.CrossAccount = append(r.found.CrossAccount, "everybody with "+key+" "+strings.Join(values, ", "))
			return
		}
	}
	for _, key := range networks {
		if values := s.values(key); len(values) > 0 && !slices.ContainsFunc(values, wild) {
			r.found.CrossAccount = append(r.found.CrossAccount, "everybody from "+key+" "+strings.Join(values, ", "))
			return
		}
	}
	if r.source(s, "services") {
		return
	}
	r.found.Public = append(r.found.Public, s.Sid+": everybody")
}

func anyOrganization(value string) bool {
	organization, _, _ := strings.Cut(value, "/")
	return wild(organization)
}

// principal judges one principal that is an ARN, an account, or a pattern of
// them.
func (r reviewer) principal(s statement, who string) {
	account := who
	switch {
	case strings.Contains(who, ":"):
		account = field(who, arnAccount)
	case deleted.MatchString(who):
		// IAM shows the id of a user or role that was deleted (IAM user guide, "IAM
		// roles", "Principal"): nobody has it any more.
		r.reader(s, who)
		return
	}
	switch {
	case wild(account) || account == "" && wild(who):
		// Anybody can have an account with a role of that name.
		r.found.Public = append(r.found.Public, s.Sid+": "+anybody(who))
	case account != r.account:
		r.found.CrossAccount = append(r.found.CrossAccount, who)
	case who == r.account || strings.HasSuffix(who, ":"+r.account+":root"):
		// The account itself: its IAM policies decide, as without a policy.
	default:
		r.reader(s, who)
	}
}

func anybody(who string) string {
	if who == "*" {
		return "everybody"
	}
	return "everybody like " + who
}

var deleted = regexp.MustCompile(`^A(RO|ID)A[A-Z0-9]{8,}$`)

func (r reviewer) reader(s statement, who string) {
	if r.expected != nil && !r.expects(who) {
		r.wide(s, who)
	}
}

func (r reviewer) expects(who string) bool {
	return slices.ContainsFunc(r.expected, func(pattern string) bool { return policy.Match(pattern, who) })
}

func (r reviewer) wide(s statement, who string) {
	if s.gives() && r.expected != nil {
		r.found.TooWide = append(r.found.TooWide, who)
	}
}

// deny looks at the exceptions of a statement that denies to all others, which
// is how the managed secrets' policies are written.
func (r reviewer) deny(s statement) {
	if !s.gives() || s.Principal == nil || !slices.Contains((*s.Principal)["AWS"], "*") {
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
	slices.Sort(values)
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

// wild reports whether a text stands for others. Where an operator takes it as it
// is, it matches nothing, and nothing is opened: it is judged as a pattern all the
// same.
func wild(text string) bool { return strings.ContainsAny(text, "*?") }

// like reports whether a text has the form of an IAM pattern, in which * stands
// for any text and ? for one character. It goes back to the last * only, so that
// no pattern takes long.
func like(pattern, text string) bool {
	p, t, star, from := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p, t = p+1, t+1
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// arnAccount is the field of an ARN that holds the account,
// arn:partition:service:region:account:resource.
const arnAccount = 4

func field(arn string, i int) string {
	if fields := strings.SplitN(arn, ":", 6); i < len(fields) {
		return fields[i]
	}
	return ""
}
