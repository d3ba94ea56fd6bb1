package cloudwatch

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// Limits of PutMetricData:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
const (
	maxData       = 1000
	maxDimensions = 30
	maxValues     = 150
	maxPast       = 14 * 24 * time.Hour
	maxFuture     = 2 * time.Hour
)

type dimension struct {
	Name, Value string `json:",omitempty"`
}

// metric is what was reported under one name with the same dimensions.
type metric struct {
	namespace, name string
	dimensions      []dimension
	buckets         []*bucket // by start
	newest          time.Time // start of the last bucket
}

type metricKey struct{ namespace, name, dimensions string }

// bucket holds the data of one unit that begin in one minute (or second, for
// high-resolution metrics).
type bucket struct {
	start int64
	unit  string
	summary
}

func keyOf(namespace, name string, dimensions []dimension) metricKey {
	sorted := slices.SortedFunc(slices.Values(dimensions), byName)
	text, _ := json.Marshal(sorted) // strings can always be encoded
	return metricKey{namespace, name, string(text)}
}

func byName(a, b dimension) int { return cmp.Compare(a.Name, b.Name) }

// datum is one report of a metric.
type datum struct {
	namespace, name string
	dimensions      []dimension
	at              time.Time
	unit            string
	resolution      time.Duration
	summary
}

// Put reports a value of a metric, now, for a service. Dimensions are names and
// values in turn.
func (s *Service) Put(account, region, namespace, name, unit string, value float64, dimensions ...string) {
	s.PutAt(account, region, namespace, name, unit, []float64{value}, s.env.Clock.Now(), false, dimensions...)
}

// PutAt is Put for several values at a time of the caller's choice, with a
// resolution of a second instead of a minute if highResolution.
func (s *Service) PutAt(account, region, namespace, name, unit string, values []float64, at time.Time, highResolution bool, dimensions ...string) {
	d := datum{namespace: namespace, name: name, at: at, unit: cmp.Or(unit, "None"), resolution: time.Minute}
	if highResolution {
		d.resolution = time.Second
	}
	for i := 0; i+1 < len(dimensions); i += 2 {
		d.dimensions = append(d.dimensions, dimension{dimensions[i], dimensions[i+1]})
	}
	for _, v := range values {
		d.add(v, 1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(place{account, region}, d)
}

// store adds a datum and wakes the alarms that watch its metric. s.mu is held.
func (s *Service) store(p place, d datum) {
	k := keyOf(d.namespace, d.name, d.dimensions)
	if s.metrics[p] == nil {
		s.metrics[p] = map[metricKey]*metric{}
	}
	m := s.metrics[p][k]
	if m == nil {
		m = &metric{namespace: d.namespace, name: d.name, dimensions: slices.SortedFunc(slices.Values(d.dimensions), byName)}
		s.metrics[p][k] = m
	}
	start := d.at.Truncate(d.resolution)
	if start.After(m.newest) {
		m.newest = start
	}
	i, found := slices.BinarySearchFunc(m.buckets, &bucket{start: start.Unix(), unit: d.unit}, func(a, b *bucket) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.unit, b.unit))
	})
	if !found {
		m.buckets = slices.Insert(m.buckets, i, &bucket{start: start.Unix(), unit: d.unit})
	}
	m.buckets[i].merge(d.summary)
	for _, a := range s.alarms[p] {
		if a.timer == nil && a.watches(k) {
			s.plan(a)
		}
	}
}

// between sums up the data since from and before to, of one unit or of all.
func (m *metric) between(from, to time.Time, unit string) summary {
	var sum summary
	if m == nil {
		return sum
	}
	i, _ := slices.BinarySearchFunc(m.buckets, from.Unix(), func(b *bucket, start int64) int { return cmp.Compare(b.start, start) })
	for ; i < len(m.buckets) && m.buckets[i].start < to.Unix(); i++ {
		if b := m.buckets[i]; unit == "" || b.unit == unit {
			sum.merge(b.summary)
		}
	}
	return sum
}

type putMetricDataInput struct {
	Namespace  string
	MetricData []metricDatum
}

type metricDatum struct {
	MetricName        string
	Dimensions        []dimension
	Timestamp         *api.Time
	Value             *float64
	StatisticValues   *struct{ SampleCount, Sum, Minimum, Maximum float64 }
	Values, Counts    []float64
	Unit              string
	StorageResolution int
}

