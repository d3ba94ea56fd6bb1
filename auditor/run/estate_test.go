package run_test

import (
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/internal/audittest"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	account    = localcloud.DefaultAccount
	east, west = "us-east-1", "us-west-2"
	day        = 24 * time.Hour
	canary     = "canary-value-that-nobody-may-see"
)

// estate is a company's secrets in a local cloud.
type estate struct {
	t         *testing.T
	cloud     *localcloud.Cloud
	east      *secretsmanager.Client
	west      *secretsmanager.Client
	code      []byte // of the rotation function
	key       string
	westKey   string
	weakKey   string // its own rotation is off
	lostKey   string // to be deleted
	lostWest  string // of a replica, disabled
	catalogue spec.AuditCatalogue
	policy    policy.Policy
	scan      *spec.Scan
}

func newEstate(t *testing.T) *estate {
	return newEstateAt(t, time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC))
}

func newEstateAt(t *testing.T, start time.Time) *estate {
	t.Helper()
	cloud, err := localcloud.New(localcloud.WithStart(start))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	e := &estate{
		t: t, cloud: cloud,
		east: secretsmanager.NewFromConfig(cloud.Config(east)), west: secretsmanager.NewFromConfig(cloud.Config(west)),
		catalogue: spec.AuditCatalogue{
			Organization: "acme", Environment: "prod", Regions: []string{east}, ReplicaRegion: west,
			Administrators: []string{role("admin")}, Known: []string{"legacy-password"},
		},
		policy: policy.Default(),
	}
	e.key, e.westKey = e.makeKey(east, true), e.makeKey(west, true)
	return e
}

func role(name string) string { return "arn:aws:iam::" + account + ":role/" + name }

func (e *estate) must(_ any, err error) {
	e.t.Helper()
	require.NoError(e.t, err)
}

func (e *estate) makeKey(region string, rotates bool) string {
	client := kms.NewFromConfig(e.cloud.Config(region))
	out, err := client.CreateKey(e.t.Context(), &kms.CreateKeyInput{})
	require.NoError(e.t, err)
	if rotates {
		e.must(client.EnableKeyRotation(e.t.Context(), &kms.EnableKeyRotationInput{KeyId: out.KeyMetadata.KeyId}))
	}
	return *out.KeyMetadata.Arn
}

func (e *estate) advance(d time.Duration) {
	e.t.Helper()
	require.NoError(e.t, e.cloud.Advance(e.t.Context(), d))
}

// makeRole makes a role that anybody in the account may take on, and returns a
// configuration with a session of it.
func (e *estate) makeRole(name, document string) aws.Config {
	e.t.Helper()
	ctx := e.t.Context()
	client := iam.NewFromConfig(e.cloud.Config(east))
	e.must(client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `","Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)}))
	e.allow(name, document)
	return e.session(east, name)
}

func (e *estate) allow(name, document string) {
	e.t.Helper()
	client := iam.NewFromConfig(e.cloud.Config(east))
	e.must(client.PutRolePolicy(e.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &document}))
}

func (e *estate) session(region, name string) aws.Config {
	e.t.Helper()
	out, err := sts.NewFromConfig(e.cloud.Config(region)).AssumeRole(e.t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String(role(name)), RoleSessionName: aws.String("test"), DurationSeconds: aws.Int32(3600),
	})
	require.NoError(e.t, err)
	c := out.Credentials
	return e.cloud.ConfigFor(region, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

const mayRead = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","kms:Decrypt"],"Resource":"*"}]}`

// makeFunction makes a rotation function and returns its ARN.
func (e *estate) makeFunction(name string, environment map[string]string) string {
	e.t.Helper()
	ctx := e.t.Context()
	if e.code == nil {
		e.code = rotatorCode(e.t)
		e.makeRole("rotator", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:*","kms:*"],"Resource":"*"}]}`)
	}
	client := lambda.NewFromConfig(e.cloud.Config(east))
	out, err := client.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Role: aws.String(role("rotator")), Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []lambdatypes.Architecture{architecture()}, Timeout: aws.Int32(60), Code: &lambdatypes.FunctionCode{ZipFile: e.code},
		Environment: &lambdatypes.Environment{Variables: environment},
	})
	require.NoError(e.t, err)
	e.must(client.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: &name, StatementId: aws.String("rotation"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(account),
	}))
	return *out.FunctionArn
}

// built is the rotation function, which is built once for all tests.
var built struct {
	sync.Once
	code []byte
}

