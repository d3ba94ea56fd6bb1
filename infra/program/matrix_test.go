package program_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/sdk/spec"
)

// check is a decision of IAM that a call needs.
type check struct {
	Action   string            `json:"action"`
	Resource string            `json:"resource"`
	Policy   string            `json:"policy"` // the resource's own; "": it has none
	Context  map[string]string `json:"context"`
}

// attempt is an action of the matrix on a secret: a call that changes nothing
// that matters, and what IAM has to allow for it.
type attempt struct {
	name   string
	call   func(context.Context, aws.Config, secretAt) error
	checks func(secretAt) []check
}

// secretAt is a secret of the matrix, with what guards it.
type secretAt struct {
	path, arn, policy string
	key, keyPolicy    string
	tags              map[string]string

	replica *secretAt
}

func (s secretAt) id() *string { return aws.String(s.arn) }

// on is the check of an action on the secret itself.
func (s secretAt) on(action string) check {
	context := map[string]string{}
	for key, value := range s.tags {
		context["aws:ResourceTag/"+key] = value
	}
	return check{"secretsmanager:" + action, s.arn, s.policy, context}
}

// with is the check of what Secrets Manager does with the key for its caller.
func (s secretAt) with(action string) check {
	region := strings.Split(s.arn, ":")[3]
	return check{"kms:" + action, s.key, s.keyPolicy, map[string]string{
		"kms:ViaService": "secretsmanager." + region + ".amazonaws.com", "kms:EncryptionContext:SecretARN": s.arn, "kms:CallerAccount": accountID,
	}}
}

func attempts() []attempt {
	client := func(config aws.Config) *secretsmanager.Client { return secretsmanager.NewFromConfig(config) }
	one := func(action string) func(secretAt) []check {
		return func(s secretAt) []check { return []check{s.on(action)} }
	}
	read := func(ctx context.Context, config aws.Config, s secretAt) error {
		_, err := client(config).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: s.id()})
		return err
	}
	reading := func(s secretAt) []check { return []check{s.on("GetSecretValue"), s.with("Decrypt")} }
	return []attempt{
		{"read", read, reading},
		{"read the replica", func(ctx context.Context, config aws.Config, s secretAt) error {
			return read(ctx, inReplica(config), *s.replica)
		}, func(s secretAt) []check { return reading(*s.replica) }},
		{"read in a batch", func(ctx context.Context, config aws.Config, s secretAt) error {
			out, err := client(config).BatchGetSecretValue(ctx, &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{s.arn}})
			if err == nil && len(out.SecretValues) == 0 {
				return &smithy.GenericAPIError{Code: aws.ToString(out.Errors[0].ErrorCode)}
			}
			return err
		}, func(s secretAt) []check {
			return append(reading(s), check{Action: "secretsmanager:BatchGetSecretValue", Resource: "*"})
		}},
		{"describe", func(ctx context.Context, config aws.Config, s secretAt) error {
			_, err := client(config).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: s.id()})
			return err
		}, one("DescribeSecret")},
		{"write", func(ctx context.Context, config aws.Config, s secretAt) error {
			_, err := client(config).PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: s.id(), SecretString: aws.String("{}"), VersionStages: []string{"MATRIX"}})
			return err
		}, func(s secretAt) []check {
			return []check{s.on("PutSecretValue"), s.with("GenerateDataKey"), s.with("Decrypt")}
		}},
		{"move a label", func(ctx context.Context, config aws.Config, s secretAt) error {
			_, err := client(config).UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: s.id(), VersionStage: aws.String("MATRIX"), RemoveFromVersionId: aws.String("00000000-0000-0000-0000-000000000000"),
			})
			return err
		}, one("UpdateSecretVersionStage")},
		{"tag", func(ctx context.Context, config aws.Config, s secretAt) error {
			_, err := client(config).UntagResource(ctx, &secretsmanager.UntagResourceInput{SecretId: s.id(), TagKeys: []string{"None"}})
			return err
		}, one("UntagResource")},
		{"open up", func(ctx context.Context, config aws.Config, s secretAt) error {
			_, err := client(config).PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: s.id(), ResourcePolicy: &s.policy, BlockPublicPolicy: aws.Bool(true)})
			return err
		}, one("PutResourcePolicy")},
		{"promote the replica", func(ctx context.Context, config aws.Config, s secretAt) error {
			_, err := client(config).StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: s.id()})
			return err // it is the primary
		}, one("StopReplicationToReplica")},
		{"use its key", func(ctx context.Context, config aws.Config, s secretAt) error {
			_, err := kms.NewFromConfig(config).GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
				KeyId: &s.key, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: map[string]string{"SecretARN": s.arn},
			})
			return err
		}, func(s secretAt) []check {
			return []check{{"kms:GenerateDataKey", s.key, s.keyPolicy, map[string]string{"kms:EncryptionContext:SecretARN": s.arn, "kms:CallerAccount": accountID}}}
		}},
	}
}

