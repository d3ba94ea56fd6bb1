// Package lambda is the local cloud's AWS Lambda: the control plane of functions,
// versions, aliases and layers, and their invocation. Package
// localcloud/lambda runs the programs.
//
// It knows deployment packages that are zips in the request, and runs the
// runtimes provided.al2 and provided.al2023. Functions of other runtimes can be
// managed, not invoked. Settings of VPC, tracing, storage, key and log format are
// kept and have no effect.
package lambda

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	executor "github.com/aistudio/secrets/localcloud/lambda"
	"github.com/aistudio/secrets/localcloud/service/iam"
)

// principal is how Lambda presents itself to a role's trust policy.
const principal = "lambda.amazonaws.com"

// settleTime is how long the cloud's clock shows a function as Pending after
// its creation, or an update as InProgress.
const settleTime = 500 * time.Millisecond

// Service is AWS Lambda.
type Service struct {
	env      *api.Env
	roles    roles
	logs     logSink
	traces   traceSink
	queues   queues
	metrics  metricSink
	packages *packages
	executor *executor.Executor
	handlers map[string]api.Handler
	// settleTime is the constant, but in tests of what is seen meanwhile.
	settleTime time.Duration

	mu        sync.Mutex
	functions map[functionKey]*function
	layers    map[functionKey]*layer
}

