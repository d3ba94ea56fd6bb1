// Package secrets reads secrets from AWS Secrets Manager through a cache in the
// process. A read that the cache answers takes no lock, allocates nothing and
// is done in well under a microsecond; and the cache goes on through rotations,
// throttling and the outage of a region.
//
//	client, err := secrets.New(ctx)
//	...
//	password, err := client.GetString(ctx, "acme/prod/shop/api-token")
//
// Below it are packages for what secrets are used for: dbconn (databases),
// apikey (keys that callers present), dualread (migrations), feed (the rotation
// feed) and secretstest (services' tests). Package spec has the shapes of
// secrets and the type Value, which never prints.
//
// # What a read does
//
//   - Within the TTL it returns the cached value. From about 85 % of the TTL on,
//     at a point that varies by chance, one fetch in the background replaces it,
//     so that readers of a secret in use never wait.
//   - Past the TTL it waits for a fetch. There is one fetch for all readers of a
//     key, and each leaves when its own context ends.
//   - When that fails for a passing reason (no network, no answer, throttling, a
//     fault of the service), the expired value is returned, marked Stale, for up
//     to the maximum staleness. Reads during the outage don't wait, and the
//     service is asked again after 2 seconds, then less and less often, down to
//     every 30 seconds.
//   - When it fails for good (no such secret, access denied, key disabled), the
//     value is dropped and the error returned. It is remembered for the negative
//     TTL.
//
// A rotation is noticed when the value is next fetched, through the rotation
// feed (WithFeed), or because the credential is refused (Do, dbconn): then the
// secret is fetched past the cache and tried once more. Secrets Manager is only
// asked for secretsmanager:GetSecretValue, and kms:Decrypt by way of it;
// Prefetch can use secretsmanager:BatchGetSecretValue.
//
// Ages are taken from the wall clock: after the process or the machine slept,
// the first read knows. Calls that were under way have the time left that they
// had before.
//
// # Options and environment variables
//
// An option comes before its variable, and both before the default. Durations in
// variables are Go's: 90s, 15m, 1h. AWS's own variables (AWS_REGION,
// AWS_ENDPOINT_URL, AWS_PROFILE and so on) work as in the AWS SDK.
//
//	Option             Variable                   Default   Sets
//	WithTTL            SECRETS_CACHE_TTL          1h        how long a value is served
//	WithMaxStale       SECRETS_CACHE_MAX_STALE    24h       how long past the TTL in an outage
//	WithMaxEntries     SECRETS_CACHE_SIZE         1000      values kept, least recently used go
//	WithNegativeTTL                               10s       how long a definite error is remembered
//	WithMinRefresh                                1s        least time between forced fetches of a key
//	WithTimeout        SECRETS_TIMEOUT            5s        of one region's answer
//	WithFailover       SECRETS_FAILOVER_REGIONS   none      replicas' regions, comma separated
//	WithFailoverAfter  SECRETS_FAILOVER_AFTER     500ms     time until the next region is asked as well
//	WithFeed                                      none      rotation feed and interval (30s)
//	WithHooks                                     none      functions told of reads and fetches
//	WithRegion         SECRETS_REGION             AWS's     first region to read from
//	WithConfig                                    AWS's     AWS configuration
//	WithAPI                                       AWS SDK   Secrets Manager clients by region
//	WithClock                                     system    clock, for tests
//
// # Memory
//
// Cached values are bytes in the heap of the process. They are overwritten when
// the last reference to them is collected; spec.Value tells how far that goes.
package secrets
