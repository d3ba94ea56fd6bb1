package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

const (
	region  = "us-east-1"
	cluster = "main"
	stack   = "dev"
)

// world is a company's estate in the local cloud, and a tree with the stack's
// files in which the commands run.
type world struct {
	*testing.T
	cloud      *localcloud.Cloud
	lambda     *lambda.Client
	ecs        *ecs.Client
	parameters *ssm.Client
	secrets    *secretsmanager.Client
	roles      *iam.Client
	root       string
	random     *rand.Rand
	jump       sync.RWMutex // held while the clock jumps
	waits      int          // see interrupt

	mu       sync.Mutex
	canaries []string // every value that must be seen nowhere
	printed  strings.Builder
}

const stackFile = `config:
  aws:region: us-east-1
  aistudio-secrets:settings:
    organization: acme
    environment: dev
    owner: team-platform
    administrators: [root]
`

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": cloud.URL(), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "",
		"AWS_REGION": region, "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	config := cloud.Config(region)
	w := &world{
		T: t, cloud: cloud, lambda: lambda.NewFromConfig(config), ecs: ecs.NewFromConfig(config), parameters: ssm.NewFromConfig(config),
		secrets: secretsmanager.NewFromConfig(config), roles: iam.NewFromConfig(config), root: t.TempDir(), random: rand.New(rand.NewPCG(6, 6)),
	}
	w.write("Pulumi.dev.yaml", stackFile)
	keys := kms.NewFromConfig(config)
	key, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	require.NoError(t, err)
	_, err = keys.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/acme/dev/secrets"), TargetKeyId: key.KeyMetadata.KeyId})
	require.NoError(t, err)
	_, err = w.ecs.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String(cluster)})
	require.NoError(t, err)
	return w
}

func (w *world) write(name, text string) {
	w.Helper()
	require.NoError(w, os.WriteFile(filepath.Join(w.root, name), []byte(text), 0o600))
}

func (w *world) folder() string { return filepath.Join(w.root, "migration", stack) }

func (w *world) advance(d time.Duration) {
	w.Helper()
	require.NoError(w, w.cloud.Advance(w.Context(), d))
}

// migrate runs the command as a build does: nobody answers, and where the program
// would wait, the local cloud's clock goes on.
func (w *world) migrate(args ...string) (code int, stdout, stderr string) {
	w.Helper()
	var out, err bytes.Buffer
	t := terminal{
		in: strings.NewReader(""), out: &out, err: &err,
		quota: func(c aws.Config) aws.Config { return c }, // the emulator has none, and a test no time
		sleep: func(d time.Duration) error { return w.cloud.Advance(w.Context(), d) },
	}
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	if left := w.waits; left > 0 {
		w.waits = 0
		advance := t.sleep
		t.sleep = func(d time.Duration) error {
			if left--; left == 0 {
				cancel()
			}
			return advance(d)
		}
	}
	begin := time.Now()
	code = execute(ctx, t, append(args, "--root", w.root))
	w.Logf("$ migrate %s [%d] %s", strings.Join(args, " "), code, time.Since(begin).Round(time.Millisecond))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.printed.WriteString(out.String() + err.String())
	return code, out.String(), err.String()
}

// interrupt has the next command be interrupted, as by Ctrl-C, when it waits for
// AWS for the n-th time.
func (w *world) interrupt(n int) { w.waits = n }

// want runs the command, which must end with a code, and decodes its JSON.
func (w *world) want(code int, into any, args ...string) {
	w.Helper()
	got, stdout, stderr := w.migrate(append(args, "--json")...)
	require.Equal(w, code, got, "migrate %s: %s", strings.Join(args, " "), stderr)
	if into != nil {
		require.NoError(w, json.Unmarshal([]byte(stdout), into), stdout)
	}
}

// canary is a random value that must be seen nowhere.
func (w *world) canary() string {
	const letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	value := make([]byte, 28)
	for i := range value {
		value[i] = letters[w.random.IntN(len(letters))]
	}
	return w.plant(string(value))
}

func (w *world) plant(value string) string {
	w.canaries = append(w.canaries, value)
	return value
}

