package lambda_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCreateErrors(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("taken"))
	tests := map[string]struct {
		change func(*lambda.CreateFunctionInput)
		code   string
		words  string
	}{
		"taken":        {func(in *lambda.CreateFunctionInput) { in.FunctionName = aws.String("taken") }, "ResourceConflictException", "Function already exist: taken"},
		"bad name":     {func(in *lambda.CreateFunctionInput) { in.FunctionName = aws.String("a b") }, "ValidationException", "'functionName'"},
		"timeout":      {func(in *lambda.CreateFunctionInput) { in.Timeout = aws.Int32(901) }, "ValidationException", "less than or equal to 900"},
		"memory":       {func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(64) }, "ValidationException", "greater than or equal to 128"},
		"runtime":      {func(in *lambda.CreateFunctionInput) { in.Runtime = "cobol" }, "InvalidParameterValueException", "Value cobol at 'runtime'"},
		"handler":      {func(in *lambda.CreateFunctionInput) { in.Handler = nil }, "InvalidParameterValueException", "Runtime and Handler are mandatory"},
		"architecture": {func(in *lambda.CreateFunctionInput) { in.Architectures = []types.Architecture{"mips"} }, "ValidationException", "[x86_64, arm64]"},
		"no code":      {func(in *lambda.CreateFunctionInput) { in.Code = &types.FunctionCode{} }, "InvalidParameterValueException", "Please provide a source for function code."},
		"not a zip":    {func(in *lambda.CreateFunctionInput) { in.Code.ZipFile = []byte("x") }, "InvalidParameterValueException", "Could not unzip uploaded file."},
		"escape":       {func(in *lambda.CreateFunctionInput) { in.Code.ZipFile = zipOf(map[string][]byte{"../x": nil}) }, "InvalidParameterValueException", "Could not unzip uploaded file."},
		"S3": {func(in *lambda.CreateFunctionInput) {
			in.Code = &types.FunctionCode{S3Bucket: aws.String("b"), S3Key: aws.String("k")}
		}, "LocalCloudUnsupportedMember", "code from S3"},
		"dead letters": {func(in *lambda.CreateFunctionInput) {
			in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: aws.String("arn:aws:sqs:us-east-1:123456789012:q")}
		}, "InvalidParameterValueException", "does not have permissions to call SendMessage on SQS"},
		"dead letters to a topic": {func(in *lambda.CreateFunctionInput) {
			in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: aws.String("arn:aws:sns:us-east-1:123456789012:t")}
		}, "LocalCloudUnsupportedMember", "dead letters"},
		"file system": {func(in *lambda.CreateFunctionInput) {
			in.FileSystemConfigs = []types.FileSystemConfig{{Arn: aws.String("arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-01234567890123456"), LocalMountPath: aws.String("/mnt/a")}}
		}, "LocalCloudUnsupportedMember", "FileSystemConfigs"},
		"reserved":      {func(in *lambda.CreateFunctionInput) { in.Environment = variables("AWS_REGION", "eu-west-1") }, "InvalidParameterValueException", "Reserved keys used in this request: AWS_REGION"},
		"variable name": {func(in *lambda.CreateFunctionInput) { in.Environment = variables("1ST", "x") }, "ValidationException", "[1ST]"},
		"4 KB":          {func(in *lambda.CreateFunctionInput) { in.Environment = variables("BIG", strings.Repeat("v", 4094)) }, "InvalidParameterValueException", "exceeded the 4KB limit."},
		"no role":       {func(in *lambda.CreateFunctionInput) { in.Role = aws.String("arn:aws:iam::123456789012:role/nobody") }, "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."},
		"role form":     {func(in *lambda.CreateFunctionInput) { in.Role = aws.String("worker") }, "ValidationException", "'role'"},
		"layer form":    {func(in *lambda.CreateFunctionInput) { in.Layers = []string{"tools"} }, "ValidationException", "ARN of a layer version"},
		"layer missing": {func(in *lambda.CreateFunctionInput) {
			in.Layers = []string{"arn:aws:lambda:us-east-1:123456789012:layer:tools:1"}
		}, "InvalidParameterValueException", "does not exist."},
		"layer's region": {func(in *lambda.CreateFunctionInput) {
			in.Layers = []string{"arn:aws:lambda:us-west-2:123456789012:layer:tools:1"}
		}, "InvalidParameterValueException", "expected to be in region us-east-1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := w.input("new")
			in.Code = &types.FunctionCode{ZipFile: script("exit 1")}
			tt.change(in)
			_, err := w.lambda.CreateFunction(t.Context(), in)
			assert.Contains(t, requireCode(t, err, tt.code), tt.words)
			assert.NotContains(t, err.Error(), "vvvv", "a variable's value")
		})
	}
}

