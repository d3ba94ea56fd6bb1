package run_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/notify"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/auditor/state"
	"github.com/aistudio/secrets/localcloud/faults"
)

// small makes an estate without rotation functions, whose secrets are an hour
// old, so that only what a test plants is found.
func small(t *testing.T) *estate {
	e := newEstate(t)
	e.catalogue.ReplicaRegion = ""
	e.make("one", secret{noReplica: true})
	e.make("two", secret{noReplica: true})
	e.advance(time.Hour)
	return e
}

// breakDown switches a fault on.
func (e *estate) breakDown(f faults.Fault) {
	e.t.Helper()
	e.must(e.cloud.Faults.Add(f))
}

// daily audits a small estate by rules about secrets only, in one region.
func (e *estate) daily(store state.Store) *run.Outcome {
	e.t.Helper()
	return e.audit(e.dailyOptions(store))
}

func (e *estate) dailyOptions(store state.Store) run.Options {
	o := e.options(e.cloud.Config(east), store)
	o.Regions = []string{east}
	return o
}

// aboutSecrets leaves out what small estates always lack: a trail and a scan.
func aboutSecrets(list []string) []string {
	var kept []string
	for _, line := range list {
		if !strings.HasPrefix(line, "trail-") && !strings.HasPrefix(line, "plaintext-") {
			kept = append(kept, line)
		}
	}
	return kept
}

func (e *estate) tagEnvironment(short, value string) {
	e.t.Helper()
	e.must(e.east.TagResource(e.t.Context(), &secretsmanager.TagResourceInput{
		SecretId: aws.String("acme/prod/app/" + short), Tags: []types.Tag{{Key: aws.String("Environment"), Value: &value}},
	}))
}

func subjects(t *testing.T, o *run.Outcome) []string {
	t.Helper()
	messages, err := notify.Messages(o.Result, "https://reports/1")
	require.NoError(t, err)
	var list []string
	for _, m := range messages {
		assert.Contains(t, m.Body, "https://reports/1")
		assert.NotContains(t, m.Body, canary)
		list = append(list, m.Subject)
	}
	return list
}

// TestNewWorseAndResolved follows findings over days: each is told once when it
// is new, once when it is worse, and once when it is gone.
func TestNewWorseAndResolved(t *testing.T) {
	t.Parallel()
	e := small(t)
	store := e.store()
	first := e.daily(store)
	require.Empty(t, aboutSecrets(with(t, first, finding.Fail)))

	e.tagEnvironment("one", "dev")
	e.setPolicy("two", "*")
	second := e.daily(store)
	require.Equal(t, []string{"policy-public two", "tags-wrong one"}, aboutSecrets(with(t, second, finding.Fail)))
	require.Equal(t, 2, second.NewFindings())
	require.Equal(t, []string{
		"Secrets of prod: CRITICAL: The resource policy lets anybody in: acme/prod/app/two",
		"Secrets of prod: 2 new or worse, 0 resolved",
	}, subjects(t, second))

	e.advance(time.Hour)
	third := e.daily(store)
	require.Zero(t, third.NewFindings())
	require.Empty(t, subjects(t, third), "nothing is told twice")
	require.Len(t, third.Trend, 3)
	for f, err := range third.Findings() {
		require.NoError(t, err)
		if f.Rule == "tags-wrong" {
			require.Equal(t, second.Time.Truncate(time.Second), f.FirstSeen, "since it was found first")
		}
	}

	e.policy.Severities = map[string]finding.Severity{"tags-wrong": finding.High}
	fourth := e.daily(store)
	require.Equal(t, []string{"Secrets of prod: 1 new or worse, 0 resolved"}, subjects(t, fourth))

	e.tagEnvironment("one", "prod")
	e.must(e.east.DeleteResourcePolicy(t.Context(), &secretsmanager.DeleteResourcePolicyInput{SecretId: aws.String("acme/prod/app/two")}))
	fifth := e.daily(store)
	require.Empty(t, aboutSecrets(with(t, fifth, finding.Fail)))
	require.Equal(t, 2, fifth.Resolved)
	require.Equal(t, []string{"Secrets of prod: 0 new or worse, 2 resolved"}, subjects(t, fifth))

	sixth := e.daily(store)
	require.Zero(t, sixth.Resolved)
	require.Empty(t, subjects(t, sixth))
}

