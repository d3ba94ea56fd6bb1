// Package recoverytest makes the world of the tests of a recovery: a local cloud
// with a stack's secrets and their replicas, the roles of their readers, and the
// real program of a rotation function in both regions.
package recoverytest

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/localcloud"
)

// The regions.
const (
	Home    = "us-east-1"
	Standby = "us-west-2"
)

// Canary begins every value.
const Canary = "canary-DR-7f3a"

// perService is how many secrets a service reads.
const perService = 10

// World is a deployed stack.
type World struct {
	Cloud *localcloud.Cloud
	Stack catalogue.Stack
	File  string // the stack's
	Names []string

	t                *testing.T
	homeKey, awayKey string
	operator         aws.Credentials
}

// New deploys a stack of n secrets. Every tenth is rotated by the real program.
func New(t *testing.T, n int) *World {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	w := &World{Cloud: cloud, t: t}
	w.declare(n)
	w.makeKeys()
	w.makeReaders()
	w.makeOperator()
	w.makeFunctions()
	w.makeSecrets()
	return w
}

// Secrets returns a client of a region.
func (w *World) Secrets(region string) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(w.Cloud.Config(region))
}

// Lambda returns a client of a region.
func (w *World) Lambda(region string) *lambda.Client {
	return lambda.NewFromConfig(w.Cloud.Config(region))
}

func service(i int) string { return fmt.Sprintf("svc%02d", i/perService) }

func (w *World) declare(n int) {
	services, entries := map[string]any{}, map[string]any{}
	for i := range n {
		// The roles of every second service can be taken on.
		services[service(i)] = map[string]any{"assumedBy": []string{"lambda.amazonaws.com", "root"}}
		if (i/perService)%2 == 1 {
			services[service(i)] = map[string]any{"assumedBy": []string{"lambda.amazonaws.com"}}
		}
		rotation := map[string]any{"disabled": "this is a test"}
		if i%10 == 0 {
			rotation = map[string]any{"every": "30d"}
		}
		key := fmt.Sprintf("%s/key-%03d", service(i), i)
		entries[key] = map[string]any{
			"kind": "api-key", "owner": "team", "dataClassification": "confidential", "value": "present",
			"readers": []string{service(i)}, "rotation": rotation,
		}
		w.Names = append(w.Names, "acme/prod/"+key)
	}
	config := map[string]any{
		catalogue.KeyRegion: Home,
		catalogue.KeySettings: map[string]any{
			"organization": "acme", "environment": "prod", "owner": "team", "administrators": []string{"root"},
			"replicaRegion": Standby, "recoveryWindowDays": 7, "logRetentionDays": 14,
		},
		catalogue.KeyServices: services, catalogue.KeyCatalogue: entries,
		catalogue.KeyRotators: map[string]any{"api-key": map[string]any{"architecture": "x86_64"}},
	}
	text, err := json.Marshal(map[string]any{"config": config}) // JSON is YAML
	require.NoError(w.t, err)
	w.File = filepath.Join(w.t.TempDir(), "Pulumi.prod.yaml")
	require.NoError(w.t, os.WriteFile(w.File, text, 0o600))
	w.Stack, err = catalogue.ReadFile(w.File)
	require.NoError(w.t, err)
}

func (w *World) makeKeys() {
	ctx, keys := w.t.Context(), kms.NewFromConfig(w.Cloud.Config(Home))
	made, err := keys.CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	require.NoError(w.t, err)
	copied, err := keys.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: made.KeyMetadata.KeyId, ReplicaRegion: aws.String(Standby)})
	require.NoError(w.t, err)
	w.homeKey, w.awayKey = *made.KeyMetadata.Arn, *copied.ReplicaKeyMetadata.Arn
	require.NoError(w.t, w.Cloud.Advance(ctx, time.Minute))
	out, err := kms.NewFromConfig(w.Cloud.Config(Standby)).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &w.awayKey})
	require.NoError(w.t, err)
	require.Equal(w.t, kmstypes.KeyStateEnabled, out.KeyMetadata.KeyState)
}

const lambdaTrust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":%s,"Action":"sts:AssumeRole"}]}`

func (w *World) makeRole(name, trust, policy string) string {
	roles := iam.NewFromConfig(w.Cloud.Config(Home))
	role, err := roles.CreateRole(w.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(fmt.Sprintf(lambdaTrust, trust))})
	require.NoError(w.t, err)
	_, err = roles.PutRolePolicy(w.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("rights"), PolicyDocument: &policy})
	require.NoError(w.t, err)
	return *role.Role.Arn
}

func (w *World) makeReaders() {
	for name, declared := range w.Stack.Services {
		trust := `{"Service":"lambda.amazonaws.com"}`
		if len(declared.Principals()) > 0 {
			trust = `{"Service":"lambda.amazonaws.com","AWS":"` + w.Cloud.Account() + `"}`
		}
		w.makeRole("acme-prod-"+name+"-reader", trust, `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"arn:aws:secretsmanager:*:*:secret:acme/prod/`+name+`/*"},
			{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}]}`)
	}
}

