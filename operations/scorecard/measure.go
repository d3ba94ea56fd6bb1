package scorecard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cttypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/operations/quota"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// How old evidence may be before nobody knows any more.
const (
	scanAge  = 8 * 24 * time.Hour   // daily in an account, weekly of source code
	auditAge = 2 * 24 * time.Hour   // daily
	drillAge = 366 * 24 * time.Hour // ADR-006: "Annual disaster recovery testing required"
)

// meter measures.
type meter struct {
	Options
	config aws.Config
}

func newMeter(o Options) meter {
	config := o.AWS.Copy()
	config.Region = o.Stack.Region
	return meter{o, quota.Apply(config, quota.DefaultShare/2)} // nothing is urgent here
}

// stale tells why evidence of a time is too old, or "".
func (m meter) stale(at time.Time, atMost time.Duration) string {
	if age := m.Now.Sub(at); age > atMost {
		return fmt.Sprintf("it is %d days old: more than %d days say nothing of today", int(age.Hours()/24), int(atMost.Hours()/24))
	}
	return ""
}

func (m meter) hardcoded() Metric {
	x := Metric{ID: "hardcoded-secrets", Name: "Hardcoded secrets", Target: "0", Unit: "secrets"}
	found := m.Evidence.Code
	if found.From == "" {
		return x.unknown(found.Missing)
	}
	code := found.Value
	x = x.from(found.From, code.Time)
	x.Detail = "found by " + code.Tool
	if reason := m.stale(code.Time, scanAge); reason != "" {
		x = x.known(float64(code.Findings), false, "")
		return x.unknown(reason)
	}
	x = x.known(float64(code.Findings), code.Findings == 0, "take them out of the code, and rotate them: they are in its history")
	if code.Findings == 0 && code.Unread > 0 {
		return x.unknown(fmt.Sprintf("%d places couldn't be scanned", code.Unread))
	}
	return x
}

// inventory is what a stack has in Secrets Manager.
type inventory struct {
	names  []string
	empty  int    // of them, those without a value
	reason string // why it can't be read
}

func (m meter) inventory(ctx context.Context) inventory {
	prefix := m.Stack.Settings.Organization + "/" + m.Stack.Settings.Environment + "/"
	pages := secretsmanager.NewListSecretsPaginator(secretsmanager.NewFromConfig(m.config), &secretsmanager.ListSecretsInput{
		MaxResults: aws.Int32(100), Filters: []smtypes.Filter{{Key: smtypes.FilterNameStringTypeName, Values: []string{prefix}}},
	})
	var i inventory
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return inventory{reason: "the secrets can't be listed: " + code(err)}
		}
		for _, s := range page.SecretList {
			if name := aws.ToString(s.Name); strings.HasPrefix(name, prefix) {
				i.names = append(i.names, name)
				if !hasValue(s) {
					i.empty++
				}
			}
		}
	}
	return i
}

// hasValue tells whether a version is current.
func hasValue(s smtypes.SecretListEntry) bool {
	for _, stages := range s.SecretVersionsToStages {
		if slices.Contains(stages, "AWSCURRENT") {
			return true
		}
	}
	return false
}

