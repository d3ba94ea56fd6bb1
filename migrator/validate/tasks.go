package validate

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"

	"github.com/aistudio/secrets/migrator/apply/tasks"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

type taskReader interface {
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
}

type ruleReader interface {
	ListTargetsByRule(context.Context, *eventbridge.ListTargetsByRuleInput, ...func(*eventbridge.Options)) (*eventbridge.ListTargetsByRuleOutput, error)
}

type scheduleReader interface {
	GetSchedule(context.Context, *scheduler.GetScheduleInput, ...func(*scheduler.Options)) (*scheduler.GetScheduleOutput, error)
}

func (v *validation) readService(ctx context.Context, s *service) error {
	out, err := v.tasks.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &s.Cluster, Services: []string{s.ARN}})
	if err != nil {
		return err
	}
	if len(out.Services) == 0 || aws.ToString(out.Services[0].Status) != "ACTIVE" {
		s.problem, s.gone = "it isn't there any more", true
		return nil
	}
	found := out.Services[0]
	if err := v.readRevision(ctx, s, aws.ToString(found.TaskDefinition)); err != nil {
		return err
	}
	v.judgeService(s, found)
	return nil
}

// judgeService tells whether a service is in a steady state: one deployment,
// completed, with all its tasks.
func (v *validation) judgeService(s *service, found types.Service) {
	s.health.How = "ECS's deployments of the service"
	s.health.Remedy = "See the service's events; roll it back if the migration is the cause."
	var primary *types.Deployment
	failed := int32(0)
	for i, d := range found.Deployments {
		failed += d.FailedTasks
		if aws.ToString(d.Status) == "PRIMARY" {
			primary = &found.Deployments[i]
		}
	}
	switch {
	case primary == nil:
		s.health.Result, s.health.Detail = Unknown, "it has no primary deployment that ECS tells of"
		return
	case primary.RolloutState == types.DeploymentRolloutStateFailed:
		s.health.Result, s.health.Detail = Fail, "its deployment failed"
	case len(found.Deployments) > 1 && failed > 0:
		s.health.Result, s.health.Detail = Fail, fmt.Sprintf("%d tasks failed to start, and it isn't steady", failed)
	case len(found.Deployments) > 1 || primary.RolloutState == types.DeploymentRolloutStateInProgress || found.PendingCount > 0:
		s.health.Result, s.health.Detail, s.health.Remedy = Unknown, "a deployment is in progress", "Validate again when it is done."
	case found.RunningCount < found.DesiredCount:
		s.health.Result, s.health.Detail = Fail, fmt.Sprintf("%d of %d tasks run", found.RunningCount, found.DesiredCount)
	default:
		s.health.Result, s.health.Remedy = Pass, ""
		s.health.Detail = fmt.Sprintf("steady with %d tasks", found.RunningCount)
	}
	s.pulled = s.health.Result == Pass && found.RunningCount > 0
	s.switched = aws.ToTime(primary.CreatedAt)
}

// readRevision takes the references out of a task definition's revision.
func (v *validation) readRevision(ctx context.Context, s *service, arn string) error {
	if name := arn[strings.LastIndexByte(arn, '/')+1:]; !strings.Contains(name, ":") {
		arn = name // of the family: ECS's API reference knows no ARN without a revision
	}
	out, err := v.tasks.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn})
	if err != nil {
		return err
	}
	s.references = map[slot]string{}
	for _, c := range out.TaskDefinition.ContainerDefinitions {
		for _, injected := range c.Secrets {
			if s.How == plan.ByInjection {
				s.references[slot{aws.ToString(c.Name), aws.ToString(injected.Name)}] = aws.ToString(injected.ValueFrom)
			}
		}
		for _, pair := range c.Environment {
			if s.How == plan.ByReference && strings.HasSuffix(aws.ToString(pair.Name), spec.ReferenceSuffix) {
				s.references[slot{aws.ToString(c.Name), aws.ToString(pair.Name)}] = aws.ToString(pair.Value)
			}
		}
	}
	s.switched = aws.ToTime(out.TaskDefinition.RegisteredAt)
	return nil
}

// readRuleTask reads the target of a rule.
func (v *validation) readRuleTask(ctx context.Context, s *service) error {
	name, bus := tasks.Rule(s.ARN)
	in := &eventbridge.ListTargetsByRuleInput{Rule: name, EventBusName: bus}
	for {
		out, err := v.rules.ListTargetsByRule(ctx, in)
		if err != nil {
			return err
		}
		for _, target := range out.Targets {
			if aws.ToString(target.Id) == tasks.TargetID(s.ID) && target.EcsParameters != nil {
				return v.readTask(ctx, s, aws.ToString(target.EcsParameters.TaskDefinitionArn))
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			s.problem, s.gone = "the rule has no such target any more", true
			return nil
		}
	}
}

// readScheduledTask reads a schedule: schedule/<group>/<name>.
func (v *validation) readScheduledTask(ctx context.Context, s *service) error {
	parts := strings.Split(s.ID, "/")
	out, err := v.schedules.GetSchedule(ctx, &scheduler.GetScheduleInput{GroupName: &parts[1], Name: &parts[len(parts)-1]})
	if err != nil {
		return err
	}
	if out.Target == nil || out.Target.EcsParameters == nil {
		s.problem, s.gone = "it starts no task any more", true
		return nil
	}
	return v.readTask(ctx, s, aws.ToString(out.Target.EcsParameters.TaskDefinitionArn))
}

// readTask reads the revision that a rule or schedule starts. Nothing of it runs
// in between, so its health is that of its configuration.
func (v *validation) readTask(ctx context.Context, s *service, revision string) error {
	if err := v.readRevision(ctx, s, revision); err != nil {
		return err
	}
	s.health.Result, s.health.How, s.health.Detail = Pass, "reading what starts the task", "it starts "+revision[strings.LastIndex(revision, "/")+1:]
	return nil
}
