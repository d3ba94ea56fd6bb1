package apply_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestAServiceOfECSIsSwitchedByInjection(t *testing.T) {
	c := applytest.NewContainers(t)
	p, old := applytest.Web(c, plan.ByInjection)
	o := c.Options()
	o.DryRun = true
	require.True(t, c.Apply(p, o).Complete)
	assert.Equal(t, old, c.Running("web"))
	assert.Len(t, c.Revisions("web"), 1)
	c.Must(p)
	applytest.CheckWeb(c, old)
	for _, s := range c.Must(p).Steps {
		assert.Equal(t, apply.Already, s.Outcome)
	}
}

func TestAServiceOfECSIsSwitchedByReference(t *testing.T) {
	c := applytest.NewContainers(t)
	p, old := applytest.Web(c, plan.ByReference)
	c.Must(p)
	_, environment, _ := c.Definition(c.Running("web"))
	assert.Equal(t, map[string]string{
		"API_KEY": applytest.Canary, "API_KEY_SECRET_ID": "acme/dev/web/api-key", "DB_PASSWORD": applytest.Password, "DB_PASSWORD_SECRET_ID": "acme/dev/web/database#password",
		"LOG_LEVEL": "info", "SECRETS_DUALREAD": "compare", "SECRETS_SERVICE": "main/web",
	}, environment)
	o := c.Options()
	o.Mode = plan.Final
	require.True(t, c.Apply(p, o).Complete)
	_, environment, _ = c.Definition(c.Running("web"))
	assert.Equal(t, map[string]string{
		"API_KEY_SECRET_ID": "acme/dev/web/api-key", "DB_PASSWORD_SECRET_ID": "acme/dev/web/database#password", "LOG_LEVEL": "info", "SECRETS_SERVICE": "main/web",
	}, environment, "it goes on counting its reads")
	s := c.State().Services["ecs/main/web"]
	assert.Equal(t, old, s.Old)
	assert.Len(t, s.Versions, 2)
	assert.Equal(t, c.Running("web"), s.New)
}

func TestKilledAtEveryCallOfECS(t *testing.T) {
	if testing.Short() {
		t.Skip("an apply for each call")
	}
	for _, after := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			t.Run(fmt.Sprintf("after=%t/%d", after, at), func(t *testing.T) {
				c := applytest.NewContainers(t)
				p, old := applytest.Web(c, plan.ByInjection)
				more, _ = c.Killed(at, after, func(config aws.Config) { _, _ = apply.Run(t.Context(), config, p, c.Options()) })
				c.Must(p)
				applytest.CheckWeb(c, old)
			})
		}
	}
}

// Without the right to read the new secret no task starts: the service goes back
// by itself, by ECS's circuit breaker or by the migrator.
func TestAServiceWhoseNewTasksDoNotStartGoesBack(t *testing.T) {
	for _, breaker := range []bool{true, false} {
		t.Run(fmt.Sprintf("breaker=%t", breaker), func(t *testing.T) {
			c := applytest.NewContainers(t)
			p, old := applytest.Web(c, plan.ByInjection)
			if !breaker {
				_, err := c.Tasks.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: &c.Cluster, Service: aws.String("web"), DeploymentConfiguration: &ecstypes.DeploymentConfiguration{}})
				require.NoError(t, err)
			}
			grants := p.Grants
			p.Grants = nil
			result := c.Apply(p, c.Options())
			detail := applytest.Failures(result)["ecs/main/web"]
			assert.Contains(t, detail, "doesn't reach a steady state")
			assert.Contains(t, detail, map[bool]string{true: "circuit breaker", false: "3 tasks in a row failed to start"}[breaker])
			assert.Contains(t, detail, "brought back to "+old)
			assert.Equal(t, old, c.Running("web"))
			assert.Equal(t, journal.Returned, c.State().Services["ecs/main/web"].Status)
			assert.NotContains(t, fmt.Sprint(result), "canary")

			p.Grants = grants
			c.Must(p)
			applytest.CheckWeb(c, old)
		})
	}
}

