package handlers

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// bucket is an S3 bucket; its ID is its name. What else a bucket has are
// resources of their own: see bucketparts.go.
type bucket struct {
	ARN                      string `json:"arn" prop:"out"`
	Bucket                   string `json:"bucket" prop:"in,replace,auto=63"`
	BucketDomainName         string `json:"bucketDomainName" prop:"out"`
	BucketPrefix             string `json:"bucketPrefix" prop:"in,out,replace,writeonly"`
	BucketRegionalDomainName string `json:"bucketRegionalDomainName" prop:"out"`
	ForceDestroy             bool   `json:"forceDestroy" prop:"in,writeonly,default=false"`
	HostedZoneID             string `json:"hostedZoneId" prop:"out"`
	ObjectLockEnabled        bool   `json:"objectLockEnabled" prop:"in,out,replace"`
	Region                   string `json:"region" prop:"out"`
	tagged
}

func bucketKind() resourceType {
	return kind[bucket]{
		token:  "aws:s3/bucketV2:BucketV2",
		create: createBucket,
		read:   readBucket,
		update: func(ctx context.Context, c *clients, id string, old, b *bucket) error {
			if put, remove := tagChanges(old.Tags, b.Tags); len(put) == 0 && len(remove) == 0 {
				return nil
			}
			return putBucketTags(ctx, c, id, b.Tags)
		},
		remove: func(ctx context.Context, c *clients, id string, b *bucket) error {
			if b.ForceDestroy {
				if err := emptyBucket(ctx, c, id); err != nil {
					return unlessNotFound(s3Gone(err, "NoSuchBucket"))
				}
			}
			_, err := c.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &id})
			return unlessNotFound(s3Gone(err, "NoSuchBucket"))
		},
	}
}

// s3Gone turns an error of one of S3's codes, by which it says that it doesn't
// have a resource, into errNotFound. The SDK has no types for most of them.
func s3Gone(err error, codes ...string) error {
	if e, ok := errors.AsType[smithy.APIError](err); ok && slices.Contains(codes, e.ErrorCode()) {
		return errNotFound
	}
	return err
}

func createBucket(ctx context.Context, c *clients, b *bucket) (string, error) {
	name, err := nameOrPrefix(b.Bucket, b.BucketPrefix)
	if err != nil {
		return "", err
	}
	in := &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: &b.ObjectLockEnabled}
	if c.config.Region != "us-east-1" {
		in.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(c.config.Region)}
	}
	if _, err := c.s3.CreateBucket(ctx, in); err != nil {
		return "", err
	}
	if len(b.Tags) == 0 {
		return name, nil
	}
	return name, putBucketTags(ctx, c, name, b.Tags)
}

func putBucketTags(ctx context.Context, c *clients, name string, tags map[string]string) error {
	if len(tags) == 0 {
		_, err := c.s3.DeleteBucketTagging(ctx, &s3.DeleteBucketTaggingInput{Bucket: &name})
		return err
	}
	_, err := c.s3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{
		Bucket:  &name,
		Tagging: &s3types.Tagging{TagSet: tagList(tags, func(key, value string) s3types.Tag { return s3types.Tag{Key: &key, Value: &value} })},
	})
	return err
}

func readBucket(ctx context.Context, c *clients, id string, b *bucket) error {
	if _, err := c.s3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &id}); err != nil {
		return s3Gone(err, "NotFound", "NoSuchBucket")
	}
	b.ARN, b.Bucket, b.Region = "arn:"+c.partition()+":s3:::"+id, id, c.config.Region
	b.BucketDomainName = id + ".s3.amazonaws.com"
	b.BucketRegionalDomainName = id + ".s3." + c.config.Region + ".amazonaws.com"
	_, err := c.s3.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &id})
	err = s3Gone(err, "ObjectLockConfigurationNotFoundError")
	b.ObjectLockEnabled = err == nil
	if unlessNotFound(err) != nil {
		return err
	}
	tags, err := c.s3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &id})
	switch err = s3Gone(err, "NoSuchTagSet"); {
	case errors.Is(err, errNotFound):
		b.setTags(nil)
	case err != nil:
		return err
	default:
		b.setTags(tagMap(tags.TagSet, func(tag s3types.Tag) (key, value *string) { return tag.Key, tag.Value }))
	}
	return nil
}

// emptyBucket deletes all versions of all objects.
func emptyBucket(ctx context.Context, c *clients, name string) error {
	pages := s3.NewListObjectVersionsPaginator(c.s3, &s3.ListObjectVersionsInput{Bucket: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		var all []s3types.ObjectIdentifier
		for _, v := range page.Versions {
			all = append(all, s3types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, m := range page.DeleteMarkers {
			all = append(all, s3types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
		if len(all) == 0 {
			continue
		}
		out, err := c.s3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &name, Delete: &s3types.Delete{Objects: all, Quiet: aws.Bool(true)}})
		if err != nil {
			return err
		}
		if len(out.Errors) > 0 {
			return &smithy.GenericAPIError{Code: aws.ToString(out.Errors[0].Code), Message: aws.ToString(out.Errors[0].Message)}
		}
	}
	return nil
}
