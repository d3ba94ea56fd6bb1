package catalogue

import "strings"

// Audit configures the daily audit of secrets.
type Audit struct {
	Architecture  string `mapstructure:"architecture"`  // of the auditor's function; arm64 (default) or x86_64
	MemoryMB      int    `mapstructure:"memoryMb"`      // 512 by default
	Hour          *int   `mapstructure:"hour"`          // of the day, UTC; nil: 5
	PolicyFile    string `mapstructure:"policyFile"`    // YAML of what is demanded; "": the auditor's defaults
	RetentionDays int    `mapstructure:"retentionDays"` // of reports; 400 by default: a year, and time to assess it
	ObjectLock    string `mapstructure:"objectLock"`    // governance or compliance; "": none
	ReportURL     string `mapstructure:"reportUrl"`     // begins the links in alerts; "": S3's console
	SecurityHub   bool   `mapstructure:"securityHub"`   // findings go there too
	ConfigRules   bool   `mapstructure:"configRules"`   // AWS Config's rules for secrets too
}

const (
	defaultAuditMemory    = 512
	defaultAuditHour      = 5
	defaultAuditRetention = 400
	maxAuditRetention     = 36_500 // days, the most of S3's object lock (user guide, "Object Lock considerations")
)

// Lock is the mode of S3's object lock, as S3 writes it; "" for none.
func (a Audit) Lock() string { return strings.ToUpper(a.ObjectLock) }

func (s *Stack) readAudit(mistakes *MistakesError) {
	audit := &s.Audit
	if audit.Architecture == "" {
		audit.Architecture = "arm64"
	}
	validateArchitecture(KeyAudit+".architecture", audit.Architecture, mistakes)
	if audit.MemoryMB == 0 {
		audit.MemoryMB = defaultAuditMemory
	}
	if audit.MemoryMB < 128 || audit.MemoryMB > 10240 {
		mistakes.add(KeyAudit+".memoryMb", "%d: Lambda takes 128 to 10240", audit.MemoryMB)
	}
	if audit.Hour == nil {
		hour := defaultAuditHour
		audit.Hour = &hour
	}
	if *audit.Hour < 0 || *audit.Hour > 23 {
		mistakes.add(KeyAudit+".hour", "%d: write the hour of the day, 0 to 23, in UTC", *audit.Hour)
	}
	if audit.RetentionDays == 0 {
		audit.RetentionDays = defaultAuditRetention
	}
	if audit.RetentionDays < 1 || audit.RetentionDays > maxAuditRetention {
		mistakes.add(KeyAudit+".retentionDays", "%d: write 1 to %d days", audit.RetentionDays, maxAuditRetention)
	}
	if lock := audit.ObjectLock; lock != "" && lock != "governance" && lock != "compliance" {
		mistakes.add(KeyAudit+".objectLock", "%q: write governance, which some may lift, or compliance, which nobody may", lock)
	}
	if url := audit.ReportURL; url != "" && !strings.HasPrefix(url, "https://") {
		mistakes.add(KeyAudit+".reportUrl", "%q doesn't begin with https://", url)
	}
}
