// Package cloudtrail is the local cloud's AWS CloudTrail. It keeps every
// management event for LookupEvents, and hands events on to EventBridge where
// AWS does: when a trail of the account logs in that region. (Amazon EventBridge
// User Guide, "AWS service events delivered via AWS CloudTrail": "you must
// enable a CloudTrail trail with logging".) Trails write to their log group at
// once, and log files to their bucket every five minutes; there are no digests of
// log files, no Insights events and no topics.
package cloudtrail

import (
	"context"
	"sync"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is AWS CloudTrail.
type Service struct {
	env *api.Env
	bus bus

	groups Groups
	store  Store
	roles  Roles

	mu      sync.RWMutex
	events  map[place]*history
	trails  map[string]*trail // by ARN
	ending  map[string]*trail // that a request stops or deletes, by its ID: they still log it
	pending map[pendingKey][][]byte
}

// place is where events and trails are kept apart.
type place struct{ account, region string }

// bus is where events go on to: EventBridge.
type bus interface {
	// Deliver offers an event to the rules of the account's default bus.
	Deliver(ctx context.Context, account, region string, event map[string]any)
}

// New makes a CloudTrail without events.
func New(env *api.Env, b bus) *Service {
	return &Service{
		env: env, bus: b,
		events: map[place]*history{}, trails: map[string]*trail{}, ending: map[string]*trail{}, pending: map[pendingKey][][]byte{},
	}
}

// Name implements api.Service.
func (s *Service) Name() string { return "cloudtrail" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"LookupEvents": api.JSON(s.lookupEvents),

		"CreateTrail":       api.JSON(s.createTrail),
		"UpdateTrail":       api.JSON(s.updateTrail),
		"DeleteTrail":       api.JSON(s.deleteTrail),
		"GetTrail":          api.JSON(s.getTrail),
		"DescribeTrails":    api.JSON(s.describeTrails),
		"ListTrails":        api.JSON(s.listTrails),
		"StartLogging":      api.JSON(s.startLogging),
		"StopLogging":       api.JSON(s.stopLogging),
		"GetTrailStatus":    api.JSON(s.getTrailStatus),
		"PutEventSelectors": api.JSON(s.putEventSelectors),
		"GetEventSelectors": api.JSON(s.getEventSelectors),
		"AddTags":           api.JSON(s.addTags),
		"RemoveTags":        api.JSON(s.removeTags),
		"ListTags":          api.JSON(s.listTags),
	}[operation]
}