// refused tells an error of IAM from others.
func refused(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && slices.Contains([]string{"AccessDeniedException", "AccessDenied", "AuthorizationError", "AuthorizationErrorException"}, answer.ErrorCode())
}

// checkMatrix tries every action on every secret, and on what the secrets share, as
// every role of the account, as one whom IAM allows everything and as one whom it
// allows nothing. What is
// allowed is in testdata/matrix.txt; all else is denied. Another judge of the same
// policies has to agree.
func (w *world) checkMatrix(t *testing.T) {
	config := w.cloud.Config(region)
	administrator := w.session(t, "secrets-administrator")
	w.createRole(t, "everything")
	_, err := iam.NewFromConfig(config).CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("nothing"), AssumeRolePolicyDocument: aws.String(trustAccount)})
	require.NoError(t, err)
	secrets := w.secretsOfMatrix(t, administrator)
	shared := w.sharedAttempts(t)
	identities := identities(t, config)

	allowed := map[string]map[string][]string{} // paths by principal and action
	var questions []question
	for _, principal := range sorted(identities) {
		session := w.session(t, principal)
		allowed[principal] = map[string][]string{}
		for _, attempt := range attempts() {
			for _, secret := range secrets {
				err := attempt.call(t.Context(), session, secret)
				if !refused(err) {
					allowed[principal][attempt.name] = append(allowed[principal][attempt.name], secret.path)
				}
				questions = append(questions, question{principal, attempt.name, secret.path, attempt.checks(secret), !refused(err)})
			}
		}
		for _, attempt := range shared {
			err := attempt.call(t.Context(), session)
			if !refused(err) {
				require.NoError(t, err, "%s: %s", principal, attempt.name)
				allowed[principal][attempt.name] = []string{principal}
			}
			questions = append(questions, question{principal, attempt.name, "", attempt.checks, err == nil})
		}
	}
	require.Empty(t, w.cloud.Unsupported())
	assert.Empty(t, allowed["nothing"])
	checkText(t, "matrix.txt", matrixText(allowed, secrets, shared))
	t.Run("what secrets share", func(t *testing.T) { checkShared(t, allowed) })

	t.Run("readers are those of the catalogue", func(t *testing.T) {
		stack, err := catalogue.Parse(w.config(t, "prod"))
		require.NoError(t, err)
		for _, secret := range stack.Secrets {
			want := []string{"secrets-administrator", "secrets-deployer"}
			for _, service := range secret.Readers {
				want = append(want, spec.ReaderRole("aistudio", "prod", service))
			}
			batch := slices.Clone(want)
			if secret.NeedsRotator() {
				want = append(want, spec.RotationFunction("aistudio", "prod", secret.Rotator))
			}
			for action, want := range map[string][]string{"read": want, "read in a batch": batch} {
				var found []string
				for _, principal := range sorted(identities) {
					if slices.Contains(allowed[principal][action], secret.Path()) {
						found = append(found, principal)
					}
				}
				assert.ElementsMatch(t, want, found, "who may %s %s", action, secret.Path())
			}
		}
	})
	t.Run("another judge agrees", func(t *testing.T) { judgeAgain(t, identities, questions) })
}

// question is a cell of the matrix, and the emulator's answer.
type question struct {
	Principal string  `json:"principal"`
	Attempt   string  `json:"attempt"`
	Secret    string  `json:"secret"`
	Checks    []check `json:"checks"` // all have to be allowed
	Allowed   bool    `json:"-"`
}

