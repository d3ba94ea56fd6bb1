package conformance

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"
)

func policyCases() []testCase {
	const (
		everybody = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
		oneself   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	)
	return []testCase{
		{service: secretsManager, name: "no resource policy", run: func(p *probe) {
			out := p.create(p.name("s"), "v")
			got, err := p.sm.GetResourcePolicy(p.ctx, &sm.GetResourcePolicyInput{SecretId: p.name("s")})
			require.NoError(p, err)
			require.Nil(p, got.ResourcePolicy)
			p.equal(*out.ARN, *got.ARN)
		}},
		{service: secretsManager, name: "put, get and delete a resource policy", run: func(p *probe) {
			id := p.name("s")
			p.create(id, "v")
			_, err := p.sm.PutResourcePolicy(p.ctx, &sm.PutResourcePolicyInput{SecretId: id, ResourcePolicy: aws.String(oneself)})
			require.NoError(p, err)
			got, err := p.sm.GetResourcePolicy(p.ctx, &sm.GetResourcePolicyInput{SecretId: id})
			require.NoError(p, err)
			require.JSONEq(p, oneself, *got.ResourcePolicy)
			_, err = p.sm.DeleteResourcePolicy(p.ctx, &sm.DeleteResourcePolicyInput{SecretId: id})
			require.NoError(p, err)
			got, err = p.sm.GetResourcePolicy(p.ctx, &sm.GetResourcePolicyInput{SecretId: id})
			require.NoError(p, err)
			require.Nil(p, got.ResourcePolicy)
		}},
		{service: secretsManager, name: "a malformed resource policy", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.sm.PutResourcePolicy(p.ctx, &sm.PutResourcePolicyInput{SecretId: p.name("s"), ResourcePolicy: aws.String("no policy")})
			p.fails(err, "MalformedPolicyDocumentException", "")
		}, moto: &difference{"keeps any text", "[PutResourcePolicy](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutResourcePolicy.html): MalformedPolicyDocumentException"}},
		{service: secretsManager, name: "a public resource policy is blocked", run: func(p *probe) {
			p.create(p.name("s"), "v")
			put := func(policy string) error {
				_, err := p.sm.PutResourcePolicy(p.ctx, &sm.PutResourcePolicyInput{SecretId: p.name("s"), ResourcePolicy: &policy, BlockPublicPolicy: aws.Bool(true)})
				return err
			}
			p.fails(put(everybody), "PublicPolicyException", "")
			require.NoError(p, put(oneself))
		}, moto: &difference{"ignores BlockPublicPolicy", "[PutResourcePolicy](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutResourcePolicy.html): PublicPolicyException"}},
		{service: secretsManager, name: "a public resource policy that isn't blocked", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.sm.PutResourcePolicy(p.ctx, &sm.PutResourcePolicyInput{SecretId: p.name("s"), ResourcePolicy: aws.String(everybody)})
			require.NoError(p, err)
		}},
		{service: secretsManager, name: "validate a resource policy", run: func(p *probe) {
			good, err := p.sm.ValidateResourcePolicy(p.ctx, &sm.ValidateResourcePolicyInput{ResourcePolicy: aws.String(oneself)})
			require.NoError(p, err)
			require.True(p, good.PolicyValidationPassed)
			bad, err := p.sm.ValidateResourcePolicy(p.ctx, &sm.ValidateResourcePolicyInput{ResourcePolicy: aws.String(everybody)})
			require.NoError(p, err)
			require.False(p, bad.PolicyValidationPassed)
			require.NotEmpty(p, bad.ValidationErrors)
		}, moto: &difference{"doesn't have the operation", "[ValidateResourcePolicy](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ValidateResourcePolicy.html): checks for broad access"}},
	}
}

func passwordCases() []testCase {
	password := func(p *probe, in sm.GetRandomPasswordInput) string {
		out, err := p.sm.GetRandomPassword(p.ctx, &in)
		require.NoError(p, err)
		return *out.RandomPassword
	}
	return []testCase{
		{service: secretsManager, name: "random password", run: func(p *probe) {
			one := password(p, sm.GetRandomPasswordInput{})
			require.Len(p, one, 32)
			for _, kind := range []string{"[a-z]", "[A-Z]", "[0-9]", "[!-/:-@\\[-`{-~]"} {
				require.Regexp(p, kind, one)
			}
			require.NotEqual(p, one, password(p, sm.GetRandomPasswordInput{}))
		}},
		{service: secretsManager, name: "random password with options", run: func(p *probe) {
			got := password(p, sm.GetRandomPasswordInput{PasswordLength: aws.Int64(100), ExcludePunctuation: aws.Bool(true), ExcludeUppercase: aws.Bool(true), ExcludeCharacters: aws.String("xyz012")})
			require.Regexp(p, "^[a-w3-9]{100}$", got)
		}},
		{service: secretsManager, name: "random password with spaces", run: func(p *probe) {
			require.Contains(p, password(p, sm.GetRandomPasswordInput{PasswordLength: aws.Int64(200), IncludeSpace: aws.Bool(true)}), " ")
		}},
		{service: secretsManager, name: "random password too long", run: func(p *probe) {
			_, err := p.sm.GetRandomPassword(p.ctx, &sm.GetRandomPasswordInput{PasswordLength: aws.Int64(4097)})
			p.fails(err, "ValidationException", "Value '4097' at 'passwordLength' failed to satisfy constraint: Member must have value less than or equal to 4096")
		}, moto: &difference{"answers InvalidParameterValue", "[GetRandomPassword](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html): PasswordLength is at most 4096, and AWS's front end answers ValidationException for members out of range"}},
		{service: secretsManager, name: "random password too short for its kinds", run: func(p *probe) {
			_, err := p.sm.GetRandomPassword(p.ctx, &sm.GetRandomPasswordInput{PasswordLength: aws.Int64(3)})
			p.fails(err, "InvalidParameterException", "Password length is too short based on the required types.")
		}},
	}
}

