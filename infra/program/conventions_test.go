package program_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

// resourceTypes are the resource types that the program may use, and whether AWS has
// tags for them.
var resourceTypes = map[string]bool{
	"aws:kms/key:Key":                                        true,
	"aws:kms/replicaKey:ReplicaKey":                          true,
	"aws:kms/alias:Alias":                                    false,
	"aws:secretsmanager/secret:Secret":                       true,
	"aws:secretsmanager/secretPolicy:SecretPolicy":           false,
	"aws:secretsmanager/secretRotation:SecretRotation":       false,
	"aws:iam/role:Role":                                      true,
	"aws:iam/rolePolicy:RolePolicy":                          false,
	"aws:iam/policy:Policy":                                  true,
	"aws:iam/rolePolicyAttachment:RolePolicyAttachment":      false,
	"aws:budgets/budget:Budget":                              true,
	"aws:lambda/function:Function":                           true,
	"aws:lambda/permission:Permission":                       false,
	"aws:lambda/invocation:Invocation":                       false,
	"aws:cloudwatch/logGroup:LogGroup":                       true,
	"aws:cloudwatch/logMetricFilter:LogMetricFilter":         false,
	"aws:cloudtrail/trail:Trail":                             true,
	"aws:lambda/layerVersion:LayerVersion":                   false,
	"aws:dynamodb/table:Table":                               true,
	"aws:cloudwatch/eventRule:EventRule":                     true,
	"aws:cloudwatch/eventTarget:EventTarget":                 false,
	"aws:cloudwatch/metricAlarm:MetricAlarm":                 true,
	"aws:sqs/queue:Queue":                                    true,
	"aws:sqs/queuePolicy:QueuePolicy":                        false,
	"aws:sns/topic:Topic":                                    true,
	"aws:sns/topicPolicy:TopicPolicy":                        false,
	"aws:sns/topicSubscription:TopicSubscription":            false,
	"aws:cloudwatch/dashboard:Dashboard":                     false,
	"aws:scheduler/schedule:Schedule":                        false,
	"aws:cfg/rule:Rule":                                      true,
	"aws:s3/bucketV2:BucketV2":                               true,
	"aws:s3/bucketObjectv2:BucketObjectv2":                   false,
	"aws:s3/bucketPolicy:BucketPolicy":                       false,
	"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": false,
	"aws:s3/bucketVersioningV2:BucketVersioningV2":           false,
	"aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2": false,
	"aws:s3/bucketObjectLockConfigurationV2:BucketObjectLockConfigurationV2":                     false,
	"aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2":                       false,
}

// What holds for every resource of every stack.
func TestConventions(t *testing.T) {
	for _, stack := range []string{"dev", "staging", "prod"} {
		t.Run(stack, func(t *testing.T) {
			record := deployOnPaper(t, stack)
			seen := map[string]bool{}
			for _, args := range record.resources {
				id := args.RegisterRPC.GetParent() + "$" + args.TypeToken + "::" + args.Name
				assert.False(t, seen[id], "two resources are %s", id)
				seen[id] = true
				if !args.Custom || args.TypeToken == "pulumi:providers:aws" {
					continue
				}
				tagged, known := resourceTypes[args.TypeToken]
				assert.True(t, known, "%s is of an unexpected type, %s", args.Name, args.TypeToken)
				assert.Contains(t, args.RegisterRPC.GetParent(), "aistudio:secrets:", "%s has no component", id)
				if tagged {
					checkTags(t, args)
				}
				for _, property := range []resource.PropertyKey{"policy", "assumeRolePolicy"} {
					if text, ok := args.Inputs[property]; ok {
						checkPolicy(t, args, text.StringValue())
					}
				}
			}
		})
	}
}

// IAM changes no description of a policy and makes a new one, whose name is the old
// one's.
func TestPoliciesAreReplaced(t *testing.T) {
	policies := deployOnPaper(t, "prod").named("aws:iam/policy:Policy")
	require.NotEmpty(t, policies)
	for name, args := range policies {
		assert.True(t, args.RegisterRPC.GetDeleteBeforeReplace(), name)
	}
}

func checkTags(t *testing.T, args pulumi.MockResourceArgs) {
	t.Helper()
	tags := args.Inputs["tags"]
	require.True(t, tags.IsObject(), "%s %s has no tags", args.TypeToken, args.Name)
	required := []string{spec.TagEnvironment, spec.TagService, spec.TagOwner, spec.TagManagedBy}
	if args.TypeToken == "aws:secretsmanager/secret:Secret" {
		required = spec.RequiredTags()
	}
	for _, key := range required {
		assert.NotEmpty(t, tags.ObjectValue()[resource.PropertyKey(key)], "%s %s lacks the tag %s", args.TypeToken, args.Name, key)
	}
}

