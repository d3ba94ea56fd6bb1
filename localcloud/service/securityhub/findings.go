package securityhub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aistudio/secrets/localcloud/api"
)

// finding is one in ASFF, as JSON has it:
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format.html
type finding map[string]any

type findingKey struct{ product, id string }

// required are the attributes without which there is no finding; some may be in
// FindingProviderFields instead.
var required = []string{
	"AwsAccountId", "CreatedAt", "Description", "GeneratorId", "Id", "ProductArn", "Resources", "SchemaVersion", "Severity", "Title", "Types", "UpdatedAt",
}

// optional are the other attributes.
var optional = []string{
	"Action", "AwsAccountName", "CompanyName", "Compliance", "Confidence", "Criticality", "Detection", "FindingProviderFields", "FirstObservedAt",
	"GeneratorDetails", "LastObservedAt", "Malware", "Network", "NetworkPath", "Note", "PatchSummary", "Process", "ProcessedAt", "ProductFields",
	"ProductName", "RecordState", "Region", "RelatedFindings", "Remediation", "Sample", "SourceUrl", "ThreatIntelIndicators", "Threats",
	"UserDefinedFields", "VerificationState", "Vulnerabilities", "Workflow", "WorkflowState",
}

// customers are the attributes that the customer owns: an update keeps them.
var customers = []string{"Note", "UserDefinedFields", "VerificationState", "Workflow", "WorkflowState"}

// longest are the lengths of texts, in characters.
var longest = map[string]int{"Id": 512, "GeneratorId": 512, "Title": 256, "Description": 1024}

// severities are the labels, with the normalized numbers that stand for them.
var severities = map[string]float64{"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}

func (f finding) text(name string) string { s, _ := f[name].(string); return s }

// object returns an attribute that is an object; nil for none.
func (f finding) object(name string) finding { m, _ := f[name].(map[string]any); return m }

// has tells whether an attribute is there, also among the provider's.
func (f finding) has(name string) bool {
	if v, ok := f[name]; ok && v != nil && v != "" {
		return true
	}
	_, ok := f.object("FindingProviderFields")[name]
	return ok && (name == "Severity" || name == "Types")
}

// check returns what is wrong with a finding, or "".
func (f finding) check(p place) string {
	for _, name := range required {
		if !f.has(name) {
			return "Finding does not adhere to Amazon Finding Format. data should have required property '" + name + "'."
		}
	}
	for name := range f {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return "Finding does not adhere to Amazon Finding Format. data should NOT have additional property '" + name + "'."
		}
	}
	for name, most := range longest {
		if utf8.RuneCountInString(f.text(name)) > most {
			return fmt.Sprintf("Finding does not adhere to Amazon Finding Format. data.%s should NOT be longer than %d characters.", name, most)
		}
	}
	for _, name := range []string{"CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt"} {
		if f.has(name) && f.time(name).IsZero() {
			return "Finding does not adhere to Amazon Finding Format. data." + name + " should match format date-time."
		}
	}
	resources, _ := f["Resources"].([]any)
	switch {
	case f.text("SchemaVersion") != "2018-10-08":
		return "Finding does not adhere to Amazon Finding Format. data.SchemaVersion should be equal to one of the allowed values."
	case len(resources) == 0 || len(resources) > 32:
		return "Finding does not adhere to Amazon Finding Format. data.Resources should have 1 to 32 items."
	case f.text("AwsAccountId") != p.account:
		return "Finding is for account " + f.text("AwsAccountId") + ", not " + p.account + "."
	case f.text("ProductArn") != api.ARN("securityhub", p.region, p.account, "product/"+p.account+"/default"):
		return "ProductArn " + f.text("ProductArn") + " is not the default product of the account and region."
	}
	for _, r := range resources {
		if m, _ := r.(map[string]any); finding(m).text("Type") == "" || finding(m).text("Id") == "" {
			return "Finding does not adhere to Amazon Finding Format. data.Resources should have required properties 'Type' and 'Id'."
		}
	}
	if label := f.severity(); label != "" {
		if _, ok := severities[label]; !ok {
			return "Finding does not adhere to Amazon Finding Format. data.Severity.Label should be equal to one of the allowed values."
		}
	}
	if state := f.text("RecordState"); state != "" && state != "ACTIVE" && state != "ARCHIVED" {
		return "Finding does not adhere to Amazon Finding Format. data.RecordState should be equal to one of the allowed values."
	}
	if status := f.object("Compliance").text("Status"); status != "" && !slices.Contains([]string{"PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"}, status) {
		return "Finding does not adhere to Amazon Finding Format. data.Compliance.Status should be equal to one of the allowed values."
	}
	return ""
}

func (f finding) time(name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, f.text(name))
	if err != nil {
		return time.Time{}
	}
	return t
}

func (f finding) severity() string {
	if label := f.object("FindingProviderFields").object("Severity").text("Label"); label != "" {
		return label
	}
	return f.object("Severity").text("Label")
}

type importInput struct{ Findings []json.RawMessage }

type importOutput struct {
	FailedCount, SuccessCount int
	FailedFindings            []importError
}

type importError struct {
	Id, ErrorCode, ErrorMessage string
}

