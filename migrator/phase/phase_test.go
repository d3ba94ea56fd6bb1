package phase_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	cttypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/phase"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/validate"
	"github.com/aistudio/secrets/sdk/spec"
)

// The data of the plan holds together.
func TestThePlanIsWhole(t *testing.T) {
	seen := []phase.Name{}
	for _, p := range phase.Phases() {
		seen = append(seen, p.Name)
		ids := map[string]bool{}
		for _, c := range p.Checks {
			assert.False(t, ids[c.ID], "%s has two checks %s", p.Name, c.ID)
			ids[c.ID] = true
			for what, text := range map[string]string{"name": c.Name, "why": c.Why, "how": c.How, "remedy": c.Remedy} {
				assert.NotEmpty(t, text, "%s of %s", what, c.ID)
			}
		}
		reached := map[string]bool{}
		for _, s := range p.Steps {
			for _, id := range s.Reaches {
				assert.True(t, ids[id], "a step of %s reaches %s, which is no check of it", p.Name, id)
				reached[id] = true
			}
		}
		for id := range ids {
			c := p.Checks[slices.IndexFunc(p.Checks, func(c phase.Check) bool { return c.ID == id })]
			concerns := len(c.Stacks) == 0 || slices.Contains(c.Stacks, string(p.Name)) || !slices.Contains(phase.Stacks(), string(p.Name))
			if concerns && id != "dual-read" && id != "no-alarm" { // which hold or don't
				assert.True(t, reached[id], "no step of %s reaches %s", p.Name, id)
			}
		}
	}
	assert.Equal(t, []phase.Name{phase.Foundation, phase.Prepare, phase.Dev, phase.Staging, phase.Prod, phase.Cleanup}, seen)
	assert.Equal(t, []phase.At{{Phase: phase.Prepare, Stack: "prod"}, {Phase: phase.Staging, Stack: "staging"}}, phase.Before(phase.At{Phase: phase.Prod, Stack: "prod"}))
	assert.Empty(t, phase.Before(phase.At{Phase: phase.Foundation, Stack: "prod"}))
	for _, bad := range []phase.At{{Phase: "none"}, {Phase: phase.Cleanup}, {Phase: phase.Cleanup, Stack: "test"}, {Phase: phase.Dev, Stack: "prod"}} {
		_, _, err := phase.Find(bad.Phase, bad.Stack)
		assert.Error(t, err, "%+v", bad)
	}
}

func TestFoundation(t *testing.T) {
	w := newWorld(t, "prod", replica)
	w.all(phase.Foundation, phase.Fail)
	w.deploy()
	report := w.look(phase.Foundation)
	assert.True(t, report.Complete, "%+v", report.Items)
	assert.Empty(t, report.Todo)

	// Each check can fail.
	keys := kms.NewFromConfig(w.config)
	id := aws.String("alias/acme/prod/secrets")
	key, err := keys.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: id})
	require.NoError(t, err)
	_, err = keys.DisableKeyRotation(t.Context(), &kms.DisableKeyRotationInput{KeyId: key.KeyMetadata.KeyId})
	require.NoError(t, err)
	w.answers(phase.Foundation, "key", phase.Fail, "key rotation is off")
	_, err = keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyMetadata.KeyId})
	require.NoError(t, err)
	w.answers(phase.Foundation, "key", phase.Fail, "Disabled")
	_, err = kms.NewFromConfig(w.cloud.Config(replica)).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyMetadata.KeyId})
	require.NoError(t, err)
	w.answers(phase.Foundation, "replica-key", phase.Fail, "Disabled")
	name := w.name()
	secrets := secretsmanager.NewFromConfig(w.config)
	_, err = secrets.RemoveRegionsFromReplication(t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &name, RemoveReplicaRegions: []string{replica}})
	require.NoError(t, err)
	w.answers(phase.Foundation, "replicas", phase.Fail, "is missing")
	_, err = secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &name})
	require.NoError(t, err)
	w.answers(phase.Foundation, "secrets", phase.Fail, "scheduled for deletion")
	_, err = cloudtrail.NewFromConfig(w.config).StopLogging(t.Context(), &cloudtrail.StopLoggingInput{Name: aws.String("all")})
	require.NoError(t, err)
	w.answers(phase.Foundation, "trail", phase.Fail, "no trail is logging")
	_, err = lambda.NewFromConfig(w.config).DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("acme-prod-audit")})
	require.NoError(t, err)
	w.answers(phase.Foundation, "auditor", phase.Fail, "isn't there")
	w.advance(27 * time.Hour)
	w.answers(phase.Foundation, "audited", phase.Fail, "the newest audit is of")
	assert.Empty(t, w.cloud.Unsupported())
}

