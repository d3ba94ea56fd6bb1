package program

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

// newReplicaProvider returns the provider of the second region. A stack's
// configuration reaches only Pulumi's default provider, so what says as whom
// and where to deploy is passed on; all else of it is the environment's.
func newReplicaProvider(ctx *pulumi.Context, region string) (*aws.Provider, error) {
	settings := config.New(ctx, "aws")
	args := &aws.ProviderArgs{Region: pulumi.String(region)}
	if profile := settings.Get("profile"); profile != "" {
		args.Profile = pulumi.String(profile)
	}

	var accounts []string
	if err := settings.GetObject("allowedAccountIds", &accounts); err != nil {
		return nil, fmt.Errorf("aws:allowedAccountIds is no list of accounts: %w", err)
	}
	if len(accounts) > 0 {
		args.AllowedAccountIds = pulumi.ToStringArray(accounts)
	}

	var role struct {
		RoleARN     string `json:"roleArn"`
		SessionName string `json:"sessionName"`
		ExternalID  string `json:"externalId"`
	}
	if err := settings.GetObject("assumeRole", &role); err != nil {
		return nil, fmt.Errorf("aws:assumeRole is no role to take on: %w", err)
	}
	if role.RoleARN != "" {
		args.AssumeRole = aws.ProviderAssumeRoleArgs{
			RoleArn:     pulumi.String(role.RoleARN),
			SessionName: optional(role.SessionName),
			ExternalId:  optional(role.ExternalID),
		}
	}
	return aws.NewProvider(ctx, "replica", args)
}

// optional leaves out an empty text.
func optional(text string) pulumi.StringPtrInput {
	if text == "" {
		return nil
	}
	return pulumi.String(text)
}
