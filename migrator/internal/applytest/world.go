// Package applytest has estates in the local cloud for the tests of what changes
// an estate: functions, ECS services, rules and schedules with secrets in
// plaintext, and plans for them.
package applytest

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// Region is that of the estates.
const Region = "us-east-1"

// World is an estate in the local cloud and a migration's folder.
type World struct {
	*testing.T
	Cloud      *localcloud.Cloud
	Config     aws.Config
	Functions  *lambda.Client
	Secrets    *secretsmanager.Client
	Roles      *iam.Client
	Parameters *ssm.Client
	Key        digest.Key
	Folder     string
	Role       string
	KMSKey     string
}

// New returns a world with a role for services, a key and an empty folder. Calls
// aren't tried again.
func New(t *testing.T) *World {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	config := cloud.Config(Region)
	config.RetryMaxAttempts = 1
	w := &World{
		T: t, Cloud: cloud, Config: config,
		Functions: lambda.NewFromConfig(config), Secrets: secretsmanager.NewFromConfig(config), Roles: iam.NewFromConfig(config), Parameters: ssm.NewFromConfig(config),
		Folder: filepath.Join(t.TempDir(), "migration", "dev"),
	}
	w.Key, err = digest.Open(w.Folder)
	require.NoError(t, err)
	w.Role = w.MakeRole("service")
	key, err := kms.NewFromConfig(config).CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	w.KMSKey = *key.KeyMetadata.Arn
	return w
}

// MakeRole makes a role that services can take on, and returns its ARN.
func (w *World) MakeRole(name string) string {
	w.Helper()
	role, err := w.Roles.CreateRole(w.Context(), &iam.CreateRoleInput{
		RoleName:                 &name,
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","ecs-tasks.amazonaws.com","events.amazonaws.com","scheduler.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(w, err)
	return *role.Role.Arn
}

// code is a function's, zipped once.
var code = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	file, err := archive.Create("bootstrap")
	if err == nil {
		_, err = file.Write([]byte("#!/bin/sh\n"))
	}
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		panic(err)
	}
	return out.Bytes()
})

// Function makes a function with the environment.
func (w *World) Function(name string, environment map[string]string) {
	w.Helper()
	_, err := w.Functions.CreateFunction(w.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Role: &w.Role, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Code: &lambdatypes.FunctionCode{ZipFile: code()}, Environment: &lambdatypes.Environment{Variables: environment},
	})
	require.NoError(w, err)
	w.Advance(time.Minute)
}

// Remove is somebody's removal of a function.
func (w *World) Remove(function string) {
	w.Helper()
	_, err := w.Functions.DeleteFunction(w.Context(), &lambda.DeleteFunctionInput{FunctionName: &function})
	require.NoError(w, err)
}

// Advance moves the local cloud's clock.
func (w *World) Advance(d time.Duration) {
	w.Helper()
	require.NoError(w, w.Cloud.Advance(w.Context(), d))
}

// Environment is that of a function's $LATEST.
func (w *World) Environment(function string) map[string]string {
	w.Helper()
	out, err := w.Functions.GetFunctionConfiguration(w.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &function})
	require.NoError(w, err)
	if out.Environment == nil {
		return nil
	}
	return out.Environment.Variables
}

// Set is somebody else's edit of a function.
func (w *World) Set(function, name, value string) {
	w.Helper()
	w.Advance(time.Minute) // until an update is complete
	next := maps.Clone(w.Environment(function))
	next[name] = value
	if value == "" {
		delete(next, name)
	}
	_, err := w.Functions.UpdateFunctionConfiguration(w.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &function, Environment: &lambdatypes.Environment{Variables: next},
	})
	require.NoError(w, err)
	w.Advance(time.Minute)
}

// Parameter writes an encrypted parameter.
func (w *World) Parameter(name, value string) {
	w.Helper()
	_, err := w.Parameters.PutParameter(w.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString, Overwrite: aws.Bool(true)})
	require.NoError(w, err)
}

// Secret is a secret's current value.
func (w *World) Secret(name string) string {
	w.Helper()
	out, err := w.Secrets.GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	require.NoError(w, err)
	return aws.ToString(out.SecretString)
}

// FunctionPlace is where a function's variable is.
func FunctionPlace(function, variable string) plan.Place {
	return plan.Place{In: spec.ScanLambda, ID: function, Variable: variable}
}

