package handlers

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noCloud is an address on which nothing listens; no test that uses it may call.
const noCloud = "http://127.0.0.1:1"

func newTestProvider(t *testing.T) *Provider {
	t.Helper()
	p, err := New(Config{Region: "us-east-1", Endpoint: noCloud})
	require.NoError(t, err)
	return p
}

func text(s string) resource.PropertyValue { return resource.NewProperty(s) }

func TestTheProviderNeverCallsAWS(t *testing.T) {
	tests := map[string]struct {
		config Config
		want   string
	}{
		"no region":           {Config{Endpoint: noCloud}, "no region"},
		"no endpoint":         {Config{Region: "us-east-1"}, "no endpoint"},
		"not a URL":           {Config{Region: "us-east-1", Endpoint: "localhost:4566"}, "not an http or https URL"},
		"AWS":                 {Config{Region: "us-east-1", Endpoint: "https://kms.us-east-1.amazonaws.com"}, "address of AWS"},
		"AWS for one service": {Config{Region: "us-east-1", Endpoint: noCloud, Endpoints: map[string]string{"kms": "https://kms.us-east-1.amazonaws.com"}}, "address of AWS"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(test.config)
			assert.ErrorContains(t, err, test.want)
		})
	}

	t.Run("a service without an endpoint", func(t *testing.T) {
		p, err := New(Config{Region: "us-east-1", Endpoints: map[string]string{"kms": noCloud}})
		require.NoError(t, err)
		_, err = p.Invoke(t.Context(), "aws:index/getCallerIdentity:getCallerIdentity", nil)
		assert.ErrorContains(t, err, "no-endpoint-for-sts.invalid")
	})
}

func TestWhatHasNoHandlerIsNamed(t *testing.T) {
	p := newTestProvider(t)
	const policy = "aws:sqs/redrivePolicy:RedrivePolicy"
	var unsupported *UnsupportedError

	_, _, err := p.Check(policy, "q", nil, nil, nil)
	require.ErrorAs(t, err, &unsupported)
	assert.Equal(t, policy, unsupported.Token)
	_, err = p.Diff(policy, nil, nil)
	assert.ErrorAs(t, err, &unsupported)
	_, _, err = p.Create(t.Context(), policy, nil)
	assert.ErrorAs(t, err, &unsupported)
	_, _, _, err = p.Read(t.Context(), policy, "id", nil, nil)
	assert.ErrorAs(t, err, &unsupported)
	_, err = p.Update(t.Context(), policy, "id", nil, nil)
	assert.ErrorAs(t, err, &unsupported)
	assert.ErrorAs(t, p.Delete(t.Context(), policy, "id", nil), &unsupported)
	_, err = p.Preview(policy, nil, nil)
	assert.ErrorAs(t, err, &unsupported)
	_, err = p.Invoke(t.Context(), "aws:ec2/getVpc:getVpc", nil)
	require.ErrorAs(t, err, &unsupported)
	assert.ErrorContains(t, err, "aws:ec2/getVpc:getVpc")
}

