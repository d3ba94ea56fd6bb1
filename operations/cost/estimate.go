// Package cost estimates what a stack costs in a month, from what it declares,
// the dated table of prices in prices.json, and assumptions that can be set. It
// compares ways to read secrets: without a cache, with the cache of AWS's own
// Lambda extension, and with this project's.
//
// It is an estimate to plan with and no bill: it knows no discounts and no free
// tiers, and leaves out what costs less than the cent that it rounds to.
package cost

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/sdk/spec"
)

// daysPerMonth is what AWS's own calculator takes: 730 hours.
const (
	hoursPerMonth = 730.0
	daysPerMonth  = hoursPerMonth / 24
	secondsPerDay = 24 * 60 * 60.0
)

// Line is something that costs.
type Line struct {
	Group    string  `json:"group"` // the service of AWS
	Item     string  `json:"item"`
	Quantity float64 `json:"quantity"` // a month
	Price    string  `json:"price"`    // its key in the table
	USD      float64 `json:"usd"`      // a month
}

// Way is a way to read secrets.
type Way struct {
	Name    string  `json:"name"`
	Calls   float64 `json:"calls"`   // of GetSecretValue, a month
	Avoided float64 `json:"avoided"` // per cent of the reads that make no call
	USD     float64 `json:"usd"`     // calls, their requests to KMS, and the feed
}

// Planned is a line of ADR-006's own estimate, beside this one.
type Planned struct {
	Item   string  `json:"item"`
	ADR    string  `json:"adr"`
	USD    float64 `json:"usd"`
	Reason string  `json:"reason,omitempty"` // why it differs
}

// Estimate is what a stack costs in a month.
type Estimate struct {
	Environment string    `json:"environment"`
	Region      string    `json:"region"`
	DRRegion    string    `json:"drRegion,omitempty"`
	Secrets     int       `json:"secrets"`
	AsOf        string    `json:"pricesAsOf"`
	PricesOf    string    `json:"pricesOfRegion"`
	Assumptions Values    `json:"assumptions"`
	Lines       []Line    `json:"lines"`
	USD         float64   `json:"usd"`
	Reads       float64   `json:"reads"` // of secrets by services, a month
	Ways        []Way     `json:"ways"`  // the last one is the stack's
	Saved       float64   `json:"savedUsd"`
	ADR         []Planned `json:"adr"`
}

// estimator adds up.
type estimator struct {
	stack    catalogue.Stack
	values   Values
	prices   Prices
	estimate *Estimate
}

// New estimates a stack. The values must be valid.
func New(stack catalogue.Stack, values Values, prices Prices) *Estimate {
	e := estimator{stack, values, prices, &Estimate{
		Environment: stack.Settings.Environment, Region: stack.Region, DRRegion: stack.Settings.ReplicaRegion,
		Secrets: len(stack.Secrets), AsOf: prices.AsOf, PricesOf: prices.Region, Assumptions: values,
	}}
	e.secrets()
	e.reading()
	e.rotating()
	e.watching()
	e.planned()
	return e.estimate
}

func (e estimator) usd(price string, quantity float64) float64 {
	return e.prices.Prices[price].USD * quantity
}

func (e estimator) add(group, item, price string, quantity float64) {
	if quantity == 0 {
		return
	}
	usd := e.usd(price, quantity)
	e.estimate.Lines = append(e.estimate.Lines, Line{group, item, quantity, price, usd})
	e.estimate.USD += usd
}

// regions is in how many regions the secrets are.
func (e estimator) regions() float64 {
	if e.stack.Settings.ReplicaRegion == "" {
		return 1
	}
	return 2
}

func (e estimator) secrets() {
	n := float64(len(e.stack.Secrets))
	e.add("Secrets Manager", "secrets", "secret", n)
	e.add("Secrets Manager", "replicas", "secret", n*(e.regions()-1))
	keys := e.values["keys"] + 2*(e.regions()-1) // the secrets' key has a replica, and the second region's alerts have a key
	e.add("KMS", "keys", "key", keys)
	e.add("KMS", "keys' rotations", "key-rotation", keys*min(2, e.values["keyRotations"]))
}

