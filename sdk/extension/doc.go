// Package extension is the SDK's cache behind HTTP on localhost: an external
// Lambda extension for functions in any language, and a sidecar for ECS. It
// speaks the protocol of the AWS Parameters and Secrets Lambda Extension, which
// it can take the place of, and that of the AWS Secrets Manager Agent.
//
//	GET /secretsmanager/get?secretId=<id>[&versionStage=…][&versionId=…]
//	GET /v1/<id>[?versionStage=…][&versionId=…]
//	GET /systemsmanager/parameters/get?name=<name>[&version=…|&label=…][&withDecryption=true]
//	GET /ping
//
// Values in the query are URL-encoded. refreshNow=true reads past the cache, at
// most once a second for a key. All but /ping need the token in the header
// X-Aws-Parameters-Secrets-Token (or X-Vault-Token): the value of
// AWS_SESSION_TOKEN. The body is the JSON that GetSecretValue or GetParameter
// answers with. Errors of AWS keep their status and have the body
// {"__type":…,"message":…}.
//
// # Environment variables
//
//	AWS_TOKEN                                        the token, or file://<path> of a file that holds it; else
//	AWS_SESSION_TOKEN                                the token; else (SnapStart, containers)
//	AWS_CONTAINER_AUTHORIZATION_TOKEN                the token
//	PARAMETERS_SECRETS_EXTENSION_HTTP_PORT           port on 127.0.0.1; 2773
//	PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED       true or false; true
//	PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE          values kept of each service, 0 (off) to 1000; 1000
//	PARAMETERS_SECRETS_EXTENSION_MAX_CONNECTIONS     connections to each service of AWS, 1 to 100; 3
//	PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL           debug, info, warn, error or none; SECRETS_LOG_LEVEL, else info
//	SECRETS_MANAGER_TTL, SSM_PARAMETER_STORE_TTL     seconds, 0 (off) to 86400; SECRETS_CACHE_TTL, else 1 h
//	SECRETS_MANAGER_TIMEOUT_MILLIS                   of a call, 0 is as long as a function may run; SECRETS_TIMEOUT, else 5 s
//	SSM_PARAMETER_STORE_TIMEOUT_MILLIS               likewise
//	SECRETS_PREFETCH                                 ids of secrets to read at the first invocation, comma separated
//	SECRETS_FEED_TABLE                               DynamoDB table of the rotation feed
//	SECRETS_FEED_INTERVAL                            least time between requests to it, 1s to 1h; 30s
//
// The SDK's other variables (failover regions, maximum staleness) hold too; see
// package secrets. AWS's variables with values out of range are brought into it,
// and those that can't be read have the default; the log tells so. Where the
// SDK's variables are wrong, reads fail, and the log tells so at the start.
//
// # Differences from AWS's extension
//
//   - The TTL is 1 h by default, and more than 300 seconds are allowed: cached
//     values are refreshed before they expire and served through outages, and
//     the rotation feed tells of changes.
//   - Calls time out after 5 s by default.
//   - A request that comes before the first invocation is announced waits for
//     it for 2 s, and only then is refused with 400 "not ready to serve
//     traffic". Before that, nothing secret is in the process, nor in a snapshot
//     of it.
//   - The roleArn of AWS's agent is refused as an unknown parameter: the layer
//     reads with the function's role only.
//
// # Sidecar
//
// Without AWS_LAMBDA_RUNTIME_API the program serves until it gets SIGTERM. The
// token is in the file that AWS_TOKEN names, in a volume that the containers of
// the task share; if there is none, the sidecar writes a random one there. Both
// containers run as the same user or group.
package extension