// share is that of all known secrets that are in Secrets Manager. One without a value
// isn't there yet, wherever it is.
func (m meter) share(i inventory) Metric {
	x := Metric{ID: "secrets-in-secrets-manager", Name: "Secrets in Secrets Manager", Target: "100 %", Unit: "%"}
	found := m.Evidence.Scan
	switch {
	case found.From == "":
		return x.unknown(found.Missing)
	case i.reason != "":
		return x.unknown(i.reason)
	}
	scan := found.Value
	x = x.from(found.From, scan.Finished)
	plain, doubtful := 0, len(scan.Unread)
	for _, f := range scan.Findings {
		if f.Confidence == spec.ScanPossible {
			doubtful++
		} else {
			plain++
		}
	}
	managed := len(i.names) - i.empty
	x.Detail = fmt.Sprintf("%d managed, %d without a value, %d in plaintext, %d in doubt", managed, i.empty, plain, doubtful)
	if len(i.names)+plain == 0 {
		return x.unknown("there are no secrets")
	}
	todo := fmt.Sprintf("%d secrets are in plaintext: migrate them", plain)
	if plain == 0 {
		todo = fmt.Sprintf("%d secrets have no value yet: fill them", i.empty)
	}
	x = x.known(100*float64(managed)/float64(len(i.names)+plain), plain+i.empty == 0, todo)
	if reason := m.stale(scan.Finished, scanAge); reason != "" {
		return x.unknown(reason)
	}
	if regions := missing(m.regions()[:1], scan.Regions); len(regions) > 0 {
		return x.unknown("the scan left out " + strings.Join(regions, ", "))
	}
	if plain+i.empty == 0 && doubtful > 0 {
		return x.unknown(fmt.Sprintf("%d places couldn't be read, or need somebody to look", doubtful))
	}
	return x
}

func (m meter) regions() []string {
	regions := []string{m.Stack.Region}
	if replica := m.Stack.Settings.ReplicaRegion; replica != "" {
		regions = append(regions, replica)
	}
	return regions
}

func missing(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
}

// compliance is the audit's, of its report or else of its metric.
func (m meter) compliance(ctx context.Context) Metric {
	x := Metric{ID: "rotation-compliance", Name: "Rotation compliance", Target: "100 %", Unit: "%"}
	const todo = "see the findings of the rules rotation-* in the audit's report"
	found := m.Evidence.Audit
	if found.From == "" {
		value, at, reason := m.complianceMetric(ctx)
		if reason != "" {
			return x.unknown(found.Missing + "; and of its metric: " + reason)
		}
		return x.from("CloudWatch, "+spec.MetricNamespace+" "+spec.MetricRotationCompliance, at).known(value, value >= 100, todo)
	}
	audit := found.Value
	x = x.from(found.From, audit.Time)
	x.Detail = fmt.Sprintf("%d secrets", audit.Summary.Secrets)
	x = x.known(audit.Summary.RotationCompliance, audit.Summary.RotationCompliance >= 100, todo)
	switch reason := m.unfit(audit); {
	case reason != "":
		return x.unknown(reason)
	case !audit.Complete:
		return x.unknown("the audit couldn't list all secrets")
	case audit.Summary.Secrets == 0:
		return x.unknown("there are no secrets")
	}
	return x
}

// unfit says why an audit says nothing of the stack as it is, or "".
func (m meter) unfit(audit Audit) string {
	if audit.Environment != m.Stack.Settings.Environment {
		return "the audit was of " + audit.Environment
	}
	return m.stale(audit.Time, auditAge)
}

// complianceMetric returns the newest value of the audit's metric, of an audit that
// was complete and found secrets: of one that wasn't, it says nothing.
func (m meter) complianceMetric(ctx context.Context) (value float64, at time.Time, reason string) {
	ids := map[string]string{"compliance": spec.MetricRotationCompliance, "audits": spec.MetricAudits, "secrets": spec.MetricSecrets}
	in := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(m.Now.Add(-auditAge)), EndTime: aws.Time(m.Now.Add(time.Hour)), ScanBy: cwtypes.ScanByTimestampDescending}
	for id, name := range ids {
		in.MetricDataQueries = append(in.MetricDataQueries, cwtypes.MetricDataQuery{
			Id: &id,
			MetricStat: &cwtypes.MetricStat{
				Metric: &cwtypes.Metric{
					Namespace: aws.String(spec.MetricNamespace), MetricName: &name,
					Dimensions: []cwtypes.Dimension{{Name: aws.String(spec.DimensionEnvironment), Value: aws.String(m.Stack.Settings.Environment)}},
				},
				Period: aws.Int32(3600), Stat: aws.String("Minimum"),
			},
		})
	}
	out, err := cloudwatch.NewFromConfig(m.config).GetMetricData(ctx, in)
	if err != nil {
		return 0, time.Time{}, "it can't be read: " + code(err)
	}
	values := map[string]map[time.Time]float64{}
	for _, result := range out.MetricDataResults {
		byTime := map[time.Time]float64{}
		for i, t := range result.Timestamps {
			byTime[t] = result.Values[i]
			if aws.ToString(result.Id) == "compliance" && t.After(at) {
				at = t
			}
		}
		values[aws.ToString(result.Id)] = byTime
	}
	switch {
	case at.IsZero():
		return 0, time.Time{}, "it has no value of the last two days"
	case values["audits"][at] < 1:
		return 0, time.Time{}, "the audit couldn't list all secrets"
	case values["secrets"][at] < 1:
		return 0, time.Time{}, "there are no secrets"
	}
	return values["compliance"][at], at, ""
}

