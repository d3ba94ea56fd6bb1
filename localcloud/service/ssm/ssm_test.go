package ssm_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

func start(t *testing.T) (*localcloud.Cloud, *ssm.Client) {
	t.Helper()
	cloud, err := localcloud.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cloud.Close()) })
	return cloud, ssm.NewFromConfig(cloud.Config("us-east-1"))
}

func put(t *testing.T, c *ssm.Client, name, value string, kind types.ParameterType) {
	t.Helper()
	_, err := c.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: kind, Overwrite: aws.Bool(true)})
	require.NoError(t, err)
}

func TestVersionsAndLabels(t *testing.T) {
	_, c := start(t)
	for _, value := range []string{"one", "two", "three"} {
		put(t, c, "/app/p", value, types.ParameterTypeString)
	}
	label := func(version int64, label string) {
		_, err := c.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: aws.String("/app/p"), ParameterVersion: &version, Labels: []string{label}})
		require.NoError(t, err)
	}
	label(1, "live")
	label(2, "live") // a label moves
	for name, want := range map[string]string{
		"/app/p": "three", "/app/p:1": "one", "/app/p:live": "two",
		"arn:aws:ssm:us-east-1:123456789012:parameter/app/p": "three",
	} {
		out, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		require.NoError(t, err, name)
		assert.Equal(t, want, *out.Parameter.Value, name)
	}
	for _, name := range []string{"/app/p:9", "/app/p:gone"} {
		_, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		var notFound *types.ParameterVersionNotFound
		assert.ErrorAs(t, err, &notFound, name)
	}
	history, err := c.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/app/p")})
	require.NoError(t, err)
	assert.Len(t, history.Parameters, 3)
	assert.Equal(t, []string{"live"}, history.Parameters[1].Labels)
}

func TestSecureStrings(t *testing.T) {
	_, c := start(t)
	put(t, c, "/app/s", "hidden", types.ParameterTypeSecureString)
	out, err := c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/app/s")})
	require.NoError(t, err)
	assert.NotContains(t, *out.Parameter.Value, "hidden")
	out, err = c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/app/s"), WithDecryption: aws.Bool(true)})
	require.NoError(t, err)
	assert.Equal(t, "hidden", *out.Parameter.Value)
}

func TestPathsAndPages(t *testing.T) {
	_, c := start(t)
	for _, name := range []string{"/a/x", "/a/y", "/a/b/z", "/ab/x", "plain"} {
		put(t, c, name, "v", types.ParameterTypeString)
	}
	names := func(recursive bool) (got []string) {
		pages := ssm.NewGetParametersByPathPaginator(c, &ssm.GetParametersByPathInput{Path: aws.String("/a/"), Recursive: &recursive, MaxResults: aws.Int32(1)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			require.NoError(t, err)
			for _, p := range page.Parameters {
				got = append(got, *p.Name)
			}
		}
		return got
	}
	assert.Equal(t, []string{"/a/x", "/a/y"}, names(false))
	assert.Equal(t, []string{"/a/b/z", "/a/x", "/a/y"}, names(true))

	out, err := c.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{
		{Key: aws.String("Name"), Option: aws.String("BeginsWith"), Values: []string{"/a/"}},
		{Key: aws.String("Type"), Values: []string{"String"}},
	}})
	require.NoError(t, err)
	assert.Len(t, out.Parameters, 3)
}

func TestReferencesToSecrets(t *testing.T) {
	cloud, c := start(t)
	_, err := secretsmanager.NewFromConfig(cloud.Config("us-east-1")).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("org/app"), SecretString: aws.String("from the secret"),
	})
	require.NoError(t, err)
	name := aws.String("/aws/reference/secretsmanager/org/app")
	out, err := c.GetParameters(t.Context(), &ssm.GetParametersInput{
		Names: []string{*name, "/aws/reference/secretsmanager/gone"}, WithDecryption: aws.Bool(true),
	})
	require.NoError(t, err)
	require.Len(t, out.Parameters, 1)
	assert.Equal(t, "from the secret", *out.Parameters[0].Value)
	assert.Equal(t, []string{"/aws/reference/secretsmanager/gone"}, out.InvalidParameters)

	_, err = c.GetParameter(t.Context(), &ssm.GetParameterInput{Name: name})
	assert.ErrorContains(t, err, "WithDecryption")
}

func TestMistakes(t *testing.T) {
	_, c := start(t)
	put(t, c, "/a", "v", types.ParameterTypeString)
	for name, in := range map[string]*ssm.PutParameterInput{
		"exists":        {Name: aws.String("/a"), Value: aws.String("w"), Type: types.ParameterTypeString},
		"no type":       {Name: aws.String("/b"), Value: aws.String("w")},
		"too long":      {Name: aws.String("/b"), Value: aws.String(strings.Repeat("x", 4097)), Type: types.ParameterTypeString},
		"reserved":      {Name: aws.String("/aws/b"), Value: aws.String("w"), Type: types.ParameterTypeString},
		"no slash":      {Name: aws.String("a/b"), Value: aws.String("w"), Type: types.ParameterTypeString},
		"pattern":       {Name: aws.String("/b"), Value: aws.String("w"), Type: types.ParameterTypeString, AllowedPattern: aws.String("^x$")},
		"empty segment": {Name: aws.String("/b//c"), Value: aws.String("w"), Type: types.ParameterTypeString},
	} {
		_, err := c.PutParameter(t.Context(), in)
		assert.Error(t, err, name)
	}
	out, err := c.DeleteParameters(t.Context(), &ssm.DeleteParametersInput{Names: []string{"/a", "/gone"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"/a"}, out.DeletedParameters)
	assert.Equal(t, []string{"/gone"}, out.InvalidParameters)
}
