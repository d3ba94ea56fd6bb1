package program_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/xray"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

const allowAll = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}`

func read(t *testing.T, config aws.Config, name string) (spec.Value, error) {
	t.Helper()
	output, err := secretsmanager.NewFromConfig(config).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return spec.Value{}, err
	}
	return spec.ValueString(aws.ToString(output.SecretString)), nil
}

func requireDenied(t *testing.T, err error) {
	t.Helper()
	var refused smithy.APIError
	require.ErrorAs(t, err, &refused, "the call was allowed")
	require.Equal(t, "AccessDeniedException", refused.ErrorCode(), "%v", err)
}

// checkAccess tries every action on secrets as every kind of principal.
func (w *world) checkAccess(t *testing.T) {
	const mine, foreign = "aistudio/prod/orders/database", "aistudio/prod/studio/webhook-signing"
	principals := map[string]aws.Config{
		"administrator": w.session(t, "secrets-administrator"),
		"reader":        w.session(t, "aistudio-prod-orders-reader"),
		"rotator":       w.session(t, "aistudio-prod-rotate-database"),
		"intruder":      w.createRole(t, "intruder"), // whom IAM allows everything
	}
	_, err := secretsmanager.NewFromConfig(principals["administrator"]).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(foreign), SecretString: aws.String("planted"),
	})
	require.NoError(t, err, "an administrator puts the value of a secret that isn't seeded")
	_, err = assume(t.Context(), principals["intruder"], "aistudio-prod-studio-reader")
	var refused smithy.APIError
	require.ErrorAs(t, err, &refused, "only Lambda may take that role on")
	require.Equal(t, "AccessDenied", refused.ErrorCode())

	key := w.keyARN(t, principals["administrator"])
	id, other := aws.String(mine), aws.String(foreign)
	type secrets = secretsmanager.Client
	actions := map[string]struct {
		try     func(context.Context, *secrets, *kms.Client) error
		allowed []string
	}{
		"read": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: id})
			return err
		}, []string{"administrator", "reader", "rotator"}},
		"read another service's": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: other})
			return err
		}, []string{"administrator"}},
		"describe": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: id})
			return err
		}, []string{"administrator", "rotator", "intruder"}},
		"write another service's": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: other, SecretString: aws.String("planted")})
			return err
		}, []string{"administrator"}},
		"tag": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: id, TagKeys: []string{"None"}})
			return err
		}, []string{"administrator"}},
		"change": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.UpdateSecret(ctx, &secretsmanager.UpdateSecretInput{SecretId: other, Description: aws.String("changed")})
			return err
		}, []string{"administrator"}},
		"open up": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.DeleteResourcePolicy(ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String("aistudio/prod/studio/google-oauth")})
			return err
		}, []string{"administrator"}},
		"stop the rotation": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: other})
			return err
		}, []string{"administrator"}},
		"use the key past Secrets Manager": {func(ctx context.Context, _ *secrets, c *kms.Client) error {
			_, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: kmstypes.DataKeySpecAes256})
			return err
		}, nil},
		"take the key": {func(ctx context.Context, _ *secrets, c *kms.Client) error {
			_, err := c.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &key})
			return err
		}, []string{"administrator"}},
		"delete": {func(ctx context.Context, c *secrets, _ *kms.Client) error {
			_, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("aistudio/prod/inference/gateway-key")})
			return err
		}, []string{"administrator"}},
	}
	for action, test := range actions {
		// The administrator comes last: what it does would open or end a secret.
		for _, who := range []string{"intruder", "rotator", "reader", "administrator"} {
			config := principals[who]
			t.Run(who+": "+action, func(t *testing.T) {
				err := test.try(t.Context(), secretsmanager.NewFromConfig(config), kms.NewFromConfig(config))
				if !slices.Contains(test.allowed, who) {
					requireDenied(t, err)
					return
				}
				var refused smithy.APIError
				if errors.As(err, &refused) { // it may fail for another reason
					assert.NotEqual(t, "AccessDeniedException", refused.ErrorCode(), "%v", err)
				}
			})
		}
	}
}

// rotator is a deployed rotation function, and what it works on.
type rotator struct {
	*world
	role   string // of the function, whose name it is
	secret string
}

// put replaces the policy of the function's role.
func (r rotator) put(t *testing.T, document string) {
	t.Helper()
	_, err := iam.NewFromConfig(r.cloud.Config(region)).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &r.role, PolicyName: aws.String("access"), PolicyDocument: &document})
	require.NoError(t, err)
}

// rotate asks for a rotation and waits for its first try.
func (r rotator) rotate(t *testing.T) {
	t.Helper()
	_, err := secretsmanager.NewFromConfig(r.cloud.Config(region)).RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &r.secret})
	require.NoError(t, err)
	require.NoError(t, r.cloud.Settle(t.Context()))
}

// marks are what a rotation leaves behind.
type marks struct {
	version              string
	logged, traced, told int // log events, traces, entries in the feed
}

func (r rotator) look(t *testing.T) marks {
	t.Helper()
	config := r.cloud.Config(region)
	current, err := secretsmanager.NewFromConfig(config).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &r.secret})
	require.NoError(t, err)
	logged, err := cloudwatchlogs.NewFromConfig(config).FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/" + r.role)})
	require.NoError(t, err)
	now := r.cloud.Clock().Now()
	traced, err := xray.NewFromConfig(config).GetTraceSummaries(t.Context(), &xray.GetTraceSummariesInput{StartTime: aws.Time(now.Add(-365 * 24 * time.Hour)), EndTime: &now})
	require.NoError(t, err)
	return marks{*current.VersionId, len(logged.Events), len(traced.TraceSummaries), r.told(t)}
}

// checkRotatorStatements takes away one statement of a rotator's policy after
// the other: what it is for fails, and works when it is back.
func (w *world) checkRotatorStatements(t *testing.T, name, secret string, sids ...string) {
	r := rotator{w, "aistudio-" + w.stack + "-rotate-" + name, "aistudio/" + w.stack + "/" + secret}
	whole := w.record.named("aws:iam/rolePolicy:RolePolicy")["rotate-"+name].Inputs["policy"].StringValue()
	// The feed's own function hears of rotations too.
	rule := aws.String("aistudio-" + w.stack + "-secret-changed")
	rules := eventbridge.NewFromConfig(w.cloud.Config(region))
	_, err := rules.DisableRule(t.Context(), &eventbridge.DisableRuleInput{Name: rule})
	require.NoError(t, err)
	defer func() {
		_, err := rules.EnableRule(t.Context(), &eventbridge.EnableRuleInput{Name: rule})
		require.NoError(t, err)
	}()

	var document struct{ Statement []policy.Statement }
	require.NoError(t, json.Unmarshal([]byte(whole), &document))
	var found []string
	for i, removed := range document.Statement {
		found = append(found, removed.Sid)
		rest, err := policy.Document(slices.Delete(slices.Clone(document.Statement), i, i+1)).JSON()
		require.NoError(t, err)
		t.Run(removed.Sid, func(t *testing.T) {
			before := r.look(t)
			r.put(t, rest)
			r.rotate(t)
			without := r.look(t)
			r.put(t, whole)
			switch removed.Sid {
			case "TellFeed":
				assert.Equal(t, before.told, without.told, "it tells the feed without the statement")
				r.rotate(t)
			case "Log":
				assert.Equal(t, before.logged, without.logged, "it logs without the statement")
				r.rotate(t)
			case "Trace":
				assert.Equal(t, before.traced, without.traced, "it is traced without the statement")
				r.rotate(t)
			default:
				assert.Equal(t, before.version, without.version, "it rotates without the statement")
				require.NoError(t, w.cloud.Advance(t.Context(), time.Hour)) // Secrets Manager tries again
			}
			after := r.look(t)
			assert.NotEqual(t, before.version, after.version, "it doesn't rotate")
			assert.Greater(t, after.logged, before.logged, "it doesn't log")
			assert.Greater(t, after.traced, before.traced, "it isn't traced")
			assert.Greater(t, after.told, before.told, "it doesn't tell the feed")
		})
	}
	assert.Equal(t, sids, found)
}

// checkByTag tries what a role may read whose service reads by tag: the tag alone
// lets it, and only what names it as well.
func (w *world) checkByTag(t *testing.T) {
	const role, mine, foreign = "aistudio-dev-orders-reader", "aistudio/dev/orders/database", "aistudio/dev/studio/webhook-signing"
	client := iam.NewFromConfig(w.cloud.Config(region))
	attached, err := client.ListAttachedRolePolicies(t.Context(), &iam.ListAttachedRolePoliciesInput{RoleName: aws.String(role)})
	require.NoError(t, err)
	assert.Empty(t, attached.AttachedPolicies)
	tag := func(service string) {
		_, err := client.TagRole(t.Context(), &iam.TagRoleInput{RoleName: aws.String(role), Tags: []iamtypes.Tag{{Key: aws.String(spec.TagService), Value: &service}}})
		require.NoError(t, err)
	}
	_, err = read(t, w.session(t, role), mine)
	require.NoError(t, err)
	_, err = read(t, w.session(t, role), foreign)
	requireDenied(t, err)

	tag("studio")
	_, err = read(t, w.session(t, role), mine)
	requireDenied(t, err)
	_, err = read(t, w.session(t, role), foreign)
	requireDenied(t, err) // its policy names its readers
	sm := secretsmanager.NewFromConfig(w.cloud.Config(region))
	_, err = sm.DeleteResourcePolicy(t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String(foreign)})
	require.NoError(t, err)
	_, err = read(t, w.session(t, role), foreign)
	require.NoError(t, err, "the secret's policy is what denied it")
}
