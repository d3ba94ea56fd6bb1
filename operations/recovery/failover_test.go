package recovery_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/operations/internal/recoverytest"
	"github.com/aistudio/secrets/operations/recovery"
)

// described changes what DescribeSecret answers in a region.
func described(region string, change func(*secretsmanager.DescribeSecretOutput)) func(*recovery.Options) {
	return func(o *recovery.Options) {
		o.AWS.APIOptions = append(o.AWS.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Described", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				out, metadata, err := next.HandleInitialize(ctx, in)
				if d, ok := out.Result.(*secretsmanager.DescribeSecretOutput); ok && err == nil && awsmiddleware.GetRegion(ctx) == region {
					change(d)
				}
				return out, metadata, err
			}), middleware.After)
		})
	}
}

// bareReplicas describes replicas as AWS may, which documents nothing of a
// rotation that they show.
func bareReplicas(d *secretsmanager.DescribeSecretOutput) {
	if aws.ToString(d.PrimaryRegion) == recoverytest.Home {
		d.RotationEnabled, d.RotationLambdaARN, d.RotationRules = nil, nil, nil
	}
}

func do(t *testing.T, w *recoverytest.World, plan func(context.Context) (*recovery.Plan, error), force bool) (*recovery.Plan, *recovery.Outcome) {
	t.Helper()
	p, err := plan(t.Context())
	require.NoError(t, err)
	outcome, err := p.Do(t.Context(), force)
	require.NoError(t, err)
	require.NoError(t, w.Cloud.Settle(t.Context()))
	return p, outcome
}

func dark(t *testing.T, w *recoverytest.World) func() {
	t.Helper()
	lift, err := w.Cloud.Faults.Add(faults.Fault{Kind: faults.DropBefore, Region: recoverytest.Home})
	require.NoError(t, err)
	return lift
}

// In a real disaster nobody can ask the primaries for the rotations' settings, and
// the replicas may not tell: then the catalogue does.
func TestRotationsThatReplicasDoNotTell(t *testing.T) {
	w := recoverytest.New(t, 2)
	before := w.Facts()
	e := estate(t, w, described(recoverytest.Standby, bareReplicas))
	lift := dark(t, w)
	_, outcome := do(t, w, e.PlanFailover, false)
	require.Empty(t, outcome.Failures)
	there, err := w.Secrets(recoverytest.Standby).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &w.Names[0]})
	require.NoError(t, err)
	require.True(t, aws.ToBool(there.RotationEnabled))
	assert.Equal(t, strings.ReplaceAll(before["us-east-1 "+w.Names[0]]["function"].(string), recoverytest.Home, recoverytest.Standby), aws.ToString(there.RotationLambdaARN))
	assert.Equal(t, w.Stack.Secrets[0].Schedule.Expression, aws.ToString(there.RotationRules.ScheduleExpression), "the catalogue's")
	lift()
	do(t, w, e.PlanFailover, false)
	do(t, w, e.PlanFailback, false)
	assert.Equal(t, before, w.Facts(), "the old primaries', which say more")

	// What somebody had stopped stays so.
	_, err = w.Secrets(recoverytest.Home).CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: &w.Names[0]})
	require.NoError(t, err)
	require.NoError(t, w.Cloud.Settle(t.Context()))
	before = w.Facts()
	lift = dark(t, w)
	do(t, w, e.PlanFailover, false)
	lift()
	do(t, w, e.PlanFailover, false)
	do(t, w, e.PlanFailback, false)
	after := w.Facts()
	home := "us-east-1 " + w.Names[0]
	assert.Equal(t, false, after[home]["rotates"])
	assert.Equal(t, before["us-east-1 "+w.Names[1]], after["us-east-1 "+w.Names[1]])
}

// silent takes the primary region's answers to an operation away, and not its
// connections.
type silent struct{ operation string }

func (s silent) Do(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.Header.Get("Authorization"), "/"+recoverytest.Home+"/") && r.Header.Get("X-Amz-Target") == "secretsmanager."+s.operation {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return http.DefaultClient.Do(r)
}

// A region that still lists its secrets and answers nothing else must not hold up
// a failover.
func TestARegionThatFallsSilent(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for answers that don't come")
	}
	w := recoverytest.New(t, 2)
	for _, operation := range []string{"DescribeSecret", "CancelRotateSecret"} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		e := estate(t, w, func(o *recovery.Options) {
			o.Silence, o.AWS.HTTPClient = 3*time.Second, silent{operation: operation}
		})
		plan, err := e.PlanFailover(ctx)
		require.NoError(t, err)
		if operation == "DescribeSecret" {
			assert.False(t, plan.Status.Answers)
			assert.Equal(t, 2, plan.Status.Counts[recovery.Replica])
			continue
		}
		outcome, err := plan.Do(ctx, false)
		require.NoError(t, err)
		require.Len(t, outcome.Failures, 1)
		assert.Equal(t, "stop rotation in us-east-1 "+w.Names[0]+": no answer", outcome.Failures[0].String())
		status, err := e.Status(ctx)
		require.NoError(t, err)
		assert.Equal(t, 2, status.Counts[recovery.Promoted])
	}
}

