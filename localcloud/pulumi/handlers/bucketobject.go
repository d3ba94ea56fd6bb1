package handlers

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// bucketObject is an object whose content the program gives as text; its ID is
// its bucket and key, with a slash between. The content isn't read back, as
// pulumi-aws doesn't.
type bucketObject struct {
	ARN          string `json:"arn" prop:"out"`
	Bucket       string `json:"bucket" prop:"in,required,replace"`
	Content      string `json:"content,omitempty" prop:"in,writeonly"`
	ContentType  string `json:"contentType" prop:"in,out"`
	ETag         string `json:"etag" prop:"in,out"`
	ForceDestroy bool   `json:"forceDestroy" prop:"in,writeonly,default=false"`
	Key          string `json:"key" prop:"in,required,replace"`
	VersionID    string `json:"versionId" prop:"out"`
}

func bucketObjectKind() resourceType {
	put := func(ctx context.Context, c *clients, o *bucketObject) error {
		_, err := c.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &o.Bucket, Key: &o.Key, Body: strings.NewReader(o.Content), ContentType: optional(o.ContentType),
		})
		return err
	}
	return kind[bucketObject]{
		token: "aws:s3/bucketObjectv2:BucketObjectv2",
		create: func(ctx context.Context, c *clients, o *bucketObject) (string, error) {
			if err := put(ctx, c, o); err != nil {
				return "", err
			}
			return o.Bucket + "/" + o.Key, nil
		},
		read: func(ctx context.Context, c *clients, id string, o *bucketObject) error {
			o.Bucket, o.Key, _ = strings.Cut(id, "/")
			got, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.Bucket, Key: &o.Key})
			if err != nil {
				return s3Gone(err, "NotFound", "NoSuchKey", "NoSuchBucket")
			}
			o.ARN = "arn:" + c.partition() + ":s3:::" + id
			o.ContentType, o.ETag, o.VersionID = aws.ToString(got.ContentType), strings.Trim(aws.ToString(got.ETag), `"`), aws.ToString(got.VersionId)
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, old, o *bucketObject) error {
			if old.Content == o.Content && old.ContentType == o.ContentType {
				return nil
			}
			return put(ctx, c, o)
		},
		remove: func(ctx context.Context, c *clients, _ string, o *bucketObject) error {
			return unlessNotFound(s3Gone(removeVersions(ctx, c, o), "NoSuchBucket"))
		},
	}
}

// removeVersions deletes all versions of an object, one by one. What object
// lock keeps stays, unless forceDestroy may pass by its governance.
func removeVersions(ctx context.Context, c *clients, o *bucketObject) error {
	pages := s3.NewListObjectVersionsPaginator(c.s3, &s3.ListObjectVersionsInput{Bucket: &o.Bucket, Prefix: &o.Key})
	var errs []error
	remove := func(key, version *string) {
		if aws.ToString(key) != o.Key {
			return
		}
		in := &s3.DeleteObjectInput{Bucket: &o.Bucket, Key: key, VersionId: version}
		if o.ForceDestroy {
			in.BypassGovernanceRetention = aws.Bool(true)
		}
		_, err := c.s3.DeleteObject(ctx, in)
		errs = append(errs, err)
	}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		for _, v := range page.Versions {
			remove(v.Key, v.VersionId)
		}
		for _, m := range page.DeleteMarkers {
			remove(m.Key, m.VersionId)
		}
	}
	return errors.Join(errs...)
}
