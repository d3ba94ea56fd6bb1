// Package localcloud is an emulator of the AWS that this project uses: Secrets
// Manager, KMS, Lambda (which runs the real binaries), IAM (which is enforced),
// CloudTrail, EventBridge and what goes with them, in one process, with a clock
// that can be moved and faults that can be switched on.
//
//	cloud, err := localcloud.New()
//	...
//	defer cloud.Close()
//	client := secretsmanager.NewFromConfig(cloud.Config("us-east-1"))
//
// It is as small as the project's needs and as exact as AWS's documents for
// those. What it doesn't know it refuses; see Cloud.Unsupported.
package localcloud

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aistudio/secrets/localcloud/clock"
	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/localcloud/quotas"
)

// DefaultAccount is the account of callers whose access keys the cloud did not
// issue.
const DefaultAccount = "123456789012"

// Cloud is a running local cloud. All methods are safe for concurrent use.
type Cloud struct {
	// Faults are switched on and off while the cloud runs.
	Faults *faults.Plan
	// Quotas are off until they are set; see quotas.AWS.
	Quotas *quotas.Limits

	opts     options
	listener net.Listener
	server   *http.Server
	backend  atomic.Pointer[backend]

	mu          sync.Mutex
	unsupported map[string]int
}

type options struct {
	address string
	account string
	start   time.Time
	rand    io.Reader
	log     *slog.Logger
	workDir string
}

// Option changes how a cloud is made.
type Option func(*options)

// WithAddress sets the address to listen on. The default is a free port of the
// loopback interface.
func WithAddress(address string) Option { return func(o *options) { o.address = address } }

// WithAccount sets the default account. See DefaultAccount.
func WithAccount(account string) Option { return func(o *options) { o.account = account } }

// WithStart sets the time that the clock shows first. The default is now.
func WithStart(t time.Time) Option { return func(o *options) { o.start = t } }

// WithLogger sets where the cloud logs. The default is nowhere.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// WithWorkDir sets the folder in which Lambda functions are unpacked. The
// default is a temporary folder that Close removes.
func WithWorkDir(dir string) Option { return func(o *options) { o.workDir = dir } }

// New starts a local cloud. Close stops it.
func New(opts ...Option) (*Cloud, error) {
	o := options{
		address: "127.0.0.1:0",
		account: DefaultAccount,
		rand:    rand.Reader,
		log:     slog.New(slog.DiscardHandler),
	}
	for _, opt := range opts {
		opt(&o)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.address)
	if err != nil {
		return nil, fmt.Errorf("start the local cloud: %w", err)
	}
	c := &Cloud{
		Faults:      &faults.Plan{},
		Quotas:      &quotas.Limits{},
		opts:        o,
		listener:    listener,
		unsupported: map[string]int{},
	}
	b, err := newBackend(c)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	c.backend.Store(b)
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := c.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.log.Error("the local cloud stopped", "error", err)
		}
	}()
	return c, nil
}

// URL is the endpoint of all services in all regions.
func (c *Cloud) URL() string { return "http://" + c.listener.Addr().String() }

// Account is the default account.
func (c *Cloud) Account() string { return c.opts.account }

// Clock is the cloud's time. Reset makes a new one.
func (c *Cloud) Clock() *clock.Clock { return c.backend.Load().env.Clock }

// Advance moves the clock and waits for all that happens on the way. See
// clock.Clock.Advance.
func (c *Cloud) Advance(ctx context.Context, d time.Duration) error {
	return c.Clock().Advance(ctx, d)
}

// Settle waits until nothing runs in the background any more: rotations,
// asynchronous invocations, deliveries of events.
func (c *Cloud) Settle(ctx context.Context) error { return c.Clock().Settle(ctx) }

// Spend says what all that the default account's budgets are about has cost this
// month, and will have by its end, in USD: AWS Budgets sends what that is over.
func (c *Cloud) Spend(ctx context.Context, actual, forecast float64) error {
	return c.backend.Load().budgets.Spend(ctx, c.Account(), actual, forecast)
}

// Config is an AWS configuration with the root credentials of the default
// account, for the clients of the AWS SDK.
func (c *Cloud) Config(region string) aws.Config {
	return c.ConfigFor(region, "test", "test", "")
}

// ConfigFor is Config with credentials that the cloud issued, for example to a
// session of a role.
func (c *Cloud) ConfigFor(region, accessKeyID, secretKey, sessionToken string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(c.URL()),
		Credentials:  credentials.NewStaticCredentialsProvider(accessKeyID, secretKey, sessionToken),
		// As a configuration from the environment has it.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
	}
}

// Unsupported counts the calls that the cloud refused because it doesn't know
// the operation or a member, as "service:Operation" or "service:Operation.Member".
func (c *Cloud) Unsupported() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]int, len(c.unsupported))
	for k, n := range c.unsupported {
		counts[k] = n
	}
	return counts
}

func (c *Cloud) noteUnsupported(what string) {
	c.opts.log.Warn("unsupported call", "call", what)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsupported[what]++
}

// Reset forgets all state, faults, quotas and unsupported calls and stops what
// runs.
// The endpoint stays.
func (c *Cloud) Reset() error {
	b, err := newBackend(c)
	if err != nil {
		return err
	}
	c.Faults.Clear()
	c.Quotas.Set()
	c.mu.Lock()
	clear(c.unsupported)
	c.mu.Unlock()
	return c.backend.Swap(b).close()
}

// Close stops the cloud and every function that it runs.
func (c *Cloud) Close() error {
	err := c.server.Close()
	return errors.Join(err, c.backend.Load().close())
}
