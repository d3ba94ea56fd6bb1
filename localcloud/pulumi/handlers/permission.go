package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// permission is one statement of a function's resource policy; its ID is the
// statement's. Lambda can't change a statement, so every change replaces.
type permission struct {
	Action              string `json:"action" prop:"in,required"`
	EventSourceToken    string `json:"eventSourceToken,omitempty" prop:"in"`
	Function            string `json:"function" prop:"in,required"`
	FunctionURLAuthType string `json:"functionUrlAuthType,omitempty" prop:"in"`
	Principal           string `json:"principal" prop:"in,required"`
	PrincipalOrgID      string `json:"principalOrgId,omitempty" prop:"in"`
	Qualifier           string `json:"qualifier,omitempty" prop:"in"`
	SourceAccount       string `json:"sourceAccount,omitempty" prop:"in"`
	SourceARN           string `json:"sourceArn,omitempty" prop:"in"`
	StatementID         string `json:"statementId" prop:"in,auto=100"`
	StatementIDPrefix   string `json:"statementIdPrefix,omitempty" prop:"in,writeonly"`
}

func permissionKind() resourceType {
	return kind[permission]{
		token: "aws:lambda/permission:Permission",
		create: func(ctx context.Context, c *clients, p *permission) (string, error) {
			id, err := nameOrPrefix(p.StatementID, p.StatementIDPrefix)
			if err != nil {
				return "", err
			}
			_, err = c.lambda.AddPermission(ctx, &lambda.AddPermissionInput{
				Action:              &p.Action,
				EventSourceToken:    optional(p.EventSourceToken),
				FunctionName:        &p.Function,
				FunctionUrlAuthType: lambdatypes.FunctionUrlAuthType(p.FunctionURLAuthType),
				Principal:           &p.Principal,
				PrincipalOrgID:      optional(p.PrincipalOrgID),
				Qualifier:           optional(p.Qualifier),
				SourceAccount:       optional(p.SourceAccount),
				SourceArn:           optional(p.SourceARN),
				StatementId:         &id,
			})
			if err != nil {
				return "", err
			}
			return id, nil
		},
		read: readPermission,
		remove: func(ctx context.Context, c *clients, id string, p *permission) error {
			_, err := c.lambda.RemovePermission(ctx, &lambda.RemovePermissionInput{
				FunctionName: &p.Function,
				Qualifier:    optional(p.Qualifier),
				StatementId:  &id,
			})
			return unlessGone[*lambdatypes.ResourceNotFoundException](err)
		},
	}
}

// statement is what Lambda makes of a permission.
type statement struct {
	Sid       string
	Action    string
	Principal json.RawMessage
	Condition map[string]map[string]string
}

func readPermission(ctx context.Context, c *clients, id string, p *permission) error {
	if p.Function == "" {
		return fmt.Errorf("a permission can't be imported into the local cloud: its ID %q doesn't name the function", id)
	}
	got, err := c.lambda.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: &p.Function, Qualifier: optional(p.Qualifier)})
	if err != nil {
		return gone[*lambdatypes.ResourceNotFoundException](err)
	}
	var policy struct{ Statement []statement }
	if err := json.Unmarshal([]byte(aws.ToString(got.Policy)), &policy); err != nil {
		return fmt.Errorf("read the resource policy of function %s: %w", p.Function, err)
	}
	for _, s := range policy.Statement {
		if s.Sid == id {
			return p.take(s)
		}
	}
	return errNotFound
}

// take sets p to what a statement says.
func (p *permission) take(s statement) error {
	principal, err := s.principal()
	if err != nil {
		return err
	}
	p.StatementID, p.Action = s.Sid, s.Action
	p.Principal = keepSpelling(p.Principal, principal, samePrincipal)
	p.SourceAccount = s.condition("AWS:SourceAccount")
	p.SourceARN = s.condition("AWS:SourceArn")
	p.PrincipalOrgID = s.condition("aws:PrincipalOrgID")
	p.EventSourceToken = s.condition("lambda:EventSourceToken")
	p.FunctionURLAuthType = s.condition("lambda:FunctionUrlAuthType")
	return nil
}

func (s statement) principal() (string, error) {
	var text string
	if json.Unmarshal(s.Principal, &text) == nil {
		return text, nil
	}
	var named map[string]string
	if err := json.Unmarshal(s.Principal, &named); err != nil {
		return "", fmt.Errorf("read the principal of statement %s: %w", s.Sid, err)
	}
	for _, name := range named {
		text = name
	}
	return text, nil
}

// condition returns the value that a condition key has under any operator.
func (s statement) condition(key string) string {
	for _, values := range s.Condition {
		for name, value := range values {
			if strings.EqualFold(name, key) {
				return value
			}
		}
	}
	return ""
}

// samePrincipal knows that Lambda writes account 123456789012 as the ARN of its
// root.
func samePrincipal(a, b string) bool {
	account := func(principal string) string {
		return strings.TrimSuffix(principal[strings.Index(principal, "::")+1:], ":root")
	}
	return a == b || strings.TrimPrefix(account(a), ":") == strings.TrimPrefix(account(b), ":")
}