func replicaCases() []testCase {
	replicated := func(p *probe) *sm.CreateSecretOutput {
		out, err := p.sm.CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("v"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(drRegion)}}})
		require.NoError(p, err)
		p.inSync()
		return out
	}
	const replicaRefused = "Operation not permitted on a replica secret. Call must be made in primary secret's region."
	return []testCase{
		{service: secretsManager, name: "a replica's value and ARN", run: func(p *probe) {
			out := replicated(p)
			got, err := p.smIn(drRegion).GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
			require.NoError(p, err)
			p.equal("v", *got.SecretString)
			p.equal(strings.Replace(*out.ARN, region, drRegion, 1), *got.ARN)
		}},
		{service: secretsManager, name: "a replica's version id", run: func(p *probe) {
			out := replicated(p)
			got, err := p.smIn(drRegion).GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
			require.NoError(p, err)
			p.equal(*out.VersionId, *got.VersionId)
		}},
		{service: secretsManager, name: "a primary shows its replicas", run: func(p *probe) {
			replicated(p)
			d := p.describe(p.name("s"))
			p.equal(region, *d.PrimaryRegion)
			require.Len(p, d.ReplicationStatus, 1)
			p.equal(drRegion, *d.ReplicationStatus[0].Region)
			p.equal(types.StatusTypeInSync, d.ReplicationStatus[0].Status)
		}, moto: &difference{"shows no PrimaryRegion", "[DescribeSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html): PrimaryRegion"}},
		{service: secretsManager, name: "a change comes to the replica", run: func(p *probe) {
			replicated(p)
			p.put(p.name("s"), "w")
			p.inSync()
			dr := p.smIn(drRegion)
			require.Eventually(p, func() bool {
				got, err := dr.GetSecretValue(p.ctx, &sm.GetSecretValueInput{SecretId: p.name("s")})
				return err == nil && *got.SecretString == "w"
			}, waitLimit, 10*time.Millisecond)
		}},
		{service: secretsManager, name: "a replica can't be changed", run: func(p *probe) {
			replicated(p)
			dr := p.smIn(drRegion)
			_, err := dr.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: p.name("s"), SecretString: aws.String("w")})
			p.fails(err, "InvalidParameterException", replicaRefused)
			_, err = dr.DeleteSecret(p.ctx, &sm.DeleteSecretInput{SecretId: p.name("s")})
			p.fails(err, "InvalidParameterException", replicaRefused)
			_, err = dr.TagResource(p.ctx, &sm.TagResourceInput{SecretId: p.name("s"), Tags: []types.Tag{tag("a", "b")}})
			p.fails(err, "InvalidParameterException", replicaRefused)
			_, err = dr.RotateSecret(p.ctx, &sm.RotateSecretInput{SecretId: p.name("s")})
			p.fails(err, "InvalidParameterException", replicaRefused)
		}},
		{service: secretsManager, name: "a primary with replicas can't be deleted", run: func(p *probe) {
			out := replicated(p)
			_, err := p.sm.DeleteSecret(p.ctx, &sm.DeleteSecretInput{SecretId: out.ARN})
			p.fails(err, "InvalidParameterException", "You can't delete secret "+*out.ARN+" that still has replica regions [us-west-2]")
		}},
		{service: secretsManager, name: "replicate to the own region", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.sm.ReplicateSecretToRegions(p.ctx, &sm.ReplicateSecretToRegionsInput{SecretId: p.name("s"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(region)}}})
			p.fails(err, "InvalidParameterException", "Invalid replica region.")
		}},
		{service: secretsManager, name: "replicate over a secret of that name", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.smIn(drRegion).CreateSecret(p.ctx, &sm.CreateSecretInput{Name: p.name("s"), SecretString: aws.String("other")})
			require.NoError(p, err)
			_, err = p.sm.ReplicateSecretToRegions(p.ctx, &sm.ReplicateSecretToRegionsInput{SecretId: p.name("s"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String(drRegion)}}})
			require.NoError(p, err)
			require.Eventually(p, func() bool {
				return p.describe(p.name("s")).ReplicationStatus[0].Status == types.StatusTypeFailed
			}, waitLimit, 10*time.Millisecond)
		}},
		{service: secretsManager, name: "remove a replica", run: func(p *probe) {
			replicated(p)
			_, err := p.sm.RemoveRegionsFromReplication(p.ctx, &sm.RemoveRegionsFromReplicationInput{SecretId: p.name("s"), RemoveReplicaRegions: []string{drRegion}})
			require.NoError(p, err)
			_, err = p.smIn(drRegion).DescribeSecret(p.ctx, &sm.DescribeSecretInput{SecretId: p.name("s")})
			p.fails(err, "ResourceNotFoundException", notFound)
			require.Empty(p, p.describe(p.name("s")).ReplicationStatus)
		}},
		{service: secretsManager, name: "promote a replica", run: func(p *probe) {
			replicated(p)
			dr := p.smIn(drRegion)
			_, err := dr.StopReplicationToReplica(p.ctx, &sm.StopReplicationToReplicaInput{SecretId: p.name("s")})
			require.NoError(p, err)
			_, err = dr.PutSecretValue(p.ctx, &sm.PutSecretValueInput{SecretId: p.name("s"), SecretString: aws.String("w")})
			require.NoError(p, err)
			p.equal("v", *p.get(p.name("s")).SecretString)
		}, moto: &difference{"doesn't have the operation", "[StopReplicationToReplica](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_StopReplicationToReplica.html): removes the link and promotes the replica"}},
	}
}

