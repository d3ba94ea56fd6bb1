package recovery_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/operations/internal/recoverytest"
	"github.com/aistudio/secrets/operations/recovery"
)

var errKilled = errors.New("killed")

// killer ends a run at its k-th call to AWS: before it takes effect, or after.
type killer struct {
	at     int64 // 0: never
	after  bool  // then only calls count that change something
	calls  atomic.Int64
	cancel context.CancelCauseFunc
}

func (k *killer) config(c aws.Config) aws.Config {
	c.APIOptions = append(c.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("Kill", k.call), middleware.Before)
	})
	return c
}

func (k *killer) call(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	operation := awsmiddleware.GetOperationName(ctx)
	reads := operation == "AssumeRole" || strings.HasPrefix(operation, "Get") || strings.HasPrefix(operation, "List") || strings.HasPrefix(operation, "Describe")
	if k.after && reads || k.calls.Add(1) != k.at {
		return next.HandleDeserialize(ctx, in)
	}
	var metadata middleware.Metadata
	if k.after {
		_, metadata, _ = next.HandleDeserialize(ctx, in)
	}
	k.cancel(errKilled)
	return middleware.DeserializeOutput{}, metadata, errKilled
}

// drill runs a drill of a cloud whose time flies.
func drill(t *testing.T, w *recoverytest.World, record string, k *killer) (*recovery.Report, error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	k.cancel = cancel
	flown := make(chan struct{})
	defer func() { cancel(nil); <-flown }()
	go func() {
		defer close(flown)
		for ctx.Err() == nil {
			_ = w.Cloud.Advance(ctx, 100*time.Millisecond) // Lambda takes its time for a change
			time.Sleep(time.Millisecond)
		}
	}()
	// The operator's session would end too soon.
	e := estate(t, w, func(o *recovery.Options) {
		o.AWS, o.Record, o.Poll = k.config(w.Cloud.Config("")), record, 5*time.Millisecond
	})
	d, err := e.PlanDrill(ctx, recovery.DrillOptions{Rotate: recovery.RotateNone})
	if err != nil {
		return nil, err
	}
	return d.Run(ctx, false)
}

// A drill is killed at every call that it makes before the call takes effect,
// and at every one that changes something after it did, and run again. In the
// end nothing is lost and all is as it was.
func TestDrillKilledAtEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("a drill for each call")
	}
	w := recoverytest.New(t, 2)
	record := filepath.Join(t.TempDir(), "record.json")
	before := w.Facts()
	for _, after := range []bool{false, true} {
		kills := 0
		for at := int64(1); ; at++ {
			_, err := drill(t, w, record, &killer{at: at, after: after})
			if err == nil {
				break // it makes no more calls
			}
			kills++
			report, err := drill(t, w, record, &killer{})
			require.NoError(t, err, "killed at %d, after=%t", at, after)
			require.True(t, report.Passed, "killed at %d, after=%t: %+v", at, after, report.Failures)
			require.Zero(t, report.Recovered.LostInFailover+report.Recovered.LostInFailback)
			require.NoFileExists(t, record)
			require.NoError(t, w.Cloud.Settle(t.Context()))
			require.Equal(t, before, w.Facts(), "killed at %d, after=%t", at, after)
		}
		t.Log("killed at", kills, "calls; after:", after)
		require.Greater(t, kills, 10)
	}
	assert.Empty(t, w.Cloud.Unsupported())
}
