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
// traces; reason says why there are none.
func (m meter) traced(ctx context.Context) (took []float64, reason string) {
	client := xray.NewFromConfig(m.config)
	pages := xray.NewGetTraceSummariesPaginator(client, &xray.GetTraceSummariesInput{
		StartTime: aws.Time(m.Now.Add(-traceWindow)), EndTime: aws.Time(m.Now.Add(time.Minute)),
	})
	var ids []string
	for pages.HasMorePages() && len(ids) < mostTraces {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, "traces can't be read: " + code(err)
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
			return nil, "traces can't be read: " + code(err)
		}
		for _, trace := range out.Traces {
			for _, s := range trace.Segments {
				var part segment
				if json.Unmarshal([]byte(aws.ToString(s.Document)), &part) == nil {
					took = append(took, part.fetches()...)
				}
			}
		}
	}
	if len(took) == 0 {
		return nil, "no trace has a fetch of a secret"
	}
	return took, ""
}

// segment is a segment or subsegment of a trace (X-Ray developer guide, "X-Ray
// segment documents").
type segment struct {
	Name        string    `json:"name"`
	StartTime   float64   `json:"start_time"` // seconds
	EndTime     float64   `json:"end_time"`
	Subsegments []segment `json:"subsegments"`
	AWS         struct {
		Operation string `json:"operation"`
	} `json:"aws"`
}

// fetchSpan is the name of the spans of the SDK's module otelsecrets.
const fetchSpan = "fetch secret"

// fetches returns the milliseconds of the fetches in a segment: the SDK's spans,
// or calls of GetSecretValue as X-Ray's and OpenTelemetry's instrumentation of
// the AWS SDK notes them. What is in a fetch isn't counted again.
func (s segment) fetches() []float64 {
	if (s.Name == fetchSpan || s.AWS.Operation == "GetSecretValue") && s.EndTime >= s.StartTime && s.EndTime > 0 {
		return []float64{(s.EndTime - s.StartTime) * 1000}
	}
	var found []float64
	for _, sub := range s.Subsegments {
		found = append(found, sub.fetches()...)
	}
	return found
}
