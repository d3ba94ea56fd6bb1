// Package trail reads CloudTrail's event history.
package trail

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"golang.org/x/time/rate"

	"github.com/aistudio/secrets/auditor/facts"
)

// Keeps is how long Lookup finds an event (CloudTrail user guide, "Viewing event
// history").
const Keeps = 90 * 24 * time.Hour

// Event is what is used of a CloudTrail event (CloudTrail user guide, "Record
// contents").
type Event struct {
	EventID         string
	EventName       string
	EventTime       time.Time
	SourceIPAddress string
	AWSRegion       string
	ErrorCode       string
	UserIdentity    struct {
		Type           string
		ARN            string
		AccountID      string
		InvokedBy      string
		SessionContext struct {
			SessionIssuer struct{ ARN string }
		}
	}
	RequestParameters   struct{ SecretID, Name, VersionID, VersionStage string }
	AdditionalEventData struct{ SecretID string }
}

// Principal is who called: the role behind a session, the user, the service.
func (e *Event) Principal() string {
	u := e.UserIdentity
	for _, who := range []string{u.SessionContext.SessionIssuer.ARN, u.ARN, u.InvokedBy, u.AccountID} {
		if who != "" {
			return who
		}
	}
	return "unknown"
}

// Access is the read that the event is about.
func (e *Event) Access() facts.Access {
	version := e.RequestParameters.VersionID
	if version == "" {
		version = e.RequestParameters.VersionStage
	}
	return facts.Access{
		Time: e.EventTime.UTC(), Principal: e.Principal(), Event: e.EventName, Source: e.SourceIPAddress,
		Region: e.AWSRegion, Version: version, Error: e.ErrorCode,
	}
}

var suffixed = regexp.MustCompile(`^arn:[^:]+:secretsmanager:[^:]*:[^:]*:secret:(.+?)(-[A-Za-z0-9]{6})?$`)

// Secret returns the name of the secret that the event is about, "" if it is
// about none.
func (e *Event) Secret() string {
	id := e.RequestParameters.SecretID
	if id == "" {
		id = e.AdditionalEventData.SecretID
	}
	return NameOf(id)
}

// NameOf returns the name of a secret that a caller wrote as a name, an ARN or
// a partial ARN.
func NameOf(id string) string {
	if m := suffixed.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return id
}

// API is what Lookup calls.
type API interface {
	LookupEvents(context.Context, *cloudtrail.LookupEventsInput, ...func(*cloudtrail.Options)) (*cloudtrail.LookupEventsOutput, error)
}

// Query says which events are looked up.
type Query struct {
	Key      types.LookupAttributeKey
	Value    string
	From, To time.Time
	Pages    int // of 50 events, at most
}

// Lookup calls each for the events that a query finds, newest first. It returns
// whether it came to the end before the pages were used up.
func Lookup(ctx context.Context, api API, limit *rate.Limiter, q Query, each func(*Event)) (complete bool, err error) {
	in := &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{{AttributeKey: q.Key, AttributeValue: &q.Value}},
		StartTime:        &q.From, EndTime: &q.To, MaxResults: aws.Int32(50),
	}
	for range q.Pages {
		if err := limit.Wait(ctx); err != nil {
			return false, err
		}
		out, err := api.LookupEvents(ctx, in)
		if err != nil {
			return false, err
		}
		for i := range out.Events {
			var e Event
			if err := json.Unmarshal([]byte(aws.ToString(out.Events[i].CloudTrailEvent)), &e); err != nil {
				return false, fmt.Errorf("read event %s: %w", aws.ToString(out.Events[i].EventId), err)
			}
			each(&e)
		}
		if aws.ToString(out.NextToken) == "" {
			return true, nil
		}
		in.NextToken = out.NextToken
	}
	return false, nil
}
