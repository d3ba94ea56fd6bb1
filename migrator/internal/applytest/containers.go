package applytest

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// Containers is an estate of an ECS service, a rule and a schedule.
type Containers struct {
	*World
	Tasks     *ecs.Client
	Rules     *eventbridge.Client
	Schedules *scheduler.Client
	Cluster   string
}

// NewContainers returns a world with a cluster.
func NewContainers(t *testing.T) *Containers {
	t.Helper()
	w := New(t)
	c := &Containers{World: w, Tasks: ecs.NewFromConfig(w.Config), Rules: eventbridge.NewFromConfig(w.Config), Schedules: scheduler.NewFromConfig(w.Config)}
	out, err := c.Tasks.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("main")})
	require.NoError(t, err)
	c.Cluster = *out.Cluster.ClusterArn
	return c
}

// Register registers a revision of a task definition and returns its ARN.
func (c *Containers) Register(family string, environment map[string]string, injected map[string]string) string {
	c.Helper()
	app := ecstypes.ContainerDefinition{
		Name: aws.String("app"), Image: aws.String("app:1"), Memory: aws.Int32(128), DockerLabels: map[string]string{"k": "v"},
		HealthCheck: &ecstypes.HealthCheck{Command: []string{"CMD", "true"}},
	}
	for _, name := range []string{"API_KEY", "DB_PASSWORD", "LOG_LEVEL", "RELEASE"} {
		if text, ok := environment[name]; ok {
			app.Environment = append(app.Environment, ecstypes.KeyValuePair{Name: aws.String(name), Value: &text})
		}
	}
	for name, from := range injected {
		app.Secrets = append(app.Secrets, ecstypes.Secret{Name: &name, ValueFrom: &from})
	}
	out, err := c.Tasks.RegisterTaskDefinition(c.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: &family, ExecutionRoleArn: &c.Role, TaskRoleArn: &c.Role, Cpu: aws.String("256"), Memory: aws.String("512"),
		NetworkMode: ecstypes.NetworkModeAwsvpc, RequiresCompatibilities: []ecstypes.Compatibility{ecstypes.CompatibilityFargate},
		RuntimePlatform:      &ecstypes.RuntimePlatform{CpuArchitecture: ecstypes.CPUArchitectureArm64},
		EphemeralStorage:     &ecstypes.EphemeralStorage{SizeInGiB: 30},
		Volumes:              []ecstypes.Volume{{Name: aws.String("data")}},
		ContainerDefinitions: []ecstypes.ContainerDefinition{app, {Name: aws.String("sidecar"), Image: aws.String("side:1"), Memory: aws.Int32(64)}},
		Tags:                 []ecstypes.Tag{{Key: aws.String("Owner"), Value: aws.String("team")}},
	})
	require.NoError(c, err)
	return *out.TaskDefinition.TaskDefinitionArn
}

// Start makes a service and waits until it runs.
func (c *Containers) Start(name, definition string, breaker bool) {
	c.Helper()
	in := &ecs.CreateServiceInput{Cluster: &c.Cluster, ServiceName: &name, TaskDefinition: &definition, DesiredCount: aws.Int32(2)}
	if breaker {
		in.DeploymentConfiguration = &ecstypes.DeploymentConfiguration{DeploymentCircuitBreaker: &ecstypes.DeploymentCircuitBreaker{Enable: true, Rollback: true}}
	}
	_, err := c.Tasks.CreateService(c.Context(), in)
	require.NoError(c, err)
	c.Advance(time.Minute)
}

// Deploy is somebody else's deployment.
func (c *Containers) Deploy(name, definition string) {
	c.Helper()
	_, err := c.Tasks.UpdateService(c.Context(), &ecs.UpdateServiceInput{Cluster: &c.Cluster, Service: &name, TaskDefinition: &definition})
	require.NoError(c, err)
}

// Running is the revision that a service runs.
func (c *Containers) Running(name string) string {
	c.Helper()
	out, err := c.Tasks.DescribeServices(c.Context(), &ecs.DescribeServicesInput{Cluster: &c.Cluster, Services: []string{name}})
	require.NoError(c, err)
	return *out.Services[0].Deployments[0].TaskDefinition
}