// TestUnknownIsNotResolved: a finding of which nobody knows any more stays open,
// and isn't told as new when it can be seen again.
func TestUnknownIsNotResolved(t *testing.T) {
	t.Parallel()
	e := small(t)
	client := kms.NewFromConfig(e.cloud.Config(east))
	e.must(client.DisableKeyRotation(t.Context(), &kms.DisableKeyRotationInput{KeyId: &e.key}))
	e.tagEnvironment("one", "dev")
	store := e.store()
	require.Equal(t, []string{"key-rotation-off " + e.key, "tags-wrong one"}, aboutSecrets(with(t, e.daily(store), finding.Fail)))

	e.breakDown(faults.Fault{Service: "kms", Kind: faults.Error, Status: 400, Code: "AccessDeniedException"})
	second := e.daily(store)
	require.Equal(t, []string{"tags-wrong one"}, aboutSecrets(with(t, second, finding.Fail)))
	require.Zero(t, second.Resolved)
	require.Equal(t, 1, second.Carried)

	e.cloud.Faults.Clear()
	third := e.daily(store)
	require.Equal(t, []string{"key-rotation-off " + e.key, "tags-wrong one"}, aboutSecrets(with(t, third, finding.Fail)))
	require.Zero(t, third.NewFindings())
}

// TestAnErrorOnAPageHidesNothing is what Prowler gets wrong: a page of
// ListSecrets that fails makes the secrets on it vanish from the report.
func TestAnErrorOnAPageHidesNothing(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.catalogue.ReplicaRegion = ""
	for i := range 150 {
		name := "n" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		e.make(name, secret{noReplica: true})
	}
	e.tagEnvironment("nfa", "dev") // on the second page
	e.weakKey = e.makeKey(east, false)
	e.make("zz", secret{noReplica: true, key: e.weakKey})
	e.advance(time.Hour)
	store := e.store()
	require.Equal(t, []string{"key-rotation-off " + e.weakKey, "tags-wrong nfa"}, aboutSecrets(with(t, e.daily(store), finding.Fail)))

	e.breakDown(faults.Fault{Service: "secretsmanager", Operation: "ListSecrets", Skip: 1, Kind: faults.Error, Status: 400, Code: "AccessDeniedException"})
	second := e.daily(store)
	require.False(t, second.Complete())
	require.Equal(t, 100, second.Secrets)
	require.Zero(t, second.Resolved, "what wasn't listed isn't gone")
	require.Equal(t, 2, second.Carried, "the secret's, and that of the key which only unlisted ones use")
	require.Contains(t, with(t, second, finding.Unknown), "tags-wrong secrets of us-east-1 that weren't listed")
	require.Contains(t, with(t, second, finding.Unknown), "key-rotation-off keys of the secrets of us-east-1 that weren't listed")

	e.cloud.Faults.Clear()
	third := e.daily(store)
	require.True(t, third.Complete())
	require.Zero(t, third.NewFindings())
}

// TestARunOfSomeRegions: what is in a region that a run by hand leaves out isn't
// resolved.
func TestARunOfSomeRegions(t *testing.T) {
	t.Parallel()
	e := small(t)
	e.catalogue.ReplicaRegion = west
	e.tagEnvironment("one", "dev")
	store := e.store()
	require.Contains(t, with(t, e.audit(e.options(e.cloud.Config(east), store)), finding.Fail), "tags-wrong one")
	o := e.options(e.cloud.Config(east), store)
	o.Regions = []string{west}
	only := e.audit(o)
	require.Zero(t, only.Resolved)
	require.NotZero(t, only.Carried)
	again := e.audit(e.options(e.cloud.Config(east), store))
	require.Contains(t, with(t, again, finding.Fail), "tags-wrong one")
	require.Zero(t, again.NewFindings())

	// A region that the stack gave up is another matter.
	e.catalogue.Regions, e.catalogue.ReplicaRegion = []string{west}, ""
	o = e.options(e.cloud.Config(east), store)
	o.Regions = []string{west}
	require.NotZero(t, e.audit(o).Resolved)
}

