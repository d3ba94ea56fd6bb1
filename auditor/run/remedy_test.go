package run_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/remedy"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/localcloud/faults"
)

// mendable makes an estate in which each rule that can be mended has failed.
func mendable(t *testing.T) *estate {
	e := newEstate(t)
	ctx := t.Context()
	rotator, mended := e.makeFunction("rotator", nil), e.makeFunction("mended", map[string]string{"FAILS": "for now"})
	e.advance(time.Minute)
	lostReplicaKey := e.makeKey(west, true)
	e.make("untagged", secret{function: rotator, tags: map[string]string{"Owner": "", "ManagedBy": ""}})
	e.make("not-rotating", secret{function: rotator})
	e.make("failed", secret{function: rotator})
	e.make("stuck", secret{function: rotator})
	e.make("out-of-sync", secret{function: rotator, replicaKey: lostReplicaKey})
	e.advance(10 * day)
	westKeys := kms.NewFromConfig(e.cloud.Config(west))
	e.must(westKeys.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &lostReplicaKey}))
	e.put("out-of-sync")
	e.must(e.east.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: aws.String("acme/prod/app/not-rotating")}))
	e.must(e.east.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("acme/prod/app/stuck"), SecretString: aws.String(canary), VersionStages: []string{"AWSPENDING"},
	}))
	e.advance(2 * day)
	e.rotate("acme/prod/app/failed", mended, "")
	e.advance(3 * time.Hour) // AWS's own attempts are over
	e.must(lambda.NewFromConfig(e.cloud.Config(east)).UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: aws.String("mended"), Environment: &lambdatypes.Environment{Variables: map[string]string{"FAILS": ""}},
	}))
	e.must(westKeys.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &lostReplicaKey}))
	e.advance(time.Minute)
	return e
}

var mendableRules = []string{"tags-missing", "rotation-disabled", "rotation-stuck", "rotation-failed", "replica-out-of-sync"}

func (e *estate) mendableFindings() []string {
	var list []string
	for _, line := range with(e.t, e.audit(e.options(e.cloud.Config(east), e.store())), finding.Fail) {
		rule, _, _ := strings.Cut(line, " ")
		for _, id := range mendableRules {
			if id == rule {
				list = append(list, line)
			}
		}
	}
	return list
}

func TestRemedy(t *testing.T) {
	t.Parallel()
	e := mendable(t)
	before := []string{"replica-out-of-sync out-of-sync", "rotation-disabled not-rotating", "rotation-failed failed", "rotation-stuck stuck", "tags-missing untagged"}
	require.Equal(t, before, e.mendableFindings())
	cfg := e.cloud.Config(east)

	var shown bytes.Buffer
	require.NoError(t, run.Remedy(t.Context(), e.options(cfg, e.store()), nil, printTo(&shown)))
	for _, line := range []string{
		"switched off  tag  acme/prod/app/untagged: missing tags: Owner (tags-missing)",
		"switched off  enable-rotation  acme/prod/app/not-rotating", "switched off  clear-pending  acme/prod/app/stuck",
		"switched off  rotate-now  acme/prod/app/failed",
	} {
		assert.Contains(t, shown.String(), line)
	}

	// By default nothing is mended, even when it is asked for.
	var journal bytes.Buffer
	mender := remedy.NewMender(cfg, &journal)
	require.NoError(t, run.Remedy(t.Context(), e.options(cfg, e.store()), &mender, printTo(io.Discard)))
	require.Empty(t, journal.String())

	e.policy.Remedy = policy.Remedy{Rules: mendableRules, TagValues: map[string]string{"ManagedBy": "pulumi"}}
	shown.Reset()
	require.NoError(t, run.Remedy(t.Context(), e.options(cfg, e.store()), nil, printTo(&shown)))
	require.Contains(t, shown.String(), "could be mended  tag  acme/prod/app/untagged: missing tags: ManagedBy, Owner")
	require.Equal(t, before, e.mendableFindings(), "a dry run changes nothing")
	e.breakDown(faults.Fault{Service: "secretsmanager", Operation: "GetResourcePolicy", Kind: faults.Error, Status: 400, Code: "AccessDeniedException"})
	incomplete := e.options(cfg, e.store())
	e.breakDown(faults.Fault{Service: "secretsmanager", Operation: "ListSecrets", Region: west, Kind: faults.Error, Status: 400, Code: "AccessDeniedException"})
	require.ErrorContains(t, run.Remedy(t.Context(), incomplete, nil, printTo(io.Discard)), "the list of secrets of us-west-2 is incomplete")
	e.cloud.Faults.Clear()

	require.NoError(t, run.Remedy(t.Context(), e.options(cfg, e.store()), &mender, printTo(io.Discard)))
	require.NoError(t, e.cloud.Settle(t.Context()))
	e.advance(2 * time.Hour)
	require.Empty(t, e.mendableFindings())
	assert.NotContains(t, journal.String(), canary)

	done := journal.String()
	require.NoError(t, mender.UndoAll(t.Context(), strings.NewReader(done), ignore))
	// What was rotated stays rotated: its old value is the previous version. The
	// pending version is as old as it was.
	require.Equal(t, []string{"rotation-disabled not-rotating", "rotation-stuck stuck", "tags-missing untagged"}, e.mendableFindings())
}

