package apply_test

import (
	"archive/zip"
	"bytes"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

const region = "us-east-1"

// world is an estate in the local cloud and a migration's folder.
type world struct {
	*testing.T
	cloud     *localcloud.Cloud
	config    aws.Config
	functions *lambda.Client
	secrets   *secretsmanager.Client
	roles     *iam.Client
	params    *ssm.Client
	key       digest.Key
	folder    string
	role      string
	kmsKey    string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	config := cloud.Config(region)
	config.RetryMaxAttempts = 1
	w := &world{
		T: t, cloud: cloud, config: config,
		functions: lambda.NewFromConfig(config), secrets: secretsmanager.NewFromConfig(config), roles: iam.NewFromConfig(config), params: ssm.NewFromConfig(config),
		folder: filepath.Join(t.TempDir(), "migration", "dev"),
	}
	w.key, err = digest.Open(w.folder)
	require.NoError(t, err)
	w.role = w.makeRole("service")
	key, err := kms.NewFromConfig(config).CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	w.kmsKey = *key.KeyMetadata.Arn
	return w
}

func (w *world) makeRole(name string) string {
	w.Helper()
	role, err := w.roles.CreateRole(w.Context(), &iam.CreateRoleInput{
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

func (w *world) function(name string, environment map[string]string) {
	w.Helper()
	_, err := w.functions.CreateFunction(w.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Role: &w.role, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Code: &lambdatypes.FunctionCode{ZipFile: code()}, Environment: &lambdatypes.Environment{Variables: environment},
	})
	require.NoError(w, err)
	w.advance(time.Minute)
}

func (w *world) advance(d time.Duration) {
	w.Helper()
	require.NoError(w, w.cloud.Advance(w.Context(), d))
}

func (w *world) environment(function string) map[string]string {
	w.Helper()
	out, err := w.functions.GetFunctionConfiguration(w.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &function})
	require.NoError(w, err)
	if out.Environment == nil {
		return nil
	}
	return out.Environment.Variables
}

// set is somebody else's edit of a function.
func (w *world) set(function, name, value string) {
	w.Helper()
	next := maps.Clone(w.environment(function))
	next[name] = value
	if value == "" {
		delete(next, name)
	}
	_, err := w.functions.UpdateFunctionConfiguration(w.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &function, Environment: &lambdatypes.Environment{Variables: next},
	})
	require.NoError(w, err)
	w.advance(time.Minute)
}

func (w *world) parameter(name, value string) {
	w.Helper()
	_, err := w.params.PutParameter(w.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString, Overwrite: aws.Bool(true)})
	require.NoError(w, err)
}

func (w *world) secret(name string) string {
	w.Helper()
	out, err := w.secrets.GetSecretValue(w.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	require.NoError(w, err)
	return aws.ToString(out.SecretString)
}

// functionPlace is where a function's variable is.
func functionPlace(function, variable string) plan.Place {
	return plan.Place{In: spec.ScanLambda, ID: function, Variable: variable}
}

func (w *world) value(text string, places ...plan.Place) plan.Value {
	return plan.Value{Digest: w.key.Of(spec.ValueString(text)), Places: places}
}

func (w *world) one(name, text string, places ...plan.Place) plan.Secret {
	return plan.Secret{
		Name: name, Kind: spec.KindCustom, Description: "test", Values: []plan.Value{w.value(text, places...)},
		Tags: map[string]string{spec.TagOwner: "team", spec.TagService: "orders"},
	}
}

func (w *world) service(function string, wave int, variables ...plan.Variable) plan.Service {
	return plan.Service{
		ID: "lambda/" + function, Kind: plan.LambdaFunction, Wave: wave, How: plan.ByReference, Role: w.role, Digest: "d",
		ARN: "arn:aws:lambda:" + region + ":" + w.cloud.Account() + ":function:" + function, Variables: variables,
	}
}

func (w *world) plan(secrets []plan.Secret, services []plan.Service) plan.Plan {
	p := plan.Plan{
		Version: plan.Version, Stack: "dev", Organization: "acme", Environment: "dev", Account: w.cloud.Account(), Region: region,
		KMSKey: w.kmsKey, Mode: plan.DualRead, Secrets: secrets, Services: services,
	}
	grant := plan.Grant{Role: w.role, PolicyName: "acme-dev-migrated-secrets"}
	var arns []string
	for _, s := range secrets {
		grant.Secrets = append(grant.Secrets, s.Name)
		arns = append(arns, `"arn:aws:secretsmanager:`+region+":"+w.cloud.Account()+":secret:"+s.Name+`-??????"`)
	}
	grant.Policy = `{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":[` + strings.Join(arns, ",") + `]}]}`
	p.Grants = []plan.Grant{grant}
	return p
}

func (w *world) options() apply.Options {
	return apply.Options{Folder: w.folder, Key: w.key, Sleep: w.cloud.Advance, Now: w.cloud.Clock().Now}
}

func (w *world) apply(p plan.Plan, o apply.Options) apply.Result {
	w.Helper()
	result, err := apply.Run(w.Context(), w.config, p, o)
	require.NoError(w, err)
	return result
}

// must applies and expects that all is done.
func (w *world) must(p plan.Plan) apply.Result {
	w.Helper()
	result := w.apply(p, w.options())
	require.True(w, result.Complete, "%+v", result.Steps)
	return result
}

func (w *world) state() journal.State {
	w.Helper()
	state, err := journal.Read(w.folder)
	require.NoError(w, err)
	return state
}

// failures are the details of the failed steps, by subject.
func failures(r apply.Result) map[string]string {
	all := map[string]string{}
	for _, s := range r.Steps {
		if s.Outcome == apply.Failed {
			all[s.Subject] = s.Detail
		}
	}
	return all
}

// changes are the calls of the trail that change something, by name.
func (w *world) noCanary(values ...string) {
	w.Helper()
	require.NoError(w, filepath.WalkDir(w.folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
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

// killed runs something whose calls go through the killer, in a goroutine of its
// own, and tells whether it was killed.
func (w *world) killed(at int, after bool, do func(aws.Config)) (bool, []string) {
	w.Helper()
	k := &killer{RoundTripper: http.DefaultTransport, at: at, after: after}
	config := w.config.Copy()
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

func count(calls []string, name string) int {
	return len(slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return c != name }))
}

func (w *world) policy(name, document string) {
	w.Helper()
	_, err := w.roles.PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("service"), PolicyName: &name, PolicyDocument: &document})
	require.NoError(w, err)
}

// observed runs something and lets somebody else act before each of its calls.
func (w *world) observed(before func(call int), do func(aws.Config)) []string {
	w.Helper()
	k := &killer{RoundTripper: http.DefaultTransport, at: -1, do: before}
	config := w.config.Copy()
	config.HTTPClient = &http.Client{Transport: k}
	do(config)
	return k.calls
}