// wildcards are the statements that AWS leaves no other way; the code names the
// source of each.
var wildcards = map[string]bool{"Trace": true, "NetworkInterfaces": true, "ReadInBatches": true, "FindServers": true, "Audit": true, "NeverAValue": true, "Discover": true}

// named are the resources whose own policies name them, and not policy.This.
var named = map[string]string{
	"aws:sns/topicPolicy:TopicPolicy":  "Topic/",
	"aws:sqs/queuePolicy:QueuePolicy":  "Queue/",
	"aws:s3/bucketPolicy:BucketPolicy": "BucketV2/",
}

func checkPolicy(t *testing.T, args pulumi.MockResourceArgs, text string) {
	t.Helper()
	var document struct{ Statement []policy.Statement }
	require.NoError(t, json.Unmarshal([]byte(text), &document), text)
	require.NotEmpty(t, document.Statement)
	for _, statement := range document.Statement {
		at := args.TypeToken + " " + args.Name + ", statement " + statement.Sid
		attached := statement.Principal != nil // the policy is a resource's own
		for _, action := range statement.Action {
			if statement.Effect == policy.Allow {
				assert.NotContains(t, action, "*", "%s allows more actions than it names", at)
			}
		}
		for _, to := range statement.Resource {
			switch {
			case attached && named[args.TypeToken] != "":
				to = strings.TrimSuffix(strings.TrimSuffix(to, "/*"), "/AWSLogs/"+accountID) // CloudTrail's folder
				assert.True(t, strings.HasSuffix(to, named[args.TypeToken]+args.Name), "%s is for %s", at, to)
			case attached:
				assert.Equal(t, policy.This, to, "%s", at)
			case statement.Sid == "Report": // named after the time
				assert.True(t, strings.Contains(to, "/reports/") && strings.HasSuffix(to, "/*") && strings.Count(to, "*") == 1, "%s is for %s", at, to)
			case statement.Sid == "WriteTrail": // streams of a trail are numbered
				assert.True(t, strings.HasSuffix(to, "_CloudTrail_us-east-1*") && strings.Count(to, "*") == 1, "%s is for %s", at, to)
			case statement.Sid == "Log":
				assert.True(t, strings.HasSuffix(to, ":*") && strings.Count(to, "*") == 1, "%s is for %s", at, to)
			case !wildcards[statement.Sid]:
				assert.NotContains(t, to, "*", "%s is for all resources", at)
			}
		}
		if attached && statement.Effect == policy.Allow {
			assert.NotContains(t, statement.Principal.AWS, policy.Everyone, "%s allows everyone", at)
		}
	}
}

// The administrators of a key can't use it, and whoever uses it goes through
// Secrets Manager.
func TestKeyPolicy(t *testing.T) {
	record := deployOnPaper(t, "prod")
	for _, key := range []pulumi.MockResourceArgs{
		record.named("aws:kms/key:Key")["secrets"],
		record.named("aws:kms/replicaKey:ReplicaKey")["secrets-replica"],
	} {
		var document struct{ Statement []policy.Statement }
		require.NoError(t, json.Unmarshal([]byte(key.Inputs["policy"].StringValue()), &document))
		require.Len(t, document.Statement, 3)
		assert.Equal(t, policy.Statement{
			Sid: "ReadMetadata", Effect: policy.Allow, Principal: &policy.Principal{AWS: []string{root}},
			Action: []string{"kms:DescribeKey", "kms:GetKeyRotationStatus"}, Resource: []string{policy.This},
		}, document.Statement[2])
		administration, use := document.Statement[0], document.Statement[1]
		assert.Equal(t, []string{"arn:aws:iam::123456789012:role/secrets-deployer", "arn:aws:iam::123456789012:role/secrets-administrator"}, administration.Principal.AWS)
		for _, action := range []string{"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant", "kms:ReEncryptFrom"} {
			assert.NotContains(t, administration.Action, action)
		}
		assert.Contains(t, administration.Action, "kms:PutKeyPolicy", "KMS refuses a policy that nobody could change")
		assert.Equal(t, []string{root}, use.Principal.AWS)
		assert.Equal(t, policy.Condition{"StringEquals": {"kms:ViaService": {
			"secretsmanager.us-east-1.amazonaws.com", "secretsmanager.us-west-2.amazonaws.com",
		}}}, use.Condition)
	}
}

