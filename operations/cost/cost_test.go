package cost_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/operations/cost"
	"github.com/aistudio/secrets/sdk/spec"
)

func prices(t require.TestingT) cost.Prices {
	p, err := cost.LoadPrices()
	require.NoError(t, err)
	return p
}

// stack has n secrets of one reader, rotated every interval.
func stack(n int, replica string, interval, ttl time.Duration) catalogue.Stack {
	s := catalogue.Stack{
		Region:   "us-east-1",
		Settings: catalogue.Settings{Organization: "acme", Environment: "prod", ReplicaRegion: replica, LogRetentionDays: 30},
		Rotators: map[string]catalogue.Rotator{"api-key": {Architecture: "arm64", MemoryMB: 1024}},
		Events:   catalogue.Events{Architecture: "arm64"},
		Audit:    catalogue.Audit{Architecture: "arm64", MemoryMB: 512, Scan: catalogue.Scan{MemoryMB: 256}},
		Cache:    catalogue.Cache{TTL: ttl},
	}
	for i := range n {
		s.Secrets = append(s.Secrets, catalogue.Secret{
			Name: spec.Name{Organization: "acme", Environment: "prod", Service: "shop", Secret: fmt.Sprint(i)}, Kind: spec.KindAPIKey,
			Readers: []string{"shop"}, Value: catalogue.ValuePresent, Rotator: "api-key", Schedule: &catalogue.Schedule{Shortest: interval, Longest: interval},
		})
	}
	return s
}

func line(t *testing.T, e *cost.Estimate, group, item string) cost.Line {
	t.Helper()
	for _, l := range e.Lines {
		if l.Group == group && l.Item == item {
			return l
		}
	}
	require.Fail(t, "no line", "%s %s", group, item)
	return cost.Line{}
}

// Computed by hand from AWS's pages.
func TestEstimate(t *testing.T) {
	values := cost.Defaults()
	values["instances"], values["readsPerDay"], values["restartsPerDay"], values["retries"], values["stepSeconds"] = 2, 10_000, 0, 1, 3
	e := cost.New(stack(10, "us-west-2", 730*time.Hour, time.Hour), values, prices(t))

	assert.InDelta(t, 4.00, line(t, e, "Secrets Manager", "secrets").USD, 1e-9, "10 × $0.40")
	assert.InDelta(t, 4.00, line(t, e, "Secrets Manager", "replicas").USD, 1e-9, "a replica is priced as a secret")
	assert.InDelta(t, 5.00, line(t, e, "KMS", "keys").USD, 1e-9, "three keys, the replica of one, and that of the second region's alerts")
	assert.InDelta(t, 10*2*10_000*730/24.0, e.Reads, 1e-3)
	assert.InDelta(t, e.Reads, e.Ways[0].Calls, 1e-9)
	assert.InDelta(t, e.Reads*(0.05+0.03)/10_000, e.Ways[0].USD, 1e-6, "a call, and a decryption")
	assert.InDelta(t, 10*2*288*730/24.0, e.Ways[1].Calls, 1e-3, "288 times 300 s a day")
	// 86,400 s / (3600 s × 0.975 × 0.85) a day, and one more for each rotation.
	assert.InDelta(t, 10*2*(86_400/2983.5)*730/24+10*2, e.Ways[2].Calls, 1e-3)
	assert.InDelta(t, e.Ways[2].Calls, line(t, e, "Secrets Manager", "reads by services").Quantity, 1e-9)
	assert.InDelta(t, 1*2*2880*730/24.0/2, line(t, e, "DynamoDB", "requests to the rotation feed").Quantity, 1e-3, "half a unit a request")
	// 10 rotations × 4 steps × 3 s × 1 GB; the feed's 30 × 0.2 s × 1/8 GB; the
	// audit's 730/24 × 30 s × 1/2 GB, and the scan's of a quarter.
	assert.InDelta(t, 120+0.75+456.25+228.125, line(t, e, "Lambda", "GB-seconds on arm64").Quantity, 1e-6)
	assert.InDelta(t, 4*3+3+15, line(t, e, "CloudWatch", "metrics with alarms").Quantity, 1e-9, "of the rotation function, the feed's, the audit and the scan; of three queues")
	assert.InDelta(t, 2*3+5, line(t, e, "CloudWatch", "metrics with alarms in the second region").Quantity, 1e-9, "of the rotation function and the feed's")
	// 41 once a day, 8 always; 4 × 2 of steps and the feed's in the hours of 10 rotations.
	assert.InDelta(t, 41/24.0+8+(8*10+10)/730.0, line(t, e, "CloudWatch", "custom metrics, by the hours").Quantity, 1e-9)

	sum := 0.0
	for _, l := range e.Lines {
		sum += l.USD
	}
	assert.InDelta(t, sum, e.USD, 1e-9)
	parts := 0.0
	for _, p := range e.ADR[:len(e.ADR)-1] {
		parts += p.USD
	}
	assert.InDelta(t, e.USD, parts, 1e-9, "the rows beside ADR-006 are all there is")
}

