// Package tasks changes what ECS runs: it registers revisions of task
// definitions, deploys them to services, and points rules and schedules that
// start tasks at them.
//
// ECS, EventBridge and its Scheduler have nothing by which a write could name
// what it was made from. So everything is read right before it is written, and a
// deployment of somebody else that was under way at the same moment gets its
// way back.
package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/migrator/apply/refusal"
)

// ErrChanged is returned when somebody else changed what was to be changed.
var ErrChanged = errors.New("somebody else has changed it meanwhile")

// ErrGone is returned when there is no such service, rule, target or schedule any
// more.
var ErrGone = errors.New("it isn't there any more")

// UnsteadyError is returned when a service doesn't reach a steady state with a
// revision.
type UnsteadyError struct{ Reason string }

// Error tells what ECS said.
func (e *UnsteadyError) Error() string { return "it doesn't reach a steady state: " + e.Reason }

// How long a deployment may take, and how often it is looked at.
const (
	patience = 20 * time.Minute
	interval = 15 * time.Second
)

// goneCodes are how ECS and EventBridge say that something isn't there.
var goneCodes = []string{"ResourceNotFoundException", "ServiceNotFoundException", "ClusterNotFoundException"}

// read words the error of a reading.
func read(what string, err error) error {
	if failed := smithy.APIError(nil); errors.As(err, &failed) && slices.Contains(goneCodes, failed.ErrorCode()) {
		return fmt.Errorf("read %s: %w", what, ErrGone)
	}
	return fmt.Errorf("read %s: %w", what, refusal.Of(err))
}

type ecsAPI interface {
	ecs.ListTaskDefinitionsAPIClient
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
	RegisterTaskDefinition(context.Context, *ecs.RegisterTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.RegisterTaskDefinitionOutput, error)
	DeregisterTaskDefinition(context.Context, *ecs.DeregisterTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DeregisterTaskDefinitionOutput, error)
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
}

type rulesAPI interface {
	ListTargetsByRule(context.Context, *eventbridge.ListTargetsByRuleInput, ...func(*eventbridge.Options)) (*eventbridge.ListTargetsByRuleOutput, error)
	PutTargets(context.Context, *eventbridge.PutTargetsInput, ...func(*eventbridge.Options)) (*eventbridge.PutTargetsOutput, error)
}

type schedulesAPI interface {
	GetSchedule(context.Context, *scheduler.GetScheduleInput, ...func(*scheduler.Options)) (*scheduler.GetScheduleOutput, error)
	UpdateSchedule(context.Context, *scheduler.UpdateScheduleInput, ...func(*scheduler.Options)) (*scheduler.UpdateScheduleOutput, error)
}

// Sleep waits for a while, or until the context ends, whose error it returns.
type Sleep func(context.Context, time.Duration) error

// Tasks are the tasks of an account and region.
type Tasks struct {
	ecs       ecsAPI
	rules     rulesAPI
	schedules schedulesAPI
	sleep     Sleep
}

// New returns the tasks of the configuration's account and region.
func New(config aws.Config, sleep Sleep) *Tasks {
	return &Tasks{ecs.NewFromConfig(config), eventbridge.NewFromConfig(config), scheduler.NewFromConfig(config), sleep}
}
