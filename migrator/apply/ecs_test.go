package apply_test

import (
	"fmt"
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

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

// containers is an estate of an ECS service, a rule and a schedule.
type containers struct {
	*world
	tasks     *ecs.Client
	rules     *eventbridge.Client
	schedules *scheduler.Client
	cluster   string
}

func newContainers(t *testing.T) *containers {
	t.Helper()
	w := newWorld(t)
	c := &containers{world: w, tasks: ecs.NewFromConfig(w.config), rules: eventbridge.NewFromConfig(w.config), schedules: scheduler.NewFromConfig(w.config)}
	out, err := c.tasks.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("main")})
	require.NoError(t, err)
	c.cluster = *out.Cluster.ClusterArn
	return c
}

func (c *containers) register(family string, environment map[string]string, injected map[string]string) string {
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
	out, err := c.tasks.RegisterTaskDefinition(c.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: &family, ExecutionRoleArn: &c.role, TaskRoleArn: &c.role, Cpu: aws.String("256"), Memory: aws.String("512"),
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

func (c *containers) start(name, definition string, breaker bool) {
	c.Helper()
	in := &ecs.CreateServiceInput{Cluster: &c.cluster, ServiceName: &name, TaskDefinition: &definition, DesiredCount: aws.Int32(2)}
	if breaker {
		in.DeploymentConfiguration = &ecstypes.DeploymentConfiguration{DeploymentCircuitBreaker: &ecstypes.DeploymentCircuitBreaker{Enable: true, Rollback: true}}
	}
	_, err := c.tasks.CreateService(c.Context(), in)
	require.NoError(c, err)
	c.advance(time.Minute)
}

func (c *containers) deploy(name, definition string) {
	c.Helper()
	_, err := c.tasks.UpdateService(c.Context(), &ecs.UpdateServiceInput{Cluster: &c.cluster, Service: &name, TaskDefinition: &definition})
	require.NoError(c, err)
}

func (c *containers) running(name string) string {
	c.Helper()
	out, err := c.tasks.DescribeServices(c.Context(), &ecs.DescribeServicesInput{Cluster: &c.cluster, Services: []string{name}})
	require.NoError(c, err)
	return *out.Services[0].Deployments[0].TaskDefinition
}

func (c *containers) definition(arn string) (*ecstypes.TaskDefinition, map[string]string, map[string]string) {
	c.Helper()
	out, err := c.tasks.DescribeTaskDefinition(c.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn, Include: []ecstypes.TaskDefinitionField{"TAGS"}})
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

func (c *containers) revisions(family string) []string {
	c.Helper()
	out, err := c.tasks.ListTaskDefinitions(c.Context(), &ecs.ListTaskDefinitionsInput{FamilyPrefix: &family})
	require.NoError(c, err)
	return out.TaskDefinitionArns
}

func (c *containers) rule(definition string) string {
	c.Helper()
	out, err := c.rules.PutRule(c.Context(), &eventbridge.PutRuleInput{Name: aws.String("nightly"), ScheduleExpression: aws.String("rate(1 day)")})
	require.NoError(c, err)
	put, err := c.rules.PutTargets(c.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("nightly"), Targets: []eventtypes.Target{{
		Id: aws.String("t1"), Arn: &c.cluster, RoleArn: &c.role, Input: aws.String(`{"containerOverrides":[]}`),
		EcsParameters: &eventtypes.EcsParameters{TaskDefinitionArn: &definition, TaskCount: aws.Int32(2), LaunchType: "FARGATE", Group: aws.String("g")},
	}}})
	require.NoError(c, err)
	require.Zero(c, put.FailedEntryCount)
	return *out.RuleArn
}

func (c *containers) ruleTarget() eventtypes.Target {
	c.Helper()
	out, err := c.rules.ListTargetsByRule(c.Context(), &eventbridge.ListTargetsByRuleInput{Rule: aws.String("nightly")})
	require.NoError(c, err)
	return out.Targets[0]
}

func (c *containers) schedule(definition string) string {
	c.Helper()
	out, err := c.schedules.CreateSchedule(c.Context(), &scheduler.CreateScheduleInput{
		Name: aws.String("hourly"), ScheduleExpression: aws.String("cron(0 * * * ? *)"), ScheduleExpressionTimezone: aws.String("Europe/Berlin"),
		Description: aws.String("kept"), State: schedulertypes.ScheduleStateDisabled,
		FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: "FLEXIBLE", MaximumWindowInMinutes: aws.Int32(7)},
		Target: &schedulertypes.Target{
			Arn: &c.cluster, RoleArn: &c.role, RetryPolicy: &schedulertypes.RetryPolicy{MaximumRetryAttempts: aws.Int32(3)},
			EcsParameters: &schedulertypes.EcsParameters{TaskDefinitionArn: &definition, LaunchType: "FARGATE"},
		},
	})
	require.NoError(c, err)
	return *out.ScheduleArn
}