// age is the average of the current values' ages, over the secrets that have one.
func (m meter) age(ctx context.Context, i inventory) Metric {
	x := Metric{ID: "average-rotation-age", Name: "Average rotation age", Target: "< 90 days", Unit: "days"}
	if i.reason != "" {
		return x.unknown(i.reason)
	}
	client := secretsmanager.NewFromConfig(m.config)
	var (
		mu     sync.Mutex
		days   []float64
		failed int
		reason string // of one of those that failed
		group  errgroup.Group
	)
	group.SetLimit(8)
	for _, name := range i.names {
		group.Go(func() error {
			written, err := currentSince(ctx, client, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed, reason = failed+1, code(err)
			} else if !written.IsZero() {
				days = append(days, m.Now.Sub(written).Hours()/24)
			}
			return nil
		})
	}
	_ = group.Wait() // never fails
	x = x.from("Secrets Manager, the current versions in "+m.Stack.Region, m.Now)
	if failed > 0 {
		return x.unknown(fmt.Sprintf("the versions of %d secrets can't be read: %s", failed, reason))
	}
	if len(days) == 0 {
		return x.unknown("no secret has a value")
	}
	sum := 0.0
	for _, d := range days {
		sum += max(0, d)
	}
	x.Detail = fmt.Sprintf("%d secrets with a value of %d, the oldest of %.0f days", len(days), len(i.names), slices.Max(days))
	average := sum / float64(len(days))
	return x.known(average, average < 90, "rotate what isn't rotated: the audit's report names it")
}

// currentSince returns when the current version was made; zero: there is none.
func currentSince(ctx context.Context, client secretsmanager.ListSecretVersionIdsAPIClient, name string) (time.Time, error) {
	pages := secretsmanager.NewListSecretVersionIdsPaginator(client, &secretsmanager.ListSecretVersionIdsInput{SecretId: &name, MaxResults: aws.Int32(100)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return time.Time{}, err
		}
		for _, v := range page.Versions {
			if slices.Contains(v.VersionStages, "AWSCURRENT") {
				return aws.ToTime(v.CreatedDate), nil
			}
		}
	}
	return time.Time{}, nil
}

// latency is the 99th percentile of what fetching a secret takes: of the traces
// of the services, else of reads made now. Reads that the cache answers make no
// trace, and no difference here.
func (m meter) latency(ctx context.Context, i inventory) Metric {
	x := Metric{ID: "retrieval-latency", Name: "Secret retrieval latency", Target: "< 100 ms", Unit: "ms"}
	const todo = "look at the traces of the slow ones: region, network, cold connections"
	took, failed, reason := m.traced(ctx)
	if n := len(took) + failed; n > 0 {
		x = x.from("X-Ray, fetches of secrets in the traces of the last six hours", m.Now)
		x.Detail = fmt.Sprintf("99th percentile of %d fetches past the cache", len(took))
		if failed > 0 {
			x.Detail += fmt.Sprintf("; %d more failed", failed)
		}
		if len(took) == 0 {
			return x.unknown("all fetches failed")
		}
		value := percentile(took)
		if 100*failed > n { // then there is no 99th percentile of those that should have brought a value
			return x.known(value, false, fmt.Sprintf("%d of %d fetches failed: look at their traces", failed, n))
		}
		return x.known(value, value < 100, todo)
	}
	if m.NoReads {
		return x.unknown(reason + "; and no secret was read to measure it")
	}
	if i.reason != "" {
		return x.unknown(reason + "; " + i.reason)
	}
	took, failed, failure := m.timed(ctx, i.names)
	switch {
	case len(took) == 0:
		return x.unknown(reason + "; and no secret could be read to measure it: " + failure)
	case failed > 0:
		return x.unknown(fmt.Sprintf("%s; and %d of the secrets couldn't be read to measure it: %s", reason, failed, failure))
	}
	x = x.from("reads made just now from here, since "+reason, m.Now)
	x.Detail = fmt.Sprintf("99th percentile of %d reads with an empty cache", len(took))
	value := percentile(took)
	return x.known(value, value < 100, todo)
}

