package secretsmanager_test

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

// buildRotator returns the zip of testdata/rotator for this machine.
func buildRotator(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", path, "./testdata/rotator")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	h.SetMode(0o755)
	f, err := w.CreateHeader(h)
	require.NoError(t, err)
	_, err = f.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// TestRotationByARealFunction: all of the local cloud takes part. The function
// runs as a process of its own with the credentials of a role that may do just
// what it has to, on a secret under a customer key.
func TestRotationByARealFunction(t *testing.T) {
	ctx := t.Context()
	code := buildRotator(t)
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	cfg := cloud.Config(region)
	client, functions, identity := sm.NewFromConfig(cfg), lambda.NewFromConfig(cfg), iam.NewFromConfig(cfg)

	key, err := kms.NewFromConfig(cfg).CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)
	secret, err := client.CreateSecret(ctx, &sm.CreateSecretInput{
		Name: aws.String("app/db"), SecretString: aws.String("first"), KmsKeyId: key.KeyMetadata.Arn,
	})
	require.NoError(t, err)

	role, err := identity.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName:                 aws.String("rotator"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	require.NoError(t, err)
	policy := strings.NewReplacer("SECRET", *secret.ARN, "KEY", *key.KeyMetadata.Arn).Replace(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Resource":"SECRET","Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue","secretsmanager:PutSecretValue","secretsmanager:UpdateSecretVersionStage"],
		 "Condition":{"StringEquals":{"secretsmanager:resource/AllowRotationLambdaArn":"` + function + `"}}},
		{"Effect":"Allow","Resource":"*","Action":"secretsmanager:GetRandomPassword"},
		{"Effect":"Allow","Resource":"KEY","Action":["kms:Decrypt","kms:GenerateDataKey"],
		 "Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com","kms:EncryptionContext:SecretARN":"SECRET"}}}]}`)
	_, err = identity.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("rotator"), PolicyName: aws.String("rotate"), PolicyDocument: &policy})
	require.NoError(t, err)
	architecture := lambdatypes.ArchitectureX8664
	if runtime.GOARCH == "arm64" {
		architecture = lambdatypes.ArchitectureArm64
	}
	_, err = functions.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("rotate"), Role: role.Role.Arn, Runtime: lambdatypes.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []lambdatypes.Architecture{architecture}, Timeout: aws.Int32(60), Code: &lambdatypes.FunctionCode{ZipFile: code},
	})
	require.NoError(t, err)
	require.NoError(t, cloud.Advance(ctx, time.Minute)) // the function becomes active

	rotate := &sm.RotateSecretInput{SecretId: secret.ARN, RotationLambdaARN: aws.String(function), RotationRules: everyDays(30)}
	_, err = client.RotateSecret(ctx, rotate)
	fails(t, err, "AccessDeniedException", "Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
	_, err = functions.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: aws.String("rotate"), StatementId: aws.String("rotation"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(account),
	})
	require.NoError(t, err)

	values := map[string]bool{"first": true}
	for n := range 3 {
		if n == 0 {
			_, err = client.RotateSecret(ctx, rotate)
			require.NoError(t, err)
			require.NoError(t, cloud.Settle(ctx))
		} else {
			require.NoError(t, cloud.Advance(ctx, 30*24*time.Hour))
		}
		out, err := client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: secret.ARN})
		require.NoError(t, err)
		require.False(t, values[*out.SecretString], "rotation %d made no new value", n+1)
		values[*out.SecretString] = true
	}

	// CloudTrail tells of it, and of no value.
	events := 0
	pages := cloudtrail.NewLookupEventsPaginator(cloudtrail.NewFromConfig(cfg), &cloudtrail.LookupEventsInput{
		LookupAttributes: []trailtypes.LookupAttribute{{AttributeKey: trailtypes.LookupAttributeKeyEventSource, AttributeValue: aws.String("secretsmanager.amazonaws.com")}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		require.NoError(t, err)
		for _, e := range page.Events {
			if *e.EventName == "RotationSucceeded" {
				events++
				assert.Contains(t, *e.CloudTrailEvent, *secret.ARN)
			}
			for value := range values {
				assert.False(t, value != "first" && strings.Contains(*e.CloudTrailEvent, value), "%s shows a value", *e.EventName)
			}
		}
	}
	assert.Equal(t, 3, events)

	// Without the key the function can't rotate, and nothing is lost.
	_, err = identity.PutRolePolicy(ctx, &iam.PutRolePolicyInput{
		RoleName: aws.String("rotator"), PolicyName: aws.String("rotate"), PolicyDocument: aws.String(strings.Replace(policy, "kms:GenerateDataKey", "kms:DescribeKey", 1)),
	})
	require.NoError(t, err)
	before, err := client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: secret.ARN})
	require.NoError(t, err)
	require.NoError(t, cloud.Advance(ctx, 30*24*time.Hour))
	after, err := client.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: secret.ARN})
	require.NoError(t, err)
	require.Equal(t, *before.VersionId, *after.VersionId)
}

// TestAnotherAccount: a secret can be read from another account when its policy
// and its key's let that in; with the default key it can't.
func TestAnotherAccount(t *testing.T) {
	ctx := t.Context()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	const other = "210987654321"
	theirs := sm.NewFromConfig(cloud.ConfigFor(region, other, other, ""))
	ours, keys := sm.NewFromConfig(cloud.Config(region)), kms.NewFromConfig(cloud.Config(region))

	key, err := keys.CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)
	read := func(arn *string) error {
		out, err := theirs.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: arn})
		if err == nil {
			assert.Equal(t, "v", *out.SecretString)
		}
		return err
	}
	share := aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + other + `:root"},"Action":"secretsmanager:*","Resource":"*"}]}`)
	create := func(name string, key *string) *string {
		out, err := ours.CreateSecret(ctx, &sm.CreateSecretInput{Name: &name, SecretString: aws.String("v"), KmsKeyId: key})
		require.NoError(t, err)
		fails(t, read(out.ARN), "AccessDeniedException", "secretsmanager:GetSecretValue")
		_, err = ours.PutResourcePolicy(ctx, &sm.PutResourcePolicyInput{SecretId: &name, ResourcePolicy: share})
		require.NoError(t, err)
		fails(t, read(out.ARN), "AccessDeniedException", "Access to KMS is not allowed")
		return out.ARN
	}
	create("default", nil)
	arn := create("shared", key.KeyMetadata.Arn)
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::` + account + `:root","arn:aws:iam::` + other + `:root"]},"Action":"kms:*","Resource":"*"}]}`
	_, err = keys.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: key.KeyMetadata.KeyId, Policy: &policy})
	require.NoError(t, err)
	require.NoError(t, read(arn))
	_, err = theirs.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: aws.String("shared")})
	fails(t, err, "ResourceNotFoundException", "") // a name is one of the caller's own account
	_, err = theirs.PutSecretValue(ctx, &sm.PutSecretValueInput{SecretId: arn, SecretString: aws.String("theirs")})
	require.NoError(t, err)
	out, err := ours.GetSecretValue(ctx, &sm.GetSecretValueInput{SecretId: arn})
	require.NoError(t, err)
	assert.Equal(t, "theirs", *out.SecretString)
}
