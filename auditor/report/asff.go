package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/controls"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
	"github.com/aistudio/secrets/auditor/state"
	"github.com/aistudio/secrets/sdk/spec"
)

// ASFF is a finding in the AWS Security Finding Format (Security Hub user guide,
// "AWS Security Finding Format (ASFF)"), with the attributes that are required
// and those that help.
type ASFF struct {
	SchemaVersion   string
	ID              string `json:"Id"`
	ProductARN      string `json:"ProductArn"`
	GeneratorID     string `json:"GeneratorId"`
	AWSAccountID    string `json:"AwsAccountId"`
	Region          string `json:",omitempty"`
	Types           []string
	FirstObservedAt string `json:",omitempty"`
	CreatedAt       string
	UpdatedAt       string
	Severity        ASFFSeverity
	Title           string
	Description     string
	Remediation     struct{ Recommendation struct{ Text string } }
	ProductFields   map[string]string
	Resources       []ASFFResource
	Compliance      ASFFCompliance
	RecordState     string

	// What a provider may change of a finding that is there (API reference,
	// BatchImportFindings).
	FindingProviderFields struct {
		Severity ASFFSeverity
		Types    []string
	}
}

// ASFFSeverity is CRITICAL, HIGH, MEDIUM or LOW.
type ASFFSeverity struct{ Label string }

// ASFFResource is what a finding is about.
type ASFFResource struct {
	Type   string
	ID     string `json:"Id"`
	Region string `json:",omitempty"`
}

// ASFFCompliance is the verdict.
type ASFFCompliance struct {
	Status              string
	RelatedRequirements []string           `json:",omitempty"`
	StatusReasons       []ASFFStatusReason `json:",omitempty"`
}

// ASFFStatusReason is why a verdict couldn't be given.
type ASFFStatusReason struct {
	ReasonCode  string
	Description string
}

// The longest texts that ASFF takes.
const (
	maxASFFTitle       = 256
	maxASFFDescription = 1024
	maxASFFText        = 512
	maxASFFRelated     = 32
)

// asffTime is exact to the millisecond: an update must be newer than what it
// updates.
const asffTime = "2006-01-02T15:04:05.000Z07:00"

// ToASFF writes findings for a hub in a region.
type ToASFF struct {
	result *audit.Result
	rules  map[string]*audit.RuleResult
	region string // of the hub
}

// NewToASFF makes a ToASFF.
func NewToASFF(r *audit.Result, region string) ToASFF {
	byID := map[string]*audit.RuleResult{}
	for _, rule := range r.Rules {
		byID[rule.ID] = rule
	}
	return ToASFF{r, byID, region}
}

// All walks through what Security Hub is to know: the findings, what is resolved,
// and of each rule whether it could judge all. What couldn't be judged is told of a
// resource only if its finding is there already: else nothing would end it once it
// passes, since an audit doesn't remember what passed.
func (t ToASFF) All() iter.Seq2[ASFF, error] {
	return func(yield func(ASFF, error) bool) {
		for f, err := range t.result.Findings() {
			if err == nil && f.Status == finding.Unknown && !t.result.WasOpen(f.ID) {
				continue
			}
			if err != nil {
				yield(ASFF{}, err)
				return
			}
			if !yield(t.Finding(f), nil) {
				return
			}
		}
		for _, rule := range t.result.Rules {
			if !yield(t.Unjudged(rule), nil) {
				return
			}
		}
		for e, err := range t.result.ResolvedFindings() {
			if err != nil {
				yield(ASFF{}, err)
				return
			}
			if !yield(t.Resolved(e), nil) {
				return
			}
		}
		for _, e := range t.result.Gone() {
			if !yield(t.Resolved(e), nil) {
				return
			}
		}
	}
}

// Unjudged returns what a rule couldn't judge, of the account as a whole. It is
// archived when there is nothing.
func (t ToASFF) Unjudged(rule *audit.RuleResult) ASFF {
	account := finding.Resource{ARN: "AWS::::Account:" + t.result.Account, Type: accountType}
	a := t.base(rule.ID, "unknown/"+rule.ID, rule.Severity, account, time.Time{})
	a.Title = limit("Not judged: "+rule.Title, maxASFFTitle)
	a.Compliance.Status, a.RecordState, a.Description = "PASSED", "ARCHIVED", "All could be judged."
	if n := rule.Counts[finding.Unknown]; n > 0 {
		var reasons []string
		for _, reason := range rule.Unknowns {
			reasons = append(reasons, fmt.Sprintf("%s (%s)", reason.Text, examples(reason)))
		}
		a.Compliance.Status, a.RecordState = "NOT_AVAILABLE", "ACTIVE"
		a.Description = limit(fmt.Sprintf("%d could not be judged: %s", n, strings.Join(reasons, "; ")), maxASFFDescription)
		a.Compliance.StatusReasons = []ASFFStatusReason{{ReasonCode: unreadable, Description: limit(rule.Unknowns[0].Text, maxASFFDescription)}}
	}
	return a
}

const (
	unreadable  = "FACTS_UNREADABLE"
	accountType = "AWS::::Account"
)

