// Package migrationscan holds the component MigrationScan: the function that
// looks once a day for secrets in plaintext, an hour before the audit that counts
// what it found.
package migrationscan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/s3"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/dailyfunction"
	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

const typeToken = "aistudio:secrets:MigrationScan"

// Args describes a MigrationScan.
type Args struct {
	Prefix           string // begins the names of all resources, "<organization>-<environment>"
	Environment      string // the dimension of the scan's metrics
	Partition        string // "aws" outside of GovCloud and China
	AccountID        string
	Region           string
	Regions          []string // to scan; none: Region
	ArchivePath      string   // zip of the function
	Architecture     string   // arm64 or x86_64, the archive's
	MemoryMB         int
	LogRetentionDays int
	AuditHour        int                // of the day, UTC, at which the audit begins
	Decided          string             // YAML of what people have decided about names; "": nothing
	Keys             []string           // ARNs of the keys of functions' variables that the scan may use
	BucketName       pulumi.StringInput // of the audit's bucket, in which the result is
	Retain           bool               // leave in the bucket what was decided when it is taken out of the stack, as a lock demands
	Tags             map[string]string
}

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{
		{"Prefix", a.Prefix}, {"Environment", a.Environment}, {"Partition", a.Partition},
		{"AccountID", a.AccountID}, {"Region", a.Region}, {"ArchivePath", a.ArchivePath},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if a.AuditHour < 0 || a.AuditHour > 23 {
		errs = append(errs, fmt.Errorf("AuditHour is %d: a day has 0 to 23", a.AuditHour))
	}
	if a.BucketName == nil {
		errs = append(errs, errors.New("BucketName is missing: the result would be nowhere"))
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// MigrationScan looks for secrets in plaintext once a day.
type MigrationScan struct {
	pulumi.ResourceState

	FunctionARN pulumi.StringOutput
}

// New registers a MigrationScan.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*MigrationScan, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("migration scan %s: %w", name, err)
	}
	component := &MigrationScan{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	if err := component.decide(ctx, name+"-decided", args); err != nil {
		return nil, err
	}
	scan, err := dailyfunction.New(ctx, name, dailyfunction.Args{
		Function: function.Args{
			Name:             FunctionName(args.Prefix),
			Description:      "Looks for secrets in plaintext around " + args.Prefix,
			ArchivePath:      args.ArchivePath,
			Architecture:     args.Architecture,
			MemoryMB:         args.MemoryMB,
			LogRetentionDays: args.LogRetentionDays,
			Environment: pulumi.StringMap{
				spec.EnvScanBucket:      args.BucketName,
				spec.EnvScanRegions:     pulumi.String(strings.Join(args.regions(), ",")),
				spec.EnvScanEnvironment: pulumi.String(args.Environment),
			},
			Allow: args.access(),
			Tags:  args.Tags,
		},
		Partition: args.Partition,
		AccountID: args.AccountID,
		Region:    args.Region,
		Hour:      (args.AuditHour + 23) % 24,
	}, pulumi.Parent(component))
	if err != nil {
		return nil, err
	}
	component.FunctionARN = scan.ARN
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{"functionArn": component.FunctionARN})
}

// decide puts what people have decided into the bucket. It is there without any,
// too, so that what is taken back is overwritten, and not deleted.
func (m *MigrationScan) decide(ctx *pulumi.Context, name string, args Args) error {
	decided := args.Decided
	if decided == "" {
		decided = "{}\n"
	}
	_, err := s3.NewBucketObjectv2(ctx, name, &s3.BucketObjectv2Args{
		Bucket:      args.BucketName,
		Key:         pulumi.String(spec.ScanConfigKey),
		Content:     pulumi.String(decided),
		ContentType: pulumi.String("application/yaml"),
	}, pulumi.Parent(m), pulumi.RetainOnDelete(args.Retain))
	return err
}

func (a Args) regions() []string {
	if len(a.Regions) == 0 {
		return []string{a.Region}
	}
	return a.Regions
}

// access is what the scan's role may do: discover, and write its result.
func (a Args) access() pulumi.Output {
	return a.BucketName.ToStringOutput().ApplyT(func(name string) policy.Document {
		bucket := "arn:" + a.Partition + ":s3:::" + name
		document := policy.Document{
			{
				// All functions, tasks and parameters: those that nobody told of are
				// what a scan is for.
				Sid:      "Discover",
				Effect:   policy.Allow,
				Action:   spec.ScanActions(),
				Resource: []string{"*"},
			},
			{
				// So that S3 says of an object that it isn't there, and not that it
				// is forbidden (API reference, GetObject).
				Sid:      "Look",
				Effect:   policy.Allow,
				Action:   []string{"s3:ListBucket"},
				Resource: []string{bucket},
			},
			{
				Sid:      "ReadDecided",
				Effect:   policy.Allow,
				Action:   []string{"s3:GetObject"},
				Resource: []string{bucket + "/" + spec.ScanConfigKey},
			},
			{
				Sid:      "WriteResult",
				Effect:   policy.Allow,
				Action:   []string{"s3:PutObject"},
				Resource: []string{bucket + "/" + spec.ScanKey},
			},
		}
		if len(a.Keys) > 0 {
			var services []string
			for _, region := range a.regions() {
				services = append(services, "lambda."+region+".amazonaws.com")
			}
			document = append(document, policy.Statement{
				// Lambda decrypts a function's variables for who asks for them
				// (Lambda developer guide, "Securing Lambda environment variables").
				Sid:       "DecryptVariables",
				Effect:    policy.Allow,
				Action:    []string{"kms:Decrypt"},
				Resource:  a.Keys,
				Condition: policy.Condition{"StringEquals": {"kms:ViaService": services}},
			})
		}
		return document
	})
}

// FunctionName returns the name of the scan's function, by the prefix of the
// stack's resources.
func FunctionName(prefix string) string { return prefix + spec.ScanFunction }
