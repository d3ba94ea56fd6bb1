package scorecard

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/xray"
)

const (
	traceWindow = 6 * time.Hour // X-Ray's API reference, GetTraceSummaries: at most 24 hours
	mostTraces  = 250           // that are looked into
	traceBatch  = 5             // API reference, BatchGetTraces
)

// traced returns the milliseconds that fetches of secrets took in the services'
// traces, and how many failed; reason says why there are none.
func (m meter) traced(ctx context.Context) (took []float64, failed int, reason string) {
	client := xray.NewFromConfig(m.config)
	pages := xray.NewGetTraceSummariesPaginator(client, &xray.GetTraceSummariesInput{
		StartTime: aws.Time(m.Now.Add(-traceWindow)), EndTime: aws.Time(m.Now.Add(time.Minute)),
	})
	var ids []string
	for pages.HasMorePages() && len(ids) < mostTraces {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, 0, "traces can't be read: " + code(err)
		}
		for _, summary := range page.TraceSummaries {
			ids = append(ids, aws.ToString(summary.Id))
		}
	}
	ids = ids[:min(len(ids), mostTraces)]
	for len(ids) > 0 {
		batch := ids[:min(len(ids), traceBatch)]
		ids = ids[len(batch):]
		out, err := client.BatchGetTraces(ctx, &xray.BatchGetTracesInput{TraceIds: batch})
		if err != nil {
			return nil, 0, "traces can't be read: " + code(err)
		}
		for _, trace := range out.Traces {
			for _, s := range trace.Segments {
				var part segment
				if json.Unmarshal([]byte(aws.ToString(s.Document)), &part) == nil {
					t, f := part.fetches()
					took, failed = append(took, t...), failed+f
				}
			}
		}
	}
	if len(took)+failed == 0 {
		return nil, 0, "no trace has a fetch of a secret"
	}
	return took, failed, ""
}

// segment is a segment or subsegment of a trace (X-Ray developer guide, "X-Ray
// segment documents").
type segment struct {
	Name        string    `json:"name"`
	StartTime   float64   `json:"start_time"` // seconds
	EndTime     float64   `json:"end_time"`
	Fault       bool      `json:"fault"` // a failure of the server
	Error       bool      `json:"error"` // of the client
	Throttle    bool      `json:"throttle"`
	Subsegments []segment `json:"subsegments"`
	AWS         struct {
		Operation string `json:"operation"`
	} `json:"aws"`
}

// fetchSpan is the name of the spans of the SDK's module otelsecrets.
const fetchSpan = "fetch secret"

// fetches returns the milliseconds of the fetches in a segment: the SDK's spans,
// or calls of GetSecretValue as X-Ray's and OpenTelemetry's instrumentation of
// the AWS SDK notes them. What is in a fetch isn't counted again. How long one took
// that brought no value says nothing: those are counted as failed.
func (s segment) fetches() (took []float64, failed int) {
	if (s.Name == fetchSpan || s.AWS.Operation == "GetSecretValue") && s.EndTime >= s.StartTime && s.EndTime > 0 {
		if s.Fault || s.Error || s.Throttle {
			return nil, 1
		}
		return []float64{(s.EndTime - s.StartTime) * 1000}, 0
	}
	for _, sub := range s.Subsegments {
		t, f := sub.fetches()
		took, failed = append(took, t...), failed+f
	}
	return took, failed
}
