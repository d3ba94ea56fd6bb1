package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fill sets every field of a struct that can be set to something.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.CanSet() {
			continue
		}
		switch f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int32:
			f.SetInt(1)
		}
	}
}

// unset names the fields of a struct that are zero.
func unset(v reflect.Value) []string {
	var names []string
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() && v.Field(i).IsZero() {
			names = append(names, v.Type().Field(i).Name)
		}
	}
	return names
}

// When the SDK learns of a new field, this tells that it has to be kept.
func TestAllThatCanBeRegisteredIsKept(t *testing.T) {
	d := Definition{tags: []types.Tag{{Key: aws.String("Owner")}, {Key: aws.String("aws:cloudformation:stack-name")}}}
	fill(reflect.ValueOf(&d.typed).Elem())
	in := d.input()
	assert.Equal(t, []string{"InferenceAccelerators"}, unset(reflect.ValueOf(in).Elem()), "AWS took that one away")
	assert.Len(t, in.Tags, 1)
}

func TestAllOfAScheduleIsKept(t *testing.T) {
	var s scheduler.GetScheduleOutput
	fill(reflect.ValueOf(&s).Elem())
	s.StartDate = aws.Time(time.Now().Add(time.Hour)) // one that is past can't be written
	assert.Equal(t, []string{"ClientToken"}, unset(reflect.ValueOf(update(&s)).Elem()), "the SDK makes one")
}

// replies is an ECS that answers what it is told.
func replies(t *testing.T, answers map[string]string) (*Tasks, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, operation+" "+string(body))
		answer, ok := answers[operation]
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			answer = `{"__type":"ClientException","message":"canary"}`
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	config := aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), RetryMaxAttempts: 1}
	return New(config, func(context.Context, time.Duration) error { return nil }), &asked
}

const aRevision = `{"taskDefinition":{"taskDefinitionArn":"arn:aws:ecs:us-east-1:1:task-definition/web:%d","family":"web","revision":%d,"status":"ACTIVE",
	"containerDefinitions":[{"name":"app","image":"app:1","environment":[%s]}]%s}}`

func TestWhatTheSDKDoesNotKnowIsNotLostUnnoticed(t *testing.T) {
	tasks, asked := replies(t, map[string]string{
		"DescribeTaskDefinition": fmt.Sprintf(aRevision, 1, 1, `{"name":"A","value":"canary"},{"name":"B","value":"b"}`, `,"newMember":{"of":"ECS"}`),
		"ListTaskDefinitions":    `{"taskDefinitionArns":["arn:aws:ecs:us-east-1:1:task-definition/web:1"]}`,
		"RegisterTaskDefinition": fmt.Sprintf(aRevision, 2, 2, `{"name":"B","value":"b"}`, ""),
	})
	old, err := tasks.Definition(t.Context(), "web:1")
	require.NoError(t, err)
	_, err = tasks.Register(t.Context(), old.Without("app", "A"), 1)
	require.ErrorContains(t, err, "web:2 isn't what was asked for, in newMember, and isn't used")
	assert.NotContains(t, (*asked)[len(*asked)-1], "canary")
}

// The order in which ECS lists variables, and what it fills in, make no
// difference.
func TestARevisionThatSaysTheSameIsUsedAgain(t *testing.T) {
	tasks, asked := replies(t, map[string]string{
		"DescribeTaskDefinition": fmt.Sprintf(aRevision, 2, 2, `{"name":"B","value":"b"},{"name":"A","value":"a"}`, `,"requiresAttributes":[{"name":"x"}],"volumes":[]`),
		"ListTaskDefinitions":    `{"taskDefinitionArns":["arn:aws:ecs:us-east-1:1:task-definition/web:2","arn:aws:ecs:us-east-1:1:task-definition/web:1"]}`,
	})
	var wanted struct{ TaskDefinition document }
	require.NoError(t, json.Unmarshal(fmt.Appendf(nil, aRevision, 1, 1, `{"name":"A","value":"a"},{"name":"B","value":"b"}`, ""), &wanted))
	found, err := tasks.Register(t.Context(), Definition{Family: "web", raw: wanted.TaskDefinition}, 1)
	require.NoError(t, err)
	assert.Equal(t, 2, found.Revision)
	assert.Len(t, *asked, 2)
}

func TestEditsOfADefinition(t *testing.T) {
	tasks, _ := replies(t, map[string]string{
		"DescribeTaskDefinition": fmt.Sprintf(aRevision, 1, 1, `{"name":"A","value":"canary"}`, ""),
	})
	old, err := tasks.Definition(t.Context(), "web:1")
	require.NoError(t, err)
	next := old.Injecting("app", "A", "arn:one").Injecting("app", "A", "arn:two").With("app", "B", "1").With("app", "B", "2").With("none", "C", "3")
	_, there := next.Value("app", "A")
	assert.False(t, there, "ECS refuses a name in both lists")
	from, _ := next.Injected("app", "A")
	assert.Equal(t, "arn:two", from)
	value, _ := next.Value("app", "B")
	assert.Equal(t, "2", value.RevealString())
	value, _ = old.Value("app", "A")
	assert.Equal(t, "canary", value.RevealString(), "the old one is as it was")
	assert.Equal(t, []string{"containerDefinitions"}, next.differences(old))
	assert.True(t, next.Without("app", "B").Same(old.Injecting("app", "A", "arn:two")))
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", old, old, old, next), "canary")
}

func TestErrorsOfECSQuoteNothing(t *testing.T) {
	tasks, _ := replies(t, nil)
	_, err := tasks.Definition(t.Context(), "web:1")
	require.EqualError(t, err, "read task definition web:1: AWS answered ClientException")
	_, err = tasks.Running(t.Context(), "c", "s")
	require.NotContains(t, err.Error(), "canary")
}

func TestServicesThatCannotBeSwitched(t *testing.T) {
	service := func(text string) string { return `{"services":[{"serviceArn":"s","status":"ACTIVE",` + text + `}]}` }
	for answer, want := range map[string]string{
		`{"services":[]}`:                                        "isn't there any more",
		`{"services":[{"status":"INACTIVE"}]}`:                   "isn't there any more",
		service(`"deploymentController":{"type":"CODE_DEPLOY"}`): "is deployed by CODE_DEPLOY",
		service(`"deployments":[{"status":"PRIMARY","rolloutState":"FAILED","rolloutStateReason":"tasks failed to start"}]`):   "tasks failed to start",
		service(`"deployments":[{"status":"PRIMARY","rolloutState":"IN_PROGRESS","desiredCount":1}]`):                          "under way for more than 20m0s",
		service(`"deployments":[{"status":"PRIMARY","desiredCount":1,"runningCount":1},{"status":"ACTIVE","runningCount":1}]`): "under way",
	} {
		tasks, _ := replies(t, map[string]string{"DescribeServices": answer})
		_, err := tasks.Settled(t.Context(), "main", "web")
		require.ErrorContains(t, err, want)
	}
}

func TestFamilies(t *testing.T) {
	const arn = "arn:aws:ecs:us-east-1:1:task-definition/web"
	assert.Equal(t, arn, FamilyOf(arn+":12"))
	assert.Equal(t, arn, FamilyOf(arn))
	name, bus := Rule("arn:aws:events:us-east-1:1:rule/nightly")
	assert.Equal(t, "nightly", *name)
	assert.Nil(t, bus)
	name, bus = Rule("arn:aws:events:us-east-1:1:rule/team/bus/nightly")
	assert.Equal(t, "nightly", *name)
	assert.Equal(t, "team/bus", *bus)
	assert.Equal(t, "t1", TargetID("rule/nightly/t1"))
}
