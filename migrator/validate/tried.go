package validate

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aistudio/secrets/migrator/plan"
)

// readers are who has read which secret.
type readers struct {
	read     map[reading]read    // the last time
	refused  map[string]string   // why a role couldn't be taken on, by its ARN
	problems map[string][]string // reads that failed as a role, by its ARN
	trail    string              // what the trail was good for
}

type reading struct{ role, secret string }

// read is when something was read, and how that is known.
type read struct {
	at  time.Time
	how string
}

// early is how much before a service counts as switched its first read may be:
// it is healthy only a while after its configuration has changed.
const early = 10 * time.Minute

// how tells how it is known that a role has read a secret since the service was
// switched, or "". A read before proves nothing: rights may have changed.
func (r readers) how(s *service, secret string) string {
	found := r.read[reading{s.Role, secret}]
	if found.at.Before(s.switched.Add(-early)) {
		return ""
	}
	return found.how
}

// readAsRoles reads the secrets as the roles that let the migrator take them on,
// and looks the others up in the trail.
func (v *validation) readAsRoles(ctx context.Context, services []*service) error {
	v.readers = readers{read: map[reading]read{}, refused: map[string]string{}, problems: map[string][]string{}, trail: "not asked"}
	wanted := map[string]map[string]*secret{} // by role and name
	for _, s := range services {
		if wanted[s.Role] == nil {
			wanted[s.Role] = map[string]*secret{}
		}
		for _, one := range v.secretsOf(s) {
			wanted[s.Role][one.name] = one
		}
	}
	var roles []string
	for role := range wanted {
		roles = append(roles, role)
	}
	if err := each(ctx, roles, func(ctx context.Context, role string) error { return v.readAs(ctx, role, wanted[role]) }); err != nil {
		return err
	}
	unproven := map[reading]bool{}
	for _, s := range services {
		if s.How == plan.ByInjection && s.pulled {
			continue // ECS has read them
		}
		for _, one := range v.secretsOf(s) {
			if v.readers.refused[s.Role] != "" {
				unproven[reading{s.Role, one.name}] = true
			}
		}
	}
	return v.lookUp(ctx, unproven)
}

// readAs takes on a role and reads secrets as it. The values are compared with
// what the migrator reads.
func (v *validation) readAs(ctx context.Context, role string, secrets map[string]*secret) error {
	session, err := sts.NewFromConfig(v.config).AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: &role, RoleSessionName: aws.String("migration-validation"), DurationSeconds: aws.Int32(900),
	})
	if err != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.readers.refused[role] = code(err)
		return ctx.Err()
	}
	config := v.config.Copy()
	config.Credentials = credentials.NewStaticCredentialsProvider(
		aws.ToString(session.Credentials.AccessKeyId), aws.ToString(session.Credentials.SecretAccessKey), aws.ToString(session.Credentials.SessionToken))
	var client valueReader = secretsmanager.NewFromConfig(config)
	for name, wanted := range secrets {
		value, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &wanted.arn})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v.mu.Lock()
		switch {
		case err != nil && !answered(err):
			v.readers.refused[role] = "it was taken on, and its read had no answer"
		case err != nil:
			v.readers.problems[role] = append(v.readers.problems[role], fmt.Sprintf("it can't read %s: %s", name, code(err)))
		case aws.ToString(value.VersionId) == wanted.version && v.Key.OfBytes([]byte(text(value))) != wanted.digests[""]:
			v.readers.problems[role] = append(v.readers.problems[role], "it reads another value of "+name)
		default:
			v.readers.read[reading{role, name}] = read{v.now, "sts:AssumeRole of the role and a read as it"}
		}
		v.mu.Unlock()
	}
	return nil
}

// trailPages are the pages of 50 events that are read at most, of the last
// trailDays.
const (
	trailPages = 60
	trailDays  = 14
)

// lookUp looks for reads in CloudTrail's event history, the newest first, until
// all are found.
func (v *validation) lookUp(ctx context.Context, unproven map[reading]bool) error {
	if len(unproven) == 0 {
		return nil
	}
	from := v.now.AddDate(0, 0, -trailDays)
	pages := cloudtrail.NewLookupEventsPaginator(v.trail, &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String("GetSecretValue")}},
		StartTime:        &from, MaxResults: aws.Int32(50),
	})
	for n := 0; pages.HasMorePages() && n < trailPages && len(unproven) > 0; n++ {
		page, err := pages.NextPage(ctx)
		if err != nil {
			v.readers.trail = "it can't be read: " + code(err)
			return ctx.Err()
		}
		for _, e := range page.Events {
			role, secret, at, ok := readBy(aws.ToString(e.CloudTrailEvent))
			if found := (reading{role, secret}); ok && unproven[found] {
				v.readers.read[found] = read{at, "CloudTrail, which saw the role read it, the last time at " + moment(at)}
				delete(unproven, found)
			}
		}
	}
	v.readers.trail = fmt.Sprintf("no such read in the last %d days", trailDays)
	return nil
}

// readBy returns the role and the secret of a read that succeeded (CloudTrail
// user guide, "CloudTrail record contents").
func readBy(event string) (role, secret string, at time.Time, ok bool) {
	var e struct {
		EventTime    time.Time
		ErrorCode    string
		UserIdentity struct {
			SessionContext struct{ SessionIssuer struct{ ARN string } }
		}
		RequestParameters struct{ SecretID string }
	}
	if json.Unmarshal([]byte(event), &e) != nil || e.ErrorCode != "" {
		return "", "", time.Time{}, false
	}
	return e.UserIdentity.SessionContext.SessionIssuer.ARN, nameOf(e.RequestParameters.SecretID), e.EventTime, true
}

var secretARN = regexp.MustCompile(`^arn:[^:]+:secretsmanager:[^:]*:[^:]*:secret:(.+?)(-[A-Za-z0-9]{6})?$`)

// nameOf returns the name of a secret that a caller wrote as a name or an ARN.
func nameOf(id string) string {
	if m := secretARN.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return id
}
