// Package quota keeps the calls of AWS clients under AWS's request quotas.
//
// Throttling hurts more than the caller: an account's quota is shared with the
// services that run in it, and a migration must not take a deployment's calls.
// So each call waits for its turn, every attempt of it, at half of what AWS
// allows.
package quota

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"
)

// Bucket is a quota that operations of a service share.
type Bucket struct {
	Service    string   // as the SDK names it: "Lambda", "SSM", "Secrets Manager", "ECS"
	Operations []string // empty: all of the service that no other bucket names
	PerSecond  float64
	Burst      int
}

// share is what the calls may take of a quota.
const share = 0.5

// AWS returns the buckets of AWS's own quotas, at half of their default values,
// by region and account. Bursts are smaller still where AWS names none: a second's
// calls and a burst together stay below what AWS takes in a second.
func AWS() []Bucket {
	return []Bucket{
		// Lambda developer guide, "Lambda quotas": GetFunction 100/s, GetPolicy 15/s,
		// the rest of the control plane 15/s together; none can be raised.
		{"Lambda", []string{"GetFunction"}, 100 * share, 10},
		{"Lambda", []string{"GetPolicy"}, 15 * share, 5},
		{"Lambda", nil, 15 * share, 5},
		// General reference, "AWS Systems Manager endpoints and quotas": GetParameter,
		// GetParameters and GetParametersByPath 40/s together, PutParameter 3/s. It
		// names no others; DescribeParameters is known to be throttled early.
		{"SSM", []string{"GetParameter", "GetParameters", "GetParametersByPath"}, 40 * share, 10},
		{"SSM", []string{"PutParameter"}, 3 * share, 1},
		{"SSM", nil, 5 * share, 2},
		// Secrets Manager user guide, "API request quotas": create 50/s, tag 50/s,
		// policies 50/s, updates 50/s, list 100/s, the reads 10,000/s, of which the
		// services need the most.
		{"Secrets Manager", []string{"DescribeSecret", "GetSecretValue"}, 1000 * share, 100},
		{"Secrets Manager", []string{"CreateSecret"}, 50 * share, 5},
		{"Secrets Manager", []string{"TagResource", "UntagResource"}, 50 * share, 5},
		{"Secrets Manager", []string{"GetResourcePolicy", "PutResourcePolicy", "DeleteResourcePolicy", "ValidateResourcePolicy"}, 50 * share, 5},
		{"Secrets Manager", nil, 50 * share, 5},
		// Amazon ECS API reference, "Request throttling": rates of 20/s for reading
		// clusters (burst 50), services (100) and task definitions (50), of 5/s for
		// changing services (50), of 1/s for changing task definitions (20).
		{"ECS", []string{"DescribeClusters", "ListClusters"}, 20 * share, 50 * share},
		{"ECS", []string{"DescribeServices", "ListServices"}, 20 * share, 100 * share},
		{"ECS", []string{"DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies"}, 20 * share, 50 * share},
		{"ECS", []string{"DescribeTasks", "ListTasks"}, 20 * share, 100 * share},
		{"ECS", []string{"CreateService", "DeleteService", "UpdateService"}, 5 * share, 50 * share},
		{"ECS", []string{"RegisterTaskDefinition", "DeregisterTaskDefinition"}, 1 * share, 20 * share},
		{"ECS", []string{"DeleteTaskDefinitions"}, 1 * share, 2},
		{"ECS", nil, 1 * share, 2},
		// EventBridge user guide, "Amazon EventBridge quotas": 50/s for all but
		// PutEvents. EventBridge Scheduler's were 50/s before they were raised.
		{"EventBridge", nil, 50 * share, 10},
		{"Scheduler", nil, 50 * share, 10},
		// CloudTrail user guide, "Quotas in AWS CloudTrail": LookupEvents 2/s.
		{"CloudTrail", []string{"LookupEvents"}, 2 * share, 1},
	}
}

// Apply returns a copy of the configuration whose clients wait for their turn.
// All clients of all copies that one call returned share the buckets. A wait
// ends when the call's context does.
func Apply(config aws.Config, buckets []Bucket) aws.Config {
	l := limiters{}
	for _, b := range buckets {
		limiter := rate.NewLimiter(rate.Limit(b.PerSecond), b.Burst)
		if len(b.Operations) == 0 {
			l[operation{service: b.Service}] = limiter
		}
		for _, name := range b.Operations {
			l[operation{b.Service, name}] = limiter
		}
	}
	config = config.Copy()
	config.APIOptions = append(config.APIOptions, l.install)
	return config
}

type operation struct{ service, name string }

type limiters map[operation]*rate.Limiter

func (l limiters) install(stack *middleware.Stack) error {
	// After the retries, so that each attempt waits.
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("Quota", l.wait), "Retry", middleware.After)
}

func (l limiters) wait(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	o := operation{awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx)}
	limiter := l[o]
	if limiter == nil {
		limiter = l[operation{service: o.service}]
	}
	if limiter != nil {
		if err := limiter.Wait(ctx); err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, fmt.Errorf("wait for the quota of %s %s: %w", o.service, o.name, err)
		}
	}
	return next.HandleFinalize(ctx, in)
}
