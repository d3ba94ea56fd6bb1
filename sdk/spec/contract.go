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

	// EnvDatabaseServerNames is a JSON object from the host in a secret to the
	// name that the database's certificate bears, for hosts that are an alias
	// (a CNAME) of it. Empty: the host itself is verified.
	EnvDatabaseServerNames = "SECRETS_DATABASE_SERVER_NAMES"

	// EnvLogLevel is debug, info, warn or error. Empty: info.
	EnvLogLevel = "SECRETS_LOG_LEVEL"

	// EnvAPIKeyPrefix begins the keys that the API key rotator generates.
	// Empty: the rotator's own.
	EnvAPIKeyPrefix = "SECRETS_API_KEY_PREFIX"

	// EnvAPIKeyIssuer is the JSON description of the admin API that issues API
	// keys. Empty: keys are generated.
	EnvAPIKeyIssuer = "SECRETS_API_KEY_ISSUER"

	// EnvPasswordOptions is a JSON object with the options of Secrets Manager's
	// GetRandomPassword, for the values of custom secrets. Empty: its defaults.
	EnvPasswordOptions = "SECRETS_PASSWORD_OPTIONS"

	// EnvWebhook is the JSON description of the webhook that applies the values
	// of custom secrets. Empty: they are only generated.
	EnvWebhook = "SECRETS_WEBHOOK"

	// EnvApplier is the ARN of the Lambda function that applies the values of
	// custom secrets, in place of a webhook. Empty: they are only generated.
	EnvApplier = "SECRETS_APPLIER"
)

// The environment variables that configure the cache of the SDK and of the
// Lambda layer. Durations are Go's: 90s, 15m, 1h.
const (
	EnvCacheTTL      = "SECRETS_CACHE_TTL"       // how long a value is served; empty: 1h
	EnvCacheMaxStale = "SECRETS_CACHE_MAX_STALE" // how long past that in an outage; empty: 24h
	EnvCacheSize     = "SECRETS_CACHE_SIZE"      // number of values kept; empty: 1000
	EnvTimeout       = "SECRETS_TIMEOUT"         // of one call; empty: 5s

	// EnvMetricsEnvironment is the DimensionEnvironment of the metrics that the
	// layer, or the function that writes the rotation feed, writes to the function's
	// log. Empty: it writes none.
	EnvMetricsEnvironment = "SECRETS_METRICS_ENVIRONMENT"

	EnvPrefetch = "SECRETS_PREFETCH" // ids that the layer reads at the first invocation, comma separated; empty: none

	EnvRegion          = "SECRETS_REGION"           // first region to read from; empty: AWS's own setting
	EnvFailoverRegions = "SECRETS_FAILOVER_REGIONS" // replicas' regions, comma separated, in order; empty: none
	EnvFailoverAfter   = "SECRETS_FAILOVER_AFTER"   // time until the next region is asked as well; empty: 500ms
)

// What the migrator sets in the environment of a service that reads a secret
// from the new and the old place.
const (
	// EnvDualRead is the switch of all dual reads of a process: new, old or
	// compare (see the SDK's package dualread). Empty: new.
	EnvDualRead = "SECRETS_DUALREAD"
)

// The layout of the rotation feed's DynamoDB table: partition key FeedKey and
// sort key FeedTime, both strings, and FeedExpiry as its time to live.
const (
	FeedKey     = "Feed"      // always FeedName: a table has one feed, with few entries
	FeedTime    = "Time"      // when the change was noted, RFC 3339 in UTC with nine decimals, "#" and the secret's id
	FeedSecret  = "SecretId"  // ARN or name
	FeedVersion = "VersionId" // the new current version
	FeedExpiry  = "ExpiresAt" // number of Unix seconds

	FeedName = "rotations"
)
