package policy

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/sdk/spec"
)

// file is the YAML. Its scalars check themselves, so that the decoder gathers
// their mistakes with its own.
type file struct {
	MaximumAge         map[string]span     `yaml:"maximumAge"`
	UnusedAfter        *span               `yaml:"unusedAfter"`
	RotationGrace      *span               `yaml:"rotationGrace"`
	PendingGrace       *span               `yaml:"pendingGrace"`
	ScanMaxAge         *span               `yaml:"scanMaxAge"`
	Tags               map[string][]string `yaml:"tags"`
	Severities         map[string]severity `yaml:"severities"`
	Threshold          *severity           `yaml:"threshold"`
	DeprecatedRuntimes []string            `yaml:"deprecatedRuntimes"`
	PolicyReads        *int                `yaml:"policyReads"`
	Suppressions       []yaml.Node         `yaml:"suppressions"`
	Access             struct {
		Window   *span    `yaml:"window"`
		Pages    *int     `yaml:"pages"`
		Expected []string `yaml:"expected"`
	} `yaml:"access"`
	Remedy struct {
		Rules     []string          `yaml:"rules"`
		TagValues map[string]string `yaml:"tagValues"`
	} `yaml:"remedy"`
}

type suppression struct {
	Rule    string `yaml:"rule"`
	Secret  string `yaml:"secret"`
	Owner   string `yaml:"owner"`
	Reason  string `yaml:"reason"`
	Expires date   `yaml:"expires"`
	line    int
}

// readSuppression reads an entry as far as it goes, with its mistakes. The
// decoder would drop an entry that has one.
func readSuppression(node *yaml.Node) (suppression, []string) {
	var mistakes []string
	for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
		if key := node.Content[i]; !slices.Contains([]string{"rule", "secret", "owner", "reason", "expires"}, key.Value) {
			mistakes = append(mistakes, fmt.Sprintf("line %d: a suppression has no key %q", key.Line, key.Value))
		}
	}
	var s suppression
	var typed *yaml.TypeError
	if err := node.Decode(&s); errors.As(err, &typed) {
		mistakes = append(mistakes, typed.Errors...)
	} else if err != nil {
		mistakes = append(mistakes, err.Error())
	}
	s.line = node.Line
	return s, mistakes
}

// span is a duration: Go's, or a number of days such as 90d.
type span time.Duration

func (s *span) UnmarshalYAML(node *yaml.Node) error {
	d, err := time.ParseDuration(node.Value)
	if days, ok := strings.CutSuffix(node.Value, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(n) * day
		if n > 100_000 {
			err = errors.New("too long")
		}
	}
	if err != nil || d <= 0 {
		return mistake(node, "%q is no duration: write 90d or 12h", node.Value)
	}
	*s = span(d)
	return nil
}

type severity finding.Severity

func (s *severity) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := finding.ParseSeverity(node.Value)
	if err != nil {
		return mistake(node, "%s", err)
	}
	*s = severity(parsed)
	return nil
}

type date time.Time

func (d *date) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.Parse(time.DateOnly, node.Value)
	if err != nil {
		return mistake(node, "%q is no date: write 2027-03-31", node.Value)
	}
	*d = date(parsed)
	return nil
}

func mistake(node *yaml.Node, format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: ", node.Line) + fmt.Sprintf(format, args...)}}
}

// MistakesError is the error of a policy that can't be used: every mistake that
// was found.
type MistakesError []string

// Error lists all mistakes, one a line.
func (m MistakesError) Error() string {
	return fmt.Sprintf("the policy has %d mistake(s):\n  %s", len(m), strings.Join(m, "\n  "))
}

// Parse reads a policy. What it doesn't say is as in Default. Rules are the ids
// that the policy may name, remedies those that can be mended.
func Parse(r io.Reader, rules, remedies []string) (Policy, error) {
	decoder := yaml.NewDecoder(r)
	decoder.KnownFields(true)
	var f file
	var mistakes MistakesError
	var typed *yaml.TypeError
	err := decoder.Decode(&f)
	switch {
	case errors.Is(err, io.EOF): // an empty file demands nothing of its own
	case errors.As(err, &typed):
		for _, text := range typed.Errors {
			mistakes = append(mistakes, friendly(text))
		}
	case err != nil:
		return Policy{}, fmt.Errorf("read the policy: %w", err)
	}
	if err == nil || typed != nil {
		mistakes = append(mistakes, more(decoder)...)
	}
	mistakes = append(mistakes, f.check(rules, remedies)...)
	if len(mistakes) > 0 {
		return Policy{}, mistakes
	}
	return f.policy(), nil
}