func (s *Service) putMetricData(ctx context.Context, r *api.Request, in *putMetricDataInput) (*empty, error) {
	if err := r.Authorize(ctx, api.Check{
		Action: "cloudwatch:PutMetricData", Resource: "*",
		Context: map[string][]string{"cloudwatch:namespace": {in.Namespace}},
	}); err != nil {
		return nil, err
	}
	switch n := len(in.MetricData); {
	case in.Namespace == "":
		return nil, missing("Namespace")
	case strings.HasPrefix(in.Namespace, "AWS/"):
		return nil, invalid("The value AWS/ for parameter Namespace is invalid.")
	case n == 0:
		return nil, missing("MetricData")
	case n > maxData:
		return nil, invalid("The collection MetricData must not have a size greater than %d.", maxData)
	}
	data := make([]datum, 0, len(in.MetricData))
	for i, raw := range in.MetricData {
		d, err := s.datum(in.Namespace, "MetricData.member."+strconv.Itoa(i+1), raw)
		if err != nil {
			return nil, err
		}
		data = append(data, d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range data {
		s.store(at(r), d)
	}
	return nil, nil //nolint:nilnil // an operation without a result
}

// datum checks one report. where is its place in the request.
func (s *Service) datum(namespace, where string, in metricDatum) (datum, error) {
	now := s.env.Clock.Now()
	d := datum{namespace: namespace, name: in.MetricName, dimensions: in.Dimensions, at: now, unit: cmp.Or(in.Unit, "None"), resolution: time.Minute}
	if d.name == "" {
		return d, missing(where + ".MetricName")
	}
	if err := checkDimensions(where, in.Dimensions); err != nil {
		return d, err
	}
	if in.Timestamp != nil {
		d.at = in.Timestamp.Time
		if d.at.Before(now.Add(-maxPast)) || d.at.After(now.Add(maxFuture)) {
			return d, invalid("The parameter %s.Timestamp must be within two weeks before now and two hours after.", where)
		}
	}
	switch in.StorageResolution {
	case 0, 60:
	case 1:
		d.resolution = time.Second
	default:
		return d, invalid("The parameter %s.StorageResolution must be 1 or 60.", where)
	}
	switch {
	case in.Value != nil && in.StatisticValues == nil && len(in.Values) == 0:
		d.add(*in.Value, 1)
	case in.Value == nil && in.StatisticValues != nil && len(in.Values) == 0:
		v := in.StatisticValues
		if v.SampleCount <= 0 || v.Minimum > v.Maximum {
			return d, invalid("The parameters of %s.StatisticValues are no set of statistics.", where)
		}
		d.summary = summary{count: v.SampleCount, sum: v.Sum, min: v.Minimum, max: v.Maximum, opaque: v.Minimum < v.Maximum}
		if !d.opaque {
			d.values = map[float64]float64{v.Minimum: v.SampleCount}
		}
	case in.Value == nil && in.StatisticValues == nil && len(in.Values) > 0:
		if len(in.Values) > maxValues || (in.Counts != nil && len(in.Counts) != len(in.Values)) {
			return d, invalid("The parameters %s.Values and %s.Counts must be of one size, of at most %d.", where, where, maxValues)
		}
		for i, v := range in.Values {
			n := 1.0
			if in.Counts != nil {
				n = in.Counts[i]
			}
			d.add(v, n)
		}
	default:
		return d, combination("Exactly one of %s.Value, %s.Values and %s.StatisticValues must be given.", where, where, where)
	}
	return d, nil
}

func checkDimensions(where string, dimensions []dimension) error {
	if len(dimensions) > maxDimensions {
		return invalid("The collection %s.Dimensions must not have a size greater than %d.", where, maxDimensions)
	}
	seen := map[string]bool{}
	for _, d := range dimensions {
		if d.Name == "" || d.Value == "" || seen[d.Name] {
			return invalid("The dimensions of %s need names, each once, and values.", where)
		}
		seen[d.Name] = true
	}
	return nil
}

type listMetricsInput struct {
	Namespace, MetricName, NextToken, RecentlyActive string
	Dimensions                                       []dimension
}

type listMetricsOutput struct {
	Metrics   []metricOutput
	NextToken string `json:",omitempty"`
}

type metricOutput struct {
	Namespace, MetricName string
	Dimensions            []dimension
}

// listMetrics shows the metrics with data of the last two weeks, 500 a page.
func (s *Service) listMetrics(ctx context.Context, r *api.Request, in *listMetricsInput) (*listMetricsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:ListMetrics", Resource: "*"}); err != nil {
		return nil, err
	}
	oldest := s.env.Clock.Now().Add(-maxPast)
	if in.RecentlyActive == "PT3H" {
		oldest = s.env.Clock.Now().Add(-3 * time.Hour)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []metricOutput{}
	for _, k := range slices.SortedFunc(maps.Keys(s.metrics[at(r)]), func(a, b metricKey) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name), cmp.Compare(a.dimensions, b.dimensions))
	}) {
		m := s.metrics[at(r)][k]
		if (in.Namespace == "" || in.Namespace == m.namespace) && (in.MetricName == "" || in.MetricName == m.name) &&
			!m.newest.Before(oldest) && m.has(in.Dimensions) {
			found = append(found, metricOutput{m.namespace, m.name, m.dimensions})
		}
	}
	const page = 500
	start, err := offset(in.NextToken, len(found))
	if err != nil {
		return nil, err
	}
	out := &listMetricsOutput{Metrics: found[start:min(start+page, len(found))]}
	if start+page < len(found) {
		out.NextToken = strconv.Itoa(start + page)
	}
	return out, nil
}