// mostReads is how many secrets are read to measure the latency.
const mostReads = 50

// timed reads secrets through the SDK, each for the first time, and returns the
// milliseconds that it took, and how many it couldn't read.
func (m meter) timed(ctx context.Context, names []string) (took []float64, failed int, failure string) {
	client, err := secrets.New(ctx, secrets.WithConfig(m.config))
	if err != nil {
		return nil, 0, "the SDK's configuration"
	}
	defer client.Close()
	failure = "there is none"
	for n, name := range names[:min(len(names), mostReads+1)] {
		began := time.Now()
		got, err := client.Get(ctx, name)
		d := time.Since(began)
		got.Value.Zero()
		if err != nil {
			if !errors.Is(err, secrets.ErrNotFound) { // it has no value yet
				failed, failure = failed+1, code(err)
			}
			continue
		}
		if n > 0 || len(names) == 1 { // the first one makes the connection
			took = append(took, float64(d.Microseconds())/1000)
		}
	}
	return took, failed, failure
}

// percentile is the 99th, by the nearest rank.
func percentile(values []float64) float64 {
	slices.Sort(values)
	return values[int(math.Ceil(0.99*float64(len(values))))-1]
}

// coverage is the share of the stack's regions in which a trail logs every
// access to secrets, read or write, and no more than the share of its checks
// that the audit could make.
func (m meter) coverage(ctx context.Context) Metric {
	x := Metric{ID: "audit-coverage", Name: "Audit coverage", Target: "100 %", Unit: "%"}
	logged, undelivered, reason := m.logged(ctx)
	if reason != "" {
		return x.unknown(reason)
	}
	regions := m.regions()
	dark := missing(regions, logged)
	value := 100 * float64(len(regions)-len(dark)) / float64(len(regions))
	x = x.from("CloudTrail, the trails that log now", m.Now)
	x.Detail = fmt.Sprintf("management events of %d of %d regions", len(regions)-len(dark), len(regions))
	why := "no trail logs the management events of " + strings.Join(dark, ", ") + undelivered
	audit := m.Evidence.Audit
	if audit.From == "" {
		if len(dark) > 0 {
			return x.known(value, false, why)
		}
		x = x.known(value, true, "")
		return x.unknown("the trails are on, but what the audit could check isn't known: " + audit.Missing)
	}
	x.Source += "; " + audit.From
	x.Detail += fmt.Sprintf("; the audit could make %.1f %% of its checks", audit.Value.Summary.Coverage)
	if len(dark) == 0 {
		why = "the audit couldn't make all checks: its report says why"
	}
	value = min(value, audit.Value.Summary.Coverage)
	x = x.known(value, value >= 100, why)
	if reason := m.unfit(audit.Value); reason != "" && value >= 100 {
		return x.unknown("the audit's report: " + reason)
	}
	return x
}

