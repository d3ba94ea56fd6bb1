package clock_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/localcloud/clock"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// log is what happened, in order.
type log struct {
	mu   sync.Mutex
	what []string
}

func (l *log) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.what = append(l.what, s)
}

func (l *log) note(s string) func() { return func() { l.add(s) } }

func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.what)
}

func TestNewShowsTheStart(t *testing.T) {
	require.WithinDuration(t, start, clock.New(start).Now(), time.Minute)
	require.WithinDuration(t, time.Now(), clock.New(time.Time{}).Now(), time.Minute)
	require.Equal(t, time.UTC, clock.New(start).Now().Location())
}

func TestAdvanceFiresInOrder(t *testing.T) {
	c := clock.New(start)
	var l log
	same := c.Now().Add(3 * time.Hour)
	c.AfterFunc(2*time.Hour, l.note("second"))
	c.AtFunc(same, l.note("third"))
	c.AtFunc(same, l.note("fourth"))
	c.AfterFunc(time.Hour, func() {
		l.add("first")
		c.AfterFunc(90*time.Minute, l.note("made on the way"))
		c.Go(l.note("in the background"))
	})
	c.AfterFunc(100*time.Hour, l.note("too late"))
	require.NoError(t, c.Advance(t.Context(), 4*time.Hour))
	require.Equal(t, []string{"first", "in the background", "second", "made on the way", "third", "fourth"}, l.all())
}

func TestTimersSeeTheirTime(t *testing.T) {
	c := clock.New(start)
	due := c.Now().Add(24 * time.Hour)
	var seen time.Time
	c.AtFunc(due, func() { seen = c.Now() })
	require.NoError(t, c.Advance(t.Context(), 48*time.Hour))
	require.WithinDuration(t, due, seen, time.Minute)
	require.False(t, c.Now().Before(due.Add(24*time.Hour)))
}

func TestAdvanceToTheExactTimeFires(t *testing.T) {
	c := clock.New(start)
	var l log
	due := c.Now().Add(time.Hour)
	c.AtFunc(due, l.note("due"))
	require.NoError(t, c.Advance(t.Context(), due.Sub(c.Now())))
	require.Equal(t, []string{"due"}, l.all())
}

func TestAStoppedTimerDoesNotFire(t *testing.T) {
	c := clock.New(start)
	var l log
	stopped := c.AfterFunc(time.Hour, l.note("stopped"))
	fired := c.AfterFunc(time.Hour, l.note("fired"))
	require.True(t, stopped.Stop())
	require.False(t, stopped.Stop())
	require.NoError(t, c.Advance(t.Context(), 2*time.Hour))
	require.Equal(t, []string{"fired"}, l.all())
	require.False(t, fired.Stop())
}

func TestTheClockTicksByItself(t *testing.T) {
	c := clock.New(start)
	fired := make(chan struct{})
	c.AfterFunc(time.Hour, func() { t.Error("an hour has not passed") })
	c.AfterFunc(time.Millisecond, func() { close(fired) })
	select {
	case <-fired:
	case <-time.After(time.Minute):
		t.Fatal("nobody fired the timer")
	}
	c.Stop()
}

func TestSettleRunsWhatIsDueAndWaits(t *testing.T) {
	c := clock.New(start)
	var l log
	release := make(chan struct{})
	c.Go(func() {
		<-release
		c.AfterFunc(0, func() {
			c.Go(l.note("last"))
		})
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(context.DeadlineExceeded)
	require.ErrorIs(t, c.Settle(ctx), context.DeadlineExceeded, "the work still runs")
	require.ErrorIs(t, c.Advance(ctx, time.Hour), context.DeadlineExceeded)
	close(release)
	require.NoError(t, c.Settle(t.Context()))
	require.Equal(t, []string{"last"}, l.all())
}

func TestAdvanceOnlyGoesForward(t *testing.T) {
	c := clock.New(start)
	require.ErrorContains(t, c.Advance(t.Context(), -time.Second), "only go forward")
}

func TestStopDropsAllTimers(t *testing.T) {
	c := clock.New(start)
	before := c.AfterFunc(time.Hour, func() { t.Error("dropped") })
	c.Stop()
	require.False(t, before.Stop())
	after := c.AfterFunc(0, func() { t.Error("made too late") })
	require.False(t, after.Stop())
	require.NoError(t, c.Advance(t.Context(), 2*time.Hour))
	require.NoError(t, c.Settle(t.Context()))
}

// Whatever timers there are and however the clock is moved, they fire in the
// order of their times, each once, and none before its time.
func TestOrderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clock.New(start)
		defer c.Stop()
		origin := c.Now()
		type fired struct {
			due time.Time
			i   int
		}
		var mu sync.Mutex
		var got, want []fired
		for i, hours := range rapid.SliceOfN(rapid.IntRange(1, 20), 0, 20).Draw(t, "timers") {
			f := fired{origin.Add(time.Duration(hours) * time.Hour), i}
			want = append(want, f)
			c.AtFunc(f.due, func() {
				now := c.Now()
				mu.Lock()
				defer mu.Unlock()
				got = append(got, f)
				if now.Before(f.due) {
					t.Errorf("timer of %s fired at %s", f.due, now)
				}
			})
		}
		for c.Now().Before(origin.Add(20 * time.Hour)) {
			if err := c.Advance(context.Background(), time.Duration(rapid.IntRange(1, 300).Draw(t, "minutes"))*time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortStableFunc(want, func(a, b fired) int { return a.due.Compare(b.due) })
		require.Equal(t, want, got)
	})
}

func TestManyUsersAtOnce(t *testing.T) {
	c := clock.New(start)
	var fired sync.WaitGroup
	var users sync.WaitGroup
	for range 50 {
		fired.Add(1)
		users.Go(func() {
			c.AfterFunc(time.Minute, fired.Done)
			c.AfterFunc(time.Hour, func() {}).Stop()
			c.Now()
		})
	}
	users.Wait()
	require.NoError(t, c.Advance(t.Context(), time.Hour))
	fired.Wait()
}