// makeOperator makes the role of who recovers, and no other right than it needs.
func (w *World) makeOperator() {
	role := w.makeRole("secrets-administrator", `{"AWS":"`+w.Cloud.Account()+`"}`, OperatorPolicy)
	out, err := sts.NewFromConfig(w.Cloud.Config(Standby)).AssumeRole(w.t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("ann")})
	require.NoError(w.t, err)
	w.operator = aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
}

// OperatorPolicy are the rights that a recovery needs, those of
// docs/disaster-recovery.md.
const OperatorPolicy = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Action":["secretsmanager:ListSecrets","lambda:ListFunctions","sts:GetCallerIdentity"],"Resource":"*"},
	{"Effect":"Allow","Action":["secretsmanager:CancelRotateSecret","secretsmanager:DescribeSecret","secretsmanager:GetSecretValue",
		"secretsmanager:ListSecretVersionIds","secretsmanager:ReplicateSecretToRegions","secretsmanager:RotateSecret",
		"secretsmanager:StopReplicationToReplica","secretsmanager:UpdateSecretVersionStage"],"Resource":"arn:aws:secretsmanager:*:*:secret:acme/prod/*"},
	{"Effect":"Allow","Action":["kms:Decrypt","kms:Encrypt","kms:GenerateDataKey"],"Resource":"*"},
	{"Effect":"Allow","Action":["lambda:GetFunction","lambda:GetFunctionConfiguration","lambda:InvokeFunction","lambda:ListAliases","lambda:UpdateFunctionConfiguration"],"Resource":"*"},
	{"Effect":"Allow","Action":["iam:SimulatePrincipalPolicy","sts:AssumeRole"],"Resource":"arn:aws:iam::*:role/acme-prod-*-reader"},
	{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::acme-prod-secrets-audit-*/recovery/prod/*"}]}`

// Config is the operator's.
func (w *World) Config() aws.Config {
	return w.Cloud.ConfigFor("", w.operator.AccessKeyID, w.operator.SecretAccessKey, w.operator.SessionToken)
}

// Environment lets programs be run as the operator.
func (w *World) Environment() map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": w.Cloud.URL(), "AWS_ACCESS_KEY_ID": w.operator.AccessKeyID, "AWS_SECRET_ACCESS_KEY": w.operator.SecretAccessKey,
		"AWS_SESSION_TOKEN": w.operator.SessionToken, "AWS_REGION": Home, "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
}

// makeFunctions deploys the rotation function in both regions, and a service's
// function in each.
func (w *World) makeFunctions() {
	role := w.makeRole("rotator", `{"Service":"lambda.amazonaws.com"}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:*","kms:*","logs:*"],"Resource":"*"}]}`)
	reader := "arn:aws:iam::" + w.Cloud.Account() + ":role/acme-prod-svc00-reader"
	for _, region := range []string{Home, Standby} {
		w.makeFunction(region, "acme-prod-rotate-api-key", role, nil)
		_, err := w.Lambda(region).AddPermission(w.t.Context(), &lambda.AddPermissionInput{
			FunctionName: aws.String("acme-prod-rotate-api-key"), StatementId: aws.String("rotate"), Action: aws.String("lambda:InvokeFunction"),
			Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(w.Cloud.Account()),
		})
		require.NoError(w.t, err)
		w.makeFunction(region, "orders-"+region, reader, map[string]string{"SECRETS_FAILOVER_REGIONS": Standby, "MODE": Canary})
	}
}

func (w *World) makeFunction(region, name, role string, variables map[string]string) {
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	_, err := w.Lambda(region).CreateFunction(w.t.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Role: &role, Timeout: aws.Int32(60),
		Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"), Architectures: []lambdatypes.Architecture{architecture},
		Code: &lambdatypes.FunctionCode{ZipFile: program(w.t)}, Environment: &lambdatypes.Environment{Variables: variables},
	})
	require.NoError(w.t, err)
	require.NoError(w.t, w.Cloud.Advance(w.t.Context(), time.Second))
}

// function is the rotation function's ARN in a region.
func (w *World) function(region string) string {
	return "arn:aws:lambda:" + region + ":" + w.Cloud.Account() + ":function:acme-prod-rotate-api-key"
}

func (w *World) makeSecrets() {
	ctx := w.t.Context()
	var group errgroup.Group
	group.SetLimit(4)
	for i, name := range w.Names {
		group.Go(func() error {
			_, err := w.Secrets(Home).CreateSecret(ctx, &secretsmanager.CreateSecretInput{
				Name: &name, SecretString: aws.String(fmt.Sprintf(`{"key":"%s-%d"}`, Canary, i)), KmsKeyId: &w.homeKey,
				Description:       aws.String("a test's"),
				Tags:              []types.Tag{{Key: aws.String("Owner"), Value: aws.String("team")}},
				AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(Standby), KmsKeyId: &w.awayKey}},
			})
			if err != nil {
				return err
			}
			_, err = w.Secrets(Home).PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: aws.String(fmt.Sprintf(`{"key":"%s-%d-second"}`, Canary, i))})
			if err != nil {
				return err
			}
			if _, err := w.Secrets(Home).PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{
				SecretId: &name, ResourcePolicy: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"secretsmanager:*","Resource":"*","Condition":{"Bool":{"aws:PrincipalIsAWSService":"true"},"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/nobody"}}}]}`),
			}); err != nil {
				return err
			}
			if i%10 != 0 {
				return nil
			}
			_, err = w.Secrets(Home).RotateSecret(ctx, &secretsmanager.RotateSecretInput{
				SecretId: &name, RotationLambdaARN: aws.String(w.function(Home)), RotateImmediately: aws.Bool(false),
				RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)"), Duration: aws.String("2h")},
			})
			return err
		})
	}
	require.NoError(w.t, group.Wait())
	require.NoError(w.t, w.Cloud.Settle(ctx))
}

// Facts is all that is to be the same after a failover and the way back, by
// secret and region. It holds no value.
func (w *World) Facts() map[string]map[string]any {
	w.t.Helper()
	facts := map[string]map[string]any{}
	for _, region := range []string{Home, Standby} {
		client := w.Secrets(region)
		for _, name := range w.Names {
			d, err := client.DescribeSecret(w.t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
			require.NoError(w.t, err, "%s in %s", name, region)
			policy, err := client.GetResourcePolicy(w.t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: &name})
			require.NoError(w.t, err)
			versions := map[string]string{}
			for id, labels := range d.VersionIdsToStages {
				versions[id] = strings.Join(labels, " ")
			}
			fact := map[string]any{
				"arn": *d.ARN, "key": aws.ToString(d.KmsKeyId), "primary": aws.ToString(d.PrimaryRegion), "description": aws.ToString(d.Description),
				"policy": aws.ToString(policy.ResourcePolicy), "tags": fmt.Sprint(aws.ToString(d.Tags[0].Key), aws.ToString(d.Tags[0].Value)), "versions": versions,
				"rotates": aws.ToBool(d.RotationEnabled), "function": aws.ToString(d.RotationLambdaARN),
			}
			if d.RotationRules != nil {
				fact["schedule"] = aws.ToString(d.RotationRules.ScheduleExpression) + aws.ToString(d.RotationRules.Duration)
			}
			if len(d.ReplicationStatus) > 0 {
				fact["replica"] = fmt.Sprint(aws.ToString(d.ReplicationStatus[0].Region), d.ReplicationStatus[0].Status, aws.ToString(d.ReplicationStatus[0].KmsKeyId))
			}
			facts[region+" "+name] = fact
		}
	}
	return facts
}

// Deny takes a service's right to read away.
func (w *World) Deny(service string) {
	w.t.Helper()
	_, err := iam.NewFromConfig(w.Cloud.Config(Home)).DeleteRolePolicy(w.t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("acme-prod-" + service + "-reader"), PolicyName: aws.String("rights")})
	require.NoError(w.t, err)
}

// Break makes the rotation function of a region fail at its start.
func (w *World) Break(region string) {
	w.t.Helper()
	_, err := w.Lambda(region).UpdateFunctionConfiguration(w.t.Context(), &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("acme-prod-rotate-api-key"), Environment: &lambdatypes.Environment{Variables: map[string]string{"SECRETS_LOG_LEVEL": "loud"}},
	})
	require.NoError(w.t, err)
	require.NoError(w.t, w.Cloud.Advance(w.t.Context(), time.Second))
}

// Version returns the id of the version with a label.
func (w *World) Version(region, name, label string) string {
	w.t.Helper()
	out, err := w.Secrets(region).GetSecretValue(w.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: &label})
	require.NoError(w.t, err)
	return *out.VersionId
}

// Value returns the current value.
func (w *World) Value(region, name string) string {
	w.t.Helper()
	out, err := w.Secrets(region).GetSecretValue(w.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	require.NoError(w.t, err)
	return *out.SecretString
}

// program is the rotation function's zip, built once.
var program = func() func(*testing.T) []byte {
	var once sync.Once
	var code []byte
	return func(t *testing.T) []byte {
		t.Helper()
		once.Do(func() { code = build(t) })
		require.NotEmpty(t, code, "the rotation function wasn't built")
		return code
	}
}()

func build(t *testing.T) []byte {
	_, here, _, _ := runtime.Caller(0)
	path := filepath.Join(t.TempDir(), "bootstrap")
	command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./cmd/rotate-api-key")
	command.Dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "rotators")
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	binary, err := os.ReadFile(path)
	require.NoError(t, err)
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	require.NoError(t, err)
	_, err = file.Write(binary)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	return buffer.Bytes()
}
