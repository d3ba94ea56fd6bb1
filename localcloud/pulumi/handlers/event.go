package handlers

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventstypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// defaultBus is the event bus that every account has.
const defaultBus = "default"

// eventRule is an EventBridge rule of the default bus.
type eventRule struct {
	ARN                string `json:"arn" prop:"out"`
	Description        string `json:"description,omitempty" prop:"in"`
	EventBusName       string `json:"eventBusName" prop:"in,replace,default=\"default\""`
	EventPattern       string `json:"eventPattern,omitempty" prop:"in,json"`
	ForceDestroy       bool   `json:"forceDestroy" prop:"in,writeonly,default=false"`
	IsEnabled          bool   `json:"isEnabled,omitempty" prop:"in,writeonly"`
	Name               string `json:"name" prop:"in,replace,auto=64"`
	NamePrefix         string `json:"namePrefix" prop:"in,out,replace,writeonly"`
	RoleARN            string `json:"roleArn,omitempty" prop:"in"`
	ScheduleExpression string `json:"scheduleExpression,omitempty" prop:"in"`
	State              string `json:"state" prop:"in,default=\"ENABLED\""`
	tagged
}

func eventRuleKind() resourceType {
	return kind[eventRule]{
		token: "aws:cloudwatch/eventRule:EventRule",
		check: func(r *eventRule) error {
			if r.EventBusName != "" && r.EventBusName != defaultBus {
				return fmt.Errorf("eventBusName %q: the local cloud has the default bus only", r.EventBusName)
			}
			if r.IsEnabled {
				return errors.New("isEnabled is deprecated: use state")
			}
			return nil
		},
		create: func(ctx context.Context, c *clients, r *eventRule) (string, error) {
			name, err := nameOrPrefix(r.Name, r.NamePrefix)
			if err != nil {
				return "", err
			}
			input := r.request(name)
			input.Tags = tagList(r.Tags, eventsTag)
			if _, err := c.events.PutRule(ctx, input); err != nil {
				return "", err
			}
			return name, nil
		},
		read: readEventRule,
		update: func(ctx context.Context, c *clients, id string, old, r *eventRule) error {
			if _, err := c.events.PutRule(ctx, r.request(id)); err != nil {
				return err
			}
			put, remove := tagChanges(old.Tags, r.Tags)
			if len(remove) > 0 {
				if _, err := c.events.UntagResource(ctx, &eventbridge.UntagResourceInput{ResourceARN: &old.ARN, TagKeys: remove}); err != nil {
					return err
				}
			}
			if len(put) > 0 {
				if _, err := c.events.TagResource(ctx, &eventbridge.TagResourceInput{ResourceARN: &old.ARN, Tags: tagList(put, eventsTag)}); err != nil {
					return err
				}
			}
			return nil
		},
		remove: func(ctx context.Context, c *clients, id string, r *eventRule) error {
			_, err := c.events.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: &id, Force: r.ForceDestroy})
			return unlessGone[*eventstypes.ResourceNotFoundException](err)
		},
	}
}

func (r *eventRule) request(name string) *eventbridge.PutRuleInput {
	return &eventbridge.PutRuleInput{
		Description:        optional(r.Description),
		EventPattern:       optional(r.EventPattern),
		Name:               &name,
		RoleArn:            optional(r.RoleARN),
		ScheduleExpression: optional(r.ScheduleExpression),
		State:              eventstypes.RuleState(r.State),
	}
}

func eventsTag(key, value string) eventstypes.Tag {
	return eventstypes.Tag{Key: &key, Value: &value}
}

func readEventRule(ctx context.Context, c *clients, id string, r *eventRule) error {
	got, err := c.events.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: &id})
	if err != nil {
		return gone[*eventstypes.ResourceNotFoundException](err)
	}
	r.ARN, r.Name, r.EventBusName = aws.ToString(got.Arn), aws.ToString(got.Name), defaultBus
	r.Description, r.RoleARN = aws.ToString(got.Description), aws.ToString(got.RoleArn)
	r.EventPattern = keepSpelling(r.EventPattern, aws.ToString(got.EventPattern), sameJSON)
	r.ScheduleExpression, r.State = aws.ToString(got.ScheduleExpression), string(got.State)
	listed, err := c.events.ListTagsForResource(ctx, &eventbridge.ListTagsForResourceInput{ResourceARN: &r.ARN})
	if err != nil {
		return err
	}
	r.setTags(tagMap(listed.Tags, func(tag eventstypes.Tag) (key, value *string) { return tag.Key, tag.Value }))
	return nil
}

// eventTarget is where a rule sends its events: a Lambda function, an SQS queue
// or an SNS topic. Its ID is "<rule>-<target's id>".
type eventTarget struct {
	ARN              string            `json:"arn" prop:"in,required"`
	DeadLetterConfig *eventDeadLetters `json:"deadLetterConfig,omitempty" prop:"in"`
	EventBusName     string            `json:"eventBusName" prop:"in,replace,default=\"default\""`
	ForceDestroy     bool              `json:"forceDestroy" prop:"in,writeonly,default=false"`
	Input            string            `json:"input,omitempty" prop:"in"`
	InputPath        string            `json:"inputPath,omitempty" prop:"in"`
	InputTransformer *eventTransformer `json:"inputTransformer,omitempty" prop:"in"`
	RetryPolicy      *eventRetryPolicy `json:"retryPolicy,omitempty" prop:"in"`
	RoleARN          string            `json:"roleArn,omitempty" prop:"in"`
	Rule             string            `json:"rule" prop:"in,required,replace"`
	TargetID         string            `json:"targetId" prop:"in,replace,auto=64"`
}

