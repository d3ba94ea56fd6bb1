package catalogue

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Cache configures the layer and the caches of the services.
type Cache struct {
	Architectures []string      `mapstructure:"architectures"` // of the functions that use the layer; none: both
	TTL           time.Duration `mapstructure:"ttl"`           // how long a value is served; 0: the SDK's, 1h
	MaxStale      time.Duration `mapstructure:"maxStale"`      // how long past that in an outage; 0: the SDK's, 24h
	SharedWith    SharedWith    `mapstructure:"sharedWith"`    // who else may use the layer
}

// SharedWith is who may use what the stack publishes beside its own account.
type SharedWith struct {
	Accounts     []string `mapstructure:"accounts"`     // their IDs
	Organization string   `mapstructure:"organization"` // ID of an AWS organization, all of whose accounts may
}

// Events configures who learns of rotations.
type Events struct {
	Architecture  string         `mapstructure:"architecture"` // of the function that writes the feed; arm64 (default) or x86_64
	Subscriptions []Subscription `mapstructure:"subscriptions"`
}

// Subscription is who is told of failed rotations.
type Subscription struct {
	Protocol string `mapstructure:"protocol"` // email, https, lambda or sqs
	Endpoint string `mapstructure:"endpoint"` // address, URL or ARN
}

const (
	maxTTL      = 24 * time.Hour
	maxMaxStale = 30 * day
)

var (
	accountPattern      = regexp.MustCompile(`^[0-9]{12}$`)
	organizationPattern = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
)

func (s *Stack) readCache(mistakes *MistakesError) {
	cache := &s.Cache
	if len(cache.Architectures) == 0 {
		cache.Architectures = []string{"arm64", "x86_64"}
	}
	for i, architecture := range cache.Architectures {
		validateArchitecture(KeyCache+".architectures", architecture, mistakes)
		if slices.Contains(cache.Architectures[:i], architecture) {
			mistakes.add(KeyCache+".architectures", "%q is there twice", architecture)
		}
	}
	if cache.TTL < 0 || cache.TTL > maxTTL {
		mistakes.add(KeyCache+".ttl", "%s: write a duration of up to %s, such as 1h", cache.TTL, maxTTL)
	}
	if cache.MaxStale < 0 || cache.MaxStale > maxMaxStale {
		mistakes.add(KeyCache+".maxStale", "%s: write a duration of up to %s, such as 24h", cache.MaxStale, maxMaxStale)
	}
	for _, account := range cache.SharedWith.Accounts {
		if !accountPattern.MatchString(account) {
			mistakes.add(KeyCache+".sharedWith.accounts", "%q is no account's ID: write its 12 digits in quotes", account)
		}
	}
	if id := cache.SharedWith.Organization; id != "" && !organizationPattern.MatchString(id) {
		mistakes.add(KeyCache+".sharedWith.organization", "%q is no organization's ID, such as o-a1b2c3d4e5", id)
	}
}

func (s *Stack) readEvents(mistakes *MistakesError) {
	if s.Events.Architecture == "" {
		s.Events.Architecture = "arm64"
	}
	validateArchitecture(KeyEvents+".architecture", s.Events.Architecture, mistakes)
	for i, subscription := range s.Events.Subscriptions {
		path := fmt.Sprintf("%s.subscriptions[%d]", KeyEvents, i)
		begins, known := map[string]string{
			"email": "", "https": "https://", "lambda": "arn:", "sqs": "arn:",
		}[subscription.Protocol]
		switch {
		case !known:
			mistakes.add(path+".protocol", "%q: write email, https, lambda or sqs", subscription.Protocol)
		case subscription.Protocol == "email" && !strings.Contains(subscription.Endpoint, "@"):
			mistakes.add(path+".endpoint", "%q is no address", subscription.Endpoint)
		case !strings.HasPrefix(subscription.Endpoint, begins):
			mistakes.add(path+".endpoint", "%q doesn't begin with %s, as those of %s do", subscription.Endpoint, begins, subscription.Protocol)
		}
		if slices.Contains(s.Events.Subscriptions[:i], subscription) {
			mistakes.add(path, "is there twice")
		}
	}
}
