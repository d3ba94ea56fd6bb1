// Package encryptionkey holds the component EncryptionKey: the KMS key that
// encrypts the secrets of a stack, and its replica in a second region.
package encryptionkey

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

const typeToken = "aistudio:secrets:EncryptionKey"

// Args describes an EncryptionKey.
type Args struct {
	Alias              string   // without "alias/"
	Description        string   // what the key is for
	Region             string   // the key's
	AccountARN         string   // root of the account, "arn:aws:iam::<id>:root"
	Administrators     []string // ARNs of those who may manage the key but not use it; the deployer among them
	DeletionWindowDays int      // 7 to 30
	Protect            bool     // refuse to delete the key, and leave it when it is taken out of the stack
	Replica            *Replica // nil: none
	Tags               map[string]string
}

// Replica is where the key is replicated to.
type Replica struct {
	Region   string
	Provider pulumi.ProviderResource // of that region
}

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{
		{"Alias", a.Alias}, {"Description", a.Description}, {"Region", a.Region}, {"AccountARN", a.AccountARN},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if len(a.Administrators) == 0 {
		errs = append(errs, errors.New("Administrators is missing: nobody could manage the key"))
	}
	if a.DeletionWindowDays < 7 || a.DeletionWindowDays > 30 {
		errs = append(errs, fmt.Errorf("DeletionWindowDays is %d: AWS takes 7 to 30", a.DeletionWindowDays))
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	if a.Replica != nil {
		if a.Replica.Region == "" || a.Replica.Region == a.Region {
			errs = append(errs, fmt.Errorf("Replica.Region is %q: name another region than the key's", a.Replica.Region))
		}
		if a.Replica.Provider == nil {
			errs = append(errs, errors.New("Replica.Provider is missing: a replica is made by its own region's provider"))
		}
	}
	return errors.Join(errs...)
}

// EncryptionKey is a symmetric multi-region key that AWS rotates every year.
// Secrets Manager alone can use it, for whom IAM allows it; administrators
// manage it and can't use it. Whom IAM allows may read its metadata.
type EncryptionKey struct {
	pulumi.ResourceState

	ARN        pulumi.StringOutput
	ReplicaARN pulumi.StringOutput // empty text without a replica
}

// New registers an EncryptionKey.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*EncryptionKey, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("encryption key %s: %w", name, err)
	}
	component := &EncryptionKey{ReplicaARN: pulumi.String("").ToStringOutput()}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}

	document, err := keyPolicy(args).JSON()
	if err != nil {
		return nil, err
	}
	key, err := kms.NewKey(ctx, name, &kms.KeyArgs{
		Description:          pulumi.String(args.Description),
		MultiRegion:          pulumi.Bool(true),
		EnableKeyRotation:    pulumi.Bool(true),
		DeletionWindowInDays: pulumi.Int(args.DeletionWindowDays),
		Policy:               pulumi.String(document),
		Tags:                 pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(component), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(args.Protect))
	if err != nil {
		return nil, err
	}
	component.ARN = key.Arn
	if _, err := kms.NewAlias(ctx, name, &kms.AliasArgs{
		Name:        pulumi.String("alias/" + args.Alias),
		TargetKeyId: key.KeyId,
	}, pulumi.Parent(component)); err != nil {
		return nil, err
	}

	if args.Replica != nil {
		if err := component.replicate(ctx, name+"-replica", args, document); err != nil {
			return nil, err
		}
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"arn":        component.ARN,
		"replicaArn": component.ReplicaARN,
	})
}

// replicate registers the replica, its policy (KMS doesn't copy the primary's)
// and its alias. AWS rotates a replica together with its primary.
func (k *EncryptionKey) replicate(ctx *pulumi.Context, name string, args Args, document string) error {
	replica, err := kms.NewReplicaKey(ctx, name, &kms.ReplicaKeyArgs{
		PrimaryKeyArn:        k.ARN,
		Description:          pulumi.String(args.Description),
		DeletionWindowInDays: pulumi.Int(args.DeletionWindowDays),
		Policy:               pulumi.String(document),
		Tags:                 pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(k), pulumi.Provider(args.Replica.Provider), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(args.Protect))
	if err != nil {
		return err
	}
	k.ReplicaARN = replica.Arn
	_, err = kms.NewAlias(ctx, name, &kms.AliasArgs{
		Name:        pulumi.String("alias/" + args.Alias),
		TargetKeyId: replica.KeyId,
	}, pulumi.Parent(k), pulumi.Provider(args.Replica.Provider))
	return err
}

// use is what Secrets Manager does with a key for its caller; Encrypt only when
// it writes a replica (Secrets Manager user guide, "Permissions for the KMS
// key" and "Troubleshoot replication").
var use = []string{"kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"}

// keyPolicy is the same for the key and its replica, whose secrets are written
// from the primary's region.
func keyPolicy(args Args) policy.Document {
	regions := []string{args.Region}
	if args.Replica != nil {
		regions = append(regions, args.Replica.Region)
	}
	return policy.Document{
		{
			Sid:       "Administration",
			Effect:    policy.Allow,
			Principal: &policy.Principal{AWS: args.Administrators},
			Action:    policy.KeyAdministration,
			Resource:  []string{policy.This},
		},
		{
			// The account as principal hands the decision to IAM: a role still
			// needs a policy of its own that allows the key's use.
			Sid:       "UseThroughSecretsManager",
			Effect:    policy.Allow,
			Principal: &policy.Principal{AWS: []string{args.AccountARN}},
			Action:    use,
			Resource:  []string{policy.This},
			Condition: policy.ThroughSecretsManager(regions...),
		},
		{
			// For audits, of which IAM decides as well.
			Sid:       "ReadMetadata",
			Effect:    policy.Allow,
			Principal: &policy.Principal{AWS: []string{args.AccountARN}},
			Action:    []string{"kms:DescribeKey", "kms:GetKeyRotationStatus"},
			Resource:  []string{policy.This},
		},
	}
}
