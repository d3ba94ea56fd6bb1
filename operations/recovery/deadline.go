package recovery

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
)

// answerWithin returns a copy of a configuration whose calls have so long for each
// attempt: a region in trouble may take connections and never answer, and the AWS
// SDK waits for ever by default. The waiting for a quota isn't counted.
func answerWithin(config aws.Config, limit time.Duration) aws.Config {
	config = config.Copy()
	config.APIOptions = append(config.APIOptions, func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("AnswerWithin", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			attempt, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			out, metadata, err := next.HandleFinalize(attempt, in)
			if err != nil && attempt.Err() != nil && ctx.Err() == nil {
				err = silenceError{limit}
			}
			return out, metadata, err
		}), "OperationsQuota", middleware.After)
	})
	return config
}

// silenceError is an attempt that got no answer. It hides that a context ended it:
// the SDK doesn't try again what was cancelled, but what timed out.
type silenceError struct{ after time.Duration }

func (e silenceError) Error() string { return fmt.Sprintf("no answer in %s", e.after) }

// Timeout marks it as worth another attempt.
func (silenceError) Timeout() bool { return true }