// inSync waits for the secret's replicas.
func (p *probe) inSync() {
	require.Eventually(p, func() bool {
		for _, r := range p.describe(p.name("s")).ReplicationStatus {
			if r.Status != types.StatusTypeInSync {
				return false
			}
		}
		return true
	}, waitLimit, 10*time.Millisecond)
}

func rotationCases() []testCase {
	rotate := func(p *probe, in sm.RotateSecretInput) error {
		in.SecretId = p.name("s")
		_, err := p.sm.RotateSecret(p.ctx, &in)
		return err
	}
	arn := aws.String("arn:aws:lambda:us-east-1:123456789012:function:none")
	return []testCase{
		{service: secretsManager, name: "rotate without a function", run: func(p *probe) {
			p.create(p.name("s"), "v")
			p.fails(rotate(p, sm.RotateSecretInput{}), "InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
		}, moto: &difference{"does nothing, successfully", "[RotateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html): InvalidRequestException: no function is configured and none is given"}},
		{service: secretsManager, name: "rotate with a function that isn't there", run: func(p *probe) {
			p.create(p.name("s"), "v")
			p.fails(rotate(p, sm.RotateSecretInput{RotationLambdaARN: arn, RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1)}}),
				"AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
			require.Nil(p, p.describe(p.name("s")).RotationEnabled)
		}, moto: &difference{"answers ResourceNotFoundException", "[user guide](https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html): the permissions of the function are checked, and the error is access denied"}},
		{service: secretsManager, name: "rotate a secret without a value", run: func(p *probe) {
			p.create(p.name("s"), "")
			p.fails(rotate(p, sm.RotateSecretInput{RotationLambdaARN: arn}), "ResourceNotFoundException",
				"Secrets Manager can't find the specified secret value for staging label: AWSCURRENT")
		}, moto: &difference{"looks at the function only", "[RotateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html): ResourceNotFoundException"}},
		{service: secretsManager, name: "rotate with a schedule of 1001 days", run: func(p *probe) {
			p.create(p.name("s"), "v")
			err := rotate(p, sm.RotateSecretInput{RotationLambdaARN: arn, RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1001)}})
			p.fails(err, "ValidationException", "Member must have value less than or equal to 1000")
		}, moto: &difference{"answers InvalidParameterException", "[RotationRulesType](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotationRulesType.html): AutomaticallyAfterDays is at most 1000, and AWS's front end answers ValidationException for members out of range"}},
		{service: secretsManager, name: "rotate with two schedules", run: func(p *probe) {
			p.create(p.name("s"), "v")
			err := rotate(p, sm.RotateSecretInput{RotationLambdaARN: arn, RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(1), ScheduleExpression: aws.String("rate(1 day)")}})
			p.fails(err, "InvalidParameterException", "")
		}, moto: &difference{"doesn't look at the schedule", "[RotationRulesType](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotationRulesType.html): AutomaticallyAfterDays or ScheduleExpression, but not both"}},
		{service: secretsManager, name: "rotate more often than every four hours", run: func(p *probe) {
			p.create(p.name("s"), "v")
			err := rotate(p, sm.RotateSecretInput{RotationLambdaARN: arn, RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(3 hours)")}})
			p.fails(err, "InvalidParameterException", "")
		}, moto: &difference{"doesn't look at the schedule", "[user guide](https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html): as often as every four hours"}},
		{service: secretsManager, name: "cancel a rotation that was never configured", run: func(p *probe) {
			p.create(p.name("s"), "v")
			_, err := p.sm.CancelRotateSecret(p.ctx, &sm.CancelRotateSecretInput{SecretId: p.name("s")})
			p.fails(err, "InvalidRequestException", "")
		}},
	}
}
