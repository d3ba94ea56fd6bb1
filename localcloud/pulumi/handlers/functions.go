package handlers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// invoker answers one of Pulumi's functions.
type invoker func(ctx context.Context, c *clients, args map[string]any) (map[string]any, error)

// invokers are the functions that have a handler, by token.
func invokers() map[string]invoker {
	return map[string]invoker{
		"aws:index/getCallerIdentity:getCallerIdentity": getCallerIdentity,
		"aws:index/getPartition:getPartition":           getPartition,
		"aws:index/getRegion:getRegion":                 getRegion,
		"aws:secretsmanager/getSecret:getSecret":        getSecret,
	}
}

// Functions lists the tokens of the functions that have a handler, sorted.
func (p *Provider) Functions() []string {
	return slices.Sorted(maps.Keys(invokers()))
}

// Invoke answers one of Pulumi's functions, "aws:index/getRegion:getRegion".
func (p *Provider) Invoke(ctx context.Context, token string, args resource.PropertyMap) (resource.PropertyMap, error) {
	answer, ok := invokers()[token]
	if !ok {
		return nil, &UnsupportedError{Token: token}
	}
	result, err := answer(ctx, p.clients, plainMap(args))
	if err != nil {
		return nil, fmt.Errorf("invoke %s in %s: %w", token, p.Region(), err)
	}
	return resource.NewPropertyMapFromMap(result), nil
}

// accountID is the account of the provider's credentials.
func (c *clients) accountID(ctx context.Context) (string, error) {
	identity, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return aws.ToString(identity.Account), nil
}

func getCallerIdentity(ctx context.Context, c *clients, _ map[string]any) (map[string]any, error) {
	identity, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"accountId": aws.ToString(identity.Account),
		"arn":       aws.ToString(identity.Arn),
		"id":        aws.ToString(identity.Account),
		"userId":    aws.ToString(identity.UserId),
	}, nil
}

func getPartition(_ context.Context, c *clients, _ map[string]any) (map[string]any, error) {
	suffix, reverse := "amazonaws.com", "com.amazonaws"
	if c.partition() == "aws-cn" {
		suffix, reverse = "amazonaws.com.cn", "cn.com.amazonaws"
	}
	return map[string]any{
		"dnsSuffix":        suffix,
		"id":               c.partition(),
		"partition":        c.partition(),
		"reverseDnsPrefix": reverse,
	}, nil
}

func getRegion(_ context.Context, c *clients, args map[string]any) (map[string]any, error) {
	for name := range args {
		return nil, fmt.Errorf("the argument %s has no handler in the local cloud", name)
	}
	return map[string]any{
		"description": c.config.Region,
		"endpoint":    "ec2." + c.config.Region + ".amazonaws.com",
		"id":          c.config.Region,
		"name":        c.config.Region,
	}, nil
}

// getSecret tells everything about a secret but its value.
func getSecret(ctx context.Context, c *clients, args map[string]any) (map[string]any, error) {
	id, _ := args["arn"].(string)
	if id == "" {
		id, _ = args["name"].(string)
	}
	if id == "" {
		return nil, errors.New("give the secret's arn or name")
	}
	described, err := describeSecret(ctx, c, id)
	if errors.Is(err, errNotFound) {
		return nil, fmt.Errorf("no secret %q", id)
	}
	if err != nil {
		return nil, err
	}
	var s secret
	if err := readSecret(ctx, c, id, &s); err != nil {
		return nil, err
	}
	tags := map[string]any{}
	for key, value := range s.Tags {
		tags[key] = value
	}
	return map[string]any{
		"arn":             s.ARN,
		"createdDate":     aws.ToTime(described.CreatedDate).UTC().Format(time.RFC3339),
		"description":     s.Description,
		"id":              s.ARN,
		"kmsKeyId":        s.KMSKeyID,
		"lastChangedDate": aws.ToTime(described.LastChangedDate).UTC().Format(time.RFC3339),
		"name":            s.Name,
		"policy":          s.Policy,
		"tags":            tags,
	}, nil
}
