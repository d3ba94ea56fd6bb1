package handlers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// The parts of a bucket that are resources of their own. The ID of each is the
// bucket's name.

type bucketVersioning struct {
	Bucket                  string        `json:"bucket" prop:"in,required,replace"`
	VersioningConfiguration *versioningOf `json:"versioningConfiguration" prop:"in,required"`
}

type versioningOf struct {
	MFADelete string `json:"mfaDelete,omitempty" prop:"in,out"`
	Status    string `json:"status" prop:"in,required"`
}

// neverVersioned is pulumi-aws's word for a bucket whose versioning was never
// switched on. S3 has none, and no way back to it.
const neverVersioned = "Disabled"

func bucketVersioningKind() resourceType {
	put := func(ctx context.Context, c *clients, b *bucketVersioning) error {
		if b.VersioningConfiguration.Status == neverVersioned {
			return nil
		}
		_, err := c.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &b.Bucket, VersioningConfiguration: &s3types.VersioningConfiguration{
			MFADelete: s3types.MFADelete(b.VersioningConfiguration.MFADelete), Status: s3types.BucketVersioningStatus(b.VersioningConfiguration.Status),
		}})
		return err
	}
	return kind[bucketVersioning]{
		token: "aws:s3/bucketVersioningV2:BucketVersioningV2",
		create: func(ctx context.Context, c *clients, b *bucketVersioning) (string, error) {
			return b.Bucket, put(ctx, c, b)
		},
		read: func(ctx context.Context, c *clients, id string, b *bucketVersioning) error {
			got, err := c.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &id})
			if err != nil {
				return s3Gone(err, "NoSuchBucket")
			}
			b.Bucket, b.VersioningConfiguration = id, &versioningOf{MFADelete: string(got.MFADelete), Status: string(got.Status)}
			if got.Status == "" {
				b.VersioningConfiguration.Status = neverVersioned
			}
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, _, b *bucketVersioning) error { return put(ctx, c, b) },
		remove: func(ctx context.Context, c *clients, id string, b *bucketVersioning) error {
			if b.VersioningConfiguration.Status == neverVersioned {
				return nil
			}
			err := put(ctx, c, &bucketVersioning{Bucket: id, VersioningConfiguration: &versioningOf{Status: string(s3types.BucketVersioningStatusSuspended)}})
			// What object lock needs stays as it is.
			return unlessNotFound(s3Gone(err, "NoSuchBucket", "InvalidBucketState"))
		},
	}
}

type bucketEncryption struct {
	Bucket string           `json:"bucket" prop:"in,required,replace"`
	Rules  []encryptionRule `json:"rules" prop:"in,required,set"`
}

type encryptionRule struct {
	Default          *encryptionDefault `json:"applyServerSideEncryptionByDefault,omitempty" prop:"in"`
	BucketKeyEnabled *bool              `json:"bucketKeyEnabled,omitempty" prop:"in,out"`
}

type encryptionDefault struct {
	KMSMasterKeyID string `json:"kmsMasterKeyId,omitempty" prop:"in"`
	SSEAlgorithm   string `json:"sseAlgorithm" prop:"in,required"`
}

func bucketEncryptionKind() resourceType {
	put := func(ctx context.Context, c *clients, b *bucketEncryption) error {
		in := &s3.PutBucketEncryptionInput{Bucket: &b.Bucket, ServerSideEncryptionConfiguration: &s3types.ServerSideEncryptionConfiguration{}}
		for _, rule := range b.Rules {
			sent := s3types.ServerSideEncryptionRule{BucketKeyEnabled: rule.BucketKeyEnabled}
			if rule.Default != nil {
				sent.ApplyServerSideEncryptionByDefault = &s3types.ServerSideEncryptionByDefault{
					SSEAlgorithm: s3types.ServerSideEncryption(rule.Default.SSEAlgorithm), KMSMasterKeyID: optional(rule.Default.KMSMasterKeyID),
				}
			}
			in.ServerSideEncryptionConfiguration.Rules = append(in.ServerSideEncryptionConfiguration.Rules, sent)
		}
		_, err := c.s3.PutBucketEncryption(ctx, in)
		return err
	}
	return kind[bucketEncryption]{
		token: "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
		create: func(ctx context.Context, c *clients, b *bucketEncryption) (string, error) {
			return b.Bucket, put(ctx, c, b)
		},
		read: func(ctx context.Context, c *clients, id string, b *bucketEncryption) error {
			got, err := c.s3.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &id})
			if err != nil {
				return s3Gone(err, "NoSuchBucket")
			}
			b.Bucket, b.Rules = id, nil
			for _, rule := range got.ServerSideEncryptionConfiguration.Rules {
				read := encryptionRule{BucketKeyEnabled: rule.BucketKeyEnabled}
				if d := rule.ApplyServerSideEncryptionByDefault; d != nil {
					read.Default = &encryptionDefault{KMSMasterKeyID: aws.ToString(d.KMSMasterKeyID), SSEAlgorithm: string(d.SSEAlgorithm)}
				}
				b.Rules = append(b.Rules, read)
			}
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, _, b *bucketEncryption) error { return put(ctx, c, b) },
		remove: func(ctx context.Context, c *clients, id string, _ *bucketEncryption) error {
			_, err := c.s3.DeleteBucketEncryption(ctx, &s3.DeleteBucketEncryptionInput{Bucket: &id})
			return unlessNotFound(s3Gone(err, "NoSuchBucket"))
		},
	}
}

