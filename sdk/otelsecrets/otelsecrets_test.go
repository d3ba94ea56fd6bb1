package otelsecrets_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/propagators/aws/xray"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/otelsecrets"
	"github.com/aistudio/secrets/sdk/secretstest"
)

const (
	name   = "acme/prod/shop/db"
	canary = "hunter2-canary"
)

func TestSpansAndMetrics(t *testing.T) {
	reader := metric.NewManualReader()
	spans := tracetest.NewSpanRecorder()
	tracers := trace.NewTracerProvider(trace.WithSpanProcessor(spans), trace.WithIDGenerator(xray.NewIDGenerator()))
	hooks, err := otelsecrets.Hooks(metric.NewMeterProvider(metric.WithReader(reader)), tracers)
	require.NoError(t, err)

	store := secretstest.New()
	version := store.Put(name, canary)
	client := store.Client(t, secrets.WithHooks(hooks))

	// A request that comes with X-Ray's header.
	const root = "1-5759e988-bd862e3fe1be46a994272793"
	ctx := xray.Propagator{}.Extract(t.Context(), propagation.MapCarrier{"X-Amzn-Trace-Id": "Root=" + root + ";Parent=53995c3f42cd8ad8;Sampled=1"})
	for range 3 {
		_, err = client.Get(ctx, name)
		require.NoError(t, err)
	}
	broken := errors.New("connection reset")
	store.BeforeCall(func(context.Context, string, string) error { return broken })
	_, err = client.Get(ctx, "acme/prod/shop/none")
	require.ErrorIs(t, err, broken)

	ended := spans.Ended()
	require.Len(t, ended, 2)
	for _, span := range ended {
		assert.Equal(t, "fetch secret", span.Name())
		assert.Equal(t, "5759e988bd862e3fe1be46a994272793", span.SpanContext().TraceID().String())
		assert.Equal(t, "53995c3f42cd8ad8", span.Parent().SpanID().String())
	}
	attributes := fmt.Sprint(ended[0].Attributes())
	assert.Contains(t, attributes, version)
	assert.Contains(t, attributes, secretstest.Region)
	assert.Contains(t, ended[1].Status().Description, "connection reset")

	var metrics metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &metrics))
	counts := map[string]int64{}
	names := map[string]bool{}
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		names[m.Name] = true
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
			for _, point := range sum.DataPoints {
				id, _ := point.Attributes.Value("secret.id")
				outcome, _ := point.Attributes.Value("outcome")
				counts[id.AsString()+" "+outcome.AsString()] = point.Value
			}
		}
	}
	assert.Equal(t, map[string]int64{name + " miss": 1, name + " hit": 2, "acme/prod/shop/none failed": 1}, counts)
	assert.Equal(t, map[string]bool{"aws.secrets.reads": true, "aws.secrets.age": true, "aws.secrets.fetch.duration": true}, names)

	assert.NotContains(t, fmt.Sprintf("%+v %+v", ended, metrics), canary)
}
