package operate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// TrailKeeps is how long CloudTrail's event history finds an event (CloudTrail
// user guide, "Viewing event history").
const TrailKeeps = 90 * 24 * time.Hour

// lookupPages bounds the pages of 50 events that are read of each kind.
const lookupPages = 40

// The events that tell of rotations: the first four are Secrets Manager's own
// (user guide, "CloudTrail entries for Secrets Manager"), the last is the call.
const (
	rotationStarted   = "RotationStarted"
	rotationSucceeded = "RotationSucceeded"
	rotationFailed    = "RotationFailed"
	rotationAbandoned = "RotationAbandoned"
	rotateSecret      = "RotateSecret"
)

// event is what is used of a CloudTrail record.
type event struct {
	EventName    string
	EventTime    time.Time
	ErrorCode    string
	ErrorMessage string
	RequestID    string
	UserIdentity struct {
		ARN            string
		InvokedBy      string
		AccountID      string
		SessionContext struct {
			SessionIssuer struct{ ARN string }
		}
	}
	RequestParameters struct {
		SecretID          string
		RotateImmediately *bool
	}
	ResponseElements    struct{ VersionID string }
	AdditionalEventData struct{ SecretID string }
}

// of tells whether the event is about the secret.
func (e *event) of(s *Secret) bool {
	id := e.AdditionalEventData.SecretID
	if id == "" {
		id = e.RequestParameters.SecretID
	}
	// A caller may name a secret by its ARN without the six characters at the end.
	return id == s.ARN || id == s.Name || strings.HasPrefix(id, "arn:") && strings.HasPrefix(s.ARN, id+"-") && len(s.ARN) == len(id)+7
}

// version is that of a rotation's event, "" if the event doesn't tell. The
// request id of these events ends in it.
func (e *event) version(s *Secret) string {
	if id, ok := strings.CutPrefix(e.RequestID, "Rotation-"+s.ARN+"-"); ok {
		return id
	}
	return ""
}

// who called: the role behind a session, the user, the account's root.
func (e *event) who() string {
	u := e.UserIdentity
	for _, who := range []string{u.ARN, u.SessionContext.SessionIssuer.ARN, u.InvokedBy, u.AccountID} {
		if who != "" {
			return who
		}
	}
	return "somebody"
}

// events returns those of some kinds that are about the secret, the oldest
// first, and whether that is all of them. A lookup has one condition only, so
// the events of other secrets are read with them.
func (o *Operator) events(ctx context.Context, s *Secret, since time.Time, names ...string) (found []event, complete bool, err error) {
	complete = true
	since = since.Truncate(time.Second) // as the times of events are
	for _, name := range names {
		pages := cloudtrail.NewLookupEventsPaginator(o.trail, &cloudtrail.LookupEventsInput{
			LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String(name)}},
			StartTime:        &since, MaxResults: aws.Int32(50),
		})
		for n := 0; pages.HasMorePages(); n++ {
			if n == lookupPages {
				complete = false
				break
			}
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, false, fmt.Errorf("look up %s in CloudTrail: %w", name, err)
			}
			for _, record := range page.Events {
				var e event
				if err := json.Unmarshal([]byte(aws.ToString(record.CloudTrailEvent)), &e); err != nil {
					return nil, false, fmt.Errorf("read the event %s of CloudTrail: %w", aws.ToString(record.EventId), err)
				}
				if e.of(s) {
					found = append(found, e)
				}
			}
		}
	}
	slices.Reverse(found) // CloudTrail tells the newest first
	slices.SortStableFunc(found, func(a, b event) int {
		if c := a.EventTime.Compare(b.EventTime); c != 0 {
			return c
		}
		return order(a.EventName) - order(b.EventName)
	})
	return found, complete, nil
}

// order is that of events of the same second, since CloudTrail's times have no
// fractions.
func order(name string) int {
	return slices.Index([]string{rotateSecret, rotationStarted, rotationFailed, rotationSucceeded, rotationAbandoned}, name)
}
