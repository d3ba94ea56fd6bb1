package inventory

import (
	"context"

	"golang.org/x/time/rate"
)

// DefaultShare of AWS's quotas is what an audit takes, so that what else the
// account does still gets through.
const DefaultShare = 0.8

// limits keep a region's calls under a share of AWS's quotas (Secrets Manager
// user guide, "API request quotas"; KMS developer guide, "Request quotas"; Lambda
// developer guide, "Lambda quotas"; CloudWatch and CloudTrail user guides, "Quotas").
type limits struct {
	list      *rate.Limiter // ListSecrets
	policies  *rate.Limiter // Get, Put, Delete, ValidateResourcePolicy together
	versions  *rate.Limiter // ListSecretVersionIds
	describe  *rate.Limiter // DescribeSecret: thousands a second, which the services need
	keys      *rate.Limiter // DescribeKey and GetKeyRotationStatus: hundreds a second, which all share
	functions *rate.Limiter // Lambda's control plane, all its reads but GetFunction together
	metrics   *rate.Limiter // GetMetricData
	trails    *rate.Limiter // CloudTrail's reads
	lookups   *rate.Limiter // LookupEvents
}

func newLimits(share float64) limits {
	if share <= 0 {
		share = DefaultShare
	}
	perSecond := func(quota float64) *rate.Limiter {
		return rate.NewLimiter(rate.Limit(quota*share), max(2, int(quota*share/10)))
	}
	return limits{
		list: perSecond(100), policies: perSecond(50), versions: perSecond(50), describe: perSecond(100),
		keys: perSecond(100), functions: perSecond(15), metrics: perSecond(50), trails: perSecond(10), lookups: perSecond(2),
	}
}

// wait waits for the limiter's leave. A limiter that sees the deadline coming
// doesn't wait for it; that is the deadline's error all the same.
func wait(ctx context.Context, limit *rate.Limiter) error {
	if err := limit.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return context.DeadlineExceeded
	}
	return nil
}
