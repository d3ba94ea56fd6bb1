package sts

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
	policy "github.com/aistudio/secrets/localcloud/iam"
	"github.com/aistudio/secrets/localcloud/service/iam"
)

type assumeRoleIn struct {
	RoleArn, RoleSessionName, ExternalId, Policy, SourceIdentity string
	DurationSeconds                                              *int
	PolicyArns                                                   []policyArn
	Tags                                                         []tag
	TransitiveTagKeys                                            []string
}

type policyArn struct {
	Arn string `form:"arn"`
}

type tag struct{ Key, Value string }

type assumeRoleOut struct {
	Credentials      credentialsXML
	AssumedRoleUser  assumedRoleUser
	PackedPolicySize int    `xml:",omitempty"`
	SourceIdentity   string `xml:",omitempty"`
}

type assumedRoleUser struct{ AssumedRoleId, Arn string }

const (
	maxSessionTags     = 50
	maxSessionPolicies = 10
	maxSessionPolicy   = 2048
	// maxChained is the longest session of a role that a session of another
	// role assumes ("role chaining").
	maxChained = time.Hour
)

var externalIDForm = regexp.MustCompile(`^[\w+=,.@:/-]+$`)

func (s *Service) assumeRole(ctx context.Context, r *api.Request, in *assumeRoleIn) (*assumeRoleOut, error) {
	role, found := s.roles.Role(in.RoleArn)
	session, err := s.session(r, in)
	if n := len(in.ExternalId); err == nil && n > 0 && (n < 2 || n > 1224 || !externalIDForm.MatchString(in.ExternalId)) {
		err = api.Errorf("ValidationError", "1 validation error detected: Value at 'externalId' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@:\\/-]*")
	}
	if err != nil {
		r.AllowAll()
		return nil, err
	}
	if err := s.ask(ctx, r, in, session, role); err != nil {
		return nil, err
	}
	if !found {
		// AWS doesn't tell who asks whether the role exists.
		return nil, api.StatusErrorf(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", r.Caller.ARN, in.RoleArn)
	}
	longest := role.MaxSession
	if r.Caller.Role != "" {
		longest = min(longest, maxChained)
	}
	if session.Duration, err = duration(in.DurationSeconds, time.Hour, longest); err != nil {
		return nil, err
	}
	c, err := s.roles.NewSession(in.RoleArn, session)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(role.ARN, ":", 6)
	user := assumedRoleUser{
		AssumedRoleId: role.ID + ":" + in.RoleSessionName,
		Arn:           fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", parts[4], role.ARN[strings.LastIndex(role.ARN, "/")+1:], in.RoleSessionName),
	}
	r.TrailResources = []string{role.ARN}
	r.TrailResponse = map[string]any{
		"credentials":     trail(c),
		"assumedRoleUser": map[string]any{"assumedRoleId": user.AssumedRoleId, "arn": user.Arn},
	}
	out := &assumeRoleOut{Credentials: newCredentialsXML(c), AssumedRoleUser: user, SourceIdentity: session.SourceIdentity}
	if size := len(in.Policy); size > 0 {
		out.PackedPolicySize = max(1, size*100/maxSessionPolicy)
	}
	return out, nil
}

// session reads what the new session shall be like; Duration comes later.
func (s *Service) session(r *api.Request, in *assumeRoleIn) (iam.Session, error) {
	session := iam.Session{Name: in.RoleSessionName, SourceIdentity: in.SourceIdentity}
	var identity string
	session.Tags, identity = s.roles.SessionTags(r.Caller)
	for k := range session.Tags {
		session.Transitive = append(session.Transitive, k)
	}
	if identity != "" && in.SourceIdentity != "" && identity != in.SourceIdentity {
		return session, api.StatusErrorf(http.StatusForbidden, "AccessDenied", "The source identity of a session can't be changed.")
	}
	if identity != "" {
		session.SourceIdentity = identity
	}
	if len(in.Tags) > maxSessionTags {
		return session, api.Errorf("ValidationError", "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50")
	}
	seen := map[string]bool{}
	for _, t := range in.Tags {
		key := strings.ToLower(t.Key)
		if key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(key, "aws:") {
			return session, api.Errorf("ValidationError", "A session tag's key has 1 to 128 characters and doesn't begin with aws:; its value has at most 256.")
		}
		if seen[key] {
			return session, api.Errorf("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[key] = true
		for inherited := range session.Tags {
			if strings.EqualFold(inherited, t.Key) {
				return session, api.Errorf("InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
			}
		}
	}
	for _, t := range in.Tags {
		session.Tags[t.Key] = t.Value
	}
	for _, k := range in.TransitiveTagKeys {
		if _, ok := session.Tags[k]; !ok {
			return session, api.Errorf("InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
		}
		session.Transitive = append(session.Transitive, k)
	}
	var err error
	session.Policies, err = s.policies(in)
	return session, err
}

func (s *Service) policies(in *assumeRoleIn) ([]*policy.Document, error) {
	var list []*policy.Document
	if in.Policy != "" {
		if len(in.Policy) > maxSessionPolicy {
			return nil, api.Errorf("PackedPolicyTooLarge", "Serialized token too large for session")
		}
		d, err := policy.Parse(policy.Identity, in.Policy)
		if err != nil {
			return nil, api.Errorf("MalformedPolicyDocument", "%v", err)
		}
		list = append(list, d)
	}
	if len(in.PolicyArns) > maxSessionPolicies {
		return nil, api.Errorf("ValidationError", "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to 10")
	}
	for _, p := range in.PolicyArns {
		account := ""
		if parts := strings.SplitN(in.RoleArn, ":", 6); len(parts) == 6 {
			account = parts[4]
		}
		d, ok := s.roles.ManagedPolicy(account, p.Arn)
		if !ok {
			return nil, api.Errorf("ValidationError", "The policy %s does not exist.", p.Arn)
		}
		list = append(list, d)
	}
	return list, nil
}

// ask asks for sts:AssumeRole and, for what the session brings along, for
// sts:TagSession and sts:SetSourceIdentity. All of them need the trust policy
// and, in the end, the caller's own.
func (s *Service) ask(ctx context.Context, r *api.Request, in *assumeRoleIn, session iam.Session, role iam.Role) error {
	keys := map[string][]string{"sts:RoleSessionName": {in.RoleSessionName}}
	if in.ExternalId != "" {
		keys["sts:ExternalId"] = []string{in.ExternalId}
	}
	if session.SourceIdentity != "" {
		keys["sts:SourceIdentity"] = []string{session.SourceIdentity}
	}
	if len(in.TransitiveTagKeys) > 0 {
		keys["sts:TransitiveTagKeys"] = in.TransitiveTagKeys
	}
	for _, t := range in.Tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	for k, v := range role.Tags {
		keys["aws:ResourceTag/"+k] = []string{v}
		keys["iam:ResourceTag/"+k] = []string{v}
	}
	actions := []string{"sts:AssumeRole"}
	if len(session.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if session.SourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		if err := r.Authorize(ctx, api.Check{
			Action: action, Resource: in.RoleArn, ResourcePolicy: role.TrustPolicy, PolicyDecides: true, Context: keys,
		}); err != nil {
			return err
		}
	}
	return nil
}
