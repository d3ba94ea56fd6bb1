package audittrail

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

// deployBucket registers the bucket of log files and all that guards it. The
// second result is there when the bucket is ready for CloudTrail.
func (t *AuditTrail) deployBucket(ctx *pulumi.Context, name string, args Args) (*s3.BucketV2, pulumi.Resource, error) {
	bucket, err := s3.NewBucketV2(ctx, name, &s3.BucketV2Args{
		Bucket:       pulumi.String(BucketName(args.Prefix, args.AccountID)),
		ForceDestroy: pulumi.Bool(!args.Protect),
		Tags:         pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(t), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(args.Protect))
	if err != nil {
		return nil, nil, err
	}
	document := bucket.Arn.ApplyT(func(arn string) (string, error) { return bucketPolicy(args, arn).JSON() }).(pulumi.StringOutput)

	// S3 takes changes of a bucket one at a time and refuses what comes at once
	// (S3 API reference, error OperationAborted), so each part waits for the one
	// before.
	var before pulumi.Resource = bucket
	for _, part := range []func(...pulumi.ResourceOption) (pulumi.Resource, error){
		func(opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
			return s3.NewBucketPublicAccessBlock(ctx, name, &s3.BucketPublicAccessBlockArgs{
				Bucket:                bucket.Bucket,
				BlockPublicAcls:       pulumi.Bool(true),
				BlockPublicPolicy:     pulumi.Bool(true),
				IgnorePublicAcls:      pulumi.Bool(true),
				RestrictPublicBuckets: pulumi.Bool(true),
			}, opts...)
		},
		func(opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
			return s3.NewBucketVersioningV2(ctx, name, &s3.BucketVersioningV2Args{
				Bucket:                  bucket.Bucket,
				VersioningConfiguration: s3.BucketVersioningV2VersioningConfigurationArgs{Status: pulumi.String("Enabled")},
			}, opts...)
		},
		func(opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
			// Of what the trail's key doesn't encrypt: the digests of log files
			// (CloudTrail user guide, "Encrypting CloudTrail log files, digest
			// files, and event data stores with AWS KMS keys").
			return s3.NewBucketServerSideEncryptionConfigurationV2(ctx, name, &s3.BucketServerSideEncryptionConfigurationV2Args{
				Bucket: bucket.Bucket,
				Rules: s3.BucketServerSideEncryptionConfigurationV2RuleArray{s3.BucketServerSideEncryptionConfigurationV2RuleArgs{
					ApplyServerSideEncryptionByDefault: s3.BucketServerSideEncryptionConfigurationV2RuleApplyServerSideEncryptionByDefaultArgs{
						SseAlgorithm: pulumi.String("AES256"),
					},
				}},
			}, opts...)
		},
		func(opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
			days := pulumi.Int(args.RetentionDays)
			return s3.NewBucketLifecycleConfigurationV2(ctx, name, &s3.BucketLifecycleConfigurationV2Args{
				Bucket: bucket.Bucket,
				Rules: s3.BucketLifecycleConfigurationV2RuleArray{
					s3.BucketLifecycleConfigurationV2RuleArgs{
						Id:                             pulumi.String("log-files"),
						Status:                         pulumi.String("Enabled"),
						Filter:                         s3.BucketLifecycleConfigurationV2RuleFilterArgs{}, // all
						Expiration:                     s3.BucketLifecycleConfigurationV2RuleExpirationArgs{Days: days},
						NoncurrentVersionExpiration:    s3.BucketLifecycleConfigurationV2RuleNoncurrentVersionExpirationArgs{NoncurrentDays: days},
						AbortIncompleteMultipartUpload: s3.BucketLifecycleConfigurationV2RuleAbortIncompleteMultipartUploadArgs{DaysAfterInitiation: pulumi.Int(7)},
					},
				},
			}, opts...)
		},
		func(opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
			return s3.NewBucketPolicy(ctx, name, &s3.BucketPolicyArgs{Bucket: bucket.Bucket, Policy: document}, opts...)
		},
	} {
		if before, err = part(pulumi.Parent(t), pulumi.RetainOnDelete(args.Protect), pulumi.DependsOn([]pulumi.Resource{before})); err != nil {
			return nil, nil, err
		}
	}
	return bucket, before, nil
}

// bucketPolicy lets the trail, and no other of CloudTrail's, deliver (CloudTrail
// user guide, "Amazon S3 bucket policy for CloudTrail"). Where the trail is
// protected nobody deletes log files but S3 itself, when their time is over.
func bucketPolicy(args Args, arn string) policy.Document {
	withoutTLS := policy.WithoutTLS("s3:*", arn)
	withoutTLS.Resource = append(withoutTLS.Resource, arn+"/*")
	document := policy.Document{
		{
			Sid:       "LookAtAccess",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{service}},
			Action:    []string{"s3:GetBucketAcl"},
			Resource:  []string{arn},
			Condition: policy.Condition{"StringEquals": {"aws:SourceArn": {args.trailARN()}}},
		},
		{
			Sid:       "DeliverLogFiles",
			Effect:    policy.Allow,
			Principal: &policy.Principal{Service: []string{service}},
			Action:    []string{"s3:PutObject"},
			Resource:  []string{arn + "/AWSLogs/" + args.AccountID + "/*"},
			Condition: policy.Condition{"StringEquals": {
				"aws:SourceArn": {args.trailARN()},
				"s3:x-amz-acl":  {"bucket-owner-full-control"},
			}},
		},
		withoutTLS,
	}
	if args.Protect {
		document = append(document, policy.Statement{
			Sid:       "KeepLogFiles",
			Effect:    policy.Deny,
			Principal: &policy.Principal{AWS: []string{policy.Everyone}},
			Action:    []string{"s3:DeleteObject", "s3:DeleteObjectVersion"},
			Resource:  []string{arn + "/*"},
		})
	}
	return document
}