func rotatorCode(t *testing.T) []byte {
	t.Helper()
	built.Do(func() { built.code = audittest.Zip(t, audittest.Build(t, "testdata/rotator")) })
	require.NotEmpty(t, built.code, "its build failed in another test")
	return built.code
}

// architecture is this machine's.
func architecture() lambdatypes.Architecture {
	if runtime.GOARCH == "arm64" {
		return lambdatypes.ArchitectureArm64
	}
	return lambdatypes.ArchitectureX8664
}

// secret is a secret to be made; the zero value is one without any fault.
type secret struct {
	key        string            // empty: the estate's
	awsKey     bool              // no key
	tags       map[string]string // beside the good ones; an empty value takes one away
	kind       spec.Kind         // empty: database
	function   string            // ARN; empty: not rotated
	every      string            // an expression, or a number of days; empty: rate(40 days)
	noReplica  bool
	replicaKey string // empty: the estate's; "aws": none
	undeclared bool
	name       string // empty: acme/prod/app/<short>
}

// make creates a secret, rotates it if it has a function, and declares it.
func (e *estate) make(short string, s secret) {
	e.t.Helper()
	ctx := e.t.Context()
	name := s.name
	if name == "" {
		name = "acme/prod/app/" + short
	}
	kind := s.kind
	if kind == "" {
		kind = spec.KindDatabase
	}
	tags := map[string]string{
		"Environment": "prod", "Service": "app", "Owner": "team-app", "SecretType": string(kind), "DataClassification": "confidential", "ManagedBy": "pulumi",
	}
	maps.Copy(tags, s.tags)
	in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(canary), KmsKeyId: aws.String(e.key)}
	if s.key != "" {
		in.KmsKeyId = &s.key
	}
	if s.awsKey {
		in.KmsKeyId = nil
	}
	for key, value := range tags {
		if value != "" {
			in.Tags = append(in.Tags, types.Tag{Key: &key, Value: &value})
		}
	}
	if !s.noReplica {
		replica := types.ReplicaRegionType{Region: aws.String(west), KmsKeyId: &e.westKey}
		switch s.replicaKey {
		case "":
		case "aws":
			replica.KmsKeyId = nil
		default:
			replica.KmsKeyId = &s.replicaKey
		}
		in.AddReplicaRegions = []types.ReplicaRegionType{replica}
	}
	e.must(e.east.CreateSecret(ctx, in))
	if s.function != "" {
		e.rotate(name, s.function, s.every)
	}
	if !s.undeclared {
		e.catalogue.Secrets = append(e.catalogue.Secrets, spec.AuditSecret{
			Name: name, Kind: kind, Owner: "team-app", DataClassification: "confidential", Readers: []string{role("app")}, Rotator: role("rotator"),
			Schedule: "rate(40 days)", RotationFunction: s.function,
		})
	}
}

func (e *estate) rotate(name, function, every string) {
	e.t.Helper()
	if every == "" {
		every = "rate(40 days)"
	}
	schedule := &types.RotationRulesType{ScheduleExpression: &every}
	if days, err := strconv.ParseInt(every, 10, 64); err == nil {
		schedule = &types.RotationRulesType{AutomaticallyAfterDays: &days}
	}
	e.must(e.east.RotateSecret(e.t.Context(), &secretsmanager.RotateSecretInput{SecretId: &name, RotationLambdaARN: &function, RotationRules: schedule}))
	require.NoError(e.t, e.cloud.Settle(e.t.Context()))
}

func (e *estate) put(short string) {
	e.t.Helper()
	e.must(e.east.PutSecretValue(e.t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("acme/prod/app/" + short), SecretString: aws.String(canary + "2")}))
}

func (e *estate) setPolicy(short, principal string) { e.setPolicyWith(short, principal, "") }

// setPolicyWith lets a principal read under a condition.
func (e *estate) setPolicyWith(short, principal, condition string) {
	e.t.Helper()
	e.must(e.east.PutResourcePolicy(e.t.Context(), &secretsmanager.PutResourcePolicyInput{
		SecretId: aws.String("acme/prod/app/" + short), BlockPublicPolicy: aws.Bool(false), ResourcePolicy: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"secretsmanager:GetSecretValue","Resource":"*"` + condition + `}]}`),
	}))
}

func (e *estate) makeTrail() {
	e.t.Helper()
	objects := s3.NewFromConfig(e.cloud.Config(east))
	e.must(objects.CreateBucket(e.t.Context(), &s3.CreateBucketInput{Bucket: aws.String("logs")}))
	e.must(objects.PutBucketPolicy(e.t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String("logs"), Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"cloudtrail.amazonaws.com"},"Action":["s3:GetBucketAcl","s3:PutObject"],"Resource":["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]}]}`)}))
	client := cloudtrail.NewFromConfig(e.cloud.Config(east))
	e.must(client.CreateTrail(e.t.Context(), &cloudtrail.CreateTrailInput{Name: aws.String("main"), S3BucketName: aws.String("logs")}))
	e.must(client.StartLogging(e.t.Context(), &cloudtrail.StartLoggingInput{Name: aws.String("main")}))
}

