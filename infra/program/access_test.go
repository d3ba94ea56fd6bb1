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
	"github.com/aws/aws-sdk-go-v2/service/iam"
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

// checkRotatorStatements takes away one statement of the rotator's policy after
// the other: what it is for fails, and works when it is back.
func (w *world) checkRotatorStatements(t *testing.T) {
	const role, name = "aistudio-dev-rotate-database", "aistudio/dev/orders/database"
	client := iam.NewFromConfig(w.cloud.Config(region))
	secrets := secretsmanager.NewFromConfig(w.cloud.Config(region))
	whole := w.record.named("aws:iam/rolePolicy:RolePolicy")["rotate-database"].Inputs["policy"].StringValue()
	put := func(document string) {
		_, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String(role), PolicyName: aws.String("rotate"), PolicyDocument: &document})
		require.NoError(t, err)
	}
	current := func() string {
		output, err := secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
		require.NoError(t, err)
		return *output.VersionId
	}
	logged := func() int {
		output, err := cloudwatchlogs.NewFromConfig(w.cloud.Config(region)).FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/" + role)})
		require.NoError(t, err)
		return len(output.Events)
	}
	traced := func() int {
		output, err := xray.NewFromConfig(w.cloud.Config(region)).GetTraceSummaries(t.Context(), &xray.GetTraceSummariesInput{
			StartTime: aws.Time(w.cloud.Clock().Now().Add(-365 * 24 * time.Hour)), EndTime: aws.Time(w.cloud.Clock().Now()),
		})
		require.NoError(t, err)
		return len(output.TraceSummaries)
	}
	rotate := func() {
		_, err := secrets.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String(name)})
		require.NoError(t, err)
		require.NoError(t, w.cloud.Settle(t.Context()))
	}

	var document struct{ Statement []policy.Statement }
	require.NoError(t, json.Unmarshal([]byte(whole), &document))
	var sids []string
	for i, removed := range document.Statement {
		sids = append(sids, removed.Sid)
		rest, err := policy.Document(slices.Delete(slices.Clone(document.Statement), i, i+1)).JSON()
		require.NoError(t, err)
		t.Run(removed.Sid, func(t *testing.T) {
			version, events, traces := current(), logged(), traced()
			put(rest)
			rotate()
			switch removed.Sid {
			case "Rotate", "Encrypt", "ReadMasters":
				assert.Equal(t, version, current(), "it rotates without the statement")
				put(whole)
				require.NoError(t, w.cloud.Advance(t.Context(), time.Hour)) // Secrets Manager tries again
			case "Log":
				assert.Equal(t, events, logged(), "it logs without the statement")
				put(whole)
				version = current()
				rotate()
			case "Trace":
				assert.Equal(t, traces, traced(), "it is traced without the statement")
				put(whole)
				version = current()
				rotate()
			}
			put(whole)
			assert.NotEqual(t, version, current(), "it doesn't rotate")
			assert.Greater(t, logged(), events, "it doesn't log")
			assert.Greater(t, traced(), traces, "it isn't traced")
		})
	}
	assert.Equal(t, []string{"Rotate", "Encrypt", "Log", "Trace", "ReadMasters"}, sids)
}