// pairs counts the secrets of services, each for each service that reads it, and
// services those that read any.
func (e estimator) pairs() (pairs, services float64) {
	reads := map[string]bool{}
	for _, s := range e.stack.Secrets {
		if s.Value == catalogue.ValueAwaited {
			continue
		}
		for _, reader := range s.Readers {
			pairs++
			reads[reader] = true
		}
	}
	return pairs, float64(len(reads))
}

// extensionTTL is the default, and the longest, time that AWS's Parameters and
// Secrets Lambda Extension keeps a value (Secrets Manager user guide, "AWS
// Parameters and Secrets Lambda Extension").
const extensionTTL = 300 * time.Second

// defaultTTL is the SDK's.
const defaultTTL = time.Hour

// reading compares the ways to read and adds what the stack's costs.
func (e estimator) reading() {
	pairs, services := e.pairs()
	instances := e.values["instances"]
	ttl := e.stack.Cache.TTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	// The SDK shortens a TTL by up to 5 %, and fetches at about 85 % of it.
	ours := time.Duration(float64(ttl) * 0.975 * 0.85)
	perDay := func(ttl time.Duration) float64 {
		return min(e.values["readsPerDay"], e.values["restartsPerDay"]+secondsPerDay/ttl.Seconds())
	}
	reads := pairs * instances * e.values["readsPerDay"] * daysPerMonth
	// A rotation that the feed tells of costs each cache one more fetch.
	told := 0.0
	for _, s := range e.stack.Secrets {
		if s.Value != catalogue.ValueAwaited {
			told += e.rotations(s) * float64(len(s.Readers)) * instances
		}
	}
	cached := min(reads, pairs*instances*perDay(ours)*daysPerMonth+told)
	queries := services * instances * min(e.values["readsPerDay"], secondsPerDay/e.values["feedSeconds"]) * daysPerMonth
	// A query of a few entries, read eventually consistently, is half a unit.
	units := queries / 2

	way := func(name string, calls, units float64) Way {
		w := Way{Name: name, Calls: calls, USD: e.usd("secret-call", calls) + e.usd("key-request", calls) + e.usd("dynamodb-read", units)}
		if reads > 0 {
			w.Avoided = 100 * (1 - calls/reads)
		}
		return w
	}
	e.estimate.Reads = reads
	e.estimate.Ways = []Way{
		way("no cache", reads, 0),
		way("AWS's extension, 300 s", pairs*instances*perDay(extensionTTL)*daysPerMonth, 0),
		way(fmt.Sprintf("this stack, %s and the rotation feed", short(ttl)), cached, units),
	}
	e.estimate.Saved = e.estimate.Ways[0].USD - e.estimate.Ways[2].USD
	e.add("Secrets Manager", "reads by services", "secret-call", cached)
	e.add("KMS", "decryptions for services", "key-request", cached)
	e.add("DynamoDB", "requests to the rotation feed", "dynamodb-read", units)
}

// rotations returns how often a secret is rotated in a month.
func (e estimator) rotations(s catalogue.Secret) float64 {
	if !s.Rotates() || s.Schedule.Shortest <= 0 {
		return 0
	}
	return hoursPerMonth / s.Schedule.Shortest.Hours() * e.values["retries"]
}

// What a rotation makes beside the steps of its function.
const (
	steps          = 4
	metricsPerStep = 2 // for each kind of secret: duration and errors

	alarmsPerFunction = 3 // errors, throttles, duration
	standbyAlarms     = 5 // metrics beside those, in the second region: failed rotations, stale reads and all, late changes, the feed's queue
	// calls are DescribeSecret and two reads a step, and the writes.
	callsPerRotation = 14
	// events are those of a rotation in CloudTrail that the feed's function gets.
	eventsPerRotation = 3
	feedSeconds       = 0.2
	functionGB        = 1.0 / 1024
	smallFunctionMB   = 128
)