func (c *containers) scheduled() *scheduler.GetScheduleOutput {
	c.Helper()
	out, err := c.schedules.GetSchedule(c.Context(), &scheduler.GetScheduleInput{Name: aws.String("hourly")})
	require.NoError(c, err)
	return out
}

func (c *containers) of(kind plan.ServiceKind, id, arn, definition string, how plan.How, variables ...plan.Variable) plan.Service {
	s := plan.Service{ID: id, Kind: kind, ARN: arn, TaskDefinition: definition, Role: c.role, Wave: 1, How: how, Digest: "d", Variables: variables}
	if kind == plan.ECSService {
		s.Cluster = c.cluster
	}
	return s
}

func taskPlace(definition, variable string) plan.Place {
	return plan.Place{In: spec.ScanECS, ID: definition, Container: "app", Variable: variable}
}

const webService = "arn:aws:ecs:us-east-1:123456789012:service/main/web"

// web is an ECS service with a value in its environment, a key of a login, and
// one that ECS injects from a parameter.
func web(c *containers, how plan.How) (plan.Plan, string) {
	c.parameter("/web/token", canary+"token")
	parameterARN := "arn:aws:ssm:us-east-1:123456789012:parameter/web/token"
	c.allowParameters()
	old := c.register("web", map[string]string{"API_KEY": canary, "DB_PASSWORD": password, "LOG_LEVEL": "info"}, map[string]string{"TOKEN": parameterARN})
	c.start("web", old, true)
	login := c.one("acme/dev/web/database", "")
	login.Kind = spec.KindDatabase
	login.Values = []plan.Value{{Field: "engine", Constant: "postgres"}, {Field: "password", Digest: c.key.Of(spec.ValueString(password)), Places: []plan.Place{taskPlace(old, "DB_PASSWORD")}}}
	variables := []plan.Variable{
		{Container: "app", Name: "API_KEY", Secret: "acme/dev/web/api-key"},
		{Container: "app", Name: "DB_PASSWORD", Secret: "acme/dev/web/database", Field: "password"},
	}
	secrets := []plan.Secret{c.one("acme/dev/web/api-key", canary, taskPlace(old, "API_KEY")), login}
	if how == plan.ByInjection {
		variables = append(variables, plan.Variable{Container: "app", Name: "TOKEN", Secret: "acme/dev/web/token", Parameter: "/web/token"})
		secrets = append(secrets, c.one("acme/dev/web/token", canary+"token", plan.Place{In: spec.ScanSSM, ID: "/web/token"}))
	}
	return c.plan(secrets, []plan.Service{c.of(plan.ECSService, "ecs/main/web", webService, old, how, variables...)}), old
}

