package spec

// The metrics of dual reads (package dualread), in MetricNamespace, by
// DimensionService. A service writes them to its log in CloudWatch's embedded
// metric format while it migrates; the migration's validation adds them up.
const (
	MetricDualReadNew      = "DualReadNew"      // reads that Secrets Manager answered
	MetricDualReadOld      = "DualReadOld"      // reads that the old place answered
	MetricDualReadFailed   = "DualReadFailed"   // reads that nobody answered
	MetricDualReadCompared = "DualReadCompared" // reads whose places were compared
	MetricDualReadDiffer   = "DualReadDiffer"   // reads whose places held different values
)

// DimensionService is who reads: the name of the Lambda function, or what
// EnvService says.
const DimensionService = "Service"

// EnvService is what a service outside of Lambda calls itself in its metrics.
// The migrator sets it to <cluster>/<service> where it switches an ECS service
// to dual reads. Empty: the service sends no metrics of its dual reads.
const EnvService = "SECRETS_SERVICE"
