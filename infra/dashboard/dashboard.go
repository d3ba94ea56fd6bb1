// Package dashboard holds the component Dashboard: what a stack's secrets are
// doing, on one page, with what is wrong at the top.
package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const typeToken = "aistudio:secrets:Dashboard"

// width is the number of columns that CloudWatch has (CloudWatch API reference,
// "Dashboard body structure and syntax").
const width = 24

// Args describes a Dashboard.
type Args struct {
	Name          string // the dashboard's
	Environment   string // the dimension of the auditor's and the caches' metrics
	Partition     string // "aws" outside of GovCloud and China
	AccountID     string
	Region        string
	ReplicaRegion string   // "": none
	Alarms        []string // names of the alarms, what is urgent first
	Trail         string   // namespace of the metrics of what the audit trail saw; "": there are none
	FeedTable     string   // name of the table of the rotation feed
	Auditor       string   // name of the auditor's function
	ReportBucket  string   // name of the bucket of its reports
	Functions     []string // names of all functions of the stack
	Standby       []string // names of those among them that stand by in ReplicaRegion
}

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{
		{"Name", a.Name}, {"Environment", a.Environment}, {"Partition", a.Partition}, {"AccountID", a.AccountID}, {"Region", a.Region},
		{"FeedTable", a.FeedTable}, {"Auditor", a.Auditor}, {"ReportBucket", a.ReportBucket},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if n := len(a.Alarms); n == 0 || n > maxAlarms {
		errs = append(errs, fmt.Errorf("Alarms has %d: an alarm widget takes 1 to %d", n, maxAlarms))
	}
	return errors.Join(errs...)
}

// maxAlarms is how many an alarm widget takes (as width).
const maxAlarms = 100

// Dashboard is a CloudWatch dashboard.
type Dashboard struct {
	pulumi.ResourceState

	Name pulumi.StringOutput
}

// New registers a Dashboard.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Dashboard, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", name, err)
	}
	component := &Dashboard{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"widgets": arrange(args.rows())})
	if err != nil {
		return nil, fmt.Errorf("write the dashboard: %w", err)
	}
	dashboard, err := cloudwatch.NewDashboard(ctx, name, &cloudwatch.DashboardArgs{
		DashboardName: pulumi.String(args.Name),
		DashboardBody: pulumi.String(body),
	}, pulumi.Parent(component), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, err
	}
	component.Name = dashboard.DashboardName
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{"name": component.Name})
}

// arn returns the ARN of a resource in the stack's region.
func (a Args) arn(service, resource string) string {
	return strings.Join([]string{"arn", a.Partition, service, a.Region, a.AccountID, resource}, ":")
}