// Finding returns a finding of this run.
func (t ToASFF) Finding(f finding.Finding) ASFF {
	a := t.base(f.Rule, f.ID, f.Severity, f.Resource, f.FirstSeen)
	a.Description = limit(describe(t.rules[f.Rule], f), maxASFFDescription)
	switch f.Status {
	case finding.Unknown:
		a.Compliance.Status = "NOT_AVAILABLE"
		a.Compliance.StatusReasons = []ASFFStatusReason{{ReasonCode: unreadable, Description: limit(f.Reason, maxASFFDescription)}}
	case finding.Suppressed:
		// An import can't change a finding's workflow status once it is there
		// (API reference, BatchImportFindings), but it can archive it.
		a.Compliance.Status = "FAILED"
		a.RecordState = "ARCHIVED"
		a.Description = limit("Accepted by "+f.Suppression.Owner+" until "+f.Suppression.Expires+": "+f.Suppression.Reason+". "+a.Description, maxASFFDescription)
	default:
		a.Compliance.Status = "FAILED"
	}
	return a
}

// Resolved returns a finding of an earlier run that is gone.
func (t ToASFF) Resolved(e state.Entry) ASFF {
	a := t.base(e.Rule, e.ID, e.Severity, e.Resource, e.FirstSeen)
	a.Description = limit(a.Title+": resolved.", maxASFFDescription)
	a.Compliance.Status = "PASSED"
	a.RecordState = "ARCHIVED"
	return a
}

func (t ToASFF) base(rule, id string, severity finding.Severity, resource finding.Resource, firstSeen time.Time) ASFF {
	now := t.result.Time.Format(asffTime)
	a := ASFF{
		SchemaVersion: "2018-10-08",
		ID:            "secrets-auditor/" + t.result.Environment + "/" + id,
		ProductARN:    "arn:" + spec.Partition(t.region) + ":securityhub:" + t.region + ":" + t.result.Account + ":product/" + t.result.Account + "/default",
		GeneratorID:   "secrets-auditor/" + rule,
		AWSAccountID:  t.result.Account,
		Region:        t.region,
		Types:         []string{"Software and Configuration Checks/Industry and Regulatory Standards"},
		CreatedAt:     now, UpdatedAt: now,
		Title:         rule,
		ProductFields: map[string]string{"Rule": rule, "Run": t.result.Run, "Owner": orNobody(resource.Owner)},
		Resources:     []ASFFResource{{Type: asffType(resource.Type), ID: resource.ARN, Region: resource.Region}},
		RecordState:   "ACTIVE",
	}
	a.Severity.Label = strings.ToUpper(string(severity))
	a.FindingProviderFields.Severity, a.FindingProviderFields.Types = a.Severity, a.Types
	if !firstSeen.IsZero() {
		a.FirstObservedAt = firstSeen.Format(asffTime)
		a.CreatedAt = a.FirstObservedAt
	}
	if known := t.rules[rule]; known != nil {
		a.Title = limit(known.Title, maxASFFTitle)
		a.Remediation.Recommendation.Text = limit(known.Remediation, maxASFFText)
		for _, framework := range rules.Frameworks() {
			for _, control := range known.Controls[framework] {
				a.Compliance.RelatedRequirements = append(a.Compliance.RelatedRequirements, string(framework)+" "+control)
			}
		}
		if len(a.Compliance.RelatedRequirements) > maxASFFRelated {
			a.Compliance.RelatedRequirements = a.Compliance.RelatedRequirements[:maxASFFRelated]
		}
	}
	return a
}

// asffType is the type as ASFF has it.
func asffType(cloudFormation string) string {
	known, ok := map[string]string{
		"AWS::SecretsManager::Secret": "AwsSecretsManagerSecret", "AWS::KMS::Key": "AwsKmsKey", "AWS::Lambda::Function": "AwsLambdaFunction",
		"AWS::CloudTrail::Trail": "AwsCloudTrailTrail", "AWS::ECS::TaskDefinition": "AwsEcsTaskDefinition", accountType: "AwsAccount",
	}[cloudFormation]
	if !ok {
		return "Other"
	}
	return known
}

func describe(rule *audit.RuleResult, f finding.Finding) string {
	text := f.Resource.Name + ": " + rule.Title + "."
	if summary := f.Summary(); summary != "" {
		text += " " + summary + "."
	}
	return text
}

func orNobody(owner string) string {
	if owner == "" {
		return "nobody"
	}
	return owner
}

// limit cuts a text to n bytes, never within a character.
func limit(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const dots = "…"
	return strings.ToValidUTF8(text[:n-len(dots)], "") + dots
}

// writeASFF writes one JSON array, as BatchImportFindings takes it, though in
// calls of 100.
func writeASFF(w io.Writer, r *audit.Result, _ []controls.Framework) error {
	region := ""
	if len(r.Regions) > 0 {
		region = r.Regions[0].Name
	}
	to := NewToASFF(r, region)
	out := bufio.NewWriter(w)
	fmt.Fprint(out, "[") // the buffer keeps its first error for Flush
	separator := "\n  "
	write := func(a ASFF) error {
		line, err := json.Marshal(a)
		fmt.Fprint(out, separator)
		fmt.Fprintf(out, "%s", line)
		separator = ",\n  "
		return err
	}
	for a, err := range to.All() {
		if err == nil {
			err = write(a)
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprint(out, "\n]\n")
	return out.Flush()
}
