// Package otelsecrets reports what a secrets client does to OpenTelemetry: a
// span for each fetch and metrics of reads and fetches, by the secret's id. It
// is a module of its own, so that only services that want OpenTelemetry get it.
//
//	hooks, err := otelsecrets.Hooks(otel.GetMeterProvider(), otel.GetTracerProvider())
//	...
//	client, err := secrets.New(ctx, secrets.WithHooks(hooks))
//
// The span is a child of the caller's, so it is part of the caller's trace with
// whichever propagator and exporter the service has set up, AWS X-Ray's
// included. Hits make no spans. No value of a secret is ever an attribute.
//
//	Metric                      Kind       Unit    Attributes
//	aws.secrets.reads           counter    {read}  secret.id, outcome (hit, miss, stale, failed)
//	aws.secrets.age             histogram  s       secret.id
//	aws.secrets.fetch.duration  histogram  s       secret.id, outcome (ok, failed), region
package otelsecrets

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	secrets "github.com/aistudio/secrets/sdk"
)

const scope = "github.com/aistudio/secrets/sdk/otelsecrets"

// The keys of attributes.
const (
	idKey      = attribute.Key("secret.id")
	outcomeKey = attribute.Key("outcome")
	regionKey  = attribute.Key("region")
	versionKey = attribute.Key("secret.version")
)

// Hooks returns hooks that report to the providers.
func Hooks(meters metric.MeterProvider, tracers trace.TracerProvider) (secrets.Hooks, error) {
	meter := meters.Meter(scope)
	reads, readsErr := meter.Int64Counter("aws.secrets.reads",
		metric.WithDescription("Reads of secrets"), metric.WithUnit("{read}"))
	age, ageErr := meter.Float64Histogram("aws.secrets.age",
		metric.WithDescription("Time since the value that a read returned was fetched"), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(1, 60, 600, 1800, 3600, 7200, 21600, 86400))
	duration, durationErr := meter.Float64Histogram("aws.secrets.fetch.duration",
		metric.WithDescription("Duration of fetches from Secrets Manager"), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10))
	if err := errors.Join(readsErr, ageErr, durationErr); err != nil {
		return secrets.Hooks{}, err
	}
	tracer := tracers.Tracer(scope)
	return secrets.Hooks{
		Read: func(ctx context.Context, r secrets.ReadInfo) {
			reads.Add(ctx, 1, metric.WithAttributes(idKey.String(r.ID), outcomeKey.String(string(r.Outcome))))
			if r.Err == nil {
				age.Record(ctx, r.Age.Seconds(), metric.WithAttributes(idKey.String(r.ID)))
			}
		},
		Fetch: func(ctx context.Context, id string) (context.Context, func(secrets.FetchInfo)) {
			start := time.Now()
			ctx, span := tracer.Start(ctx, "fetch secret", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(idKey.String(id)))
			return ctx, func(f secrets.FetchInfo) {
				outcome := "ok"
				if f.Err != nil {
					outcome = "failed"
					span.RecordError(f.Err)
					span.SetStatus(codes.Error, f.Err.Error())
				} else {
					span.SetAttributes(versionKey.String(f.VersionID), regionKey.String(f.Region))
				}
				span.End()
				duration.Record(ctx, time.Since(start).Seconds(),
					metric.WithAttributes(idKey.String(id), outcomeKey.String(outcome), regionKey.String(f.Region)))
			}
		},
	}, nil
}
