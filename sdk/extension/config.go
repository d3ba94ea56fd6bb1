package extension

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// Bounds of what the environment may set. AWS's maximum for the TTL is 300
// seconds.
const (
	defaultPort        = 2773
	maxTTL             = 24 * time.Hour
	maxTimeout         = 15 * time.Minute // the longest a Lambda function runs
	maxEntries         = 1000
	defaultConnections = 3
	maxConnections     = 100
	minFeedInterval    = time.Second
	maxFeedInterval    = time.Hour

	// levelNone is above every level that is used.
	levelNone = slog.Level(100)
)

// envFeedInterval is the variable of the time between requests to the feed.
const envFeedInterval = "SECRETS_FEED_INTERVAL"

// Config is what the environment says. The zero values of a Service's TTL and
// timeout, and of Entries, leave it to the SDK's variables and defaults.
type Config struct {
	Port        int
	Level       slog.Level
	Connections int // to each service of AWS
	Entries     int // values kept of each service
	Secrets     Service
	Parameters  Service
	Prefetch    []string      // ids of secrets
	Region      string        // first region to read secrets from; "": the AWS configuration's
	FeedTable   string        // "": no rotation feed
	FeedEvery   time.Duration // between requests to it; 0: the SDK's default
	Metrics     string        // environment of the metrics in the log; "": none
	RuntimeAPI  string        // host and port of Lambda's API; "": not in Lambda
}

// Service is how one service of AWS is read.
type Service struct {
	Cached  bool
	TTL     time.Duration
	Timeout time.Duration
}

func (s Service) options(c Config) []secrets.Option {
	var options []secrets.Option
	if s.TTL > 0 {
		options = append(options, secrets.WithTTL(s.TTL))
	}
	if s.Timeout > 0 {
		options = append(options, secrets.WithTimeout(s.Timeout))
	}
	if c.Entries > 0 {
		options = append(options, secrets.WithMaxEntries(c.Entries))
	}
	return options
}

// ReadConfig reads the environment variables of the package's page. It always
// returns a configuration to go on with; warnings tell what it replaced.
func ReadConfig(lookup func(string) (string, bool)) (c Config, warnings []string) {
	env := environment{lookup: lookup, warnings: &warnings}
	c.Port, _ = env.number("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", 1, 65535, defaultPort)
	c.Connections, _ = env.number("PARAMETERS_SECRETS_EXTENSION_MAX_CONNECTIONS", 1, maxConnections, defaultConnections)
	c.Level = env.level("PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL", spec.EnvLogLevel)

	cached := env.boolean("PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED", true)
	entries, set := env.number("PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE", 0, maxEntries, 0)
	cached = cached && (!set || entries > 0)
	c.Entries = entries
	c.Secrets = env.service("SECRETS_MANAGER", cached)
	c.Parameters = env.service("SSM_PARAMETER_STORE", cached)

	c.Prefetch = strings.FieldsFunc(env.text(spec.EnvPrefetch), func(r rune) bool { return r == ',' || r == ' ' })
	c.Region = env.text(spec.EnvRegion)
	c.FeedTable = env.text(spec.EnvFeedTable)
	c.FeedEvery = env.duration(envFeedInterval, minFeedInterval, maxFeedInterval)
	c.Metrics = env.text(spec.EnvMetricsEnvironment)
	c.RuntimeAPI = env.text("AWS_LAMBDA_RUNTIME_API")
	return c, warnings
}

// environment reads variables and collects what is wrong with them.
type environment struct {
	lookup   func(string) (string, bool)
	warnings *[]string
}

func (e environment) text(name string) string {
	text, _ := e.lookup(name)
	return text
}

func (e environment) warn(format string, args ...any) {
	*e.warnings = append(*e.warnings, fmt.Sprintf(format, args...))
}

// number reads a number and brings it into its range; set tells whether there
// is one.
func (e environment) number(name string, least, most, otherwise int) (n int, set bool) {
	text := strings.TrimSpace(e.text(name))
	if text == "" {
		return otherwise, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		e.warn("environment variable %s: %q is not a number from %d to %d: it is as if it weren't set", name, text, least, most)
		return otherwise, false
	}
	if within := min(max(n, least), most); within != n {
		e.warn("environment variable %s: %d is not from %d to %d: %d is used", name, n, least, most, within)
		n = within
	}
	return n, true
}

// duration reads a duration as Go writes them and brings it into its range; 0 if
// there is none.
func (e environment) duration(name string, least, most time.Duration) time.Duration {
	text := strings.TrimSpace(e.text(name))
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		e.warn("environment variable %s: %q is not a duration such as 30s: it is as if it weren't set", name, text)
		return 0
	}
	if within := min(max(d, least), most); within != d {
		e.warn("environment variable %s: %s is not from %s to %s: %s is used", name, d, least, most, within)
		d = within
	}
	return d
}

func (e environment) boolean(name string, otherwise bool) bool {
	switch text := strings.ToLower(strings.TrimSpace(e.text(name))); text {
	case "":
		return otherwise
	case "true", "1":
		return true
	case "false", "0":
		return false
	default:
		e.warn("environment variable %s: %q is not true or false: %t is used", name, text, otherwise)
		return otherwise
	}
}

// level reads the first of the variables that is set.
func (e environment) level(names ...string) slog.Level {
	for _, name := range names {
		switch text := strings.ToLower(strings.TrimSpace(e.text(name))); text {
		case "":
			continue
		case "debug":
			return slog.LevelDebug
		case "info":
			return slog.LevelInfo
		case "warn":
			return slog.LevelWarn
		case "error":
			return slog.LevelError
		case "none":
			return levelNone
		default:
			e.warn("environment variable %s: %q is not debug, info, warn, error or none: info is used", name, text)
			return slog.LevelInfo
		}
	}
	return slog.LevelInfo
}

func (e environment) service(prefix string, cached bool) Service {
	s := Service{Cached: cached}
	if seconds, set := e.number(prefix+"_TTL", 0, int(maxTTL/time.Second), 0); set {
		s.TTL = time.Duration(seconds) * time.Second
		s.Cached = cached && seconds > 0
	}
	if millis, set := e.number(prefix+"_TIMEOUT_MILLIS", 0, int(maxTimeout/time.Millisecond), 0); set {
		s.Timeout = time.Duration(millis) * time.Millisecond
		if millis == 0 {
			s.Timeout = maxTimeout
		}
	}
	return s
}