// That a region has too much to do for a moment, or refuses, isn't a disaster.
func TestARegionThatRefusesIsNotDark(t *testing.T) {
	w := recoverytest.New(t, 1)
	_, err := w.Cloud.Faults.Add(faults.Fault{Kind: faults.Throttle, Region: recoverytest.Home, Operation: "ListSecrets", Times: 3})
	require.NoError(t, err)
	e := estate(t, w)
	status, err := e.Status(t.Context())
	require.NoError(t, err)
	assert.True(t, status.Answers)
	_, err = w.Cloud.Faults.Add(faults.Fault{Kind: faults.Error, Region: recoverytest.Home, Operation: "ListSecrets", Status: 400, Code: "ExpiredTokenException"})
	require.NoError(t, err)
	_, err = e.PlanFailover(t.Context())
	require.ErrorContains(t, err, "us-east-1: ExpiredTokenException: sign in again")
}

// behind writes a secret in the primary region while the replica can't follow.
func behind(t *testing.T, w *recoverytest.World, name string) {
	t.Helper()
	there, err := w.Secrets(recoverytest.Standby).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	require.NoError(t, err)
	keys := kms.NewFromConfig(w.Cloud.Config(recoverytest.Standby))
	_, err = keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: there.KmsKeyId})
	require.NoError(t, err)
	_, err = w.Secrets(recoverytest.Home).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: aws.String(`{"key":"` + recoverytest.Canary + `-late"}`)})
	require.NoError(t, err)
	require.NoError(t, w.Cloud.Settle(t.Context()))
	_, err = keys.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: there.KmsKeyId})
	require.NoError(t, err)
}

// What was written just before the loss and not replicated is told as soon as
// anybody can know it, and the failback doesn't overwrite it unawares.
func TestWhatWasNotReplicated(t *testing.T) {
	for name, isDark := range map[string]bool{"the primary region is dark": true, "forced": false} {
		t.Run(name, func(t *testing.T) {
			w := recoverytest.New(t, 2)
			late := w.Names[1]
			behind(t, w, late)
			e := estate(t, w)
			lift := func() {}
			if isDark {
				lift = dark(t, w)
			}
			plan, outcome := do(t, w, e.PlanFailover, true)
			if isDark {
				assert.Contains(t, strings.Join(plan.Warnings, "\n"), "nobody knows what the replicas lack")
			} else {
				require.NotEmpty(t, plan.Blocked)
				require.Len(t, outcome.Failures, 1)
				assert.Contains(t, outcome.Failures[0].String(), "read in us-west-2 "+late+": version ")
				assert.Contains(t, outcome.Failures[0].Problem, "is lost")
			}
			lift()
			again, err := e.PlanFailover(t.Context())
			require.NoError(t, err)
			assert.Contains(t, strings.Join(again.Warnings, "\n"), "1 secrets have a current version in us-east-1 that us-west-2 doesn't know")
			_, err = again.Do(t.Context(), true)
			require.NoError(t, err)
			back, err := e.PlanFailback(t.Context())
			require.NoError(t, err)
			require.Len(t, back.Blocked, 1)
			assert.Contains(t, back.Blocked[0], "the failback would overwrite: "+late)
			_, err = back.Do(t.Context(), false)
			require.ErrorContains(t, err, "nothing was changed")
			assert.Contains(t, w.Value(recoverytest.Home, late), "-late")
		})
	}
}

// Secrets that the catalogue doesn't declare and one region alone has stay there,
// and go on to rotate. What was made in the DR region after the failover comes back.
func TestWhatOneRegionHas(t *testing.T) {
	w := recoverytest.New(t, 1)
	ctx := t.Context()
	e := estate(t, w, func(o *recovery.Options) { o.Now = w.Cloud.Clock().Now })
	create := func(region, name string) {
		_, err := w.Secrets(region).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(`{"key":"` + recoverytest.Canary + `"}`)})
		require.NoError(t, err)
		_, err = w.Secrets(region).RotateSecret(ctx, &secretsmanager.RotateSecretInput{
			SecretId: &name, RotationLambdaARN: aws.String("arn:aws:lambda:" + region + ":" + w.Cloud.Account() + ":function:acme-prod-rotate-api-key"),
			RotateImmediately: aws.Bool(false), RotationRules: &types.RotationRulesType{ScheduleExpression: aws.String("rate(30 days)")},
		})
		require.NoError(t, err)
		require.NoError(t, w.Cloud.Settle(ctx))
	}
	const here, there, later = "acme/prod/platform/here", "acme/prod/platform/there", "acme/prod/platform/later"
	create(recoverytest.Home, here)
	create(recoverytest.Standby, there)
	status, err := e.Status(ctx)
	require.NoError(t, err)
	assert.True(t, status.Healthy(), "%v", status.Counts)
	assert.Equal(t, 2, status.Counts[recovery.Alone])

	_, outcome := do(t, w, e.PlanFailover, false)
	require.Empty(t, outcome.Failures)
	require.NoError(t, w.Cloud.Advance(ctx, time.Minute))
	create(recoverytest.Standby, later)
	rotates := func(region, name string) bool {
		d, err := w.Secrets(region).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &name})
		require.NoError(t, err)
		return aws.ToBool(d.RotationEnabled)
	}
	assert.True(t, rotates(recoverytest.Home, here), "it doesn't move")
	assert.False(t, rotates(recoverytest.Home, w.Names[0]))

	_, outcome = do(t, w, e.PlanFailback, false)
	require.Empty(t, outcome.Failures)
	for _, region := range []string{recoverytest.Home, recoverytest.Standby} {
		_, err = w.Secrets(region).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(later)})
		require.NoError(t, err, "it was made meanwhile")
	}
	assert.True(t, rotates(recoverytest.Home, later))
	_, err = w.Secrets(recoverytest.Home).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(there)})
	require.ErrorContains(t, err, "ResourceNotFoundException")
	assert.True(t, rotates(recoverytest.Standby, there))
	assert.True(t, rotates(recoverytest.Home, here))
}

