package main

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/cleanup"
	"github.com/aistudio/secrets/migrator/inventory"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/rollback"
	"github.com/aistudio/secrets/migrator/validate"
	"github.com/aistudio/secrets/sdk/spec"
)

const minute = time.Minute

// decided is what people know beforehand.
const decided = `
aliases:
  lambda/aliased: [live]
how:
  ecs/main/by-reference: reference
`

// settled is what people decide about what blocks.
const settled = decided + `
skip:
  - {service: lambda/of-*, reason: its owner applies the patch}
  - {service: lambda/role-of-terraform, reason: its owner adds the rights}
  - {service: lambda/name-taken, reason: it gets another name later}
  - {service: lambda/name-deleted, reason: the old secret is being looked at}
  - {service: lambda/reference-taken, reason: its program is changed first}
  - {service: lambda/encrypted, reason: its program decrypts it}
  - {service: lambda/big-environment, reason: the template moves to S3 first}
  - {service: lambda/legacy-batch, reason: it is switched off in June}
  - {service: ecs/main/web-of-terraform, reason: its owner applies the patch}
  - {service: ecs/main/blue-green, reason: it is deployed by CodeDeploy}
`

// The whole way of a company's estate, by the commands that people use, while its
// services are in use.
func TestTheWholeMigration(t *testing.T) {
	if testing.Short() {
		t.Skip("a minute")
	}
	w := newWorld(t)
	begin := time.Now()
	e := w.build()
	t.Logf("the estate was made in %s", time.Since(begin))
	stop := w.traffic(map[string]map[string]string{
		"mailer": e.secrets["mailer"], "odd-bytes": e.secrets["odd-bytes"], "aliased:live": e.secrets["aliased"],
		"worker-00": e.secrets["worker-00"], "worker-03": e.secrets["worker-03"], "reporting": e.secrets["reporting"],
	})
	defer stop()
	before := w.look(e)

	w.write("migration.dev.yaml", decided)
	w.become(rights(t))

	// Everything that must be settled is found, and nothing is changed.
	var p plan.Plan
	w.want(exitFindings, &p, "plan", stack)
	blocks := map[string]string{}
	for _, b := range p.Blocked {
		blocks[b.Subject] = b.Code
		assert.NotEmpty(t, b.Remedy, b.Subject)
	}
	assert.Equal(t, map[string]string{
		"acme/dev/name-deleted/api-key": plan.ScheduledForDeletion, "acme/dev/name-taken/api-key": "name-in-use",
		"arn:aws:iam::123456789012:role/fn-role-of-terraform": plan.RoleOwnedByTool,
		"ecs/main/blue-green": plan.DeploymentController, "ecs/main/web-of-terraform": plan.OwnedByTool,
		"lambda/encrypted": plan.ClientEncrypted, "lambda/of-pulumi": plan.OwnedByTool, "lambda/of-terraform": plan.OwnedByTool,
		"lambda/reference-taken": plan.NameTaken, "lambda/big-environment": plan.EnvironmentTooLarge,
	}, blocks)
	assert.Equal(t, before, w.look(e))

	// People settle it. The same estate gives the same file.
	w.write("migration.dev.yaml", settled)
	w.want(exitDone, &p, "plan", stack)
	assert.Empty(t, p.Blocked)
	text := w.file("plan.yaml")
	w.want(exitDone, nil, "plan", stack)
	assert.Equal(t, text, w.file("plan.yaml"))
	assert.Equal(t, before, w.look(e))

	// A dry run changes nothing, and tells all that the apply then does.
	var dry, done apply.Result
	w.want(exitDone, &dry, "apply", stack, "--dry-run")
	assert.Equal(t, before, w.look(e))
	assert.True(t, dry.DryRun)
	first := slices.MinFunc(slices.DeleteFunc(slices.Clone(p.Services), func(s plan.Service) bool { return s.Skip != "" }), func(a, b plan.Service) int { return a.Wave - b.Wave })
	w.want(exitDone, &done, "apply", stack, "--wave", strconv.Itoa(first.Wave), "--yes")
	w.interrupted(10, "apply", stack, "--yes")
	w.want(exitDone, &done, "apply", stack, "--yes")
	assert.True(t, done.Complete)
	require.Len(t, done.Steps, len(dry.Steps))
	for i, s := range done.Steps {
		assert.Contains(t, []apply.Outcome{apply.Done, apply.Already}, s.Outcome, "%+v", s)
		assert.Equal(t, dry.Steps[i].Subject, s.Subject)
	}
	w.want(exitDone, &done, "apply", stack, "--yes")
	assert.False(t, slices.ContainsFunc(done.Steps, func(s apply.Step) bool { return s.Outcome == apply.Done }), "an apply that is complete does nothing")

	// Validation finds the two services whose programs still read the variable.
	w.soak(e)
	assert.Equal(t, []string{
		"reads lambda/worker-01", "reads lambda/worker-03", "soaked lambda/worker-01", "soaked lambda/worker-03",
	}, w.validate(exitFindings, "1h"))
	for name := range e.plain {
		w.release(name)
	}
	w.soak(e)
	// Programs count once a minute of their own time, which doesn't fly: the first
	// hour's counts are in these two.
	assert.Empty(t, w.validate(exitDone, "2h"))
	// Back, by the tool. What was there before is there again.
	var back rollback.Result
	w.want(exitDone, &back, "rollback", stack, "--dry-run")
	migrated := w.look(e)
	w.interrupted(10, "rollback", stack, "--yes")
	w.want(exitDone, &back, "rollback", stack, "--yes")
	assert.True(t, back.Complete)
	assert.NotEqual(t, migrated, w.look(e))
	assert.Equal(t, before, w.look(e))

	// And there again.
	w.want(exitDone, &p, "plan", stack)
	w.want(exitDone, &done, "apply", stack, "--yes")
	w.soak(e)
	assert.Empty(t, w.validate(exitDone, "1h"))
	// The end: what a validation of the last day allows. A dry run changes nothing.
	migrated = w.look(e)
	var end cleanup.Result
	code, _, stderr := w.migrate("cleanup", stack, "--yes")
	require.Equal(t, exitCouldNot, code)
	assert.Contains(t, stderr, "soak time was 1h0m0s, and 24h0m0s are asked for")
	w.want(exitDone, &end, "cleanup", stack, "--soak", "1h", "--ignore-reader", "fn-reporting", "--dry-run")
	assert.Equal(t, migrated, w.look(e))
	w.interrupted(10, "cleanup", stack, "--soak", "1h", "--ignore-reader", "fn-reporting", "--yes")
	w.want(exitFindings, &end, "cleanup", stack, "--soak", "1h", "--ignore-reader", "fn-reporting", "--yes") // since plaintext remains
	assert.True(t, end.Complete)
	for _, s := range p.Services {
		if s.Skip != "" || s.Kind != plan.LambdaFunction {
			continue
		}
		for _, v := range s.Variables {
			assert.NotContains(t, w.environment(strings.TrimPrefix(s.ID, "lambda/")), v.Name)
		}
	}
	assert.NotEmpty(t, end.Remains)
	for _, r := range end.Remains {
		assert.NotEmpty(t, r.Remedy, "%+v", r)
	}
	var left inventory.Inventory
	w.want(exitFindings, &left, "discover", stack)
	w.plaintextLeft(left, p, end)
	w.askAll(e)
	code, _, stderr = w.migrate("rollback", stack, "--yes")
	assert.NotEqual(t, exitDone, code, "there is no way back after a cleanup: %s", stderr)
	stop()
	w.noCanaries()
	assert.Empty(t, w.cloud.Unsupported())
}