func TestPrepare(t *testing.T) {
	w := newWorld(t, "dev", "")
	w.all(phase.Prepare, phase.Fail)
	w.deploy()
	w.answers(phase.Prepare, "rotated", phase.Fail, "has rotated no secret")
	w.answers(phase.Prepare, "planned", phase.Fail, "no plan.yaml")
	w.rotate()
	w.plan(func(p *plan.Plan) {
		p.Blocked = []plan.Block{{Code: "owned-by-tool", Subject: "lambda/shop", Problem: "Terraform owns it.", Remedy: "Apply the patch."}}
	})
	w.answers(phase.Prepare, "unblocked", phase.Fail, "owned-by-tool lambda/shop")
	w.plan(nil)
	w.answers(phase.Prepare, "plan-reviewed", phase.Fail, "nobody has confirmed it")
	w.confirm(phase.Prepare, "plan-reviewed")
	report := w.look(phase.Prepare)
	assert.True(t, report.Complete, "%+v", report.Items)

	// It isn't, while the phase before it isn't.
	w.advance(27 * time.Hour)
	report = w.look(phase.Prepare)
	assert.False(t, report.Complete)
	assert.False(t, report.Ready())
	w.audits("", 0)
	assert.True(t, w.look(phase.Prepare).Complete)

	// A changed plan must be reviewed again.
	w.plan(func(p *plan.Plan) { p.Secrets[0].Description = "Another" })
	w.answers(phase.Prepare, "plan-reviewed", phase.Fail, "the plan has changed since ann reviewed it")
	w.plan(func(p *plan.Plan) { p.Account = "210987654321" })
	w.answers(phase.Prepare, "planned", phase.Fail, "210987654321")
	_, err := lambda.NewFromConfig(w.config).DeleteLayerVersion(t.Context(), &lambda.DeleteLayerVersionInput{LayerName: aws.String("acme-dev-secrets-cache-arm64"), VersionNumber: aws.Int64(1)})
	require.NoError(t, err)
	w.answers(phase.Prepare, "layer", phase.Fail, "no version of a layer")
	_, err = lambda.NewFromConfig(w.config).DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &w.rotator})
	require.NoError(t, err)
	w.answers(phase.Prepare, "rotators", phase.Fail, "isn't there")
}

func TestAStackMigrates(t *testing.T) {
	w := newWorld(t, "dev", "")
	w.deploy()
	w.rotate()
	w.plan(nil)
	w.confirm(phase.Prepare, "plan-reviewed")
	w.answers(phase.Dev, "applied", phase.Fail, "secret acme/dev/shop/partner-key; lambda/shop")
	w.journal(journal.Apply, w.service(journal.Switched))
	w.answers(phase.Dev, "applied", phase.Fail, "lambda/shop")
	w.applied()
	w.answers(phase.Dev, "applied", phase.Pass, "")
	w.answers(phase.Dev, "valid", phase.Fail, "a validation isn't there")
	w.validated(time.Minute, validate.Pass)
	w.answers(phase.Dev, "valid", phase.Fail, "soak time was 1m0s, and 1h0m0s are asked for")
	w.validated(time.Hour, validate.Pass, validate.Unknown)
	w.answers(phase.Dev, "valid", phase.Unknown, "1 unknown")
	w.validated(time.Hour, validate.Pass, validate.Unknown, validate.Fail)
	w.answers(phase.Dev, "valid", phase.Fail, "1 failed")
	w.validated(time.Hour, validate.Pass)
	w.answers(phase.Dev, "valid", phase.Pass, "The migration is valid")
	w.answers(phase.Dev, "audit-clean", phase.Unknown, "the last service was switched at")
	w.advance(time.Minute)
	w.audits("plaintext-lambda", 7) // until the cleanup
	report := w.look(phase.Dev)
	assert.True(t, report.Complete, "%+v", report.Items)
	assert.True(t, report.Ready())

	w.advance(time.Minute)
	w.audits("policy-public", 1)
	w.answers(phase.Dev, "audit-clean", phase.Fail, "policy-public: 1 findings")
	w.advance(time.Minute)
	w.applied() // somebody switched it again
	w.answers(phase.Dev, "valid", phase.Fail, "the last service was switched at")
	name := w.name()
	_, err := secretsmanager.NewFromConfig(w.config).CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &name})
	require.NoError(t, err)
	w.answers(phase.Dev, "rotating", phase.Fail, "doesn't rotate")
	w.alarm(w.config, "errors", true)
	w.answers(phase.Dev, "no-alarm", phase.Fail, "acme-dev-errors")
}

