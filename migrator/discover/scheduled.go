package discover

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventstypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/sdk/spec"
)

type ruleReader interface {
	ListEventBuses(context.Context, *eventbridge.ListEventBusesInput, ...func(*eventbridge.Options)) (*eventbridge.ListEventBusesOutput, error)
	ListRuleNamesByTarget(context.Context, *eventbridge.ListRuleNamesByTargetInput, ...func(*eventbridge.Options)) (*eventbridge.ListRuleNamesByTargetOutput, error)
	ListTargetsByRule(context.Context, *eventbridge.ListTargetsByRuleInput, ...func(*eventbridge.Options)) (*eventbridge.ListTargetsByRuleOutput, error)
	ListTagsForResource(context.Context, *eventbridge.ListTagsForResourceInput, ...func(*eventbridge.Options)) (*eventbridge.ListTagsForResourceOutput, error)
}

type scheduleReader interface {
	scheduler.ListSchedulesAPIClient
	GetSchedule(context.Context, *scheduler.GetScheduleInput, ...func(*scheduler.Options)) (*scheduler.GetScheduleOutput, error)
	ListTagsForResource(context.Context, *scheduler.ListTagsForResourceInput, ...func(*scheduler.Options)) (*scheduler.ListTagsForResourceOutput, error)
}

// readScheduledTasks finds the rules by the clusters that they start tasks in,
// which takes a few calls instead of one a rule.
func (d *discovery) readScheduledTasks(ctx context.Context, clusters []string) error {
	var ofRules, ofSchedules []ScheduledTask
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return d.attempt(ctx, spec.ScanECS, "the rules that start tasks", func(ctx context.Context) (err error) {
			ofRules, err = d.readRules(ctx, clusters)
			return err
		})
	})
	group.Go(func() error {
		return d.attempt(ctx, spec.ScanECS, "the schedules that start tasks", func(ctx context.Context) (err error) {
			ofSchedules, err = d.readSchedules(ctx)
			return err
		})
	})
	if err := group.Wait(); err != nil {
		return err
	}
	d.estate.ScheduledTasks = append(ofRules, ofSchedules...)
	slices.SortFunc(d.estate.ScheduledTasks, func(a, b ScheduledTask) int {
		return cmp.Or(cmp.Compare(a.ARN, b.ARN), cmp.Compare(a.Target, b.Target))
	})
	d.progress("scheduled tasks", len(d.estate.ScheduledTasks), len(d.estate.ScheduledTasks))
	return nil
}

// readRules looks at all buses: a rule with a schedule is on the default one, but
// events of any bus can start a task.
func (d *discovery) readRules(ctx context.Context, clusters []string) ([]ScheduledTask, error) {
	if len(clusters) == 0 {
		return nil, nil
	}
	buses, err := d.listBuses(ctx)
	if err != nil {
		return nil, err
	}
	var tasks []ScheduledTask
	for _, bus := range buses {
		var names []string
		for _, cluster := range clusters {
			found, err := d.listRules(ctx, bus, cluster)
			if err != nil {
				return nil, err
			}
			names = append(names, found...)
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			found, err := d.readRule(ctx, bus, name)
			if err != nil {
				return nil, err
			}
			tasks = append(tasks, found...)
		}
	}
	return tasks, nil
}

func (d *discovery) listBuses(ctx context.Context) ([]eventstypes.EventBus, error) {
	var buses []eventstypes.EventBus
	in := &eventbridge.ListEventBusesInput{}
	for {
		page, err := d.rules.ListEventBuses(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the event buses: %w", err)
		}
		buses = append(buses, page.EventBuses...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return buses, nil
		}
	}
}

func (d *discovery) listRules(ctx context.Context, bus eventstypes.EventBus, cluster string) ([]string, error) {
	var names []string
	in := &eventbridge.ListRuleNamesByTargetInput{EventBusName: bus.Name, TargetArn: &cluster}
	for {
		page, err := d.rules.ListRuleNamesByTarget(ctx, in)
		switch {
		case err == nil:
		case gone(err):
			return nil, nil
		default:
			return nil, fmt.Errorf("list the rules of bus %s that start tasks in %s: %w", aws.ToString(bus.Name), cluster, err)
		}
		names = append(names, page.RuleNames...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return names, nil
		}
	}
}

