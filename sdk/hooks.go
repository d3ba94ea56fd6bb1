package secrets

import (
	"context"
	"time"
)

// Hooks are called at what a client does, for metrics and traces; the module
// otelsecrets has some for OpenTelemetry. They get no value of a secret. They
// are called by the goroutine that reads, so they must be quick, and safe for
// concurrent use. Nil ones aren't called.
type Hooks struct {
	// Read is called at the end of every Get, and of what uses it.
	Read func(context.Context, ReadInfo)

	// Fetch is called at the beginning of every fetch of one secret, with the
	// values of the context of the caller that caused it, and the function that
	// it returns at its end. The calls to AWS have the context that it returns.
	Fetch func(ctx context.Context, id string) (context.Context, func(FetchInfo))
}

// Outcome is how a read went.
type Outcome string

// The outcomes.
const (
	Hit    Outcome = "hit"    // answered from the cache
	Miss   Outcome = "miss"   // waited for a fetch
	Stale  Outcome = "stale"  // answered with an expired value in an outage
	Failed Outcome = "failed" // no value
)

// ReadInfo tells of a read.
type ReadInfo struct {
	ID      string // as the caller wrote it
	Outcome Outcome
	Age     time.Duration // since the value was fetched; 0 for Failed
	Err     error         // for Failed
}

// FetchInfo tells of a fetch.
type FetchInfo struct {
	VersionID string // that it brought
	Region    string // that answered
	Err       error  // nil: it succeeded
}

// WithHooks sets functions that are told what the client does.
func WithHooks(hooks Hooks) Option {
	return func(s *settings) error {
		s.hooks = hooks
		return nil
	}
}

// tell calls the hook for reads, which is there.
func (c *Client) tell(ctx context.Context, id string, outcome Outcome, secret Secret, err error, now instant) {
	info := ReadInfo{ID: id, Outcome: outcome, Err: err}
	switch {
	case err != nil:
		info.Outcome = Failed
	case secret.Stale:
		info.Outcome = Stale
	}
	if err == nil {
		info.Age = max(0, now.time().Sub(secret.FetchedAt))
	}
	c.settings.hooks.Read(ctx, info)
}
