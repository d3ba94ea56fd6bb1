package spec

// The environment variables by which the infrastructure configures the function
// of the migration's daily scan.
const (
	// EnvScanBucket names the S3 bucket in which the scan stores its result, the
	// audit's: see ScanKey and ScanConfigKey.
	EnvScanBucket = "SECRETS_SCAN_BUCKET"

	// EnvScanRegions are the regions to scan, comma separated. Empty: the
	// function's own.
	EnvScanRegions = "SECRETS_SCAN_REGIONS"

	// EnvScanEnvironment is the environment under which the metrics stand.
	EnvScanEnvironment = "SECRETS_SCAN_ENVIRONMENT"
)

// ScanConfigKey is the key of the migration's file (migration.<stack>.yaml) in
// the bucket, for what people have decided about names. None: the defaults.
const ScanConfigKey = "config/migration.yaml"

// The metrics of the migration's daily scan besides MetricPlaintextSecrets, by
// DimensionEnvironment.
const (
	MetricScans      = "MigrationScans" // 1 a completed run
	MetricScanUnread = "ScanUnread"     // places that couldn't be read, and so may hold secrets
)

// ScanActions returns the IAM actions that the migration's daily scan calls to
// read an account, on all resources. It doesn't read encrypted parameters, so it
// needs kms:Decrypt only for functions whose environment is under a key of the
// customer; without it these are unread. Its role also may list the bucket
// (s3:ListBucket, so that a missing object is told from a forbidden one), read
// ScanConfigKey and write ScanKey.
func ScanActions() []string {
	return []string{
		"ecs:DescribeServices", "ecs:DescribeTaskDefinition", "ecs:ListClusters", "ecs:ListServices", "ecs:ListTaskDefinitions",
		"events:ListEventBuses", "events:ListRuleNamesByTarget", "events:ListTagsForResource", "events:ListTargetsByRule",
		"lambda:GetFunction", "lambda:ListFunctions", "lambda:ListTags",
		"scheduler:GetSchedule", "scheduler:ListSchedules", "scheduler:ListTagsForResource",
		"ssm:DescribeParameters", "ssm:GetParameters",
	}
}
