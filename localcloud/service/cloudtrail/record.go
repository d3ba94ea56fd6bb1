package cloudtrail

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// history is the events of one account and region, oldest first.
type history struct {
	dropped int // events that went, so that positions stay what they are
	events  []entry
}

// entry is an event as LookupEvents shows it.
type entry struct {
	api.Event
	username string
	text     string // the CloudTrailEvent member
}

// maxEvents bounds the events kept for an account and region; a tenth more may
// be there before the oldest go.
const maxEvents = 50_000

// dataEvents are the operations that CloudTrail counts as data events: trails
// log them only where their selectors ask for it, and LookupEvents never shows
// them.
var dataEvents = map[string][]string{
	"lambda.amazonaws.com":     {"Invoke"},
	"sqs.amazonaws.com":        {"SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch"},
	"sns.amazonaws.com":        {"Publish", "PublishBatch"},
	"events.amazonaws.com":     {"PutEvents"},
	"logs.amazonaws.com":       {"PutLogEvents", "GetLogEvents", "FilterLogEvents"},
	"dynamodb.amazonaws.com":   {"GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem", "TransactGetItems", "TransactWriteItems"},
	"s3.amazonaws.com":         {"GetObject", "PutObject", "DeleteObject", "DeleteObjects", "HeadObject", "ListObjects", "ListObjectsV2", "CopyObject"},
	"monitoring.amazonaws.com": {"PutMetricData", "GetMetricData", "GetMetricStatistics"},
}

// globalRegion is where the events of global services are found.
const globalRegion = "us-east-1"

// Record implements api.Recorder.
func (s *Service) Record(ctx context.Context, e api.Event) {
	data := slices.Contains(dataEvents[e.Source], e.Name)
	trails := s.logging(e, data)
	if data && len(trails) == 0 {
		return
	}
	if e.Source == "iam.amazonaws.com" {
		e.Region = globalRegion
	}
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	if e.Time.IsZero() {
		e.Time = s.env.Clock.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Second)
	if e.Type == "" {
		e.Type = "AwsApiCall"
	}
	detail := detailOf(e)
	if data {
		detail["eventCategory"], detail["managementEvent"] = "Data", false
	}
	text, err := json.Marshal(detail)
	if err != nil {
		s.env.Log.ErrorContext(ctx, "an event can't be recorded", "source", e.Source, "name", e.Name, "error", err)
		return
	}
	if !data {
		s.keep(entry{Event: e, username: username(e.Caller), text: string(text)})
	}
	for _, t := range trails {
		s.deliver(ctx, t, e, text)
	}
	if len(trails) > 0 && heard(e) {
		s.bus.Deliver(ctx, e.Account, e.Region, envelope(e, text))
	}
}

// logging are the trails that log an event, as they are now.
func (s *Service) logging(e api.Event, data bool) []*trail {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.ending[e.RequestID]
	delete(s.ending, e.RequestID)
	var list []*trail
	for arn, t := range s.trails {
		if last != nil && arn == last.TrailARN {
			continue
		}
		if t.account == e.Account && t.logging && (t.HomeRegion == e.Region || t.IsMultiRegionTrail) && t.logs(e, data) {
			copied := *t
			list = append(list, &copied)
		}
	}
	if last != nil && last.logs(e, data) {
		list = append(list, last)
	}
	return list
}

func (s *Service) keep(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := place{e.Account, e.Region}
	h := s.events[at]
	if h == nil {
		h = &history{}
		s.events[at] = h
	}
	h.add(e)
}

func (h *history) add(e entry) {
	h.events = append(h.events, e)
	if len(h.events) > maxEvents+maxEvents/10 {
		n := len(h.events) - maxEvents
		h.events = slices.Clone(h.events[n:])
		h.dropped += n
	}
}

// heard reports whether EventBridge hears of an event that a trail logs: all but
// calls of List, Get and Describe operations, two of STS excepted.
func heard(e api.Event) bool {
	if e.Type == "AwsServiceEvent" || e.Name == "GetSessionToken" || e.Name == "GetFederationToken" {
		return true
	}
	return !slices.ContainsFunc([]string{"List", "Get", "Describe"}, func(prefix string) bool { return strings.HasPrefix(e.Name, prefix) })
}

// envelope is the event as EventBridge gets it.
func envelope(e api.Event, detail []byte) map[string]any {
	var d map[string]any
	// The text was made by json.Marshal of a map.
	_ = json.Unmarshal(detail, &d)
	detailType := "AWS API Call via CloudTrail"
	if e.Type == "AwsServiceEvent" {
		detailType = "AWS Service Event via CloudTrail"
	}
	source, _, _ := strings.Cut(e.Source, ".")
	return map[string]any{
		"version":     "0",
		"id":          uuid.NewString(),
		"detail-type": detailType,
		"source":      "aws." + source,
		"account":     e.Account,
		"time":        e.Time.Format(time.RFC3339),
		"region":      e.Region,
		"resources":   []any{},
		"detail":      d,
	}
}

