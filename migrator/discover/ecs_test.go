package discover_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventstypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

func (w *world) cluster(name string) string {
	w.Helper()
	out, err := w.containers.CreateCluster(w.Context(), &ecs.CreateClusterInput{ClusterName: &name})
	require.NoError(w, err)
	return *out.Cluster.ClusterArn
}

// container is one of a task definition, with an environment.
func container(name string, environment map[string]string) ecstypes.ContainerDefinition {
	c := ecstypes.ContainerDefinition{Name: &name, Image: aws.String(name + ":1")}
	for k, v := range environment {
		c.Environment = append(c.Environment, ecstypes.KeyValuePair{Name: &k, Value: &v})
	}
	return c
}

// register adds a revision with one container and returns its ARN.
func (w *world) register(family string, environment map[string]string, more ...ecstypes.ContainerDefinition) string {
	w.Helper()
	out, err := w.containers.RegisterTaskDefinition(w.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: &family, ExecutionRoleArn: &w.role, ContainerDefinitions: append([]ecstypes.ContainerDefinition{container("app", environment)}, more...),
		Tags: []ecstypes.Tag{{Key: aws.String("Owner"), Value: aws.String("team-" + family)}},
	})
	require.NoError(w, err)
	return *out.TaskDefinition.TaskDefinitionArn
}

func (w *world) service(cluster, name, definition string) {
	w.Helper()
	_, err := w.containers.CreateService(w.Context(), &ecs.CreateServiceInput{
		Cluster: &cluster, ServiceName: &name, TaskDefinition: &definition, DesiredCount: aws.Int32(1),
		Tags: []ecstypes.Tag{{Key: aws.String("Owner"), Value: aws.String("team-" + name)}},
	})
	require.NoError(w, err)
}

func (w *world) clusterARN(name string) *string {
	return aws.String("arn:aws:ecs:" + region + ":" + w.cloud.Account() + ":cluster/" + name)
}

func (w *world) rule(name, cluster, definition, input string, transformer *eventstypes.InputTransformer) {
	w.Helper()
	_, err := w.rules.PutRule(w.Context(), &eventbridge.PutRuleInput{
		Name: &name, ScheduleExpression: aws.String("rate(1 day)"), Tags: []eventstypes.Tag{{Key: aws.String("Owner"), Value: aws.String("team-" + name)}},
	})
	require.NoError(w, err)
	target := eventstypes.Target{
		Id: aws.String("task"), Arn: w.clusterARN(cluster), RoleArn: &w.role, EcsParameters: &eventstypes.EcsParameters{TaskDefinitionArn: &definition}, InputTransformer: transformer,
	}
	if input != "" {
		target.Input = &input
	}
	_, err = w.rules.PutTargets(w.Context(), &eventbridge.PutTargetsInput{Rule: &name, Targets: []eventstypes.Target{target}})
	require.NoError(w, err)
}

func (w *world) schedule(name, cluster, definition, input string) {
	w.Helper()
	target := &schedulertypes.Target{
		Arn: w.clusterARN(cluster), RoleArn: &w.role, EcsParameters: &schedulertypes.EcsParameters{TaskDefinitionArn: &definition},
	}
	if input != "" {
		target.Input = &input
	}
	_, err := w.schedules.CreateSchedule(w.Context(), &scheduler.CreateScheduleInput{
		Name: &name, ScheduleExpression: aws.String("rate(7 days)"), Target: target,
		FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: schedulertypes.FlexibleTimeWindowModeOff},
	})
	require.NoError(w, err)
}

func (w *world) deregister(definition string) {
	w.Helper()
	_, err := w.containers.DeregisterTaskDefinition(w.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &definition})
	require.NoError(w, err)
}

func (w *world) read() discover.Estate {
	w.Helper()
	estate, err := discover.Read(w.Context(), w.cloud.Config(region), nil)
	require.NoError(w, err)
	return estate
}

