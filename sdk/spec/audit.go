package spec

// The environment variables by which the infrastructure configures the
// auditor's function.
const (
	// EnvAuditBucket names the S3 bucket of the audit: its configuration, its
	// state, its reports and the migration's scan.
	EnvAuditBucket = "SECRETS_AUDIT_BUCKET"

	// EnvAuditTopic is the ARN of the SNS topic of the alerts. Empty: none are
	// sent.
	EnvAuditTopic = "SECRETS_AUDIT_TOPIC"

	// EnvAuditSecurityHub is true if findings go to Security Hub. Empty: false.
	EnvAuditSecurityHub = "SECRETS_AUDIT_SECURITY_HUB"

	// EnvAuditReportURL begins the links in alerts; the key of the report in
	// the bucket follows. Empty: the S3 console's address of the bucket.
	EnvAuditReportURL = "SECRETS_AUDIT_REPORT_URL"
)

// The keys of the audit's bucket. See ScanKey for the migration's scan.
const (
	AuditCatalogueKey = "config/catalogue.json" // an AuditCatalogue; the infrastructure writes it
	AuditPolicyKey    = "config/policy.yaml"    // the auditor's policy; none: its defaults
	AuditStateKey     = "state/audit.jsonl.gz"  // what the last run found
	AuditReports      = "reports/"              // <this><environment>/<time>/<file>
)

// AuditCatalogue is what a stack declares, as the auditor compares it with what
// there is. It holds no value of a secret.
type AuditCatalogue struct {
	Organization   string        `json:"organization"`
	Environment    string        `json:"environment"`
	Regions        []string      `json:"regions"`                 // to audit: the stack's, then its replica's
	ReplicaRegion  string        `json:"replicaRegion,omitempty"` // where each secret wants a replica; empty: nowhere
	Administrators []string      `json:"administrators,omitempty"`
	Known          []string      `json:"known,omitempty"` // names or ARNs of secrets that the stack uses and doesn't declare, such as a database's master
	Secrets        []AuditSecret `json:"secrets"`
}

// AuditSecret is a managed secret as its stack declares it.
type AuditSecret struct {
	Name               string   `json:"name"`
	Kind               Kind     `json:"kind"`
	Owner              string   `json:"owner"`
	DataClassification string   `json:"dataClassification"`
	Readers            []string `json:"readers"`                    // ARNs of the roles that may read; null: unknown
	Rotator            string   `json:"rotator,omitempty"`          // ARN of the role of its rotation function
	Schedule           string   `json:"schedule,omitempty"`         // rate(…) or cron(…); empty: not rotated
	RotationDisabled   string   `json:"rotationDisabled,omitempty"` // why it isn't
	RotationFunction   string   `json:"rotationFunction,omitempty"` // ARN
}

// AuditActions returns the IAM actions that the auditor calls to read an
// account: metadata, and nothing that returns a secret's value. Its role also
// may list, read and write its bucket, publish to its topic and, where findings
// go to Security Hub, import them.
func AuditActions() []string {
	return []string{
		"cloudtrail:DescribeTrails", "cloudtrail:GetEventSelectors", "cloudtrail:GetTrailStatus", "cloudtrail:LookupEvents",
		"cloudwatch:GetMetricData",
		"kms:DescribeKey", "kms:GetKeyRotationStatus",
		"lambda:GetFunctionConfiguration",
		"secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy", "secretsmanager:ListSecretVersionIds", "secretsmanager:ListSecrets",
	}
}