// detailOf is the record as "CloudTrail record contents" describes it.
func detailOf(e api.Event) map[string]any {
	d := map[string]any{
		"eventVersion":       "1.11",
		"userIdentity":       userIdentity(e),
		"eventTime":          e.Time.Format(time.RFC3339),
		"eventSource":        e.Source,
		"eventName":          e.Name,
		"awsRegion":          e.Region,
		"sourceIPAddress":    e.Caller.SourceIP,
		"userAgent":          e.Caller.UserAgent,
		"requestParameters":  orNull(e.Request),
		"responseElements":   orNull(e.Response),
		"eventID":            e.ID,
		"readOnly":           e.ReadOnly,
		"eventType":          e.Type,
		"managementEvent":    true,
		"recipientAccountId": e.Account,
		"eventCategory":      "Management",
	}
	if service := invokedBy(e); service != "" {
		d["sourceIPAddress"], d["userAgent"] = service, service
	}
	if e.RequestID != "" {
		d["requestID"] = e.RequestID
	}
	if e.ErrorCode != "" {
		d["errorCode"] = errorCode(e.ErrorCode)
	}
	if e.ErrorMessage != "" { // service events have one without a code
		d["errorMessage"] = e.ErrorMessage
	}
	if len(e.Additional) > 0 {
		// KMS has its own member for what its service events are about.
		member := "additionalEventData"
		if e.Source == "kms.amazonaws.com" && e.Type == "AwsServiceEvent" {
			member = "serviceEventDetails"
		}
		d[member] = e.Additional
	}
	if len(e.Resources) > 0 {
		list := make([]any, 0, len(e.Resources))
		for _, arn := range e.Resources {
			r := map[string]any{"ARN": arn, "accountId": e.Account}
			if t := resourceType(arn); t != "" {
				r["type"] = t
			}
			list = append(list, r)
		}
		d["resources"] = list
	}
	return d
}

func orNull(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// errorCode is AWS's: CloudTrail calls every refusal AccessDenied.
func errorCode(code string) string {
	if code == "AccessDeniedException" {
		return "AccessDenied"
	}
	return code
}

// invokedBy is the service that made the call, for itself or for the caller.
func invokedBy(e api.Event) string {
	switch {
	case e.Caller.Service != "":
		return e.Caller.Service
	case e.Caller.Via != "":
		service, _, _ := strings.Cut(e.Caller.Via, ".")
		return service + ".amazonaws.com"
	case e.Type == "AwsServiceEvent":
		return e.Source
	}
	return ""
}

// userIdentity is "CloudTrail userIdentity element".
func userIdentity(e api.Event) map[string]any {
	c := e.Caller
	id := map[string]any{}
	service := invokedBy(e)
	if service != "" {
		id["invokedBy"] = service
	}
	switch {
	case e.Type == "AwsServiceEvent":
		id["accountId"] = e.Account
		return id
	case c.Service != "":
		id["type"] = "AWSService"
		return id
	case c.Root:
		id["type"] = "Root"
	case c.Role != "":
		id["type"] = "AssumedRole"
		issuer, _, _ := strings.Cut(c.ID, ":")
		session := map[string]any{
			"sessionIssuer": map[string]any{
				"type": "Role", "principalId": issuer, "arn": c.Role, "accountId": c.Account,
				"userName": c.Role[strings.LastIndex(c.Role, "/")+1:],
			},
		}
		id["sessionContext"] = session
		sessionAttributes(session, c)
	default:
		id["type"] = "IAMUser"
		id["userName"] = username(c)
	}
	if c.Role == "" && !c.Issued.IsZero() {
		session := map[string]any{}
		sessionAttributes(session, c)
		id["sessionContext"] = session
	}
	id["principalId"], id["arn"], id["accountId"] = c.ID, c.ARN, c.Account
	if c.AccessKeyID != "" {
		id["accessKeyId"] = c.AccessKeyID
	}
	return id
}

func sessionAttributes(session map[string]any, c api.Caller) {
	session["attributes"] = map[string]any{
		"creationDate": c.Issued.UTC().Format(time.RFC3339), "mfaAuthenticated": "false",
	}
}

// username is what LookupEvents calls the caller: a session's or user's name.
func username(c api.Caller) string {
	switch {
	case c.Service != "":
		return ""
	case c.Root:
		return "root"
	case c.Session != "":
		return c.Session
	}
	return c.ARN[strings.LastIndex(c.ARN, "/")+1:]
}

// resourceType is the type of a resource in CloudFormation's notation.
func resourceType(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return ""
	}
	kind := parts[5]
	if i := strings.IndexAny(kind, ":/"); i >= 0 {
		kind = kind[:i]
	}
	return map[string]string{
		"secretsmanager secret": "AWS::SecretsManager::Secret",
		"kms key":               "AWS::KMS::Key",
		"kms alias":             "AWS::KMS::Alias",
		"lambda function":       "AWS::Lambda::Function",
		"lambda layer":          "AWS::Lambda::LayerVersion",
		"iam role":              "AWS::IAM::Role",
		"iam user":              "AWS::IAM::User",
		"iam policy":            "AWS::IAM::Policy",
		"events rule":           "AWS::Events::Rule",
		"logs log-group":        "AWS::Logs::LogGroup",
		"cloudtrail trail":      "AWS::CloudTrail::Trail",
		"dynamodb table":        "AWS::DynamoDB::Table",
		"ssm parameter":         "AWS::SSM::Parameter",
	}[parts[2]+" "+kind]
}
