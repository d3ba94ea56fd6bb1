package phase_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/phase"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/migrator/validate"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	region  = "us-east-1"
	replica = "us-west-2"
)

// world is what a stack deploys, made by hand.
type world struct {
	*testing.T
	cloud   *localcloud.Cloud
	config  aws.Config
	root    string
	stack   string
	replica string
	rotator string // ARN
	reason  string // why the catalogue says that its secret isn't rotated
}

func newWorld(t *testing.T, stack, replica string) *world {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	return &world{T: t, cloud: cloud, config: cloud.Config(region), root: t.TempDir(), stack: stack, replica: replica}
}

func (w *world) folder(stack string) string { return filepath.Join(w.root, stack) }

func (w *world) now() time.Time { return w.cloud.Clock().Now() }

func (w *world) advance(d time.Duration) {
	w.Helper()
	require.NoError(w, w.cloud.Advance(w.Context(), d))
}

func (w *world) subject() phase.Stack {
	w.Helper()
	now, account, err := validate.Now(w.Context(), w.config)
	require.NoError(w, err)
	return phase.Stack{
		Name: w.stack, Folder: w.folder(w.stack), Config: w.config, Account: account, Now: now,
		Settings: settings.Settings{
			Stack: w.stack, Organization: "acme", Environment: w.stack, Region: region, ReplicaRegion: w.replica,
			KMSKey: "alias/acme/" + w.stack + "/secrets", Declared: map[string]settings.Declared{"shop/partner-key": {Kind: "api-key", RotationDisabled: w.reason}},
		},
	}
}

func (w *world) look(name phase.Name) phase.Report {
	w.Helper()
	stack := w.stack
	report, err := phase.Look(w.Context(), phase.At{Phase: name, Stack: stack}, w.subject(), w.folder)
	require.NoError(w, err)
	var text bytes.Buffer
	require.NoError(w, report.Text(&text))
	assert.Contains(w, text.String(), "Phase "+report.At.String())
	return report
}

// answers asserts the answer to a check.
func (w *world) answers(name phase.Name, check string, want phase.Result, says string) {
	w.Helper()
	for _, item := range w.look(name).Items {
		if item.ID == check {
			assert.Equal(w, want, item.Result, "%s: %s", check, item.Detail)
			assert.Contains(w, item.Detail, says)
			return
		}
	}
	assert.Fail(w, "no such check", check)
}

// all asserts that every check of a phase has the result.
func (w *world) all(name phase.Name, want phase.Result, except ...string) {
	w.Helper()
	for _, item := range w.look(name).Items {
		if !contains(except, item.ID) {
			assert.Equal(w, want, item.Result, "%s: %s", item.ID, item.Detail)
		}
	}
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}

func (w *world) name() string { return "acme/" + w.stack + "/shop/partner-key" }

func (w *world) resource(name string) string { return "acme-" + w.stack + "-" + name }

func (w *world) bucket() string { return w.resource("audit-" + w.cloud.Account()) }

// deploy makes what phase foundation and prepare look for.
func (w *world) deploy() {
	w.Helper()
	w.key()
	w.role()
	w.rotates()
	for _, bucket := range []string{w.bucket(), "trail"} {
		_, err := s3.NewFromConfig(w.config).CreateBucket(w.Context(), &s3.CreateBucketInput{Bucket: &bucket})
		require.NoError(w, err)
	}
	_, err := s3.NewFromConfig(w.config).PutBucketPolicy(w.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("trail"), Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::trail"},` +
			`{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":"s3:PutObject","Resource":"arn:aws:s3:::trail/*"}]}`)})
	require.NoError(w, err)
	trails := cloudtrail.NewFromConfig(w.config)
	_, err = trails.CreateTrail(w.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("all"), S3BucketName: aws.String("trail"), IsMultiRegionTrail: aws.Bool(true)})
	require.NoError(w, err)
	_, err = trails.StartLogging(w.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("all")})
	require.NoError(w, err)
	w.alarm(w.config, "audit-missing", false)
	w.function(w.resource("audit"), none())
	w.audits("", 0)
	_, err = lambda.NewFromConfig(w.config).PublishLayerVersion(w.Context(), &lambda.PublishLayerVersionInput{
		LayerName: aws.String(w.resource("secrets-cache-arm64")), Content: &lambdatypes.LayerVersionContentInput{ZipFile: none()},
	})
	require.NoError(w, err)
}

// alarm makes an alarm of the stack, or changes it, that rings or doesn't.
func (w *world) alarm(config aws.Config, name string, rings bool) {
	w.Helper()
	missing := "notBreaching"
	if rings {
		missing = "breaching"
	}
	_, err := cloudwatch.NewFromConfig(config).PutMetricAlarm(w.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String(w.resource(name)), Namespace: aws.String("Shop"), MetricName: aws.String("Errors"), Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
		Statistic: cwtypes.StatisticSum, ComparisonOperator: cwtypes.ComparisonOperatorLessThanThreshold, Threshold: aws.Float64(1), TreatMissingData: &missing,
	})
	require.NoError(w, err)
	w.advance(5 * time.Minute)
}

