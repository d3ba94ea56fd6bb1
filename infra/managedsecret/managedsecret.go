// Package managedsecret holds the component ManagedSecret: a secret with its
// tags, key, replica and policies. It is born without a value, and no value
// ever passes through this component.
package managedsecret

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/sdk/spec"
)

const typeToken = "aistudio:secrets:ManagedSecret"

// Args describes a ManagedSecret.
type Args struct {
	Name               spec.Name
	Description        string
	Region             string             // the secret's
	KeyARN             pulumi.StringInput // key that encrypts it
	RecoveryWindowDays int                // 7 to 30
	Administrators     []string           // ARNs of those who may do all; the deployer among them
	RotatorRoleARN     string             // role of the rotation function; "": none
	Readers            []Reader
	ReaderPolicyName   string   // of the policy that lets readers read
	Protect            bool     // refuse to delete the secret and its policy, and leave them when they are taken out of the stack
	Replica            *Replica // nil: none
	Tags               map[string]string
}

// Reader is a role that may read the secret. The reader policy is attached to
// it, unless it reads by tag.
type Reader struct {
	Service  string             // whose role it is
	RoleARN  pulumi.StringInput // with its path
	RoleName pulumi.StringInput
	ByTag    bool // the role may read what has its tag: no policy is attached
}

// Replica is where the secret is replicated to.
type Replica struct {
	Region string
	KeyARN pulumi.StringInput // key of that region
}

func (a Args) validate() error {
	var errs []error
	if err := a.Name.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := spec.ValidateTags(a.Name, a.Tags); err != nil {
		errs = append(errs, err)
	}
	if a.Region == "" {
		errs = append(errs, errors.New("Region is missing"))
	}
	if a.KeyARN == nil {
		errs = append(errs, errors.New("KeyARN is missing: every secret has our own key"))
	}
	if a.RecoveryWindowDays < 7 || a.RecoveryWindowDays > 30 {
		errs = append(errs, fmt.Errorf("RecoveryWindowDays is %d: AWS takes 7 to 30", a.RecoveryWindowDays))
	}
	if len(a.Administrators) == 0 {
		errs = append(errs, errors.New("Administrators is missing: the policy would shut everybody out"))
	}
	if a.ReaderPolicyName == "" {
		errs = append(errs, errors.New("ReaderPolicyName is missing"))
	}
	services := map[string]bool{}
	for _, reader := range a.Readers {
		if reader.Service == "" || reader.RoleARN == nil || reader.RoleName == nil {
			errs = append(errs, fmt.Errorf("reader %q: Service, RoleARN and RoleName are needed", reader.Service))
		}
		if services[reader.Service] {
			errs = append(errs, fmt.Errorf("reader %q is there twice", reader.Service))
		}
		services[reader.Service] = true
	}
	if a.Replica != nil {
		if a.Replica.Region == "" || a.Replica.Region == a.Region {
			errs = append(errs, fmt.Errorf("Replica.Region is %q: name another region than the secret's", a.Replica.Region))
		}
		if a.Replica.KeyARN == nil {
			errs = append(errs, errors.New("Replica.KeyARN is missing: a replica needs a key of its own region"))
		}
	}
	return errors.Join(errs...)
}

// ManagedSecret is a secret whose own policy shuts out everybody but its
// readers, its rotator and the administrators, and all traffic without TLS.
type ManagedSecret struct {
	pulumi.ResourceState

	ARN             pulumi.StringOutput
	ReaderPolicyARN pulumi.StringOutput // of a managed policy that lets a role read the secret
}

// New registers a ManagedSecret.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*ManagedSecret, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("managed secret %s: %w", name, err)
	}
	component := &ManagedSecret{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}

	secretArgs := &secretsmanager.SecretArgs{
		Name:                 pulumi.String(args.Name.String()),
		KmsKeyId:             args.KeyARN.ToStringOutput().ToStringPtrOutput(),
		RecoveryWindowInDays: pulumi.Int(args.RecoveryWindowDays),
		Tags:                 pulumi.ToStringMap(args.Tags),
	}
	if args.Description != "" {
		secretArgs.Description = pulumi.String(args.Description)
	}
	if args.Replica != nil {
		// Without ForceOverwriteReplicaSecret: a secret that has the name in the
		// other region already is somebody's, and replication must fail.
		secretArgs.Replicas = secretsmanager.SecretReplicaArray{secretsmanager.SecretReplicaArgs{
			Region:   pulumi.String(args.Replica.Region),
			KmsKeyId: args.Replica.KeyARN.ToStringOutput().ToStringPtrOutput(),
		}}
	}
	secret, err := secretsmanager.NewSecret(ctx, name, secretArgs,
		pulumi.Parent(component), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(args.Protect))
	if err != nil {
		return nil, err
	}
	component.ARN = secret.Arn

	// Protected with the secret: without it, whoever IAM allows could read.
	if _, err := secretsmanager.NewSecretPolicy(ctx, name, &secretsmanager.SecretPolicyArgs{
		SecretArn:         secret.Arn,
		Policy:            secretPolicy(args),
		BlockPublicPolicy: pulumi.Bool(true),
	}, pulumi.Parent(component), pulumi.Protect(args.Protect), pulumi.RetainOnDelete(args.Protect)); err != nil {
		return nil, err
	}
	if err := component.allowReaders(ctx, name+"-read", args); err != nil {
		return nil, err
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"arn":             component.ARN,
		"readerPolicyArn": component.ReaderPolicyARN,
	})
}

func (s *ManagedSecret) allowReaders(ctx *pulumi.Context, name string, args Args) error {
	reader, err := iam.NewPolicy(ctx, name, &iam.PolicyArgs{
		Name:        pulumi.String(args.ReaderPolicyName),
		Description: pulumi.String("Lets a service read the secret " + args.Name.String()),
		Policy:      readerPolicy(args, s.ARN),
		Tags:        pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(s), pulumi.DeleteBeforeReplace(true)) // its name is fixed, and IAM changes no description
	if err != nil {
		return err
	}
	s.ReaderPolicyARN = reader.Arn
	for _, role := range args.Readers {
		if role.ByTag {
			continue
		}
		if _, err := iam.NewRolePolicyAttachment(ctx, name+"-"+role.Service, &iam.RolePolicyAttachmentArgs{
			Role:      role.RoleName,
			PolicyArn: reader.Arn,
		}, pulumi.Parent(s)); err != nil {
			return err
		}
	}
	return nil
}