// What AWS doesn't document: an old primary may go on to list the region whose
// replica was promoted while it was dark.
func TestAnOldPrimaryThatListsTheDRRegion(t *testing.T) {
	w := recoverytest.New(t, 1)
	e := estate(t, w)
	do(t, w, e.PlanFailover, false)
	e = estate(t, w, described(recoverytest.Home, func(d *secretsmanager.DescribeSecretOutput) {
		d.ReplicationStatus = []types.ReplicationStatusType{{Region: aws.String(recoverytest.Standby), Status: types.StatusTypeInSync}}
	}))
	plan, err := e.PlanFailback(t.Context())
	require.NoError(t, err)
	assert.Contains(t, strings.Join(plan.Warnings, "\n"), "1 old primaries still list us-west-2")
}

// Two people don't know of one another, at either time: nothing is lost, and one more
// run mends what they hindered one another in.
func TestTwoAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("many secrets, six times")
	}
	w := recoverytest.New(t, 20)
	before := w.Facts()
	ann, bob := estate(t, w), estate(t, w)
	both := func(plan func(*recovery.Estate) func(context.Context) (*recovery.Plan, error)) {
		var people errgroup.Group
		for _, e := range []*recovery.Estate{ann, bob} {
			p, err := plan(e)(t.Context())
			require.NoError(t, err)
			people.Go(func() error {
				_, err := p.Do(t.Context(), true)
				return err
			})
		}
		require.NoError(t, people.Wait())
		require.NoError(t, w.Cloud.Settle(t.Context()))
		_, outcome := do(t, w, plan(ann), true)
		require.Empty(t, outcome.Failures)
	}
	both(func(e *recovery.Estate) func(context.Context) (*recovery.Plan, error) { return e.PlanFailover })
	status, err := ann.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, 20, status.Counts[recovery.Promoted])
	both(func(e *recovery.Estate) func(context.Context) (*recovery.Plan, error) { return e.PlanFailback })
	assert.Equal(t, before, w.Facts())
}

// Between the plan and the answer of who agrees to it, time passes.
func TestADrillLooksAgain(t *testing.T) {
	w := recoverytest.New(t, 1)
	drill, err := estate(t, w).PlanDrill(t.Context(), recovery.DrillOptions{Rotate: recovery.RotateNone})
	require.NoError(t, err)
	_, err = w.Secrets(recoverytest.Home).RemoveRegionsFromReplication(t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: &w.Names[0], RemoveReplicaRegions: []string{recoverytest.Standby}})
	require.NoError(t, err)
	_, err = drill.Run(t.Context(), false)
	require.ErrorContains(t, err, "nothing was changed: 1 of 1 secrets are missing")
}

// together lets no change of a function pass until as many are under way.
type together struct {
	sync.WaitGroup
	seen sync.Map // by path
}

func (t *together) Do(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPut {
		return http.DefaultClient.Do(r)
	}
	if _, again := t.seen.LoadOrStore(r.URL.Path, true); !again {
		t.Done()
		passed := make(chan struct{})
		go func() { t.Wait(); close(passed) }()
		select {
		case <-passed:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return http.DefaultClient.Do(r)
}

// A change takes Lambda seconds, and a stack may have many functions.
func TestFunctionsAreRepointedAtOnce(t *testing.T) {
	w := recoverytest.New(t, 1)
	gate := &together{}
	gate.Add(2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	plan, err := estate(t, w, func(o *recovery.Options) { o.AWS.HTTPClient = gate }).PlanFailover(ctx)
	require.NoError(t, err)
	flown := make(chan struct{})
	go func() {
		defer close(flown)
		for ctx.Err() == nil {
			_ = w.Cloud.Advance(ctx, 100*time.Millisecond)
			time.Sleep(time.Millisecond)
		}
	}()
	outcome, err := plan.Do(ctx, false)
	cancel()
	<-flown
	require.NoError(t, err)
	require.Empty(t, outcome.Failures)
	for _, s := range outcome.Steps {
		if s.Name == "repoint functions" {
			assert.Equal(t, 2, s.Done)
		}
	}
}