// Value is a value of a plan.
func (w *World) Value(text string, places ...plan.Place) plan.Value {
	return plan.Value{Digest: w.Key.Of(spec.ValueString(text)), Places: places}
}

// One is a secret of a plan with one value.
func (w *World) One(name, text string, places ...plan.Place) plan.Secret {
	return plan.Secret{
		Name: name, Kind: spec.KindCustom, Description: "test", Values: []plan.Value{w.Value(text, places...)},
		Tags: map[string]string{spec.TagOwner: "team", spec.TagService: "orders"},
	}
}

// Service is a function of a plan.
func (w *World) Service(function string, wave int, variables ...plan.Variable) plan.Service {
	return plan.Service{
		ID: "lambda/" + function, Kind: plan.LambdaFunction, Wave: wave, How: plan.ByReference, Role: w.Role, Digest: "d",
		ARN: "arn:aws:lambda:" + Region + ":" + w.Cloud.Account() + ":function:" + function, Variables: variables,
	}
}

// Plan is a plan whose role may not read the secrets yet.
func (w *World) Plan(secrets []plan.Secret, services []plan.Service) plan.Plan {
	p := plan.Plan{
		Version: plan.Version, Stack: "dev", Organization: "acme", Environment: "dev", Account: w.Cloud.Account(), Region: Region,
		KMSKey: w.KMSKey, Mode: plan.DualRead, Secrets: secrets, Services: services,
	}
	grant := plan.Grant{Role: w.Role, PolicyName: "acme-dev-migrated-secrets"}
	var arns []string
	for _, s := range secrets {
		grant.Secrets = append(grant.Secrets, s.Name)
		arns = append(arns, `"arn:aws:secretsmanager:`+Region+":"+w.Cloud.Account()+":secret:"+s.Name+`-??????"`)
	}
	grant.Policy = `{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":[` + strings.Join(arns, ",") + `]}]}`
	p.Grants = []plan.Grant{grant}
	return p
}

// Options are those of an apply in the world, whose clock it moves when it waits.
func (w *World) Options() apply.Options {
	return apply.Options{Folder: w.Folder, Key: w.Key, Sleep: w.Cloud.Advance, Now: w.Cloud.Clock().Now}
}

// Apply applies a plan.
func (w *World) Apply(p plan.Plan, o apply.Options) apply.Result {
	w.Helper()
	result, err := apply.Run(w.Context(), w.Config, p, o)
	require.NoError(w, err)
	return result
}

// Must applies and expects that all is done.
func (w *World) Must(p plan.Plan) apply.Result {
	w.Helper()
	result := w.Apply(p, w.Options())
	require.True(w, result.Complete, "%+v", result.Steps)
	return result
}

// State is what the journal adds up to.
func (w *World) State() journal.State {
	w.Helper()
	state, err := journal.Read(w.Folder)
	require.NoError(w, err)
	return state
}

// Failures are the details of the failed steps, by subject.
func Failures(r apply.Result) map[string]string {
	all := map[string]string{}
	for _, s := range r.Steps {
		if s.Outcome == apply.Failed {
			all[s.Subject] = s.Detail
		}
	}
	return all
}

// NoCanary checks that no file of the migration's folder holds one of the values.
func (w *World) NoCanary(values ...string) {
	w.Helper()
	root, err := os.OpenRoot(w.Folder)
	require.NoError(w, err)
	defer root.Close()
	require.NoError(w, fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := root.ReadFile(path)
		for _, value := range values {
			assert.NotContains(w, string(text), value, path)
		}
		return err
	}))
}

// killer ends the goroutine at a call, before it or after its effect, as if the
// process had been killed: nothing after it happens.
type killer struct {
	http.RoundTripper
	mu    sync.Mutex
	calls []string // made so far, as "Service.Operation" where it can be told
	at    int      // number of the call, from 0
	after bool
	do    func(call int) // called before each call; nil: nothing
}

func (k *killer) RoundTrip(request *http.Request) (*http.Response, error) {
	k.mu.Lock()
	number := len(k.calls)
	k.calls = append(k.calls, nameOf(request))
	k.mu.Unlock()
	if k.do != nil {
		k.do(number)
	}
	if k.at >= 0 && number == k.at && k.after {
		response, err := k.RoundTripper.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
	}
	if k.at >= 0 && number >= k.at {
		runtime.Goexit()
	}
	return k.RoundTripper.RoundTrip(request)
}

