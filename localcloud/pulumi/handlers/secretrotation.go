package handlers

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

type secretRotation struct {
	RotateImmediately bool           `json:"rotateImmediately" prop:"in,writeonly,default=true"`
	RotationEnabled   bool           `json:"rotationEnabled" prop:"out"`
	RotationLambdaARN string         `json:"rotationLambdaArn,omitempty" prop:"in"`
	RotationRules     *rotationRules `json:"rotationRules,omitempty" prop:"in,required"`
	SecretID          string         `json:"secretId" prop:"in,required,replace"`
}

// rotationRules says when a secret rotates: every so many days, or as the
// schedule says. Duration is the length of the window, "3h".
type rotationRules struct {
	AutomaticallyAfterDays int    `json:"automaticallyAfterDays,omitempty" prop:"in"`
	Duration               string `json:"duration,omitempty" prop:"in"`
	ScheduleExpression     string `json:"scheduleExpression,omitempty" prop:"in"`
}

func secretRotationKind() resourceType {
	return kind[secretRotation]{
		token: "aws:secretsmanager/secretRotation:SecretRotation",
		check: func(r *secretRotation) error {
			if rules := r.RotationRules; rules != nil && rules.AutomaticallyAfterDays != 0 && rules.ScheduleExpression != "" {
				return errors.New("rotationRules: automaticallyAfterDays and scheduleExpression exclude each other")
			}
			return nil
		},
		create: func(ctx context.Context, c *clients, r *secretRotation) (string, error) {
			rotated, err := c.secrets.RotateSecret(ctx, r.request(r.SecretID))
			if err != nil {
				return "", err
			}
			return aws.ToString(rotated.ARN), nil
		},
		read: readSecretRotation,
		update: func(ctx context.Context, c *clients, id string, old, r *secretRotation) error {
			if old.RotationEnabled && old.RotationLambdaARN == r.RotationLambdaARN && *old.RotationRules == *r.RotationRules {
				// Only rotateImmediately differs, which is for the next change.
				return nil
			}
			_, err := c.secrets.RotateSecret(ctx, r.request(id))
			return err
		},
		remove: func(ctx context.Context, c *clients, id string, _ *secretRotation) error {
			described, err := describeSecret(ctx, c, id)
			if err != nil {
				return unlessNotFound(err)
			}
			if !aws.ToBool(described.RotationEnabled) {
				return nil
			}
			_, err = c.secrets.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &id})
			return unlessGone[*smtypes.ResourceNotFoundException](err)
		},
	}
}

func (r *secretRotation) request(id string) *secretsmanager.RotateSecretInput {
	rules := &smtypes.RotationRulesType{
		Duration:           optional(r.RotationRules.Duration),
		ScheduleExpression: optional(r.RotationRules.ScheduleExpression),
	}
	if days := r.RotationRules.AutomaticallyAfterDays; days != 0 {
		rules.AutomaticallyAfterDays = aws.Int64(int64(days))
	}
	return &secretsmanager.RotateSecretInput{
		RotateImmediately: aws.Bool(r.RotateImmediately),
		RotationLambdaARN: optional(r.RotationLambdaARN),
		RotationRules:     rules,
		SecretId:          &id,
	}
}

func readSecretRotation(ctx context.Context, c *clients, id string, r *secretRotation) error {
	described, err := describeSecret(ctx, c, id)
	if err != nil {
		return err
	}
	r.SecretID = keepSpelling(r.SecretID, aws.ToString(described.ARN), func(string, string) bool { return true })
	r.RotationEnabled = aws.ToBool(described.RotationEnabled)
	if !r.RotationEnabled {
		// Rotation was cancelled behind Pulumi's back. AWS keeps the last
		// rules; showing them would hide that they no longer hold.
		r.RotationLambdaARN, r.RotationRules = "", nil
		return nil
	}
	r.RotationLambdaARN = aws.ToString(described.RotationLambdaARN)
	r.RotationRules = &rotationRules{}
	if rules := described.RotationRules; rules != nil {
		r.RotationRules.Duration = aws.ToString(rules.Duration)
		r.RotationRules.ScheduleExpression = aws.ToString(rules.ScheduleExpression)
		if rules.ScheduleExpression == nil {
			// With a schedule, AWS computes the days from it.
			r.RotationRules.AutomaticallyAfterDays = int(aws.ToInt64(rules.AutomaticallyAfterDays))
		}
	}
	return nil
}
