package audittrail

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/sdk/spec"
)

// The metrics of what the trail saw, each a count in the Namespace of the stack.
// As long as the account is in use at all there is a number of each every minute,
// 0 where nothing happened.
const (
	DeniedReads        = "DeniedReads"        // of a secret's value that were refused
	Reads              = "Reads"              // of a secret's value that succeeded
	ExpectedReads      = "ExpectedReads"      // those among them by a reader, a rotation function or an administrator
	DeletionsScheduled = "DeletionsScheduled" // of secrets
	KeysEndangered     = "KeysEndangered"     // keys that were disabled or whose deletion was scheduled
	TrailChanges       = "TrailChanges"       // the trail was stopped, deleted or changed
)

// Namespace returns the namespace of the metrics, by the prefix of the stack's
// resources: metric filters have no other way to keep stacks of an account apart,
// because they take dimensions from the event alone.
func Namespace(prefix string) string { return spec.MetricNamespace + "/" + prefix }

// maxPattern is CloudWatch Logs' limit of a filter pattern (API reference,
// PutMetricFilter).
const maxPattern = 1024

// counted is where and of what the component counts.
type counted struct {
	group pulumi.StringInput
	trail string // its name; "": any of the account's
	keys  []pulumi.StringInput
}

// count registers the metric filters.
func (t *AuditTrail) count(ctx *pulumi.Context, name string, args Args, of counted) error {
	patterns := []struct {
		name, metric string
		pattern      pulumi.StringInput
	}{
		{"denied-reads", DeniedReads, pulumi.String(deniedReads(args.SecretPrefix))},
		{"reads", Reads, pulumi.String(reads(args.SecretPrefix))},
		{"deletions", DeletionsScheduled, pulumi.String(deletions(args.SecretPrefix))},
		{"keys", KeysEndangered, pulumi.StringArray(of.keys).ToStringArrayOutput().ApplyT(keysEndangered).(pulumi.StringOutput)},
		{"trail", TrailChanges, pulumi.String(trailChanges(of.trail))},
	}
	for i, pattern := range expectedReads(args.SecretPrefix, args.Readers) {
		patterns = append(patterns, struct {
			name, metric string
			pattern      pulumi.StringInput
		}{fmt.Sprintf("expected-reads-%d", i+1), ExpectedReads, pulumi.String(pattern)})
	}
	for _, p := range patterns {
		if _, err := cloudwatch.NewLogMetricFilter(ctx, name+"-"+p.name, &cloudwatch.LogMetricFilterArgs{
			Name:         pulumi.String(args.Prefix + "-" + p.name),
			LogGroupName: of.group,
			Pattern:      p.pattern,
			MetricTransformation: cloudwatch.LogMetricFilterMetricTransformationArgs{
				Namespace:    pulumi.String(Namespace(args.Prefix)),
				Name:         pulumi.String(p.metric),
				Value:        pulumi.String("1"),
				DefaultValue: pulumi.String("0"),
				Unit:         pulumi.String("Count"),
			},
		}, pulumi.Parent(t), pulumi.DeleteBeforeReplace(true)); err != nil {
			return err
		}
	}
	return nil
}

// The patterns are those for JSON events (CloudWatch Logs user guide, "Filter
// pattern syntax"), in which an asterisk at an end stands for any text. Events of
// Secrets Manager name the secret as the caller wrote it, and a batch has one
// event for each secret (Secrets Manager user guide, "AWS CloudTrail entries for
// Secrets Manager").

func deniedReads(prefix string) string {
	return every(from("secretsmanager"), is("eventName", "*GetSecretValue"), is("errorCode", "AccessDenied*"), either(
		is("requestParameters.secretId", prefix+"*"), is("requestParameters.secretId", "*:secret:"+prefix+"*"),
		// What AWS refuses before it looks at the request has no parameters.
		is("errorMessage", "*:secret:"+prefix+"*"), is("errorMessage", "*resource: "+prefix+"*"),
	))
}

func reads(prefix string) string { return every(succeeded("GetSecretValue", prefix)...) }

func deletions(prefix string) string { return every(succeeded("DeleteSecret", prefix)...) }

func succeeded(call, prefix string) []string {
	return []string{
		from("secretsmanager"), is("eventName", call), "($.errorCode NOT EXISTS)",
		either(is("requestParameters.secretId", prefix+"*"), is("requestParameters.secretId", "*:secret:"+prefix+"*")),
	}
}

// expectedReads needs as many patterns as hold all readers. They are of different
// readers, so no read is counted twice.
func expectedReads(prefix string, readers []string) []string {
	var patterns, principals []string
	for _, reader := range readers {
		principal := is("userIdentity.arn", reader)
		if strings.Contains(reader, ":role/") {
			principal = is("userIdentity.sessionContext.sessionIssuer.arn", reader)
		}
		with := append(principals[:len(principals):len(principals)], principal)
		pattern := every(append(succeeded("GetSecretValue", prefix), either(with...))...)
		if len(patterns) == 0 || len(pattern) > maxPattern {
			with = []string{principal}
			pattern = every(append(succeeded("GetSecretValue", prefix), either(with...))...)
			patterns = append(patterns, pattern)
		}
		patterns[len(patterns)-1], principals = pattern, with
	}
	return patterns
}

// keysEndangered names keys by their ID, with which their ARNs end and which the
// replicas of a multi-region key share.
func keysEndangered(arns []string) string {
	var keys []string
	for _, arn := range arns {
		keys = append(keys, is("requestParameters.keyId", "*"+arn[strings.LastIndexByte(arn, '/')+1:]))
	}
	return every(from("kms"), either(is("eventName", "DisableKey"), is("eventName", "ScheduleKeyDeletion")), "($.errorCode NOT EXISTS)", either(keys...))
}

// trailChanges leaves out PutEventSelectors, with which every new trail begins;
// the daily audit looks at what a trail logs.
func trailChanges(trail string) string {
	return every(from("cloudtrail"), either(is("eventName", "StopLogging"), is("eventName", "DeleteTrail"), is("eventName", "UpdateTrail")),
		"($.errorCode NOT EXISTS)", is("requestParameters.name", "*"+trail))
}

func from(service string) string { return is("eventSource", service+".amazonaws.com") }

func is(member, text string) string { return fmt.Sprintf(`($.%s = "%s")`, member, text) }

func either(conditions ...string) string { return "(" + strings.Join(conditions, " || ") + ")" }

func every(conditions ...string) string { return "{ " + strings.Join(conditions, " && ") + " }" }