func (e estimator) rotating() {
	var all, invocations float64
	seconds := map[string]float64{} // GB-seconds by architecture
	for _, s := range e.stack.Secrets {
		n := e.rotations(s)
		rotator := e.stack.Rotators[s.Rotator]
		all += n
		invocations += n * steps
		seconds[rotator.Architecture] += n * steps * e.values["stepSeconds"] * float64(rotator.MemoryMB) * functionGB
	}
	e.add("Secrets Manager", "calls of rotations", "secret-call", all*callsPerRotation)
	e.add("KMS", "requests of rotations", "key-request", all*(callsPerRotation+2*(e.regions()-1)))
	e.add("DynamoDB", "entries of the rotation feed", "dynamodb-write", all*e.regions())

	feed := all * eventsPerRotation
	seconds[e.stack.Events.Architecture] += feed * feedSeconds * smallFunctionMB * functionGB
	audits := daysPerMonth
	seconds[e.stack.Audit.Architecture] += audits * e.values["auditSeconds"] * float64(e.stack.Audit.MemoryMB) * functionGB
	if scan := e.stack.Audit.Scan; !scan.Off {
		seconds[e.stack.Audit.Architecture] += daysPerMonth * e.values["auditSeconds"] * float64(scan.MemoryMB) * functionGB
		audits += daysPerMonth
	}
	e.add("Lambda", "invocations of rotations, feed, audit and scan", "lambda-request", invocations+feed+audits)
	for _, architecture := range []string{"arm64", "x86_64"} {
		e.add("Lambda", "GB-seconds on "+architecture, "lambda-"+architecture, seconds[architecture])
	}
	e.endpoints()
}

// endpoints adds those that the stack makes in VPCs. Those of DynamoDB and S3 are
// gateways and free.
func (e estimator) endpoints() {
	hours := 0.0
	for _, rotator := range e.stack.Rotators {
		for _, vpc := range []*catalogue.VPC{rotator.VPC, rotator.Standby.VPC} {
			if vpc == nil {
				continue
			}
			for _, service := range vpc.Endpoints {
				if service != "dynamodb" && service != "s3" {
					hours += float64(len(vpc.SubnetIDs)) * hoursPerMonth
				}
			}
		}
	}
	e.add("VPC", "hours of endpoints", "endpoint-hour", hours)
}

// What an audit does with a secret in a region: its share of a list, its policy,
// and for some a closer look.
const (
	callsPerAudit = 2
	filesPerDay   = 2 * 24 * 12 // of a trail, which writes every five minutes in a region where something happens
	configRules   = 5           // that the stack has, of which
	periodic      = 2           // are evaluated every day
)

func (e estimator) watching() {
	n := float64(len(e.stack.Secrets))
	e.add("Secrets Manager", "calls of the audit", "secret-call", n*e.regions()*callsPerAudit*daysPerMonth)
	functions := map[string]bool{"rotation-feed": true, "audit": true}
	if !e.stack.Audit.Scan.Off {
		functions["migration-scan"] = true
	}
	queues := len(functions) // of what each of these failed on
	standby := map[string]bool{"rotation-feed": true}
	for _, s := range e.stack.Secrets {
		if s.NeedsRotator() {
			functions["rotate-"+s.Rotator] = true
			if e.stack.Rotators[s.Rotator].StandsBy() {
				standby["rotate-"+s.Rotator] = true
			}
		}
	}
	e.add("CloudWatch", "metrics with alarms", "alarm", float64(len(functions)*alarmsPerFunction+queues)+e.values["otherAlarms"])
	e.add("CloudWatch", "metrics with alarms in the second region", "alarm", (e.regions()-1)*float64(len(standby)*alarmsPerFunction+standbyAlarms))
	e.add("CloudWatch", "dashboards", "dashboard", e.values["dashboards"])
	e.add("CloudWatch", "custom metrics, by the hours", "metric", e.metricHours()/hoursPerMonth)
	e.add("CloudWatch", "GB of logs", "logs", e.values["logGb"])
	e.add("CloudWatch", "GB of logs kept", "logs-stored", e.values["logGb"]*float64(e.stack.Settings.LogRetentionDays)/daysPerMonth)
	if e.values["otherTrails"] > 0 {
		events := e.estimate.Ways[len(e.estimate.Ways)-1].Calls*2 + e.values["writesPerDay"]*daysPerMonth // a read is an event, and its decryption
		e.add("CloudTrail", "management events of a further trail", "trail-event", events)
	}
	e.add("S3", "GB of reports and of the trail", "s3-stored", e.values["reportGb"])
	e.add("S3", "files written", "s3-write", filesPerDay*daysPerMonth)
	e.add("KMS", "encryptions of the trail's files", "key-request", filesPerDay*daysPerMonth)
	if e.stack.Audit.ConfigRules {
		changes := 0.0
		for _, s := range e.stack.Secrets {
			changes += e.rotations(s) + 1
		}
		e.add("Config", "evaluations of rules", "config-evaluation", n*periodic*daysPerMonth+changes*(configRules-periodic))
		e.add("Config", "changes of secrets recorded", "config-item", changes)
	}
	if slices.ContainsFunc(e.stack.Events.Subscriptions, func(s catalogue.Subscription) bool { return s.Protocol == "email" }) {
		e.add("SNS", "alerts by email", "sns-email", e.values["mails"])
	}
}

