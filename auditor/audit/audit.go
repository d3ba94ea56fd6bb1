// Package audit judges an inventory by all rules and gathers what reports need.
//
// Findings go to files, one for each rule, so that the number of findings costs
// disk and not memory.
package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/inventory"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/rules"
	"github.com/aistudio/secrets/auditor/state"
)

// Options are what judging needs besides the inventory.
type Options struct {
	Environment string
	Policy      *policy.Policy
	Previous    *state.Previous // never nil
	Stack       []string        // regions that the stack has; nil: nobody knows
	Dir         string          // an existing folder for the findings' files
	Now         time.Time       // UTC
}

// Result is what an audit found. Close removes its files.
type Result struct {
	Run         string // the time, as it stands in file names
	Time        time.Time
	Account     string
	Environment string
	Regions     []Region
	Rules       []*RuleResult // in the order of rules.All
	Owners      []*Owner      // the worst first
	Secrets     int           // in use or scheduled for deletion; no replicas
	Rotating    int           // secrets that must rotate: in use, and not just made
	Compliant   int           // those that did in time
	OldestDays  int           // age of the oldest current value
	Trend       []state.Point // the last runs and this one, oldest first
	Resolved    int           // findings of the last run that are gone
	Carried     int           // findings of the last run of which nobody knows whether they are

	resolved *spool[state.Entry]
	carried  *spool[state.Entry]
	owners   map[string]*Owner
	scopes   []scope
	gone     map[string]state.Entry // what was resolved before, is still, and wasn't imported; by id
	settled  map[string]bool        // open findings that an estate's rule has judged to be none
	opts     Options
}

// Policy is what was demanded.
func (r *Result) Policy() *policy.Policy { return r.opts.Policy }

// Region is how far a region was read.
type Region struct {
	Name       string `json:"name"`
	Secrets    int    `json:"secrets"`
	Replicas   int    `json:"replicas"`
	Incomplete string `json:"incomplete,omitempty"` // why; empty: complete
}

// RuleResult is what a rule found.
type RuleResult struct {
	rules.Rule
	Severity finding.Severity // the rule's, or the policy's
	Counts   map[finding.Status]int
	New      int
	Unknowns []*Reason // the most frequent first

	findings *spool[finding.Finding]
	reasons  map[string]*Reason
}

// Reason is why a rule couldn't judge, and of how many resources.
type Reason struct {
	Text     string             `json:"reason"`
	Count    int                `json:"count"`
	Examples []finding.Resource `json:"examples"`
}

// Owner is what the secrets of a team look like.
type Owner struct {
	Name     string                   `json:"owner"` // empty: nobody
	Secrets  int                      `json:"secrets"`
	Findings map[finding.Severity]int `json:"findings"`
	Unknown  int                      `json:"unknown"`
}

// scope is a part of the estate of which nobody knows.
type scope struct{ rule, region string } // an empty region stands for all

const timeInNames = "2006-01-02T150405Z"

// Judge applies all rules.
func Judge(ctx context.Context, inv *inventory.Inventory, opts Options) (*Result, error) {
	r := &Result{
		Run: opts.Now.Format(timeInNames), Time: opts.Now, Account: inv.Estate.Account, Environment: opts.Environment,
		owners: map[string]*Owner{}, settled: map[string]bool{}, gone: map[string]state.Entry{}, opts: opts,
		resolved: newSpool[state.Entry](opts.Dir, "resolved"), carried: newSpool[state.Entry](opts.Dir, "carried"),
	}
	for _, e := range opts.Previous.Gone {
		r.gone[e.ID] = e
	}
	for _, rule := range rules.All() {
		severity := rule.Severity
		if own, ok := opts.Policy.Severities[rule.ID]; ok {
			severity = own
		}
		r.Rules = append(r.Rules, &RuleResult{
			Rule: rule, Severity: severity, Counts: map[finding.Status]int{},
			findings: newSpool[finding.Finding](opts.Dir, rule.ID), reasons: map[string]*Reason{},
		})
	}
	if err := r.judge(ctx, inv); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Result) judge(ctx context.Context, inv *inventory.Inventory) error {
	c := rules.Context{Policy: r.opts.Policy, Now: r.opts.Now}
	if err := inv.Each(ctx, func(s *facts.Subject) error { return r.secret(c, s) }); err != nil {
		return fmt.Errorf("judge the secrets: %w", err)
	}
	for _, rule := range r.Rules {
		if rule.Estate == nil {
			continue
		}
		for _, result := range rule.Estate(c, &inv.Estate) {
			r.settle(rule.ID, result)
			if err := r.add(rule, result.Resource, result.Verdict); err != nil {
				return err
			}
		}
	}
	for _, name := range inv.Estate.Regions {
		region := inv.Regions[name]
		r.Regions = append(r.Regions, Region{name, region.Secrets, region.Replicas, region.Incomplete})
		if region.Incomplete == "" {
			continue
		}
		// Whatever wasn't listed may be there: no rule knows.
		unseen := finding.Resource{
			ARN: "arn:aws:secretsmanager:" + name + ":" + r.Account + ":secret:*", Name: "secrets of " + name + " that weren't listed",
			Type: "AWS::SecretsManager::Secret", Region: name,
		}
		for _, rule := range r.Rules {
			if rule.Estate != nil {
				continue
			}
			r.scopes = append(r.scopes, scope{rule.ID, name})
			if err := r.add(rule, unseen, finding.Unreadable("the listing ended early: "+region.Incomplete)); err != nil {
				return err
			}
		}
	}
	return r.finish()
}