func TestCleanup(t *testing.T) {
	w := newWorld(t, "dev", "")
	w.deploy()
	w.plan(nil)
	w.applied()
	w.answers(phase.Cleanup, "cleaned", phase.Fail, "lambda/shop; parameter /shop/partner-key")
	assert.Equal(t, []string{"migrate", "cleanup", "dev", "--folder", w.folder("dev"), "--soak", "1h0m0s"}, w.look(phase.Cleanup).Todo[0].Command, "as long as dev's validation takes")
	w.scans("")
	w.advance(time.Minute)
	w.journal(journal.Cleanup, w.service(journal.Cleaned),
		journal.Entry{Parameter: &journal.Parameter{Name: "/shop/partner-key", Status: journal.Deleted}},
		journal.Entry{Revision: &journal.Revision{ARN: "arn:old", Status: journal.Removing}})
	w.answers(phase.Cleanup, "cleaned", phase.Fail, "arn:old")
	w.journal(journal.Cleanup, journal.Entry{Revision: &journal.Revision{ARN: "arn:old", Status: journal.Removed}})
	w.answers(phase.Cleanup, "cleaned", phase.Pass, "")
	w.answers(phase.Cleanup, "no-plaintext", phase.Unknown, "the newest scan is of")
	w.advance(time.Minute)
	w.scans(`{"place":"lambda","region":"us-east-1","arn":"arn:fn","variable":"KEY","confidence":"certain","reason":"r"}`)
	w.answers(phase.Cleanup, "no-plaintext", phase.Fail, "arn:fn KEY")
	w.scans("")
	w.answers(phase.Cleanup, "no-plaintext", phase.Pass, "")
	w.replica = replica
	w.answers(phase.Cleanup, "no-plaintext", phase.Unknown, "not scanned: us-west-2")
	w.replica = ""
	w.advance(27 * time.Hour)
	w.answers(phase.Cleanup, "no-plaintext", phase.Unknown, "the newest scan is of")
	w.audits("plaintext-lambda", 1)
	w.answers(phase.Cleanup, "audit-clean", phase.Fail, "plaintext-lambda")
	for _, check := range []string{"cache-tuned", "rotation-tuned", "documented"} {
		w.answers(phase.Cleanup, check, phase.Fail, "nobody")
		w.confirm(phase.Cleanup, check)
		w.answers(phase.Cleanup, check, phase.Pass, "ann at")
	}
}

// Alarms of both regions count, and none at all is no good sign. While a migration
// is under way, plaintext is left for good reason.
func TestAlarms(t *testing.T) {
	w := newWorld(t, "prod", replica)
	w.plan(nil)
	w.applied()
	w.answers(phase.Prod, "no-alarm", phase.Fail, "the stack has no alarm")
	w.alarm(w.config, "audit-missing", false)
	w.answers(phase.Prod, "no-alarm", phase.Pass, "none of 1 alarms rings")
	w.alarm(w.cloud.Config(replica), "rotation-failed", true)
	w.answers(phase.Prod, "no-alarm", phase.Fail, "acme-prod-rotation-failed")
	w.alarm(w.cloud.Config(replica), "rotation-failed", false)
	w.alarm(w.config, spec.AlarmUnexpectedRead, true)
	w.answers(phase.Prod, "no-alarm", phase.Fail, "add the plan's entries to the stack's file")
	w.alarm(w.config, spec.AlarmUnexpectedRead, false)

	w.alarm(w.config, spec.AlarmPlaintextLeft, true)
	w.alarm(w.config, spec.AlarmAuditCritical, true)
	w.answers(phase.Prod, "no-alarm", phase.Pass, "none of 5 alarms rings")
	w.journal(journal.Cleanup, w.service(journal.Cleaned))
	w.answers(phase.Prod, "no-alarm", phase.Fail, "acme-prod-audit-critical; acme-prod-plaintext-left")
	assert.Empty(t, w.cloud.Unsupported())
}

