// Package audittrail holds the component AuditTrail: the CloudTrail trail of an
// account, what it delivers to, and the metrics of what it saw happen to secrets
// and keys.
//
// A trail is also what EventBridge needs to hear of rotations (EventBridge user
// guide, "AWS service events delivered via AWS CloudTrail"). An account that has
// one, such as its organization's, keeps it: the component then only counts in
// its log group.
package audittrail

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const typeToken = "aistudio:secrets:AuditTrail"

// Args describes an AuditTrail.
type Args struct {
	Prefix       string // begins the names of all resources, "<organization>-<environment>"
	SecretPrefix string // begins the names of the secrets that are watched, "<organization>/<environment>/"
	Partition    string // "aws" outside of GovCloud and China
	AccountID    string
	Region       string

	// What is counted.
	Readers []string           // ARNs of the roles and users who are expected to read values
	KeyARN  pulumi.StringInput // of the secrets' key, whose replicas have the same ID

	// Existing is what the account has instead of a trail of the stack's; nil:
	// the stack makes one, for which all that follows is.
	Existing *Existing

	Administrators     []string // ARNs of those who may manage the trail's key; the deployer among them
	DeletionWindowDays int      // of the trail's key, 7 to 30
	LogRetentionDays   int      // of the log group
	RetentionDays      int      // of the log files
	Buckets            []string // names of buckets of whose objects every read and write is logged
	FunctionRegions    []string // where every invocation of the stack's functions is logged
	Protect            bool     // refuse to delete trail, bucket and key, and leave them when they are taken out of the stack
	Tags               map[string]string
}

// Existing is the trail that an account has.
type Existing struct {
	LogGroup string // to which it writes, in the stack's account and region; "": nothing is counted
}

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{
		{"Prefix", a.Prefix}, {"Partition", a.Partition}, {"AccountID", a.AccountID}, {"Region", a.Region},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if !strings.HasSuffix(a.SecretPrefix, "/") {
		errs = append(errs, fmt.Errorf("SecretPrefix %q doesn't end in a slash: it would match other environments", a.SecretPrefix))
	}
	if a.KeyARN == nil {
		errs = append(errs, errors.New("KeyARN is missing"))
	}
	if a.Existing == nil {
		if len(a.Administrators) == 0 {
			errs = append(errs, errors.New("Administrators is missing: nobody could manage the key"))
		}
		if a.DeletionWindowDays < 7 || a.DeletionWindowDays > 30 {
			errs = append(errs, fmt.Errorf("DeletionWindowDays is %d: AWS takes 7 to 30", a.DeletionWindowDays))
		}
		if a.LogRetentionDays < 1 || a.RetentionDays < 1 {
			errs = append(errs, errors.New("LogRetentionDays and RetentionDays are needed: logs would be kept for ever"))
		}
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// arn returns the ARN of a resource in the stack's region.
func (a Args) arn(service, resource string) string {
	return strings.Join([]string{"arn", a.Partition, service, a.Region, a.AccountID, resource}, ":")
}

// trailName is the trail's, and its role's.
func (a Args) trailName() string { return a.Prefix + "-trail" }

func (a Args) trailARN() string { return a.arn("cloudtrail", "trail/"+a.trailName()) }

// BucketName returns the name of the bucket of log files. It has the account,
// because the names of buckets are the whole partition's.
func BucketName(prefix, accountID string) string { return prefix + "-trail-" + accountID }

func (a Args) groupName() string { return "/aws/cloudtrail/" + a.Prefix }

func (a Args) groupARN() string { return a.arn("logs", "log-group:"+a.groupName()) }

// AuditTrail records what happens in the account.
type AuditTrail struct {
	pulumi.ResourceState

	TrailARN   pulumi.StringOutput // empty text: the trail isn't the stack's
	BucketName pulumi.StringOutput // of the log files; empty text likewise

	// Counts tells whether there are the metrics of Namespace.
	Counts bool
}

// New registers an AuditTrail.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*AuditTrail, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("audit trail %s: %w", name, err)
	}
	nothing := pulumi.String("").ToStringOutput()
	component := &AuditTrail{TrailARN: nothing, BucketName: nothing}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	counted := counted{keys: []pulumi.StringInput{args.KeyARN}}
	if args.Existing != nil {
		counted.group = pulumi.String(args.Existing.LogGroup)
		component.Counts = args.Existing.LogGroup != ""
	} else {
		made, err := component.deployTrail(ctx, name, args)
		if err != nil {
			return nil, err
		}
		counted.group, counted.trail = made.group, args.trailName()
		counted.keys = append(counted.keys, made.keyARN)
		component.Counts = true
	}
	if component.Counts {
		if err := component.count(ctx, name, args, counted); err != nil {
			return nil, err
		}
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"trailArn":   component.TrailARN,
		"bucketName": component.BucketName,
	})
}
