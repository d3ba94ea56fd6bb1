package phase

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cttypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

const deploy = "Deploy the stack: go tool mage pipeline:up {stack}, or pulumi up."

func keyCheck() Check {
	return Check{
		ID: "key", Name: "the stack's KMS key", Why: "Secrets are encrypted with a key of our own, which AWS renews every year.",
		How: "kms:DescribeKey and GetKeyRotationStatus of the alias", Remedy: deploy,
		ask: func(ctx context.Context, f *facts) Answer {
			client := f.keys(f.Config)
			key, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &f.Settings.KMSKey})
			if err != nil {
				return failed("the key "+f.Settings.KMSKey, err)
			}
			switch m := key.KeyMetadata; {
			case m.KeyState != kmstypes.KeyStateEnabled:
				return fails("the key's state is %s", m.KeyState)
			case !aws.ToBool(m.MultiRegion):
				return fails("it is no multi-region key")
			}
			rotation, err := client.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: key.KeyMetadata.Arn})
			if err != nil {
				return failed("the key's rotation", err)
			}
			if !rotation.KeyRotationEnabled {
				return fails("AWS doesn't renew it: key rotation is off")
			}
			return passes("%s", aws.ToString(key.KeyMetadata.Arn))
		},
	}
}

func replicaKeyCheck() Check {
	return Check{
		ID: "replica-key", Name: "the key's replica in the second region", Why: "Replicas of secrets need a key in their own region.",
		How: "kms:DescribeKey in the replica's region", Remedy: deploy,
		ask: func(ctx context.Context, f *facts) Answer {
			if f.Settings.ReplicaRegion == "" {
				return passes("the stack has no second region")
			}
			key, err := f.keys(f.inReplica()).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &f.Settings.KMSKey})
			if err != nil {
				return failed("the key "+f.Settings.KMSKey+" in "+f.Settings.ReplicaRegion, err)
			}
			if state := key.KeyMetadata.KeyState; state != kmstypes.KeyStateEnabled {
				return fails("its state in %s is %s", f.Settings.ReplicaRegion, state)
			}
			return passes("%s", aws.ToString(key.KeyMetadata.Arn))
		},
	}
}

// describe reads the metadata of secrets by name.
func (f *facts) describe(ctx context.Context, names []string) (found map[string]*secretsmanager.DescribeSecretOutput, wrong, untold []string) {
	found = map[string]*secretsmanager.DescribeSecretOutput{}
	for _, name := range names {
		secret, err := f.secretAPI().DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
		switch {
		case err == nil && secret.DeletedDate != nil:
			wrong = append(wrong, name+" is scheduled for deletion")
		case err == nil:
			found[name] = secret
		case notThere(err):
			wrong = append(wrong, name+" isn't there")
		default:
			untold = append(untold, name+" can't be described: "+reason(err))
		}
	}
	return found, wrong, untold
}

func secretsCheck() Check {
	return Check{
		ID: "secrets", Name: "the secrets of the catalogue", Why: "The stack declares them; services and rotators find them by name.",
		How: "secretsmanager:DescribeSecret of each", Remedy: deploy,
		ask: func(ctx context.Context, f *facts) Answer {
			_, wrong, untold := f.describe(ctx, f.declared())
			return all(fmt.Sprintf("%d secrets", len(f.declared())), wrong, untold)
		},
	}
}

func replicasCheck() Check {
	return Check{
		ID: "replicas", Name: "the secrets' replicas", Why: "When a region is dark, services read in the other one.",
		How: "the replication status of each secret", Remedy: "Deploy the stack, and see each replica's status message.",
		ask: func(ctx context.Context, f *facts) Answer {
			if f.Settings.ReplicaRegion == "" {
				return passes("the stack has no second region")
			}
			found, wrong, untold := f.describe(ctx, f.declared())
			for name, secret := range found {
				status := smtypes.StatusType("missing")
				for _, replica := range secret.ReplicationStatus {
					if aws.ToString(replica.Region) == f.Settings.ReplicaRegion {
						status = replica.Status
					}
				}
				if status != smtypes.StatusTypeInSync {
					wrong = append(wrong, fmt.Sprintf("the replica of %s in %s is %s", name, f.Settings.ReplicaRegion, status))
				}
			}
			return all(fmt.Sprintf("%d are in sync in %s", len(found), f.Settings.ReplicaRegion), wrong, untold)
		},
	}
}

