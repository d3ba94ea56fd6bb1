package handlers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

type secretPolicy struct {
	BlockPublicPolicy bool   `json:"blockPublicPolicy" prop:"in,writeonly,default=false"`
	Policy            string `json:"policy" prop:"in,required,json"`
	SecretARN         string `json:"secretArn" prop:"in,required,replace"`
}

func secretPolicyKind() resourceType {
	return kind[secretPolicy]{
		token: "aws:secretsmanager/secretPolicy:SecretPolicy",
		create: func(ctx context.Context, c *clients, p *secretPolicy) (string, error) {
			put, err := c.secrets.PutResourcePolicy(ctx, p.request())
			if err != nil {
				return "", err
			}
			return aws.ToString(put.ARN), nil
		},
		read: func(ctx context.Context, c *clients, id string, p *secretPolicy) error {
			// Of a secret in its recovery window AWS doesn't tell the policy.
			if _, err := describeSecret(ctx, c, id); err != nil {
				return err
			}
			policy, err := c.secrets.GetResourcePolicy(ctx, &secretsmanager.GetResourcePolicyInput{SecretId: &id})
			if err != nil {
				return gone[*smtypes.ResourceNotFoundException](err)
			}
			if aws.ToString(policy.ResourcePolicy) == "" {
				return errNotFound
			}
			p.SecretARN = keepSpelling(p.SecretARN, aws.ToString(policy.ARN), func(string, string) bool { return true })
			p.Policy = keepSpelling(p.Policy, aws.ToString(policy.ResourcePolicy), sameJSON)
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, _, p *secretPolicy) error {
			_, err := c.secrets.PutResourcePolicy(ctx, p.request())
			return err
		},
		remove: func(ctx context.Context, c *clients, id string, _ *secretPolicy) error {
			// A secret in its recovery window can't be changed, and needn't be.
			if _, err := describeSecret(ctx, c, id); err != nil {
				return unlessNotFound(err)
			}
			_, err := c.secrets.DeleteResourcePolicy(ctx, &secretsmanager.DeleteResourcePolicyInput{SecretId: &id})
			return unlessGone[*smtypes.ResourceNotFoundException](err)
		},
	}
}

func (p *secretPolicy) request() *secretsmanager.PutResourcePolicyInput {
	return &secretsmanager.PutResourcePolicyInput{
		BlockPublicPolicy: aws.Bool(p.BlockPublicPolicy),
		ResourcePolicy:    &p.Policy,
		SecretId:          &p.SecretARN,
	}
}