// TestOneUnknownHoldsNothingBack: what is mended is resolved, though of another
// resource nobody ever knows.
func TestOneUnknownHoldsNothingBack(t *testing.T) {
	t.Parallel()
	e := small(t)
	keys := kms.NewFromConfig(e.cloud.Config(east))
	hidden := e.makeKey(east, true)
	e.make("hidden", secret{noReplica: true, key: hidden})
	e.must(keys.DisableKeyRotation(t.Context(), &kms.DisableKeyRotationInput{KeyId: &e.key}))
	e.must(keys.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: &hidden, BypassPolicyLockoutSafetyCheck: true, Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"210987654321"},"Action":"kms:*","Resource":"*"}]}`)}))
	auditor := e.makeRole("auditor", auditorMay())
	store := e.store()
	audit := func() *run.Outcome {
		o := e.options(auditor, store)
		o.Regions = []string{east}
		return e.audit(o)
	}
	e.weakKey = e.makeKey(east, false)
	e.make("moved", secret{noReplica: true, key: e.weakKey})
	first := audit()
	require.Contains(t, with(t, first, finding.Fail), "key-rotation-off "+e.key)
	require.Contains(t, with(t, first, finding.Fail), "key-rotation-off "+e.weakKey)
	require.Contains(t, with(t, first, finding.Unknown), "key-rotation-off "+hidden)
	e.must(keys.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: &e.key}))
	second := audit()
	require.NotContains(t, with(t, second, finding.Fail), "key-rotation-off "+e.key)
	require.Equal(t, 1, second.Resolved)
	require.Zero(t, second.Carried)
	e.must(e.east.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String("acme/prod/app/moved"), KmsKeyId: &e.key}))
	third := audit()
	require.Equal(t, 1, third.Resolved, "no secret uses the key any more")
	require.Zero(t, third.Carried)
}

// TestTrailsThatDontRecord: a trail that is on and doesn't see who changes secrets,
// or can't deliver what it sees, is none.
func TestTrailsThatDontRecord(t *testing.T) {
	t.Parallel()
	e := small(t)
	e.makeTrail()
	e.advance(10 * time.Minute)
	about := func() (list []string) {
		for _, line := range with(t, e.daily(e.store()), finding.Fail) {
			if strings.HasPrefix(line, "trail-") {
				list = append(list, line)
			}
		}
		return list
	}
	good := []string{"trail-single-region trails of us-east-1", "trail-without-validation trails of us-east-1"}
	off := []string{"trail-off trails of us-east-1"}
	require.Equal(t, good, about())
	client := cloudtrail.NewFromConfig(e.cloud.Config(east))
	selects := func(which trailtypes.ReadWriteType) {
		t.Helper()
		e.must(client.PutEventSelectors(t.Context(), &cloudtrail.PutEventSelectorsInput{TrailName: aws.String("main"), EventSelectors: []trailtypes.EventSelector{{
			IncludeManagementEvents: aws.Bool(true), ReadWriteType: which,
		}}}))
	}
	selects(trailtypes.ReadWriteTypeReadOnly)
	require.Equal(t, off, about())
	selects(trailtypes.ReadWriteTypeWriteOnly)
	require.Equal(t, off, about())
	selects(trailtypes.ReadWriteTypeAll)
	require.Equal(t, good, about())
	e.must(s3.NewFromConfig(e.cloud.Config(east)).DeleteBucketPolicy(t.Context(), &s3.DeleteBucketPolicyInput{Bucket: aws.String("logs")}))
	e.tagEnvironment("one", "prod") // something to deliver
	e.advance(10 * time.Minute)
	require.Equal(t, off, about())
}

// TestNoReadFallsBetweenTwoRuns: a run that comes late looks back to the one before
// it, and to what the trail didn't show then.
func TestNoReadFallsBetweenTwoRuns(t *testing.T) {
	t.Parallel()
	e := small(t)
	store := e.store()
	e.makeRole("stranger", mayRead)
	e.daily(store)
	e.read(e.session(east, "stranger"), "one")
	e.advance(25 * time.Hour) // the policy's window is a day
	require.Contains(t, with(t, e.daily(store), finding.Fail), "access-unexpected one")
	e.advance(25 * time.Hour)
	require.NotContains(t, with(t, e.daily(store), finding.Fail), "access-unexpected one")
}

// TestAFailureOfASecretBefore: a secret isn't blamed for one that had its name.
func TestAFailureOfASecretBefore(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	broken, rotator := e.makeFunction("broken-rotator", map[string]string{"FAILS": "yes"}), e.makeFunction("rotator", nil)
	e.advance(time.Minute)
	e.make("again", secret{function: broken, noReplica: true})
	e.advance(3 * time.Hour)
	require.Contains(t, with(t, e.daily(e.store()), finding.Fail), "rotation-failed again")
	e.must(e.east.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("acme/prod/app/again"), ForceDeleteWithoutRecovery: aws.Bool(true)}))
	e.advance(time.Hour)
	e.catalogue.Secrets = nil
	e.make("again", secret{noReplica: true})
	every := "rate(40 days)"
	e.must(e.east.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{
		SecretId: aws.String("acme/prod/app/again"), RotationLambdaARN: &rotator, RotateImmediately: aws.Bool(false),
		RotationRules: &types.RotationRulesType{ScheduleExpression: &every},
	}))
	e.advance(time.Hour)
	require.NotContains(t, with(t, e.daily(e.store()), finding.Fail), "rotation-failed again")
}

// TestThrottled: the listing goes on where it was when AWS throttles it.
func TestThrottled(t *testing.T) {
	t.Parallel()
	e := small(t)
	e.breakDown(faults.Fault{Service: "secretsmanager", Operation: "ListSecrets", Times: 2, Kind: faults.Throttle})
	outcome := e.daily(e.store())
	require.True(t, outcome.Complete())
	require.Equal(t, 2, outcome.Secrets)
	require.Equal(t, 3, outcome.Calls["Secrets Manager:ListSecrets"])
}

// TestTwoRunsAtOnce: the run that saves its state second knows that it lost, and
// leaves what is new to be told by the other.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	e := small(t)
	store := &racing{File: e.store()}
	e.tagEnvironment("one", "dev")
	store.meanwhile = func() { e.daily(store.File) }
	slow := e.daily(store)
	require.True(t, slow.Superseded)
	require.Zero(t, e.daily(store.File).NewFindings(), "the fast run's state is there")
}

// racing lets something happen between loading and saving.
type racing struct {
	state.File
	meanwhile func()
}

func (r *racing) Save(ctx context.Context, body io.ReadSeeker, version string) (string, error) {
	if r.meanwhile != nil {
		meanwhile := r.meanwhile
		r.meanwhile = nil
		meanwhile()
	}
	return r.File.Save(ctx, body, version)
}

// TestResourcePoliciesAreReadOnce: the second run reads only those that the
// trail says have changed.
func TestResourcePoliciesAreReadOnce(t *testing.T) {
	t.Parallel()
	e := small(t)
	store := e.store()
	require.Equal(t, 2, e.daily(store).Calls["Secrets Manager:GetResourcePolicy"])
	e.advance(day)
	require.Zero(t, e.daily(store).Calls["Secrets Manager:GetResourcePolicy"])
	e.setPolicy("two", "*")
	e.advance(day)
	third := e.daily(store)
	require.Equal(t, 1, third.Calls["Secrets Manager:GetResourcePolicy"])
	require.Contains(t, with(t, third, finding.Fail), "policy-public two")
	e.advance(day)
	require.Contains(t, with(t, e.daily(store), finding.Fail), "policy-public two", "what was found is looked at again")

	// Without the trail, every change may have been one of the policy.
	e.tagEnvironment("one", "prod")
	e.breakDown(faults.Fault{Service: "cloudtrail", Operation: "LookupEvents", Kind: faults.Error, Status: 400, Code: "AccessDeniedException"})
	require.Equal(t, 2, e.daily(store).Calls["Secrets Manager:GetResourcePolicy"])
	e.cloud.Faults.Clear()

	// A catalogue with other readers makes another judgement.
	e.advance(day)
	e.catalogue.Secrets[0].Readers = []string{role("another")}
	require.Equal(t, 2, e.daily(store).Calls["Secrets Manager:GetResourcePolicy"])
}

// TestNewSecretsNeedNoReadOfTheirPolicies: where the trail has the call that made a
// secret and none that put a policy on it, it has none. All others are read.
func TestNewSecretsNeedNoReadOfTheirPolicies(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	ctx := t.Context()
	const public = `{"Version":"2012-10-17","Statement":[{"Sid":"S","Effect":"Allow","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`
	create := func(client *secretsmanager.Client, name string) {
		t.Helper()
		in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(canary)}
		if client == e.east {
			in.AddReplicaRegions = []types.ReplicaRegionType{{Region: aws.String(west)}}
		}
		e.must(client.CreateSecret(ctx, in))
	}
	open := func(client *secretsmanager.Client, name string) {
		t.Helper()
		e.must(client.PutResourcePolicy(ctx, &secretsmanager.PutResourcePolicyInput{SecretId: &name, ResourcePolicy: aws.String(public), BlockPublicPolicy: aws.Bool(false)}))
	}
	create(e.east, "promoted")
	open(e.east, "promoted")
	e.advance(time.Hour)
	e.must(e.west.StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: aws.String("promoted")}))
	for i := range 120 {
		create(e.west, fmt.Sprintf("new%03d", i))
	}
	open(e.west, "new007")
	e.advance(3 * time.Hour)
	e.must(e.west.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: aws.String("new011"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))
	e.catalogue.Secrets = nil
	audit := func(store state.Store) *run.Outcome {
		o := e.options(e.cloud.Config(west), store)
		o.Regions = []string{west}
		return e.audit(o)
	}
	store := e.store()
	first := audit(store)
	require.Equal(t, 3, first.Calls["Secrets Manager:GetResourcePolicy"], "the one with a policy, the promoted one, and the one that was changed lately")
	found := with(t, first, finding.Fail)
	require.Contains(t, found, "policy-public new007")
	require.Contains(t, found, "policy-public promoted")
	require.NotContains(t, strings.Join(with(t, first, finding.Unknown), " "), "policy-")

	// The next run trusts the trail from there on.
	open(e.west, "new100")
	e.advance(day)
	require.Contains(t, with(t, audit(store), finding.Fail), "policy-public new100")

	// Without the trail all are read.
	e.breakDown(faults.Fault{Service: "cloudtrail", Operation: "LookupEvents", Kind: faults.Error, Status: 400, Code: "AccessDeniedException"})
	require.Equal(t, 121, audit(e.store()).Calls["Secrets Manager:GetResourcePolicy"])
}

