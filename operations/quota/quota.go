// Package quota keeps the calls to Secrets Manager, Lambda and STS under AWS's
// request quotas. A recovery wants to be quick, and must not take the calls of
// the services that run beside it.
package quota

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"
)

// DefaultShare is the part of a quota that is used unless told otherwise. What
// is left is for the services, which in a disaster need it.
const DefaultShare = 0.8

// bucket is a quota in calls a second that operations of a service share, in a
// region of an account.
type bucket struct {
	service    string   // the SDK's service ID
	operations []string // none: all that no other bucket names
	perSecond  float64
}

// buckets are the defaults of AWS: Secrets Manager user guide, "AWS Secrets
// Manager quotas"; Lambda developer guide, "API requests"; STS user guide,
// "IAM and AWS STS quotas".
func buckets() []bucket {
	return []bucket{
		{"Secrets Manager", []string{"DescribeSecret", "GetSecretValue"}, 10_000},
		{"Secrets Manager", []string{"PutSecretValue", "RemoveRegionsFromReplication", "ReplicateSecretToRegions", "StopReplicationToReplica", "UpdateSecret", "UpdateSecretVersionStage"}, 50},
		{"Secrets Manager", []string{"RotateSecret", "CancelRotateSecret"}, 50},
		{"Secrets Manager", []string{"ListSecrets"}, 100},
		{"Secrets Manager", nil, 50},
		{"Lambda", []string{"GetFunction"}, 100},
		{"Lambda", nil, 15},
		{"STS", nil, 600},
		{"IAM", nil, 10}, // not documented: few, since what deploys needs them
	}
}

// Apply returns a copy of a region's configuration whose clients wait for their
// turn, each attempt of a call anew. Clients of one returned configuration share
// the quotas. share is the part of AWS's quotas to use, more than 0; a wait ends
// with the context of the call.
func Apply(config aws.Config, share float64) aws.Config {
	l := limiters{}
	for _, b := range buckets() {
		perSecond := b.perSecond * share
		limiter := rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/10)))
		if len(b.operations) == 0 {
			l[call{service: b.service}] = limiter
		}
		for _, operation := range b.operations {
			l[call{b.service, operation}] = limiter
		}
	}
	config = config.Copy()
	config.APIOptions = append(config.APIOptions, l.install)
	return config
}

type call struct{ service, operation string }

type limiters map[call]*rate.Limiter

func (l limiters) install(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("OperationsQuota", l.wait), "Retry", middleware.After)
}

func (l limiters) wait(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	c := call{awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx)}
	limiter := l[c]
	if limiter == nil {
		limiter = l[call{service: c.service}]
	}
	if limiter != nil {
		if err := limiter.Wait(ctx); err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, fmt.Errorf("wait for the quota of %s %s: %w", c.service, c.operation, err)
		}
	}
	return next.HandleFinalize(ctx, in)
}
