package cleanup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/sdk/spec"
)

type trailAPI interface {
	cloudtrail.LookupEventsAPIClient
}

type identityAPI interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// event is what is read of a CloudTrail event (CloudTrail user guide, "CloudTrail
// record contents").
type event struct {
	UserIdentity struct {
		Type, ARN      string
		InvokedBy      string // of a service of AWS's that called by itself
		SessionContext struct {
			SessionIssuer struct{ ARN string }
		}
	}
	RequestParameters struct {
		Name, Path string
		Names      []string
		Recursive  bool
	}
	ErrorCode string
}

// who is the role behind a session, the user, or a service of AWS's; never "".
func (e event) who() string {
	u := e.UserIdentity
	return cmp.Or(u.SessionContext.SessionIssuer.ARN, u.ARN, u.InvokedBy, u.Type, "somebody whom CloudTrail doesn't name")
}

// readers tells who read parameters since the last service was switched, by the
// parameter's name: the last of those who don't count for nothing. The service
// that was switched away from a parameter counts for nothing with that: what
// reads both places reads the old one to compare.
func (r *run) readers(ctx context.Context) (map[string]string, error) {
	start := r.known.LastSwitch()
	if start.IsZero() {
		start = r.known.Started // no service took a parameter
	}
	read := map[string]string{}
	for _, name := range []string{"GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory"} {
		pages := cloudtrail.NewLookupEventsPaginator(r.trail, &cloudtrail.LookupEventsInput{
			StartTime: &start, LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: &name}},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("look reads of parameters up in CloudTrail: %w: the right cloudtrail:LookupEvents is needed", refusal.Of(err))
			}
			for _, e := range page.Events {
				if err := r.count(aws.ToString(e.CloudTrailEvent), read); err != nil {
					return nil, fmt.Errorf("event %s of CloudTrail: %w", aws.ToString(e.EventId), err)
				}
			}
		}
	}
	return read, nil
}

// count notes who read which parameter. An event that can't be understood may have
// been a read of any.
func (r *run) count(text string, read map[string]string) error {
	var e event
	if json.Unmarshal([]byte(text), &e) != nil {
		return errors.New("it can't be understood, so what was read isn't known")
	}
	if e.ErrorCode != "" {
		return nil // nothing was read
	}
	who := sessionRole(e.who())
	if who == r.me || r.isScan(who) || slices.Contains(r.Readers, who[strings.LastIndexByte(who, '/')+1:]) {
		return nil
	}
	for _, p := range r.estate.Parameters {
		if read[p.Name] == "" && e.reads(p.Name, p.ARN) && !r.switchedFrom(p.Name, who, e.UserIdentity.ARN) {
			read[p.Name] = who
		}
	}
	return nil
}

// isScan tells whether the role is that of the daily scan of one of the
// organization's stacks, which reads whatever isn't encrypted.
func (r *run) isScan(role string) bool {
	name := role[strings.LastIndexByte(role, '/')+1:]
	return r.Plan.Organization != "" && strings.HasPrefix(name, r.Plan.Organization+"-") && strings.HasSuffix(name, spec.ScanFunction)
}

// reads tells whether the event is a read of the parameter. A name may end in a
// version or a label.
func (e event) reads(name, arn string) bool {
	for _, asked := range append(e.RequestParameters.Names, e.RequestParameters.Name) {
		for _, one := range []string{name, arn} {
			if asked == one || strings.HasPrefix(asked, one+":") {
				return true
			}
		}
	}
	if e.RequestParameters.Path == "" {
		return false
	}
	// Of a name without a slash AWS's documents don't say whether it is below the
	// root: it counts as if it were.
	below, ok := strings.CutPrefix("/"+strings.TrimPrefix(name, "/"), strings.TrimSuffix(e.RequestParameters.Path, "/")+"/")
	return ok && (e.RequestParameters.Recursive || !strings.Contains(below, "/"))
}

// switchedFrom tells whether the role is that of a service that took the parameter
// and was switched to the secret. Where services share a role, a function is known
// by its session, which bears its name.
func (r *run) switchedFrom(parameter, role, session string) bool {
	for _, s := range r.known.Services {
		if !s.Live() || s.Role != role || s.Kind == plan.LambdaFunction && !strings.HasSuffix(session, "/"+strings.TrimPrefix(s.ID, "lambda/")) {
			continue
		}
		for _, v := range s.Variables {
			if v.Parameter == parameter {
				return true
			}
		}
	}
	return false
}

// sessionRole is the role of a session's ARN, as STS tells a caller who it is
// (arn:aws:sts::<account>:assumed-role/<role>/<session>); others stay.
func sessionRole(arn string) string {
	before, session, ok := strings.Cut(arn, ":assumed-role/")
	if !ok {
		return arn
	}
	role, _, _ := strings.Cut(session, "/")
	return strings.Replace(before, ":sts:", ":iam:", 1) + ":role/" + role
}
