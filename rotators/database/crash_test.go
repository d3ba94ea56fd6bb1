package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

// killed is the end of the rotator's process.
type killed struct{}

var errDead = errors.New("the process is dead")

// killer ends the rotator at its k-th point: before a request to AWS and after
// its answer, before a connection to the database, and before and after each
// write to it. A process that is dead sends nothing more, and its connections
// are reset.
type killer struct {
	mu    sync.Mutex
	left  int // 0: never
	count int
	dead  bool
	conns []net.Conn
}

func (k *killer) arm(point int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left, k.count, k.dead, k.conns = point, 0, false, nil
}

// died tells whether the process has died since it was armed, and revives it.
func (k *killer) died() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	died := k.dead
	k.dead, k.left = false, 0
	return died
}

func (k *killer) point() {
	k.mu.Lock()
	k.count++
	if k.dead || k.left == 0 || k.count != k.left {
		k.mu.Unlock()
		return
	}
	k.dead = true
	conns := k.conns
	k.mu.Unlock()
	for _, conn := range conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
	panic(killed{})
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
	m.killer.point()
	if err := m.killer.alive(); err != nil {
		return 0, err
	}
	n, err := m.Conn.Write(b)
	m.killer.point()
	return n, err
}

// survive runs the rotator for one event.
func survive(handle func(context.Context, json.RawMessage) (*spec.SeedResult, error)) func(context.Context, json.RawMessage) (*spec.SeedResult, error) {
	return func(ctx context.Context, event json.RawMessage) (result *spec.SeedResult, err error) {
		defer func() {
			if reason := recover(); reason != nil {
				if _, ok := reason.(killed); !ok {
					panic(reason)
				}
				err = errDead
			}
		}()
		return handle(ctx, event)
	}
}

// A client logs in with AWSCURRENT all the while.
type client struct {
	logins   atomic.Int64
	failures chan error
	stop     context.CancelFunc
	done     chan struct{}
}

func (e *estate) startClient() *client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{failures: make(chan error, 1), stop: cancel, done: make(chan struct{})}
	server := postgresFor(e.TB, 30*time.Second)
	read := func(stage string) (*secretsmanager.GetSecretValueOutput, error) {
		return e.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &e.arn, VersionStage: &stage})
	}
	login := func() error {
		output, err := read("AWSCURRENT")
		if err != nil {
			return err
		}
		value, err := spec.ParseDatabase(spec.ValueString(*output.SecretString))
		if err != nil {
			return err
		}
		if err = server.login(ctx, value); err == nil {
			return nil
		}
		// Whoever holds a value through two rotations has to read again.
		for _, stage := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
			if now, readErr := read(stage); readErr != nil || *now.VersionId == *output.VersionId {
				return errors.Join(fmt.Errorf("version %s is %s: %w", *output.VersionId, stage, err), readErr)
			}
		}
		return nil
	}
	go func() {
		defer close(c.done)
		for ctx.Err() == nil {
			if err := login(); err != nil && ctx.Err() == nil {
				select {
				case c.failures <- err:
				default:
				}
			}
			c.logins.Add(1)
		}
	}()
	return c
}

func (c *client) end(t testing.TB) {
	t.Helper()
	c.stop()
	<-c.done
	select {
	case err := <-c.failures:
		assert.NoError(t, err, "a client that used the current value failed")
	default:
	}
	t.Logf("%d logins of the client", c.logins.Load())
	assert.Positive(t, c.logins.Load())
}

