package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// Record is what a rotation function of this project logs at the end of a step.
type Record struct {
	Time     time.Time
	Msg      string
	Step     string
	Secret   string // as the event named it
	Version  string
	Error    string
	Verified *bool
}

// Failure is an error, and where it was found.
type Failure struct {
	Time    time.Time `json:"time"`
	Source  string    `json:"source"` // trail or log
	Version string    `json:"version,omitempty"`
	Step    string    `json:"step,omitempty"`
	Message string    `json:"message"`
}

const (
	stepDone   = "step done"
	stepFailed = "step failed"
)

// regionOf returns the region in an ARN.
func regionOf(text string) string {
	parsed, err := arn.Parse(text)
	if err != nil {
		return ""
	}
	return parsed.Region
}

// logGroup is where the function logs: its configuration tells, and else it is
// Lambda's default.
func (o *Operator) logGroup(ctx context.Context, function string) (string, error) {
	out, err := o.functions.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &function})
	if err == nil && out.LoggingConfig != nil && aws.ToString(out.LoggingConfig.LogGroup) != "" {
		return *out.LoggingConfig.LogGroup, nil
	}
	parsed, parseErr := arn.Parse(function)
	parts := strings.Split(parsed.Resource, ":") // function:name, maybe with a version or alias
	if parseErr != nil || len(parts) < 2 {
		return "", fmt.Errorf("the rotation function's ARN is %q", function)
	}
	return "/aws/lambda/" + parts[1], nil
}

// logPages bounds the pages of a log that are read.
const logPages = 20

// filter returns the messages of a log that have all terms, the oldest first.
func (o *Operator) filter(ctx context.Context, group string, since time.Time, terms ...string) ([]message, error) {
	var found []message
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(o.logs, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &group, StartTime: aws.Int64(since.UnixMilli()), FilterPattern: aws.String(`"` + strings.Join(terms, `" "`) + `"`),
	})
	for n := 0; n < logPages && pages.HasMorePages(); n++ {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the log %s: %w", group, err)
		}
		for _, e := range page.Events {
			found = append(found, message{time.UnixMilli(aws.ToInt64(e.Timestamp)).UTC(), aws.ToString(e.Message)})
		}
	}
	return found, nil
}

type message struct {
	time time.Time
	text string
}

// steps returns the records of the steps of a version, the oldest first. Other
// functions than this project's leave none.
func (o *Operator) steps(ctx context.Context, group string, s *Secret, version string, since time.Time) ([]Record, error) {
	messages, err := o.filter(ctx, group, since, "step ", version)
	if err != nil {
		return nil, err
	}
	var records []Record
	for _, m := range messages {
		var r Record
		if json.Unmarshal([]byte(m.text), &r) == nil && r.Version == version && (r.Secret == s.ARN || r.Secret == s.Name) {
			r.Time, r.Error = m.time, r.cause()
			records = append(records, r)
		}
	}
	return records, nil
}

// cause is the error without the step and the secret that it begins with.
func (r Record) cause() string {
	return strings.TrimPrefix(r.Error, r.Step+" of "+r.Secret+": ")
}

// notStarted begins what a function logs that can't start (package function).
const notStarted = "starting the rotation function"

// timedOut is how Lambda reports that it ended a function; see "Troubleshoot
// invocation issues" in the Lambda developer guide.
var timedOut = regexp.MustCompile(`Task timed out after [0-9.]+ seconds`)

// lastFailure returns the newest failure of a secret in its function's log, or
// nil. A function that can't start, or that Lambda ended, names no secret, which
// is said. Messages in other forms aren't shown: nobody vouches for what is in
// them.
func (o *Operator) lastFailure(ctx context.Context, group string, s *Secret, since time.Time) (*Failure, error) {
	var last *Failure
	for _, terms := range [][]string{{stepFailed, s.ARN}, {"Task timed out"}, {notStarted}} {
		messages, err := o.filter(ctx, group, since, terms...)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			if f := m.failure(); f != nil && (last == nil || f.Time.After(last.Time)) {
				last = f
			}
		}
	}
	return last, nil
}

// failure is what the message tells of one, or nil.
func (m message) failure() *Failure {
	f := &Failure{Time: m.time, Source: "log"}
	var r Record
	switch text := timedOut.FindString(m.text); {
	case text != "":
		f.Message = text + ", whichever secret it was about"
	case json.Unmarshal([]byte(m.text), &r) != nil:
		return nil
	case r.Msg == stepFailed:
		f.Version, f.Step, f.Message = r.Version, r.Step, r.cause()
	case r.Msg == notStarted:
		f.Message = notStarted + ": " + r.Error
	default:
		return nil
	}
	return f
}
