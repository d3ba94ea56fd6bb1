package report

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/controls"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
)

// ocsf is a Compliance Finding of the Open Cybersecurity Schema Framework, class
// 2003 with the profile cloud (https://schema.ocsf.io/1.4.0/classes/compliance_finding).
// Times are milliseconds since 1970.
type ocsf struct {
	ActivityID   int            `json:"activity_id"`
	CategoryUID  int            `json:"category_uid"`
	ClassUID     int            `json:"class_uid"`
	TypeUID      int            `json:"type_uid"`
	Time         int64          `json:"time"`
	SeverityID   int            `json:"severity_id"`
	Severity     string         `json:"severity"`
	StatusID     int            `json:"status_id"`
	Status       string         `json:"status"`
	Message      string         `json:"message"`
	Metadata     ocsfMetadata   `json:"metadata"`
	Cloud        ocsfCloud      `json:"cloud"`
	FindingInfo  ocsfInfo       `json:"finding_info"`
	Compliance   ocsfCompliance `json:"compliance"`
	Remediation  ocsfText       `json:"remediation"`
	Resources    []ocsfResource `json:"resources"`
	StatusDetail string         `json:"status_detail,omitempty"`
}

type ocsfMetadata struct {
	Version  string      `json:"version"`
	Profiles []string    `json:"profiles"`
	UID      string      `json:"uid"`
	Product  ocsfProduct `json:"product"`
}

type ocsfProduct struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

type ocsfCloud struct {
	Provider string      `json:"provider"`
	Region   string      `json:"region,omitempty"`
	Account  ocsfAccount `json:"account"`
}

type ocsfAccount struct {
	UID string `json:"uid"`
}

type ocsfInfo struct {
	UID           string `json:"uid"`
	Title         string `json:"title"`
	Desc          string `json:"desc"`
	FirstSeenTime int64  `json:"first_seen_time,omitempty"`
	LastSeenTime  int64  `json:"last_seen_time"`
}

type ocsfCompliance struct {
	Control       string   `json:"control"`
	Standards     []string `json:"standards"`
	Requirements  []string `json:"requirements"`
	Status        string   `json:"status"`
	StatusID      int      `json:"status_id"`
	StatusDetails []string `json:"status_details,omitempty"`
}

type ocsfText struct {
	Desc string `json:"desc"`
}

type ocsfResource struct {
	UID    string     `json:"uid"`
	Name   string     `json:"name"`
	Type   string     `json:"type"`
	Region string     `json:"region,omitempty"`
	Owner  *ocsfOwner `json:"owner,omitempty"`
}

type ocsfOwner struct {
	Name string `json:"name"`
}

// The numbers of OCSF's dictionary.
const (
	ocsfVersion            = "1.4.0"
	ocsfCreate, ocsfUpdate = 1, 2
	ocsfClose              = 3
	ocsfFindings           = 2
	ocsfComplianceFinding  = 2003
	ocsfNew, ocsfOngoing   = 1, 2
	ocsfSuppressed         = 3
	ocsfResolved           = 4
	ocsfPass, ocsfFail     = 1, 3
	ocsfWarning            = 2 // "did not yield a result due to missing information"
)

func writeOCSF(w io.Writer, r *audit.Result, _ []controls.Framework) error {
	out := bufio.NewWriter(w)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	byID := map[string]*audit.RuleResult{}
	for _, rule := range r.Rules {
		byID[rule.ID] = rule
		for f, err := range rule.Findings() {
			if err == nil {
				err = encoder.Encode(toOCSF(r, rule, f))
			}
			if err != nil {
				return err
			}
		}
	}
	for e, err := range r.ResolvedFindings() {
		if err != nil {
			return err
		}
		rule := byID[e.Rule]
		if rule == nil {
			continue // a rule that a newer version dropped
		}
		o := toOCSF(r, rule, finding.Finding{ID: e.ID, Rule: e.Rule, Severity: e.Severity, Resource: e.Resource, FirstSeen: e.FirstSeen})
		o.activity(ocsfClose)
		o.StatusID, o.Status = ocsfResolved, "Resolved"
		o.Compliance.StatusID, o.Compliance.Status = ocsfPass, "Pass"
		if err := encoder.Encode(o); err != nil {
			return err
		}
	}
	return out.Flush()
}

func (o *ocsf) activity(id int) { o.ActivityID, o.TypeUID = id, ocsfComplianceFinding*100+id }

func toOCSF(r *audit.Result, rule *audit.RuleResult, f finding.Finding) ocsf {
	o := ocsf{
		CategoryUID: ocsfFindings, ClassUID: ocsfComplianceFinding, Time: r.Time.UnixMilli(),
		SeverityID: f.Severity.Rank() + 1, // 2 is Low, 5 Critical
		Severity:   map[finding.Severity]string{finding.Low: "Low", finding.Medium: "Medium", finding.High: "High", finding.Critical: "Critical"}[f.Severity],
		StatusID:   ocsfOngoing, Status: "In Progress",
		Message:     limit(describe(rule, f), maxASFFDescription),
		Metadata:    ocsfMetadata{ocsfVersion, []string{"cloud"}, r.Run + "/" + f.ID, ocsfProduct{"Secrets auditor", "aistudio"}},
		Cloud:       ocsfCloud{"AWS", f.Resource.Region, ocsfAccount{r.Account}},
		FindingInfo: ocsfInfo{UID: f.ID, Title: rule.Title, Desc: rule.Rationale, LastSeenTime: r.Time.UnixMilli()},
		Compliance:  ocsfCompliance{Control: rule.ID, Status: "Fail", StatusID: ocsfFail},
		Remediation: ocsfText{rule.Remediation},
		Resources:   []ocsfResource{{UID: f.Resource.ARN, Name: f.Resource.Name, Type: f.Resource.Type, Region: f.Resource.Region}},
	}
	o.activity(ocsfUpdate)
	if f.New {
		o.activity(ocsfCreate)
		o.StatusID, o.Status = ocsfNew, "New"
	}
	if !f.FirstSeen.IsZero() {
		o.FindingInfo.FirstSeenTime = f.FirstSeen.UnixMilli()
	}
	if f.Resource.Owner != "" {
		o.Resources[0].Owner = &ocsfOwner{f.Resource.Owner}
	}
	switch f.Status {
	case finding.Unknown:
		o.Compliance.Status, o.Compliance.StatusID = "Warning", ocsfWarning
		o.StatusDetail = f.Reason
	case finding.Suppressed:
		o.StatusID, o.Status = ocsfSuppressed, "Suppressed"
		o.StatusDetail = f.Suppression.Reason
	}
	for _, framework := range rules.Frameworks() {
		if list := rule.Controls[framework]; len(list) > 0 {
			o.Compliance.Standards = append(o.Compliance.Standards, string(framework))
			o.Compliance.Requirements = slices.Concat(o.Compliance.Requirements, list)
		}
	}
	for _, e := range f.Evidence {
		o.Compliance.StatusDetails = append(o.Compliance.StatusDetails, e.Name+": "+e.Value)
	}
	return o
}