// settle notes what a verdict of an estate's rule means for the last run's
// findings.
func (r *Result) settle(rule string, result rules.Result) {
	switch result.Verdict.Status {
	case finding.Unknown:
		if result.Among {
			r.scopes = append(r.scopes, scope{rule, result.Resource.Region})
		}
	case finding.Pass, finding.NotApplicable:
		id := finding.ID(rule, result.Resource)
		if _, _, open := r.opts.Previous.Peek(id); open {
			r.settled[id] = true
		}
	}
}

// secret judges one secret by every rule about secrets.
func (r *Result) secret(c rules.Context, s *facts.Subject) error {
	r.Secrets++
	resource := rules.Resource(s)
	owner := r.owner(resource.Owner)
	owner.Secrets++
	rotates, rotation := false, finding.Pass // the worst of the verdicts about rotation
	for _, rule := range r.Rules {
		judge := rule.Secret
		if !s.Deleted.IsZero() {
			judge = rule.Deleted
		}
		if rule.Estate != nil {
			continue
		}
		verdict := finding.Skipped("scheduled for deletion")
		switch {
		case judge != nil:
			verdict = judge(c, s)
		case s.Deleted.IsZero():
			verdict = finding.Skipped("not scheduled for deletion")
		}
		if err := r.add(rule, resource, verdict); err != nil {
			return err
		}
		if rule.ID == mustRotate {
			rotates = verdict.Status != finding.NotApplicable
		}
		if slices.Contains(aboutRotation, rule.ID) && (verdict.Status == finding.Fail || verdict.Status == finding.Unknown) {
			rotation = verdict.Status
		}
	}
	if rotates {
		r.Rotating++
		if rotation == finding.Pass {
			r.Compliant++
		}
	}
	if written, known := s.Written.Get(); known && s.Current != "" && s.Deleted.IsZero() {
		r.OldestDays = max(r.OldestDays, int(r.Time.Sub(written).Hours()/24))
	}
	return nil
}

// aboutRotation are the rules that a secret must pass to count as rotated in
// time.
var aboutRotation = []string{mustRotate, "rotation-overdue", "rotation-failed", "rotation-stuck"}

// mustRotate is the rule that applies to the secrets that must rotate.
const mustRotate = "rotation-disabled"

// add notes a verdict.
func (r *Result) add(rule *RuleResult, resource finding.Resource, v finding.Verdict) error {
	f := finding.Finding{
		ID: finding.ID(rule.ID, resource), Rule: rule.ID, Severity: rule.Severity, Status: v.Status,
		Resource: resource, Evidence: v.Evidence, Reason: v.Reason,
	}
	switch v.Status {
	case finding.Fail:
		delete(r.gone, f.ID)
		if s := r.suppression(rule.ID, resource); s != nil {
			f.Status, f.Suppression = finding.Suppressed, s
			_, _, _ = r.opts.Previous.Seen(f.ID) // accepted, so neither open nor resolved
			break
		}
		firstSeen, rank, before := r.opts.Previous.Seen(f.ID)
		f.FirstSeen, f.New = firstSeen, !before || f.Severity.Rank() > rank
		if !before {
			f.FirstSeen = r.Time
		}
		if f.New {
			rule.New++
		}
		r.owner(resource.Owner).Findings[f.Severity]++
	case finding.Unknown:
		rule.note(f)
		r.owner(resource.Owner).Unknown++
	}
	rule.Counts[f.Status]++
	if f.Status == finding.Pass || f.Status == finding.NotApplicable {
		return nil
	}
	return rule.findings.add(f)
}

