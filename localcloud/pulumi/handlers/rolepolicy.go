package handlers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// rolePolicy is an inline policy of a role; its ID is "<role>:<name>".
type rolePolicy struct {
	Name       string `json:"name" prop:"in,replace,auto=128"`
	NamePrefix string `json:"namePrefix,omitempty" prop:"in,replace,writeonly"`
	Policy     string `json:"policy" prop:"in,required,json"`
	Role       string `json:"role" prop:"in,required,replace"`
}

func rolePolicyKind() resourceType {
	return kind[rolePolicy]{
		token: "aws:iam/rolePolicy:RolePolicy",
		create: func(ctx context.Context, c *clients, p *rolePolicy) (string, error) {
			name, err := nameOrPrefix(p.Name, p.NamePrefix)
			if err != nil {
				return "", err
			}
			_, err = c.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{PolicyDocument: &p.Policy, PolicyName: &name, RoleName: &p.Role})
			if err != nil {
				return "", err
			}
			return p.Role + ":" + name, nil
		},
		read: func(ctx context.Context, c *clients, id string, p *rolePolicy) error {
			role, name, err := splitID(id, ":")
			if err != nil {
				return err
			}
			got, err := c.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{PolicyName: &name, RoleName: &role})
			if err != nil {
				return gone[*iamtypes.NoSuchEntityException](err)
			}
			text, err := document(got.PolicyDocument)
			if err != nil {
				return err
			}
			p.Name, p.Role = name, role
			p.Policy = keepSpelling(p.Policy, text, sameJSON)
			return nil
		},
		update: func(ctx context.Context, c *clients, id string, _, p *rolePolicy) error {
			role, name, err := splitID(id, ":")
			if err != nil {
				return err
			}
			_, err = c.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{PolicyDocument: &p.Policy, PolicyName: &name, RoleName: &role})
			return err
		},
		remove: func(ctx context.Context, c *clients, id string, _ *rolePolicy) error {
			role, name, err := splitID(id, ":")
			if err != nil {
				return err
			}
			_, err = c.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{PolicyName: &name, RoleName: &role})
			return unlessGone[*iamtypes.NoSuchEntityException](err)
		},
	}
}

// attachment puts a managed policy on a role; its ID is "<role>/<policy ARN>".
type attachment struct {
	PolicyARN string `json:"policyArn" prop:"in,required,replace"`
	Role      string `json:"role" prop:"in,required,replace"`
}

func attachmentKind() resourceType {
	return kind[attachment]{
		token: "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
		create: func(ctx context.Context, c *clients, a *attachment) (string, error) {
			_, err := c.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{PolicyArn: &a.PolicyARN, RoleName: &a.Role})
			if err != nil {
				return "", err
			}
			return a.Role + "/" + a.PolicyARN, nil
		},
		read: func(ctx context.Context, c *clients, id string, a *attachment) error {
			role, arn, err := splitID(id, "/")
			if err != nil {
				return err
			}
			attached, err := attachedPolicies(ctx, c, role)
			if err != nil {
				return gone[*iamtypes.NoSuchEntityException](err)
			}
			if !slices.Contains(attached, arn) {
				return errNotFound
			}
			a.Role, a.PolicyARN = role, arn
			return nil
		},
		remove: func(ctx context.Context, c *clients, id string, _ *attachment) error {
			role, arn, err := splitID(id, "/")
			if err != nil {
				return err
			}
			return detachPolicy(ctx, c, role, arn)
		},
	}
}

// splitID takes an ID of two parts apart.
func splitID(id, separator string) (first, second string, err error) {
	first, second, ok := strings.Cut(id, separator)
	if !ok || first == "" || second == "" {
		return "", "", fmt.Errorf("ID %q doesn't have the form <role>%s<policy>", id, separator)
	}
	return first, second, nil
}