// A trail must log who reads secrets and who writes them.
func TestATrailThatDoesNotLogSecrets(t *testing.T) {
	w := newWorld(t, "prod", "")
	w.deploy()
	field := func(name string, equals ...string) cttypes.AdvancedFieldSelector {
		return cttypes.AdvancedFieldSelector{Field: &name, Equals: equals}
	}
	for _, c := range []struct {
		basic  *cttypes.EventSelector
		fields []cttypes.AdvancedFieldSelector
		logs   bool
	}{
		{&cttypes.EventSelector{ReadWriteType: cttypes.ReadWriteTypeWriteOnly, IncludeManagementEvents: aws.Bool(true)}, nil, false},
		{&cttypes.EventSelector{ReadWriteType: cttypes.ReadWriteTypeAll, IncludeManagementEvents: aws.Bool(true), ExcludeManagementEventSources: []string{"kms.amazonaws.com"}}, nil, true},
		{nil, []cttypes.AdvancedFieldSelector{field("eventCategory", "Data"), field("resources.type", "AWS::S3::Object")}, false},
		{nil, []cttypes.AdvancedFieldSelector{field("eventCategory", "Management"), field("readOnly", "false")}, false},
		{nil, []cttypes.AdvancedFieldSelector{field("eventCategory", "Management")}, true},
	} {
		in := &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("all")}
		if c.basic != nil {
			in.EventSelectors = []cttypes.EventSelector{*c.basic}
		} else {
			in.AdvancedEventSelectors = []cttypes.AdvancedEventSelector{{FieldSelectors: c.fields}}
		}
		_, err := cloudtrail.NewFromConfig(w.config).PutEventSelectors(t.Context(), in)
		require.NoError(t, err)
		if c.logs {
			w.answers(phase.Foundation, "trail", phase.Pass, "all is logging")
		} else {
			w.answers(phase.Foundation, "trail", phase.Fail, "trail all doesn't log all reads and writes of secrets")
		}
	}
}

// An owner may have decided that a secret isn't rotated, and must have.
func TestASecretThatIsNotRotatedForAReason(t *testing.T) {
	w := newWorld(t, "dev", "")
	w.deploy()
	w.plan(nil)
	w.applied()
	name := w.name()
	_, err := secretsmanager.NewFromConfig(w.config).CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &name})
	require.NoError(t, err)
	for reason, want := range map[string]phase.Result{"": phase.Fail, plan.Undecided: phase.Fail, "the partner makes it": phase.Pass} {
		w.reason = reason
		w.answers(phase.Dev, "rotating", want, map[phase.Result]string{phase.Fail: "doesn't rotate", phase.Pass: "of 1 the stack's file says why they don't"}[want])
	}
}

// What was switched doesn't get lost with a plan that somebody made anew.
func TestAPlanThatForgotWhatWasSwitched(t *testing.T) {
	w := newWorld(t, "dev", "")
	w.deploy()
	w.plan(nil)
	w.applied()
	w.plan(func(p *plan.Plan) { p.Services, p.Secrets = nil, nil })
	for _, check := range []string{"applied", "valid", "rotating", "no-alarm", "audit-clean"} {
		w.answers(phase.Dev, check, phase.Unknown, "the plan no longer has what was switched: lambda/shop")
	}
	w.answers(phase.Cleanup, "cleaned", phase.Unknown, "lambda/shop")
	w.journal(journal.Cleanup, w.service(journal.Cleaned))
	w.answers(phase.Cleanup, "cleaned", phase.Pass, "")
	w.journal(journal.Cleanup, journal.Entry{Parameter: &journal.Parameter{Name: "/shop/other", Status: journal.Exported}})
	w.answers(phase.Cleanup, "cleaned", phase.Fail, "parameter /shop/other")
}

// prod keeps its old values until the cleanup takes them out.
func TestProdReadsBoth(t *testing.T) {
	w := newWorld(t, "prod", "")
	w.answers(phase.Prod, "dual-read", phase.Fail, "a plan isn't there")
	w.plan(func(p *plan.Plan) { p.Mode = plan.Final })
	w.answers(phase.Prod, "dual-read", phase.Fail, "the plan's mode is final")
	w.plan(nil)
	w.applied()
	w.answers(phase.Prod, "dual-read", phase.Pass, "")
	final := journal.Entry{Service: &journal.Service{ID: "lambda/shop", Kind: plan.LambdaFunction, Status: journal.Healthy, Mode: plan.Final}}
	w.journal(journal.Cleanup, final)
	w.answers(phase.Prod, "dual-read", phase.Pass, "")
	w.journal(journal.Apply, final)
	w.answers(phase.Prod, "dual-read", phase.Fail, "lambda/shop was switched with mode final")
}