// Definition is a revision with the environment and the secrets of its first
// container.
func (c *Containers) Definition(arn string) (*ecstypes.TaskDefinition, map[string]string, map[string]string) {
	c.Helper()
	out, err := c.Tasks.DescribeTaskDefinition(c.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn, Include: []ecstypes.TaskDefinitionField{"TAGS"}})
	require.NoError(c, err)
	environment, injected := map[string]string{}, map[string]string{}
	for _, p := range out.TaskDefinition.ContainerDefinitions[0].Environment {
		environment[*p.Name] = *p.Value
	}
	for _, s := range out.TaskDefinition.ContainerDefinitions[0].Secrets {
		injected[*s.Name] = *s.ValueFrom
	}
	assert.Len(c, out.Tags, 1)
	return out.TaskDefinition, environment, injected
}

// Revisions are the active ones of a family.
func (c *Containers) Revisions(family string) []string {
	c.Helper()
	out, err := c.Tasks.ListTaskDefinitions(c.Context(), &ecs.ListTaskDefinitionsInput{FamilyPrefix: &family})
	require.NoError(c, err)
	return out.TaskDefinitionArns
}

// Rule makes a rule that starts a task, and returns its ARN.
func (c *Containers) Rule(definition string) string {
	c.Helper()
	out, err := c.Rules.PutRule(c.Context(), &eventbridge.PutRuleInput{Name: aws.String("nightly"), ScheduleExpression: aws.String("rate(1 day)")})
	require.NoError(c, err)
	put, err := c.Rules.PutTargets(c.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("nightly"), Targets: []eventtypes.Target{{
		Id: aws.String("t1"), Arn: &c.Cluster, RoleArn: &c.Role, Input: aws.String(`{"containerOverrides":[]}`),
		EcsParameters: &eventtypes.EcsParameters{TaskDefinitionArn: &definition, TaskCount: aws.Int32(2), LaunchType: "FARGATE", Group: aws.String("g")},
	}}})
	require.NoError(c, err)
	require.Zero(c, put.FailedEntryCount)
	return *out.RuleArn
}

// RuleTarget is the rule's target.
func (c *Containers) RuleTarget() eventtypes.Target {
	c.Helper()
	out, err := c.Rules.ListTargetsByRule(c.Context(), &eventbridge.ListTargetsByRuleInput{Rule: aws.String("nightly")})
	require.NoError(c, err)
	return out.Targets[0]
}

// Schedule makes a schedule that starts a task, and returns its ARN.
func (c *Containers) Schedule(definition string) string {
	c.Helper()
	out, err := c.Schedules.CreateSchedule(c.Context(), &scheduler.CreateScheduleInput{
		Name: aws.String("hourly"), ScheduleExpression: aws.String("cron(0 * * * ? *)"), ScheduleExpressionTimezone: aws.String("Europe/Berlin"),
		Description: aws.String("kept"), State: schedulertypes.ScheduleStateDisabled,
		FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: "FLEXIBLE", MaximumWindowInMinutes: aws.Int32(7)},
		Target: &schedulertypes.Target{
			Arn: &c.Cluster, RoleArn: &c.Role, RetryPolicy: &schedulertypes.RetryPolicy{MaximumRetryAttempts: aws.Int32(3)},
			EcsParameters: &schedulertypes.EcsParameters{TaskDefinitionArn: &definition, LaunchType: "FARGATE"},
		},
	})
	require.NoError(c, err)
	return *out.ScheduleArn
}

// Scheduled is the schedule.
func (c *Containers) Scheduled() *scheduler.GetScheduleOutput {
	c.Helper()
	out, err := c.Schedules.GetSchedule(c.Context(), &scheduler.GetScheduleInput{Name: aws.String("hourly")})
	require.NoError(c, err)
	return out
}

// Task is a service of a plan that starts tasks.
func (c *Containers) Task(kind plan.ServiceKind, id, arn, definition string, how plan.How, variables ...plan.Variable) plan.Service {
	s := plan.Service{ID: id, Kind: kind, ARN: arn, TaskDefinition: definition, Role: c.Role, Wave: 1, How: how, Digest: "d", Variables: variables}
	if kind == plan.ECSService {
		s.Cluster = c.Cluster
	}
	return s
}

// TaskPlace is where a variable of a revision is.
func TaskPlace(definition, variable string) plan.Place {
	return plan.Place{In: spec.ScanECS, ID: definition, Container: "app", Variable: variable}
}

const webService = "arn:aws:ecs:us-east-1:123456789012:service/main/web"

