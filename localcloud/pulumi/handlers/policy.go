package handlers

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// policy is a managed policy of the account.
type policy struct {
	ARN             string `json:"arn" prop:"out"`
	AttachmentCount int    `json:"attachmentCount" prop:"out"`
	Description     string `json:"description,omitempty" prop:"in,replace"`
	Name            string `json:"name" prop:"in,replace,auto=128"`
	NamePrefix      string `json:"namePrefix,omitempty" prop:"in,replace,writeonly"`
	Path            string `json:"path" prop:"in,replace,default=\"/\""`
	Policy          string `json:"policy" prop:"in,required,json"`
	PolicyID        string `json:"policyId" prop:"out"`
	tagged
}

func policyKind() resourceType {
	return kind[policy]{
		token: "aws:iam/policy:Policy",
		create: func(ctx context.Context, c *clients, p *policy) (string, error) {
			name, err := nameOrPrefix(p.Name, p.NamePrefix)
			if err != nil {
				return "", err
			}
			created, err := c.iam.CreatePolicy(ctx, &iam.CreatePolicyInput{
				Description:    optional(p.Description),
				Path:           &p.Path,
				PolicyDocument: &p.Policy,
				PolicyName:     &name,
				Tags:           tagList(p.Tags, iamTag),
			})
			if err != nil {
				return "", err
			}
			return aws.ToString(created.Policy.Arn), nil
		},
		read:   readPolicy,
		update: updatePolicy,
		remove: removePolicy,
	}
}

func readPolicy(ctx context.Context, c *clients, id string, p *policy) error {
	got, err := c.iam.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &id})
	if err != nil {
		return gone[*iamtypes.NoSuchEntityException](err)
	}
	version, err := c.iam.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: &id, VersionId: got.Policy.DefaultVersionId})
	if err != nil {
		return err
	}
	text, err := document(version.PolicyVersion.Document)
	if err != nil {
		return err
	}
	p.ARN = aws.ToString(got.Policy.Arn)
	p.AttachmentCount = int(aws.ToInt32(got.Policy.AttachmentCount))
	p.Description = aws.ToString(got.Policy.Description)
	p.Name = aws.ToString(got.Policy.PolicyName)
	p.Path = aws.ToString(got.Policy.Path)
	p.Policy = keepSpelling(p.Policy, text, sameJSON)
	p.PolicyID = aws.ToString(got.Policy.PolicyId)
	p.setTags(tagMap(got.Policy.Tags, iamKeyValue))
	return nil
}

// maxPolicyVersions is how many versions IAM keeps of a managed policy.
const maxPolicyVersions = 5

func updatePolicy(ctx context.Context, c *clients, id string, old, p *policy) error {
	if !sameJSON(old.Policy, p.Policy) {
		others, err := otherVersions(ctx, c, id)
		if err != nil {
			return err
		}
		if len(others) >= maxPolicyVersions-1 {
			// IAM lists the newest first.
			if err := deleteVersion(ctx, c, id, others[len(others)-1]); err != nil {
				return err
			}
		}
		if _, err := c.iam.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &id, PolicyDocument: &p.Policy, SetAsDefault: true}); err != nil {
			return err
		}
	}
	put, remove := tagChanges(old.Tags, p.Tags)
	if len(remove) > 0 {
		if _, err := c.iam.UntagPolicy(ctx, &iam.UntagPolicyInput{PolicyArn: &id, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.iam.TagPolicy(ctx, &iam.TagPolicyInput{PolicyArn: &id, Tags: tagList(put, iamTag)}); err != nil {
			return err
		}
	}
	return nil
}

func removePolicy(ctx context.Context, c *clients, id string, _ *policy) error {
	others, err := otherVersions(ctx, c, id)
	if err != nil {
		return unlessNotFound(gone[*iamtypes.NoSuchEntityException](err))
	}
	var failed error
	for _, version := range others {
		failed = errors.Join(failed, deleteVersion(ctx, c, id, version))
	}
	if failed != nil {
		return failed
	}
	_, err = c.iam.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: &id})
	return unlessGone[*iamtypes.NoSuchEntityException](err)
}

// otherVersions lists the versions of a policy that aren't its default.
func otherVersions(ctx context.Context, c *clients, id string) ([]string, error) {
	var versions []string
	pages := iam.NewListPolicyVersionsPaginator(c.iam, &iam.ListPolicyVersionsInput{PolicyArn: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, version := range page.Versions {
			if !version.IsDefaultVersion {
				versions = append(versions, aws.ToString(version.VersionId))
			}
		}
	}
	return versions, nil
}

func deleteVersion(ctx context.Context, c *clients, id, version string) error {
	_, err := c.iam.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: &id, VersionId: &version})
	return unlessGone[*iamtypes.NoSuchEntityException](err)
}