// What ADR-006 counts: 50 secrets, $20; and 95 % fewer calls.
func TestADR(t *testing.T) {
	e := cost.New(cost.ForADR(stack(7, "", 720*time.Hour, 0)), cost.Defaults(), prices(t))
	assert.Equal(t, 50, e.Secrets)
	assert.InDelta(t, 20, e.ADR[0].USD, 1e-9)
	assert.Greater(t, e.Ways[2].Avoided, 95.0)
	assert.Zero(t, e.ADR[3].USD)
	assert.Equal(t, "this stack has no replicas", e.ADR[3].Reason)
}

func TestPrices(t *testing.T) {
	p := prices(t)
	_, err := time.Parse(time.DateOnly, p.AsOf)
	require.NoError(t, err)
	used := map[string]bool{"trail-event": true, "key-rotation": true, "lambda-x86_64": true, "endpoint-hour": true, "config-item": true, "config-evaluation": true, "sns-email": true}
	for _, l := range cost.New(stack(10, "us-west-2", time.Hour, 0), cost.Defaults(), p).Lines {
		assert.Contains(t, p.Prices, l.Price)
		used[l.Price] = true
	}
	for name, price := range p.Prices {
		assert.Positive(t, price.USD, name)
		assert.NotEmpty(t, price.Per, name)
		assert.Regexp(t, `^(AWS: .+|others.*|not)$`, price.Verified, name)
		source, err := url.Parse(price.Source)
		require.NoError(t, err, name)
		assert.Equal(t, "aws.amazon.com", source.Host, name)
		assert.True(t, used[name], "%s is used by nothing", name)
	}
}

// The alarms that are counted are those that the program makes for prod, give or
// take what is added before anybody looks here.
func TestAlarmsOfTheProgram(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "infra", "program", "testdata", "alarms.json"))
	require.NoError(t, err)
	var alarms []struct {
		MetricQueries []struct{ Metric *struct{} }
	}
	require.NoError(t, json.Unmarshal(text, &alarms))
	made := 0
	for _, alarm := range alarms {
		if len(alarm.MetricQueries) == 0 {
			made++
		}
		for _, query := range alarm.MetricQueries {
			if query.Metric != nil {
				made++
			}
		}
	}
	s, err := catalogue.ReadFile(filepath.Join("..", "..", "Pulumi.prod.yaml"))
	require.NoError(t, err)
	assert.InDelta(t, made, line(t, cost.New(s, cost.Defaults(), prices(t)), "CloudWatch", "metrics with alarms").Quantity, 2)
}

func TestMistakes(t *testing.T) {
	_, err := cost.Read(`{"instances": "many", "reedsPerDay": 1, "feedSeconds": 0, "retries": 0.5, "otherAlarms": -1}`)
	for _, want := range []string{"cost.instances is no number", "cost.reedsPerDay is unknown: there are auditSeconds, ", "cost.feedSeconds is 0", "cost.retries is 0.5", "cost.otherAlarms is -1"} {
		require.ErrorContains(t, err, want)
	}
	_, err = cost.Read(`[]`)
	require.ErrorContains(t, err, "is not an object")
	v, err := cost.Read(`{"instances": 7}`)
	require.NoError(t, err)
	assert.InDelta(t, 7, v["instances"], 0)
	assert.InDelta(t, 20_000, v["readsPerDay"], 0)
}

// Whatever is assumed: a cache never costs calls, and no line is negative.
func TestAnyAssumptions(t *testing.T) {
	p := prices(t)
	rapid.Check(t, func(t *rapid.T) {
		values := cost.Values{}
		for _, a := range cost.Assumptions() {
			values[a.Name] = rapid.Float64Range(1, 1e6).Draw(t, a.Name)
		}
		s := stack(rapid.IntRange(0, 20).Draw(t, "secrets"), rapid.SampledFrom([]string{"", "us-west-2"}).Draw(t, "replica"),
			time.Duration(rapid.IntRange(4, 9000).Draw(t, "hours"))*time.Hour, time.Duration(rapid.IntRange(1, 86_400).Draw(t, "ttl"))*time.Second)
		e := cost.New(s, values, p)
		for _, way := range e.Ways {
			require.LessOrEqual(t, way.Calls, e.Reads*(1+1e-9))
			require.GreaterOrEqual(t, way.Avoided, -1e-6)
			require.LessOrEqual(t, way.Avoided, 100.0)
		}
		for _, l := range e.Lines {
			require.GreaterOrEqual(t, l.USD, 0.0, l.Item)
		}
		text, err := json.Marshal(e)
		require.NoError(t, err, "no infinity, no NaN")
		require.NotEmpty(t, text)
	})
}

func TestPages(t *testing.T) {
	for _, name := range []string{"dev", "staging", "prod"} {
		s, err := catalogue.ReadFile(filepath.Join("..", "..", "Pulumi."+name+".yaml"))
		require.NoError(t, err)
		e := cost.New(s, cost.Defaults(), prices(t))
		var text, page, data strings.Builder
		require.NoError(t, e.WriteText(&text))
		require.NoError(t, e.WriteMarkdown(&page))
		require.NoError(t, e.WriteJSON(&data))
		assert.Contains(t, text.String(), "WHAT THE CACHE SAVES")
		assert.Contains(t, page.String(), "# Monthly cost of "+name)
		var back cost.Estimate
		require.NoError(t, json.Unmarshal([]byte(data.String()), &back))
		assert.Equal(t, *e, back)
	}
}
