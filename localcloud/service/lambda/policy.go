package lambda

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// policy is a resource-based policy: of a function, of one of its versions or
// aliases, of a layer version. A nil one is empty.
type policy struct {
	statements []statement
	revisionID string
}

type statement struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// json is the document, "" for none.
func (p *policy) json() string {
	if p == nil || len(p.statements) == 0 {
		return ""
	}
	b, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Id": "default", "Statement": p.statements}) // strings only
	return string(b)
}

var (
	statementForm = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,100}$`)
	actionForm    = regexp.MustCompile(`^(lambda:[*]|lambda:[a-zA-Z]+|[*])$`)
	accountForm   = regexp.MustCompile(`^\d{12}$`)
	serviceForm   = regexp.MustCompile(`^[a-z0-9.-]+\.amazonaws\.com$`)
)

// principalElement is the policy element of a principal as callers name it.
func principalElement(name string) (any, error) {
	switch {
	case name == "*":
		return "*", nil
	case accountForm.MatchString(name):
		return map[string]string{"AWS": "arn:aws:iam::" + name + ":root"}, nil
	case serviceForm.MatchString(name):
		return map[string]string{"Service": name}, nil
	case len(name) > 4 && name[:4] == "arn:":
		return map[string]string{"AWS": name}, nil
	default:
		return nil, invalid("The provided principal was invalid. Please check the principal and try again.")
	}
}

// add adds a statement; the revision, if one is given, must be the current one.
func (p *policy) add(st statement, revisionID string) (*policy, error) {
	next := &policy{revisionID: uuid.NewString()}
	if p != nil {
		next.statements = slices.Clone(p.statements)
		if revisionID != "" && revisionID != p.revisionID {
			return nil, preconditionFailed()
		}
	} else if revisionID != "" {
		return nil, preconditionFailed()
	}
	for _, old := range next.statements {
		if old.Sid == st.Sid {
			return nil, conflict("The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", st.Sid)
		}
	}
	next.statements = append(next.statements, st)
	return next, nil
}

// remove removes a statement.
func (p *policy) remove(sid, revisionID string) (*policy, error) {
	if p == nil {
		return nil, notFound("No policy is associated with the given resource.")
	}
	if revisionID != "" && revisionID != p.revisionID {
		return nil, preconditionFailed()
	}
	i := slices.IndexFunc(p.statements, func(st statement) bool { return st.Sid == sid })
	if i < 0 {
		return nil, notFound("Statement %s is not found in resource policy.", sid)
	}
	if len(p.statements) == 1 {
		return nil, nil
	}
	return &policy{statements: slices.Delete(slices.Clone(p.statements), i, i+1), revisionID: uuid.NewString()}, nil
}

type addPermissionInput struct {
	Action           string
	EventSourceToken string
	Principal        string
	PrincipalOrgID   string
	RevisionId       string
	SourceAccount    string
	SourceArn        string
	StatementId      string
}

func (in addPermissionInput) statement(resource string) (statement, error) {
	switch {
	case !statementForm.MatchString(in.StatementId):
		return statement{}, constraint(in.StatementId, "statementId", `Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)`)
	case !actionForm.MatchString(in.Action):
		return statement{}, constraint(in.Action, "action", `Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])`)
	case in.SourceAccount != "" && !accountForm.MatchString(in.SourceAccount):
		return statement{}, constraint(in.SourceAccount, "sourceAccount", `Member must satisfy regular expression pattern: \d{12}`)
	}
	st := statement{Sid: in.StatementId, Effect: "Allow", Action: in.Action, Resource: resource, Condition: map[string]map[string]string{}}
	var err error
	if st.Principal, err = principalElement(in.Principal); err != nil {
		return statement{}, err
	}
	st.condition("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	st.condition("ArnLike", "AWS:SourceArn", in.SourceArn)
	st.condition("StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID)
	st.condition("StringEquals", "lambda:EventSourceToken", in.EventSourceToken)
	return st, nil
}

func (st *statement) condition(operator, key, value string) {
	if value == "" {
		return
	}
	if st.Condition[operator] == nil {
		st.Condition[operator] = map[string]string{}
	}
	st.Condition[operator][key] = value
}

func (st statement) text() (string, error) {
	b, err := json.Marshal(st)
	return string(b), err
}

type addPermissionOutput struct{ Statement string }

func (s *Service) addPermission(ctx context.Context, r *api.Request, in *addPermissionInput) (*api.Reply, error) {
	ref, err := s.target(ctx, r, "AddPermission")
	if err != nil {
		return nil, err
	}
	if ref.qualifier == latest {
		return nil, invalid("We currently do not support adding policies for $LATEST.")
	}
	st, err := in.statement(ref.arn())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	next, err := f.policies[ref.qualifier].add(st, in.RevisionId)
	if err != nil {
		return nil, err
	}
	f.policies[ref.qualifier] = next
	text, err := st.text()
	if err != nil {
		return nil, err
	}
	return created(addPermissionOutput{text}), nil
}

func (s *Service) removePermission(ctx context.Context, r *api.Request, _ *empty) (*api.Reply, error) {
	ref, err := s.target(ctx, r, "RemovePermission")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	next, err := f.policies[ref.policyQualifier()].remove(r.Path["StatementId"], r.HTTP.URL.Query().Get("RevisionId"))
	if err != nil {
		return nil, err
	}
	f.policies[ref.policyQualifier()] = next
	return noContent(), nil
}

type policyOutput struct{ Policy, RevisionId string }

func (s *Service) getPolicy(ctx context.Context, r *api.Request, _ *empty) (*policyOutput, error) {
	ref, err := s.target(ctx, r, "GetPolicy")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f, _, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	p := f.policies[ref.policyQualifier()]
	if p == nil {
		return nil, notFound("The resource you requested does not exist.")
	}
	return &policyOutput{p.json(), p.revisionID}, nil
}