// Name implements api.Service.
func (s *Service) Name() string { return "lambda" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return protocol{api.REST{Routes: routes}} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler { return s.handlers[operation] }

// SensitiveMembers implements api.Sensitive: what CloudTrail never shows.
func (s *Service) SensitiveMembers() []string { return []string{"Environment", "ZipFile"} }

// roles is what Lambda needs of IAM.
type roles interface {
	ServiceSession(ctx context.Context, roleARN, session, service string) (iam.Credentials, error)
}

// logSink is where functions' output goes.
type logSink interface {
	HasGroup(account, region, group string) bool
	Put(ctx context.Context, account, region, group, stream string, lines []string)
}

// queues is where events go that a function failed on.
type queues interface {
	Send(ctx context.Context, caller api.Caller, queueARN string, body []byte) error
}

// metricSink is CloudWatch, which gets the functions' metrics.
type metricSink interface {
	Put(account, region, namespace, name, unit string, value float64, dimensions ...string)
}

// New makes a Lambda without functions, which unpacks them below workDir.
func New(env *api.Env, r roles, l logSink, t traceSink, q queues, m metricSink, workDir string) *Service {
	s := &Service{
		env: env, roles: r, logs: l, traces: t, queues: q, metrics: m, settleTime: settleTime,
		packages:  newPackages(workDir),
		functions: map[functionKey]*function{},
		layers:    map[functionKey]*layer{},
	}
	s.executor = executor.NewExecutor(executor.Config{
		Dir:         workDir,
		Endpoint:    env.Endpoint,
		Now:         env.Clock.Now,
		Go:          env.Clock.Go,
		Credentials: s.credentials,
		Log:         s.log,
	})
	s.handlers = map[string]api.Handler{
		"CreateFunction":               api.JSON(s.createFunction),
		"GetFunction":                  api.JSON(s.getFunction),
		"GetFunctionConfiguration":     api.JSON(s.getFunctionConfiguration),
		"GetFunctionCodeSigningConfig": api.JSON(s.getFunctionCodeSigningConfig),
		"ListFunctions":                api.JSON(s.listFunctions),
		"DeleteFunction":               api.JSON(s.deleteFunction),
		"UpdateFunctionCode":           api.JSON(s.updateFunctionCode),
		"UpdateFunctionConfiguration":  api.JSON(s.updateFunctionConfiguration),
		"PublishVersion":               api.JSON(s.publishVersion),
		"ListVersionsByFunction":       api.JSON(s.listVersions),
		"CreateAlias":                  api.JSON(s.createAlias),
		"UpdateAlias":                  api.JSON(s.updateAlias),
		"GetAlias":                     api.JSON(s.getAlias),
		"DeleteAlias":                  api.JSON(s.deleteAlias),
		"ListAliases":                  api.JSON(s.listAliases),
		"AddPermission":                api.JSON(s.addPermission),
		"RemovePermission":             api.JSON(s.removePermission),
		"GetPolicy":                    api.JSON(s.getPolicy),
		"PutFunctionConcurrency":       api.JSON(s.putConcurrency),
		"GetFunctionConcurrency":       api.JSON(s.getConcurrency),
		"DeleteFunctionConcurrency":    api.JSON(s.deleteConcurrency),
		"GetAccountSettings":           api.JSON(s.getAccountSettings),
		"ListTags":                     api.JSON(s.listTags),
		"TagResource":                  api.JSON(s.tagResource),
		"UntagResource":                api.JSON(s.untagResource),
		"PublishLayerVersion":          api.JSON(s.publishLayerVersion),
		"GetLayerVersion":              api.JSON(s.getLayerVersion),
		"GetLayerVersionByArn":         api.JSON(s.getLayerVersionByARN),
		"DeleteLayerVersion":           api.JSON(s.deleteLayerVersion),
		"ListLayers":                   api.JSON(s.listLayers),
		"ListLayerVersions":            api.JSON(s.listLayerVersions),
		"AddLayerVersionPermission":    api.JSON(s.addLayerVersionPermission),
		"GetLayerVersionPolicy":        api.JSON(s.getLayerVersionPolicy),
		"RemoveLayerVersionPermission": api.JSON(s.removeLayerVersionPermission),
		"Invoke":                       s.invoke,
	}
	return s
}

// Crash kills the execution environment that holds these credentials.
func (s *Service) Crash(accessKeyID string) { s.executor.Crash(accessKeyID) }

// Close stops all execution environments.
func (s *Service) Close() error { return s.executor.Close() }

// protocol is REST with the one path of Lambda that two operations share.
type protocol struct{ api.REST }

// Route implements api.Protocol.
func (p protocol) Route(r *http.Request, body []byte) (string, map[string]string) {
	operation, path := p.REST.Route(r, body)
	if operation == "ListLayers" && r.URL.Query().Get("find") == "LayerVersion" {
		operation = "GetLayerVersionByArn"
	}
	return operation, path
}

const (
	functionPath = "/2015-03-31/functions/{FunctionName}"
	aliasPath    = functionPath + "/aliases/{Name}"
	layerPath    = "/2018-10-31/layers/{LayerName}/versions"
	versionPath  = layerPath + "/{VersionNumber}"
)

var routes = []api.Route{
	{Method: "POST", Path: "/2015-03-31/functions", Operation: "CreateFunction"},
	{Method: "GET", Path: "/2015-03-31/functions", Operation: "ListFunctions"},
	{Method: "GET", Path: functionPath, Operation: "GetFunction"},
	{Method: "DELETE", Path: functionPath, Operation: "DeleteFunction"},
	{Method: "GET", Path: functionPath + "/configuration", Operation: "GetFunctionConfiguration"},
	{Method: "PUT", Path: functionPath + "/configuration", Operation: "UpdateFunctionConfiguration"},
	{Method: "PUT", Path: functionPath + "/code", Operation: "UpdateFunctionCode"},
	{Method: "POST", Path: functionPath + "/invocations", Operation: "Invoke"},
	{Method: "POST", Path: functionPath + "/versions", Operation: "PublishVersion"},
	{Method: "GET", Path: functionPath + "/versions", Operation: "ListVersionsByFunction"},
	{Method: "POST", Path: functionPath + "/aliases", Operation: "CreateAlias"},
	{Method: "GET", Path: functionPath + "/aliases", Operation: "ListAliases"},
	{Method: "GET", Path: aliasPath, Operation: "GetAlias"},
	{Method: "PUT", Path: aliasPath, Operation: "UpdateAlias"},
	{Method: "DELETE", Path: aliasPath, Operation: "DeleteAlias"},
	{Method: "POST", Path: functionPath + "/policy", Operation: "AddPermission"},
	{Method: "GET", Path: functionPath + "/policy", Operation: "GetPolicy"},
	{Method: "DELETE", Path: functionPath + "/policy/{StatementId}", Operation: "RemovePermission"},
	{Method: "PUT", Path: "/2017-10-31/functions/{FunctionName}/concurrency", Operation: "PutFunctionConcurrency"},
	{Method: "DELETE", Path: "/2017-10-31/functions/{FunctionName}/concurrency", Operation: "DeleteFunctionConcurrency"},
	{Method: "GET", Path: "/2019-09-30/functions/{FunctionName}/concurrency", Operation: "GetFunctionConcurrency"},
	{Method: "GET", Path: "/2020-06-30/functions/{FunctionName}/code-signing-config", Operation: "GetFunctionCodeSigningConfig"},
	{Method: "GET", Path: "/2016-08-19/account-settings", Operation: "GetAccountSettings"},
	{Method: "GET", Path: "/2017-03-31/tags/{Resource}", Operation: "ListTags"},
	{Method: "POST", Path: "/2017-03-31/tags/{Resource}", Operation: "TagResource"},
	{Method: "DELETE", Path: "/2017-03-31/tags/{Resource}", Operation: "UntagResource"},
	{Method: "GET", Path: "/2018-10-31/layers", Operation: "ListLayers"},
	{Method: "POST", Path: layerPath, Operation: "PublishLayerVersion"},
	{Method: "GET", Path: layerPath, Operation: "ListLayerVersions"},
	{Method: "GET", Path: versionPath, Operation: "GetLayerVersion"},
	{Method: "DELETE", Path: versionPath, Operation: "DeleteLayerVersion"},
	{Method: "POST", Path: versionPath + "/policy", Operation: "AddLayerVersionPermission"},
	{Method: "GET", Path: versionPath + "/policy", Operation: "GetLayerVersionPolicy"},
	{Method: "DELETE", Path: versionPath + "/policy/{StatementId}", Operation: "RemoveLayerVersionPermission"},
}