func TestInputsThatCannotBe(t *testing.T) {
	const policy = `{"Version":"2012-10-17"}`
	tests := map[string]struct {
		token  string
		inputs resource.PropertyMap
		want   []string
	}{
		"all mistakes at once": {
			"aws:secretsmanager/secretRotation:SecretRotation",
			resource.PropertyMap{"rotationEnabled": resource.NewProperty(true), "rotateNow": resource.NewProperty(true)},
			[]string{
				"rotateNow: aws:secretsmanager/secretRotation:SecretRotation has no handler for this property in the local cloud",
				"rotationEnabled: this property is an output and can't be set",
				"rotationRules: this property is required",
				"secretId: this property is required",
			},
		},
		"recovery window": {
			"aws:secretsmanager/secret:Secret",
			resource.PropertyMap{"recoveryWindowInDays": resource.NewProperty(3.0)},
			[]string{"recoveryWindowInDays is 3; Secrets Manager takes 7 to 30, or 0 to delete at once"},
		},
		"deletion window": {
			"aws:kms/key:Key",
			resource.PropertyMap{"deletionWindowInDays": resource.NewProperty(31.0)},
			[]string{"deletionWindowInDays is 31; KMS takes 7 to 30"},
		},
		"alias": {
			"aws:kms/alias:Alias",
			resource.PropertyMap{"name": text("secrets"), "targetKeyId": text("k")},
			[]string{`name must begin with "alias/"`},
		},
		"name and prefix": {
			"aws:iam/policy:Policy",
			resource.PropertyMap{"name": text("a"), "namePrefix": text("b"), "policy": text(policy)},
			[]string{"namePrefix: name and namePrefix exclude each other"},
		},
		"session duration": {
			"aws:iam/role:Role",
			resource.PropertyMap{"assumeRolePolicy": text(policy), "maxSessionDuration": resource.NewProperty(60.0)},
			[]string{"maxSessionDuration is 60; IAM takes 3600 to 43200 seconds"},
		},
		"image": {
			"aws:lambda/function:Function",
			resource.PropertyMap{"role": text("r"), "packageType": text("Image")},
			[]string{"packageType Image has no handler in the local cloud; it runs zips only"},
		},
		"input of an invocation": {
			"aws:lambda/invocation:Invocation",
			resource.PropertyMap{"functionName": text("f"), "input": text("{")},
			[]string{"input must be JSON"},
		},
		"two schedules": {
			"aws:secretsmanager/secretRotation:SecretRotation",
			resource.PropertyMap{"secretId": text("s"), "rotationRules": resource.NewProperty(resource.PropertyMap{
				"automaticallyAfterDays": resource.NewProperty(30.0),
				"scheduleExpression":     text("rate(30 days)"),
			})},
			[]string{"rotationRules: automaticallyAfterDays and scheduleExpression exclude each other"},
		},
	}
	p := newTestProvider(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, failures, err := p.Check(test.token, "short", nil, test.inputs, nil)
			require.NoError(t, err)
			var got []string
			for _, f := range failures {
				got = append(got, f.String())
			}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestNames(t *testing.T) {
	p := newTestProvider(t)
	const token = "aws:kms/alias:Alias"
	inputs := resource.PropertyMap{"targetKeyId": text("k")}

	made, failures, err := p.Check(token, "key", nil, inputs, []byte("seed"))
	require.NoError(t, err)
	require.Empty(t, failures)
	assert.Regexp(t, `^alias/key-[0-9a-f]{7}$`, made["name"].StringValue())

	again, _, err := p.Check(token, "key", nil, inputs, []byte("seed"))
	require.NoError(t, err)
	assert.Equal(t, made, again, "preview and deployment have one seed and must agree")

	later, _, err := p.Check(token, "key", made, inputs, []byte("another seed"))
	require.NoError(t, err)
	assert.Equal(t, made, later, "a deployed resource keeps its name")

	given, _, err := p.Check(token, "key", made, resource.PropertyMap{"targetKeyId": text("k"), "name": text("alias/mine")}, nil)
	require.NoError(t, err)
	assert.Equal(t, "alias/mine", given["name"].StringValue())

	back, _, err := p.Check(token, "key", given, inputs, []byte("seed"))
	require.NoError(t, err)
	assert.Equal(t, made["name"], back["name"], "a name that the program chose isn't kept when it no longer does")
}

func TestANameTooLongToMake(t *testing.T) {
	name := strings.Repeat("x", 60)
	_, failures, err := newTestProvider(t).Check("aws:iam/role:Role", name, nil, resource.PropertyMap{"assumeRolePolicy": text("{}")}, nil)
	require.NoError(t, err)
	require.Len(t, failures, 1)
	assert.Contains(t, failures[0].Reason, "longer than maximum length 64")
}

func TestDefaultTags(t *testing.T) {
	p, err := New(Config{Region: "us-east-1", Endpoint: noCloud, DefaultTags: map[string]string{"Owner": "platform", "Stage": "dev"}})
	require.NoError(t, err)
	own := resource.PropertyMap{"Stage": text("prod"), "Service": text("api")}

	checked, _, err := p.Check("aws:kms/key:Key", "k", nil, resource.PropertyMap{"tags": resource.NewProperty(own)}, nil)
	require.NoError(t, err)
	assert.Equal(t, resource.PropertyMap{"Owner": text("platform"), "Stage": text("prod"), "Service": text("api")}, checked["tags"].ObjectValue())

	checked, _, err = p.Check("aws:kms/key:Key", "k", nil, resource.PropertyMap{"tags": resource.MakeSecret(resource.NewProperty(own))}, nil)
	require.NoError(t, err)
	assert.True(t, checked["tags"].IsSecret())

	checked, _, err = p.Check("aws:kms/alias:Alias", "k", nil, resource.PropertyMap{"targetKeyId": text("k")}, nil)
	require.NoError(t, err)
	assert.False(t, checked.HasValue("tags"), "an alias can't have tags")
}