// Secrets Manager (the emulator's) tries a rotation again whose function died.
// Wherever that was, there is one current version in the end, and it logs in.
func TestARotationThatIsKilledAnywhereEndsWell(t *testing.T) {
	e := newEstate(t)
	e.createSecrets("crash")
	k := &killer{}
	rotator := e.rotator(k)
	e.handle = survive(rotator.Handle)
	_, err := e.handle(t.Context(), e.seedEvent())
	require.NoError(t, err)
	e.rotateNow()
	e.settled("no kill")

	c := e.startClient()
	defer c.end(t)
	point := 1
	for ; ; point++ {
		_, before := e.staged("AWSCURRENT")
		e.exec("CREATE TABLE IF NOT EXISTS granted (n int)", "GRANT SELECT ON granted TO "+quote(e.base), "REVOKE ALL ON granted FROM "+quote(e.base+"_owner"))
		k.arm(point)
		e.rotateNow()
		died := k.died()
		if died {
			current, _ := e.staged("AWSCURRENT")
			require.NoError(t, postgresFor(t, 30*time.Second).login(t.Context(), e.parse(current)), "killed at point %d", point)
			require.NoError(t, e.cloud.Advance(t.Context(), 90*time.Second))
			require.NoError(t, e.cloud.Settle(t.Context()))
		}
		e.settled(fmt.Sprintf("killed at point %d", point))
		_, after := e.staged("AWSCURRENT")
		require.NotEqual(t, before, after, "killed at point %d: nothing was rotated", point)
		_, previous := e.staged("AWSPREVIOUS")
		require.Equal(t, before, previous, "killed at point %d", point)
		if !died {
			break
		}
	}
	t.Logf("killed at each of %d points", point-1)
	assert.Greater(t, point, 100, "too few points to die at")
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

// settled checks that both values log in, with their rights, and that nothing
// blocks the next rotation.
func (e *estate) settled(when string) {
	e.Helper()
	stages := e.stages()
	require.NotContains(e, stages["AWSCURRENT"], " ", when)
	if pending := stages["AWSPENDING"]; pending != "" {
		require.Equal(e, stages["AWSCURRENT"], pending, when)
	}
	for _, stage := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		value, _ := e.staged(stage)
		conn, err := postgresFor(e.TB, 30*time.Second).connect(e.Context(), e.parse(value))
		require.NoError(e, err, "%s: %s doesn't log in", when, stage)
		var role string
		require.NoError(e, conn.QueryRow(e.Context(), "select current_user").Scan(&role))
		require.Equal(e, e.base+"_owner", role, when)
		hangUp(conn)
	}
	require.True(e, query[bool](e.fixture, e.admin, "select to_regclass('granted') is null or has_table_privilege($1, 'granted', 'SELECT')", e.base+"_owner"), when)
}

func TestASeedThatIsKilledAnywhereEndsWell(t *testing.T) {
	e := newEstate(t)
	point := 1
	for ; ; point++ {
		e.base = fmt.Sprintf("%s_%d", "seeded", point)
		e.createSecrets(e.base)
		k := &killer{}
		handle := survive(e.rotator(k).Handle)
		k.arm(point)
		_, err := handle(t.Context(), e.seedEvent())
		died := k.died()
		if died {
			require.ErrorIs(t, err, errDead)
			_, err = handle(t.Context(), e.seedEvent())
		}
		require.NoError(t, err, "killed at point %d", point)
		value, _ := e.staged("AWSCURRENT")
		require.NoError(t, postgresFor(t, 30*time.Second).login(t.Context(), e.parse(value)), "killed at point %d", point)
		if !died {
			break
		}
	}
	t.Logf("killed at each of %d points", point-1)
	assert.Greater(t, point, 60, "too few points to die at")
}

// BenchmarkRotation is a whole rotation, from RotateSecret on, while a client
// logs in as often as it can. The benchmark fails with the first failed login.
func BenchmarkRotation(b *testing.B) {
	e := newEstate(b)
	e.createSecrets("bench")
	rotator := e.rotator(nil)
	e.handle = rotator.Handle
	_, err := e.handle(b.Context(), e.seedEvent())
	require.NoError(b, err)
	c := e.startClient()
	for b.Loop() {
		e.rotateNow()
	}
	c.end(b)
	e.settled("after the benchmark")
}
