package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// role is an IAM role. MaxSessionDuration is in seconds, 3600 to 43200.
type role struct {
	ARN                 string   `json:"arn" prop:"out"`
	AssumeRolePolicy    string   `json:"assumeRolePolicy" prop:"in,required,json"`
	CreateDate          string   `json:"createDate" prop:"out"`
	Description         string   `json:"description,omitempty" prop:"in"`
	ForceDetachPolicies bool     `json:"forceDetachPolicies" prop:"in,writeonly,default=false"`
	ManagedPolicyARNs   []string `json:"managedPolicyArns" prop:"in,out,set"`
	MaxSessionDuration  int      `json:"maxSessionDuration" prop:"in,default=3600"`
	Name                string   `json:"name" prop:"in,replace,auto=64"`
	NamePrefix          string   `json:"namePrefix,omitempty" prop:"in,replace,writeonly"`
	Path                string   `json:"path" prop:"in,replace,default=\"/\""`
	PermissionsBoundary string   `json:"permissionsBoundary,omitempty" prop:"in"`
	UniqueID            string   `json:"uniqueId" prop:"out"`
	tagged
}

func roleKind() resourceType {
	return kind[role]{
		token: "aws:iam/role:Role",
		check: func(r *role) error {
			if s := r.MaxSessionDuration; s < 3600 || s > 43200 {
				return fmt.Errorf("maxSessionDuration is %d; IAM takes 3600 to 43200 seconds", s)
			}
			return nil
		},
		create: createRole,
		read:   readRole,
		update: updateRole,
		remove: removeRole,
	}
}

func iamTag(key, value string) iamtypes.Tag {
	return iamtypes.Tag{Key: &key, Value: &value}
}

func iamKeyValue(t iamtypes.Tag) (key, value *string) { return t.Key, t.Value }

func createRole(ctx context.Context, c *clients, r *role) (string, error) {
	name, err := nameOrPrefix(r.Name, r.NamePrefix)
	if err != nil {
		return "", err
	}
	_, err = c.iam.CreateRole(ctx, &iam.CreateRoleInput{
		AssumeRolePolicyDocument: &r.AssumeRolePolicy,
		Description:              optional(r.Description),
		MaxSessionDuration:       aws.Int32(int32(r.MaxSessionDuration)),
		Path:                     &r.Path,
		PermissionsBoundary:      optional(r.PermissionsBoundary),
		RoleName:                 &name,
		Tags:                     tagList(r.Tags, iamTag),
	})
	if err != nil {
		return "", err
	}
	return name, updateManagedPolicies(ctx, c, name, nil, r.ManagedPolicyARNs)
}

func readRole(ctx context.Context, c *clients, id string, r *role) error {
	got, err := c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &id})
	if err != nil {
		return gone[*iamtypes.NoSuchEntityException](err)
	}
	trust, err := document(got.Role.AssumeRolePolicyDocument)
	if err != nil {
		return err
	}
	attached, err := attachedPolicies(ctx, c, id)
	if err != nil {
		return err
	}
	r.ARN = aws.ToString(got.Role.Arn)
	r.AssumeRolePolicy = keepSpelling(r.AssumeRolePolicy, trust, sameJSON)
	r.CreateDate = aws.ToTime(got.Role.CreateDate).UTC().Format(time.RFC3339)
	r.Description = aws.ToString(got.Role.Description)
	r.ManagedPolicyARNs = attached
	r.MaxSessionDuration = int(aws.ToInt32(got.Role.MaxSessionDuration))
	r.Name = aws.ToString(got.Role.RoleName)
	r.Path = aws.ToString(got.Role.Path)
	r.PermissionsBoundary = ""
	if boundary := got.Role.PermissionsBoundary; boundary != nil {
		r.PermissionsBoundary = aws.ToString(boundary.PermissionsBoundaryArn)
	}
	r.UniqueID = aws.ToString(got.Role.RoleId)
	r.setTags(tagMap(got.Role.Tags, iamKeyValue))
	return nil
}