// interrupted runs a command that somebody stops while it waits.
func (w *world) interrupted(n int, args ...string) {
	w.Helper()
	w.interrupt(n)
	code, _, stderr := w.migrate(args...)
	require.Equal(w, exitCouldNot, code, stderr)
	assert.Contains(w, stderr, "run again to go on")
}

// file reads a file of the migration's folder.
func (w *world) file(name string) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.folder(), name))
	require.NoError(w, err)
	return string(text)
}

// validate validates, and lists the checks that didn't pass.
func (w *world) validate(code int, soak string) []string {
	w.Helper()
	got, stdout, stderr := w.migrate("validate", stack, "--soak", soak, "--json")
	var report validate.Report
	require.NoError(w, json.Unmarshal([]byte(stdout), &report), stderr)
	open := []string{}
	for _, c := range report.Checks {
		if c.Result != validate.Pass {
			open = append(open, string(c.Question)+" "+c.Subject)
			w.Logf("%+v", c)
		}
	}
	assert.Equal(w, code, got)
	assert.Equal(w, code == exitDone, report.Valid())
	return open
}

// plaintextLeft checks that what is still in plaintext is what was left out, or
// what the cleanup told of.
func (w *world) plaintextLeft(left inventory.Inventory, p plan.Plan, end cleanup.Result) {
	w.Helper()
	told := map[string]bool{}
	for _, r := range end.Remains {
		told[r.Subject] = true
	}
	for _, s := range p.Skipped {
		told[s.Place.ID] = true
		assert.NotEmpty(w, s.Reason)
	}
	for _, item := range left.Items {
		if item.Secret && item.Place != spec.ScanSSM {
			assert.True(w, told[item.ARN] || told[item.Name], "%s of %s is in plaintext, and nobody says so", item.Variable, item.ARN)
		}
	}
}