func TestWhatPeopleConfirm(t *testing.T) {
	w := newWorld(t, "prod", "")
	at := phase.At{Phase: phase.Prod, Stack: "prod"}
	say := func(c phase.Confirmation) error { return phase.Confirm(w.folder("prod"), at, c) }
	require.ErrorContains(t, say(phase.Confirmation{Check: "applied", By: "ann"}), "it has learned, window, checklist")
	require.ErrorContains(t, say(phase.Confirmation{Check: "window", By: " "}), "nobody is named")
	require.ErrorContains(t, phase.Confirm(w.folder("prod"), phase.At{Phase: phase.Prepare, Stack: "prod"}, phase.Confirmation{Check: "plan-reviewed", By: "ann"}), "read the plan")
	for _, check := range []string{"learned", "window", "checklist"} {
		require.NoError(t, say(phase.Confirmation{Check: check, By: "ann", At: w.now(), Note: "CHG-1204"}))
		w.answers(phase.Prod, check, phase.Pass, "ann at")
	}
	require.NoError(t, say(phase.Confirmation{Check: "window", By: "bob", At: w.now()}))
	w.answers(phase.Prod, "window", phase.Pass, "bob at")
	info, err := os.Stat(filepath.Join(w.folder("prod"), "confirmations.json"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// What can't be asked is unknown, and nothing that is unknown is complete.
func TestWhatCantBeAsked(t *testing.T) {
	w := newWorld(t, "dev", "")
	w.deploy()
	w.plan(nil)
	w.become()
	w.all(phase.Foundation, phase.Unknown, "replica-key", "replicas") // dev has no second region
	assert.False(t, w.look(phase.Foundation).Complete)
	w.all(phase.Prepare, phase.Unknown, "planned", "unblocked", "plan-reviewed")
	for _, check := range []string{"no-alarm", "rotating", "audit-clean"} {
		w.answers(phase.Dev, check, phase.Unknown, "AccessDenied")
	}
}

// A phase starts when those before it are complete, does what is left, and can
// be run again.
func TestAPhaseIsRun(t *testing.T) {
	w := newWorld(t, "dev", "")
	var told, ran []string
	refuse := errors.New("no")
	runner := phase.Runner{
		Stack:   func(context.Context) (phase.Stack, error) { return w.subject(), nil },
		Folders: w.folder,
		Tell:    func(s phase.Step) { told = append(told, s.Title) },
		Agree:   func(phase.Step) error { return refuse },
		Command: func(_ context.Context, s phase.Step) error {
			ran = append(ran, s.Command[len(s.Command)-1])
			if len(ran) == 1 {
				w.deploy()
			}
			return nil
		},
	}
	run := func(name phase.Name) (phase.Report, error) {
		return runner.Run(t.Context(), phase.At{Phase: name, Stack: "dev"})
	}
	_, err := run(phase.Prepare)
	var early *phase.NotReadyError
	require.ErrorAs(t, err, &early)
	assert.ErrorContains(t, err, "foundation of dev (key, secrets, trail, auditor, audited)")

	_, err = run(phase.Foundation)
	require.ErrorIs(t, err, refuse)
	assert.Empty(t, ran)
	runner.Agree = func(phase.Step) error { return nil }
	report, err := run(phase.Foundation)
	require.NoError(t, err)
	assert.True(t, report.Complete)
	assert.Equal(t, []string{"dev"}, ran)
	standing, err := phase.Recorded(w.folder("dev"), phase.At{Phase: phase.Foundation, Stack: "dev"})
	require.NoError(t, err)
	assert.True(t, standing.Complete)
	assert.Equal(t, w.cloud.Account(), standing.Account)

	_, err = run(phase.Foundation)
	require.NoError(t, err)
	assert.Equal(t, []string{"dev"}, ran, "what is complete is not done again")

	// It ends at what a person must do.
	told = nil
	report, err = run(phase.Prepare)
	require.NoError(t, err)
	assert.False(t, report.Complete)
	assert.Equal(t, []string{"Rotate a secret of each kind: bin/rotate now <secret>"}, told)
	w.rotate()
	report, err = run(phase.Prepare)
	require.NoError(t, err)
	assert.Equal(t, w.folder("dev"), ran[len(ran)-1], "the plan is made in the stack's folder")
	assert.True(t, slices.ContainsFunc(report.Todo, func(s phase.Step) bool { return s.Title == "Plan the migration" }), "the command left the check open")

	// Another stack waits for this one.
	w.stack = "staging"
	_, err = runner.Run(t.Context(), phase.At{Phase: phase.Staging, Stack: "staging"})
	require.ErrorAs(t, err, &early)
	assert.ErrorContains(t, err, "dev (never run)")
}
