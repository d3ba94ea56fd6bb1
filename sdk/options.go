package secrets

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aistudio/secrets/sdk/spec"
)

// The defaults of the options.
const (
	DefaultTTL         = time.Hour
	DefaultMaxStale    = 24 * time.Hour
	DefaultMaxEntries  = 1000
	DefaultTimeout     = 5 * time.Second
	DefaultNegativeTTL = 10 * time.Second
	DefaultMinRefresh  = time.Second

	DefaultFailoverAfter = 500 * time.Millisecond
)

// Option configures a Client. A nil Option does nothing.
type Option func(*settings) error

type settings struct {
	ttl, maxStale, timeout, negativeTTL, minRefresh time.Duration
	maxEntries                                      int

	region        string
	failover      []string
	failoverAfter time.Duration

	hooks Hooks

	feed         Feed // nil: none
	feedInterval time.Duration

	config  *aws.Config
	clients func(region string) API
	now     func() time.Time // nil: time.Now
}

// newSettings applies, each over the one before: defaults, environment,
// options. The error tells all mistakes.
func newSettings(options []Option) (settings, error) {
	s := settings{
		ttl: DefaultTTL, maxStale: DefaultMaxStale, timeout: DefaultTimeout,
		negativeTTL: DefaultNegativeTTL, minRefresh: DefaultMinRefresh, maxEntries: DefaultMaxEntries,
		failoverAfter: DefaultFailoverAfter,
	}
	errs := s.readEnvironment(os.LookupEnv)
	for _, option := range options {
		if option != nil {
			errs = append(errs, option(&s))
		}
	}
	if slices.Contains(s.failover, s.region) {
		errs = append(errs, fmt.Errorf("failover to region %s, which is the one to read from", s.region))
	}
	if err := errors.Join(errs...); err != nil {
		return settings{}, fmt.Errorf("configure the secrets client: %w", err)
	}
	return s, nil
}

func (s *settings) readEnvironment(lookup func(string) (string, bool)) []error {
	var errs []error
	read := func(name string, option func(text string) (Option, error)) {
		text, _ := lookup(name)
		if text == "" {
			return
		}
		o, err := option(text)
		if err == nil {
			err = o(s)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
		}
	}
	duration := func(name string, option func(time.Duration) Option) {
		read(name, func(text string) (Option, error) {
			d, err := time.ParseDuration(text)
			if err != nil {
				return nil, fmt.Errorf("%q is not a duration: write for example 90s or 1h", text)
			}
			return option(d), nil
		})
	}
	duration(spec.EnvCacheTTL, WithTTL)
	duration(spec.EnvCacheMaxStale, WithMaxStale)
	duration(spec.EnvTimeout, WithTimeout)
	duration(spec.EnvFailoverAfter, WithFailoverAfter)
	read(spec.EnvRegion, func(text string) (Option, error) { return WithRegion(text), nil })
	read(spec.EnvFailoverRegions, func(text string) (Option, error) {
		return WithFailover(strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })...), nil
	})
	read(spec.EnvCacheSize, func(text string) (Option, error) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		return WithMaxEntries(n), nil
	})
	return errs
}

func setPositive(to func(*settings) *time.Duration, what string, d time.Duration) Option {
	return func(s *settings) error {
		if d <= 0 {
			return fmt.Errorf("%s of %s: it must be more than 0", what, d)
		}
		*to(s) = d
		return nil
	}
}

// WithTTL sets how long a value is served without asking Secrets Manager
// again. It is shortened by up to 5 % by chance, so that the caches of many
// processes don't expire together; at about 85 % of it a read starts a refresh
// in the background.
func WithTTL(d time.Duration) Option {
	return setPositive(func(s *settings) *time.Duration { return &s.ttl }, "TTL", d)
}

// WithMaxStale sets how long past its TTL a value may be served while Secrets
// Manager can't be reached. 0 never serves an expired value.
func WithMaxStale(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 {
			return fmt.Errorf("maximum staleness of %s: it must not be negative", d)
		}
		s.maxStale = d
		return nil
	}
}

// WithTimeout sets how long a region's answer may take, the AWS SDK's retries
// included. Time in which the process is frozen doesn't count.
func WithTimeout(d time.Duration) Option {
	return setPositive(func(s *settings) *time.Duration { return &s.timeout }, "timeout", d)
}

// WithNegativeTTL sets how long a definite error (no such secret, access
// denied) is remembered.
func WithNegativeTTL(d time.Duration) Option {
	return setPositive(func(s *settings) *time.Duration { return &s.negativeTTL }, "negative TTL", d)
}

// WithMinRefresh sets the least time between two forced fetches of a key, by
// Refresh and by Do.
func WithMinRefresh(d time.Duration) Option {
	return setPositive(func(s *settings) *time.Duration { return &s.minRefresh }, "least time between refreshes", d)
}

// WithMaxEntries sets how many keys are cached. One more evicts the least
// recently used, to the second. A key is an id as it is written and a selected
// version, so a secret that is read by its name and by its ARN takes two.
func WithMaxEntries(n int) Option {
	return func(s *settings) error {
		if n < 1 {
			return fmt.Errorf("cache size of %d: it must be at least 1", n)
		}
		s.maxEntries = n
		return nil
	}
}

// WithRegion sets the region to read from, instead of the AWS configuration's.
func WithRegion(region string) Option {
	return func(s *settings) error {
		s.region = region
		return nil
	}
}

// WithFailover sets the regions, in order, to read from when the first doesn't
// answer: those to which the secrets are replicated. The first region alone
// decides that a secret doesn't exist or may not be read. While it is dark,
// reads go to the next, and now and then one to the first to see if it is back.
// No regions switch failover off.
//
// A BaseEndpoint of the AWS configuration is used for all regions; where they
// have different ones, use WithAPI.
func WithFailover(regions ...string) Option {
	return func(s *settings) error {
		for i, region := range regions {
			if region == "" || slices.Contains(regions[:i], region) {
				return fmt.Errorf("failover regions %q: each must be there once, and none empty", regions)
			}
		}
		s.failover = slices.Clone(regions)
		return nil
	}
}

// WithFailoverAfter sets how long a region may take before the next one is
// asked as well.
func WithFailoverAfter(d time.Duration) Option {
	return setPositive(func(s *settings) *time.Duration { return &s.failoverAfter }, "time until failover", d)
}

// WithConfig sets the AWS configuration, instead of the one that the
// environment and the shared files give.
func WithConfig(config aws.Config) Option {
	return func(s *settings) error {
		s.config = &config
		return nil
	}
}

// WithAPI sets the function that makes the Secrets Manager client of a region,
// for tests and for clients with middleware of one's own. region is "" where
// neither WithRegion nor WithConfig names one.
func WithAPI(clients func(region string) API) Option {
	return func(s *settings) error {
		if clients == nil {
			return errors.New("WithAPI of nil: give a function or leave the option out")
		}
		s.clients = clients
		return nil
	}
}

// WithClock sets the clock by which values age, for tests.
func WithClock(now func() time.Time) Option {
	return func(s *settings) error {
		if now == nil {
			return errors.New("WithClock of nil: give a function or leave the option out")
		}
		s.now = now
		return nil
	}
}
