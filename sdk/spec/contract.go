package spec

// The environment variables by which the infrastructure configures the
// Lambda functions.
const (
	// EnvFeedTable names the DynamoDB table of the rotation feed. Empty: there
	// is no feed.
	EnvFeedTable = "SECRETS_FEED_TABLE"

	// EnvDatabaseCAFile names the PEM bundle of the authorities that the
	// database rotator trusts; a relative path starts at LAMBDA_TASK_ROOT.
	// Empty: the system's roots.
	EnvDatabaseCAFile = "SECRETS_DATABASE_CA_FILE"

	// EnvLogLevel is debug, info, warn or error. Empty: info.
	EnvLogLevel = "SECRETS_LOG_LEVEL"
)
