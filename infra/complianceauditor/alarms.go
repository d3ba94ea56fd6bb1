package complianceauditor

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/sdk/spec"
)

const (
	hour       = 3600 // seconds
	latestHour = 26   // hours without an audit: one a day, and time to run and to be tried again
)

// The names of the alarms, within the stack's.
const (
	failed   = "failed"
	missing  = "missing"
	critical = "critical"
)

// AlarmNames returns the names of the alarms that tell the topic, by the prefix
// of the stack's resources.
func AlarmNames(prefix string) []string {
	names := []string{failed, missing, critical}
	for i, name := range names {
		names[i] = alarmName(prefix, name)
	}
	return names
}

func alarmName(prefix, name string) string { return prefix + "-audit-" + name }

// deployAlarms registers what tells the topic that the auditor failed, that it
// didn't run, and that it found something critical. Each tells once.
func (c *ComplianceAuditor) deployAlarms(ctx *pulumi.Context, name string, args Args) error {
	environment := pulumi.StringMap{spec.DimensionEnvironment: pulumi.String(args.Environment)}
	for alarmed, alarm := range map[string]cloudwatch.MetricAlarmArgs{
		failed: {
			AlarmDescription:   pulumi.String("The audit of secrets failed or is incomplete. The function's log tells the reason; Lambda tries twice more."),
			Namespace:          pulumi.String("AWS/Lambda"),
			MetricName:         pulumi.String("Errors"),
			Dimensions:         pulumi.StringMap{"FunctionName": pulumi.String(functionName(args))},
			Statistic:          pulumi.String("Sum"),
			ComparisonOperator: pulumi.String("GreaterThanThreshold"),
			Threshold:          pulumi.Float64(0),
			Period:             pulumi.Int(300),
			EvaluationPeriods:  pulumi.Int(1),
			TreatMissingData:   pulumi.String("notBreaching"),
		},
		missing: {
			AlarmDescription:   pulumi.String("Secrets weren't audited completely for 26 hours. The schedule and the queue of failures tell whether the function was invoked, its log what came of it. It also tells until the first audit after a deployment."),
			Namespace:          pulumi.String(spec.MetricNamespace),
			MetricName:         pulumi.String(spec.MetricAudits),
			Dimensions:         environment,
			Statistic:          pulumi.String("Sum"),
			ComparisonOperator: pulumi.String("LessThanThreshold"),
			Threshold:          pulumi.Float64(1),
			Period:             pulumi.Int(hour),
			EvaluationPeriods:  pulumi.Int(latestHour),
			TreatMissingData:   pulumi.String("breaching"),
		},
		critical: {
			AlarmDescription:   pulumi.String("The last audit of secrets has critical findings. The topic got a message for each new one; the report tells how to mend them."),
			Namespace:          pulumi.String(spec.MetricNamespace),
			MetricName:         pulumi.String(spec.MetricFindings),
			Dimensions:         pulumi.StringMap{spec.DimensionEnvironment: pulumi.String(args.Environment), spec.DimensionSeverity: pulumi.String("critical")},
			Statistic:          pulumi.String("Maximum"),
			ComparisonOperator: pulumi.String("GreaterThanThreshold"),
			Threshold:          pulumi.Float64(0),
			// An audit's numbers bear the time at which it began, up to a quarter of
			// an hour before they are there. Until the next audit it stays as it is.
			Period:            pulumi.Int(hour),
			EvaluationPeriods: pulumi.Int(2),
			DatapointsToAlarm: pulumi.Int(1),
			TreatMissingData:  pulumi.String("ignore"),
		},
	} {
		alarm.Name = pulumi.String(alarmName(args.Prefix, alarmed))
		alarm.AlarmActions = pulumi.Array{args.Topic.ARN}
		alarm.Tags = pulumi.ToStringMap(args.Tags)
		if _, err := cloudwatch.NewMetricAlarm(ctx, name+"-"+alarmed, &alarm, pulumi.Parent(c), pulumi.DeleteBeforeReplace(true)); err != nil {
			return err
		}
	}
	return nil
}
