package checks_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/sig"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/pipeline/checks"
)

const keyARN = "arn:aws:kms:us-east-1:123456789012:key/mrk-1"

var tags = map[string]any{
	"Environment": "prod", "Service": "orders", "Owner": "team-orders", "ManagedBy": "pulumi",
	"SecretType": "database", "DataClassification": "confidential",
}

// good is a stack with nothing wrong in it, by type and name.
func good() map[string]checks.Resource {
	resources := map[string]checks.Resource{}
	add := func(resourceType, name string, protected bool, inputs map[string]any) {
		resources[resourceType] = checks.Resource{
			URN: "urn:pulumi:prod::p::" + resourceType + "::" + name, Type: resourceType, Name: name, Inputs: inputs, Protected: protected,
		}
	}
	add("aws:secretsmanager/secret:Secret", "orders-database", true, map[string]any{
		"name": "aistudio/prod/orders/database", "kmsKeyId": keyARN, "recoveryWindowInDays": 30.0, "tags": maps.Clone(tags),
		"replicas": []any{map[string]any{"region": "us-west-2", "kmsKeyId": keyARN}},
	})
	add("aws:secretsmanager/secretRotation:SecretRotation", "orders-database", false, map[string]any{"secretId": plugin.UnknownStringValue})
	add("aws:kms/key:Key", "secrets", true, map[string]any{"enableKeyRotation": true, "deletionWindowInDays": 30.0, "tags": tags,
		"policy": `{"Statement": {"Sid": "All", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"}}`})
	add("aws:cloudtrail/trail:Trail", "trail", true, map[string]any{"isMultiRegionTrail": true, "enableLogFileValidation": true, "tags": tags})
	add("aws:lambda/function:Function", "rotate", false, map[string]any{"name": "rotate", "tags": tags,
		"environment": map[string]any{"variables": map[string]any{"SECRETS_FEED_TABLE": "feed", "SECRETS_API_KEY_PREFIX": "ais_prod", "MASTER_SECRET": "aistudio/prod/platform/admin"}}})
	add("aws:cloudwatch/logGroup:LogGroup", "rotate", false, map[string]any{"name": "/aws/lambda/rotate", "retentionInDays": 365.0, "tags": tags})
	add("aws:dynamodb/table:Table", "feed", false, map[string]any{"serverSideEncryption": map[string]any{"enabled": true}, "tags": tags})
	add("aws:sns/topic:Topic", "alerts", false, map[string]any{"kmsMasterKeyId": plugin.UnknownStringValue, "tags": tags})
	add("aws:sqs/queue:Queue", "failures", false, map[string]any{"sqsManagedSseEnabled": true, "tags": tags})
	add("aws:s3/bucketV2:BucketV2", "reports", false, map[string]any{"tags": tags})
	add("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "reports", false, map[string]any{
		"blockPublicAcls": true, "blockPublicPolicy": true, "ignorePublicAcls": true, "restrictPublicBuckets": true})
	add("aws:s3/bucketPolicy:BucketPolicy", "reports", false, map[string]any{
		"policy": `{"Statement": [{"Sid": "TLS", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}`})
	return resources
}

func list(resources map[string]checks.Resource) []checks.Resource {
	var all []checks.Resource
	for _, resource := range resources {
		all = append(all, resource)
	}
	return all
}

func TestAGoodStackPasses(t *testing.T) {
	assert.Empty(t, checks.Run(checks.Policy{Guarded: true}, list(good())))
	assert.Empty(t, checks.Run(checks.Policy{}, list(good())))
}

