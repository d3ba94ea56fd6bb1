package discover_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

// answering is the configuration of an AWS that gives fixed answers: to
// operations by their names, to others by their paths. It has an account, and
// nothing else.
func answering(t *testing.T, answers map[string]string) aws.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		answer, ok := answers[operation]
		if !ok {
			answer, ok = answers[r.URL.EscapedPath()]
		}
		switch {
		case ok:
		case strings.Contains(r.Header.Get("Content-Type"), "form"):
			answer = `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
		default:
			answer = "{}"
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return aws.Config{Region: region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
}

// Lambda answers with an error in the place of an environment under a key that
// the caller may not use:
// https://docs.aws.amazon.com/lambda/latest/api/API_EnvironmentResponse.html
func TestAnEnvironmentThatCannotBeDecryptedIsUnread(t *testing.T) {
	const function = `"FunctionName":"orders","FunctionArn":"arn:aws:lambda:us-east-1:123456789012:function:orders:$LATEST","Version":"$LATEST"`
	estate, err := discover.Read(t.Context(), answering(t, map[string]string{
		"/2015-03-31/functions": `{"Functions":[{` + function + `,"Environment":{"Error":{"ErrorCode":"AccessDeniedException","Message":"no"}}}]}`,
		"/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aorders": `{"Configuration":{` + function + `},"TagsError":{"ErrorCode":"AccessDeniedException","Message":"no"}}`,
	}), nil)
	require.NoError(t, err)
	require.Len(t, estate.Functions, 1)
	assert.Equal(t, []discover.Unread{
		{Place: spec.ScanLambda, ARN: "arn:aws:lambda:us-east-1:123456789012:function:orders", Reason: "its tags can't be read, so whoever owns it isn't known: AccessDeniedException"},
		{Place: spec.ScanLambda, ARN: "arn:aws:lambda:us-east-1:123456789012:function:orders:$LATEST", Reason: "its environment can't be decrypted: AccessDeniedException"},
	}, estate.Unread)
}

// CodeDeploy and others that deploy by themselves run task sets.
func TestAServiceOfTaskSetsRunsItsPrimaryOne(t *testing.T) {
	estate, err := discover.Read(t.Context(), answering(t, map[string]string{
		"ListClusters": `{"clusterArns":["arn:aws:ecs:us-east-1:123456789012:cluster/shop"]}`,
		"ListServices": `{"serviceArns":["arn:aws:ecs:us-east-1:123456789012:service/shop/web"]}`,
		"DescribeServices": `{"services":[{"serviceArn":"arn:aws:ecs:us-east-1:123456789012:service/shop/web","serviceName":"web","status":"ACTIVE",
			"clusterArn":"arn:aws:ecs:us-east-1:123456789012:cluster/shop","deploymentController":{"type":"CODE_DEPLOY"},"taskDefinition":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:1",
			"taskSets":[{"status":"PRIMARY","taskDefinition":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:2"},{"status":"ACTIVE","taskDefinition":"arn:aws:ecs:us-east-1:123456789012:task-definition/web:3"}]},
			{"serviceArn":"arn:aws:ecs:us-east-1:123456789012:service/shop/old","status":"DRAINING"}]}`,
		"DescribeTaskDefinition": `{"taskDefinition":{"family":"web","status":"INACTIVE"}}`,
	}), nil)
	require.NoError(t, err)
	require.Len(t, estate.Services, 1)
	assert.Equal(t, "CODE_DEPLOY", estate.Services[0].Controller)
	assert.Equal(t, "arn:aws:ecs:us-east-1:123456789012:task-definition/web:2", estate.Services[0].TaskDefinition)
	assert.Len(t, estate.TaskDefinitions, 2, "all that run")
}

// A rule of a custom bus has the bus in its ARN, and a universal target of the
// Scheduler names its task in its input.
func TestRulesOfOtherBusesAndUniversalTargets(t *testing.T) {
	const cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/shop"
	estate, err := discover.Read(t.Context(), answering(t, map[string]string{
		"ListClusters":          `{"clusterArns":["` + cluster + `"]}`,
		"ListEventBuses":        `{"EventBuses":[{"Name":"orders","Arn":"arn:aws:events:us-east-1:123456789012:event-bus/orders"}]}`,
		"ListRuleNamesByTarget": `{"RuleNames":["made"]}`,
		"ListTargetsByRule":     `{"Targets":[{"Id":"a","Arn":"` + cluster + `","EcsParameters":{"TaskDefinitionArn":"web"}},{"Id":"b","Arn":"arn:aws:sqs:us-east-1:123456789012:q"}]}`,
		"/schedules": `{"Schedules":[
			{"Arn":"arn:aws:scheduler:us-east-1:123456789012:schedule/night/run","GroupName":"night","Name":"run","Target":{"Arn":"arn:aws:scheduler:::aws-sdk:ecs:runTask"}},
			{"Arn":"arn:aws:scheduler:us-east-1:123456789012:schedule/night/stop","GroupName":"night","Name":"stop","Target":{"Arn":"arn:aws:scheduler:::aws-sdk:ecs:stopTask"}},
			{"Arn":"arn:aws:scheduler:us-east-1:123456789012:schedule/night/odd","GroupName":"night","Name":"odd","Target":{"Arn":"arn:aws:scheduler:::aws-sdk:ecs:runTask"}}]}`,
		"/schedules/run": `{"Target":{"Arn":"arn:aws:scheduler:::aws-sdk:ecs:runTask","RoleArn":"r",
			"Input":"{\"Cluster\":\"shop\",\"TaskDefinition\":\"web:2\",\"Overrides\":{\"ContainerOverrides\":[{\"Name\":\"app\",\"Environment\":[{\"Name\":\"TOKEN\",\"Value\":\"x\"}]}]}}"}}`,
		"/schedules/stop": `{"Target":{"Arn":"arn:aws:scheduler:::aws-sdk:ecs:stopTask","RoleArn":"r","Input":"{}"}}`,
		"/schedules/odd":  `{"Target":{"Arn":"arn:aws:scheduler:::aws-sdk:ecs:runTask","RoleArn":"r","Input":"<odd>"}}`,
		"/tags/arn%3Aaws%3Ascheduler%3Aus-east-1%3A123456789012%3Aschedule-group%2Fnight": `{"Tags":[{"Key":"Owner","Value":"team-night"}]}`,
	}), nil)
	require.NoError(t, err)
	require.Len(t, estate.ScheduledTasks, 2)
	made, run := estate.ScheduledTasks[0], estate.ScheduledTasks[1]
	assert.Equal(t, "arn:aws:events:us-east-1:123456789012:rule/orders/made", made.ARN)
	assert.Equal(t, "orders/made", made.Name)
	assert.Equal(t, "a", made.Target)
	assert.Equal(t, "night/run", run.Name)
	assert.True(t, run.Universal)
	assert.Equal(t, cluster, run.Cluster)
	assert.Equal(t, "arn:aws:ecs:us-east-1:123456789012:task-definition/web:2", run.TaskDefinition)
	assert.Equal(t, "team-night", run.Tags["Owner"])
	require.Len(t, run.Overrides, 1)
	assert.Equal(t, "TOKEN", run.Overrides[0].Settings[0].Name)
	assert.Equal(t, []discover.Unread{{Place: spec.ScanECS, ARN: "arn:aws:scheduler:us-east-1:123456789012:schedule/night/odd", Reason: "the input of its RunTask is no JSON"}}, estate.Unread)
}