// more says what is wrong with a second document: it would count for nothing.
func more(decoder *yaml.Decoder) []string {
	var second yaml.Node
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return []string{err.Error()}
	default:
		return []string{fmt.Sprintf("line %d: a second document begins: write one", second.Line)}
	}
}

// friendly says "key" where the decoder talks of Go's types.
func friendly(text string) string {
	line, rest, ok := strings.Cut(text, ": field ")
	name, _, unknown := strings.Cut(rest, " not found in type")
	if !ok || !unknown {
		return text
	}
	return fmt.Sprintf("%s: there is no key %q", line, name)
}

// expired is the rule about suppressions themselves.
const expired = "suppression-expired"

func (f *file) check(rules, remedies []string) []string {
	var mistakes []string
	add := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	for _, kind := range slices.Sorted(maps.Keys(f.MaximumAge)) {
		if _, err := spec.ParseKind(kind); err != nil && kind != Other {
			add("maximumAge: %s, or %s for secrets of no kind", err, Other)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(f.Severities)) {
		if !slices.Contains(rules, rule) {
			add("severities: there is no rule %q; audit:rules lists them", rule)
		}
	}
	for _, rule := range f.Remedy.Rules {
		if !slices.Contains(remedies, rule) {
			add("remedy: %q can't be mended by the auditor; these can: %s", rule, strings.Join(remedies, ", "))
		}
	}
	for _, limit := range []struct {
		name string
		n    *int
	}{{"policyReads", f.PolicyReads}, {"access.pages", f.Access.Pages}} {
		if limit.n != nil && *limit.n < 0 {
			add("%s: %d is negative", limit.name, *limit.n)
		}
	}
	if w := f.Access.Window; w != nil && time.Duration(*w) > 90*day {
		add("access.window: the trail's event history holds 90d")
	}
	seen := map[[2]string]int{}
	for i := range f.Suppressions {
		s, wrong := readSuppression(&f.Suppressions[i])
		mistakes = append(mistakes, wrong...)
		if line, twice := seen[[2]string{s.Rule, s.Secret}]; twice {
			add("line %d: the same suppression as in line %d: keep one", s.line, line)
		}
		seen[[2]string{s.Rule, s.Secret}] = s.line
		if s.Rule == expired {
			add("line %d: %s can't be suppressed: it tells of suppressions", s.line, expired)
		}
		if s.Rule == "" || !slices.Contains(rules, s.Rule) {
			add("line %d: suppression of rule %q: there is no such rule; audit:rules lists them", s.line, s.Rule)
		}
		for _, need := range []struct{ key, value string }{{"secret", s.Secret}, {"owner", s.Owner}, {"reason", s.Reason}} {
			if strings.TrimSpace(need.value) == "" {
				add("line %d: suppression without %s", s.line, need.key)
			}
		}
		if time.Time(s.Expires).IsZero() && len(wrong) == 0 {
			add("line %d: suppression without a date in expires", s.line)
		}
	}
	return mistakes
}

func (f *file) policy() Policy {
	p := Default()
	for kind, age := range f.MaximumAge {
		p.MaximumAge[kind] = time.Duration(age)
	}
	for _, set := range []struct {
		to   *time.Duration
		from *span
	}{
		{&p.UnusedAfter, f.UnusedAfter}, {&p.RotationGrace, f.RotationGrace},
		{&p.PendingGrace, f.PendingGrace}, {&p.ScanMaxAge, f.ScanMaxAge}, {&p.Access.Window, f.Access.Window},
	} {
		if set.from != nil {
			*set.to = time.Duration(*set.from)
		}
	}
	if f.Tags != nil {
		p.Tags = f.Tags
	}
	for rule, severity := range f.Severities {
		p.Severities[rule] = finding.Severity(severity)
	}
	if f.Threshold != nil {
		p.Threshold = finding.Severity(*f.Threshold)
	}
	if f.DeprecatedRuntimes != nil {
		p.DeprecatedRuntimes = map[string]time.Time{}
		for _, runtime := range f.DeprecatedRuntimes {
			p.DeprecatedRuntimes[runtime] = time.Time{} // already
		}
	}
	if f.PolicyReads != nil {
		p.PolicyReads = *f.PolicyReads
	}
	if f.Access.Pages != nil {
		p.Access.Pages = *f.Access.Pages
	}
	p.Access.Expected = f.Access.Expected
	p.Remedy = Remedy{Rules: f.Remedy.Rules, TagValues: f.Remedy.TagValues}
	for i := range f.Suppressions {
		s, _ := readSuppression(&f.Suppressions[i])
		p.Suppressions = append(p.Suppressions, Suppression{
			Rule: s.Rule, Secret: s.Secret, Owner: s.Owner, Reason: s.Reason,
			Expires: time.Time(s.Expires).Add(day), Line: s.line,
		})
	}
	return p
}