// What was deleted since the plan was made no longer fits it.
func TestAServiceThatIsGoneIsAChange(t *testing.T) {
	c := applytest.NewContainers(t)
	p, _ := applytest.Web(c, plan.ByInjection)
	jobs, _ := applytest.Jobs(c, false)
	p.Secrets, p.Services = append(p.Secrets, jobs.Secrets...), append(p.Services, jobs.Services...)
	small := applytest.Small(c.World)
	p.Secrets, p.Services = append(p.Secrets, small.Secrets...), append(p.Services, small.Services...)
	_, err := c.Tasks.DeleteService(t.Context(), &ecs.DeleteServiceInput{Cluster: &c.Cluster, Service: aws.String("web"), Force: aws.Bool(true)})
	require.NoError(t, err)
	_, err = c.Schedules.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: aws.String("hourly")})
	require.NoError(t, err)
	_, err = c.Rules.RemoveTargets(t.Context(), &eventbridge.RemoveTargetsInput{Rule: aws.String("nightly"), Ids: []string{"t1"}})
	require.NoError(t, err)
	c.Remove("orders")
	_, err = apply.Run(t.Context(), c.Config, p, c.Options())
	changed := &apply.ChangedError{}
	require.ErrorAs(t, err, &changed)
	for _, id := range []string{"ecs/main/web", "schedule/default/hourly", "rule/nightly/t1", "lambda/orders"} {
		assert.Contains(t, changed.Changes, id+": it is gone")
	}
}

// ECS would refuse to bring the service back to it.
func TestAServiceOfADeregisteredRevisionStaysAsItIs(t *testing.T) {
	c := applytest.NewContainers(t)
	p, old := applytest.Web(c, plan.ByInjection)
	_, err := c.Tasks.DeregisterTaskDefinition(t.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &old})
	require.NoError(t, err)
	for _, dry := range []bool{true, false} {
		o := c.Options()
		o.DryRun = dry
		assert.Contains(t, applytest.Failures(c.Apply(p, o))["ecs/main/web"], "no way back to it: deploy an active revision")
	}
	assert.Equal(t, old, c.Running("web"))
	assert.Empty(t, c.Revisions("web"))
}

// IAM's simulation knows of a new policy before the services do.
func TestANewPolicyIsGivenTimeToArrive(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	var waited []time.Duration
	o := w.Options()
	sleep := o.Sleep
	o.Sleep = func(ctx context.Context, d time.Duration) error {
		waited = append(waited, d)
		return sleep(ctx, d)
	}
	require.True(t, w.Apply(p, o).Complete)
	assert.Contains(t, waited, 15*time.Second)
	waited = nil
	require.True(t, w.Apply(p, o).Complete)
	assert.Empty(t, waited)
}

func TestAServiceThatSomebodyElseDeploys(t *testing.T) {
	c := applytest.NewContainers(t)
	p, _ := applytest.Web(c, plan.ByInjection)
	other := c.Register("web", map[string]string{"API_KEY": applytest.Canary, "RELEASE": "2"}, nil)
	c.Deploy("web", other)
	c.Advance(time.Minute)
	_, err := apply.Run(t.Context(), c.Config, p, c.Options())
	changed := &apply.ChangedError{}
	require.ErrorAs(t, err, &changed)
	assert.Contains(t, changed.Changes[0], "it starts "+other)
}

// A service that is being deployed is waited for.
func TestADeploymentThatIsUnderWayIsWaitedFor(t *testing.T) {
	c := applytest.NewContainers(t)
	p, old := applytest.Web(c, plan.ByInjection)
	_, err := c.Tasks.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: &c.Cluster, Service: aws.String("web"), ForceNewDeployment: true})
	require.NoError(t, err)
	c.Must(p)
	applytest.CheckWeb(c, old)
}

// Scheduler refuses a start that is past, also the schedule's own.
func TestAScheduleThatHasBegun(t *testing.T) {
	for expression, want := range map[string]time.Duration{"cron(0 * * * ? *)": 0, "rate(6 hours)": 12 * time.Hour} {
		t.Run(expression, func(t *testing.T) {
			c := applytest.NewContainers(t)
			p, old := applytest.Jobs(c, false)
			s := c.Scheduled()
			begin := c.Cloud.Clock().Now().Add(time.Hour).Truncate(time.Second)
			_, err := c.Schedules.UpdateSchedule(t.Context(), &scheduler.UpdateScheduleInput{
				Name: s.Name, ScheduleExpression: &expression, FlexibleTimeWindow: s.FlexibleTimeWindow, Target: s.Target, State: s.State, StartDate: &begin,
			})
			require.NoError(t, err)
			c.Advance(8 * time.Hour)
			c.Must(p)
			s = c.Scheduled()
			assert.NotEqual(t, old, *s.Target.EcsParameters.TaskDefinitionArn)
			if want == 0 {
				assert.Nil(t, s.StartDate)
			} else {
				assert.Equal(t, begin.Add(want).UTC(), s.StartDate.UTC())
			}
		})
	}
}