// noCanaries fails if a value is in what was printed or in a file of the tree.
func (w *world) noCanaries() {
	w.Helper()
	seen := map[string]string{"what was printed": w.printed.String()}
	require.NoError(w, filepath.WalkDir(w.root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		seen[path] = string(text)
		return err
	}))
	for where, text := range seen {
		for i, value := range w.canaries {
			quoted, err := json.Marshal(value)
			require.NoError(w, err)
			if strings.Contains(text, value) || strings.Contains(text, string(quoted[1:len(quoted)-1])) {
				assert.Fail(w, "a value was seen", "value %d in %s", i, where)
			}
		}
	}
}

// A function of the estate.
type function struct {
	name        string
	environment map[string]string
	tags        map[string]string
	program     string // of testdata
	upload      bool   // the program itself, and not a script that runs it: a service is as big as that
	roleTags    map[string]string
	rights      string // a statement's actions and resource, besides writing logs
}

func (w *world) role(name, rights string, tags map[string]string) string {
	w.Helper()
	in := &iam.CreateRoleInput{
		RoleName:                 &name,
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","ecs-tasks.amazonaws.com","events.amazonaws.com","scheduler.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`),
	}
	for key, value := range tags {
		in.Tags = append(in.Tags, iamtypes.Tag{Key: &key, Value: &value})
	}
	role, err := w.roles.CreateRole(w.Context(), in)
	require.NoError(w, err)
	statements := `{"Effect":"Allow","Action":"logs:*","Resource":"*"}`
	if rights != "" {
		statements += "," + rights
	}
	_, err = w.roles.PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("own"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[` + statements + `]}`)})
	require.NoError(w, err)
	return *role.Role.Arn
}

func (w *world) function(f function) {
	w.Helper()
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	if f.program == "" {
		f.program = "service"
	}
	code := zipped(w.T, script(w.T, f.program))
	if f.upload {
		code = zipped(w.T, binary(w.T, f.program))
	}
	role := w.role("fn-"+f.name, f.rights, f.roleTags)
	_, err := w.lambda.CreateFunction(w.Context(), &lambda.CreateFunctionInput{
		FunctionName: &f.name, Role: &role, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Timeout: aws.Int32(30),
		Architectures: []lambdatypes.Architecture{architecture}, Tags: f.tags,
		Code: &lambdatypes.FunctionCode{ZipFile: code}, Environment: &lambdatypes.Environment{Variables: f.environment},
	})
	require.NoError(w, err, f.name)
}

// programs are testdata's, built once, in a folder that TestMain removes.
var programs sync.Map

// built returns the path of a program of testdata.
func built(t *testing.T, name string) string {
	t.Helper()
	build, _ := programs.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		path := filepath.Join(programFolder, name)
		command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./testdata/"+name)
		command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		output, err := command.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, output)
		}
		return path, err
	}))
	path, err := build.(func() (string, error))()
	require.NoError(t, err)
	return path
}

func binary(t *testing.T, name string) []byte {
	t.Helper()
	code, err := os.ReadFile(built(t, name))
	require.NoError(t, err)
	return code
}

func script(t *testing.T, name string) []byte {
	t.Helper()
	return []byte("#!/bin/sh\nexec " + built(t, name) + "\n")
}

// zipped is a function's code.
func zipped(t *testing.T, bootstrap []byte) []byte {
	t.Helper()
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	require.NoError(t, err)
	_, err = file.Write(bootstrap)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	return buffer.Bytes()
}

// hash is how a service answers with a value.
func hash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// ask invokes a function, through an alias if it is name:alias, and fails if it
// doesn't answer with the values.
func (w *world) ask(name string, values map[string]string) error {
	names := []string{}
	for variable := range values {
		names = append(names, variable)
	}
	payload, err := json.Marshal(map[string]any{"Read": names})
	if err != nil {
		return err
	}
	out, err := w.lambda.Invoke(w.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: payload})
	if err != nil {
		return err
	}
	if out.FunctionError != nil {
		return fmt.Errorf("%s failed: %s", name, out.Payload)
	}
	var answer map[string]string
	if err := json.Unmarshal(out.Payload, &answer); err != nil {
		return err
	}
	for variable, value := range values {
		if answer[variable] != hash(value) {
			return fmt.Errorf("%s has another value in %s", name, variable)
		}
	}
	return nil
}