func updateRole(ctx context.Context, c *clients, id string, old, r *role) error {
	if !sameJSON(old.AssumeRolePolicy, r.AssumeRolePolicy) {
		if _, err := c.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{PolicyDocument: &r.AssumeRolePolicy, RoleName: &id}); err != nil {
			return err
		}
	}
	if old.Description != r.Description || old.MaxSessionDuration != r.MaxSessionDuration {
		if _, err := c.iam.UpdateRole(ctx, &iam.UpdateRoleInput{
			Description:        aws.String(r.Description),
			MaxSessionDuration: aws.Int32(int32(r.MaxSessionDuration)),
			RoleName:           &id,
		}); err != nil {
			return err
		}
	}
	if err := updateBoundary(ctx, c, id, old.PermissionsBoundary, r.PermissionsBoundary); err != nil {
		return err
	}
	if err := updateManagedPolicies(ctx, c, id, old.ManagedPolicyARNs, r.ManagedPolicyARNs); err != nil {
		return err
	}
	put, remove := tagChanges(old.Tags, r.Tags)
	if len(remove) > 0 {
		if _, err := c.iam.UntagRole(ctx, &iam.UntagRoleInput{RoleName: &id, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: &id, Tags: tagList(put, iamTag)}); err != nil {
			return err
		}
	}
	return nil
}

func updateBoundary(ctx context.Context, c *clients, id, old, boundary string) error {
	var err error
	switch {
	case old == boundary:
	case boundary == "":
		_, err = c.iam.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &id})
	default:
		_, err = c.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{PermissionsBoundary: &boundary, RoleName: &id})
	}
	return err
}

func updateManagedPolicies(ctx context.Context, c *clients, id string, old, arns []string) error {
	for _, arn := range arns {
		if !slices.Contains(old, arn) {
			if _, err := c.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{PolicyArn: &arn, RoleName: &id}); err != nil {
				return err
			}
		}
	}
	for _, arn := range old {
		if !slices.Contains(arns, arn) {
			if err := detachPolicy(ctx, c, id, arn); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeRole deletes the role. IAM refuses that while policies are on it; with
// ForceDetachPolicies they go first.
func removeRole(ctx context.Context, c *clients, id string, r *role) error {
	if r.ForceDetachPolicies {
		if err := stripRole(ctx, c, id); err != nil {
			return unlessGone[*iamtypes.NoSuchEntityException](err)
		}
	}
	_, err := c.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &id})
	return unlessGone[*iamtypes.NoSuchEntityException](err)
}

func stripRole(ctx context.Context, c *clients, id string) error {
	attached, err := attachedPolicies(ctx, c, id)
	if err != nil {
		return err
	}
	if err := updateManagedPolicies(ctx, c, id, attached, nil); err != nil {
		return err
	}
	var inline []string
	pages := iam.NewListRolePoliciesPaginator(c.iam, &iam.ListRolePoliciesInput{RoleName: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		inline = append(inline, page.PolicyNames...)
	}
	for _, name := range inline {
		if _, err := c.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{PolicyName: &name, RoleName: &id}); err != nil {
			return err
		}
	}
	return nil
}

// attachedPolicies lists the ARNs of the managed policies on a role.
func attachedPolicies(ctx context.Context, c *clients, role string) ([]string, error) {
	arns := []string{}
	pages := iam.NewListAttachedRolePoliciesPaginator(c.iam, &iam.ListAttachedRolePoliciesInput{RoleName: &role})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, policy := range page.AttachedPolicies {
			arns = append(arns, aws.ToString(policy.PolicyArn))
		}
	}
	slices.Sort(arns)
	return arns, nil
}

func detachPolicy(ctx context.Context, c *clients, role, arn string) error {
	_, err := c.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{PolicyArn: &arn, RoleName: &role})
	return unlessGone[*iamtypes.NoSuchEntityException](err)
}

// document is a policy document as IAM's answers hold it: URL-encoded (RFC 3986).
func document(encoded *string) (string, error) {
	text, err := url.PathUnescape(aws.ToString(encoded))
	if err != nil {
		return "", errors.New("IAM's answer holds a policy document that isn't URL-encoded")
	}
	return text, nil
}