// secretsOfMatrix are the stack's secrets, each with a value.
func (w *world) secretsOfMatrix(t *testing.T, administrator aws.Config) []secretAt {
	t.Helper()
	stack, err := catalogue.Parse(w.config(t, w.stack))
	require.NoError(t, err)
	at := func(config aws.Config, name string) secretAt {
		found := describe(t, config, name)
		own, err := secretsmanager.NewFromConfig(config).GetResourcePolicy(t.Context(), &secretsmanager.GetResourcePolicyInput{SecretId: &name})
		require.NoError(t, err)
		key, err := kms.NewFromConfig(config).GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: found.KmsKeyId})
		require.NoError(t, err)
		tags := map[string]string{}
		for _, tag := range found.Tags {
			tags[*tag.Key] = *tag.Value
		}
		return secretAt{arn: *found.ARN, policy: aws.ToString(own.ResourcePolicy), key: *found.KmsKeyId, keyPolicy: *key.Policy, tags: tags}
	}
	var secrets []secretAt
	for _, declared := range stack.Secrets {
		name := declared.Name.String()
		if len(describe(t, administrator, name).VersionIdsToStages) == 0 {
			_, err := secretsmanager.NewFromConfig(administrator).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: aws.String("{}")})
			require.NoError(t, err)
		}
		secret, replica := at(administrator, name), at(inReplica(administrator), name)
		secret.path, secret.replica = declared.Path(), &replica
		secrets = append(secrets, secret)
	}
	return secrets
}

// identity is a role with its policies.
type identity struct {
	ARN      string            `json:"arn"`
	Policies []string          `json:"policies"`
	Tags     map[string]string `json:"tags"`
}

// identities are all roles of the account, by name.
func identities(t *testing.T, config aws.Config) map[string]identity {
	t.Helper()
	plain := func(text *string) string {
		decoded, err := url.QueryUnescape(*text)
		require.NoError(t, err)
		return decoded
	}
	found, managed := map[string]identity{}, map[string]string{}
	var roles []iamtypes.RoleDetail
	pages := iam.NewGetAccountAuthorizationDetailsPaginator(iam.NewFromConfig(config), &iam.GetAccountAuthorizationDetailsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		for _, p := range page.Policies {
			for _, version := range p.PolicyVersionList {
				if version.IsDefaultVersion {
					managed[*p.Arn] = plain(version.Document)
				}
			}
		}
		roles = append(roles, page.RoleDetailList...)
	}
	for _, role := range roles {
		tags := map[string]string{}
		for _, tag := range role.Tags {
			tags[*tag.Key] = *tag.Value
		}
		who := identity{ARN: *role.Arn, Policies: []string{}, Tags: tags}
		for _, inline := range role.RolePolicyList {
			who.Policies = append(who.Policies, plain(inline.PolicyDocument))
		}
		for _, attached := range role.AttachedManagedPolicies {
			document, there := managed[*attached.PolicyArn]
			require.True(t, there, *attached.PolicyArn)
			who.Policies = append(who.Policies, document)
		}
		found[*role.RoleName] = who
	}
	return found
}

// matrixText writes what is allowed, a principal a paragraph.
func matrixText(allowed map[string]map[string][]string, secrets []secretAt, shared []attemptOnShared) string {
	var text strings.Builder
	text.WriteString("What each role may do with which secrets of prod, and with what they share. All else is denied.\n")
	for _, principal := range sorted(allowed) {
		fmt.Fprintf(&text, "\n%s\n", principal)
		if len(allowed[principal]) == 0 {
			text.WriteString("  nothing\n")
		}
		for _, attempt := range attempts() {
			paths := allowed[principal][attempt.name]
			switch {
			case len(paths) == len(secrets):
				fmt.Fprintf(&text, "  %-20s all\n", attempt.name)
			case len(paths) > 0:
				fmt.Fprintf(&text, "  %-20s %s\n", attempt.name, strings.Join(paths, ", "))
			}
		}
		for _, attempt := range shared {
			if len(allowed[principal][attempt.name]) > 0 {
				fmt.Fprintf(&text, "  %s\n", attempt.name)
			}
		}
	}
	return text.String()
}

// checkText compares a text with a file in testdata.
func checkText(t *testing.T, name, text string) {
	t.Helper()
	golden := "testdata/" + name
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), text, "when the change is wanted: go test ./program -run %s -update", t.Name())
}