// TestABudgetOfResourcePolicies: what one run may not read is unknown until the
// next one has.
func TestABudgetOfResourcePolicies(t *testing.T) {
	t.Parallel()
	e := small(t)
	e.policy.PolicyReads = 1
	store := e.store()
	unknown := aboutSecrets(with(t, e.daily(store), finding.Unknown))
	require.Len(t, unknown, 3, "three rules about one secret: %v", unknown)
	require.Empty(t, aboutSecrets(with(t, e.daily(store), finding.Unknown)))
}

// TestTheDeadlineLeavesUnknowns: a run whose time is over still reports.
func TestTheDeadlineLeavesUnknowns(t *testing.T) {
	t.Parallel()
	e := small(t)
	o := e.dailyOptions(e.store())
	o.Deadline = time.Now().Add(-time.Second)
	_, err := run.Run(t.Context(), o)
	require.ErrorContains(t, err, "was cut off")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = run.Run(ctx, e.dailyOptions(e.store()))
	require.Error(t, err)
}

func TestAStateOfAnotherFormatIsKept(t *testing.T) {
	t.Parallel()
	e := small(t)
	store := e.store()
	e.daily(store)
	require.NoError(t, os.WriteFile(string(store), []byte("not gzip"), 0o600))
	_, err := run.Run(t.Context(), e.dailyOptions(store))
	require.ErrorContains(t, err, "read the audit's state")
	text, err := os.ReadFile(string(store))
	require.NoError(t, err)
	require.Equal(t, "not gzip", string(text))
}

// TestSuppressedIsNeitherOpenNorResolved: an exception ends the alarm, and its
// end begins it again.
func TestSuppressedIsNeitherOpenNorResolved(t *testing.T) {
	t.Parallel()
	e := small(t)
	store := e.store()
	e.tagEnvironment("one", "dev")
	e.daily(store)
	e.policy.Suppressions = []policy.Suppression{{Rule: "tags-wrong", Secret: "*/one", Owner: "me", Reason: "moving", Expires: e.now().Add(day)}}
	second := e.daily(store)
	require.Zero(t, second.Resolved)
	require.Equal(t, 1, second.Count(finding.Suppressed))
	e.advance(2 * day)
	third := e.daily(store)
	var fresh []string
	for f, err := range third.Findings() {
		require.NoError(t, err)
		if f.New {
			fresh = append(fresh, f.Rule)
		}
	}
	require.Contains(t, fresh, "tags-wrong")
	require.Contains(t, fresh, "suppression-expired")
}
