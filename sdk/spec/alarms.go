package spec

// Alarms that others than whoever made them know, by their names within a stack's,
// which begin with "<organization>-<environment>-".
const (
	AlarmPlaintextLeft  = "plaintext-left"  // the last scan found secrets in plaintext
	AlarmAuditCritical  = "audit-critical"  // the last audit has critical findings
	AlarmUnexpectedRead = "unexpected-read" // somebody read a value whom the stack's catalogue doesn't name
)