// script is the zip of a shell script.
func script(text string) []byte {
	return zipOf(map[string][]byte{"bootstrap": []byte("#!/bin/sh\n" + text + "\n")})
}

func variables(name, value string) *types.Environment {
	return &types.Environment{Variables: map[string]string{name: value}}
}

func TestNamesOfFunctions(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	_, err := w.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: aws.String("worker")})
	require.NoError(t, err)
	for name, version := range map[string]string{
		"worker":                       "$LATEST",
		"worker:$LATEST":               "$LATEST",
		"worker:1":                     "1",
		"123456789012:function:worker": "$LATEST",
		"arn:aws:lambda:us-east-1:123456789012:function:worker":   "$LATEST",
		"arn:aws:lambda:us-east-1:123456789012:function:worker:1": "1",
	} {
		out, _ := w.invoke(t, name, "echo", "")
		assert.Equal(t, version, *out.ExecutedVersion, name)
	}
	for name, code := range map[string]string{
		"nobody":   "ResourceNotFoundException",
		"worker:7": "ResourceNotFoundException",
		"arn:aws:lambda:us-west-2:123456789012:function:worker": "ResourceNotFoundException",
		"a b": "ValidationException",
	} {
		_, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name})
		requireCode(t, err, code)
	}
	_, err = w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("worker:1"), Qualifier: aws.String("2")})
	requireCode(t, err, "InvalidParameterValueException")
}

func TestUpdateCode(t *testing.T) {
	w := newWorld(t)
	in := w.input("worker")
	in.Code = &types.FunctionCode{ZipFile: script("exit 4")}
	old := w.create(t, in)
	_, r := w.invoke(t, "worker", "echo", "")
	assert.Contains(t, r.ErrorMessage, "exit status 4")

	out, err := w.lambda.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: in.FunctionName, ZipFile: code(), Publish: true})
	require.NoError(t, err)
	assert.Equal(t, "1", *out.Version)
	assert.NotEqual(t, *old.CodeSha256, *out.CodeSha256)
	require.NoError(t, w.Advance(t.Context(), time.Second))
	_, r = w.invoke(t, "worker", "echo", "new")
	assert.Equal(t, "new", r.Value)
	_, r = w.invoke(t, "worker:1", "echo", "published")
	assert.Equal(t, "published", r.Value)
}

func TestVersionsAndAliases(t *testing.T) {
	w := newWorld(t)
	in := w.input("worker")
	in.Environment = variables("COLOUR", "green")
	w.create(t, in)
	publish := func() string {
		out, err := w.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: in.FunctionName})
		require.NoError(t, err)
		return *out.Version
	}
	assert.Equal(t, "1", publish())
	assert.Equal(t, "1", publish(), "nothing has changed")
	_, err := w.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: in.FunctionName, Environment: variables("COLOUR", "blue")})
	require.NoError(t, err)
	require.NoError(t, w.Advance(t.Context(), time.Second))
	assert.Equal(t, "2", publish())

	_, r := w.invoke(t, "worker:1", "echo", "")
	assert.Equal(t, "green", r.Colour, "a version doesn't change")
	created, err := w.lambda.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: in.FunctionName, Name: aws.String("prod"), FunctionVersion: aws.String("1")})
	require.NoError(t, err)
	assert.Equal(t, "arn:aws:lambda:us-east-1:123456789012:function:worker:prod", *created.AliasArn)
	out, _ := w.invoke(t, "worker:prod", "echo", "")
	assert.Equal(t, "1", *out.ExecutedVersion)

	_, err = w.lambda.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{
		FunctionName: in.FunctionName, Name: aws.String("prod"), RevisionId: created.RevisionId,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 1}},
	})
	require.NoError(t, err)
	out, r = w.invoke(t, "worker:prod", "echo", "")
	assert.Equal(t, "2", *out.ExecutedVersion, "all of the invocations")
	assert.Equal(t, "blue", r.Colour)
	_, err = w.lambda.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{FunctionName: in.FunctionName, Name: aws.String("prod"), RevisionId: created.RevisionId})
	requireCode(t, err, "PreconditionFailedException")

	for _, version := range []string{"1", "2"} {
		_, err = w.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: in.FunctionName, Qualifier: &version})
		requireCode(t, err, "ResourceConflictException")
	}
	aliases, err := w.lambda.ListAliases(t.Context(), &lambda.ListAliasesInput{FunctionName: in.FunctionName})
	require.NoError(t, err)
	require.Len(t, aliases.Aliases, 1)
	_, err = w.lambda.DeleteAlias(t.Context(), &lambda.DeleteAliasInput{FunctionName: in.FunctionName, Name: aws.String("prod")})
	require.NoError(t, err)
	_, err = w.lambda.GetAlias(t.Context(), &lambda.GetAliasInput{FunctionName: in.FunctionName, Name: aws.String("prod")})
	requireCode(t, err, "ResourceNotFoundException")
	_, err = w.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: in.FunctionName, Qualifier: aws.String("1")})
	require.NoError(t, err)

	versions, err := w.lambda.ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: in.FunctionName})
	require.NoError(t, err)
	var numbers []string
	for _, v := range versions.Versions {
		numbers = append(numbers, *v.Version)
	}
	assert.Equal(t, []string{"$LATEST", "2"}, numbers)
}

