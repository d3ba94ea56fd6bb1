package recovery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// simulate asks IAM whether services whose roles can't be taken on may read their
// secrets in the DR region, by the roles' own policies: those of secrets and keys
// have no part in a simulation for a role (IAM API reference,
// SimulatePrincipalPolicy). roles are ARNs by secret. It returns how many secrets
// all of their roles may read.
func (e *Estate) simulate(ctx context.Context, roles map[*Secret][]string) (allowed int, denied []Failure, notes []string, err error) {
	client := iam.NewFromConfig(e.standby.config)
	var (
		mu      sync.Mutex
		told    = map[string]bool{} // notes
		unknown int
	)
	secrets := slices.SortedFunc(maps.Keys(roles), func(a, b *Secret) int { return strings.Compare(a.Name, b.Name) })
	good, denied, err := e.each(ctx, "ask IAM about readers", secrets, func(ctx context.Context, s *Secret) error {
		for _, role := range roles[s] {
			read, decrypt, err := e.simulateReader(ctx, client, role, s.Standby)
			mu.Lock()
			if err != nil {
				told["whether services whose roles can't be taken on may read isn't known: "+short(err).Error()+" for iam:SimulatePrincipalPolicy"] = true
				unknown++
			} else if decrypt != "" {
				told[role+" may decrypt in "+e.standby.region+" only if the key's own policy lets it"] = true
			}
			mu.Unlock()
			switch {
			case err != nil:
				return nil //nolint:nilerr // what can't be asked is a note, and no failure
			case read != "":
				return fmt.Errorf("%s may not read it in %s by its own policies: %s", role, e.standby.region, read)
			}
		}
		return nil
	})
	return len(good) - unknown, denied, slices.Sorted(maps.Keys(told)), err
}

// simulateReader returns IAM's decisions about reading a secret and decrypting with
// its key, each "" for allowed.
func (e *Estate) simulateReader(ctx context.Context, client *iam.Client, role string, s Copy) (read, decrypts string, err error) {
	const get, decrypt = "secretsmanager:GetSecretValue", "kms:Decrypt"
	text := func(name, value string) types.ContextEntry {
		return types.ContextEntry{ContextKeyName: &name, ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{value}}
	}
	in := &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: &role, ActionNames: []string{get}, ResourceArns: []string{s.ARN},
		ContextEntries: []types.ContextEntry{
			text("kms:ViaService", "secretsmanager."+e.standby.region+".amazonaws.com"),
			text("kms:EncryptionContext:SecretARN", s.ARN),
			text("aws:SecureTransport", "true"),
		},
	}
	ownKey := strings.HasPrefix(s.KeyID, "arn:")
	if ownKey {
		in.ActionNames, in.ResourceArns = append(in.ActionNames, decrypt), append(in.ResourceArns, s.KeyID)
	}
	out, err := client.SimulatePrincipalPolicy(ctx, in)
	if err != nil {
		return "", "", fmt.Errorf("simulate: %w", err)
	}
	for _, result := range out.EvaluationResults {
		if result.EvalDecision == types.PolicyEvaluationDecisionTypeAllowed {
			continue
		}
		switch action, resource := aws.ToString(result.EvalActionName), aws.ToString(result.EvalResourceName); {
		case action == get && resource == s.ARN:
			read = string(result.EvalDecision)
		case action == decrypt && resource == s.KeyID:
			decrypts = string(result.EvalDecision)
		}
	}
	return read, decrypts, nil
}
