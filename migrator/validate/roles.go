package validate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/aistudio/secrets/migrator/plan"
)

type simulator interface {
	SimulatePrincipalPolicy(context.Context, *iam.SimulatePrincipalPolicyInput, ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error)
}

type keyReader interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
}

// secretsOf are the secrets that a service reads, each once, as far as they can
// be read at all: the others fail by themselves.
func (v *validation) secretsOf(s *service) []*secret {
	var found []*secret
	for _, variable := range v.variables(s.Service) {
		if one := v.secrets[variable.Secret]; one != nil && one.problem == "" && !slices.Contains(found, one) {
			found = append(found, one)
		}
	}
	return found
}

// mayRead asks IAM whether the role's own policies allow what the service has to
// do. IAM simulates neither the policies of secrets nor those of keys for roles
// (IAM user guide, "Testing IAM policies with the IAM policy simulator"), so a
// read that has happened outweighs a right that isn't in the role's policies;
// nothing outweighs an explicit denial.
func (v *validation) mayRead(ctx context.Context, s *service) (Check, error) {
	check := Check{Question: MayRead, Subject: s.ID, Result: Pass, How: "iam:SimulatePrincipalPolicy with " + s.Role}
	var denials, lacking, unsure []string
	for _, secret := range v.secretsOf(s) {
		decision, err := v.simulate(ctx, s.Role, "secretsmanager:GetSecretValue", secret.arn, secretContext(secret))
		if err != nil {
			return v.unsimulated(ctx, check, err)
		}
		note(decision, "secretsmanager:GetSecretValue on "+secret.name, &denials, &lacking)
		key, err := v.keyARN(ctx, secret)
		switch {
		case ctx.Err() != nil:
			return Check{}, ctx.Err()
		case err != nil:
			unsure = append(unsure, "which key encrypts "+secret.name+" ("+code(err)+")")
			continue
		case key == "":
			continue // AWS's own key lets everybody in who may read the secret
		}
		decision, err = v.simulate(ctx, s.Role, "kms:Decrypt", key, map[string]string{
			"kms:ViaService":                  "secretsmanager." + v.Plan.Region + ".amazonaws.com",
			"kms:CallerAccount":               v.Plan.Account,
			"kms:EncryptionContext:SecretARN": secret.arn,
		})
		if err != nil {
			return v.unsimulated(ctx, check, err)
		}
		if decision == types.PolicyEvaluationDecisionTypeExplicitDeny {
			denials = append(denials, "kms:Decrypt for "+secret.name)
		} else if decision != types.PolicyEvaluationDecisionTypeAllowed && v.readers.how(s, secret.name) == "" {
			unsure = append(unsure, "whether the policy of the key of "+secret.name+" allows kms:Decrypt: the role's own policies don't")
		}
	}
	lacking = slices.DeleteFunc(lacking, func(what string) bool {
		return v.readers.how(s, strings.TrimPrefix(what, "secretsmanager:GetSecretValue on ")) != ""
	})
	check.Remedy = "Apply the plan's grant for the role, or have its owner add it."
	switch {
	case len(denials) > 0:
		check.Result, check.Detail = Fail, "its policies deny "+strings.Join(denials, ", ")
		check.Remedy = "Have the owner of the role change the policy that denies it: a grant doesn't outweigh a denial."
	case len(lacking) > 0:
		check.Result, check.Detail = Fail, "its policies don't allow "+strings.Join(lacking, ", ")
	case len(unsure) > 0:
		check.Result, check.Detail = Unknown, "nobody could tell "+strings.Join(unsure, "; ")
	default:
		check.Remedy, check.Detail = "", fmt.Sprintf("%d secrets", len(v.secretsOf(s)))
	}
	return check, nil
}

func note(decision types.PolicyEvaluationDecisionType, what string, denials, lacking *[]string) {
	switch decision {
	case types.PolicyEvaluationDecisionTypeAllowed:
	case types.PolicyEvaluationDecisionTypeExplicitDeny:
		*denials = append(*denials, what)
	default:
		*lacking = append(*lacking, what)
	}
}

