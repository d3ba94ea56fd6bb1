package story

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dbconn"
	"github.com/aistudio/secrets/sdk/dbconn/postgres"
)

// loginsPerSecond is how hard the client tries.
const loginsPerSecond = 100

// Client is a service that uses the secret: it logs in to the database again
// and again, each time on a new connection, and writes a row.
type Client struct {
	secrets *secrets.Client
	db      *sql.DB
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex
	logins   map[string]int // by database user
	failures []string
}

// roleProvider assumes the service's role anew for every call: the emulator's
// clock, which the story moves, outruns credentials that are kept.
type roleProvider struct {
	sts *sts.Client
	arn string
}

// Retrieve implements aws.CredentialsProvider.
func (p roleProvider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	out, err := p.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &p.arn, RoleSessionName: aws.String("demo")})
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("assume the role %s: %w", p.arn, err)
	}
	return aws.Credentials{
		AccessKeyID:     *out.Credentials.AccessKeyId,
		SecretAccessKey: *out.Credentials.SecretAccessKey,
		SessionToken:    *out.Credentials.SessionToken,
	}, nil
}

// ReaderConfig is the AWS configuration of a service with that role, which takes
// it on in the region that doesn't go dark.
func (w *World) ReaderConfig(role string) aws.Config {
	cfg := w.Cloud.Config(Region)
	cfg.Credentials = roleProvider{sts.NewFromConfig(w.Cloud.Config(Standby)), "arn:aws:iam::" + w.Cloud.Account() + ":role/" + role}
	cfg.APIOptions = append(cfg.APIOptions, repeatExpired)
	return cfg
}

// repeatExpired makes a call again, with new credentials, when those that it
// began with have expired on the way: the story lets hours pass in an instant,
// which outlasts a session that no real call does.
func repeatExpired(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("RepeatExpired",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			for {
				out, metadata, err := next.HandleInitialize(ctx, in)
				if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorCode() == "ExpiredTokenException" && ctx.Err() == nil {
					continue
				}
				return out, metadata, err
			}
		}), middleware.After)
}

// StartClient starts a client with the service's role. Stop ends it.
func (w *World) StartClient(ctx context.Context) (*Client, error) {
	// The client lives in the emulator's time, in which its cache gets old.
	cache, err := secrets.New(ctx, secrets.WithConfig(w.ReaderConfig(ReaderRole)), secrets.WithFailover(Standby), secrets.WithClock(w.Cloud.Clock().Now))
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(w.Postgres.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the database's authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", w.Postgres.CAFile)
	}
	c := &Client{
		secrets: cache,
		db: dbconn.Open(postgres.NewConnector(cache, SecretName, postgres.Options{
			TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		})),
		logins: map[string]int{},
	}
	// Without idle connections every query logs in.
	c.db.SetMaxIdleConns(-1)
	if err := c.visit(ctx, "CREATE TABLE IF NOT EXISTS visits (who text NOT NULL, at timestamptz NOT NULL DEFAULT now())"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	ctx, c.cancel = context.WithCancel(ctx)
	c.done.Go(func() { c.loop(ctx) })
	return c, nil
}

func (c *Client) loop(ctx context.Context) {
	pace := rate.NewLimiter(loginsPerSecond, 1)
	for pace.Wait(ctx) == nil {
		if err := c.visit(ctx, "INSERT INTO visits (who) VALUES (current_user)"); err != nil && ctx.Err() == nil {
			c.mu.Lock()
			c.failures = append(c.failures, err.Error())
			c.mu.Unlock()
		}
	}
}

// visit logs in on a new connection, runs a statement and asks who it was.
func (c *Client) visit(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("run a statement: %w", err)
	}
	var who string
	if err := conn.QueryRowContext(ctx, "SELECT session_user").Scan(&who); err != nil {
		return fmt.Errorf("ask who is logged in: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logins[who]++
	return nil
}

// Logins returns how often the client has logged in, by database user.
func (c *Client) Logins() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.logins)
}

// Failures returns what went wrong. The errors hold no secret values.
func (c *Client) Failures() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.failures...)
}

// Stats is what the client's cache did.
func (c *Client) Stats() secrets.Stats { return c.secrets.Stats() }

// Stop ends the client.
func (c *Client) Stop() error {
	c.cancel()
	c.done.Wait()
	return c.close()
}

func (c *Client) close() error {
	return errors.Join(c.db.Close(), c.secrets.Close())
}

// await waits until the client has logged in that often, or has failed.
func (c *Client) await(ctx context.Context, logins int) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for total(c.Logins()) < logins && len(c.Failures()) == 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the client's logins: %w", context.Cause(ctx))
		}
	}
	return nil
}