func (w *world) environment(name string) map[string]string {
	w.Helper()
	out, err := w.lambda.GetFunctionConfiguration(w.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	require.NoError(w, err)
	return out.Environment.Variables
}

// A service or scheduled task of the estate.
type task struct {
	name        string
	environment map[string]string // of the container app
	sidecar     map[string]string // environment of a second container; nil: there is none
	secrets     map[string]string // valueFrom by variable, of the container app
	tags        map[string]string
	controller  ecstypes.DeploymentControllerType
	rights      string // a statement
}

func pairs(environment map[string]string) []ecstypes.KeyValuePair {
	var out []ecstypes.KeyValuePair
	for name, value := range environment {
		out = append(out, ecstypes.KeyValuePair{Name: &name, Value: &value})
	}
	return out
}

func (w *world) definition(t task) string {
	w.Helper()
	rights := `{"Effect":"Allow","Action":["ssm:GetParameters","kms:Decrypt"],"Resource":"*"}`
	if t.rights != "" {
		rights += "," + t.rights
	}
	role := w.role("task-"+t.name, rights, nil)
	return w.revision(t, role)
}

func (w *world) revision(t task, role string) string {
	w.Helper()
	app := ecstypes.ContainerDefinition{Name: aws.String("app"), Image: aws.String(t.name + ":1"), Memory: aws.Int32(128), Environment: pairs(t.environment)}
	for name, from := range t.secrets {
		app.Secrets = append(app.Secrets, ecstypes.Secret{Name: &name, ValueFrom: &from})
	}
	containers := []ecstypes.ContainerDefinition{app}
	if t.sidecar != nil {
		containers = append(containers, ecstypes.ContainerDefinition{Name: aws.String("sidecar"), Image: aws.String("proxy:2"), Memory: aws.Int32(64), Environment: pairs(t.sidecar)})
	}
	out, err := w.ecs.RegisterTaskDefinition(w.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: &t.name, ExecutionRoleArn: &role, TaskRoleArn: &role, ContainerDefinitions: containers,
		Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: ecstypes.NetworkModeAwsvpc, RequiresCompatibilities: []ecstypes.Compatibility{ecstypes.CompatibilityFargate},
	})
	require.NoError(w, err, t.name)
	return *out.TaskDefinition.TaskDefinitionArn
}

func (w *world) service(t task) {
	w.Helper()
	revision := w.definition(t)
	in := &ecs.CreateServiceInput{
		Cluster: aws.String(cluster), ServiceName: &t.name, TaskDefinition: &revision, DesiredCount: aws.Int32(2), LaunchType: ecstypes.LaunchTypeFargate,
		DeploymentConfiguration: &ecstypes.DeploymentConfiguration{DeploymentCircuitBreaker: &ecstypes.DeploymentCircuitBreaker{Enable: true, Rollback: true}},
	}
	if t.controller != "" {
		in.DeploymentController = &ecstypes.DeploymentController{Type: t.controller}
	}
	for key, value := range t.tags {
		in.Tags = append(in.Tags, ecstypes.Tag{Key: &key, Value: &value})
	}
	_, err := w.ecs.CreateService(w.Context(), in)
	require.NoError(w, err, t.name)
}

// runs returns the containers of the revision that a service runs.
func (w *world) runs(name string) []ecstypes.ContainerDefinition {
	w.Helper()
	out, err := w.ecs.DescribeServices(w.Context(), &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: []string{name}})
	require.NoError(w, err)
	require.Len(w, out.Services, 1)
	definition, err := w.ecs.DescribeTaskDefinition(w.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: out.Services[0].TaskDefinition})
	require.NoError(w, err)
	return definition.TaskDefinition.ContainerDefinitions
}

func (w *world) parameter(name, value string, kind ssmtypes.ParameterType) {
	w.Helper()
	_, err := w.parameters.PutParameter(w.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: kind})
	require.NoError(w, err, name)
}