func (r *Result) owner(name string) *Owner {
	o := r.owners[name]
	if o == nil {
		o = &Owner{Name: name, Findings: map[finding.Severity]int{}}
		r.owners[name] = o
	}
	return o
}

func (r *Result) suppression(rule string, resource finding.Resource) *finding.Suppression {
	for _, s := range r.opts.Policy.Suppressions {
		if !s.Expired(r.Time) && s.Matches(rule, resource) {
			return &finding.Suppression{Owner: s.Owner, Reason: s.Reason, Expires: s.LastDay()}
		}
	}
	return nil
}

const maxExamples, maxReasons = 5, 50

func (rule *RuleResult) note(f finding.Finding) {
	text := f.Reason
	if len(rule.reasons) >= maxReasons && rule.reasons[text] == nil {
		text = "other reasons"
	}
	reason := rule.reasons[text]
	if reason == nil {
		reason = &Reason{Text: text}
		rule.reasons[text] = reason
	}
	reason.Count++
	if len(reason.Examples) < maxExamples {
		reason.Examples = append(reason.Examples, f.Resource)
	}
}

// finish settles the last run's findings and sorts what was counted.
func (r *Result) finish() error {
	// A finding of which nobody knows any more is neither there nor resolved.
	unknown := map[string]bool{}
	for _, rule := range r.Rules {
		if rule.Counts[finding.Unknown] == 0 {
			continue
		}
		for f, err := range rule.findings.all() {
			if err != nil {
				return err
			}
			if f.Status != finding.Unknown {
				continue
			}
			if _, _, open := r.opts.Previous.Peek(f.ID); open {
				unknown[f.ID] = true
			}
		}
	}
	err := r.opts.Previous.Unseen(func(e state.Entry) error {
		if !r.settled[e.ID] && (unknown[e.ID] || r.inScope(e) || r.elsewhere(e)) {
			r.Carried++
			return r.carried.add(e)
		}
		r.Resolved++
		return r.resolved.add(e)
	})
	if err != nil {
		return err
	}
	for _, rule := range r.Rules {
		rule.Unknowns = slices.SortedFunc(maps.Values(rule.reasons), func(a, b *Reason) int {
			return cmpReasons(a, b)
		})
	}
	r.Owners = slices.SortedFunc(maps.Values(r.owners), cmpOwners)
	r.Trend = append(slices.Clone(r.opts.Previous.Trend), r.point())
	if more := len(r.Trend) - maxTrend; more > 0 {
		r.Trend = r.Trend[more:]
	}
	return nil
}

const maxTrend = 90

func (r *Result) inScope(e state.Entry) bool {
	return slices.ContainsFunc(r.scopes, func(s scope) bool {
		return s.rule == e.Rule && (s.region == "" || s.region == e.Resource.Region)
	})
}

// elsewhere reports whether a finding is in a region of the stack that this run
// left out.
func (r *Result) elsewhere(e state.Entry) bool {
	region := e.Resource.Region
	return region != "" && !slices.ContainsFunc(r.Regions, func(audited Region) bool { return audited.Name == region }) &&
		(r.opts.Stack == nil || slices.Contains(r.opts.Stack, region))
}

func (r *Result) point() state.Point {
	return state.Point{
		Time: r.Time, Secrets: r.Secrets, Findings: r.BySeverity(), Unknown: r.Count(finding.Unknown), RotationCompliance: r.RotationCompliance(),
	}
}

// Close removes the files.
func (r *Result) Close() error {
	errs := []error{r.resolved.close(), r.carried.close()}
	for _, rule := range r.Rules {
		errs = append(errs, rule.findings.close())
	}
	return errors.Join(errs...)
}
