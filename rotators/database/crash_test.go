package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

var errDead = errors.New("the process is dead")

// killer ends the rotator at its k-th point: before a request to AWS and after
// its answer, before a connection to the database, and after each write to it,
// whose answer is lost. A process that is dead sends nothing more, and its
// connections are reset. Its goroutine stays where it was for good: none of its
// deferred functions runs, as in a process that was killed.
type killer struct {
	mu    sync.Mutex
	left  int // 0: never
	count int
	dead  bool
	died  bool          // since it was armed
	death chan struct{} // closed at the end
	conns []net.Conn
}

func (k *killer) arm(point int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left, k.count, k.dead, k.died, k.conns, k.death = point, 0, false, false, nil, make(chan struct{})
}

// hasDied tells whether the process has died since it was armed.
func (k *killer) hasDied() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.died
}

// revive is the start of another process, which lives.
func (k *killer) revive() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dead, k.left, k.death = false, 0, nil
}

func (k *killer) point() {
	k.mu.Lock()
	k.count++
	if k.dead || k.left == 0 || k.count != k.left {
		k.mu.Unlock()
		return
	}
	k.dead, k.died = true, true
	for _, conn := range k.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	close(k.death)
	k.mu.Unlock()
	select {}
}

func (k *killer) alive() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return errDead
	}
	return nil
}

func (k *killer) RoundTrip(request *http.Request) (*http.Response, error) {
	k.point()
	if err := k.alive(); err != nil {
		return nil, err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	k.point()
	return response, err
}

func (k *killer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	k.point()
	if err := k.alive(); err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.conns = append(k.conns, conn)
	return &mortal{Conn: conn, killer: k}, nil
}

type mortal struct {
	net.Conn
	killer *killer
}

func (m *mortal) Write(b []byte) (int, error) {
	if err := m.killer.alive(); err != nil {
		return 0, err
	}
	n, err := m.Conn.Write(b)
	m.killer.point()
	return n, err
}

// handler is the code of a rotation function.
type handler = func(context.Context, json.RawMessage) (*spec.SeedResult, error)

// survive is a function whose process may be killed. The next event finds
// another one.
func (k *killer) survive(handle handler) handler {
	return func(ctx context.Context, event json.RawMessage) (*spec.SeedResult, error) {
		k.mu.Lock()
		death := k.death
		k.mu.Unlock()
		type answer struct {
			result *spec.SeedResult
			err    error
		}
		answers := make(chan answer, 1)
		go func() {
			result, err := handle(context.WithoutCancel(ctx), event)
			answers <- answer{result, err}
		}()
		select {
		case a := <-answers:
			return a.result, a.err
		case <-death:
			k.revive()
			return nil, errDead
		}
	}
}

// inOneCall is the code of a rotation function which does all four steps of a
// rotation at createSecret, trying again after it was killed as Secrets Manager
// does: the whole rotation, with the same version. Nothing is left for the
// other steps.
func inOneCall(handle handler) handler {
	const tries = 3
	steps := []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
	return func(ctx context.Context, event json.RawMessage) (*spec.SeedResult, error) {
		var request map[string]any
		if err := json.Unmarshal(event, &request); err != nil {
			return nil, err
		}
		if request["Step"] != steps[0] {
			return nil, nil
		}
		var err error
		for range tries {
			for _, step := range steps {
				request["Step"] = step
				if event, err = json.Marshal(request); err != nil {
					return nil, err
				}
				if _, err = handle(ctx, event); err != nil {
					break
				}
			}
			if err == nil {
				return nil, nil
			}
		}
		return nil, err
	}
}

// points are those to be killed at: all, or a few in a short run. The sequence
// ends when done says that there was no such point.
func points(done *bool) func(func(int) bool) {
	step := 1
	if testing.Short() {
		step = 9
	}
	return func(yield func(int) bool) {
		for point := 1; !*done; point += step {
			if !yield(point) {
				return
			}
		}
	}
}

// Wherever a rotation is killed, the next try ends it: there is one current
// value, which logs in, as the previous one does where users alternate, with
// all rights.
func TestARotationThatIsKilledAnywhereEndsWell(t *testing.T) {
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			e := s.estate(t)
			k := &killer{}
			e.handle = inOneCall(k.survive(e.rotator(k).Handle))
			e.rotateNow()
			done, killed := false, 0
			for point := range points(&done) {
				when := fmt.Sprintf("killed at point %d", point)
				_, before := e.staged("AWSCURRENT")
				s.disturb(e)
				k.arm(point)
				e.rotateNow()
				done = !k.hasDied()
				e.settled(s, when)
				_, after := e.staged("AWSCURRENT")
				require.NotEqual(t, before, after, "%s: nothing was rotated", when)
				_, previous := e.staged("AWSPREVIOUS")
				require.Equal(t, before, previous, when)
				killed++
			}
			t.Logf("killed at %d points", killed-1)
			assert.Greater(t, killed, 3, "too few points to die at")
		})
	}
}

