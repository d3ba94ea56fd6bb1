package conformance

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/stretchr/testify/require"
)

const functions = "Lambda"

func (p *probe) lambda() *lambda.Client { return lambda.NewFromConfig(p.config(region)) }

// archive is a zip with a bootstrap that nobody runs.
func archive(p *probe, content string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	h.SetMode(0o755)
	f, err := w.CreateHeader(h)
	require.NoError(p, err)
	_, err = f.Write([]byte(content))
	require.NoError(p, err)
	require.NoError(p, w.Close())
	return b.Bytes()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(s[:])
}

// function makes a function called as the case is, with the variable COLOUR.
func (p *probe) function() *lambda.CreateFunctionOutput {
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	role, err := p.iam().CreateRole(p.ctx, &iam.CreateRoleInput{RoleName: &p.prefix, AssumeRolePolicyDocument: &policy})
	require.NoError(p, err)
	out, err := p.lambda().CreateFunction(p.ctx, &lambda.CreateFunctionInput{
		FunctionName: &p.prefix, Role: role.Role.Arn, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
		Architectures: []types.Architecture{types.ArchitectureArm64}, MemorySize: aws.Int32(256), Timeout: aws.Int32(30),
		Code:        &types.FunctionCode{ZipFile: archive(p, "first")},
		Environment: &types.Environment{Variables: map[string]string{"COLOUR": "red"}},
	})
	require.NoError(p, err)
	p.ready()
	return out
}

// ready waits until the function is active and its last update is done.
func (p *probe) ready() {
	require.Eventually(p, func() bool {
		out, err := p.lambda().GetFunctionConfiguration(p.ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &p.prefix})
		return err == nil && out.State == types.StateActive && out.LastUpdateStatus == types.LastUpdateStatusSuccessful
	}, waitLimit, 10*time.Millisecond)
}