func (w *world) allowParameters() {
	w.Helper()
	w.policy("parameters", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:GetParameters","kms:Decrypt"],"Resource":"*"}]}`)
}

func (c *containers) arn(secret string) string {
	c.Helper()
	out, err := c.secrets.DescribeSecret(c.Context(), &secretsmanager.DescribeSecretInput{SecretId: &secret})
	require.NoError(c, err)
	return *out.ARN
}

func checkWeb(c *containers, old string) {
	c.Helper()
	now := c.running("web")
	require.NotEqual(c, old, now)
	before, _, _ := c.definition(old)
	after, environment, injected := c.definition(now)
	assert.Equal(c, map[string]string{"LOG_LEVEL": "info"}, environment)
	assert.Equal(c, map[string]string{
		"API_KEY": c.arn("acme/dev/web/api-key"), "DB_PASSWORD": c.arn("acme/dev/web/database") + ":password::", "TOKEN": c.arn("acme/dev/web/token"),
	}, injected)
	assert.Len(c, c.revisions("web"), 2, "one new revision")

	// All else is as it was.
	for _, d := range []*ecstypes.TaskDefinition{before, after} {
		d.ContainerDefinitions[0].Environment, d.ContainerDefinitions[0].Secrets = nil, nil
		d.TaskDefinitionArn, d.Revision, d.RegisteredAt = nil, 0, nil
	}
	assert.Equal(c, before, after)
	assert.Equal(c, journal.Healthy, c.state().Services["ecs/main/web"].Status)
	c.noCanary("canary")
}

func TestAServiceOfECSIsSwitchedByInjection(t *testing.T) {
	c := newContainers(t)
	p, old := web(c, plan.ByInjection)
	o := c.options()
	o.DryRun = true
	require.True(t, c.apply(p, o).Complete)
	assert.Equal(t, old, c.running("web"))
	assert.Len(t, c.revisions("web"), 1)
	c.must(p)
	checkWeb(c, old)
	for _, s := range c.must(p).Steps {
		assert.Equal(t, apply.Already, s.Outcome)
	}
}

func TestAServiceOfECSIsSwitchedByReference(t *testing.T) {
	c := newContainers(t)
	p, old := web(c, plan.ByReference)
	c.must(p)
	_, environment, _ := c.definition(c.running("web"))
	assert.Equal(t, map[string]string{
		"API_KEY": canary, "API_KEY_SECRET_ID": "acme/dev/web/api-key", "DB_PASSWORD": password, "DB_PASSWORD_SECRET_ID": "acme/dev/web/database#password",
		"LOG_LEVEL": "info", "SECRETS_DUALREAD": "compare", "SECRETS_SERVICE": "main/web",
	}, environment)
	o := c.options()
	o.Mode = plan.Final
	require.True(t, c.apply(p, o).Complete)
	_, environment, _ = c.definition(c.running("web"))
	assert.Equal(t, map[string]string{
		"API_KEY_SECRET_ID": "acme/dev/web/api-key", "DB_PASSWORD_SECRET_ID": "acme/dev/web/database#password", "LOG_LEVEL": "info",
	}, environment)
	s := c.state().Services["ecs/main/web"]
	assert.Equal(t, old, s.Old)
	assert.Len(t, s.Versions, 2)
	assert.Equal(t, c.running("web"), s.New)
}

func TestKilledAtEveryCallOfECS(t *testing.T) {
	if testing.Short() {
		t.Skip("an apply for each call")
	}
	for _, after := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			t.Run(fmt.Sprintf("after=%t/%d", after, at), func(t *testing.T) {
				c := newContainers(t)
				p, old := web(c, plan.ByInjection)
				more, _ = c.killed(at, after, func(config aws.Config) { _, _ = apply.Run(t.Context(), config, p, c.options()) })
				c.must(p)
				checkWeb(c, old)
			})
		}
	}
}

// Without the right to read the new secret no task starts: the service goes back
// by itself, by ECS's circuit breaker or by the migrator.
func TestAServiceWhoseNewTasksDoNotStartGoesBack(t *testing.T) {
	for _, breaker := range []bool{true, false} {
		t.Run(fmt.Sprintf("breaker=%t", breaker), func(t *testing.T) {
			c := newContainers(t)
			p, old := web(c, plan.ByInjection)
			if !breaker {
				_, err := c.tasks.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: &c.cluster, Service: aws.String("web"), DeploymentConfiguration: &ecstypes.DeploymentConfiguration{}})
				require.NoError(t, err)
			}
			grants := p.Grants
			p.Grants = nil
			result := c.apply(p, c.options())
			detail := failures(result)["ecs/main/web"]
			assert.Contains(t, detail, "doesn't reach a steady state")
			assert.Contains(t, detail, "brought back to "+old)
			assert.Equal(t, old, c.running("web"))
			assert.Equal(t, journal.Returned, c.state().Services["ecs/main/web"].Status)
			assert.NotContains(t, fmt.Sprint(result), "canary")

			p.Grants = grants
			c.must(p)
			checkWeb(c, old)
		})
	}
}

func TestAServiceThatSomebodyElseDeploys(t *testing.T) {
	c := newContainers(t)
	p, _ := web(c, plan.ByInjection)
	other := c.register("web", map[string]string{"API_KEY": canary, "RELEASE": "2"}, nil)
	c.deploy("web", other)
	c.advance(time.Minute)
	_, err := apply.Run(t.Context(), c.config, p, c.options())
	changed := &apply.ChangedError{}
	require.ErrorAs(t, err, &changed)
	assert.Contains(t, changed.Changes[0], "it starts "+other)
}

// A service that is being deployed is waited for.
func TestADeploymentThatIsUnderWayIsWaitedFor(t *testing.T) {
	c := newContainers(t)
	p, old := web(c, plan.ByInjection)
	_, err := c.tasks.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: &c.cluster, Service: aws.String("web"), ForceNewDeployment: true})
	require.NoError(t, err)
	c.must(p)
	checkWeb(c, old)
}