func trailCheck() Check {
	return Check{
		ID: "trail", Name: "a trail of management events", Why: "Without one nobody is told of rotations, and no audit can say who read what.",
		How: "cloudtrail:DescribeTrails, GetTrailStatus and GetEventSelectors", Remedy: "Make a trail that logs management events in all regions, reads and writes, and start it.",
		ask: func(ctx context.Context, f *facts) Answer {
			trails, err := f.trails().DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{})
			if err != nil {
				return failed("the list of trails", err)
			}
			var wrong, untold []string
			for _, trail := range trails.TrailList {
				problem, err := f.trail(ctx, trail)
				switch {
				case err != nil:
					untold = append(untold, "trail "+aws.ToString(trail.Name)+" can't be read: "+reason(err))
				case problem != "":
					wrong = append(wrong, "trail "+aws.ToString(trail.Name)+" "+problem)
				default:
					return passes("%s is logging", aws.ToString(trail.Name))
				}
			}
			if len(untold) > 0 {
				return unknown("%s", some(untold))
			}
			return fails("%s", some(append([]string{"no trail is logging"}, wrong...)))
		},
	}
}

// trail tells what a trail lacks to log who reads and writes secrets, or "".
func (f *facts) trail(ctx context.Context, trail cttypes.Trail) (problem string, err error) {
	status, err := f.trails().GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: trail.TrailARN})
	if err != nil {
		return "", err
	}
	selectors, err := f.trails().GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: trail.TrailARN})
	switch {
	case err != nil:
		return "", err
	case !aws.ToBool(status.IsLogging):
		return "is off", nil
	case !slices.ContainsFunc(selectors.EventSelectors, basic) && !slices.ContainsFunc(selectors.AdvancedEventSelectors, advanced):
		return "doesn't log all reads and writes of secrets", nil
	case f.Settings.ReplicaRegion != "" && !aws.ToBool(trail.IsMultiRegionTrail):
		return "logs one region", nil
	}
	return "", nil
}

// basic tells whether a selector takes all management events of secrets in; KMS
// and the RDS Data API are all that it can leave out (CloudTrail API reference,
// EventSelector).
func basic(s cttypes.EventSelector) bool {
	return (s.IncludeManagementEvents == nil || *s.IncludeManagementEvents) && (s.ReadWriteType == "" || s.ReadWriteType == cttypes.ReadWriteTypeAll)
}

// advanced is basic for a selector of fields, which may leave other services out.
func advanced(s cttypes.AdvancedEventSelector) bool {
	management := false
	for _, field := range s.FieldSelectors {
		switch name := aws.ToString(field.Field); {
		case name == "eventCategory":
			management = slices.Contains(field.Equals, "Management")
		case name == "eventSource" && len(field.NotEquals) > 0 && !slices.Contains(field.NotEquals, "secretsmanager.amazonaws.com"):
		default:
			return false // to reads, to writes, or to some calls
		}
	}
	return management
}

func auditorCheck() Check {
	return Check{
		ID: "auditor", Name: "the auditor's function", Why: "It looks at every secret once a day.",
		How: "lambda:GetFunctionConfiguration", Remedy: deploy,
		ask: func(ctx context.Context, f *facts) Answer { return f.function(ctx, f.resource("audit")) },
	}
}

// function tells whether a function is there and active.
func (f *facts) function(ctx context.Context, name string) Answer {
	c, err := f.lambda().GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	switch {
	case err != nil:
		return failed("the function "+name, err)
	case c.State != lambdatypes.StateActive && c.State != lambdatypes.StateInactive:
		return fails("%s is %s", name, c.State)
	default:
		return passes("%s", name)
	}
}

// latestAudit is how old the newest audit may be: one a day, and time to run.
const latestAudit = 26 * time.Hour