func TestContainersAreReadWhole(t *testing.T) {
	w := newWorld(t)
	shop, jobs := w.cluster("shop"), w.cluster("jobs")
	sidecar := container("sidecar", nil)
	sidecar.Secrets = []ecstypes.Secret{{Name: aws.String("TOKEN"), ValueFrom: aws.String("/shop/token")}}
	first := w.register("orders", map[string]string{"DB_PASSWORD": "hunter2", "DB_HOST": "db"}, sidecar)
	flags := container("flags", nil)
	flags.EntryPoint, flags.Command = []string{"sh", "-c", "serve --token=hunter5"}, []string{"--db-password", "hunter6", "--verbose", "-phunter8", "-Dspring.password=hunter9", "-x"}
	flags.LogConfiguration = &ecstypes.LogConfiguration{LogDriver: ecstypes.LogDriverSplunk, Options: map[string]string{"splunk-token": "hunter7"}}
	second := w.register("orders", map[string]string{"DB_PASSWORD": "hunter3"}, flags)
	report := w.register("report", nil)
	gone := w.register("gone", map[string]string{"A": "b"})
	w.service("shop", "orders", first)
	w.service("jobs", "mail", gone)
	w.deregister(gone)
	old := w.register("old", map[string]string{"A": "b"})
	w.deregister(old)
	w.rule("nightly", "jobs", report, `{"containerOverrides":[{"name":"app","environment":[{"name":"API_TOKEN","value":"hunter4"}]}]}`, nil)
	w.schedule("weekly", "jobs", "arn:aws:ecs:us-east-1:123456789012:task-definition/report", "")

	estate := w.read()
	assert.Empty(t, estate.Unread)
	require.Len(t, estate.Services, 2)
	mail, orders := estate.Services[0], estate.Services[1]
	assert.Equal(t, discover.Service{
		ARN: "arn:aws:ecs:us-east-1:123456789012:service/shop/orders", Name: "orders", Cluster: shop, TaskDefinition: first, Controller: "ECS",
		Tags: map[string]string{"Owner": "team-orders"},
	}, orders)
	assert.Equal(t, jobs, mail.Cluster)

	var arns []string
	for _, d := range estate.TaskDefinitions {
		arns = append(arns, d.ARN)
	}
	assert.Equal(t, []string{gone, first, second, report}, arns, "a deregistered revision that still runs is read, one that nobody runs is not")
	assert.False(t, estate.TaskDefinitions[0].Active)
	d := estate.TaskDefinitions[1]
	assert.Equal(t, "orders", d.Family)
	assert.Equal(t, 1, d.Revision)
	assert.True(t, d.Active)
	assert.Equal(t, w.role, d.ExecutionRole)
	assert.Equal(t, "team-orders", d.Tags["Owner"])
	require.Len(t, d.Containers, 2)
	assert.Equal(t, "DB_HOST", d.Containers[0].Settings[0].Name)
	assert.Equal(t, "hunter2", d.Containers[0].Settings[1].Value.RevealString())
	assert.Equal(t, []discover.Injected{{Name: "TOKEN", ValueFrom: "/shop/token"}}, d.Containers[1].Injected)

	var arguments []string
	for _, a := range estate.TaskDefinitions[2].Containers[1].Arguments {
		arguments = append(arguments, a.Name+" "+a.Value.RevealString())
	}
	assert.Equal(t, []string{"command --db-password hunter6", "command --token hunter5", "command -Dspring.password hunter9", "command -c serve", "command -p hunter8", "log splunk-token hunter7"}, arguments)

	require.Len(t, estate.ScheduledTasks, 2)
	nightly, weekly := estate.ScheduledTasks[0], estate.ScheduledTasks[1]
	assert.Equal(t, "arn:aws:events:us-east-1:123456789012:rule/nightly", nightly.ARN)
	assert.Equal(t, "task", nightly.Target)
	assert.Equal(t, jobs, nightly.Cluster)
	assert.Equal(t, report, nightly.TaskDefinition)
	assert.Equal(t, "team-nightly", nightly.Tags["Owner"])
	require.Len(t, nightly.Overrides, 1)
	assert.Equal(t, "hunter4", nightly.Overrides[0].Settings[0].Value.RevealString())
	assert.Equal(t, "default/weekly", weekly.Name)
	assert.Equal(t, "arn:aws:ecs:us-east-1:123456789012:task-definition/report", weekly.TaskDefinition)
	assert.NotContains(t, fmt.Sprintf("%+v", estate), "hunter")
	assert.Empty(t, w.cloud.Unsupported())
}

func TestMoreServicesThanAPage(t *testing.T) {
	w := newWorld(t)
	w.cluster("shop")
	for i := range 105 {
		name := fmt.Sprintf("many-%03d", i)
		definition := w.register(name, map[string]string{"AB": "c"})
		w.service("shop", name, definition)
		w.rule(name, "shop", definition, "", nil)
		w.schedule(name, "shop", definition, "")
	}
	estate := w.read()
	assert.Len(t, estate.ScheduledTasks, 210)
	assert.Len(t, estate.Services, 105)
	assert.Len(t, estate.TaskDefinitions, 105)
	assert.Empty(t, estate.Unread)
}

// Variables that are somewhere else are unknown, not absent.
func TestEnvironmentThatIsElsewhereIsUnread(t *testing.T) {
	w := newWorld(t)
	w.cluster("shop")
	files := container("files", nil)
	files.EnvironmentFiles = []ecstypes.EnvironmentFile{{Type: ecstypes.EnvironmentFileTypeS3, Value: aws.String("arn:aws:s3:::settings/app.env")}}
	definition := w.register("orders", nil, files)
	w.rule("filled", "shop", definition, "", &eventstypes.InputTransformer{
		InputPathsMap: map[string]string{"n": "$.detail.n"},
		InputTemplate: aws.String(`{"containerOverrides":[{"name":"app","environment":[{"name":"N","value":<n>}]}]}`),
	})
	assert.Equal(t, []discover.Unread{
		{Place: spec.ScanECS, ARN: definition, Reason: "container files has more variables in arn:aws:s3:::settings/app.env, which isn't read"},
		{Place: spec.ScanECS, ARN: "arn:aws:events:us-east-1:123456789012:rule/filled", Reason: "the environment in its input can't be read: it is no JSON before its template is filled"},
	}, w.read().Unread)
}