type eventDeadLetters struct {
	ARN string `json:"arn,omitempty" prop:"in"`
}

type eventTransformer struct {
	InputPaths    map[string]string `json:"inputPaths,omitempty" prop:"in"`
	InputTemplate string            `json:"inputTemplate" prop:"in,required"`
}

// eventRetryPolicy says for how long, in seconds, and how often EventBridge
// tries.
type eventRetryPolicy struct {
	MaximumEventAgeInSeconds int32 `json:"maximumEventAgeInSeconds,omitempty" prop:"in"`
	MaximumRetryAttempts     int32 `json:"maximumRetryAttempts,omitempty" prop:"in"`
}

func eventTargetKind() resourceType {
	return kind[eventTarget]{
		token: "aws:cloudwatch/eventTarget:EventTarget",
		create: func(ctx context.Context, c *clients, t *eventTarget) (string, error) {
			if err := putEventTarget(ctx, c, t); err != nil {
				return "", err
			}
			return t.Rule + "-" + t.TargetID, nil
		},
		read: readEventTarget,
		update: func(ctx context.Context, c *clients, _ string, _, t *eventTarget) error {
			return putEventTarget(ctx, c, t)
		},
		remove: func(ctx context.Context, c *clients, _ string, t *eventTarget) error {
			_, err := c.events.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: &t.Rule, Ids: []string{t.TargetID}, Force: t.ForceDestroy})
			return unlessGone[*eventstypes.ResourceNotFoundException](err)
		},
	}
}

func putEventTarget(ctx context.Context, c *clients, t *eventTarget) error {
	target := eventstypes.Target{
		Arn: &t.ARN, Id: &t.TargetID, Input: optional(t.Input), InputPath: optional(t.InputPath), RoleArn: optional(t.RoleARN),
	}
	if t.DeadLetterConfig != nil {
		target.DeadLetterConfig = &eventstypes.DeadLetterConfig{Arn: optional(t.DeadLetterConfig.ARN)}
	}
	if t.InputTransformer != nil {
		target.InputTransformer = &eventstypes.InputTransformer{
			InputPathsMap: t.InputTransformer.InputPaths, InputTemplate: &t.InputTransformer.InputTemplate,
		}
	}
	if p := t.RetryPolicy; p != nil {
		// pulumi-aws sends the number of tries even where the program sets none.
		target.RetryPolicy = &eventstypes.RetryPolicy{MaximumRetryAttempts: &p.MaximumRetryAttempts}
		if p.MaximumEventAgeInSeconds != 0 {
			target.RetryPolicy.MaximumEventAgeInSeconds = &p.MaximumEventAgeInSeconds
		}
	}
	put, err := c.events.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: &t.Rule, Targets: []eventstypes.Target{target}})
	if err != nil {
		return err
	}
	for _, failed := range put.FailedEntries {
		return fmt.Errorf("target %s of rule %s: %s: %s", t.TargetID, t.Rule, aws.ToString(failed.ErrorCode), aws.ToString(failed.ErrorMessage))
	}
	return nil
}

func readEventTarget(ctx context.Context, c *clients, id string, t *eventTarget) error {
	if t.Rule == "" {
		return fmt.Errorf("an event target can't be imported into the local cloud: its ID %q doesn't tell the rule from the target", id)
	}
	got, err := c.events.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: &t.Rule})
	if err != nil {
		return gone[*eventstypes.ResourceNotFoundException](err)
	}
	for _, target := range got.Targets {
		if aws.ToString(target.Id) == t.TargetID {
			t.take(target)
			return nil
		}
	}
	return errNotFound
}

func (t *eventTarget) take(target eventstypes.Target) {
	t.ARN, t.EventBusName, t.RoleARN = aws.ToString(target.Arn), defaultBus, aws.ToString(target.RoleArn)
	t.Input, t.InputPath = aws.ToString(target.Input), aws.ToString(target.InputPath)
	t.DeadLetterConfig, t.InputTransformer, t.RetryPolicy = nil, nil, nil
	if target.DeadLetterConfig != nil {
		t.DeadLetterConfig = &eventDeadLetters{ARN: aws.ToString(target.DeadLetterConfig.Arn)}
	}
	if x := target.InputTransformer; x != nil {
		t.InputTransformer = &eventTransformer{InputPaths: x.InputPathsMap, InputTemplate: aws.ToString(x.InputTemplate)}
	}
	if p := target.RetryPolicy; p != nil {
		t.RetryPolicy = &eventRetryPolicy{aws.ToInt32(p.MaximumEventAgeInSeconds), aws.ToInt32(p.MaximumRetryAttempts)}
	}
}