func TestListFunctionsInPages(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		in := w.input(fmt.Sprintf("worker-%d", i))
		in.Code = &types.FunctionCode{ZipFile: script("exit 1")}
		w.create(t, in)
	}
	pages := lambda.NewListFunctionsPaginator(w.lambda, &lambda.ListFunctionsInput{MaxItems: aws.Int32(2)})
	var names []string
	n := 0
	for ; pages.HasMorePages(); n++ {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		for _, f := range page.Functions {
			names = append(names, *f.FunctionName)
		}
	}
	assert.Equal(t, 3, n)
	assert.Equal(t, []string{"worker-0", "worker-1", "worker-2", "worker-3", "worker-4"}, names)
	other, err := lambda.NewFromConfig(w.Config("us-west-2")).ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	require.NoError(t, err)
	assert.Empty(t, other.Functions, "regions are apart")
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	w.create(t, w.input("worker"))
	w.invoke(t, "worker", "echo", "")
	_, err := w.lambda.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("worker")})
	require.NoError(t, err)
	_, err = w.lambda.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("worker")})
	requireCode(t, err, "ResourceNotFoundException")
	require.NoError(t, w.Settle(t.Context()))
	w.create(t, w.input("worker"))
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	in := w.input("worker")
	in.Tags = map[string]string{"Owner": "platform", "Environment": "dev"}
	arn := w.create(t, in).FunctionArn
	_, err := w.lambda.TagResource(t.Context(), &lambda.TagResourceInput{Resource: arn, Tags: map[string]string{"Owner": "data"}})
	require.NoError(t, err)
	_, err = w.lambda.UntagResource(t.Context(), &lambda.UntagResourceInput{Resource: arn, TagKeys: []string{"Environment", "none"}})
	require.NoError(t, err)
	out, err := w.lambda.ListTags(t.Context(), &lambda.ListTagsInput{Resource: arn})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"Owner": "data"}, out.Tags)
	_, err = w.lambda.TagResource(t.Context(), &lambda.TagResourceInput{Resource: arn, Tags: map[string]string{"aws:x": "y"}})
	requireCode(t, err, "InvalidParameterValueException")

	user := "reader"
	_, err = w.iam.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &user})
	require.NoError(t, err)
	_, err = w.iam.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{
		UserName: &user, PolicyName: aws.String("read"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"lambda:GetFunction","Resource":"*"}}`),
	})
	require.NoError(t, err)
	key, err := w.iam.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &user})
	require.NoError(t, err)
	reader := lambda.NewFromConfig(w.ConfigFor("us-east-1", *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, ""))
	function, err := reader.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: arn})
	require.NoError(t, err, "who may not list tags gets all the rest")
	assert.Empty(t, function.Tags)
	assert.Equal(t, "AccessDeniedException", *function.TagsError.ErrorCode)
}

func TestLayers(t *testing.T) {
	w := newWorld(t)
	publish := func(name, content string) *lambda.PublishLayerVersionOutput {
		out, err := w.lambda.PublishLayerVersion(t.Context(), &lambda.PublishLayerVersionInput{
			LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: zipOf(map[string][]byte{"lib/data.txt": []byte(content), "only-" + name: []byte(name)})},
			CompatibleRuntimes: []types.Runtime{types.RuntimeProvidedal2023},
		})
		require.NoError(t, err)
		return out
	}
	a1, a2, b1 := publish("a", "from a, 1"), publish("a", "from a, 2"), publish("b", "from b")
	assert.Equal(t, "arn:aws:lambda:us-east-1:123456789012:layer:a:2", *a2.LayerVersionArn)

	in := w.input("worker")
	in.Layers = []string{*a1.LayerVersionArn, *a2.LayerVersionArn}
	_, err := w.lambda.CreateFunction(t.Context(), in)
	assert.Contains(t, requireCode(t, err, "InvalidParameterValueException"), "Two different versions of the same layer")
	in.Layers = []string{*a2.LayerVersionArn, *b1.LayerVersionArn}
	out := w.create(t, in)
	require.Len(t, out.Layers, 2)
	_, r := w.invoke(t, "worker", "read", "lib/data.txt")
	assert.Equal(t, "from b", r.Value, "the later layer wins")
	_, r = w.invoke(t, "worker", "read", "only-a")
	assert.Equal(t, "a", r.Value)

	_, err = w.lambda.DeleteLayerVersion(t.Context(), &lambda.DeleteLayerVersionInput{LayerName: aws.String("a"), VersionNumber: aws.Int64(2)})
	require.NoError(t, err)
	_, err = w.lambda.GetLayerVersionByArn(t.Context(), &lambda.GetLayerVersionByArnInput{Arn: a2.LayerVersionArn})
	requireCode(t, err, "ResourceNotFoundException")
	_, err = w.lambda.UpdateFunctionConfiguration(t.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: in.FunctionName, Description: aws.String("with a deleted layer")})
	require.NoError(t, err)
	require.NoError(t, w.Advance(t.Context(), time.Second))
	_, r = w.invoke(t, "worker", "read", "only-a")
	assert.Equal(t, "a", r.Value, "functions keep a deleted layer")

	assert.Equal(t, int64(3), publish("a", "again").Version, "numbers aren't used twice")
	layers, err := w.lambda.ListLayers(t.Context(), &lambda.ListLayersInput{})
	require.NoError(t, err)
	require.Len(t, layers.Layers, 2)
	assert.Equal(t, int64(3), layers.Layers[0].LatestMatchingVersion.Version)
	versions, err := w.lambda.ListLayerVersions(t.Context(), &lambda.ListLayerVersionsInput{LayerName: aws.String("a")})
	require.NoError(t, err)
	require.Len(t, versions.LayerVersions, 2)
	assert.Equal(t, *a1.LayerVersionArn, *versions.LayerVersions[1].LayerVersionArn)
	got, err := w.lambda.GetLayerVersion(t.Context(), &lambda.GetLayerVersionInput{LayerName: aws.String("a"), VersionNumber: aws.Int64(1)})
	require.NoError(t, err)
	assert.Equal(t, *a1.Content.CodeSha256, *got.Content.CodeSha256)

	permission, err := w.lambda.AddLayerVersionPermission(t.Context(), &lambda.AddLayerVersionPermissionInput{
		LayerName: aws.String("b"), VersionNumber: aws.Int64(1), StatementId: aws.String("all"), Action: aws.String("lambda:GetLayerVersion"), Principal: aws.String("210987654321"),
	})
	require.NoError(t, err)
	policy, err := w.lambda.GetLayerVersionPolicy(t.Context(), &lambda.GetLayerVersionPolicyInput{LayerName: aws.String("b"), VersionNumber: aws.Int64(1)})
	require.NoError(t, err)
	assert.Contains(t, *policy.Policy, *permission.Statement)
	_, err = w.lambda.RemoveLayerVersionPermission(t.Context(), &lambda.RemoveLayerVersionPermissionInput{LayerName: aws.String("b"), VersionNumber: aws.Int64(1), StatementId: aws.String("all")})
	require.NoError(t, err)
	_, err = w.lambda.GetLayerVersionPolicy(t.Context(), &lambda.GetLayerVersionPolicyInput{LayerName: aws.String("b"), VersionNumber: aws.Int64(1)})
	requireCode(t, err, "ResourceNotFoundException")
}

func TestWhatItDoesNotKnowIsRefused(t *testing.T) {
	w := newWorld(t)
	in := w.input("worker")
	in.Runtime = types.RuntimePython312
	w.create(t, in)
	_, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: in.FunctionName})
	assert.Contains(t, requireCode(t, err, "LocalCloudUnsupportedMember"), "python3.12")
	signing, err := w.lambda.GetFunctionCodeSigningConfig(t.Context(), &lambda.GetFunctionCodeSigningConfigInput{FunctionName: in.FunctionName})
	require.NoError(t, err)
	assert.Nil(t, signing.CodeSigningConfigArn)
	_, err = w.lambda.CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: in.FunctionName, AuthType: types.FunctionUrlAuthTypeNone})
	requireCode(t, err, "UnknownOperationException")
}
