// Package budget holds the component Budget: what the secrets of a stack may cost
// a month, and who is told when they cost more or are about to.
package budget

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/budgets"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/sdk/spec"
)

const typeToken = "aistudio:secrets:Budget"

// maxEmails is how many addresses a notification of a budget takes (AWS Budgets
// API reference, "Subscriber").
const maxEmails = 10

// Args describes a Budget.
type Args struct {
	Name        string
	Environment string
	MonthlyUSD  float64
	ByTag       bool               // count what has the stack's tag Environment; else Secrets Manager and KMS in the whole account
	TopicARN    pulumi.StringInput // whose policies let AWS Budgets publish
	Emails      []string           // who is written to as well
	Tags        map[string]string
}

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{{"Name", a.Name}, {"Environment", a.Environment}} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if a.MonthlyUSD <= 0 {
		errs = append(errs, fmt.Errorf("MonthlyUSD is %g: a budget has a limit", a.MonthlyUSD))
	}
	if a.TopicARN == nil {
		errs = append(errs, errors.New("TopicARN is missing: nobody would be told"))
	}
	if len(a.Emails) > maxEmails {
		errs = append(errs, fmt.Errorf("Emails has %d: AWS Budgets takes %d", len(a.Emails), maxEmails))
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// thresholds are when a budget tells, in per cent of the limit.
var thresholds = []struct {
	kind string
	per  float64
}{{"ACTUAL", 80}, {"ACTUAL", 100}, {"FORECASTED", 100}}

// Budget is a monthly budget of costs.
type Budget struct {
	pulumi.ResourceState

	Name pulumi.StringOutput
}

// New registers a Budget.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Budget, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("budget %s: %w", name, err)
	}
	component := &Budget{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	notifications := budgets.BudgetNotificationArray{}
	for _, t := range thresholds {
		notification := budgets.BudgetNotificationArgs{
			ComparisonOperator:     pulumi.String("GREATER_THAN"),
			NotificationType:       pulumi.String(t.kind),
			Threshold:              pulumi.Float64(t.per),
			ThresholdType:          pulumi.String("PERCENTAGE"),
			SubscriberSnsTopicArns: pulumi.StringArray{args.TopicARN},
		}
		if len(args.Emails) > 0 {
			notification.SubscriberEmailAddresses = pulumi.ToStringArray(args.Emails)
		}
		notifications = append(notifications, notification)
	}
	budget, err := budgets.NewBudget(ctx, name, &budgets.BudgetArgs{
		Name:          pulumi.String(args.Name),
		BudgetType:    pulumi.String("COST"),
		TimeUnit:      pulumi.String("MONTHLY"),
		LimitAmount:   pulumi.String(strconv.FormatFloat(args.MonthlyUSD, 'f', -1, 64)),
		LimitUnit:     pulumi.String("USD"),
		CostFilters:   args.filters(),
		Notifications: notifications,
		Tags:          pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(component), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, err
	}
	component.Name = budget.Name
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{"name": component.Name})
}

// filters say what costs count. By tag, nothing counts before the account's payer
// has activated the tag for cost allocation (AWS Billing user guide, "Activating
// user-defined cost allocation tags"), so it isn't the default.
func (a Args) filters() budgets.BudgetCostFilterArray {
	if a.ByTag {
		return budgets.BudgetCostFilterArray{budgets.BudgetCostFilterArgs{
			Name: pulumi.String("TagKeyValue"), Values: pulumi.ToStringArray([]string{"user:" + spec.TagEnvironment + "$" + a.Environment}),
		}}
	}
	return budgets.BudgetCostFilterArray{budgets.BudgetCostFilterArgs{
		Name: pulumi.String("Service"), Values: pulumi.ToStringArray([]string{"AWS Key Management Service", "AWS Secrets Manager"}),
	}}
}