// Each case breaks one thing, and one check says so.
func TestEachCheckFindsWhatItIsFor(t *testing.T) {
	set := func(resourceType, input string, value any) func(map[string]checks.Resource) {
		return func(resources map[string]checks.Resource) {
			inputs := resources[resourceType].Inputs
			if value == nil {
				delete(inputs, input)
			} else {
				inputs[input] = value
			}
		}
	}
	policy := func(statement string) func(map[string]checks.Resource) {
		return set("aws:s3/bucketPolicy:BucketPolicy", "policy", `{"Version": "2012-10-17", "Statement": [`+statement+`]}`)
	}
	variable := func(name, value string) func(map[string]checks.Resource) {
		return set("aws:lambda/function:Function", "environment", map[string]any{"variables": map[string]any{name: value}})
	}
	unprotect := func(resourceType string) func(map[string]checks.Resource) {
		return func(resources map[string]checks.Resource) {
			resource := resources[resourceType]
			resource.Protected = false
			resources[resourceType] = resource
		}
	}
	const secret, key, trail = "aws:secretsmanager/secret:Secret", "aws:kms/key:Key", "aws:cloudtrail/trail:Trail"
	for name, test := range map[string]struct {
		change func(map[string]checks.Resource)
		check  string
		says   string
	}{
		"secret without a key":     {set(secret, "kmsKeyId", nil), "secret-encrypted", "kmsKeyId"},
		"secret with AWS's key":    {set(secret, "kmsKeyId", "alias/aws/secretsmanager"), "secret-encrypted", "kmsKeyId"},
		"replica without a key":    {set(secret, "replicas", []any{map[string]any{"region": "us-west-2"}}), "secret-encrypted", "replicas[0].kmsKeyId"},
		"secret without replica":   {set(secret, "replicas", nil), "replicated", "no replicas"},
		"secret without tags":      {set(secret, "tags", map[string]any{"Owner": "o"}), "tagged", "Environment, Service, ManagedBy, SecretType, DataClassification"},
		"secret gone for good":     {set(secret, "recoveryWindowInDays", 0.0), "recoverable", "recoveryWindowInDays"},
		"secret gone in a week":    {set(secret, "recoveryWindowInDays", 7.0), "recoverable", "less than 30"},
		"secret unprotected":       {unprotect(secret), "protected", "isn't protected"},
		"key unprotected":          {unprotect(key), "protected", "isn't protected"},
		"trail unprotected":        {unprotect(trail), "protected", "isn't protected"},
		"key that isn't rotated":   {set(key, "enableKeyRotation", false), "key-rotates", "enableKeyRotation"},
		"key gone in a week":       {set(key, "deletionWindowInDays", 7.0), "recoverable", "deletionWindowInDays"},
		"trail of one region":      {set(trail, "isMultiRegionTrail", nil), "trail-complete", "isMultiRegionTrail"},
		"trail without validation": {set(trail, "enableLogFileValidation", false), "trail-complete", "enableLogFileValidation"},
		"trail that is off":        {set(trail, "enableLogging", false), "trail-complete", "enableLogging"},
		"logs for ever":            {set("aws:cloudwatch/logGroup:LogGroup", "retentionInDays", nil), "logs-expire", "retentionInDays"},
		"logs of nobody":           {set("aws:cloudwatch/logGroup:LogGroup", "name", "/aws/lambda/other"), "logs-expire", "/aws/lambda/rotate"},
		"logs elsewhere":           {set("aws:lambda/function:Function", "loggingConfig", map[string]any{"logGroup": "elsewhere"}), "logs-expire", "elsewhere"},
		"table unencrypted":        {set("aws:dynamodb/table:Table", "serverSideEncryption", nil), "encrypted-at-rest", "serverSideEncryption"},
		"topic unencrypted":        {set("aws:sns/topic:Topic", "kmsMasterKeyId", nil), "encrypted-at-rest", "kmsMasterKeyId"},
		"queue unencrypted":        {set("aws:sqs/queue:Queue", "sqsManagedSseEnabled", false), "encrypted-at-rest", "sqsManagedSseEnabled"},
		"bucket open": {set("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "blockPublicAcls", false),
			"public-access-blocked", "blockPublicAcls"},
		"bucket without block": {func(r map[string]checks.Resource) {
			delete(r, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
		}, "public-access-blocked", "no BucketPublicAccessBlock"},
		"secret not rotated": {func(r map[string]checks.Resource) {
			delete(r, "aws:secretsmanager/secretRotation:SecretRotation")
		}, "rotated", "isn't rotated"},
		"secret with a value": {func(r map[string]checks.Resource) {
			r["v"] = checks.Resource{Type: "aws:secretsmanager/secretVersion:SecretVersion", Inputs: map[string]any{"secretString": "s"}}
		}, "no-secret-value", "SecretVersion"},
		"parameter with a value": {func(r map[string]checks.Resource) {
			r["v"] = checks.Resource{Type: "aws:ssm/parameter:Parameter", Inputs: map[string]any{"type": "SecureString", "value": "s"}}
		}, "no-secret-value", "SecureString"},
		"generated password": {func(r map[string]checks.Resource) {
			r["v"] = checks.Resource{Type: "random:index/randomPassword:RandomPassword"}
		}, "no-secret-value", "generated password"},

		"everybody":               {policy(`{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}`), "no-wildcard-principal", "statement 1"},
		"every account":           {policy(`{"Sid": "Open", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::123456789012:root", "*"]}, "Action": "s3:*", "Resource": "*"}`), "no-wildcard-principal", "statement Open"},
		"all but one":             {policy(`{"Effect": "Allow", "NotPrincipal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "s3:*", "Resource": "*"}`), "no-wildcard-principal", "lets everybody in"},
		"a condition on the time": {policy(`{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}}}`), "no-wildcard-principal", "lets everybody in"},
		"all but an organization": {policy(`{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}}`), "no-wildcard-principal", "lets everybody in"},
		"if there is one":         {policy(`{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}`), "no-wildcard-principal", "lets everybody in"},
		"any organization":        {policy(`{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*", "Condition": {"StringLike": {"aws:PrincipalOrgID": ["o-1", "*"]}}}`), "no-wildcard-principal", "lets everybody in"},
		"no policy":               {set("aws:s3/bucketPolicy:BucketPolicy", "policy", "no JSON"), "no-wildcard-principal", "no policy in JSON"},
		"a layer for everybody": {func(r map[string]checks.Resource) {
			r["p"] = checks.Resource{Type: "aws:lambda/layerVersionPermission:LayerVersionPermission", Inputs: map[string]any{"principal": "*"}}
		}, "no-wildcard-principal", "principal is *"},

		"a variable named so": {variable("DB_PASSWORD", "c0rrect-horse-9"), "no-plaintext", "environment.variables.DB_PASSWORD"},
		"an access key":       {variable("X", "AKIAIOSFODNN7EXAMPLE"), "no-plaintext", "an AWS access key"},
		"a private key":       {variable("X", "-----BEGIN RSA PRIVATE KEY-----\nMII"), "no-plaintext", "a private key"},
		"a URL":               {variable("X", "postgres://orders:hunter2@db:5432/orders"), "no-plaintext", "a password in a URL"},
		"in JSON":             {variable("X", `{"client": {"clientSecret": "c0rrect-horse-9"}}`), "no-plaintext", "X.client.clientSecret"},
	} {
		t.Run(name, func(t *testing.T) {
			resources := good()
			test.change(resources)
			violations := checks.Run(checks.Policy{Guarded: true}, list(resources))
			require.Len(t, violations, 1)
			assert.Equal(t, test.check, violations[0].Check)
			assert.Contains(t, violations[0].Problem, test.says)
			assert.NotContains(t, violations[0].Problem, "c0rrect-horse-9")
			assert.NotContains(t, violations[0].Problem, "hunter2")
		})
	}
}

// What a preview doesn't know isn't held against it.
func TestWhatIsNotKnownPasses(t *testing.T) {
	unknown := func() []checks.Resource {
		resources := good()
		for _, resource := range resources {
			for input, value := range resource.Inputs {
				switch value.(type) {
				case string:
					resource.Inputs[input] = plugin.UnknownStringValue
				case bool:
					resource.Inputs[input] = plugin.UnknownBoolValue
				case float64:
					resource.Inputs[input] = plugin.UnknownNumberValue
				case []any:
					resource.Inputs[input] = plugin.UnknownArrayValue
				case map[string]any:
					resource.Inputs[input] = map[string]any{sig.Key: sig.Secret, "ciphertext": "masked"}
				}
			}
		}
		return list(resources)
	}
	assert.Empty(t, checks.Run(checks.Policy{Guarded: true}, unknown()))
}

func TestWhoIsNamedMayBeEverybody(t *testing.T) {
	for name, condition := range map[string]string{
		"organization": `{"StringEquals": {"aws:PrincipalOrgID": "o-1"}}`,
		"account":      `{"StringEquals": {"AWS:SourceAccount": "123456789012"}}`,
		"ARN":          `{"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/*"}}`,
		"key's caller": `{"StringEquals": {"kms:CallerAccount": "123456789012", "kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			resources := good()
			resources["aws:s3/bucketPolicy:BucketPolicy"].Inputs["policy"] = `{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "a:b", "Resource": "*", "Condition": ` + condition + `}]}`
			assert.Empty(t, checks.Run(checks.Policy{Guarded: true}, list(resources)))
		})
	}
}

func TestAReasonReplacesARotation(t *testing.T) {
	resources := good()
	delete(resources, "aws:secretsmanager/secretRotation:SecretRotation")
	assert.Empty(t, checks.Run(checks.Policy{NotRotated: map[string]string{"aistudio/prod/orders/database": "the partner rotates it"}}, list(resources)))
}

func TestOnlyProdNeedsReplicasAndProtection(t *testing.T) {
	resources := good()
	secret := resources["aws:secretsmanager/secret:Secret"]
	secret.Protected = false
	delete(secret.Inputs, "replicas")
	secret.Inputs["recoveryWindowInDays"] = 7.0
	resources["aws:secretsmanager/secret:Secret"] = secret
	assert.Empty(t, checks.Run(checks.Policy{}, list(resources)))
	assert.Len(t, checks.Run(checks.Policy{Guarded: true}, list(resources)), 3)
}

// The configuration of a stack names credentials, and holds none.
func TestConfiguration(t *testing.T) {
	fine := map[string]string{
		"aws:region":           "us-east-1",
		"p:databases":          `{"main": {"master": "aistudio/prod/platform/admin", "password": "aistudio/prod/orders/database"}}`,
		"p:rotators":           `{"custom": {"password": {"PasswordLength": 48}}, "api-key": {"keyPrefix": "ais_prod", "webhook": {"secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:x"}}}`,
		"p:catalogue":          `{"studio/token": {"kind": "api-key", "description": "The token of the partner"}}`,
		"p:rotators.b.token":   "awaited",
		"p:rotators.b.timeout": "15m",
	}
	assert.Empty(t, checks.Run(checks.Policy{Config: fine}, nil))
	found := checks.Run(checks.Policy{Config: map[string]string{"p:databases": `{"main": {"password": "Tr0ub4dor&3"}}`}}, nil)
	require.Len(t, found, 1)
	assert.Equal(t, checks.Violation{Check: "no-plaintext", Problem: "p:databases.main.password in the configuration looks like a credential, by the name of the setting"}, found[0])
}

func TestTheListOfChecks(t *testing.T) {
	seen := map[string]bool{}
	for _, check := range checks.All() {
		assert.False(t, seen[check.ID], "%s is there twice", check.ID)
		seen[check.ID] = true
		assert.Equal(t, strings.ToLower(check.ID), check.ID)
		assert.NotEmpty(t, check.Demands)
		assert.NotEmpty(t, check.Why)
	}
	text, err := json.Marshal(checks.All())
	require.NoError(t, err)
	assert.Contains(t, string(text), `"id":"secret-encrypted"`)
}
