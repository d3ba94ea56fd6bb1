package secretsmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/iam"
)

type policyInput struct {
	BlockPublicPolicy *bool
	ResourcePolicy    *string
	SecretId          *string
}

type policyOutput struct {
	ARN            string
	Name           string
	ResourcePolicy string `json:",omitempty"`
}

type validateInput struct {
	ResourcePolicy *string
	SecretId       *string
}

type validateOutput struct {
	PolicyValidationPassed bool
	ValidationErrors       []validationError
}

type validationError struct {
	CheckName    string
	ErrorMessage string
}

// publicCheck is the name that AWS gives the check for wildcard principals.
const publicCheck = "REFLEXIVE_PRINCIPAL_CHECK"

const publicMessage = "The resource policy grants broad access to the secret."

func checkPolicy(text *string) error {
	var c constraints
	c.required("resourcePolicy", text != nil)
	if text != nil {
		c.size("resourcePolicy", "", len(*text), 1, 20480)
	}
	if err := c.err(); err != nil {
		return err
	}
	if _, err := iam.Parse(iam.Resource, *text); err != nil {
		return api.Errorf("MalformedPolicyDocumentException", "This resource policy contains a syntax error. %v", err)
	}
	return nil
}

func (s *Service) putResourcePolicy(ctx context.Context, r *api.Request, in *policyInput) (*nameOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := conditions{}.setBool("secretsmanager:BlockPublicPolicy", in.BlockPublicPolicy)
	sec, err := s.openPrimary(ctx, r, "PutResourcePolicy", in.SecretId, keys)
	if err != nil {
		return nil, err
	}
	if err := checkPolicy(in.ResourcePolicy); err != nil {
		return nil, err
	}
	if in.BlockPublicPolicy != nil && *in.BlockPublicPolicy && isPublic(*in.ResourcePolicy) {
		return nil, api.Errorf("PublicPolicyException",
			"The BlockPublicPolicy parameter is set to true, and the resource policy did not prevent broad access to the secret.")
	}
	return s.setPolicy(r, sec, *in.ResourcePolicy), nil
}

func (s *Service) deleteResourcePolicy(ctx context.Context, r *api.Request, in *idInput) (*nameOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.openPrimary(ctx, r, "DeleteResourcePolicy", in.SecretId, nil)
	if err != nil {
		return nil, err
	}
	return s.setPolicy(r, sec, ""), nil
}

func (s *Service) setPolicy(r *api.Request, sec *secret, policy string) *nameOutput {
	sec.policy, sec.changed = policy, r.Time
	s.replicate(r.Caller, sec)
	r.TrailResponse = map[string]any{"arn": sec.arn(), "name": sec.name}
	return &nameOutput{ARN: sec.arn(), Name: sec.name}
}

func (s *Service) getResourcePolicy(ctx context.Context, r *api.Request, in *idInput) (*policyOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.open(ctx, r, "GetResourcePolicy", in.SecretId, nil)
	if err != nil {
		return nil, err
	}
	if !sec.deletion.IsZero() {
		return nil, errDeleted()
	}
	return &policyOutput{ARN: sec.arn(), Name: sec.name, ResourcePolicy: sec.policy}, nil
}

func (s *Service) validateResourcePolicy(ctx context.Context, r *api.Request, in *validateInput) (*validateOutput, error) {
	if in.SecretId != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, err := s.open(ctx, r, "ValidateResourcePolicy", in.SecretId, nil); err != nil {
			return nil, err
		}
	} else if err := r.Authorize(ctx, api.Check{Action: "secretsmanager:ValidateResourcePolicy", Resource: "*"}); err != nil {
		return nil, err
	}
	if err := checkPolicy(in.ResourcePolicy); err != nil {
		return nil, err
	}
	out := &validateOutput{PolicyValidationPassed: true, ValidationErrors: []validationError{}}
	if isPublic(*in.ResourcePolicy) {
		out.PolicyValidationPassed = false
		out.ValidationErrors = append(out.ValidationErrors, validationError{publicCheck, publicMessage})
	}
	return out, nil
}

// narrowing are the condition keys that tie everybody down to somebody when
// their values have no wildcards.
var narrowing = []string{
	"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths",
	"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourcevpc", "aws:sourcevpce",
	"aws:userid", "aws:username", "kms:calleraccount",
}

// isPublic reports whether a well-formed policy lets everybody in: a statement
// that allows the principal * and no condition that says whom exactly.
func isPublic(text string) bool {
	var doc struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(text), &doc) != nil {
		return true
	}
	type statement struct {
		Effect       string
		Principal    json.RawMessage
		NotPrincipal json.RawMessage
		Condition    map[string]map[string]json.RawMessage
	}
	var list []statement
	for _, raw := range listOf(doc.Statement) {
		var st statement
		if json.Unmarshal(raw, &st) != nil {
			return true
		}
		list = append(list, st)
	}
	return slices.ContainsFunc(list, func(st statement) bool {
		return st.Effect == "Allow" && (st.NotPrincipal != nil || isEverybody(st.Principal)) && !isNarrow(st.Condition)
	})
}

func isEverybody(principal json.RawMessage) bool {
	var kinds map[string]json.RawMessage
	if json.Unmarshal(principal, &kinds) != nil {
		return slices.Contains(textsOf(principal), "*")
	}
	for _, names := range kinds {
		if slices.Contains(textsOf(names), "*") {
			return true
		}
	}
	return false
}

// isNarrow: operators of negation and IfExists tie nobody down.
func isNarrow(condition map[string]map[string]json.RawMessage) bool {
	for operator, keys := range condition {
		operator = strings.ToLower(operator)
		if strings.Contains(operator, "not") || strings.HasSuffix(operator, "ifexists") || strings.HasPrefix(operator, "null") {
			continue
		}
		for key, values := range keys {
			fixed := !slices.ContainsFunc(textsOf(values), func(v string) bool { return strings.ContainsAny(v, "*?") })
			if slices.Contains(narrowing, strings.ToLower(key)) && fixed {
				return true
			}
		}
	}
	return false
}

// listOf takes apart a JSON list, or makes one of a single value.
func listOf(raw json.RawMessage) []json.RawMessage {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return []json.RawMessage{raw}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

func textsOf(raw json.RawMessage) []string {
	var texts []string
	for _, item := range listOf(raw) {
		var s string
		if json.Unmarshal(item, &s) == nil {
			texts = append(texts, s)
		}
	}
	return texts
}
