// Package scorecard measures the seven success metrics of ADR-006 for a stack:
// each with its target, where its value comes from, and how it went since the
// earlier scorecards. What can't be measured is unknown, and never counts as
// met. No secret's value is kept or shown.
package scorecard

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aistudio/secrets/infra/catalogue"
)

// Status is how a metric stands.
type Status string

// The states.
const (
	Met     Status = "met"
	Missed  Status = "missed"
	Unknown Status = "unknown" // it couldn't be measured; the reason says why
)

// Metric is one success metric.
type Metric struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`   // as ADR-006 has it
	Target   string     `json:"target"` // as ADR-006 has it
	Status   Status     `json:"status"`
	Value    *float64   `json:"value"`              // null: there is none
	Unit     string     `json:"unit"`               // of value
	Measured *time.Time `json:"measured,omitempty"` // when its source is from
	Source   string     `json:"source,omitempty"`
	Detail   string     `json:"detail,omitempty"` // what the value is made of
	Reason   string     `json:"reason,omitempty"` // why it is missed or unknown
	Trend    []Point    `json:"trend"`            // the earlier scorecards' values, oldest first; never null
}

// Point is a metric in an earlier scorecard.
type Point struct {
	Time   time.Time `json:"time"`
	Status Status    `json:"status"`
	Value  *float64  `json:"value"`
}

// Scorecard is all metrics at a time.
type Scorecard struct {
	Version     int            `json:"version"`
	Environment string         `json:"environment"`
	Region      string         `json:"region"`
	Time        time.Time      `json:"time"`
	LocalCloud  bool           `json:"localCloud"` // it is about the emulator, and not about AWS
	Counts      map[Status]int `json:"counts"`
	Metrics     []Metric       `json:"metrics"`
}

// Version is the version of a scorecard's JSON.
const Version = 1

// Options say what is measured, and from what.
type Options struct {
	Stack      catalogue.Stack
	AWS        aws.Config // credentials and endpoint; the regions are the stack's
	LocalCloud bool       // the endpoint is a local cloud
	Evidence   Evidence
	History    []Scorecard // earlier ones, oldest first
	NoReads    bool        // don't read secrets to measure the latency
	Now        time.Time
}

// Measure measures all metrics. The error is ctx's: what can't be measured is
// unknown.
func Measure(ctx context.Context, o Options) (*Scorecard, error) {
	s := &Scorecard{
		Version: Version, Environment: o.Stack.Settings.Environment, Region: o.Stack.Region, Time: o.Now.UTC(),
		LocalCloud: o.LocalCloud, Counts: map[Status]int{},
	}
	m := newMeter(o)
	inventory := m.inventory(ctx)
	s.Metrics = []Metric{
		m.hardcoded(),
		m.share(inventory),
		m.compliance(ctx),
		m.age(ctx, inventory),
		m.latency(ctx, inventory),
		m.coverage(ctx),
		m.recovery(),
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for i := range s.Metrics {
		s.Metrics[i].Trend = s.trend(o.History, s.Metrics[i].ID)
		s.Counts[s.Metrics[i].Status]++
	}
	return s, nil
}

// trendLength is how many earlier scorecards a trend shows.
const trendLength = 12

// trend takes those of the earlier scorecards that are about the same thing: the
// emulator's numbers are none of AWS's.
func (s *Scorecard) trend(history []Scorecard, id string) []Point {
	points := []Point{}
	for _, earlier := range history {
		if earlier.Environment != s.Environment || earlier.LocalCloud != s.LocalCloud || !earlier.Time.Before(s.Time) {
			continue
		}
		for _, m := range earlier.Metrics {
			if m.ID == id {
				points = append(points, Point{earlier.Time, m.Status, m.Value})
			}
		}
	}
	return points[max(0, len(points)-trendLength):]
}

// known sets a metric's value, and whether it is met.
func (m Metric) known(value float64, met bool, reason string) Metric {
	m.Value, m.Status = &value, Met
	if !met {
		m.Status, m.Reason = Missed, reason
	}
	return m
}

// unknown says why a metric has no value, or none that counts.
func (m Metric) unknown(reason string) Metric {
	m.Status, m.Reason = Unknown, reason
	return m
}

func (m Metric) from(source string, at time.Time) Metric {
	m.Source = source
	if !at.IsZero() {
		at = at.UTC()
		m.Measured = &at
	}
	return m
}