type bucketPublicAccessBlock struct {
	BlockPublicACLs       bool   `json:"blockPublicAcls" prop:"in,default=false"`
	BlockPublicPolicy     bool   `json:"blockPublicPolicy" prop:"in,default=false"`
	Bucket                string `json:"bucket" prop:"in,required,replace"`
	IgnorePublicACLs      bool   `json:"ignorePublicAcls" prop:"in,default=false"`
	RestrictPublicBuckets bool   `json:"restrictPublicBuckets" prop:"in,default=false"`
}

func bucketPublicAccessBlockKind() resourceType {
	put := func(ctx context.Context, c *clients, b *bucketPublicAccessBlock) error {
		_, err := c.s3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &b.Bucket, PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{
			BlockPublicAcls: &b.BlockPublicACLs, BlockPublicPolicy: &b.BlockPublicPolicy,
			IgnorePublicAcls: &b.IgnorePublicACLs, RestrictPublicBuckets: &b.RestrictPublicBuckets,
		}})
		return err
	}
	return kind[bucketPublicAccessBlock]{
		token: "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
		create: func(ctx context.Context, c *clients, b *bucketPublicAccessBlock) (string, error) {
			return b.Bucket, put(ctx, c, b)
		},
		read: func(ctx context.Context, c *clients, id string, b *bucketPublicAccessBlock) error {
			got, err := c.s3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &id})
			if err != nil {
				return s3Gone(err, "NoSuchBucket", "NoSuchPublicAccessBlockConfiguration")
			}
			block := got.PublicAccessBlockConfiguration
			*b = bucketPublicAccessBlock{
				aws.ToBool(block.BlockPublicAcls), aws.ToBool(block.BlockPublicPolicy), id, aws.ToBool(block.IgnorePublicAcls), aws.ToBool(block.RestrictPublicBuckets),
			}
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, _, b *bucketPublicAccessBlock) error {
			return put(ctx, c, b)
		},
		remove: func(ctx context.Context, c *clients, id string, _ *bucketPublicAccessBlock) error {
			_, err := c.s3.DeletePublicAccessBlock(ctx, &s3.DeletePublicAccessBlockInput{Bucket: &id})
			return unlessNotFound(s3Gone(err, "NoSuchBucket"))
		},
	}
}

type bucketPolicy struct {
	Bucket string `json:"bucket" prop:"in,required,replace"`
	Policy string `json:"policy" prop:"in,required,json"`
}

func bucketPolicyKind() resourceType {
	put := func(ctx context.Context, c *clients, b *bucketPolicy) error {
		_, err := c.s3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &b.Bucket, Policy: &b.Policy})
		return err
	}
	return kind[bucketPolicy]{
		token: "aws:s3/bucketPolicy:BucketPolicy",
		create: func(ctx context.Context, c *clients, b *bucketPolicy) (string, error) {
			return b.Bucket, put(ctx, c, b)
		},
		read: func(ctx context.Context, c *clients, id string, b *bucketPolicy) error {
			got, err := c.s3.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &id})
			if err != nil {
				return s3Gone(err, "NoSuchBucket", "NoSuchBucketPolicy")
			}
			b.Bucket, b.Policy = id, keepSpelling(b.Policy, aws.ToString(got.Policy), sameJSON)
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, _, b *bucketPolicy) error { return put(ctx, c, b) },
		remove: func(ctx context.Context, c *clients, id string, _ *bucketPolicy) error {
			_, err := c.s3.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: &id})
			return unlessNotFound(s3Gone(err, "NoSuchBucket"))
		},
	}
}

type bucketOwnership struct {
	Bucket string         `json:"bucket" prop:"in,required,replace"`
	Rule   *ownershipRule `json:"rule" prop:"in,required"`
}

type ownershipRule struct {
	ObjectOwnership string `json:"objectOwnership" prop:"in,required"`
}

