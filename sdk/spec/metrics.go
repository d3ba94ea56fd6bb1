package spec

// The CloudWatch metrics of the Lambda functions, on which the infrastructure
// builds its alarms and its dashboard. The functions write them to their logs
// in CloudWatch's embedded metric format, so that they need no permission for
// it.
const (
	MetricNamespace = "Secrets"

	// Of a rotation function, by DimensionKind and DimensionStep.
	MetricStepDuration = "RotationStepDuration" // milliseconds
	MetricStepErrors   = "RotationStepErrors"   // 1 or 0 a step

	// Of the function that writes the rotation feed, by DimensionEnvironment.
	MetricFeedLag = "FeedLag" // milliseconds from the change to its entry in the feed

	// Of the layer's caches, by DimensionEnvironment.
	MetricCacheReads      = "CacheReads"      // reads of secrets
	MetricCacheStaleReads = "CacheStaleReads" // those among them that got a value past its TTL

	// Of the auditor, by DimensionEnvironment.
	MetricAudits             = "Audits"             // 1 a completed run
	MetricSecrets            = "Secrets"            // number of secrets seen
	MetricRotationCompliance = "RotationCompliance" // per cent of the secrets that must rotate and did in time
	MetricOldestValue        = "OldestValue"        // days since the oldest current value was written
	MetricAuditCoverage      = "AuditCoverage"      // per cent of the facts that could be read

	// Of the auditor, by DimensionEnvironment and DimensionSeverity or DimensionRule.
	MetricFindings = "Findings"

	// Of the migration's daily scan, by DimensionEnvironment.
	MetricPlaintextSecrets = "PlaintextSecrets" // secrets left outside Secrets Manager
)

// RuleRotationOverdue is the auditor's rule, as a value of DimensionRule, of
// secrets whose rotation is late.
const RuleRotationOverdue = "rotation-overdue"

// The dimensions of the metrics.
const (
	DimensionEnvironment = "Environment"
	DimensionKind        = "Kind"
	DimensionStep        = "Step"
	DimensionSeverity    = "Severity"
	DimensionRule        = "Rule"
)
