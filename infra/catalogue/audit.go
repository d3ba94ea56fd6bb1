package catalogue

import (
	"regexp"
	"slices"
	"strings"
)

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
	Trail         Trail  `mapstructure:"trail"`
	Scan          Scan   `mapstructure:"scan"`
}

// Trail configures the audit trail.
type Trail struct {
	Existing      bool   `mapstructure:"existing"`      // the account has one, such as its organization's; the stack makes none
	LogGroup      string `mapstructure:"logGroup"`      // of an existing trail, in the stack's account and region; "": its events aren't counted
	RetentionDays int    `mapstructure:"retentionDays"` // of the log files; 400 by default
}

// Scan configures the migration's daily scan for secrets in plaintext, an hour
// before the audit.
type Scan struct {
	Off           bool     `mapstructure:"off"`
	MemoryMB      int      `mapstructure:"memoryMb"`      // of the function; 512 by default
	Regions       []string `mapstructure:"regions"`       // to scan; none: the stack's
	MigrationFile string   `mapstructure:"migrationFile"` // what people have decided about names; "": nothing
	Keys          []string `mapstructure:"keys"`          // ARNs of KMS keys of functions' variables, which the scan may use
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
	readMemory(KeyAudit+".memoryMb", &audit.MemoryMB, mistakes)
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
	audit.Trail.read(mistakes)
	audit.Scan.read(mistakes)
	if url := audit.ReportURL; url != "" && !strings.HasPrefix(url, "https://") {
		mistakes.add(KeyAudit+".reportUrl", "%q doesn't begin with https://", url)
	}
}

// readMemory reads the memory of a function that works through the account.
func readMemory(path string, megabytes *int, mistakes *MistakesError) {
	if *megabytes == 0 {
		*megabytes = defaultAuditMemory
	}
	if *megabytes < 128 || *megabytes > 10240 {
		mistakes.add(path, "%d: Lambda takes 128 to 10240", *megabytes)
	}
}

func (s *Scan) read(mistakes *MistakesError) {
	const path = KeyAudit + ".scan"
	readMemory(path+".memoryMb", &s.MemoryMB, mistakes)
	for i, region := range s.Regions {
		if !regionPattern.MatchString(region) {
			mistakes.add(path+".regions", "%q is no region", region)
		}
		if slices.Contains(s.Regions[:i], region) {
			mistakes.add(path+".regions", "%q is there twice", region)
		}
	}
	for _, key := range s.Keys {
		if !keyPattern.MatchString(key) {
			mistakes.add(path+".keys", "%q is no key's ARN, such as arn:aws:kms:us-east-1:123456789012:key/…; aliases can't be in a policy", key)
		}
	}
}

func (t *Trail) read(mistakes *MistakesError) {
	const path = KeyAudit + ".trail"
	switch {
	case t.Existing && t.RetentionDays != 0:
		mistakes.add(path+".retentionDays", "is for the stack's own trail: leave it out, or existing")
	case !t.Existing && t.LogGroup != "":
		mistakes.add(path+".logGroup", "is of a trail that exists: write existing: true, or leave it out")
	}
	if group := t.LogGroup; group != "" && !logGroupPattern.MatchString(group) {
		mistakes.add(path+".logGroup", "%q is no name of a log group: write up to 512 letters, digits and . - _ / #", group)
	}
	if t.RetentionDays == 0 {
		t.RetentionDays = defaultAuditRetention
	}
	if t.RetentionDays < 1 || t.RetentionDays > maxAuditRetention {
		mistakes.add(path+".retentionDays", "%d: write 1 to %d days", t.RetentionDays, maxAuditRetention)
	}
}

var (
	logGroupPattern = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	keyPattern      = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
)
