package tasks

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"

	"github.com/aistudio/secrets/migrator/apply/refusal"
)

// RuleTarget returns the task definition that a rule's target starts, as it
// stands: with a revision or without.
func (t *Tasks) RuleTarget(ctx context.Context, ruleARN, id string) (string, error) {
	target, err := t.target(ctx, ruleARN, id)
	if err != nil {
		return "", err
	}
	return aws.ToString(target.EcsParameters.TaskDefinitionArn), nil
}

// TargetID is the id of a rule's target, which ends a service's ID in a plan.
func TargetID(service string) string { return service[strings.LastIndexByte(service, '/')+1:] }

// Rule takes a rule's ARN apart: rule/<name>, or rule/<bus>/<name>. The bus is nil
// for the default one.
func Rule(arn string) (name, bus *string) {
	_, path, _ := strings.Cut(arn, ":rule/")
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return aws.String(path[i+1:]), aws.String(path[:i])
	}
	return &path, nil
}

func (t *Tasks) target(ctx context.Context, ruleARN, id string) (eventtypes.Target, error) {
	name, bus := Rule(ruleARN)
	in := &eventbridge.ListTargetsByRuleInput{Rule: name, EventBusName: bus}
	for {
		out, err := t.rules.ListTargetsByRule(ctx, in)
		if err != nil {
			return eventtypes.Target{}, read("the targets of rule "+ruleARN, err)
		}
		for _, target := range out.Targets {
			if aws.ToString(target.Id) == id && target.EcsParameters != nil {
				return target, nil
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return eventtypes.Target{}, fmt.Errorf("read target %s of rule %s, which starts a task: %w", id, ruleARN, ErrGone)
		}
	}
}

// PointRule lets a rule's target start another task definition, in the place of
// one of those given; all else of the target stays. It returns ErrChanged if it
// starts anything else.
func (t *Tasks) PointRule(ctx context.Context, ruleARN, id string, from []string, to string) error {
	target, err := t.target(ctx, ruleARN, id)
	if err != nil {
		return err
	}
	at := aws.ToString(target.EcsParameters.TaskDefinitionArn)
	if at == to {
		return nil
	}
	if !slices.Contains(from, at) {
		return fmt.Errorf("target %s of rule %s starts %s: %w", id, ruleARN, at, ErrChanged)
	}
	target.EcsParameters.TaskDefinitionArn = &to
	name, bus := Rule(ruleARN)
	out, err := t.rules.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: name, EventBusName: bus, Targets: []eventtypes.Target{target}})
	if err != nil {
		return fmt.Errorf("change target %s of rule %s: %w", id, ruleARN, refusal.Of(err))
	}
	if out.FailedEntryCount > 0 {
		return fmt.Errorf("change target %s of rule %s: EventBridge answered %s", id, ruleARN, aws.ToString(out.FailedEntries[0].ErrorCode))
	}
	return nil
}

// ScheduleTarget returns the task definition that a schedule starts, as it
// stands: with a revision or without.
func (t *Tasks) ScheduleTarget(ctx context.Context, arn string) (string, error) {
	s, err := t.schedule(ctx, arn)
	if err != nil {
		return "", err
	}
	return aws.ToString(s.Target.EcsParameters.TaskDefinitionArn), nil
}

func (t *Tasks) schedule(ctx context.Context, arn string) (*scheduler.GetScheduleOutput, error) {
	_, path, _ := strings.Cut(arn, ":schedule/")
	group, name, ok := strings.Cut(path, "/")
	if !ok {
		return nil, fmt.Errorf("%q isn't the ARN of a schedule", arn)
	}
	out, err := t.schedules.GetSchedule(ctx, &scheduler.GetScheduleInput{GroupName: &group, Name: &name})
	if err != nil {
		return nil, read("schedule "+path, err)
	}
	if out.Target == nil || out.Target.EcsParameters == nil {
		return nil, fmt.Errorf("read the target of schedule %s, which starts a task: %w", path, ErrGone)
	}
	return out, nil
}

// PointSchedule is PointRule for a schedule of EventBridge Scheduler. An update
// replaces all of a schedule, so it is written as it was read but for the task
// definition and a start that is past.
func (t *Tasks) PointSchedule(ctx context.Context, arn string, from []string, to string) error {
	s, err := t.schedule(ctx, arn)
	if err != nil {
		return err
	}
	at := aws.ToString(s.Target.EcsParameters.TaskDefinitionArn)
	if at == to {
		return nil
	}
	if !slices.Contains(from, at) {
		return fmt.Errorf("schedule %s starts %s: %w", arn, at, ErrChanged)
	}
	s.Target.EcsParameters.TaskDefinitionArn = &to
	if _, err := t.schedules.UpdateSchedule(ctx, update(s)); err != nil {
		return fmt.Errorf("change schedule %s: %w", arn, refusal.Of(err))
	}
	return nil
}

func update(s *scheduler.GetScheduleOutput) *scheduler.UpdateScheduleInput {
	return &scheduler.UpdateScheduleInput{
		FlexibleTimeWindow: s.FlexibleTimeWindow, Name: s.Name, ScheduleExpression: s.ScheduleExpression, Target: s.Target,
		ActionAfterCompletion: s.ActionAfterCompletion, Description: s.Description, EndDate: s.EndDate, GroupName: s.GroupName,
		KmsKeyArn: s.KmsKeyArn, ScheduleExpressionTimezone: s.ScheduleExpressionTimezone, StartDate: start(s), State: s.State,
	}
}

// start is when the schedule is to begin. Scheduler refuses a date that is past,
// also the schedule's own ("The StartDate you specify cannot be earlier than 5
// minutes ago"). Without one a schedule has begun, and a rate goes on from the next
// of its times.
func start(s *scheduler.GetScheduleOutput) *time.Time {
	now, ok := awsmiddleware.GetServerTime(s.ResultMetadata)
	if !ok {
		now = time.Now()
	}
	if s.StartDate == nil || s.StartDate.After(now) {
		return s.StartDate
	}
	every := rate(aws.ToString(s.ScheduleExpression))
	if every == 0 {
		return nil
	}
	return aws.Time(s.StartDate.Add(now.Sub(*s.StartDate).Truncate(every) + every))
}

var rateForm = regexp.MustCompile(`^rate\((\d+) +(minute|hour|day)s?\)$`)

// rate is that of a schedule's expression, or 0.
func rate(expression string) time.Duration {
	parts := rateForm.FindStringSubmatch(expression)
	if parts == nil {
		return 0
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0
	}
	return time.Duration(n) * map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[parts[2]]
}
