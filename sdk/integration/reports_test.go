package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dualread"
	"github.com/aistudio/secrets/sdk/extension"
	"github.com/aistudio/secrets/sdk/spec"
)

// caching-python#19: the cache asked for DescribeSecret, too. Here a role that
// may call GetSecretValue and nothing else can do all but prefetch in batches.
func TestReport3CachingPython19GetSecretValueSuffices(t *testing.T) {
	c := startCloud(t)
	users := iam.NewFromConfig(c.Config(primary))
	role, err := users.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("reader"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + c.Account() + `"},"Action":"sts:AssumeRole"}]}`)})
	require.NoError(t, err)
	_, err = users.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("reader"), PolicyName: aws.String("read"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"` + c.arn + `"}]}`)})
	require.NoError(t, err)
	assumed, err := sts.NewFromConfig(c.Config(primary)).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: role.Role.Arn, RoleSessionName: aws.String("reader")})
	require.NoError(t, err)
	own := c.ConfigFor(primary, *assumed.Credentials.AccessKeyId, *assumed.Credentials.SecretAccessKey, *assumed.Credentials.SessionToken)
	_, err = secretsmanager.NewFromConfig(own).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &c.arn})
	require.ErrorContains(t, err, "AccessDenied", "the role may do nothing else")

	client := c.client(t, secrets.WithConfig(own))
	c.put(t, "two")
	for which, want := range map[secrets.Selector]string{{}: "two", secrets.Stage(secrets.StagePrevious): "one"} {
		text, err := client.GetString(t.Context(), c.arn, which)
		require.NoError(t, err)
		assert.Equal(t, want, text)
		refreshed, err := client.Refresh(t.Context(), c.arn, which)
		require.NoError(t, err)
		assert.Equal(t, want, refreshed.Value.RevealString())
	}
	require.NoError(t, client.Prefetch(t.Context(), secretName))
	require.NoError(t, client.Do(t.Context(), secretName, func(context.Context, secrets.Secret) error { return nil }))
	denied, err := secrets.New(t.Context(), secrets.WithConfig(own))
	require.NoError(t, err)
	defer func() { require.NoError(t, denied.Close()) }()
	_, err = denied.Get(t.Context(), "acme/dev/shop/another")
	require.ErrorIs(t, err, secrets.ErrDenied)
}

// secrets-init#18 and chamber: values were trimmed, or encoded anew. Here every
// byte arrives, by each way to read it.
func TestReport17SecretsInit18ValuesAreKeptByteForByte(t *testing.T) {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	c := startCloud(t)
	cache := extension.NewCache(extension.Config{Secrets: extension.Service{Cached: true}}, func(context.Context) (aws.Config, error) { return c.Config(primary), nil })
	defer func() { require.NoError(t, cache.Close()) }()
	layer := extension.NewHandler(cache, "token", slog.New(slog.DiscardHandler))
	layer.Ready()
	throughLayer := func(id string) []byte {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/secretsmanager/get?secretId="+url.QueryEscape(id), nil)
		r.Header.Set("X-Aws-Parameters-Secrets-Token", "token")
		w := httptest.NewRecorder()
		layer.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		var body struct {
			SecretString *string
			SecretBinary []byte
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		if body.SecretString != nil {
			return []byte(*body.SecretString)
		}
		return body.SecretBinary
	}
	t.Setenv(spec.EnvDualRead, "compare")
	client := c.client(t)
	for label, tt := range map[string]struct {
		value  []byte
		binary bool
	}{
		"spaces":          {value: []byte(" \t a  b \r\n\n")},
		"only a space":    {value: []byte(" ")},
		"quotes":          {value: []byte(`"a" 'b' \n \u0041 <&> %41 + $HOME ` + "`c`")},
		"control":         {value: []byte("\x01\x1b\x7f\u0085\u2028\u2029\ufeff")},
		"characters":      {value: []byte("é e\u0301 ß 🔑 \u202e \U0010ffff")},
		"JSON, as it was": {value: []byte("{ \"b\":1.0, \"a\" : 1e2,\"b\":\"\\u00e9\" }\n")},
		"looks encoded":   {value: []byte("c2VjcmV0")},
		"64 KB":           {value: []byte(strings.Repeat("0123456789abcdef", 4096))},
		"all bytes":       {value: all[:], binary: true},
		"no UTF-8":        {value: []byte("\xff\xfe\xc0\x80"), binary: true},
	} {
		t.Run(label, func(t *testing.T) {
			name := "acme/dev/bytes/" + strings.ReplaceAll(strings.ReplaceAll(label, " ", "-"), ",", "")
			in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(string(tt.value))}
			if tt.binary {
				in.SecretString, in.SecretBinary = nil, bytes.Clone(tt.value)
			}
			_, err := c.admin.CreateSecret(t.Context(), in)
			require.NoError(t, err)
			got, err := client.GetBytes(t.Context(), name)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(tt.value, got), "the SDK")
			assert.True(t, bytes.Equal(tt.value, throughLayer(name)), "the layer")

			for change, old := range map[string][]byte{"": tt.value, "trimmed": bytes.TrimSpace(tt.value), "a newline more": append(bytes.Clone(tt.value), '\n')} {
				var seen dualread.Result
				reader := dualread.New(client, name, func(context.Context) (spec.Value, error) { return spec.NewValue(old), nil },
					dualread.Options{Observe: func(_ context.Context, r dualread.Result) { seen = r }})
				_, err := reader.Value(t.Context())
				require.NoError(t, err)
				assert.True(t, seen.Compared, change)
				assert.Equal(t, !bytes.Equal(old, tt.value), seen.Differ, change)
			}
		})
	}
}