func nameOf(r *http.Request) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndexAny(target, ".")+1:]
	}
	return r.Method + " " + r.URL.Path
}

// Killed runs something whose calls go through the killer, in a goroutine of its
// own, and tells whether it was killed.
func (w *World) Killed(at int, after bool, do func(aws.Config)) (bool, []string) {
	w.Helper()
	k := &killer{RoundTripper: http.DefaultTransport, at: at, after: after}
	config := w.Config.Copy()
	config.HTTPClient = &http.Client{Transport: k}
	killed := true
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(config)
		killed = false
	}()
	<-done
	return killed, k.calls
}

// Policy gives the role an inline policy.
func (w *World) Policy(name, document string) {
	w.Helper()
	_, err := w.Roles.PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("service"), PolicyName: &name, PolicyDocument: &document})
	require.NoError(w, err)
}

// Observed runs something and lets somebody else act before each of its calls.
func (w *World) Observed(before func(call int), do func(aws.Config)) []string {
	w.Helper()
	k := &killer{RoundTripper: http.DefaultTransport, at: -1, do: before}
	config := w.Config.Copy()
	config.HTTPClient = &http.Client{Transport: k}
	do(config)
	return k.calls
}

// InlinePolicies are the names of the role's.
func (w *World) InlinePolicies() []string {
	w.Helper()
	out, err := w.Roles.ListRolePolicies(w.Context(), &iam.ListRolePoliciesInput{RoleName: aws.String("service")})
	require.NoError(w, err)
	return out.PolicyNames
}

// Publish publishes a version of a function.
func (w *World) Publish(function string) {
	w.Helper()
	_, err := w.Functions.PublishVersion(w.Context(), &lambda.PublishVersionInput{FunctionName: &function})
	require.NoError(w, err)
	w.Advance(time.Minute)
}

// Alias makes an alias of a function.
func (w *World) Alias(function, name, version string) {
	w.Helper()
	_, err := w.Functions.CreateAlias(w.Context(), &lambda.CreateAliasInput{FunctionName: &function, Name: &name, FunctionVersion: &version})
	require.NoError(w, err)
}

// AliasVersion is the version that an alias names.
func (w *World) AliasVersion(function, name string) string {
	w.Helper()
	out, err := w.Functions.GetAlias(w.Context(), &lambda.GetAliasInput{FunctionName: &function, Name: &name})
	require.NoError(w, err)
	return *out.FunctionVersion
}

// Replicate gives a secret a replica.
func (w *World) Replicate(secret, to string) {
	w.Helper()
	_, err := w.Secrets.ReplicateSecretToRegions(w.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: &secret, AddReplicaRegions: []secretstypes.ReplicaRegionType{{Region: &to}},
	})
	require.NoError(w, err)
	w.Advance(time.Minute)
}

// ReadAs lets a role, which is made if need be, read a parameter, or all below a
// path.
func (w *World) ReadAs(role, parameter string) { w.ReadIn("reader", role, parameter) }

// ReadIn is ReadAs in a session of the name.
func (w *World) ReadIn(sessionName, role, parameter string) {
	w.Helper()
	name := role
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + w.Cloud.Account() + `"},"Action":"sts:AssumeRole"}]}`
	if _, err := w.Roles.GetRole(w.Context(), &iam.GetRoleInput{RoleName: &name}); err != nil {
		_, err := w.Roles.CreateRole(w.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
		require.NoError(w, err)
	} else {
		_, err := w.Roles.UpdateAssumeRolePolicy(w.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: &trust})
		require.NoError(w, err)
	}
	_, err := w.Roles.PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{
		RoleName: &name, PolicyName: aws.String("parameters"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:*","kms:Decrypt"],"Resource":"*"}]}`),
	})
	require.NoError(w, err)
	session, err := sts.NewFromConfig(w.Config).AssumeRole(w.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::" + w.Cloud.Account() + ":role/" + role), RoleSessionName: &sessionName,
	})
	require.NoError(w, err)
	config := w.Cloud.ConfigFor(Region, *session.Credentials.AccessKeyId, *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken)
	reader := ssm.NewFromConfig(config)
	if strings.Count(parameter, "/") > 1 {
		_, err = reader.GetParameter(w.Context(), &ssm.GetParameterInput{Name: &parameter})
	} else {
		_, err = reader.GetParametersByPath(w.Context(), &ssm.GetParametersByPathInput{Path: &parameter})
	}
	require.NoError(w, err)
}
