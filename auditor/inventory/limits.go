package inventory

import (
	"context"

	"golang.org/x/time/rate"
)

// limits keep a region's calls at about four fifths of AWS's quotas, so that
// what else the account does still gets through (Secrets Manager user guide,
// "API request quotas"; KMS developer guide, "Request quotas"; Lambda developer
// guide, "Lambda quotas"; CloudTrail user guide, "Quotas").
type limits struct {
	list      *rate.Limiter // ListSecrets: 100 a second
	policies  *rate.Limiter // Get, Put, Delete, ValidateResourcePolicy together: 50 a second
	versions  *rate.Limiter // ListSecretVersionIds: 50 a second
	keys      *rate.Limiter // DescribeKey and GetKeyRotationStatus: hundreds a second, shared with all that read keys
	functions *rate.Limiter // Lambda's control plane: 15 a second for all its reads but GetFunction and Invoke
	trails    *rate.Limiter // CloudTrail's reads: 10 a second
	lookups   *rate.Limiter // LookupEvents: 2 a second
}

func newLimits() limits {
	return limits{
		list:      rate.NewLimiter(80, 8),
		policies:  rate.NewLimiter(40, 8),
		versions:  rate.NewLimiter(40, 8),
		keys:      rate.NewLimiter(80, 8),
		functions: rate.NewLimiter(12, 4),
		trails:    rate.NewLimiter(8, 4),
		lookups:   rate.NewLimiter(1.6, 2),
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
