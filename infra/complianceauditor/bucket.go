package complianceauditor

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

// deployBucket registers the bucket of reports, state and configuration, all
// that guards it, and the configuration itself.
func (c *ComplianceAuditor) deployBucket(ctx *pulumi.Context, name string, args Args) error {
	lasting := args.Protect || args.Reports.Lock != ""
	bucket, err := s3.NewBucketV2(ctx, name, &s3.BucketV2Args{
		Bucket:            pulumi.String(BucketName(args.Prefix, args.AccountID)),
		ObjectLockEnabled: pulumi.Bool(args.Reports.Lock != ""),
		ForceDestroy:      pulumi.Bool(!lasting),
		Tags:              pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(c), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(lasting))
	if err != nil {
		return err
	}
	c.BucketName, c.bucketARN = bucket.Bucket, bucket.Arn

	// S3 takes changes of a bucket one at a time and refuses what comes at once
	// (S3 API reference, error OperationAborted), so each part waits for the one
	// before.
	var before pulumi.Resource = bucket
	for _, part := range []func(*pulumi.Context, string, Args, ...pulumi.ResourceOption) (pulumi.Resource, error){
		c.blockPublicAccess, c.requireTLS, c.version, c.encrypt, c.lock, c.expire,
	} {
		made, err := part(ctx, name, args, pulumi.Parent(c), pulumi.RetainOnDelete(lasting), pulumi.DependsOn([]pulumi.Resource{before}))
		if err != nil {
			return err
		}
		if made != nil {
			before = made
		}
	}
	// The provider would delete all versions of an object, which a lock refuses.
	return c.configure(ctx, name, args, pulumi.Parent(c), pulumi.RetainOnDelete(lasting), pulumi.DependsOn([]pulumi.Resource{before}))
}

func (c *ComplianceAuditor) blockPublicAccess(ctx *pulumi.Context, name string, _ Args, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	return s3.NewBucketPublicAccessBlock(ctx, name, &s3.BucketPublicAccessBlockArgs{
		Bucket:                c.BucketName,
		BlockPublicAcls:       pulumi.Bool(true),
		BlockPublicPolicy:     pulumi.Bool(true),
		IgnorePublicAcls:      pulumi.Bool(true),
		RestrictPublicBuckets: pulumi.Bool(true),
	}, opts...)
}

func (c *ComplianceAuditor) requireTLS(ctx *pulumi.Context, name string, _ Args, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	return s3.NewBucketPolicy(ctx, name, &s3.BucketPolicyArgs{
		Bucket: c.BucketName,
		Policy: c.bucketARN.ApplyT(func(arn string) (string, error) {
			statement := policy.WithoutTLS("s3:*", arn)
			statement.Resource = append(statement.Resource, arn+"/*")
			return policy.Document{statement}.JSON()
		}).(pulumi.StringOutput),
	}, opts...)
}

func (c *ComplianceAuditor) version(ctx *pulumi.Context, name string, _ Args, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	return s3.NewBucketVersioningV2(ctx, name, &s3.BucketVersioningV2Args{
		Bucket:                  c.BucketName,
		VersioningConfiguration: s3.BucketVersioningV2VersioningConfigurationArgs{Status: pulumi.String("Enabled")},
	}, opts...)
}

// encrypt has S3 encrypt with its own keys: reports hold no value of a secret,
// and whoever may read them needs no permission for a key.
func (c *ComplianceAuditor) encrypt(ctx *pulumi.Context, name string, _ Args, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	return s3.NewBucketServerSideEncryptionConfigurationV2(ctx, name, &s3.BucketServerSideEncryptionConfigurationV2Args{
		Bucket: c.BucketName,
		Rules: s3.BucketServerSideEncryptionConfigurationV2RuleArray{s3.BucketServerSideEncryptionConfigurationV2RuleArgs{
			ApplyServerSideEncryptionByDefault: s3.BucketServerSideEncryptionConfigurationV2RuleApplyServerSideEncryptionByDefaultArgs{
				SseAlgorithm: pulumi.String("AES256"),
			},
		}},
	}, opts...)
}

func (c *ComplianceAuditor) lock(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	if args.Reports.Lock == "" {
		return nil, nil
	}
	return s3.NewBucketObjectLockConfigurationV2(ctx, name, &s3.BucketObjectLockConfigurationV2Args{
		Bucket: c.BucketName,
		Rule: s3.BucketObjectLockConfigurationV2RuleArgs{DefaultRetention: s3.BucketObjectLockConfigurationV2RuleDefaultRetentionArgs{
			Mode: pulumi.String(args.Reports.Lock),
			Days: pulumi.Int(args.Reports.RetentionDays),
		}},
	}, opts...)
}

// expire ends reports, and what was overwritten, when their time is over.
func (c *ComplianceAuditor) expire(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (pulumi.Resource, error) {
	days := pulumi.Int(args.Reports.RetentionDays)
	return s3.NewBucketLifecycleConfigurationV2(ctx, name, &s3.BucketLifecycleConfigurationV2Args{
		Bucket: c.BucketName,
		Rules: s3.BucketLifecycleConfigurationV2RuleArray{
			s3.BucketLifecycleConfigurationV2RuleArgs{
				Id:         pulumi.String("reports"),
				Status:     pulumi.String("Enabled"),
				Filter:     s3.BucketLifecycleConfigurationV2RuleFilterArgs{Prefix: pulumi.String(spec.AuditReports)},
				Expiration: s3.BucketLifecycleConfigurationV2RuleExpirationArgs{Days: days},
			},
			s3.BucketLifecycleConfigurationV2RuleArgs{
				Id:                             pulumi.String("versions"),
				Status:                         pulumi.String("Enabled"),
				Filter:                         s3.BucketLifecycleConfigurationV2RuleFilterArgs{}, // all
				Expiration:                     s3.BucketLifecycleConfigurationV2RuleExpirationArgs{ExpiredObjectDeleteMarker: pulumi.Bool(true)},
				NoncurrentVersionExpiration:    s3.BucketLifecycleConfigurationV2RuleNoncurrentVersionExpirationArgs{NoncurrentDays: days},
				AbortIncompleteMultipartUpload: s3.BucketLifecycleConfigurationV2RuleAbortIncompleteMultipartUploadArgs{DaysAfterInitiation: pulumi.Int(7)},
			},
		},
	}, opts...)
}

// configure registers what the auditor reads at the start of each run.
func (c *ComplianceAuditor) configure(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) error {
	catalogue := args.Catalogue.ApplyT(func(catalogue any) (string, error) {
		text, err := json.Marshal(catalogue)
		if err != nil {
			return "", fmt.Errorf("write the auditor's catalogue: %w", err)
		}
		return string(text), nil
	}).(pulumi.StringOutput)
	demands := args.Policy
	if demands == "" {
		demands = "{}\n" // so that one which is taken back is overwritten, and not deleted
	}
	for _, object := range []struct {
		name, key, kind string
		content         pulumi.StringInput
	}{
		{"catalogue", spec.AuditCatalogueKey, "application/json", catalogue},
		{"policy", spec.AuditPolicyKey, "application/yaml", pulumi.String(demands)},
	} {
		if _, err := s3.NewBucketObjectv2(ctx, name+"-"+object.name, &s3.BucketObjectv2Args{
			Bucket:      c.BucketName,
			Key:         pulumi.String(object.key),
			Content:     object.content,
			ContentType: pulumi.String(object.kind),
		}, opts...); err != nil {
			return err
		}
	}
	return nil
}

// BucketName returns the name of the audit's bucket. It has the account, because
// the names of buckets are the whole partition's. With the longest words it has
// 60 of S3's 63 characters.
func BucketName(prefix, accountID string) string { return prefix + "-audit-" + accountID }
