package handlers

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var unknown = resource.MakeComputed(resource.NewProperty(""))

func TestDiff(t *testing.T) {
	const (
		secretToken     = "aws:secretsmanager/secret:Secret"
		invocationToken = "aws:lambda/invocation:Invocation"
		permissionToken = "aws:lambda/permission:Permission"
		keyToken        = "aws:kms/key:Key"
	)
	object := func(pairs ...string) resource.PropertyValue {
		m := resource.PropertyMap{}
		for i := 0; i < len(pairs); i += 2 {
			m[resource.PropertyKey(pairs[i])] = text(pairs[i+1])
		}
		return resource.NewProperty(m)
	}
	list := func(elements ...resource.PropertyValue) resource.PropertyValue { return resource.NewProperty(elements) }
	auto := list(text("name"))

	tests := map[string]struct {
		token    string
		old, new resource.PropertyMap
		want     Diff
	}{
		"nothing": {secretToken,
			resource.PropertyMap{"name": text("a"), "tags": object("k", "v")},
			resource.PropertyMap{"name": text("a"), "tags": object("k", "v")},
			Diff{}},
		"a default spelled out": {secretToken,
			resource.PropertyMap{"name": text("a")},
			resource.PropertyMap{"name": text("a"), "recoveryWindowInDays": resource.NewProperty(30.0)},
			Diff{}},
		"empty tags": {secretToken,
			resource.PropertyMap{"name": text("a")},
			resource.PropertyMap{"name": text("a"), "tags": object()},
			Diff{}},
		"a secret of the same value": {secretToken,
			resource.PropertyMap{"description": text("a")},
			resource.PropertyMap{"description": resource.MakeSecret(text("a"))},
			Diff{}},
		"in place": {secretToken,
			resource.PropertyMap{"description": text("a")},
			resource.PropertyMap{"description": text("b")},
			Diff{Changes: []Change{{Property: "description"}}}},
		"added": {secretToken,
			resource.PropertyMap{},
			resource.PropertyMap{"description": text("b")},
			Diff{Changes: []Change{{Property: "description", Added: true}}}},
		"removed": {secretToken,
			resource.PropertyMap{"description": text("a")},
			resource.PropertyMap{},
			Diff{Changes: []Change{{Property: "description", Removed: true}}}},
		"removing a policy leaves it": {secretToken,
			resource.PropertyMap{"policy": text(`{"Version":"2012-10-17"}`)},
			resource.PropertyMap{},
			Diff{}},
		"a policy in another spelling": {secretToken,
			resource.PropertyMap{"policy": text(`{"Action":["a"]}`)},
			resource.PropertyMap{"policy": text(`{ "Action": "a" }`)},
			Diff{}},
		"replicas in another order": {secretToken,
			resource.PropertyMap{"replicas": list(object("region", "us-west-2"), object("region", "eu-west-1"))},
			resource.PropertyMap{"replicas": list(object("region", "eu-west-1"), object("region", "us-west-2"))},
			Diff{}},
		"another replica": {secretToken,
			resource.PropertyMap{"replicas": list(object("region", "us-west-2"))},
			resource.PropertyMap{"replicas": list(object("region", "eu-west-1"))},
			Diff{Changes: []Change{{Property: "replicas"}}}},
		"a replica's key left to AWS": {secretToken,
			resource.PropertyMap{"replicas": list(object("region", "us-west-2", "kmsKeyId", "k"))},
			resource.PropertyMap{"replicas": list(object("region", "us-west-2"))},
			Diff{}},
		"another name replaces": {secretToken,
			resource.PropertyMap{"name": text("a")},
			resource.PropertyMap{"name": text("b")},
			Diff{Changes: []Change{{Property: "name", Replace: true}}}},
		"a chosen name makes way first": {"aws:iam/policy:Policy",
			resource.PropertyMap{"name": text("a"), "description": text("x")},
			resource.PropertyMap{"name": text("a"), "description": text("y")},
			Diff{Changes: []Change{{Property: "description", Replace: true}}, DeleteFirst: true}},
		"a made name needn't": {"aws:iam/policy:Policy",
			resource.PropertyMap{"name": text("a-1234567"), "description": text("x"), defaultsKey: auto},
			resource.PropertyMap{"name": text("a-1234567"), "description": text("y"), defaultsKey: auto},
			Diff{Changes: []Change{{Property: "description", Replace: true}}}},
		"unknown in place": {secretToken,
			resource.PropertyMap{"kmsKeyId": text("k")},
			resource.PropertyMap{"kmsKeyId": unknown},
			Diff{Changes: []Change{{Property: "kmsKeyId"}}}},
		"unknown replaces": {"aws:secretsmanager/secretPolicy:SecretPolicy",
			resource.PropertyMap{"secretArn": text("a")},
			resource.PropertyMap{"secretArn": unknown},
			Diff{Changes: []Change{{Property: "secretArn", Replace: true}}}},
		"a region for a key": {keyToken,
			resource.PropertyMap{"multiRegion": resource.NewProperty(false)},
			resource.PropertyMap{"multiRegion": resource.NewProperty(true)},
			Diff{Changes: []Change{{Property: "multiRegion", Replace: true}}}},
		"a permission can't be changed": {permissionToken,
			resource.PropertyMap{"statementId": text("s"), "sourceAccount": text("1")},
			resource.PropertyMap{"statementId": text("s"), "sourceAccount": text("2")},
			Diff{Changes: []Change{{Property: "sourceAccount", Replace: true}}, DeleteFirst: true}},
		"an invocation is made once": {invocationToken,
			resource.PropertyMap{"input": text(`{"a":1}`)},
			resource.PropertyMap{"input": text(`{"a":2}`)},
			Diff{Changes: []Change{{Property: "input", Replace: true}}}},
		"an invocation that follows its resource": {invocationToken,
			resource.PropertyMap{"input": text(`{"a":1}`), "lifecycleScope": text("CRUD")},
			resource.PropertyMap{"input": text(`{"a":2}`), "lifecycleScope": text("CRUD")},
			Diff{Changes: []Change{{Property: "input"}}}},
		"a trigger": {invocationToken,
			resource.PropertyMap{"triggers": object("a", "1")},
			resource.PropertyMap{"triggers": object("a", "2")},
			Diff{Changes: []Change{{Property: "triggers", Replace: true}}}},
	}
	p := newTestProvider(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := p.Diff(test.token, test.old, test.new)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestCodeIsComparedByContent(t *testing.T) {
	code := func(content string) resource.PropertyValue {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bootstrap"), []byte(content), 0o600))
		a, err := archive.FromPath(dir)
		require.NoError(t, err)
		return resource.NewProperty(a)
	}
	p := newTestProvider(t)
	const token = "aws:lambda/function:Function"
	one, same, other := code("one"), code("one"), code("other")

	diff, err := p.Diff(token, resource.PropertyMap{"code": one}, resource.PropertyMap{"code": same})
	require.NoError(t, err)
	assert.Empty(t, diff.Changes)

	diff, err = p.Diff(token, resource.PropertyMap{"code": one}, resource.PropertyMap{"code": other})
	require.NoError(t, err)
	assert.Equal(t, []Change{{Property: "code"}}, diff.Changes)
}

func TestPreview(t *testing.T) {
	p := newTestProvider(t)
	const token = "aws:lambda/function:Function"
	inputs := resource.PropertyMap{"name": text("f"), "role": unknown, "description": text("new")}

	created, err := p.Preview(token, nil, inputs)
	require.NoError(t, err)
	assert.Equal(t, text("f"), created["name"])
	assert.Equal(t, resource.NewProperty(128.0), created["memorySize"], "a default is known beforehand")
	for _, name := range []resource.PropertyKey{"arn", "role", "version", "invokeArn"} {
		assert.True(t, created[name].ContainsUnknowns(), "%s is known only afterwards", name)
	}

	old := maps.Clone(created)
	old["arn"], old["version"], old["description"] = text("arn:f"), text("1"), text("old")
	updated, err := p.Preview(token, old, inputs)
	require.NoError(t, err)
	assert.Equal(t, text("arn:f"), updated["arn"], "an update doesn't change the ARN")
	assert.Equal(t, text("new"), updated["description"])
	assert.True(t, updated["version"].ContainsUnknowns(), "an update may publish a version")
}

func TestAnImportTellsOnlyWhatIsNotTheDefault(t *testing.T) {
	state := resource.PropertyMap{
		"arn":                  text("arn:s"),
		"name":                 text("s"),
		"description":          text(""),
		"recoveryWindowInDays": resource.NewProperty(30.0),
		"replicas": resource.NewProperty([]resource.PropertyValue{resource.NewProperty(resource.PropertyMap{
			"region": text("us-west-2"), "status": text("InSync"), "kmsKeyId": text("alias/aws/secretsmanager"),
		})}),
		"tags":    resource.NewProperty(resource.PropertyMap{"a": text("b")}),
		"tagsAll": resource.NewProperty(resource.PropertyMap{"a": text("b")}),
	}
	assert.Equal(t, resource.PropertyMap{
		"name":     text("s"),
		"replicas": resource.NewProperty([]resource.PropertyValue{resource.NewProperty(resource.PropertyMap{"region": text("us-west-2")})}),
		"tags":     resource.NewProperty(resource.PropertyMap{"a": text("b")}),
	}, inputsOf(secretKind().properties(), state, nil))
}

func TestParseConfig(t *testing.T) {
	base := Config{Region: "us-east-1", Endpoint: noCloud, AccessKey: "base", SecretKey: "base", DefaultTags: map[string]string{"base": "1"}}

	config, err := ParseConfig(resource.PropertyMap{
		"region":                    text("us-west-2"),
		"accessKey":                 resource.MakeSecret(text("key")),
		"secretKey":                 resource.MakeSecret(text("secret")),
		"endpoints":                 text(`[{"kms":"http://127.0.0.1:2"},{"iam":"http://127.0.0.1:3"}]`),
		"defaultTags":               text(`{"tags":{"Owner":"platform"}}`),
		"skipCredentialsValidation": text("true"),
	}, base)
	require.NoError(t, err)
	assert.Equal(t, Config{
		Region: "us-west-2", Endpoint: noCloud, AccessKey: "key", SecretKey: "secret",
		Endpoints:   map[string]string{"kms": "http://127.0.0.1:2", "iam": "http://127.0.0.1:3"},
		DefaultTags: map[string]string{"Owner": "platform"},
	}, config)

	config, err = ParseConfig(nil, base)
	require.NoError(t, err)
	assert.Equal(t, Config{Region: "us-east-1", Endpoint: noCloud, AccessKey: "base", SecretKey: "base"}, config,
		"default tags are each provider's own")

	_, err = ParseConfig(resource.PropertyMap{"assumeRole": text("{}")}, base)
	assert.EqualError(t, err, "assumeRole: the provider for the local cloud has no handler for this property")
	_, err = ParseConfig(resource.PropertyMap{"endpoints": text("{")}, base)
	assert.EqualError(t, err, "property endpoints isn't JSON")
	_, err = ParseConfig(resource.PropertyMap{"region": resource.NewProperty(1.0)}, base)
	assert.EqualError(t, err, "property region must be of type string")
}