func auditedCheck() Check {
	return Check{
		ID: "audited", Name: "an audit of the last day", Why: "The stack is audited before anything moves, so that what the migration changes is seen.",
		How: "the newest report in the audit's bucket", Remedy: "Wait for the daily run, or invoke the auditor's function; its log says why it fails.",
		ask: func(ctx context.Context, f *facts) Answer {
			_, answer := f.audited(ctx)
			return answer
		},
	}
}

// audited reads the newest audit and tells whether it is good for anything.
func (f *facts) audited(ctx context.Context) (audit, Answer) {
	a, err := f.newestAudit(ctx)
	switch {
	case err != nil:
		return a, failed("a report in the bucket "+f.bucket(), err)
	case f.Now.Sub(a.Time) > latestAudit:
		return a, fails("the newest audit is of %s", moment(a.Time))
	case !a.Complete:
		return a, fails("the audit of %s is incomplete", moment(a.Time))
	default:
		return a, passes("audited at %s", moment(a.Time))
	}
}

// untilCleanup tells of the audit's rules that a migration breaks until its
// cleanup: while a service keeps its old value, that is in plaintext, and a
// secret that rotates would make it useless.
func untilCleanup(rule string) bool {
	return strings.HasPrefix(rule, "plaintext-") || rule == "rotation-disabled"
}

func auditCleanCheck() Check {
	return Check{
		ID: "audit-clean", Name: "an audit without critical or high findings", Why: "What was migrated must be as safe as what was there before.",
		How:    "the newest report in the audit's bucket, if it is newer than the last switch; until the cleanup, plaintext and secrets that don't rotate yet are no findings",
		Remedy: "See the audit's report: mend what it finds, or accept it in the audit's policy with a reason.",
		ask: ofMigration(func(ctx context.Context, f *facts, _ plan.Plan, state journal.State) Answer {
			a, answer := f.audited(ctx)
			if answer.Result != Pass {
				return answer
			}
			if last := state.LastSwitch(); a.Time.Before(last) {
				return unknown("the newest audit is of %s, and the last service was switched at %s", moment(a.Time), moment(last))
			}
			var wrong, untold []string
			for _, rule := range a.Rules {
				if rule.Severity != "critical" && rule.Severity != "high" || untilCleanup(rule.ID) && !state.Cleaned() {
					continue
				}
				if n := rule.Counts["fail"]; n > 0 {
					wrong = append(wrong, fmt.Sprintf("%s: %d findings", rule.ID, n))
				}
				if n := rule.Counts["unknown"]; n > 0 {
					untold = append(untold, fmt.Sprintf("%s: %d unknown", rule.ID, n))
				}
			}
			return all(answer.Detail, wrong, untold)
		}),
	}
}

func layerCheck() Check {
	return Check{
		ID: "layer", Name: "the layer with the cache", Why: "Functions in any language read from it.",
		How: "lambda:ListLayerVersions for arm64 and x86_64", Remedy: deploy,
		ask: func(ctx context.Context, f *facts) Answer {
			var found, untold []string
			for _, architecture := range []string{"arm64", "x86_64"} {
				name := f.resource("secrets-cache-" + architecture)
				out, err := f.lambda().ListLayerVersions(ctx, &lambda.ListLayerVersionsInput{LayerName: &name})
				switch {
				case err != nil && !notThere(err):
					untold = append(untold, name+" can't be read: "+reason(err))
				case err == nil && len(out.LayerVersions) > 0:
					found = append(found, name)
				}
			}
			if len(found) > 0 {
				return passes("%s", strings.Join(found, ", "))
			}
			if len(untold) > 0 {
				return unknown("%s", some(untold))
			}
			return fails("no version of a layer %s", f.resource("secrets-cache-…"))
		},
	}
}

