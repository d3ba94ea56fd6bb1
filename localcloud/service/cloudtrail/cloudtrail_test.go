package cloudtrail_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
	service "github.com/aistudio/secrets/localcloud/service/cloudtrail"
)

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`

func newCloud(t *testing.T) *localcloud.Cloud {
	t.Helper()
	cloud, err := localcloud.New(localcloud.WithStart(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cloud.Close()) })
	return cloud
}

func lookup(t *testing.T, cfg aws.Config, key types.LookupAttributeKey, value string) []types.Event {
	t.Helper()
	out, err := cloudtrail.NewFromConfig(cfg).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{{AttributeKey: key, AttributeValue: &value}},
	})
	require.NoError(t, err)
	return out.Events
}

func TestEventOfASession(t *testing.T) {
	cloud := newCloud(t)
	cfg := cloud.Config("us-west-2")
	created, err := iam.NewFromConfig(cfg).CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("reader"), Path: aws.String("/services/"), AssumeRolePolicyDocument: aws.String(trust),
	})
	require.NoError(t, err)
	assumed, err := sts.NewFromConfig(cfg).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: created.Role.Arn, RoleSessionName: aws.String("billing"),
	})
	require.NoError(t, err)
	key := *assumed.Credentials.AccessKeyId
	session := cloud.ConfigFor("us-west-2", key, *assumed.Credentials.SecretAccessKey, *assumed.Credentials.SessionToken)
	_, err = sts.NewFromConfig(session).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: created.Role.Arn, RoleSessionName: aws.String("again"),
	})
	require.ErrorContains(t, err, "not authorized to perform: sts:AssumeRole")

	events := lookup(t, cfg, types.LookupAttributeKeyUsername, "billing")
	require.Len(t, events, 1)
	require.Equal(t, "AssumeRole", *events[0].EventName)
	require.Equal(t, "sts.amazonaws.com", *events[0].EventSource)
	require.Equal(t, "true", *events[0].ReadOnly)
	require.Equal(t, key, *events[0].AccessKeyId)

	var detail map[string]any
	require.NoError(t, json.Unmarshal([]byte(*events[0].CloudTrailEvent), &detail))
	require.Equal(t, "AccessDenied", detail["errorCode"])
	require.Equal(t, "AwsApiCall", detail["eventType"])
	require.Equal(t, "Management", detail["eventCategory"])
	require.Equal(t, "us-west-2", detail["awsRegion"])
	require.Equal(t, "2026-03-01T12:00:00Z", detail["eventTime"])
	require.Equal(t, "127.0.0.1", detail["sourceIPAddress"])
	require.Nil(t, detail["responseElements"])
	require.Equal(t, map[string]any{"roleArn": *created.Role.Arn, "roleSessionName": "again"}, detail["requestParameters"])
	require.Equal(t, map[string]any{
		"type":        "AssumedRole",
		"principalId": *created.Role.RoleId + ":billing",
		"arn":         "arn:aws:sts::123456789012:assumed-role/reader/billing",
		"accountId":   "123456789012",
		"accessKeyId": key,
		"sessionContext": map[string]any{
			"sessionIssuer": map[string]any{
				"type": "Role", "principalId": *created.Role.RoleId, "arn": *created.Role.Arn,
				"accountId": "123456789012", "userName": "reader",
			},
			"attributes": map[string]any{"creationDate": "2026-03-01T12:00:00Z", "mfaAuthenticated": "false"},
		},
	}, detail["userIdentity"])
}

func TestCredentialsAreNotInTheTrail(t *testing.T) {
	cloud := newCloud(t)
	cfg := cloud.Config("us-east-1")
	client := iam.NewFromConfig(cfg)
	_, err := client.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("ann")})
	require.NoError(t, err)
	key, err := client.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: aws.String("ann")})
	require.NoError(t, err)
	token, err := sts.NewFromConfig(cfg).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{})
	require.NoError(t, err)

	out, err := cloudtrail.NewFromConfig(cfg).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	require.NoError(t, err)
	require.Len(t, out.Events, 3)
	for _, e := range out.Events {
		// Contains would print the event, and with it what must not be printed.
		for _, secret := range []string{*key.AccessKey.SecretAccessKey, *token.Credentials.SecretAccessKey, *token.Credentials.SessionToken} {
			assert.False(t, jsonHas(*e.CloudTrailEvent, secret), "%s shows a credential", *e.EventName)
		}
	}
}

func jsonHas(text, secret string) bool {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return true
	}
	var has func(any) bool
	has = func(v any) bool {
		switch v := v.(type) {
		case string:
			return v == secret
		case map[string]any:
			for _, item := range v {
				if has(item) {
					return true
				}
			}
		case []any:
			for _, item := range v {
				if has(item) {
					return true
				}
			}
		}
		return false
	}
	return has(v)
}

func TestGlobalServicesAreFoundInTheirRegion(t *testing.T) {
	cloud := newCloud(t)
	_, err := iam.NewFromConfig(cloud.Config("eu-west-1")).CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("reader"), AssumeRolePolicyDocument: aws.String(trust),
	})
	require.NoError(t, err)
	require.Empty(t, lookup(t, cloud.Config("eu-west-1"), types.LookupAttributeKeyEventName, "CreateRole"))
	for key, value := range map[types.LookupAttributeKey]string{
		types.LookupAttributeKeyEventName:    "CreateRole",
		types.LookupAttributeKeyEventSource:  "iam.amazonaws.com",
		types.LookupAttributeKeyReadOnly:     "false",
		types.LookupAttributeKeyUsername:     "root",
		types.LookupAttributeKeyAccessKeyId:  "test",
		types.LookupAttributeKeyResourceType: "AWS::IAM::Role",
		types.LookupAttributeKeyResourceName: "reader",
	} {
		events := lookup(t, cloud.Config("us-east-1"), key, value)
		require.NotEmpty(t, events, "%s", key)
		first := events[len(events)-1] // the lookups themselves are newer
		require.Equal(t, "CreateRole", *first.EventName, "%s", key)
		require.Equal(t, "arn:aws:iam::123456789012:role/reader", *first.Resources[0].ResourceName)
		require.Len(t, lookup(t, cloud.Config("us-east-1"), types.LookupAttributeKeyEventId, *first.EventId), 1)
	}
	require.Empty(t, lookup(t, cloud.Config("us-east-1"), types.LookupAttributeKeyEventName, "DeleteRole"))
	require.Empty(t, lookup(t, cloud.ConfigFor("us-east-1", "210987654321", "x", ""), types.LookupAttributeKeyEventName, "CreateRole"))
}

func TestPagesAndTimeRange(t *testing.T) {
	cloud := newCloud(t)
	cfg := cloud.Config("us-east-1")
	identity := sts.NewFromConfig(cfg)
	for range 7 {
		_, err := identity.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		require.NoError(t, err)
		require.NoError(t, cloud.Advance(t.Context(), time.Hour))
	}
	client := cloudtrail.NewFromConfig(cfg)
	in := &cloudtrail.LookupEventsInput{
		MaxResults:       aws.Int32(3),
		LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String("GetCallerIdentity")}},
	}
	var times []time.Time
	var sizes []int
	for p := cloudtrail.NewLookupEventsPaginator(client, in); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		require.NoError(t, err)
		sizes = append(sizes, len(page.Events))
		for _, e := range page.Events {
			times = append(times, *e.EventTime)
		}
		// What comes in between must not shift the pages.
		_, err = identity.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		require.NoError(t, err)
	}
	require.Equal(t, []int{3, 3, 1}, sizes)
	for i := 1; i < len(times); i++ {
		require.True(t, times[i].Before(times[i-1]), "newest first")
	}

	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	in.MaxResults, in.StartTime, in.EndTime = nil, aws.Time(noon.Add(time.Hour)), aws.Time(noon.Add(3*time.Hour))
	out, err := client.LookupEvents(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, out.Events, 3)

	require.NoError(t, cloud.Advance(t.Context(), 91*24*time.Hour))
	out, err = client.LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	require.NoError(t, err)
	for _, e := range out.Events {
		require.Equal(t, "LookupEvents", *e.EventName, "events are found for 90 days")
	}
}

func TestBadLookups(t *testing.T) {
	client := cloudtrail.NewFromConfig(newCloud(t).Config("us-east-1"))
	attribute := types.LookupAttribute{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String("x")}
	now := time.Now()
	for code, in := range map[string]*cloudtrail.LookupEventsInput{
		"InvalidLookupAttributesException": {LookupAttributes: []types.LookupAttribute{attribute, attribute}},
		"InvalidMaxResultsException":       {MaxResults: aws.Int32(51)},
		"InvalidNextTokenException":        {NextToken: aws.String("x")},
		"InvalidTimeRangeException":        {StartTime: &now, EndTime: aws.Time(now.Add(-time.Hour))},
		"InvalidEventCategoryException":    {EventCategory: "x"},
	} {
		_, err := client.LookupEvents(t.Context(), in)
		require.ErrorContains(t, err, code)
	}
}

// busRecorder stands where EventBridge is.
type busRecorder struct {
	mu     sync.Mutex
	events []map[string]any
}

func (b *busRecorder) Deliver(_ context.Context, _, _ string, event map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, event)
}

type allowAll struct{}

func (allowAll) Authorize(context.Context, api.Caller, string, api.Check) error { return nil }

// bench is a CloudTrail by itself.
type bench struct {
	*testing.T
	bus     *busRecorder
	service *service.Service
}

func newBench(t *testing.T) bench {
	bus := &busRecorder{}
	env := &api.Env{Clock: clock.New(time.Time{}), Log: slog.New(slog.DiscardHandler)}
	return bench{t, bus, service.New(env, bus)}
}

func (b bench) must(op, body string) {
	b.Helper()
	r := api.NewRequest(api.Request{Operation: op, Region: "us-east-1", Account: "123456789012", Service: "cloudtrail", Body: []byte(body)}, allowAll{})
	_, err := b.service.Handler(op)(b.Context(), r)
	require.NoError(b, err)
}

// delivered records an event and tells how many went on to the bus.
func (b bench) delivered(e api.Event) int {
	before := len(b.bus.events)
	e.Account = "123456789012"
	b.service.Record(b.Context(), e)
	return len(b.bus.events) - before
}

func TestEventBridgeHearsWhatATrailLogs(t *testing.T) {
	b := newBench(t)
	write := api.Event{Source: "secretsmanager.amazonaws.com", Name: "PutSecretValue", Region: "us-east-1"}
	read := api.Event{Source: "secretsmanager.amazonaws.com", Name: "GetSecretValue", Region: "us-east-1", ReadOnly: true}
	batch := api.Event{Source: "secretsmanager.amazonaws.com", Name: "BatchGetSecretValue", Region: "us-east-1", ReadOnly: true}
	west := api.Event{Source: "secretsmanager.amazonaws.com", Name: "PutSecretValue", Region: "us-west-2"}
	data := api.Event{Source: "lambda.amazonaws.com", Name: "Invoke", Region: "us-east-1"}

	require.Equal(t, 0, b.delivered(write), "no trail")
	b.must("CreateTrail", `{"Name":"main","S3BucketName":"logs"}`)
	require.Equal(t, 0, b.delivered(write), "the trail doesn't log yet")
	b.must("StartLogging", `{"Name":"main"}`)
	require.Equal(t, 1, b.delivered(write))
	require.Equal(t, 0, b.delivered(read), "EventBridge leaves out List, Get and Describe")
	require.Equal(t, 1, b.delivered(batch))
	require.Equal(t, 0, b.delivered(data), "a data event")
	require.Equal(t, 0, b.delivered(west), "the trail is for one region")
	b.must("UpdateTrail", `{"Name":"main","IsMultiRegionTrail":true}`)
	require.Equal(t, 1, b.delivered(west))
	b.must("PutEventSelectors", `{"TrailName":"main","EventSelectors":[{"ReadWriteType":"WriteOnly"}]}`)
	require.Equal(t, 1, b.delivered(write))
	require.Equal(t, 0, b.delivered(batch))
	b.must("PutEventSelectors", `{"TrailName":"main","AdvancedEventSelectors":[{"FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]},{"Field":"eventSource","NotEquals":["kms.amazonaws.com"]}]}]}`)
	require.Equal(t, 1, b.delivered(batch))
	require.Equal(t, 0, b.delivered(api.Event{Source: "kms.amazonaws.com", Name: "Decrypt", Region: "us-east-1"}))
	b.must("StopLogging", `{"Name":"main"}`)
	require.Equal(t, 0, b.delivered(write))
}

func TestServiceEvent(t *testing.T) {
	b := newBench(t)
	b.must("CreateTrail", `{"Name":"main","S3BucketName":"logs"}`)
	b.must("StartLogging", `{"Name":"main"}`)
	require.Equal(t, 1, b.delivered(api.Event{
		Source: "secretsmanager.amazonaws.com", Name: "RotationSucceeded", Type: "AwsServiceEvent", Region: "us-east-1",
		Additional: map[string]any{"SecretId": "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"},
	}))
	event := b.bus.events[0]
	require.Equal(t, "AWS Service Event via CloudTrail", event["detail-type"])
	require.Equal(t, "aws.secretsmanager", event["source"])
	require.Equal(t, "123456789012", event["account"])
	detail := event["detail"].(map[string]any)
	require.Equal(t, map[string]any{"accountId": "123456789012", "invokedBy": "secretsmanager.amazonaws.com"}, detail["userIdentity"])
	require.Equal(t, "secretsmanager.amazonaws.com", detail["sourceIPAddress"])
	require.Equal(t, "AwsServiceEvent", detail["eventType"])
	require.Equal(t, map[string]any{"SecretId": "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"}, detail["additionalEventData"])

	require.Equal(t, 1, b.delivered(api.Event{
		Source: "kms.amazonaws.com", Name: "RotateKey", Type: "AwsServiceEvent", Region: "us-east-1", Additional: map[string]any{"keyId": "k"},
	}))
	require.Contains(t, b.bus.events[1]["detail"], "serviceEventDetails")
}

func TestCallsOfServicesShowWhoInvoked(t *testing.T) {
	b := newBench(t)
	b.must("CreateTrail", `{"Name":"main","S3BucketName":"logs"}`)
	b.must("StartLogging", `{"Name":"main"}`)
	b.delivered(api.Event{Source: "kms.amazonaws.com", Name: "Decrypt", Region: "us-east-1", Caller: api.Caller{
		Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/ann", ID: "AIDAX", AccessKeyID: "AKIAX",
		Via: "secretsmanager.us-east-1.amazonaws.com", SourceIP: "10.0.0.1", UserAgent: "aws-cli",
	}})
	b.delivered(api.Event{Source: "sts.amazonaws.com", Name: "AssumeRole", Region: "us-east-1", Caller: api.Caller{Service: "lambda.amazonaws.com"}})
	require.Len(t, b.bus.events, 2)
	user := b.bus.events[0]["detail"].(map[string]any)
	require.Equal(t, "secretsmanager.amazonaws.com", user["sourceIPAddress"])
	require.Equal(t, map[string]any{
		"type": "IAMUser", "userName": "ann", "principalId": "AIDAX", "arn": "arn:aws:iam::123456789012:user/ann",
		"accountId": "123456789012", "accessKeyId": "AKIAX", "invokedBy": "secretsmanager.amazonaws.com",
	}, user["userIdentity"])
	require.Equal(t, map[string]any{"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}, b.bus.events[1]["detail"].(map[string]any)["userIdentity"])
}

func TestTrails(t *testing.T) {
	x := newTarget(t)
	cloud, ctx := x.cloud, t.Context()
	client := cloudtrail.NewFromConfig(cloud.Config("us-east-1"))
	west := cloudtrail.NewFromConfig(cloud.Config("us-west-2"))
	created, err := client.CreateTrail(ctx, &cloudtrail.CreateTrailInput{
		Name: aws.String("main"), S3BucketName: aws.String("logs"), IsMultiRegionTrail: aws.Bool(true),
		EnableLogFileValidation: aws.Bool(true), KmsKeyId: x.keyARN,
		TagsList: []types.Tag{{Key: aws.String("Owner"), Value: aws.String("security")}},
	})
	require.NoError(t, err)
	arn := "arn:aws:cloudtrail:us-east-1:123456789012:trail/main"
	require.Equal(t, arn, *created.TrailARN)

	_, err = client.CreateTrail(ctx, &cloudtrail.CreateTrailInput{Name: aws.String("main"), S3BucketName: aws.String("logs")})
	var exists *types.TrailAlreadyExistsException
	require.ErrorAs(t, err, &exists)

	status, err := client.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: aws.String("main")})
	require.NoError(t, err)
	require.False(t, *status.IsLogging)
	_, err = client.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: &arn})
	require.NoError(t, err)
	status, err = west.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: &arn})
	require.NoError(t, err)
	require.True(t, *status.IsLogging)
	require.NotNil(t, status.StartLoggingTime)

	got, err := client.GetTrail(ctx, &cloudtrail.GetTrailInput{Name: aws.String("main")})
	require.NoError(t, err)
	require.True(t, *got.Trail.LogFileValidationEnabled)
	require.True(t, *got.Trail.IncludeGlobalServiceEvents)
	require.Equal(t, "us-east-1", *got.Trail.HomeRegion)

	for shadows, want := range map[bool]int{true: 1, false: 0} {
		seen, err := west.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{IncludeShadowTrails: aws.Bool(shadows)})
		require.NoError(t, err)
		require.Len(t, seen.TrailList, want)
	}
	_, err = west.StopLogging(ctx, &cloudtrail.StopLoggingInput{Name: &arn})
	var home *types.InvalidHomeRegionException
	require.ErrorAs(t, err, &home)

	selectors, err := client.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: aws.String("main")})
	require.NoError(t, err)
	require.True(t, *selectors.EventSelectors[0].IncludeManagementEvents)

	_, err = client.AddTags(ctx, &cloudtrail.AddTagsInput{ResourceId: &arn, TagsList: []types.Tag{{Key: aws.String("Env"), Value: aws.String("dev")}}})
	require.NoError(t, err)
	_, err = client.RemoveTags(ctx, &cloudtrail.RemoveTagsInput{ResourceId: &arn, TagsList: []types.Tag{{Key: aws.String("Owner")}}})
	require.NoError(t, err)
	tags, err := client.ListTags(ctx, &cloudtrail.ListTagsInput{ResourceIdList: []string{arn}})
	require.NoError(t, err)
	require.Equal(t, []types.Tag{{Key: aws.String("Env"), Value: aws.String("dev")}}, tags.ResourceTagList[0].TagsList)

	list, err := west.ListTrails(ctx, &cloudtrail.ListTrailsInput{})
	require.NoError(t, err)
	require.Len(t, list.Trails, 1)

	_, err = client.DeleteTrail(ctx, &cloudtrail.DeleteTrailInput{Name: aws.String("main")})
	require.NoError(t, err)
	_, err = client.GetTrail(ctx, &cloudtrail.GetTrailInput{Name: aws.String("main")})
	var notFound *types.TrailNotFoundException
	require.ErrorAs(t, err, &notFound)
	_, err = client.CreateTrail(ctx, &cloudtrail.CreateTrailInput{Name: aws.String("x"), S3BucketName: aws.String("logs")})
	var badName *types.InvalidTrailNameException
	require.ErrorAs(t, err, &badName)
}
