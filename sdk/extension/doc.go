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
//	SECRETS_METRICS_ENVIRONMENT                      name of the environment under which reads and stale reads are counted in the log
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
// # Crashes
//
// Lambda ends an environment, and the invocation that runs in it, when an
// extension exits (Extension.Crash); the next invocation gets a new environment.
// So nothing that goes wrong here may end the process. A panic ends what it
// happened in (a request, a call to AWS, a question to the rotation feed, the
// prefetch) with an error and a line in the log, and never says what it was
// about, for that might be a value. When Lambda's own API fails, the extension
// exits, because it can't go on.
//
// What is left is what Go can't recover from: no memory, and a data race that
// the runtime notices. A second process that restarts the first was measured and
// not built: the same program as a parent takes 12 to 13 MB next to the worker's
// 15, and its start as long again, which is over the 20 MB and 15 ms that the
// layer may cost; and Lambda's limit of memory is one for all processes of an
// environment, so it would be no help where memory is short.
//
// # Sidecar
//
// Without AWS_LAMBDA_RUNTIME_API the program serves until it gets SIGTERM. The
// token is in the file that AWS_TOKEN names, in a volume that the containers of
// the task share; if there is none, the sidecar writes a random one there. Both
// containers run as the same user or group.
package extension
