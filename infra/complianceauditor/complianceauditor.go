// Package complianceauditor holds the component ComplianceAuditor: the function
// that audits all secrets once a day, the bucket of its reports, and AWS Config's
// own rules for secrets.
package complianceauditor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const typeToken = "aistudio:secrets:ComplianceAuditor"

// Args describes a ComplianceAuditor.
type Args struct {
	Prefix           string // begins the names of all resources, "<organization>-<environment>"
	Environment      string // the dimension of the auditor's metrics
	Partition        string // "aws" outside of GovCloud and China
	AccountID        string
	Region           string
	ArchivePath      string // zip of the auditor's function
	Architecture     string // arm64 or x86_64, the archive's
	MemoryMB         int
	LogRetentionDays int
	Hour             int    // of the day, UTC, at which the audit begins
	Policy           string // YAML of what is demanded; "": the auditor's defaults
	ReportURL        string // begins the links in alerts; "": S3's console
	SecurityHub      bool   // findings go to Security Hub, which the account has switched on
	Reports          Reports
	Topic            Topic
	Catalogue        pulumi.Output // of a spec.AuditCatalogue: what the stack declares
	ConfigRules      bool          // AWS Config's managed rules too, for which the account needs a recorder
	Protect          bool          // refuse to delete the bucket, and leave it when it is taken out of the stack
	Tags             map[string]string
}

// Reports is how the reports are kept.
type Reports struct {
	RetentionDays int
	Lock          string // GOVERNANCE or COMPLIANCE: S3 object lock for RetentionDays; "": none
}

// Topic is who is told.
type Topic struct {
	ARN    pulumi.StringInput
	KeyARN pulumi.StringInput // of the key that encrypts it
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
	if a.Hour < 0 || a.Hour > 23 {
		errs = append(errs, fmt.Errorf("Hour is %d: a day has 0 to 23", a.Hour))
	}
	if a.Reports.RetentionDays < 1 {
		errs = append(errs, fmt.Errorf("Reports.RetentionDays is %d: reports would be gone at once", a.Reports.RetentionDays))
	}
	if l := a.Reports.Lock; l != "" && l != "GOVERNANCE" && l != "COMPLIANCE" {
		errs = append(errs, fmt.Errorf("Reports.Lock is %q: S3 takes GOVERNANCE or COMPLIANCE", l))
	}
	if a.Topic.ARN == nil || a.Topic.KeyARN == nil {
		errs = append(errs, errors.New("Topic needs ARN and KeyARN"))
	}
	if a.Catalogue == nil {
		errs = append(errs, errors.New("Catalogue is missing: there would be nothing to audit by"))
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

// ComplianceAuditor audits the secrets of its account once a day.
type ComplianceAuditor struct {
	pulumi.ResourceState

	FunctionARN pulumi.StringOutput
	BucketName  pulumi.StringOutput

	bucketARN pulumi.StringOutput
}

// New registers a ComplianceAuditor.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*ComplianceAuditor, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("compliance auditor %s: %w", name, err)
	}
	component := &ComplianceAuditor{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	for _, deploy := range []func(*pulumi.Context, string, Args) error{
		component.deployBucket,
		component.deployFunction,
		component.deployConfigRules,
	} {
		if err := deploy(ctx, name, args); err != nil {
			return nil, err
		}
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"functionArn": component.FunctionARN,
		"bucketName":  component.BucketName,
	})
}