func rotatorsCheck() Check {
	return Check{
		ID: "rotators", Name: "the rotation functions", Why: "They make the new values of secrets.",
		How: "lambda:GetFunctionConfiguration of the function of each kind in the catalogue", Remedy: deploy,
		ask: func(ctx context.Context, f *facts) Answer {
			found, wrong, untold := f.describe(ctx, f.declared())
			seen := map[string]bool{}
			for _, secret := range found {
				arn := aws.ToString(secret.RotationLambdaARN)
				if arn == "" || seen[arn] {
					continue
				}
				seen[arn] = true
				switch a := f.function(ctx, arn); a.Result {
				case Fail:
					wrong = append(wrong, a.Detail)
				case Unknown:
					untold = append(untold, a.Detail)
				}
			}
			if len(seen) == 0 && len(wrong)+len(untold) == 0 {
				return fails("no secret of the catalogue has a rotation function")
			}
			return all(fmt.Sprintf("%d functions", len(seen)), wrong, untold)
		},
	}
}

func rotatedCheck() Check {
	return Check{
		ID: "rotated", Name: "each rotation function has rotated a secret", Why: "Rotation is proved in dev before anything depends on it.",
		How: "the last rotation of the catalogue's secrets", Remedy: "Rotate a secret of each function: bin/rotate now <secret>.", Stacks: []string{string(Dev)},
		ask: func(ctx context.Context, f *facts) Answer {
			found, wrong, untold := f.describe(ctx, f.declared())
			rotated := map[string]bool{}
			for _, secret := range found {
				if arn := aws.ToString(secret.RotationLambdaARN); arn != "" {
					rotated[arn] = rotated[arn] || secret.LastRotatedDate != nil
				}
			}
			for arn, done := range rotated {
				if !done {
					wrong = append(wrong, arn[strings.LastIndex(arn, ":")+1:]+" has rotated no secret")
				}
			}
			if len(rotated) == 0 && len(wrong)+len(untold) == 0 {
				return fails("no secret of the catalogue has a rotation function")
			}
			return all(fmt.Sprintf("%d functions", len(rotated)), wrong, untold)
		},
	}
}

func noAlarmCheck() Check {
	return Check{
		ID: "no-alarm", Name: "none of the stack's alarms rings", Why: "Whoever watches a migration looks at them first.",
		How: "cloudwatch:DescribeAlarms of the stack in its regions; until the cleanup, plaintext that is left rings for good reason", Remedy: "See the alarm's description.",
		ask: ofMigration(func(ctx context.Context, f *facts, _ plan.Plan, state journal.State) Answer {
			var ringing []string
			seen := 0
			for _, config := range f.regions() {
				names, all, err := f.alarming(ctx, config)
				if err != nil {
					return failed("the state of the alarms in "+config.Region, err)
				}
				seen += all
				for _, name := range names {
					switch name {
					case f.resource(spec.AlarmPlaintextLeft), f.resource(spec.AlarmAuditCritical):
						if !state.Cleaned() {
							continue // audit-clean tells of what else is critical
						}
					case f.resource(spec.AlarmUnexpectedRead):
						name += " (also by a service that the catalogue doesn't name yet: add the plan's entries to the stack's file, and deploy)"
					}
					ringing = append(ringing, name)
				}
			}
			if seen == 0 {
				return fails("the stack has no alarm: deploy it")
			}
			return all(fmt.Sprintf("none of %d alarms rings", seen), ringing, nil)
		}),
	}
}

// alarming returns the names of the stack's alarms in a region that ring, and how
// many alarms there are.
func (f *facts) alarming(ctx context.Context, config aws.Config) (names []string, total int, err error) {
	pages := cloudwatch.NewDescribeAlarmsPaginator(cloudwatch.NewFromConfig(config), &cloudwatch.DescribeAlarmsInput{
		AlarmNamePrefix: aws.String(f.resource("")), AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, 0, err
		}
		total += len(page.MetricAlarms) + len(page.CompositeAlarms)
		for _, alarm := range page.MetricAlarms {
			if alarm.StateValue == cwtypes.StateValueAlarm {
				names = append(names, aws.ToString(alarm.AlarmName))
			}
		}
		for _, alarm := range page.CompositeAlarms {
			if alarm.StateValue == cwtypes.StateValueAlarm {
				names = append(names, aws.ToString(alarm.AlarmName))
			}
		}
	}
	return names, total, nil
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