// plant makes an estate in which each rule that can be broken in the local cloud
// is broken, with near misses beside it. It ends a hundred days after it began.
func plant(t *testing.T) *estate {
	e := newEstate(t)
	ctx := t.Context()
	e.makeTrail() // of one region, without validation; the other region has none
	rotator, broken := e.makeFunction("rotator", nil), e.makeFunction("broken-rotator", map[string]string{"FAILS": "yes"})
	doomed, old := e.makeFunction("doomed-rotator", nil), e.makeFunction("old-rotator", nil)
	mended := e.makeFunction("mended-rotator", map[string]string{"FAILS": "for now"})
	e.advance(time.Minute) // the functions become active

	e.weakKey, e.lostKey = e.makeKey(east, false), e.makeKey(east, true)
	e.lostWest = e.makeKey(west, true)
	e.must(kms.NewFromConfig(e.cloud.Config(east)).CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/weak"), TargetKeyId: &e.weakKey}))
	rotated := secret{function: rotator}
	e.make("good", rotated)
	e.make("organization", rotated)
	e.make("conditioned", rotated)
	e.make("renewed", secret{function: rotator, every: "60", kind: spec.KindAPIKey})
	e.make("replica-aws-key", secret{function: rotator, replicaKey: "aws"})
	e.make("weak-key-by-alias", secret{function: rotator, key: "alias/weak"}) // one key, one finding
	for _, short := range []string{"public", "shared", "wide", "spied", "replica-read", "unused", "stuck", "failed", "recovered"} {
		e.make(short, rotated)
	}
	e.make("administered", rotated)
	e.make("deleted-read", secret{function: rotator, noReplica: true})
	e.make("deleted-unread", secret{function: rotator, noReplica: true})
	e.make("overdue", secret{function: rotator, kind: spec.KindAPIKey})
	e.make("old", secret{function: rotator, every: "rate(200 days)"})
	e.make("by-hand", secret{function: rotator, every: "rate(200 days)"})
	e.make("untagged", secret{function: rotator, tags: map[string]string{"Owner": "", "Extra": "is allowed"}})
	e.make("mistagged", secret{function: rotator, tags: map[string]string{"Environment": "dev"}})
	e.make("aws-key", secret{function: rotator, awsKey: true})
	e.make("weak-key", secret{function: rotator, key: e.weakKey})
	e.make("lost-key", secret{function: rotator, key: e.lostKey})
	e.make("no-replica", secret{function: rotator, noReplica: true})
	e.make("accepted", secret{function: rotator, noReplica: true})
	e.make("out-of-sync", secret{function: rotator, replicaKey: e.lostWest})
	e.make("orphan", secret{function: doomed})
	e.make("old-runtime", secret{function: old})
	e.make("shadow", secret{function: rotator, undeclared: true})
	e.make("legacy", secret{function: rotator, undeclared: true, name: "legacy-password"})

	e.advance(41 * day)
	// Switched off and on again: AWS counts anew, but the value is as old as it is.
	e.must(e.east.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: aws.String("acme/prod/app/overdue")}))
	e.advance(9 * day) // day 50
	e.put("renewed")   // counts as a rotation, so that the next one is due on day 110
	e.advance(43 * day)
	e.must(e.east.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: aws.String("acme/prod/app/overdue"), RotationLambdaARN: &rotator, RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(40 days)")},
	}))
	e.put("by-hand")

	e.advance(4 * day) // day 97
	e.must(e.east.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("acme/prod/app/stuck"), SecretString: aws.String(canary), VersionStages: []string{"AWSPENDING"},
	}))
	e.make("no-rotation", secret{})
	e.setPolicy("public", "*")
	e.setPolicy("shared", "arn:aws:iam::210987654321:root")
	e.setPolicy("wide", role("stranger"))
	e.setPolicy("good", role("app"))
	e.setPolicyWith("conditioned", "*", `,"Condition":{"ArnEquals":{"aws:PrincipalArn":"`+role("app")+`"}}`)
	e.setPolicyWith("organization", "*", `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`)
	e.must(kms.NewFromConfig(e.cloud.Config(west)).DisableKey(ctx, &kms.DisableKeyInput{KeyId: &e.lostWest}))
	e.put("out-of-sync")
	e.rotate("acme/prod/app/recovered", mended, "")

	e.advance(2 * day) // day 99
	functions := lambda.NewFromConfig(e.cloud.Config(east))
	e.must(functions.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("mended-rotator"), Environment: &lambdatypes.Environment{Variables: map[string]string{"FAILS": ""}},
	}))
	e.advance(time.Minute)
	_, err := e.east.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: aws.String("acme/prod/app/recovered")})
	require.ErrorContains(t, err, "will be reattempted")
	e.advance(3 * time.Hour)
	e.must(functions.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: aws.String("doomed-rotator")}))
	e.must(functions.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("old-rotator"), Runtime: lambdatypes.RuntimeNodejs20x, Handler: aws.String("index.handler"),
	}))
	for _, short := range []string{"deleted-read", "deleted-unread"} {
		e.must(e.east.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("acme/prod/app/" + short)}))
	}
	e.advance(18 * time.Hour)

	// Stuck for three days, though it was changed a moment ago.
	e.must(e.east.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: aws.String("acme/prod/app/stuck"), Tags: []types.Tag{{Key: aws.String("Extra"), Value: aws.String("x")}}}))
	e.rotate("acme/prod/app/failed", broken, "")
	e.make("fresh", secret{noReplica: false})
	app := e.makeRole("app", mayRead)
	for _, s := range e.catalogue.Secrets {
		short := strings.TrimPrefix(s.Name, "acme/prod/app/")
		if !slices.Contains([]string{"unused", "replica-read", "deleted-read", "deleted-unread", "fresh", "no-rotation"}, short) {
			e.read(app, short)
		}
	}
	e.read(app, "shadow")
	e.must(secretsmanager.NewFromConfig(app).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("legacy-password")}))
	_, err = secretsmanager.NewFromConfig(app).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("acme/prod/app/deleted-read")})
	require.ErrorContains(t, err, "InvalidRequestException")
	e.read(e.session(west, "app"), "replica-read")
	e.read(e.makeRole("stranger", mayRead), "spied")
	e.read(e.makeRole("admin", mayRead), "administered")
	e.must(kms.NewFromConfig(e.cloud.Config(east)).ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &e.lostKey}))
	e.advance(time.Hour)

	e.policy.Suppressions = []policy.Suppression{
		{Rule: "replica-missing", Secret: "acme/prod/app/accepted", Owner: "team-app", Reason: "it moves in autumn", Expires: e.now().Add(30 * day), Line: 3},
		{Rule: "unused", Secret: "acme/prod/app/unused", Owner: "team-app", Reason: "it is needed in August", Expires: e.now().Add(-day).Truncate(day), Line: 4},
	}
	e.scan = &spec.Scan{
		Version: spec.ScanVersion, Started: e.now().Add(-2 * time.Hour), Finished: e.now().Add(-time.Hour), Account: account, Regions: []string{east, west},
		Findings: []spec.ScanFinding{
			{Place: spec.ScanLambda, Region: east, ARN: "arn:aws:lambda:us-east-1:" + account + ":function:orders", Variable: "DB_PASSWORD", Confidence: spec.ScanLikely, Reason: "its name says so", Owner: "team-orders"},
			{Place: spec.ScanECS, Region: east, ARN: "arn:aws:ecs:us-east-1:" + account + ":task-definition/orders:7", Container: "web", Variable: "API_KEY", Confidence: spec.ScanCertain, Reason: "the form of a key of Stripe"},
			{Place: spec.ScanSSM, Region: east, ARN: "arn:aws:ssm:us-east-1:" + account + ":parameter/orders/password", Confidence: spec.ScanPossible, Reason: "its name says so"},
		},
	}
	return e
}

func (e *estate) now() time.Time { return e.cloud.Clock().Now().UTC() }

// read reads secrets by their short names.
func (e *estate) read(cfg aws.Config, shorts ...string) {
	e.t.Helper()
	client := secretsmanager.NewFromConfig(cfg)
	for _, short := range shorts {
		e.must(client.GetSecretValue(e.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("acme/prod/app/" + short)}))
	}
}

func (e *estate) scanFact() facts.Fact[*spec.Scan] { return facts.Known(e.scan) }