func (w *world) key() {
	w.Helper()
	keys := kms.NewFromConfig(w.config)
	alias := aws.String("alias/acme/" + w.stack + "/secrets")
	key, err := keys.CreateKey(w.Context(), &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})
	require.NoError(w, err)
	id := key.KeyMetadata.KeyId
	_, err = keys.CreateAlias(w.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id})
	require.NoError(w, err)
	_, err = keys.EnableKeyRotation(w.Context(), &kms.EnableKeyRotationInput{KeyId: id})
	require.NoError(w, err)
	if w.replica == "" {
		return
	}
	_, err = keys.ReplicateKey(w.Context(), &kms.ReplicateKeyInput{KeyId: id, ReplicaRegion: &w.replica})
	require.NoError(w, err)
	_, err = kms.NewFromConfig(w.cloud.Config(w.replica)).CreateAlias(w.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id})
	require.NoError(w, err)
}

func (w *world) role() {
	w.Helper()
	roles := iam.NewFromConfig(w.config)
	_, err := roles.CreateRole(w.Context(), &iam.CreateRoleInput{
		RoleName:                 aws.String("function"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com","AWS":"` + w.cloud.Account() + `"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(w, err)
	w.allow(`"secretsmanager:*","kms:*","logs:*"`)
}

func (w *world) allow(actions string) {
	w.Helper()
	_, err := iam.NewFromConfig(w.config).PutRolePolicy(w.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("function"), PolicyName: aws.String("own"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}]}`)})
	require.NoError(w, err)
}

// become makes the looks those of a role that may do nothing.
func (w *world) become() {
	w.Helper()
	w.allow(`"logs:*"`)
	session, err := sts.NewFromConfig(w.config).AssumeRole(w.Context(), &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::" + w.cloud.Account() + ":role/function"), RoleSessionName: aws.String("ann")})
	require.NoError(w, err)
	w.config = w.cloud.ConfigFor(region, *session.Credentials.AccessKeyId, *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken)
}

func (w *world) function(name string, code []byte) string {
	w.Helper()
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	out, err := lambda.NewFromConfig(w.config).CreateFunction(w.Context(), &lambda.CreateFunctionInput{
		FunctionName: &name, Role: aws.String("arn:aws:iam::" + w.cloud.Account() + ":role/function"), Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []lambdatypes.Architecture{architecture}, Code: &lambdatypes.FunctionCode{ZipFile: code}, Timeout: aws.Int32(60),
	})
	require.NoError(w, err)
	w.advance(time.Minute)
	return *out.FunctionArn
}

// rotates makes the secret of the catalogue, which the real rotation function of
// API keys is to rotate.
func (w *world) rotates() {
	w.Helper()
	w.rotator = w.function(w.resource("rotate-api-key"), rotator(w.T))
	functions := lambda.NewFromConfig(w.config)
	_, err := functions.AddPermission(w.Context(), &lambda.AddPermissionInput{
		FunctionName: &w.rotator, StatementId: aws.String("rotate"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(w.cloud.Account()),
	})
	require.NoError(w, err)
	name := w.name()
	in := &secretsmanager.CreateSecretInput{Name: &name}
	if w.replica != "" {
		in.AddReplicaRegions = []smtypes.ReplicaRegionType{{Region: &w.replica}}
	}
	secrets := secretsmanager.NewFromConfig(w.config)
	_, err = secrets.CreateSecret(w.Context(), in)
	require.NoError(w, err)
	seed, err := json.Marshal(spec.SeedRequest{Step: spec.StepSeed, SecretID: name})
	require.NoError(w, err)
	out, err := functions.Invoke(w.Context(), &lambda.InvokeInput{FunctionName: &w.rotator, Payload: seed})
	require.NoError(w, err)
	require.Nil(w, out.FunctionError, "%s", out.Payload)
	_, err = secrets.RotateSecret(w.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &name, RotationLambdaARN: &w.rotator, RotateImmediately: aws.Bool(false), RotationRules: &smtypes.RotationRulesType{AutomaticallyAfterDays: aws.Int64(90)},
	})
	require.NoError(w, err)
	w.advance(time.Minute)
}

func (w *world) rotate() {
	w.Helper()
	name := w.name()
	_, err := secretsmanager.NewFromConfig(w.config).RotateSecret(w.Context(), &secretsmanager.RotateSecretInput{SecretId: &name})
	require.NoError(w, err)
	w.advance(time.Minute)
}

// rotator is the code of the rotation function, built once.
var rotator = func() func(*testing.T) []byte {
	var once sync.Once
	var code []byte
	return func(t *testing.T) []byte {
		once.Do(func() {
			path := filepath.Join(t.TempDir(), "bootstrap")
			command := exec.Command("go", "build", "-C", filepath.Join("..", "..", "rotators"), "-trimpath", "-ldflags=-s -w", "-o", path, "./cmd/rotate-api-key")
			command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
			output, err := command.CombinedOutput()
			require.NoError(t, err, string(output))
			binary, err := os.ReadFile(path)
			require.NoError(t, err)
			code = zipped(binary)
		})
		return code
	}
}()

// none is a program that does nothing.
func none() []byte { return zipped([]byte("#!/bin/sh\n")) }

func zipped(program []byte) []byte {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	header.SetMode(0o755)
	file, err := archive.CreateHeader(header)
	if err == nil {
		_, err = file.Write(program)
	}
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		panic(err) // writing to memory
	}
	return out.Bytes()
}

func (w *world) put(key, text string) {
	w.Helper()
	_, err := s3.NewFromConfig(w.config).PutObject(w.Context(), &s3.PutObjectInput{Bucket: aws.String(w.bucket()), Key: &key, Body: bytes.NewReader([]byte(text))})
	require.NoError(w, err)
}

// audits puts a report of now into the bucket, with failures of a rule.
func (w *world) audits(rule string, failures int) {
	w.Helper()
	now := w.now()
	w.put(spec.AuditReports+w.stack+"/"+now.Format("2006-01-02T150405Z")+"/report.json", fmt.Sprintf(
		`{"time":%q,"complete":true,"rules":[{"id":"key-default","severity":"high","counts":{"pass":1}},{"id":"tags-missing","severity":"low","counts":{"fail":3}},{"id":%q,"severity":"critical","counts":{"fail":%d}}],"findings":[]}`,
		now.Format(time.RFC3339), rule, failures))
}

func (w *world) scans(findings string) {
	w.Helper()
	now := w.now().Format(time.RFC3339)
	w.put(spec.ScanKey, fmt.Sprintf(`{"version":1,"started":%q,"finished":%q,"account":%q,"regions":["us-east-1"],"findings":[%s],"unread":[]}`, now, now, w.cloud.Account(), findings))
}

// plan writes a plan of one secret and one service.
func (w *world) plan(change func(*plan.Plan)) {
	w.Helper()
	p := plan.Plan{
		Version: plan.Version, Stack: w.stack, Organization: "acme", Environment: w.stack, Account: w.cloud.Account(), Region: region,
		KMSKey: "alias/acme/" + w.stack + "/secrets", Mode: plan.DualRead,
		Secrets: []plan.Secret{{
			Name: w.name(), Kind: spec.KindAPIKey, Description: "The partner's key",
			Tags: map[string]string{"Environment": w.stack, "Service": "shop", "Owner": "team-shop", "SecretType": "api-key", "DataClassification": "confidential", "ManagedBy": "migrator"},
			Values: []plan.Value{{Digest: "00000000000000000000000000000000", Places: []plan.Place{
				{In: spec.ScanLambda, ID: "shop", Variable: "PARTNER_KEY"}, {In: spec.ScanSSM, ID: "/shop/partner-key"},
			}}},
		}},
		Services: []plan.Service{{
			ID: "lambda/shop", Kind: plan.LambdaFunction, Name: "shop", ARN: "arn:aws:lambda:us-east-1:" + w.cloud.Account() + ":function:shop",
			Role: "arn:aws:iam::" + w.cloud.Account() + ":role/shop", Owner: "team-shop", Wave: 1, How: plan.ByReference, Digest: "00000000000000000000000000000000",
			Variables: []plan.Variable{{Name: "PARTNER_KEY", Secret: w.name()}},
		}},
	}
	if change != nil {
		change(&p)
	}
	require.NoError(w, os.MkdirAll(w.folder(w.stack), 0o700))
	file, err := os.Create(filepath.Join(w.folder(w.stack), "plan.yaml"))
	require.NoError(w, err)
	require.NoError(w, plan.Write(file, p))
	require.NoError(w, file.Close())
}

func (w *world) journal(act journal.Act, entries ...journal.Entry) {
	w.Helper()
	j, err := journal.Open(w.folder(w.stack), act, w.now)
	require.NoError(w, err)
	for _, e := range entries {
		require.NoError(w, j.Record(e))
	}
	require.NoError(w, j.Close())
}

func (w *world) service(status journal.Status) journal.Entry {
	return journal.Entry{Service: &journal.Service{ID: "lambda/shop", Kind: plan.LambdaFunction, Status: status, Mode: plan.DualRead}}
}

func (w *world) applied() {
	w.Helper()
	w.journal(journal.Apply, journal.Entry{Secret: &journal.Secret{Name: w.name(), Status: journal.Written, Version: "v1"}}, w.service(journal.Healthy))
}

// validated saves a validation of now.
func (w *world) validated(soak time.Duration, results ...validate.Result) {
	w.Helper()
	r := validate.Report{Version: validate.Version, Stack: w.stack, Account: w.cloud.Account(), Region: region, Started: w.now(), Finished: w.now(), Soak: soak}
	for _, result := range results {
		r.Checks = append(r.Checks, validate.Check{Question: validate.Healthy, Subject: "lambda/shop", Result: result})
	}
	require.NoError(w, r.Save(w.folder(w.stack)))
}

func (w *world) confirm(name phase.Name, check string) {
	w.Helper()
	require.NoError(w, phase.Confirm(w.folder(w.stack), phase.At{Phase: name, Stack: w.stack}, phase.Confirmation{Check: check, By: "ann", At: w.now()}))
}