// TestUndo takes back what stands, and only that, from a journal that a killed run
// left behind.
func TestUndo(t *testing.T) {
	t.Parallel()
	e := small(t)
	tag := func(short, key string) string {
		t.Helper()
		out, err := e.east.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("acme/prod/app/" + short)})
		require.NoError(t, err)
		for _, tag := range out.Tags {
			if *tag.Key == key {
				return *tag.Value
			}
		}
		return ""
	}
	for _, short := range []string{"one", "two"} {
		e.must(e.east.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: aws.String("acme/prod/app/" + short), TagKeys: []string{"Owner", "Service"}}))
	}
	e.policy.Remedy.Rules = []string{"tags-missing"}
	var journal bytes.Buffer
	mender := remedy.NewMender(e.cloud.Config(east), &journal)
	e.breakDown(faults.Fault{Service: "secretsmanager", Operation: "TagResource", Times: 1, Kind: faults.Error, Status: 400, Code: "InvalidRequestException"})
	require.Error(t, run.Remedy(t.Context(), e.dailyOptions(e.store()), &mender, printTo(io.Discard)))
	require.Equal(t, "team-app", tag("two", "Owner"))

	// AWS refused the tags of one, and somebody sets them; of two somebody changes one.
	e.must(e.east.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("acme/prod/app/one"), Tags: []types.Tag{{Key: aws.String("Owner"), Value: aws.String("team-app")}}}))
	e.must(e.east.TagResource(t.Context(), &secretsmanager.TagResourceInput{SecretId: aws.String("acme/prod/app/two"), Tags: []types.Tag{{Key: aws.String("Owner"), Value: aws.String("team-two")}}}))
	journal.WriteString(`{"time":"2026-06-01T10:00:00Z","act":{"rule":"tags-mi`) // the run was killed
	var told []string
	undo := func() {
		t.Helper()
		require.NoError(t, mender.UndoAll(t.Context(), strings.NewReader(journal.String()), func(a remedy.Act, err error) {
			require.NoError(t, err)
			told = append(told, string(a.Do)+" "+a.Secret[strings.LastIndex(a.Secret, "/")+1:][:3])
		}))
	}
	undo()
	require.Equal(t, []string{"untag two"}, told)
	require.Equal(t, []string{"team-app", "team-two", ""}, []string{tag("one", "Owner"), tag("two", "Owner"), tag("two", "Service")})
	undo()
	require.Len(t, told, 1, "what was taken back is not taken back again")
}

// TestRemedyGoesOn: an act that fails is in the journal and keeps nothing back,
// and a journal that can't be written stops everything.
func TestRemedyGoesOn(t *testing.T) {
	t.Parallel()
	e := small(t)
	e.must(e.east.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: aws.String("acme/prod/app/one"), TagKeys: []string{"Owner"}}))
	e.must(e.east.UntagResource(t.Context(), &secretsmanager.UntagResourceInput{SecretId: aws.String("acme/prod/app/two"), TagKeys: []string{"Owner"}}))
	e.policy.Remedy.Rules = []string{"tags-missing"}
	e.breakDown(faults.Fault{Service: "secretsmanager", Operation: "TagResource", Times: 1, Kind: faults.Error, Status: 400, Code: "InvalidRequestException"})
	var journal, shown bytes.Buffer
	mender := remedy.NewMender(e.cloud.Config(east), &journal)
	err := run.Remedy(t.Context(), e.dailyOptions(e.store()), &mender, printTo(&shown))
	require.ErrorContains(t, err, "acme/prod/app/one")
	require.Contains(t, journal.String(), `"state":"refused"`)
	require.Contains(t, shown.String(), "failed  tag  acme/prod/app/one")
	require.Contains(t, shown.String(), "mended  tag  acme/prod/app/two")

	mender = remedy.NewMender(e.cloud.Config(east), full{})
	require.ErrorContains(t, run.Remedy(t.Context(), e.dailyOptions(e.store()), &mender, printTo(io.Discard)), "nothing more is changed")
	require.Equal(t, []string{"tags-missing one"}, aboutSecrets(with(t, e.daily(e.store()), finding.Fail)))
}

// printTo prints what became of acts.
func printTo(w io.Writer) func(run.Mended) {
	return func(m run.Mended) { fmt.Fprintln(w, m) }
}

func ignore(remedy.Act, error) {}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
