package handlers_test

import (
	"context"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	budgetssdk "github.com/aws/aws-sdk-go-v2/service/budgets"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/aistudio/secrets/localcloud"
)

func TestBudgets(t *testing.T) {
	w := newWorld(t)
	client := budgetssdk.NewFromConfig(w.cloud.Config(home))
	told := func(kind string, threshold float64) resource.PropertyValue {
		return object("comparisonOperator", "GREATER_THAN", "notificationType", kind, "threshold", threshold, "thresholdType", "PERCENTAGE",
			"subscriberEmailAddresses", []any{"people@aistudio.example"})
	}
	w.live(life{
		token: "aws:budgets/budget:Budget",
		inputs: resource.PropertyMap{
			"budgetType": str("COST"), "timeUnit": str("MONTHLY"), "limitAmount": str("30"), "limitUnit": str("USD"), "name": str("secrets"),
			"costFilters":   list(object("name", "TagKeyValue", "values", []any{"user:Environment$dev"})),
			"notifications": list(told("ACTUAL", 80), told("FORECASTED", 100)),
			"tags":          object("Owner", "platform"),
		},
		change: resource.PropertyMap{
			"limitAmount":   str("40"),
			"notifications": list(told("ACTUAL", 90)),
			"tags":          object("Owner", "payments"),
		},
		disturb: func(ctx context.Context, _ *thing) error {
			_, err := client.UntagResource(ctx, &budgetssdk.UntagResourceInput{
				ResourceARN: awssdk.String("arn:aws:budgets::" + localcloud.DefaultAccount + ":budget/secrets"), ResourceTagKeys: []string{"Owner"},
			})
			return err
		},
		disturbed: []string{"tags"},
	})
}