// Whoever deploys at any moment of the switch keeps what they deployed.
func TestSomebodyElseDeploysAtEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("an apply for each call")
	}
	for at, more := 0, true; more; at++ {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			c := newContainers(t)
			p, old := web(c, plan.ByInjection)
			other := ""
			var result apply.Result
			var err error
			calls := c.observed(func(call int) {
				if call == at {
					other = c.register("web", map[string]string{"API_KEY": canary, "DB_PASSWORD": password, "LOG_LEVEL": "info", "RELEASE": "2"}, nil)
					c.deploy("web", other)
				}
			}, func(config aws.Config) { result, err = apply.Run(t.Context(), config, p, c.options()) })
			if more = other != ""; !more {
				require.NoError(t, err)
				checkWeb(c, old)
				return
			}
			c.advance(time.Hour)
			assert.Equal(t, other, c.running("web"), "not overwritten, at %s", calls[at])
			// Detected, unless it came after the last look.
			if err == nil && result.Complete {
				assert.Equal(t, "DescribeServices", calls[len(calls)-1])
				assert.Equal(t, len(calls)-1, at, "only an edit before the last look's answer can be missed")
			}
		})
	}
}

func TestRulesAndSchedules(t *testing.T) {
	c := newContainers(t)
	old := c.register("job", map[string]string{"API_KEY": canary, "LOG_LEVEL": "info"}, nil)
	rule, schedule := c.rule(old), c.schedule(old)
	variable := plan.Variable{Container: "app", Name: "API_KEY", Secret: "acme/dev/job/api-key"}
	p := c.plan([]plan.Secret{c.one("acme/dev/job/api-key", canary, taskPlace(old, "API_KEY"))}, []plan.Service{
		c.of(plan.RuleTask, "rule/nightly/t1", rule, old, plan.ByInjection, variable),
		c.of(plan.ScheduledTask, "schedule/default/hourly", schedule, old, plan.ByInjection, variable),
	})
	before, beforeSchedule := c.ruleTarget(), c.scheduled()
	c.must(p)
	after, afterSchedule := c.ruleTarget(), c.scheduled()
	assert.True(t, strings.HasSuffix(*after.EcsParameters.TaskDefinitionArn, "job:2"))
	assert.Equal(t, *after.EcsParameters.TaskDefinitionArn, *afterSchedule.Target.EcsParameters.TaskDefinitionArn, "both share one new revision")
	assert.Len(t, c.revisions("job"), 2)
	before.EcsParameters.TaskDefinitionArn, after.EcsParameters.TaskDefinitionArn = nil, nil
	assert.Equal(t, before, after)
	beforeSchedule.Target.EcsParameters.TaskDefinitionArn, afterSchedule.Target.EcsParameters.TaskDefinitionArn = nil, nil
	beforeSchedule.LastModificationDate, afterSchedule.LastModificationDate = nil, nil
	beforeSchedule.ResultMetadata = afterSchedule.ResultMetadata
	assert.Equal(t, beforeSchedule, afterSchedule)
	for _, s := range c.must(p).Steps {
		assert.Equal(t, apply.Already, s.Outcome)
	}
}

// A rule that names the family starts the new revision as soon as there is one.
func TestWhatStartsTheNewestRevision(t *testing.T) {
	c := newContainers(t)
	old := c.register("job", map[string]string{"API_KEY": canary}, nil)
	family := strings.TrimSuffix(old, ":1")
	rule := c.rule(family)
	variable := plan.Variable{Container: "app", Name: "API_KEY", Secret: "acme/dev/job/api-key"}
	p := c.plan([]plan.Secret{c.one("acme/dev/job/api-key", canary, taskPlace(old, "API_KEY"))}, []plan.Service{
		c.of(plan.RuleTask, "rule/nightly/t1", rule, old, plan.ByInjection, variable),
	})
	c.must(p)
	assert.Equal(t, family, *c.ruleTarget().EcsParameters.TaskDefinitionArn)
	assert.Len(t, c.revisions("job"), 2)
	assert.True(t, c.state().Services["rule/nightly/t1"].Follows)
	c.must(p)
	assert.Len(t, c.revisions("job"), 2)

	other := newContainers(t)
	old = other.register("job", map[string]string{"API_KEY": canary}, nil)
	rule = other.rule(family)
	p.Services[0].TaskDefinition = old
	p.Services[0].ARN = rule
	p.Secrets[0].Values[0].Digest = other.key.Of(spec.ValueString(canary))
	other.register("job", map[string]string{"API_KEY": canary, "RELEASE": "2"}, nil)
	_, err := apply.Run(t.Context(), other.config, p, other.options())
	require.ErrorContains(t, err, "it starts "+family+":2")
}
