package secretsmanager

import (
	"context"

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
	if in.BlockPublicPolicy != nil && *in.BlockPublicPolicy && iam.Public(*in.ResourcePolicy) {
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
	if iam.Public(*in.ResourcePolicy) {
		out.PolicyValidationPassed = false
		out.ValidationErrors = append(out.ValidationErrors, validationError{publicCheck, publicMessage})
	}
	return out, nil
}
