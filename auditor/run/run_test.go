package run_test

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/auditor/state"
	"github.com/aistudio/secrets/sdk/spec"
)

// auditorMay is the policy of the auditor's role, without some actions.
func auditorMay(without ...string) string {
	actions := slices.DeleteFunc(spec.AuditActions(), func(a string) bool { return slices.Contains(without, a) })
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}]}`
}

func (e *estate) options(cfg aws.Config, store state.Store) run.Options {
	return run.Options{
		AWS: cfg, Environment: "prod", Regions: []string{east, west}, Catalogue: &e.catalogue, Policy: e.policy, Scan: e.scanFact(),
		Store: store, Reports: e.t.TempDir(), Now: e.now(), Log: slog.New(slog.DiscardHandler),
		QuotaShare: 1000, // the local cloud has none
	}
}

func (e *estate) audit(o run.Options) *run.Outcome {
	e.t.Helper()
	outcome, err := run.Run(e.t.Context(), o)
	require.NoError(e.t, err)
	e.t.Cleanup(func() { require.NoError(e.t, outcome.Close()) })
	return outcome
}

func (e *estate) store() state.File { return state.File(filepath.Join(e.t.TempDir(), "state")) }

// with returns "rule resource" of the findings with a status, sorted.
func with(t *testing.T, o *run.Outcome, status finding.Status) []string {
	t.Helper()
	var list []string
	for f, err := range o.Findings() {
		require.NoError(t, err)
		if f.Status == status {
			list = append(list, f.Rule+" "+strings.TrimPrefix(f.Resource.Name, "acme/prod/app/"))
		}
	}
	slices.Sort(list)
	return list
}

// planted is what the rules find in the planted estate: each violation once, and
// none of the near misses.
func (e *estate) planted() []string {
	list := []string{
		"access-unexpected spied",
		"deleted-still-read deleted-read",
		"function-failing broken-rotator",
		"function-missing doomed-rotator",
		"function-runtime-deprecated old-rotator",
		"key-default aws-key",
		"key-default replica-aws-key",
		"key-rotation-off " + e.weakKey,
		"key-unusable " + e.lostKey,
		"key-unusable " + e.lostWest,
		"name-outside-scheme legacy-password",
		"plaintext-ecs orders:7",
		"plaintext-lambda orders",
		"plaintext-ssm /orders/password",
		"policy-cross-account organization",
		"policy-cross-account shared",
		"policy-public public",
		"policy-too-wide wide",
		"replica-missing no-replica",
		"replica-out-of-sync out-of-sync",
		"rotation-disabled no-rotation",
		"rotation-failed failed",
		"rotation-overdue overdue",
		"rotation-stuck stuck",
		"suppression-expired unused for acme/prod/app/unused",
		"tags-missing untagged",
		"tags-wrong mistagged",
		"trail-off trails of us-west-2",
		"trail-single-region trails of us-east-1",
		"trail-without-validation trails of us-east-1",
		"unmanaged shadow",
		"unused unused", //nolint:dupword // the rule and the secret
		"value-too-old old",
	}
	slices.Sort(list)
	return list
}

func TestPlantedEstate(t *testing.T) {
	t.Parallel()
	e := plant(t)
	auditor := e.makeRole("auditor", auditorMay())
	o := e.options(auditor, e.store())
	outcome := e.audit(o)
	require.Equal(t, e.planted(), with(t, outcome, finding.Fail))
	require.Empty(t, with(t, outcome, finding.Unknown))
	require.Equal(t, []string{"replica-missing accepted"}, with(t, outcome, finding.Suppressed))
	require.True(t, outcome.Complete())
	t.Logf("calls: %v", outcome.Calls)

	// The same again, so that there is a trend.
	e.advance(time.Minute)
	again := e.options(auditor, o.Store)
	require.Equal(t, e.planted(), with(t, e.audit(again), finding.Fail))

	t.Run("in all formats", func(t *testing.T) { checkFormats(t, o.Reports, outcome) })
	t.Run("as the golden files are", func(t *testing.T) { checkGolden(t, again.Reports) })
	t.Run("in a browser", func(t *testing.T) { checkBrowser(t, again.Reports) })
	t.Run("no value in any output", func(t *testing.T) {
		require.NoError(t, filepath.WalkDir(o.Reports, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			assert.NotContains(t, string(text), canary, path)
			return err
		}))
	})
	t.Run("the auditor can't read a value", func(t *testing.T) {
		client := secretsmanager.NewFromConfig(auditor)
		_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("acme/prod/app/good")})
		require.ErrorContains(t, err, "AccessDenied")
		_, err = client.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"acme/prod/app/good"}})
		require.True(t, err != nil, "a batch is refused too")
	})
	t.Run("a permission less", func(t *testing.T) { deniedOneByOne(t, e, auditor, outcome) })
}

// deniedOneByOne takes one permission at a time from the auditor: what depends
// on it is unknown, and nothing passes that didn't pass before.
func deniedOneByOne(t *testing.T, e *estate, auditor aws.Config, whole *run.Outcome) {
	passed := map[string]int{}
	for _, rule := range whole.Rules {
		passed[rule.ID] = rule.Counts[finding.Pass]
	}
	failed := with(t, whole, finding.Fail)
	for _, action := range spec.AuditActions() {
		e.allow("auditor", auditorMay(action))
		o := e.options(auditor, e.store())
		if action == "secretsmanager:ListSecrets" {
			_, err := run.Run(t.Context(), o)
			require.ErrorContains(t, err, "ListSecrets failed: AccessDeniedException", "nothing can be audited")
			continue
		}
		outcome := e.audit(o)
		unknown := with(t, outcome, finding.Unknown)
		if action != "secretsmanager:DescribeSecret" { // it only says why a replica is out of sync
			assert.NotEmpty(t, unknown, action)
		}
		unsure := map[string]bool{}
		for _, line := range unknown {
			rule, _, _ := strings.Cut(line, " ")
			unsure[rule] = true
		}
		still := with(t, outcome, finding.Fail)
		for _, line := range failed {
			rule, _, _ := strings.Cut(line, " ")
			assert.True(t, slices.Contains(still, line) || unsure[rule], "without %s: %q is neither found nor unknown", action, line)
		}
		for _, rule := range outcome.Rules {
			assert.LessOrEqual(t, rule.Counts[finding.Pass], passed[rule.ID], "without %s: %s passes more", action, rule.ID)
		}
		t.Logf("without %s: unknown are %v", action, slices.Sorted(maps.Keys(unsure)))
	}
	e.allow("auditor", auditorMay())
}