// logged returns the regions whose management events a trail logs now, reads and
// writes, and delivers. undelivered tells of trails that log and can't deliver.
func (m meter) logged(ctx context.Context) (regions []string, undelivered, reason string) {
	client := cloudtrail.NewFromConfig(m.config)
	out, err := client.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{IncludeShadowTrails: aws.Bool(true)})
	if err != nil {
		return nil, "", "the trails can't be read: " + code(err)
	}
	for _, trail := range out.TrailList {
		// A trail is asked in its home region; its shadows elsewhere answer the same.
		at := func(o *cloudtrail.Options) { o.Region = aws.ToString(trail.HomeRegion) }
		status, err := client.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: trail.TrailARN}, at)
		if err != nil {
			return nil, "", "the status of the trail " + aws.ToString(trail.Name) + " can't be read: " + code(err)
		}
		selectors, err := client.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: trail.TrailARN}, at)
		if err != nil {
			return nil, "", "what the trail " + aws.ToString(trail.Name) + " logs can't be read: " + code(err)
		}
		if !aws.ToBool(status.IsLogging) || !logsManagement(selectors) {
			continue
		}
		if problem := aws.ToString(status.LatestDeliveryError); problem != "" {
			undelivered += "; the trail " + aws.ToString(trail.Name) + " can't write to its bucket: " + problem
			continue
		}
		if aws.ToBool(trail.IsMultiRegionTrail) {
			return m.regions(), "", ""
		}
		regions = append(regions, aws.ToString(trail.HomeRegion))
	}
	return regions, undelivered, ""
}

// logsManagement tells whether management events are logged, reads and writes,
// and those of Secrets Manager and KMS among them.
func logsManagement(out *cloudtrail.GetEventSelectorsOutput) bool {
	for _, s := range out.EventSelectors {
		if aws.ToBool(s.IncludeManagementEvents) && s.ReadWriteType == cttypes.ReadWriteTypeAll && !slices.Contains(s.ExcludeManagementEventSources, "kms.amazonaws.com") {
			return true
		}
	}
	for _, s := range out.AdvancedEventSelectors {
		management, narrowed := false, false
		for _, f := range s.FieldSelectors {
			if aws.ToString(f.Field) == "eventCategory" {
				management = slices.Contains(f.Equals, "Management")
			} else {
				narrowed = true // to reads, writes, or some services
			}
		}
		if management && !narrowed {
			return true
		}
	}
	return false
}

// recovery is the recovery time of the newest drill.
func (m meter) recovery() Metric {
	x := Metric{ID: "dr-recovery-time", Name: "DR recovery time", Target: "< 5 min", Unit: "s"}
	found := m.Evidence.Drill
	if found.From == "" {
		return x.unknown(found.Missing)
	}
	drill := found.Value
	x = x.from(found.From, drill.Finished)
	if drill.Recovered == nil {
		return x.unknown("the newest drill promoted nothing: run one with --for-real")
	}
	c := drill.Recovered
	lost := c.LostInFailover + c.LostInFailback
	x.Detail = fmt.Sprintf("%d secrets promoted, %d versions lost, failback in %.0f s", c.Promoted, lost, c.FailbackSeconds)
	why := "it took too long"
	switch {
	case lost > 0:
		why = "versions were lost"
	case !drill.Passed:
		why = fmt.Sprintf("the drill failed: %d failures in its report", len(drill.Failures))
	}
	x = x.known(c.Seconds, drill.Passed && lost == 0 && c.Seconds < c.TargetSecs, why)
	switch reason := m.stale(drill.Finished, drillAge); {
	case reason != "":
		return x.unknown(reason)
	case drill.Environment != m.Stack.Settings.Environment:
		return x.unknown("the drill was of " + drill.Environment)
	case drill.LocalCloud && !m.LocalCloud:
		return x.unknown("the newest drill ran on the local cloud, which says little of AWS")
	case drill.Resumed && x.Status == Met:
		return x.unknown("the drill was interrupted and went on, so its time isn't that of a whole recovery: run another")
	case c.Promoted == 0 && x.Status == Met:
		return x.unknown("the drill promoted no secret")
	}
	return x
}

// code says what went wrong by AWS's code, since its messages may repeat what
// was sent.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return "no answer"
}
