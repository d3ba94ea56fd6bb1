package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

// client is a session of an application.
type client interface {
	exec(ctx context.Context, statement string) error
	close()
}

type postgresClient struct{ *pgx.Conn }

func (c postgresClient) exec(ctx context.Context, statement string) error {
	_, err := c.Exec(ctx, statement)
	return err
}

func (c postgresClient) close() { hangUp(c.Conn) }

type mysqlClient struct{ *mysqlConn }

func (c mysqlClient) exec(ctx context.Context, statement string) error {
	_, err := c.ExecContext(ctx, statement)
	return err
}

func (c mysqlClient) close() { c.mysqlConn.close() }

// situation is an engine with a strategy.
type situation struct {
	name, engine, strategy string
	byMaster               bool
	use                    string // what both values may do
}

const (
	onPostgres = "PostgreSQL"
	onMariaDB  = "MariaDB"
)

var situations = []situation{
	{onPostgres + " alternating", onPostgres, strategyAlternating, true, "SELECT * FROM granted"},
	{onPostgres + " single", onPostgres, strategySingle, false, "SELECT * FROM granted"},
	{onPostgres + " single by master", onPostgres, strategySingle, true, "SELECT * FROM granted"},
	{onMariaDB + " alternating", onMariaDB, strategyAlternating, true, "SELECT * FROM granted.granted"},
	{onMariaDB + " single", onMariaDB, strategySingle, false, "SELECT * FROM granted.granted"},
	{onMariaDB + " single by master", onMariaDB, strategySingle, true, "SELECT * FROM granted.granted"},
}

func (s situation) fixture(t testing.TB) *fixture {
	if s.engine == onPostgres {
		return newFixture(t)
	}
	return newMySQLFixture(t).fixture
}

func (s situation) open(e *estate, value spec.Value) (client, error) {
	d := e.parse(value)
	if s.engine == onPostgres {
		conn, err := postgresEngine{network: e.target.network}.connect(e.Context(), d)
		return postgresClient{conn}, err
	}
	conn, err := mysqlEngine{network: e.target.network}.connect(e.Context(), d)
	return mysqlClient{conn}, err
}

// asAdmin runs statements; {user} is the user's name and {current} the current
// one's, within quotes of the engine.
func (s situation) asAdmin(e *estate, statements ...string) {
	e.Helper()
	admin, err := s.open(e, e.masterOf(s))
	require.NoError(e, err)
	defer admin.close()
	for _, statement := range statements {
		require.NoError(e, admin.exec(e.Context(), statement), statement)
	}
}

func (e *estate) masterOf(s situation) spec.Value {
	master := e.parse(e.masters[masterARN])
	if s.engine == onPostgres {
		master.DBName = e.database
	}
	return e.encode(master)
}

// estate has a secret whose user has made its first rotation's way clear.
func (s situation) estate(t testing.TB) *estate {
	t.Helper()
	e := newEstate(t, s.fixture(t))
	e.createSecrets("secret-of-" + e.base)
	_, err := e.rotator(nil).Handle(t.Context(), e.seedEvent())
	require.NoError(t, err)
	if s.engine == onPostgres {
		s.asAdmin(e, "CREATE TABLE granted (n int)", "GRANT SELECT ON granted TO "+quote(e.base+"_owner"), "GRANT CREATE ON SCHEMA public TO "+quote(e.base+"_owner"))
	} else {
		s.asAdmin(e, "CREATE DATABASE IF NOT EXISTS granted", "CREATE TABLE IF NOT EXISTS granted.granted (n int)",
			"GRANT SELECT ON granted.granted TO '"+e.base+"'@'%'", "GRANT ALL ON `"+e.database+"`.* TO '"+e.base+"'@'%'")
	}
	if s.strategy == strategySingle {
		current, _ := e.staged("AWSCURRENT")
		d := e.parse(current)
		if !s.byMaster {
			d.MasterARN = ""
		}
		alone := e.withStrategy(e.encode(d), strategySingle).RevealString()
		_, err := e.client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &e.arn, SecretString: &alone})
		require.NoError(t, err)
	}
	return e
}