// has tells whether the metric has all the dimensions; an empty value means any.
func (m *metric) has(filter []dimension) bool {
	for _, f := range filter {
		if !slices.ContainsFunc(m.dimensions, func(d dimension) bool {
			return d.Name == f.Name && (f.Value == "" || d.Value == f.Value)
		}) {
			return false
		}
	}
	return true
}

// offset reads the token of a next page.
func offset(token string, n int) (int, error) {
	if token == "" {
		return 0, nil
	}
	i, err := strconv.Atoi(token)
	if err != nil || i < 0 || i > n {
		return 0, shape(400, "InvalidNextToken", "InvalidNextToken", "The specified nextToken is invalid.")
	}
	return i, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// summary is what CloudWatch keeps of values.
type summary struct {
	count, sum, min, max float64
	values               map[float64]float64 // how often each came
	opaque               bool                // some came as statistics: no percentiles
}

func (s *summary) add(v, n float64) {
	s.merge(summary{count: n, sum: v * n, min: v, max: v, values: map[float64]float64{v: n}})
}

func (s *summary) merge(o summary) {
	if o.count == 0 {
		return
	}
	if s.count == 0 {
		s.min, s.max = o.min, o.max
	}
	s.count += o.count
	s.sum += o.sum
	s.min, s.max = math.Min(s.min, o.min), math.Max(s.max, o.max)
	s.opaque = s.opaque || o.opaque
	if s.values == nil {
		s.values = make(map[float64]float64, len(o.values))
	}
	for v, n := range o.values {
		s.values[v] += n
	}
}

// statistic computes one, or nothing where there are no data for it.
func (s *summary) statistic(name string) (float64, bool) {
	if s.count == 0 {
		return 0, false
	}
	switch name {
	case "SampleCount":
		return s.count, true
	case "Sum":
		return s.sum, true
	case "Average":
		return s.sum / s.count, true
	case "Minimum":
		return s.min, true
	case "Maximum":
		return s.max, true
	}
	p, ok := percentile(name)
	if !ok || s.opaque {
		return 0, false
	}
	left := p / 100 * s.count
	for _, v := range slices.Sorted(maps.Keys(s.values)) {
		if left -= s.values[v]; left <= 0 {
			return v, true
		}
	}
	return s.max, true
}

// percentile reads p0 to p100, with up to ten decimals.
func percentile(name string) (float64, bool) {
	text, ok := strings.CutPrefix(name, "p")
	p, err := strconv.ParseFloat(text, 64)
	return p, ok && err == nil && p >= 0 && p <= 100
}

func checkStatistic(name string) error {
	switch name {
	case "SampleCount", "Sum", "Average", "Minimum", "Maximum":
		return nil
	}
	if _, ok := percentile(name); !ok {
		return unsupported("the statistic " + strconv.Quote(name))
	}
	return nil
}