func (v *validation) unsimulated(ctx context.Context, check Check, err error) (Check, error) {
	check.Result, check.Detail = Unknown, "IAM can't simulate the role's policies: "+code(err)
	check.Remedy = "Let the migrator call iam:SimulatePrincipalPolicy: docs/migrating.md has the policy."
	if gone(err) {
		check.Result, check.Remedy = Fail, "Give the service a role that exists."
	}
	return check, ctx.Err()
}

// simulate asks for one action on one resource.
func (v *validation) simulate(ctx context.Context, role, action, resource string, keys map[string]string) (types.PolicyEvaluationDecisionType, error) {
	in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &role, ActionNames: []string{action}, ResourceArns: []string{resource}}
	for key, value := range keys {
		in.ContextEntries = append(in.ContextEntries, types.ContextEntry{
			ContextKeyName: aws.String(key), ContextKeyType: types.ContextKeyTypeEnumString, ContextKeyValues: []string{value},
		})
	}
	out, err := v.roles.SimulatePrincipalPolicy(ctx, in)
	if err != nil {
		return "", err
	}
	if len(out.EvaluationResults) != 1 {
		return "", fmt.Errorf("IAM gave %d results for one question", len(out.EvaluationResults))
	}
	return out.EvaluationResults[0].EvalDecision, nil
}

// secretContext is what conditions of policies see when the secret is read.
func secretContext(s *secret) map[string]string {
	keys := map[string]string{"secretsmanager:SecretId": s.arn, "secretsmanager:VersionStage": "AWSCURRENT"}
	for key, value := range s.tags {
		keys["aws:ResourceTag/"+key], keys["secretsmanager:ResourceTag/"+key] = value, value
	}
	return keys
}

// keyARN returns the ARN of the customer's key that encrypts a secret, or "".
func (v *validation) keyARN(ctx context.Context, s *secret) (string, error) {
	switch {
	case s.key == "" || strings.HasSuffix(s.key, "alias/aws/secretsmanager"):
		return "", nil
	case strings.HasPrefix(s.key, "arn:") && strings.Contains(s.key, ":key/"):
		return s.key, nil
	}
	out, err := v.keys.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &s.key})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.KeyMetadata.Arn), nil
}

// reads tells whether somebody has read the service's secrets as its role.
func (v *validation) reads(s *service) Check {
	check := Check{Question: Reads, Subject: s.ID, Result: Pass}
	var unread []string
	var hows []string
	for _, secret := range v.secretsOf(s) {
		how := v.readers.how(s, secret.name)
		if how == "" && s.How == plan.ByInjection && s.pulled && s.references != nil {
			how = "ECS, which read it before it started the tasks that run"
		}
		if how == "" {
			unread = append(unread, secret.name)
		} else if !slices.Contains(hows, how) {
			hows = append(hows, how)
		}
	}
	check.How = strings.Join(hows, "; ")
	if problems := v.readers.problems[s.Role]; len(problems) > 0 && len(unread) > 0 {
		check.Result, check.How = Fail, "sts:AssumeRole of "+s.Role+" and a read as it"
		check.Detail = strings.Join(problems, ", ")
		check.Remedy = "Apply the plan's grant for the role, and look at the policies of the secret and of its key."
		return check
	}
	if len(unread) > 0 {
		check.Result, check.How = Unknown, "sts:AssumeRole of the role ("+v.readers.refused[s.Role]+") and CloudTrail's event history ("+v.readers.trail+")"
		check.Detail = "nobody has read " + strings.Join(unread, ", ") + " as the role " + s.Role + " since the service was switched"
		check.Remedy = "Call the service, or start the task once, and validate again: CloudTrail tells after up to 15 minutes."
		return check
	}
	check.Detail = fmt.Sprintf("%d secrets as %s", len(v.secretsOf(s)), s.Role)
	return check
}