func (d *discovery) readRule(ctx context.Context, bus eventstypes.EventBus, name string) ([]ScheduledTask, error) {
	arn := ruleARN(bus, name)
	var tasks []ScheduledTask
	in := &eventbridge.ListTargetsByRuleInput{EventBusName: bus.Name, Rule: &name}
	for {
		page, err := d.rules.ListTargetsByRule(ctx, in)
		switch {
		case err == nil:
		case gone(err):
			return nil, nil
		case denied(err):
			d.unread(spec.ScanECS, arn, "the rule's targets can't be read: "+reason(err))
			return nil, nil
		default:
			return nil, fmt.Errorf("read the targets of rule %s: %w", arn, err)
		}
		for _, t := range page.Targets {
			if t.EcsParameters == nil {
				continue
			}
			input := aws.ToString(t.Input)
			if t.InputTransformer != nil {
				input = aws.ToString(t.InputTransformer.InputTemplate)
			}
			task := ScheduledTask{
				ARN: arn, Name: ruleName(arn), Target: aws.ToString(t.Id), Cluster: aws.ToString(t.Arn),
				TaskDefinition: aws.ToString(t.EcsParameters.TaskDefinitionArn),
			}
			task.Overrides = d.overrides(arn, input)
			tasks = append(tasks, task)
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	if len(tasks) == 0 {
		return nil, nil
	}
	out, err := d.rules.ListTagsForResource(ctx, &eventbridge.ListTagsForResourceInput{ResourceARN: &arn})
	switch {
	case err == nil:
	case gone(err):
		return nil, nil
	case denied(err):
		d.unread(spec.ScanECS, arn, "its tags can't be read, so whoever owns it isn't known: "+reason(err))
		return tasks, nil
	default:
		return nil, fmt.Errorf("read the tags of rule %s: %w", arn, err)
	}
	tags := map[string]string{}
	for _, t := range out.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	for i := range tasks {
		tasks[i].Tags = tags
	}
	return tasks, nil
}

// ruleARN is that of the service authorization reference: a custom bus stands
// before the rule, the default one doesn't.
func ruleARN(bus eventstypes.EventBus, name string) string {
	begin, busName, _ := strings.Cut(aws.ToString(bus.Arn), ":event-bus/")
	if busName == "default" {
		return begin + ":rule/" + name
	}
	return begin + ":rule/" + busName + "/" + name
}

// ruleName is what tells a rule from all others of the account and region: a name
// is a rule's only within its bus.
func ruleName(arn string) string {
	_, name, _ := strings.Cut(arn, ":rule/")
	return name
}

// runTask is the universal target that starts a task. Its input names it.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
const runTask = ":scheduler:::aws-sdk:ecs:runTask"

// readSchedules opens the schedules whose target may start a task.
func (d *discovery) readSchedules(ctx context.Context) ([]ScheduledTask, error) {
	var tasks []ScheduledTask
	tags := map[string]map[string]string{}
	pages := scheduler.NewListSchedulesPaginator(d.schedules, &scheduler.ListSchedulesInput{MaxResults: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the schedules: %w", err)
		}
		for _, s := range page.Schedules {
			if s.Target == nil || !strings.Contains(aws.ToString(s.Target.Arn), ":ecs:") {
				continue
			}
			task, err := d.readSchedule(ctx, aws.ToString(s.Arn), aws.ToString(s.GroupName), aws.ToString(s.Name))
			if err != nil {
				return nil, err
			}
			if task == nil {
				continue
			}
			if task.Tags, err = d.groupTags(ctx, tags, task.ARN); err != nil {
				return nil, err
			}
			tasks = append(tasks, *task)
		}
	}
	return tasks, nil
}

// readSchedule returns nil where there is nothing to read.
func (d *discovery) readSchedule(ctx context.Context, arn, group, name string) (*ScheduledTask, error) {
	out, err := d.schedules.GetSchedule(ctx, &scheduler.GetScheduleInput{GroupName: &group, Name: &name})
	switch {
	case err == nil:
	case gone(err):
		return nil, nil
	case refused(err):
		d.unread(spec.ScanECS, arn, "the schedule can't be read: "+reason(err))
		return nil, nil
	default:
		return nil, fmt.Errorf("read schedule %s: %w", arn, err)
	}
	task := &ScheduledTask{ARN: arn, Name: group + "/" + name, Cluster: aws.ToString(out.Target.Arn)}
	input := aws.ToString(out.Target.Input)
	switch {
	case out.Target.EcsParameters != nil:
		task.TaskDefinition = aws.ToString(out.Target.EcsParameters.TaskDefinitionArn)
	case strings.HasSuffix(task.Cluster, runTask):
		call, ok := parseRunTask(input)
		if !ok {
			d.unread(spec.ScanECS, arn, "the input of its RunTask is no JSON")
			return nil, nil
		}
		task.Universal = true
		task.Cluster = fullARN(arn, "cluster", cmp.Or(call.Cluster, "default"))
		task.TaskDefinition = fullARN(arn, "task-definition", call.TaskDefinition)
		input = string(call.Overrides)
	default:
		return nil, nil // another call to ECS
	}
	task.Overrides = d.overrides(arn, input)
	return task, nil
}

// runTaskInput is what a universal target tells RunTask.
type runTaskInput struct {
	Cluster, TaskDefinition string
	Overrides               json.RawMessage
}

func parseRunTask(input string) (call runTaskInput, ok bool) {
	err := json.Unmarshal([]byte(input), &call)
	return call, err == nil
}

// fullARN makes an ARN of a name that RunTask takes, in the partition, region and
// account of the schedule.
func fullARN(schedule, kind, name string) string {
	parts := strings.SplitN(schedule, ":", 6)
	if strings.HasPrefix(name, "arn:") || len(parts) < 6 {
		return name
	}
	return strings.Join([]string{parts[0], parts[1], "ecs", parts[3], parts[4], kind + "/" + name}, ":")
}

// groupTags are those of a schedule's group: a schedule has none of its own.
func (d *discovery) groupTags(ctx context.Context, known map[string]map[string]string, schedule string) (map[string]string, error) {
	group := strings.Replace(schedule[:strings.LastIndex(schedule, "/")], ":schedule/", ":schedule-group/", 1)
	if tags, ok := known[group]; ok {
		return tags, nil
	}
	out, err := d.schedules.ListTagsForResource(ctx, &scheduler.ListTagsForResourceInput{ResourceArn: &group})
	switch {
	case err == nil, gone(err):
	case denied(err):
		d.unread(spec.ScanECS, group, "its tags can't be read, so whoever owns its schedules isn't known: "+reason(err))
	default:
		return nil, fmt.Errorf("read the tags of schedule group %s: %w", group, err)
	}
	tags := map[string]string{}
	if out != nil {
		for _, t := range out.Tags {
			tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
	}
	known[group] = tags
	return tags, nil
}

// overrides reads the environment that a task's input puts over that of its
// containers. Members are matched without case: rules write them as ECS's API
// does, universal targets with a capital.
func (d *discovery) overrides(arn, input string) []Container {
	if !strings.Contains(strings.ToLower(input), `environment`) {
		return nil
	}
	var in struct {
		ContainerOverrides []struct {
			Name        string
			Environment []struct{ Name, Value string }
		}
	}
	if err := json.Unmarshal([]byte(input), &in); err != nil {
		d.unread(spec.ScanECS, arn, "the environment in its input can't be read: it is no JSON before its template is filled")
		return nil
	}
	var containers []Container
	for _, o := range in.ContainerOverrides {
		container := Container{Name: o.Name}
		for _, e := range o.Environment {
			container.Settings = append(container.Settings, classify.Setting{Name: e.Name, Value: spec.ValueString(e.Value)})
		}
		sortSettings(container.Settings)
		containers = append(containers, container)
	}
	return containers
}
