package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aistudio/secrets/sdk/spec"
)

// addGrants writes down what roles may not read yet.
func (m *maker) addGrants() { m.plan.Grants = m.grants(m.plan) }

func (m *maker) grants(p Plan) []Grant {
	needs := map[string]map[string]bool{}
	for _, s := range p.Services {
		if s.Role == "" || s.Skip != "" {
			continue
		}
		for _, v := range s.Variables {
			if slices.Contains(m.facts.Roles[s.Role].Readable, v.Secret) {
				continue
			}
			if needs[s.Role] == nil {
				needs[s.Role] = map[string]bool{}
			}
			needs[s.Role][v.Secret] = true
		}
	}
	var grants []Grant
	for _, role := range sortedKeys(needs) {
		secrets := slices.Sorted(maps.Keys(needs[role]))
		grants = append(grants, Grant{
			Role: role, PolicyName: policyName(p, secrets), Secrets: secrets,
			Policy: m.readPolicy(p, secrets), ManagedBy: m.facts.Roles[role].ManagedBy,
		})
	}
	return grants
}

// policyName is one's own for each set of secrets: a later plan grants what is
// missing then, and must not take away what an earlier one granted.
func policyName(p Plan, secrets []string) string {
	sum := sha256.Sum256([]byte(strings.Join(secrets, "\n")))
	return p.Organization + "-" + p.Environment + "-migrated-" + hex.EncodeToString(sum[:4])
}

type policyDocument struct {
	Version   string
	Statement []policyStatement
}

type policyStatement struct {
	Sid, Effect string
	Action      []string
	Resource    []string
	Condition   map[string]map[string]string `json:",omitempty"`
}

// readPolicy lets a role read secrets, and decrypt with their key what comes
// through Secrets Manager. A secret that isn't there yet has six unknown
// characters at its ARN's end (Secrets Manager user guide, "IAM policy
// examples"); question marks stand for those and for no other secret.
func (m *maker) readPolicy(p Plan, secrets []string) string {
	partition := spec.Partition(p.Region)
	var arns []string
	for _, name := range secrets {
		arn := m.facts.Secrets[name].ARN
		if arn == "" {
			arn = fmt.Sprintf("arn:%s:secretsmanager:%s:%s:secret:%s-??????", partition, p.Region, p.Account, name)
		}
		arns = append(arns, arn)
	}
	through := map[string]string{"kms:ViaService": "secretsmanager." + p.Region + ".amazonaws.com"}
	decrypt := policyStatement{Sid: "Decrypt", Effect: "Allow", Action: []string{"kms:Decrypt"}, Condition: map[string]map[string]string{"StringEquals": through}}
	switch {
	case m.facts.KeyARN != "":
		decrypt.Resource = []string{m.facts.KeyARN}
	case strings.HasPrefix(p.KMSKey, "alias/"):
		decrypt.Resource = []string{fmt.Sprintf("arn:%s:kms:%s:%s:key/*", partition, p.Region, p.Account)}
		decrypt.Condition["ForAnyValue:StringEquals"] = map[string]string{"kms:ResourceAliases": p.KMSKey}
	default:
		decrypt.Resource = []string{p.KMSKey}
	}
	document := policyDocument{Version: "2012-10-17", Statement: []policyStatement{
		{Sid: "Read", Effect: "Allow", Action: []string{"secretsmanager:GetSecretValue"}, Resource: arns}, decrypt,
	}}
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		panic(err) // strings and lists of them
	}
	return string(text) + "\n"
}