// The same through Secrets Manager's own retries, which come after a while.
func TestSecretsManagerRetriesARotationThatWasKilled(t *testing.T) {
	s := situations[0]
	e := s.estate(t)
	k := &killer{}
	e.handle = k.survive(e.rotator(k).Handle)
	for _, point := range []int{3, 17, 31} {
		_, before := e.staged("AWSCURRENT")
		k.arm(point)
		e.rotateNow()
		require.True(t, k.hasDied(), "point %d", point)
		current, _ := e.staged("AWSCURRENT")
		require.NoError(t, e.login(current))
		require.NoError(t, e.cloud.Advance(t.Context(), 90*time.Second))
		require.NoError(t, e.cloud.Settle(t.Context()))
		e.settled(s, fmt.Sprintf("killed at point %d", point))
		_, after := e.staged("AWSCURRENT")
		require.NotEqual(t, before, after)
	}
}

func (e *estate) rotateNow() {
	e.Helper()
	_, err := e.client.RotateSecret(e.Context(), &secretsmanager.RotateSecretInput{
		SecretId: &e.arn, RotationLambdaARN: &e.functionARN,
		RotationRules: &smtypes.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")},
	})
	require.NoError(e, err)
	require.NoError(e, e.cloud.Settle(e.Context()))
}

// settled checks that the values which should log in do, with their rights, and
// that nothing blocks the next rotation.
func (e *estate) settled(s situation, when string) {
	e.Helper()
	stages := e.stages()
	require.NotContains(e, stages["AWSCURRENT"], " ", when)
	if pending := stages["AWSPENDING"]; pending != "" {
		require.Equal(e, stages["AWSCURRENT"], pending, when)
	}
	valid := []string{"AWSCURRENT", "AWSPREVIOUS"}
	if s.strategy != strategyAlternating {
		valid = valid[:1]
	}
	for _, stage := range valid {
		value, _ := e.staged(stage)
		session, err := s.open(e, value)
		require.NoError(e, err, "%s: %s doesn't log in", when, stage)
		require.NoError(e, session.exec(e.Context(), s.use), when)
		session.close()
	}
	if i := slices.Index(valid, "AWSPREVIOUS"); i < 0 {
		value, _ := e.staged("AWSPREVIOUS")
		require.True(e, refused(e.login(value)), "%s: the old password still logs in", when)
	}
}

func TestASeedThatIsKilledAnywhereEndsWell(t *testing.T) {
	for _, s := range []situation{situations[0], situations[3]} {
		t.Run(s.engine, func(t *testing.T) {
			e := newEstate(t, s.fixture(t))
			base, done, killed := e.base, false, 0
			for point := range points(&done) {
				e.base = fmt.Sprintf("%s_%d", base, point)
				e.createSecrets(e.base)
				k := &killer{}
				handle := k.survive(e.rotator(k).Handle)
				k.arm(point)
				_, err := handle(t.Context(), e.seedEvent())
				if done = !k.hasDied(); !done {
					require.ErrorIs(t, err, errDead)
					_, err = handle(t.Context(), e.seedEvent())
				}
				require.NoError(t, err, "killed at point %d", point)
				value, _ := e.staged("AWSCURRENT")
				require.NoError(t, e.login(value), "killed at point %d", point)
				killed++
			}
			t.Logf("killed at %d points", killed-1)
			assert.Greater(t, killed, 3, "too few points to die at")
		})
	}
}