// look is what the estate's services are made of.
func (w *world) look(e *estate) map[string]any {
	w.Helper()
	seen := map[string]any{}
	for name := range e.secrets {
		seen[name] = w.environment(name)
	}
	for i := range 17 {
		seen[serviceName(i)] = w.runs(serviceName(i))
	}
	for _, name := range []string{"two-containers", "search", "ledger", "many-revisions", "by-reference"} {
		seen[name] = w.runs(name)
	}
	return seen
}

// askAll uses every function once.
func (w *world) askAll(e *estate) {
	w.Helper()
	for _, name := range slices.Sorted(maps.Keys(e.secrets)) {
		if len(e.secrets[name]) > 0 {
			require.NoError(w, w.ask(name, e.secrets[name]))
		}
	}
	require.NoError(w, w.ask("aliased:live", e.secrets["aliased"]))
}

// soak lets an hour go by in which every function is used.
func (w *world) soak(e *estate) {
	w.Helper()
	// Between two invocations, since an hour within one would end the session of
	// the function's role.
	w.jump.Lock()
	w.advance(time.Hour)
	w.jump.Unlock()
	w.renew() // a session lasts twelve hours at most
	w.askAll(e)
	w.starts("task-nightly", "acme/dev/nightly/export-password")
	w.starts("task-weekly", "acme/dev/weekly/report-token")
	w.starts("task-by-reference", "acme/dev/by-reference/api-key")
	w.counts(cluster+"/by-reference", spec.MetricDualReadNew) // the emulator runs no containers
	w.advance(minute)
}

// counts sends a counter in a service's name.
func (w *world) counts(service, metric string) {
	w.Helper()
	_, err := cloudwatch.NewFromConfig(w.cloud.Config(region)).PutMetricData(w.Context(), &cloudwatch.PutMetricDataInput{
		Namespace: aws.String(spec.MetricNamespace), MetricData: []types.MetricDatum{{
			MetricName: &metric, Value: aws.Float64(1), Dimensions: []types.Dimension{{Name: aws.String(spec.DimensionService), Value: &service}},
		}},
	})
	require.NoError(w, err)
}

// release gives a function the program that knows of Secrets Manager.
func (w *world) release(name string) {
	w.Helper()
	_, err := w.lambda.UpdateFunctionCode(w.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: &name, ZipFile: zipped(w.T, binary(w.T, "service"))})
	require.NoError(w, err)
	w.advance(minute)
}

// traffic uses functions all the while, until stop, which fails if one of them
// failed or gave another value.
func (w *world) traffic(functions map[string]map[string]string) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	var group sync.WaitGroup
	var mu sync.Mutex
	answers, problems := map[string]int{}, []string{}
	for name, values := range functions {
		group.Go(func() {
			for ctx.Err() == nil {
				w.jump.RLock()
				err := w.ask(name, values)
				w.jump.RUnlock()
				mu.Lock()
				if err != nil {
					problems = append(problems, err.Error())
				} else {
					answers[name]++
				}
				mu.Unlock()
			}
		})
	}
	return sync.OnceFunc(func() {
		cancel()
		group.Wait()
		assert.Empty(w, problems)
		for name := range functions {
			assert.Positive(w, answers[name], name)
		}
		w.Logf("answers while the estate moved: %v", answers)
	})
}