// Whoever deploys at any moment of the switch keeps what they deployed.
func TestSomebodyElseDeploysAtEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("an apply for each call")
	}
	for at, more := 0, true; more; at++ {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			c := applytest.NewContainers(t)
			p, old := applytest.Web(c, plan.ByInjection)
			other := ""
			var result apply.Result
			var err error
			calls := c.Observed(func(call int) {
				if call == at {
					other = c.Register("web", map[string]string{"API_KEY": applytest.Canary, "DB_PASSWORD": applytest.Password, "LOG_LEVEL": "info", "RELEASE": "2"}, nil)
					c.Deploy("web", other)
				}
			}, func(config aws.Config) { result, err = apply.Run(t.Context(), config, p, c.Options()) })
			if more = other != ""; !more {
				require.NoError(t, err)
				applytest.CheckWeb(c, old)
				return
			}
			c.Advance(time.Hour)
			assert.Equal(t, other, c.Running("web"), "not overwritten, at %s", calls[at])
			// Detected, unless it came after the last look.
			if err == nil && result.Complete {
				assert.Equal(t, "DescribeServices", calls[len(calls)-1])
				assert.Equal(t, len(calls)-1, at, "only an edit before the last look's answer can be missed")
			}
		})
	}
}

func TestRulesAndSchedules(t *testing.T) {
	c := applytest.NewContainers(t)
	old := c.Register("job", map[string]string{"API_KEY": applytest.Canary, "LOG_LEVEL": "info"}, nil)
	rule, schedule := c.Rule(old), c.Schedule(old)
	variable := plan.Variable{Container: "app", Name: "API_KEY", Secret: "acme/dev/job/api-key"}
	p := c.Plan([]plan.Secret{c.One("acme/dev/job/api-key", applytest.Canary, applytest.TaskPlace(old, "API_KEY"))}, []plan.Service{
		c.Task(plan.RuleTask, "rule/nightly/t1", rule, old, plan.ByInjection, variable),
		c.Task(plan.ScheduledTask, "schedule/default/hourly", schedule, old, plan.ByInjection, variable),
	})
	before, beforeSchedule := c.RuleTarget(), c.Scheduled()
	c.Must(p)
	after, afterSchedule := c.RuleTarget(), c.Scheduled()
	assert.True(t, strings.HasSuffix(*after.EcsParameters.TaskDefinitionArn, "job:2"))
	assert.Equal(t, *after.EcsParameters.TaskDefinitionArn, *afterSchedule.Target.EcsParameters.TaskDefinitionArn, "both share one new revision")
	assert.Len(t, c.Revisions("job"), 2)
	before.EcsParameters.TaskDefinitionArn, after.EcsParameters.TaskDefinitionArn = nil, nil
	assert.Equal(t, before, after)
	beforeSchedule.Target.EcsParameters.TaskDefinitionArn, afterSchedule.Target.EcsParameters.TaskDefinitionArn = nil, nil
	beforeSchedule.LastModificationDate, afterSchedule.LastModificationDate = nil, nil
	beforeSchedule.ResultMetadata = afterSchedule.ResultMetadata
	assert.Equal(t, beforeSchedule, afterSchedule)
	for _, s := range c.Must(p).Steps {
		assert.Equal(t, apply.Already, s.Outcome)
	}
}

// A rule that names the family starts the new revision as soon as there is one.
func TestWhatStartsTheNewestRevision(t *testing.T) {
	c := applytest.NewContainers(t)
	old := c.Register("job", map[string]string{"API_KEY": applytest.Canary}, nil)
	family := strings.TrimSuffix(old, ":1")
	rule := c.Rule(family)
	variable := plan.Variable{Container: "app", Name: "API_KEY", Secret: "acme/dev/job/api-key"}
	p := c.Plan([]plan.Secret{c.One("acme/dev/job/api-key", applytest.Canary, applytest.TaskPlace(old, "API_KEY"))}, []plan.Service{
		c.Task(plan.RuleTask, "rule/nightly/t1", rule, old, plan.ByInjection, variable),
	})
	c.Must(p)
	assert.Equal(t, family, *c.RuleTarget().EcsParameters.TaskDefinitionArn)
	assert.Len(t, c.Revisions("job"), 2)
	assert.True(t, c.State().Services["rule/nightly/t1"].Follows)
	c.Must(p)
	assert.Len(t, c.Revisions("job"), 2)

	other := applytest.NewContainers(t)
	old = other.Register("job", map[string]string{"API_KEY": applytest.Canary}, nil)
	rule = other.Rule(family)
	p.Services[0].TaskDefinition = old
	p.Services[0].ARN = rule
	p.Secrets[0].Values[0].Digest = other.Key.Of(spec.ValueString(applytest.Canary))
	other.Register("job", map[string]string{"API_KEY": applytest.Canary, "RELEASE": "2"}, nil)
	_, err := apply.Run(t.Context(), other.Config, p, other.Options())
	require.ErrorContains(t, err, "it starts "+family+":2")
}
