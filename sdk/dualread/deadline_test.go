package dualread_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dualread"
	"github.com/aistudio/secrets/sdk/spec"
)

// slow is a Secrets Manager that answers after a while.
type slow time.Duration

func (s slow) Get(ctx context.Context, _ string, _ ...secrets.Selector) (secrets.Secret, error) {
	select {
	case <-ctx.Done():
		return secrets.Secret{}, ctx.Err()
	case <-time.After(time.Duration(s)):
		return secrets.Secret{Value: spec.ValueString("new value"), VersionID: "1"}, nil
	}
}

// A function in a network without a way to Secrets Manager gets the old value
// before it is stopped at its deadline.
func TestTheOldPlaceIsReadBeforeTheDeadline(t *testing.T) {
	const limit = 3 * time.Second // Lambda's default
	old := func(context.Context) (spec.Value, error) { return spec.ValueString("old value"), nil }
	none := func(context.Context) (spec.Value, error) { return spec.Value{}, errors.New("it is gone") }
	for label, c := range map[string]struct {
		answers time.Duration
		old     dualread.Source
		want    string // "": an error
		after   time.Duration
	}{
		"in time":            {time.Second, old, "new value", time.Second},
		"never":              {time.Hour, old, "old value", limit / 2},
		"never, none is old": {time.Hour, none, "", limit},
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				begin := time.Now()
				value, err := dualread.New(slow(c.answers), name, c.old, dualread.Options{}).Value(ctx)
				assert.Equal(t, c.after, time.Since(begin))
				if c.want == "" {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, c.want, value.RevealString())
			})
		})
	}

	// What has no old place has all the time.
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		answer := time.Now().Add(2 * time.Second)
		value, err := dualread.New(at(answer), name, none, dualread.Options{}).Value(ctx)
		require.NoError(t, err)
		assert.Equal(t, "new value", value.RevealString())
	})
}

// at is a Secrets Manager that answers from a time on.
type at time.Time

func (a at) Get(ctx context.Context, id string, _ ...secrets.Selector) (secrets.Secret, error) {
	return slow(time.Until(time.Time(a))).Get(ctx, id)
}