// A secret's policy only denies: to all who aren't named, and to all without
// TLS. The emulator takes its own traffic for TLS, so that is read here.
func TestSecretPolicies(t *testing.T) {
	record := deployOnPaper(t, "prod")
	secrets, policies := record.named("aws:secretsmanager/secret:Secret"), record.named("aws:secretsmanager/secretPolicy:SecretPolicy")
	require.Len(t, policies, len(secrets))
	for name, args := range policies {
		assert.True(t, args.Inputs["blockPublicPolicy"].BoolValue())
		assert.NotContains(t, secrets[name].Inputs, "forceOverwriteReplicaSecret")
		assert.NotContains(t, secrets[name].Inputs, "policy", "the secret and its policy resource would fight")

		var document struct{ Statement []policy.Statement }
		require.NoError(t, json.Unmarshal([]byte(args.Inputs["policy"].StringValue()), &document))
		exempt := map[string][]string{}
		for _, statement := range document.Statement {
			assert.Equal(t, policy.Deny, statement.Effect)
			assert.Equal(t, []string{policy.Everyone}, statement.Principal.AWS)
			exempt[statement.Sid] = statement.Condition["ArnNotEquals"]["aws:PrincipalArn"]
			if statement.Sid == "WithoutTLS" {
				assert.Equal(t, []string{"secretsmanager:*"}, statement.Action)
				assert.Equal(t, policy.Condition{"Bool": {"aws:SecureTransport": {"false"}}}, statement.Condition)
			}
		}
		require.Len(t, exempt, 4)
		if name != "orders-database" {
			continue
		}
		administrators := []string{"arn:aws:iam::123456789012:role/secrets-deployer", "arn:aws:iam::123456789012:role/secrets-administrator"}
		rotator := "arn:aws:iam::123456789012:role/aistudio-prod-rotate-database"
		assert.Equal(t, map[string][]string{
			"ReadByOthers":   {administrators[0], administrators[1], rotator, "arn:aws:service:region:123456789012:Role/orders"},
			"WriteByOthers":  {administrators[0], administrators[1], rotator},
			"ManageByOthers": administrators,
			"WithoutTLS":     nil,
		}, exempt)
	}
}

// Only prod protects, and only what can't be had back.
func TestProtection(t *testing.T) {
	for stack, protects := range map[string]bool{"dev": false, "staging": false, "prod": true} {
		for _, args := range deployOnPaper(t, stack).resources {
			precious := false
			switch args.TypeToken {
			case "aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey", "aws:secretsmanager/secret:Secret", "aws:secretsmanager/secretPolicy:SecretPolicy", "aws:s3/bucketV2:BucketV2", "aws:cloudtrail/trail:Trail":
				precious = true
			}
			assert.Equal(t, protects && precious, args.RegisterRPC.GetProtect(), "%s: protection of %s %s", stack, args.TypeToken, args.Name)
			precious = precious || strings.HasPrefix(args.TypeToken, "aws:s3/") // a bucket is kept as it is
			precious = precious && !strings.HasSuffix(args.Name, "-alerts")     // a key of what SNS has sent by then
			assert.Equal(t, protects && precious, args.RegisterRPC.GetRetainOnDelete(), "%s: retention of %s %s", stack, args.TypeToken, args.Name)
		}
	}
}

// A rotation starts after the permission, the secret's policy and its value.
func TestOrder(t *testing.T) {
	record := deployOnPaper(t, "dev")
	dependsOn := func(args pulumi.MockResourceArgs, token string) bool {
		for _, urn := range args.RegisterRPC.GetDependencies() {
			if strings.Contains(urn, token) {
				return true
			}
		}
		return false
	}
	rotation := record.named("aws:secretsmanager/secretRotation:SecretRotation")["orders-database"]
	require.NotNil(t, rotation.RegisterRPC)
	for _, token := range []string{"aws:lambda/permission:Permission", "aws:lambda/invocation:Invocation", "aws:secretsmanager/secret:Secret"} {
		assert.True(t, dependsOn(rotation, token), "the rotation doesn't wait for %s", token)
	}
	seed := record.named("aws:lambda/invocation:Invocation")["orders-database-seed"]
	require.NotNil(t, seed.RegisterRPC)
	assert.True(t, dependsOn(seed, "aws:lambda/function:Function"))
	function := record.named("aws:lambda/function:Function")["rotate-database"]
	assert.True(t, dependsOn(function, "aws:iam/rolePolicy:RolePolicy"), "the function could run before its role may do anything")
	assert.True(t, dependsOn(function, "aws:cloudwatch/logGroup:LogGroup"), "Lambda would make the log group itself, without retention")
}
