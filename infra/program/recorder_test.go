package program_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/program"
)

const (
	accountID = "123456789012"
	root      = "arn:aws:iam::" + accountID + ":root"
)

// recorder keeps what a program registers and hands it on.
type recorder struct {
	next pulumi.MockResourceMonitor

	mu        sync.Mutex
	resources []pulumi.MockResourceArgs
	calls     []pulumi.MockCallArgs
}

func (r *recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	r.resources = append(r.resources, args)
	r.mu.Unlock()
	return r.next.NewResource(args)
}

func (r *recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	r.mu.Lock()
	r.calls = append(r.calls, args)
	r.mu.Unlock()
	return r.next.Call(args)
}

// named returns the resources of a type by their names.
func (r *recorder) named(token string) map[string]pulumi.MockResourceArgs {
	found := map[string]pulumi.MockResourceArgs{}
	for _, args := range r.resources {
		if args.TypeToken == token {
			found[args.Name] = args
		}
	}
	return found
}

// paper is a cloud that takes everything and does nothing.
type paper struct {
	caller  string // ARN of the deployer
	masters map[string]string
}

func (paper) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	state := args.Inputs.Copy()
	kind := args.TypeToken[strings.LastIndexByte(args.TypeToken, ':')+1:]
	state["arn"] = resource.NewProperty(fmt.Sprintf("arn:aws:service:region:%s:%s/%s", accountID, kind, args.Name))
	state["keyId"] = resource.NewProperty("id-of-" + args.Name)
	state["version"] = resource.NewProperty("1") // of a layer
	return args.Name + "-id", state, nil
}

func (p paper) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	text := func(values map[string]string) resource.PropertyMap {
		found := resource.PropertyMap{}
		for key, value := range values {
			found[resource.PropertyKey(key)] = resource.NewProperty(value)
		}
		return found
	}
	switch args.Token {
	case "aws:index/getCallerIdentity:getCallerIdentity":
		return text(map[string]string{"accountId": accountID, "arn": p.caller}), nil
	case "aws:secretsmanager/getSecret:getSecret":
		name := args.Args["name"].StringValue()
		key, there := p.masters[name]
		if !there {
			return nil, fmt.Errorf("couldn't find resource %s", name)
		}
		return text(map[string]string{"arn": "arn:aws:secretsmanager:us-east-1:" + accountID + ":secret:" + name + "-AbCdEf", "kmsKeyId": key}), nil
	default:
		return nil, fmt.Errorf("unexpected function %s", args.Token)
	}
}

// stackConfig reads a stack's configuration as it is deployed.
func stackConfig(t *testing.T, stack string) map[string]string {
	t.Helper()
	config, err := program.ReadStackFile(filepath.Join("..", "..", "Pulumi."+stack+".yaml"))
	require.NoError(t, err)
	return config
}

// commands are what becomes an archive, which a stack may need.
var commands = []string{"rotate-database", "rotate-api-key", "rotate-oauth", "rotate-custom", "rotation-feed", "auditor", "migration-scan", "secrets-extension-layer"}

// artifacts is a folder with empty archives.
func artifacts(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, command := range commands {
		for _, architecture := range []string{"arm64", "amd64"} {
			writeFile(t, filepath.Join(folder, command+"_linux_"+architecture+".zip"), nil)
		}
	}
	return folder
}

// deploy runs the program with a configuration on a monitor.
func deploy(monitor pulumi.MockResourceMonitor, config map[string]string, artifacts string) error {
	return pulumi.RunErr(program.New(program.Options{Artifacts: artifacts}),
		pulumi.WithMocks(catalogue.Namespace, "test", monitor),
		func(info *pulumi.RunInfo) { info.Config = config })
}

// deployOnPaper returns what the program registers for a stack.
func deployOnPaper(t *testing.T, stack string) *recorder {
	t.Helper()
	record := &recorder{next: paperFor(stack)}
	require.NoError(t, deploy(record, stackConfig(t, stack), artifacts(t)))
	return record
}

func paperFor(stack string) paper {
	masters := map[string]string{"aistudio/dev/platform/postgres-admin": ""}
	for _, server := range []string{"main", "warehouse"} {
		masters["aistudio/"+stack+"/platform/"+server+"-admin"] = "arn:aws:kms:us-east-1:" + accountID + ":key/of-" + server
	}
	caller := root
	if stack == "prod" {
		caller = "arn:aws:sts::" + accountID + ":assumed-role/secrets-deployer/pipeline"
	}
	return paper{caller: caller, masters: masters}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
