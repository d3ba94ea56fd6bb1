package cloudtrail

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// kept is how long LookupEvents finds an event.
const kept = 90 * 24 * time.Hour

type lookupIn struct {
	LookupAttributes   []lookupAttribute
	StartTime, EndTime *api.Time
	EventCategory      string
	MaxResults         *int
	NextToken          string
}

type lookupAttribute struct{ AttributeKey, AttributeValue string }

type lookupOut struct {
	Events    []eventOut
	NextToken string `json:",omitempty"`
}

type eventOut struct {
	EventId         string
	EventName       string
	ReadOnly        string
	AccessKeyId     string `json:",omitempty"`
	EventTime       *api.Time
	EventSource     string
	Username        string        `json:",omitempty"`
	Resources       []resourceOut `json:",omitempty"`
	CloudTrailEvent string
}

type resourceOut struct {
	ResourceType string `json:",omitempty"`
	ResourceName string
}

// lookupEvents shows the management events of the region, newest first.
func (s *Service) lookupEvents(ctx context.Context, r *api.Request, in *lookupIn) (*lookupOut, error) {
	if err := r.Authorize(ctx, api.Check{Action: "cloudtrail:LookupEvents", Resource: "*"}); err != nil {
		return nil, err
	}
	matches, err := in.filter(s.env.Clock.Now())
	if err != nil {
		return nil, err
	}
	limit := 50
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	if limit < 1 || limit > 50 {
		return nil, api.Errorf("InvalidMaxResultsException", "A maximum results value of %d is invalid. Specify a value between 1 and 50.", limit)
	}
	out := &lookupOut{Events: []eventOut{}}
	s.mu.RLock()
	defer s.mu.RUnlock()
	h := s.events[place{r.Account, r.Region}]
	if h == nil {
		h = &history{}
	}
	// Positions count from the first event ever, so that a token stays right
	// while events come and go.
	next := h.dropped + len(h.events)
	if in.NextToken != "" {
		if next, err = strconv.Atoi(in.NextToken); err != nil || next < 0 || next > h.dropped+len(h.events) {
			return nil, api.Errorf("InvalidNextTokenException", "The specified token is invalid.")
		}
	}
	for i := next - 1; i >= h.dropped; i-- {
		e := h.events[i-h.dropped]
		if !matches(e) || in.EventCategory == "insight" {
			continue
		}
		if len(out.Events) == limit {
			out.NextToken = strconv.Itoa(i + 1)
			break
		}
		out.Events = append(out.Events, e.out())
	}
	return out, nil
}

func (in *lookupIn) filter(now time.Time) (func(entry) bool, error) {
	from, to := now.Add(-kept), now.Add(time.Second)
	if in.StartTime != nil && in.StartTime.After(from) {
		from = in.StartTime.Time
	}
	if in.EndTime != nil {
		to = in.EndTime.Time
	}
	if in.StartTime != nil && in.EndTime != nil && in.StartTime.After(in.EndTime.Time) {
		return nil, api.Errorf("InvalidTimeRangeException", "The start time must be before the end time.")
	}
	if in.EventCategory != "" && in.EventCategory != "insight" {
		return nil, api.Errorf("InvalidEventCategoryException", "The event category %s is not valid.", in.EventCategory)
	}
	has := func(entry) bool { return true }
	switch {
	case len(in.LookupAttributes) > 1:
		return nil, api.Errorf("InvalidLookupAttributesException", "Only one lookup attribute is allowed.")
	case len(in.LookupAttributes) == 1:
		a := in.LookupAttributes[0]
		var ok bool
		if has, ok = attributes(a.AttributeValue)[a.AttributeKey]; !ok {
			return nil, api.Errorf("InvalidLookupAttributesException", "The lookup attribute %s is not valid.", a.AttributeKey)
		}
	}
	return func(e entry) bool { return !e.Time.Before(from.Truncate(time.Second)) && !e.Time.After(to) && has(e) }, nil
}

// attributes are the lookups by what they look at.
func attributes(value string) map[string]func(entry) bool {
	return map[string]func(entry) bool{
		"EventId":     func(e entry) bool { return e.ID == value },
		"EventName":   func(e entry) bool { return e.Name == value },
		"EventSource": func(e entry) bool { return e.Source == value },
		"ReadOnly":    func(e entry) bool { return strconv.FormatBool(e.ReadOnly) == value },
		"Username":    func(e entry) bool { return e.username == value },
		"AccessKeyId": func(e entry) bool { return e.Caller.AccessKeyID == value },
		"ResourceType": func(e entry) bool {
			return slices.ContainsFunc(e.Event.Resources, func(arn string) bool { return resourceType(arn) == value })
		},
		"ResourceName": func(e entry) bool {
			return slices.ContainsFunc(e.Event.Resources, func(arn string) bool { return arn == value || resourceName(arn) == value })
		},
	}
}

// resourceName is the last part of an ARN, for services whose events name
// resources so.
func resourceName(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	name := parts[len(parts)-1]
	if i := strings.IndexAny(name, ":/"); i >= 0 {
		name = name[i+1:]
	}
	return name
}

func (e entry) out() eventOut {
	out := eventOut{
		EventId: e.ID, EventName: e.Name, ReadOnly: strconv.FormatBool(e.ReadOnly),
		AccessKeyId: e.Caller.AccessKeyID, EventTime: api.NewTime(e.Time), EventSource: e.Source,
		Username: e.username, CloudTrailEvent: e.text,
	}
	for _, arn := range e.Event.Resources {
		out.Resources = append(out.Resources, resourceOut{resourceType(arn), arn})
	}
	return out
}
