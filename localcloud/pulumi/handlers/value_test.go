package handlers

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPoliciesAreComparedByMeaning(t *testing.T) {
	same := [][2]string{
		{`{"a":1,"b":2}`, "{ \"b\": 2,\n \"a\": 1 }"},
		{`{"Action":"s3:Get"}`, `{"Action":["s3:Get"]}`},
		{`{"Action":["a","b"]}`, `{"Action":["b","a"]}`},
		{`not json`, `not json`},
	}
	for _, pair := range same {
		assert.True(t, sameJSON(pair[0], pair[1]), "%s and %s", pair[0], pair[1])
	}
	different := [][2]string{
		{`{"Action":["a","b"]}`, `{"Action":["a"]}`},
		{`{"Effect":"Allow"}`, `{"Effect":"Deny"}`},
		{`{"a":{"b":1}}`, `{"a":{"b":2}}`},
		{`not json`, `neither`},
		{`{}`, ``},
	}
	for _, pair := range different {
		assert.False(t, sameJSON(pair[0], pair[1]), "%s and %s", pair[0], pair[1])
	}
}

// FuzzSameJSON holds the comparison to what makes it one: a text is the same as
// itself, and order doesn't matter.
func FuzzSameJSON(f *testing.F) {
	f.Add(`{"a":["b","c"]}`, `{"a":["c","b"]}`)
	f.Add(`[[]]`, `[]`)
	f.Add(``, `{`)
	f.Fuzz(func(t *testing.T, a, b string) {
		if !sameJSON(a, a) {
			t.Fatalf("%q differs from itself", a)
		}
		if sameJSON(a, b) != sameJSON(b, a) {
			t.Fatalf("%q and %q: the order matters", a, b)
		}
	})
}

// anyInputs generates inputs that fit a resource type, some of them secret.
func anyInputs(t *rapid.T, properties []property) resource.PropertyMap {
	inputs := resource.PropertyMap{}
	for _, p := range properties {
		if !p.input || p.asset || !p.required && rapid.Bool().Draw(t, p.name+" is left out") {
			continue
		}
		value := anyValue(t, p)
		if rapid.Bool().Draw(t, p.name+" is secret") {
			value = resource.MakeSecret(value)
		}
		inputs[resource.PropertyKey(p.name)] = value
	}
	return inputs
}

func anyValue(t *rapid.T, p property) resource.PropertyValue {
	text := rapid.StringMatching(`[a-z]{1,8}`)
	switch {
	case p.json:
		return resource.NewProperty(fmt.Sprintf(`{"Statement":[%q]}`, text.Draw(t, p.name)))
	case p.fields != nil && p.set:
		elements := []resource.PropertyValue{}
		seen := map[string]bool{} // AWS refuses two elements of one key
		for range rapid.IntRange(0, 3).Draw(t, p.name) {
			element := resource.NewProperty(anyInputs(t, p.fields))
			value, _ := plain(element)
			if id := p.identity(value); !seen[id] {
				seen[id] = true
				elements = append(elements, element)
			}
		}
		return resource.NewProperty(elements)
	case p.fields != nil:
		return resource.NewProperty(anyInputs(t, p.fields))
	}
	switch p.name {
	case "tags", "variables", "triggers", "dimensions", "inputPaths":
		object := resource.PropertyMap{}
		for key, value := range rapid.MapOfN(text, text, 1, 3).Draw(t, p.name) {
			object[resource.PropertyKey(key)] = resource.NewProperty(value)
		}
		return resource.NewProperty(object)
	case "managedPolicyArns", "layers", "architectures", "securityGroupIds", "subnetIds", "compatibleArchitectures", "compatibleRuntimes",
		"alarmActions", "okActions", "insufficientDataActions":
		elements := []resource.PropertyValue{}
		for _, element := range rapid.SliceOfN(text, 1, 3).Draw(t, p.name) {
			elements = append(elements, resource.NewProperty(element))
		}
		return resource.NewProperty(elements)
	case "bypassPolicyLockoutSafetyCheck", "enableKeyRotation", "isEnabled", "multiRegion", "enabled",
		"forceOverwriteReplicaSecret", "rotateImmediately", "forceDetachPolicies", "publish", "skipDestroy",
		"blockPublicPolicy", "ipv6AllowedForDualStack", "forceDestroy", "sqsManagedSseEnabled", "actionsEnabled",
		"deletionProtectionEnabled", "endpointAutoConfirms", "rawMessageDelivery":
		return resource.NewProperty(rapid.Bool().Draw(t, p.name))
	case "deletionWindowInDays", "rotationPeriodInDays", "recoveryWindowInDays", "maxSessionDuration", "memorySize",
		"reservedConcurrentExecutions", "timeout", "retentionInDays", "automaticallyAfterDays", "size",
		"delaySeconds", "kmsDataKeyReusePeriodSeconds", "maxMessageSize", "messageRetentionSeconds", "receiveWaitTimeSeconds",
		"visibilityTimeoutSeconds", "signatureVersion", "confirmationTimeoutInMinutes", "datapointsToAlarm", "evaluationPeriods", "period",
		"threshold", "maximumEventAgeInSeconds", "maximumRetryAttempts", "readCapacity", "writeCapacity", "recoveryPeriodInDays", "versionNumber":
		return resource.NewProperty(float64(rapid.IntRange(1, 1000).Draw(t, p.name)))
	default:
		return resource.NewProperty(text.Draw(t, p.name))
	}
}

