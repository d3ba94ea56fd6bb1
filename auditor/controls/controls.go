// Package controls says what an audit's verdicts mean for the controls of the
// frameworks that an assessor checks.
//
// The mapping is evidence for a control and not the whole of it: a control that
// passes here passes as far as secrets go.
package controls

import (
	"slices"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/rules"
)

// Framework is the state of a framework's controls.
type Framework struct {
	Name     rules.Framework        `json:"framework"`
	Slug     string                 `json:"-"` // for file names
	Controls []Control              `json:"controls"`
	Counts   map[finding.Status]int `json:"counts"` // controls by status
}

// Control is the state of one control.
type Control struct {
	ID     string                 `json:"id"`
	About  string                 `json:"about"` // in this project's words
	Status finding.Status         `json:"status"`
	Counts map[finding.Status]int `json:"counts"` // verdicts of its rules
	Rules  []string               `json:"rules"`
}

// Evaluate returns all frameworks, their controls in alphabetical order.
//
// A control fails if any of its rules found something, else is unknown if any
// couldn't judge, else passes if any passed; it doesn't apply if none of its
// rules had anything to judge. An accepted exception doesn't fail a control, and
// is counted.
func Evaluate(r *audit.Result) []Framework {
	var frameworks []Framework
	for _, name := range rules.Frameworks() {
		f := Framework{Name: name, Slug: slugs[name], Counts: map[finding.Status]int{}}
		byID := map[string]*Control{}
		var ids []string
		for _, rule := range r.Rules {
			for _, id := range rule.Controls[name] {
				c := byID[id]
				if c == nil {
					c = &Control{ID: id, About: about[id], Counts: map[finding.Status]int{}}
					byID[id] = c
					ids = append(ids, id)
				}
				c.Rules = append(c.Rules, rule.ID)
				for status, n := range rule.Counts {
					c.Counts[status] += n
				}
			}
		}
		slices.Sort(ids)
		for _, id := range ids {
			c := byID[id]
			c.Status = status(c.Counts)
			f.Counts[c.Status]++
			f.Controls = append(f.Controls, *c)
		}
		frameworks = append(frameworks, f)
	}
	return frameworks
}

func status(counts map[finding.Status]int) finding.Status {
	switch {
	case counts[finding.Fail] > 0:
		return finding.Fail
	case counts[finding.Unknown] > 0:
		return finding.Unknown
	case counts[finding.Pass] > 0 || counts[finding.Suppressed] > 0:
		return finding.Pass
	default:
		return finding.NotApplicable
	}
}

var slugs = map[rules.Framework]string{
	rules.SOC2: "soc2", rules.ISO27001: "iso27001", rules.HIPAA: "hipaa", rules.NIST: "nist-800-53", rules.SecurityHub: "security-hub",
}

// about says in a few words what a control is about; the standards' own texts
// are their publishers'.
var about = map[string]string{
	"A1.2":  "Availability: backup and recovery of data and infrastructure",
	"CC3.4": "Changes that affect risk are noticed and assessed",
	"CC6.1": "Logical access to protected information is restricted",
	"CC6.2": "Credentials are issued, and taken away, in a controlled way",
	"CC6.3": "Access follows roles and is removed when it is not needed",
	"CC6.6": "Protection against access from outside of the system's boundary",
	"CC7.1": "Vulnerabilities are found and mended",
	"CC7.2": "Systems are monitored for what is out of the ordinary",

	"A.5.9":  "Inventory of information and other assets",
	"A.5.17": "Authentication information is managed",
	"A.5.18": "Access rights are reviewed and removed",
	"A.5.36": "Policies and rules are kept",
	"A.8.3":  "Access to information is restricted",
	"A.8.8":  "Technical vulnerabilities are managed",
	"A.8.14": "Redundancy of information processing",
	"A.8.15": "Logging",
	"A.8.16": "Monitoring",
	"A.8.24": "Use of cryptography, keys included",

	"164.308(a)(4)(ii)(B)": "Access authorization",
	"164.308(a)(4)(ii)(C)": "Access establishment and modification",
	"164.308(a)(5)(ii)(D)": "Password management",
	"164.308(a)(7)(ii)":    "Contingency plan: backup and recovery",
	"164.312(a)(1)":        "Access control",
	"164.312(a)(2)(iv)":    "Encryption and decryption",
	"164.312(b)":           "Audit controls",
	"164.312(d)":           "Authentication of persons and entities",
	"164.312(e)(2)(ii)":    "Encryption in transmission",

	"AC-2(1)":  "Account management is automated",
	"AC-3":     "Access enforcement",
	"AC-3(15)": "Access enforcement: discretionary and mandatory",
	"AC-6":     "Least privilege",
	"AC-24":    "Access control decisions",
	"AU-2":     "Events that are logged",
	"AU-6":     "Audit records are reviewed",
	"AU-12":    "Audit records are generated",
	"CA-5":     "Plan of action and milestones",
	"CM-5(1)":  "Access restrictions for change are enforced and audited",
	"CM-8":     "Inventory of system components",
	"CP-9":     "Backup",
	"CP-10":    "Recovery",
	"IA-5(1)":  "Password-based authentication",
	"IA-5(7)":  "No unencrypted static authenticators",
	"SC-12":    "Cryptographic keys are established and managed",
	"SC-12(2)": "Symmetric keys",
	"SC-13":    "Cryptographic protection",
	"SC-23(3)": "Unique, randomly generated session identifiers",
	"SC-28(1)": "Protection of information at rest: cryptography",
	"SI-2":     "Flaws are remedied",

	"CloudTrail.1":     "A trail of all regions logs reads and writes",
	"CloudTrail.4":     "The trail's log files are validated",
	"ECS.8":            "No secrets in the environment of containers",
	"KMS.3":            "No key is deleted unintentionally",
	"KMS.4":            "Key rotation is enabled",
	"Lambda.2":         "Functions use supported runtimes",
	"SecretsManager.1": "Secrets have automatic rotation enabled",
	"SecretsManager.2": "Secrets with automatic rotation rotate successfully",
	"SecretsManager.3": "Unused secrets are removed",
	"SecretsManager.4": "Secrets are rotated within a number of days",
	"SecretsManager.5": "Secrets are tagged",
}
