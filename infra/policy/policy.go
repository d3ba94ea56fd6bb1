// Package policy writes IAM policy documents: for identities, for secrets, for
// keys and for who may take on a role.
package policy

import (
	"encoding/json"
	"fmt"
)

// Document is a policy of the version 2012-10-17.
type Document []Statement

// Statement is a statement of a policy. Principal is left out of identities'
// policies, Resource out of trust policies.
type Statement struct {
	Sid       string     `json:"Sid"`
	Effect    Effect     `json:"Effect"`
	Principal *Principal `json:"Principal,omitempty"`
	Action    []string   `json:"Action"`
	Resource  []string   `json:"Resource,omitempty"`
	Condition Condition  `json:"Condition,omitempty"`
}

// Effect is what a statement does with what it matches.
type Effect string

// The effects there are.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Principal is who a statement is about.
type Principal struct {
	AWS     []string `json:"AWS,omitempty"`     // ARNs, or Everyone
	Service []string `json:"Service,omitempty"` // such as "lambda.amazonaws.com"
}

// Everyone is the principal that matches all. It belongs into Deny statements.
const Everyone = "*"

// This is the resource of a secret's or a key's own policy: what the policy is
// attached to. AWS has no other way that holds for a secret's replicas too,
// which get a copy of its policy (Secrets Manager user guide, "Resource-based
// policies" and "Replicate secrets"; KMS developer guide, "Key policies").
const This = "*"

// Condition maps operators to condition keys to the values of which one must
// match.
type Condition map[string]map[string][]string

// ThroughSecretsManager is the condition on a key's use that Secrets Manager
// makes it, in one of the regions and for a caller of its account (KMS
// developer guide, "kms:ViaService").
func ThroughSecretsManager(regions ...string) Condition {
	services := make([]string, 0, len(regions))
	for _, region := range regions {
		services = append(services, "secretsmanager."+region+".amazonaws.com")
	}
	return Condition{"StringEquals": {"kms:ViaService": services}}
}

// KeyAdministration is what a key's administrators may do: all that manages a
// key, and nothing that encrypts or decrypts with it (KMS developer guide, "Allows key
// administrators to administer the KMS key").
var KeyAdministration = []string{
	"kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey",
	"kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation", "kms:GetKeyPolicy",
	"kms:GetKeyRotationStatus", "kms:ListGrants", "kms:ListKeyPolicies", "kms:ListKeyRotations",
	"kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ReplicateKey", "kms:RevokeGrant",
	"kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource",
	"kms:UpdateAlias", "kms:UpdateKeyDescription", "kms:UpdatePrimaryRegion",
}

// WithoutTLS denies an action on a resource to all who don't encrypt what they
// send.
func WithoutTLS(action, resource string) Statement {
	return Statement{
		Sid:       "WithoutTLS",
		Effect:    Deny,
		Principal: &Principal{AWS: []string{Everyone}},
		Action:    []string{action},
		Resource:  []string{resource},
		Condition: Condition{"Bool": {"aws:SecureTransport": {"false"}}},
	}
}

// JSON returns the document's text.
func (d Document) JSON() (string, error) {
	text, err := json.Marshal(struct {
		Version   string
		Statement []Statement
	}{"2012-10-17", d})
	if err != nil {
		return "", fmt.Errorf("write policy: %w", err)
	}
	return string(text), nil
}