// Web is an ECS service with a value in its environment, a key of a login, and
// one that ECS injects from a parameter.
func Web(c *Containers, how plan.How) (plan.Plan, string) {
	c.Parameter("/web/token", Canary+"token")
	parameterARN := "arn:aws:ssm:us-east-1:123456789012:parameter/web/token"
	c.AllowParameters()
	old := c.Register("web", map[string]string{"API_KEY": Canary, "DB_PASSWORD": Password, "LOG_LEVEL": "info"}, map[string]string{"TOKEN": parameterARN})
	c.Start("web", old, true)
	login := c.One("acme/dev/web/database", "")
	login.Kind = spec.KindDatabase
	login.Values = []plan.Value{{Field: "engine", Constant: "postgres"}, {Field: "password", Digest: c.Key.Of(spec.ValueString(Password)), Places: []plan.Place{TaskPlace(old, "DB_PASSWORD")}}}
	variables := []plan.Variable{
		{Container: "app", Name: "API_KEY", Secret: "acme/dev/web/api-key"},
		{Container: "app", Name: "DB_PASSWORD", Secret: "acme/dev/web/database", Field: "password"},
	}
	secrets := []plan.Secret{c.One("acme/dev/web/api-key", Canary, TaskPlace(old, "API_KEY")), login}
	if how == plan.ByInjection {
		variables = append(variables, plan.Variable{Container: "app", Name: "TOKEN", Secret: "acme/dev/web/token", Parameter: "/web/token"})
		secrets = append(secrets, c.One("acme/dev/web/token", Canary+"token", plan.Place{In: spec.ScanSSM, ID: "/web/token"}))
	}
	return c.Plan(secrets, []plan.Service{c.Task(plan.ECSService, "ecs/main/web", webService, old, how, variables...)}), old
}

// AllowParameters lets ECS inject parameters.
func (w *World) AllowParameters() {
	w.Helper()
	w.Policy("parameters", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:GetParameters","kms:Decrypt"],"Resource":"*"}]}`)
}

// ARN is a secret's.
func (c *Containers) ARN(secret string) string {
	c.Helper()
	out, err := c.Secrets.DescribeSecret(c.Context(), &secretsmanager.DescribeSecretInput{SecretId: &secret})
	require.NoError(c, err)
	return *out.ARN
}

// CheckWeb checks the end state of the plan of Web by injection.
func CheckWeb(c *Containers, old string) {
	c.Helper()
	now := c.Running("web")
	require.NotEqual(c, old, now)
	before, _, _ := c.Definition(old)
	after, environment, injected := c.Definition(now)
	assert.Equal(c, map[string]string{"LOG_LEVEL": "info"}, environment)
	assert.Equal(c, map[string]string{
		"API_KEY": c.ARN("acme/dev/web/api-key"), "DB_PASSWORD": c.ARN("acme/dev/web/database") + ":password::", "TOKEN": c.ARN("acme/dev/web/token"),
	}, injected)
	assert.Len(c, c.Revisions("web"), 2, "one new revision")

	// All else is as it was.
	for _, d := range []*ecstypes.TaskDefinition{before, after} {
		d.ContainerDefinitions[0].Environment, d.ContainerDefinitions[0].Secrets = nil, nil
		d.TaskDefinitionArn, d.Revision, d.RegisteredAt = nil, 0, nil
	}
	assert.Equal(c, before, after)
	assert.Equal(c, journal.Healthy, c.State().Services["ecs/main/web"].Status)
	c.NoCanary("canary")
}

// Jobs is a rule and a schedule that start the same task, and its plan. If one
// follows, the rule names the family and not the revision.
func Jobs(c *Containers, follows bool) (p plan.Plan, old string) {
	old = c.Register("job", map[string]string{"API_KEY": Canary, "LOG_LEVEL": "info"}, nil)
	target := old
	if follows {
		target = strings.TrimSuffix(old, ":1")
	}
	rule, schedule := c.Rule(target), c.Schedule(old)
	variable := plan.Variable{Container: "app", Name: "API_KEY", Secret: "acme/dev/job/api-key"}
	return c.Plan([]plan.Secret{c.One("acme/dev/job/api-key", Canary, TaskPlace(old, "API_KEY"))}, []plan.Service{
		c.Task(plan.RuleTask, "rule/nightly/t1", rule, old, plan.ByInjection, variable),
		c.Task(plan.ScheduledTask, "schedule/default/hourly", schedule, old, plan.ByInjection, variable),
	}), old
}