func bucketOwnershipKind() resourceType {
	put := func(ctx context.Context, c *clients, b *bucketOwnership) error {
		_, err := c.s3.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: &b.Bucket, OwnershipControls: &s3types.OwnershipControls{
			Rules: []s3types.OwnershipControlsRule{{ObjectOwnership: s3types.ObjectOwnership(b.Rule.ObjectOwnership)}},
		}})
		return err
	}
	return kind[bucketOwnership]{
		token: "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
		create: func(ctx context.Context, c *clients, b *bucketOwnership) (string, error) {
			return b.Bucket, put(ctx, c, b)
		},
		read: func(ctx context.Context, c *clients, id string, b *bucketOwnership) error {
			got, err := c.s3.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &id})
			if err != nil {
				return s3Gone(err, "NoSuchBucket", "OwnershipControlsNotFoundError")
			}
			b.Bucket, b.Rule = id, &ownershipRule{}
			if rules := got.OwnershipControls.Rules; len(rules) > 0 {
				b.Rule.ObjectOwnership = string(rules[0].ObjectOwnership)
			}
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, _, b *bucketOwnership) error { return put(ctx, c, b) },
		remove: func(ctx context.Context, c *clients, id string, _ *bucketOwnership) error {
			_, err := c.s3.DeleteBucketOwnershipControls(ctx, &s3.DeleteBucketOwnershipControlsInput{Bucket: &id})
			return unlessNotFound(s3Gone(err, "NoSuchBucket"))
		},
	}
}

type bucketObjectLock struct {
	Bucket            string          `json:"bucket" prop:"in,required,replace"`
	ObjectLockEnabled string          `json:"objectLockEnabled" prop:"in,replace,default=\"Enabled\""`
	Rule              *objectLockRule `json:"rule,omitempty" prop:"in"`
}

type objectLockRule struct {
	DefaultRetention *retention `json:"defaultRetention" prop:"in,required"`
}

type retention struct {
	Days  int32  `json:"days,omitempty" prop:"in"`
	Mode  string `json:"mode,omitempty" prop:"in"`
	Years int32  `json:"years,omitempty" prop:"in"`
}

func bucketObjectLockKind() resourceType {
	put := func(ctx context.Context, c *clients, b *bucketObjectLock) error {
		lock := &s3types.ObjectLockConfiguration{ObjectLockEnabled: s3types.ObjectLockEnabled(b.ObjectLockEnabled)}
		if b.Rule != nil {
			r := b.Rule.DefaultRetention
			lock.Rule = &s3types.ObjectLockRule{DefaultRetention: &s3types.DefaultRetention{
				Days: positive(r.Days), Years: positive(r.Years), Mode: s3types.ObjectLockRetentionMode(r.Mode),
			}}
		}
		_, err := c.s3.PutObjectLockConfiguration(ctx, &s3.PutObjectLockConfigurationInput{Bucket: &b.Bucket, ObjectLockConfiguration: lock})
		return err
	}
	return kind[bucketObjectLock]{
		token: "aws:s3/bucketObjectLockConfigurationV2:BucketObjectLockConfigurationV2",
		create: func(ctx context.Context, c *clients, b *bucketObjectLock) (string, error) {
			return b.Bucket, put(ctx, c, b)
		},
		read: func(ctx context.Context, c *clients, id string, b *bucketObjectLock) error {
			got, err := c.s3.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &id})
			if err != nil {
				return s3Gone(err, "NoSuchBucket", "ObjectLockConfigurationNotFoundError")
			}
			lock := got.ObjectLockConfiguration
			*b = bucketObjectLock{Bucket: id, ObjectLockEnabled: string(lock.ObjectLockEnabled)}
			if lock.Rule != nil && lock.Rule.DefaultRetention != nil {
				r := lock.Rule.DefaultRetention
				b.Rule = &objectLockRule{&retention{aws.ToInt32(r.Days), string(r.Mode), aws.ToInt32(r.Years)}}
			}
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, _, b *bucketObjectLock) error { return put(ctx, c, b) },
		// Object lock itself can't be switched off; its default can.
		remove: func(ctx context.Context, c *clients, id string, b *bucketObjectLock) error {
			err := put(ctx, c, &bucketObjectLock{Bucket: id, ObjectLockEnabled: b.ObjectLockEnabled})
			return unlessNotFound(s3Gone(err, "NoSuchBucket", "ObjectLockConfigurationNotFoundError"))
		},
	}
}

// positive is a number for a request in which 0 must be left out.
func positive(n int32) *int32 {
	if n == 0 {
		return nil
	}
	return &n
}