func functionCases() []testCase {
	return []testCase{
		{service: functions, name: "create and get", run: func(p *probe) {
			created := p.function()
			out, err := p.lambda().GetFunction(p.ctx, &lambda.GetFunctionInput{FunctionName: &p.prefix})
			require.NoError(p, err)
			c := out.Configuration
			p.equal("arn:aws:lambda:us-east-1:123456789012:function:"+p.prefix, *c.FunctionArn)
			p.equal(*created.FunctionArn, *c.FunctionArn)
			p.equal(types.StateActive, c.State)
			p.equal(types.LastUpdateStatusSuccessful, c.LastUpdateStatus)
			p.equal("$LATEST", *c.Version)
			p.equal(map[string]string{"COLOUR": "red"}, c.Environment.Variables)
			p.equal(int32(256), *c.MemorySize)
			p.equal(sum(archive(p, "first")), *c.CodeSha256)
		}},
		{service: functions, name: "get what isn't there", run: func(p *probe) {
			_, err := p.lambda().GetFunction(p.ctx, &lambda.GetFunctionInput{FunctionName: aws.String("none")})
			p.fails(err, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:123456789012:function:none")
		}},
		{service: functions, name: "create again", run: func(p *probe) {
			created := p.function()
			_, err := p.lambda().CreateFunction(p.ctx, &lambda.CreateFunctionInput{
				FunctionName: &p.prefix, Role: created.Role, Runtime: types.RuntimeProvidedal2023, Handler: aws.String("bootstrap"),
				Code: &types.FunctionCode{ZipFile: archive(p, "first")},
			})
			p.fails(err, "ResourceConflictException", "Function already exist")
		}},
		{service: functions, name: "a change of variables replaces all", run: func(p *probe) {
			p.function()
			out, err := p.lambda().UpdateFunctionConfiguration(p.ctx, &lambda.UpdateFunctionConfigurationInput{
				FunctionName: &p.prefix, Environment: &types.Environment{Variables: map[string]string{"SIZE": "7"}},
			})
			require.NoError(p, err)
			p.equal(map[string]string{"SIZE": "7"}, out.Environment.Variables)
			p.equal(int32(256), *out.MemorySize)
		}},
		{service: functions, name: "a change with another revision is refused", run: func(p *probe) {
			p.function()
			_, err := p.lambda().UpdateFunctionConfiguration(p.ctx, &lambda.UpdateFunctionConfigurationInput{
				FunctionName: &p.prefix, RevisionId: aws.String("00000000-0000-0000-0000-000000000000"), Timeout: aws.Int32(5),
			})
			p.fails(err, "PreconditionFailedException", "")
		}, moto: &difference{"ignores RevisionId", "[UpdateFunctionConfiguration](https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html): PreconditionFailedException"}},
		{service: functions, name: "new code", run: func(p *probe) {
			p.function()
			out, err := p.lambda().UpdateFunctionCode(p.ctx, &lambda.UpdateFunctionCodeInput{FunctionName: &p.prefix, ZipFile: archive(p, "second")})
			require.NoError(p, err)
			p.equal(sum(archive(p, "second")), *out.CodeSha256)
		}},
		{service: functions, name: "versions keep what they were", run: func(p *probe) {
			p.function()
			c := p.lambda()
			one, err := c.PublishVersion(p.ctx, &lambda.PublishVersionInput{FunctionName: &p.prefix})
			require.NoError(p, err)
			p.equal("1", *one.Version)
			_, err = c.UpdateFunctionConfiguration(p.ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: &p.prefix, Environment: &types.Environment{Variables: map[string]string{"COLOUR": "blue"}}})
			require.NoError(p, err)
			p.ready()
			two, err := c.PublishVersion(p.ctx, &lambda.PublishVersionInput{FunctionName: &p.prefix})
			require.NoError(p, err)
			p.equal("2", *two.Version)
			old, err := c.GetFunctionConfiguration(p.ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &p.prefix, Qualifier: aws.String("1")})
			require.NoError(p, err)
			p.equal("red", old.Environment.Variables["COLOUR"])
			p.equal(*one.FunctionArn, *old.FunctionArn)
		}},
		{service: functions, name: "publish without a change makes no version", run: func(p *probe) {
			p.function()
			for range 2 {
				out, err := p.lambda().PublishVersion(p.ctx, &lambda.PublishVersionInput{FunctionName: &p.prefix})
				require.NoError(p, err)
				p.equal("1", *out.Version)
			}
		}},
		{service: functions, name: "alias", run: func(p *probe) {
			p.function()
			c := p.lambda()
			_, err := c.PublishVersion(p.ctx, &lambda.PublishVersionInput{FunctionName: &p.prefix})
			require.NoError(p, err)
			made, err := c.CreateAlias(p.ctx, &lambda.CreateAliasInput{FunctionName: &p.prefix, Name: aws.String("current"), FunctionVersion: aws.String("1")})
			require.NoError(p, err)
			p.equal("arn:aws:lambda:us-east-1:123456789012:function:"+p.prefix+":current", *made.AliasArn)
			_, err = c.UpdateAlias(p.ctx, &lambda.UpdateAliasInput{FunctionName: &p.prefix, Name: aws.String("current"), FunctionVersion: aws.String("$LATEST")})
			require.NoError(p, err)
			got, err := c.GetAlias(p.ctx, &lambda.GetAliasInput{FunctionName: &p.prefix, Name: aws.String("current")})
			require.NoError(p, err)
			p.equal("$LATEST", *got.FunctionVersion)
			_, err = c.DeleteAlias(p.ctx, &lambda.DeleteAliasInput{FunctionName: &p.prefix, Name: aws.String("current")})
			require.NoError(p, err)
			_, err = c.GetAlias(p.ctx, &lambda.GetAliasInput{FunctionName: &p.prefix, Name: aws.String("current")})
			p.fails(err, "ResourceNotFoundException", "")
		}},
		{service: functions, name: "permissions", run: func(p *probe) {
			p.function()
			c := p.lambda()
			in := &lambda.AddPermissionInput{
				FunctionName: &p.prefix, StatementId: aws.String("rotation"), Action: aws.String("lambda:InvokeFunction"),
				Principal: aws.String("secretsmanager.amazonaws.com"), SourceAccount: aws.String(account),
			}
			_, err := c.AddPermission(p.ctx, in)
			require.NoError(p, err)
			_, err = c.AddPermission(p.ctx, in)
			p.fails(err, "ResourceConflictException", "rotation")
			got, err := c.GetPolicy(p.ctx, &lambda.GetPolicyInput{FunctionName: &p.prefix})
			require.NoError(p, err)
			require.Contains(p, *got.Policy, "secretsmanager.amazonaws.com")
			_, err = c.RemovePermission(p.ctx, &lambda.RemovePermissionInput{FunctionName: &p.prefix, StatementId: aws.String("rotation")})
			require.NoError(p, err)
			_, err = c.GetPolicy(p.ctx, &lambda.GetPolicyInput{FunctionName: &p.prefix})
			p.fails(err, "ResourceNotFoundException", "")
		}, moto: &difference{"takes the same statement id twice", "[AddPermission](https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html): ResourceConflictException"}},
		{service: functions, name: "layers", run: func(p *probe) {
			c := p.lambda()
			out, err := c.PublishLayerVersion(p.ctx, &lambda.PublishLayerVersionInput{LayerName: &p.prefix, Content: &types.LayerVersionContentInput{ZipFile: archive(p, "layer")}})
			require.NoError(p, err)
			p.equal("arn:aws:lambda:us-east-1:123456789012:layer:"+p.prefix, *out.LayerArn)
			p.equal(*out.LayerArn+":1", *out.LayerVersionArn)
			again, err := c.PublishLayerVersion(p.ctx, &lambda.PublishLayerVersionInput{LayerName: &p.prefix, Content: &types.LayerVersionContentInput{ZipFile: archive(p, "layer")}})
			require.NoError(p, err)
			p.equal(int64(2), again.Version)
			_, err = c.DeleteLayerVersion(p.ctx, &lambda.DeleteLayerVersionInput{LayerName: &p.prefix, VersionNumber: aws.Int64(1)})
			require.NoError(p, err)
			third, err := c.PublishLayerVersion(p.ctx, &lambda.PublishLayerVersionInput{LayerName: &p.prefix, Content: &types.LayerVersionContentInput{ZipFile: archive(p, "layer")}})
			require.NoError(p, err)
			p.equal(int64(3), third.Version)
		}},
		{service: functions, name: "reserved concurrency", run: func(p *probe) {
			p.function()
			c := p.lambda()
			_, err := c.PutFunctionConcurrency(p.ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &p.prefix, ReservedConcurrentExecutions: aws.Int32(2)})
			require.NoError(p, err)
			out, err := c.GetFunctionConcurrency(p.ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &p.prefix})
			require.NoError(p, err)
			p.equal(int32(2), *out.ReservedConcurrentExecutions)
		}},
		{service: functions, name: "tags", run: func(p *probe) {
			created := p.function()
			c := p.lambda()
			_, err := c.TagResource(p.ctx, &lambda.TagResourceInput{Resource: created.FunctionArn, Tags: map[string]string{"a": "1", "b": "2"}})
			require.NoError(p, err)
			_, err = c.UntagResource(p.ctx, &lambda.UntagResourceInput{Resource: created.FunctionArn, TagKeys: []string{"a"}})
			require.NoError(p, err)
			out, err := c.ListTags(p.ctx, &lambda.ListTagsInput{Resource: created.FunctionArn})
			require.NoError(p, err)
			p.equal(map[string]string{"b": "2"}, out.Tags)
		}},
		{service: functions, name: "delete", run: func(p *probe) {
			p.function()
			c := p.lambda()
			_, err := c.DeleteFunction(p.ctx, &lambda.DeleteFunctionInput{FunctionName: &p.prefix})
			require.NoError(p, err)
			_, err = c.GetFunction(p.ctx, &lambda.GetFunctionInput{FunctionName: &p.prefix})
			p.fails(err, "ResourceNotFoundException", "Function not found")
			_, err = c.DeleteFunction(p.ctx, &lambda.DeleteFunctionInput{FunctionName: &p.prefix})
			p.fails(err, "ResourceNotFoundException", "")
		}},
		{service: functions, name: "variables of more than 4 KB", run: func(p *probe) {
			p.function()
			_, err := p.lambda().UpdateFunctionConfiguration(p.ctx, &lambda.UpdateFunctionConfigurationInput{
				FunctionName: &p.prefix, Environment: &types.Environment{Variables: map[string]string{"BIG": strings.Repeat("x", 4096)}},
			})
			p.fails(err, "InvalidParameterValueException", "4KB limit")
		}, moto: &difference{"takes any size", "[quotas](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html): 4 KB for all environment variables of a function"}},
		{service: functions, name: "reserved variable", run: func(p *probe) {
			p.function()
			_, err := p.lambda().UpdateFunctionConfiguration(p.ctx, &lambda.UpdateFunctionConfigurationInput{
				FunctionName: &p.prefix, Environment: &types.Environment{Variables: map[string]string{"AWS_REGION": "mars-1"}},
			})
			p.fails(err, "InvalidParameterValueException", "AWS_REGION")
		}, moto: &difference{"takes it", "[environment variables](https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html): the keys of reserved variables cannot be set"}},
	}
}