// metricHours are the hours in which custom metrics are sent, each metric's: AWS
// charges for no others (CloudWatch user guide, "Analyzing, optimizing, and reducing
// CloudWatch costs").
func (e estimator) metricHours() float64 {
	byKind, all := map[spec.Kind]float64{}, 0.0 // rotations, each of which is over in an hour
	for _, s := range e.stack.Secrets {
		byKind[s.Kind] += e.rotations(s)
		all += e.rotations(s)
	}
	hours := e.values["dailyMetrics"]*daysPerMonth + e.values["hourlyMetrics"]*hoursPerMonth
	hours += min(hoursPerMonth, all) // of the feed's lag
	for _, n := range byKind {
		hours += min(hoursPerMonth, n) * steps * metricsPerStep
	}
	return hours
}

// planned sets the estimate beside ADR-006's, "Consequences", "Cost Increase",
// which is for 50 secrets.
func (e estimator) planned() {
	of := func(group string, items ...string) (usd float64) {
		for _, line := range e.estimate.Lines {
			if line.Group == group && (len(items) == 0 || slices.Contains(items, line.Item)) {
				usd += line.USD
			}
		}
		return usd
	}
	secrets := of("Secrets Manager", "secrets")
	replicas := of("Secrets Manager", "replicas")
	keys := of("KMS")
	calls := of("Secrets Manager") - secrets - replicas
	const counted = 50
	e.estimate.ADR = []Planned{
		{fmt.Sprintf("secrets (%d here, %d there)", len(e.stack.Secrets), counted), "$20", secrets, ""},
		{"API calls", "$0.50", calls, ""},
		{"KMS", "included", keys, "a key of one's own costs a dollar a month in each region, and its requests; only Secrets Manager's own key is included"},
		{"replication", "$5", replicas, "AWS prices a replica as a secret, so all secrets' replicas cost as much as the secrets"},
		{"all the rest", "not counted", e.estimate.USD - secrets - replicas - keys - calls, "alarms, metrics, logs, audit, rotation functions, endpoints"},
		{"total", "$25 to $30", e.estimate.USD, ""},
	}
	if replicas == 0 {
		e.estimate.ADR[3].Reason = "this stack has no replicas"
	}
}

// ForADR returns the stack with as many secrets as ADR-006 counts with: its own
// over and over, each under a name of its own.
func ForADR(stack catalogue.Stack) catalogue.Stack {
	const counted = 50
	own := stack.Secrets
	stack.Secrets = nil
	for i := 0; len(own) > 0 && i < counted; i++ {
		s := own[i%len(own)]
		s.Name = spec.Name{Organization: s.Name.Organization, Environment: s.Name.Environment, Service: s.Name.Service, Secret: fmt.Sprintf("%s-%d", s.Name.Secret, i)}
		stack.Secrets = append(stack.Secrets, s)
	}
	return stack
}

// short writes a duration without what is zero: 1h for 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
