package complianceauditor

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cfg"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// managedRule is one of the rules that AWS Config brings along (AWS Config
// developer guide, "List of AWS Config Managed Rules").
type managedRule struct {
	name       string // AWS's own
	identifier string
	meaning    string
	periodic   bool // by the day; the others when a secret changes
	parameters map[string]string
}

// The days are the auditor's defaults, in its policy unusedAfter and the
// longest of maximumAge.
var managedRules = []managedRule{
	{"secretsmanager-rotation-enabled-check", "SECRETSMANAGER_ROTATION_ENABLED_CHECK", "rotation is switched on", false, nil},
	{"secretsmanager-scheduled-rotation-success-check", "SECRETSMANAGER_SCHEDULED_ROTATION_SUCCESS_CHECK", "the last rotation succeeded, when it was due", false, nil},
	{"secretsmanager-secret-periodic-rotation", "SECRETSMANAGER_SECRET_PERIODIC_ROTATION", "it was rotated in the last 100 days", true, map[string]string{"maxDaysSinceRotation": "100"}},
	{"secretsmanager-secret-unused", "SECRETSMANAGER_SECRET_UNUSED", "it was read in the last 90 days", true, map[string]string{"unusedForDays": "90"}},
	{"secretsmanager-using-cmk", "SECRETSMANAGER_USING_CMK", "a key of the account encrypts it", false, nil},
}

// deployConfigRules registers AWS Config's rules, if the stack wants them.
func (c *ComplianceAuditor) deployConfigRules(ctx *pulumi.Context, name string, args Args) error {
	if !args.ConfigRules {
		return nil
	}
	for _, managed := range managedRules {
		rule := &cfg.RuleArgs{
			Name:        pulumi.String(args.Prefix + "-" + managed.name),
			Description: pulumi.String("Of each secret: " + managed.meaning),
			Source:      cfg.RuleSourceArgs{Owner: pulumi.String("AWS"), SourceIdentifier: pulumi.String(managed.identifier)},
			Tags:        pulumi.ToStringMap(args.Tags),
		}
		if managed.periodic {
			rule.MaximumExecutionFrequency = pulumi.String("TwentyFour_Hours")
		}
		if len(managed.parameters) > 0 {
			text, err := json.Marshal(managed.parameters)
			if err != nil {
				return fmt.Errorf("write the parameters of %s: %w", managed.name, err)
			}
			rule.InputParameters = pulumi.String(text)
		}
		if _, err := cfg.NewRule(ctx, name+"-"+managed.name, rule, pulumi.Parent(c), pulumi.DeleteBeforeReplace(true)); err != nil {
			return err
		}
	}
	return nil
}