// TestWhatTheCloudConfirmsIsNoChange: if the cloud has just what the program
// asked for, then what a refresh reports as inputs differs in nothing from what
// the program gives, for every resource type.
func TestWhatTheCloudConfirmsIsNoChange(t *testing.T) {
	p := newTestProvider(t)
	for _, token := range p.Types() {
		t.Run(token, rapid.MakeCheck(func(t *rapid.T) {
			k := p.types[token]
			inputs := anyInputs(t, k.properties())
			state, err := echo(k, inputs)
			require.NoError(t, err)

			refreshed := inputsOf(k.properties(), state, inputs)
			diff, err := p.Diff(token, refreshed, inputs)
			require.NoError(t, err)
			assert.Empty(t, diff.Changes)
			diff, err = p.Diff(token, inputs, refreshed)
			require.NoError(t, err)
			assert.Empty(t, diff.Changes)
		}))
	}
}

// echo is the state of a resource that the cloud made as the program asked.
func echo(k resourceType, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	return k.(interface {
		echo(inputs resource.PropertyMap) (resource.PropertyMap, error)
	}).echo(inputs)
}

func (k kind[S]) echo(inputs resource.PropertyMap) (resource.PropertyMap, error) {
	s, err := k.decode(inputs)
	if err != nil {
		return nil, err
	}
	return encode(k.properties(), s, inputs)
}

// TestSecretsStaySecret: what the program marks as secret is marked in the state,
// and in the inputs that a refresh reports.
func TestSecretsStaySecret(t *testing.T) {
	p := newTestProvider(t)
	for _, token := range p.Types() {
		t.Run(token, rapid.MakeCheck(func(t *rapid.T) {
			k := p.types[token]
			inputs := anyInputs(t, k.properties())
			state, err := echo(k, inputs)
			require.NoError(t, err)
			refreshed := inputsOf(k.properties(), state, inputs)
			for key, value := range inputs {
				if !value.ContainsSecrets() {
					continue
				}
				if actual, has := state[key]; has {
					assert.True(t, actual.IsSecret(), "%s in the state", key)
				}
				if input, has := refreshed[key]; has {
					assert.True(t, input.ContainsSecrets(), "%s in the inputs", key)
				}
			}
		}))
	}
}

func TestAValueOfTheWrongTypeIsNotRepeated(t *testing.T) {
	p := newTestProvider(t)
	_, failures, err := p.Check("aws:secretsmanager/secret:Secret", "s", nil, resource.PropertyMap{
		"recoveryWindowInDays": resource.NewProperty("hunter2"),
	}, nil)
	require.NoError(t, err)
	require.Len(t, failures, 1)
	assert.Equal(t, "property recoveryWindowInDays must be of type int", failures[0].Reason)
}

func TestDefaultsAreInTheState(t *testing.T) {
	s, err := secretKind().(kind[secret]).decode(resource.PropertyMap{})
	require.NoError(t, err)
	assert.Equal(t, 30, s.RecoveryWindowInDays)

	s, err = secretKind().(kind[secret]).decode(resource.PropertyMap{"recoveryWindowInDays": resource.NewProperty(0.0)})
	require.NoError(t, err)
	assert.Zero(t, s.RecoveryWindowInDays, "0 is a value, not the lack of one")
}

func TestEveryPropertyOfAStructHasAName(t *testing.T) {
	for _, k := range kinds() {
		seen := map[string]bool{}
		for _, p := range k.properties() {
			assert.NotEmpty(t, p.name, k.name())
			assert.True(t, p.input || p.output, "%s.%s is neither input nor output", k.name(), p.name)
			assert.False(t, seen[p.name], "%s.%s is there twice", k.name(), p.name)
			seen[p.name] = true
			_, err := json.Marshal(p.defaultValue)
			assert.NoError(t, err)
		}
	}
}