// importFindings takes those that are in order and tells what is wrong with the
// others.
func (s *Service) importFindings(ctx context.Context, r *api.Request, in *importInput) (*importOutput, error) {
	r.TrailParams = map[string]any{} // CloudTrail shows no findings
	product := r.ARN("securityhub", "product/"+r.Account+"/default")
	if err := r.Authorize(ctx, api.Check{
		Action: "securityhub:BatchImportFindings", Resource: product, Context: map[string][]string{"securityhub:TargetAccount": {r.Account}},
	}); err != nil {
		return nil, err
	}
	if n := len(in.Findings); n == 0 || n > maxFindings {
		return nil, invalid("Invalid parameter 'Findings'. data.Findings should have 1 to %d items, not %d", maxFindings, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.hub(r)
	if err != nil {
		return nil, err
	}
	if !h.imports.AllowN(s.env.Clock.Now(), 1) {
		return nil, api.StatusErrorf(http.StatusTooManyRequests, "TooManyRequestsException", "Too Many Requests")
	}
	out := &importOutput{FailedFindings: []importError{}}
	for _, raw := range in.Findings {
		var f finding
		problem := "Finding is not a JSON object."
		if json.Unmarshal(raw, &f) == nil {
			problem = f.check(at(r))
		}
		if len(raw) > maxSize {
			problem = fmt.Sprintf("Finding is larger than %d bytes.", maxSize)
		}
		if problem != "" {
			out.FailedFindings = append(out.FailedFindings, importError{f.text("Id"), "InvalidInput", problem})
			out.FailedCount++
			continue
		}
		h.take(f, r)
		out.SuccessCount++
	}
	return out, nil
}

// take keeps a new finding, or updates an old one when it says more recently
// what it says.
func (h *hub) take(f finding, r *api.Request) {
	k := findingKey{f.text("ProductArn"), f.text("Id")}
	old := h.findings[k]
	if old != nil && !f.time("UpdatedAt").After(old.time("UpdatedAt")) {
		return
	}
	provider := f.object("FindingProviderFields")
	if provider == nil {
		provider = finding{}
	}
	for _, name := range []string{"Severity", "Types"} {
		if _, ok := provider[name]; !ok {
			provider[name] = f[name]
		}
		f[name] = provider[name]
	}
	f["FindingProviderFields"] = map[string]any(provider)
	if label := f.severity(); label != "" {
		s := maps.Clone(f.object("Severity"))
		s["Normalized"] = severities[label]
		f["Severity"] = map[string]any(s)
	}
	for name, value := range map[string]any{
		"RecordState": "ACTIVE", "Region": r.Region, "ProductName": "Default", "CompanyName": "Personal",
		"Workflow": map[string]any{"Status": "NEW"}, "WorkflowState": "NEW",
	} {
		if _, ok := f[name]; !ok {
			f[name] = value
		}
	}
	for _, name := range customers {
		if value, ok := old[name]; ok {
			f[name] = value
		}
	}
	f["ProcessedAt"] = r.Time.Format("2006-01-02T15:04:05.000Z")
	h.findings[k] = f
}

// filters are those that GetFindings knows here. Values of one are alternatives;
// the filters must all hold.
type filters struct {
	Id, ProductArn, GeneratorId, AwsAccountId, Title, SeverityLabel, RecordState []stringFilter
	ComplianceStatus, WorkflowStatus, ResourceId, ResourceType                   []stringFilter
}

type stringFilter struct{ Comparison, Value string }

type getInput struct {
	Filters    *filters
	MaxResults int
	NextToken  string
}

type getOutput struct {
	Findings  []finding
	NextToken string `json:",omitempty"`
}

func (s *Service) getFindings(ctx context.Context, r *api.Request, in *getInput) (*getOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "securityhub:GetFindings", Resource: hubARN(r)}); err != nil {
		return nil, err
	}
	if in.MaxResults < 0 || in.MaxResults > 100 {
		return nil, invalid("Invalid parameter 'MaxResults'. data.MaxResults should be between 1 and 100")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h, err := s.hub(r)
	if err != nil {
		return nil, err
	}
	found := []finding{}
	for _, k := range slices.SortedFunc(maps.Keys(h.findings), func(a, b findingKey) int {
		return cmp.Or(cmp.Compare(a.product, b.product), cmp.Compare(a.id, b.id))
	}) {
		ok, err := in.Filters.match(h.findings[k])
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, h.findings[k])
		}
	}
	start := 0
	if in.NextToken != "" {
		if start, err = strconv.Atoi(in.NextToken); err != nil || start < 0 || start > len(found) {
			return nil, invalid("Invalid parameter 'NextToken'")
		}
	}
	end := min(len(found), start+cmp.Or(in.MaxResults, 10))
	out := &getOutput{Findings: found[start:end]}
	if end < len(found) {
		out.NextToken = strconv.Itoa(end)
	}
	return out, nil
}

func (in *filters) match(f finding) (bool, error) {
	if in == nil {
		return true, nil
	}
	var ids, types []string
	resources, _ := f["Resources"].([]any)
	for _, r := range resources {
		m, _ := r.(map[string]any)
		ids, types = append(ids, finding(m).text("Id")), append(types, finding(m).text("Type"))
	}
	for _, c := range []struct {
		filters []stringFilter
		values  []string
	}{
		{in.Id, []string{f.text("Id")}}, {in.ProductArn, []string{f.text("ProductArn")}}, {in.GeneratorId, []string{f.text("GeneratorId")}},
		{in.AwsAccountId, []string{f.text("AwsAccountId")}}, {in.Title, []string{f.text("Title")}}, {in.RecordState, []string{f.text("RecordState")}},
		{in.SeverityLabel, []string{f.object("Severity").text("Label")}}, {in.ComplianceStatus, []string{f.object("Compliance").text("Status")}},
		{in.WorkflowStatus, []string{f.object("Workflow").text("Status")}}, {in.ResourceId, ids}, {in.ResourceType, types},
	} {
		ok := len(c.filters) == 0
		for _, filter := range c.filters {
			for _, value := range c.values {
				switch filter.Comparison {
				case "EQUALS":
					ok = ok || value == filter.Value
				case "PREFIX":
					ok = ok || strings.HasPrefix(value, filter.Value)
				default:
					return false, api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support the comparison %q.", filter.Comparison)
				}
			}
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}