// disturb takes rights away that the next rotation has to give back, and gives
// new ones.
func (s situation) disturb(e *estate) {
	if s.strategy != strategyAlternating {
		return
	}
	if s.engine == onPostgres {
		s.asAdmin(e, "REVOKE ALL ON granted FROM "+quote(e.base+"_owner"), "GRANT SELECT ON granted TO "+quote(e.base))
		return
	}
	// The clone only: nobody is current without its rights.
	current, _ := e.staged("AWSCURRENT")
	if e.parse(current).Username == e.base {
		s.asAdmin(e, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM '"+e.base+"_clone'@'%'")
	}
}

// application is a client that logs in, holds transactions and makes tables all
// the while, with AWSCURRENT.
type application struct {
	*estate
	situation situation
	changing  atomic.Bool   // whether a single user's password is being changed
	turns     chan struct{} // a session begins at each step of a rotation
	logins    atomic.Int64
	tables    atomic.Int64
}

// login reads the secret and logs in. Whoever holds a value through two
// rotations has to read again.
func (a *application) login(ctx context.Context) (client, error) {
	for {
		changing := a.changing.Load()
		read, err := a.estate.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &a.arn})
		if err != nil {
			return nil, err
		}
		session, err := a.situation.open(a.estate, spec.ValueString(*read.SecretString))
		if err == nil {
			a.logins.Add(1)
			return session, nil
		}
		if a.situation.strategy == strategySingle && (changing || a.changing.Load()) {
			continue // as the package says, until the rotation has ended
		}
		stages := a.stages()
		if *read.VersionId == stages["AWSCURRENT"] || *read.VersionId == stages["AWSPREVIOUS"] {
			return nil, fmt.Errorf("version %s doesn't log in: %w", *read.VersionId, err)
		}
	}
}

// work logs in, makes a table in a transaction, and works with what earlier
// sessions have made, until ctx ends.
func (a *application) work(ctx context.Context, worker int) error {
	name := func(n int) string {
		table := fmt.Sprintf("made_%d_%d", worker, n)
		if a.situation.engine == onMariaDB {
			return "`" + a.database + "`." + table
		}
		return table
	}
	var open []client // sessions outlive rotations
	defer func() {
		for _, session := range open {
			session.close()
		}
	}()
	for n := 0; ; n++ {
		select {
		case <-a.turns:
		case <-ctx.Done():
			return nil
		}
		session, err := a.login(ctx)
		if err != nil {
			return err
		}
		open = append(open, session)
		statements := []string{"BEGIN", "CREATE TABLE " + name(n) + " (n int)", "INSERT INTO " + name(n) + " VALUES (1)", a.situation.use, "COMMIT"}
		if n > 0 {
			statements = append(statements, "ALTER TABLE "+name(n-1)+" ADD COLUMN m int", "DROP TABLE "+name(n-1))
		}
		for i, statement := range statements {
			// Every other statement in the oldest session that is open.
			in := open[0]
			if i < 5 {
				in = session
			}
			if err := in.exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		a.tables.Add(1)
		if len(open) > 4 {
			open[0].close()
			open = open[1:]
		}
	}
}

// For each engine and strategy, clients that log in, hold transactions and make
// tables while the secret is rotated: no login fails, and nothing is denied.
func TestClientsNoticeNothingOfRotations(t *testing.T) {
	rotations := 200
	if testing.Short() {
		rotations = 5
	}
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			a := &application{estate: s.estate(t), situation: s, turns: make(chan struct{}, 1)}
			rotate := a.rotator(nil).Handle
			a.handle = inOneCall(func(ctx context.Context, event json.RawMessage) (*spec.SeedResult, error) {
				select {
				case a.turns <- struct{}{}:
				default: // the sessions are behind
				}
				return rotate(ctx, event)
			})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var workers sync.WaitGroup
			failures := make(chan error, 2)
			for worker := range cap(failures) {
				workers.Go(func() {
					if err := a.work(ctx, worker); err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
						failures <- err
						stop()
					}
				})
			}
			done := 0
			for ; done < rotations && ctx.Err() == nil; done++ {
				a.changing.Store(true)
				a.rotateNow()
				a.changing.Store(false)
			}
			require.Eventually(t, func() bool { return a.tables.Load() > 0 || ctx.Err() != nil }, time.Minute, 10*time.Millisecond, "no session got to its end")
			stop()
			workers.Wait()
			close(failures)
			for err := range failures {
				assert.NoError(t, err)
			}
			t.Logf("%d rotations, %d logins, %d tables", done, a.logins.Load(), a.tables.Load())
			assert.Equal(t, rotations, done)
			a.settled(s, "in the end")
		})
	}
}

// BenchmarkRotation is a whole rotation, from RotateSecret on.
func BenchmarkRotation(b *testing.B) {
	for _, s := range situations {
		b.Run(s.name, func(b *testing.B) {
			e := s.estate(b)
			e.handle = e.rotator(nil).Handle
			for b.Loop() {
				e.rotateNow()
			}
			e.settled(s, "after the benchmark")
		})
	}
}
