package story_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/demo/story"
	"github.com/aistudio/secrets/localcloud/faults"
)

const root = "../.."

// folder holds what the tests build.
var folder string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "story-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	return m.Run()
}

// build builds, once, what the stack deploys as `go tool mage build` does, for this
// machine, and the programs that the story runs. It returns options that name them.
func build(t *testing.T) story.Options {
	t.Helper()
	require.NoError(t, built())
	return story.Options{Root: root, Artifacts: folder, Programs: folder, Reports: t.TempDir(), Rotations: 3}
}

var built = sync.OnceValue(func() error {
	for module, packages := range map[string][]string{
		"auditor":    {"./cmd/auditor"},
		"demo":       {"./shop"},
		"migrator":   {"./cmd/migrate", "./cmd/migration-scan"},
		"operations": {"./cmd/recovery"},
		"rotators":   {"./cmd/rotate-database", "./cmd/rotate-api-key", "./cmd/rotate-custom", "./cmd/rotation-feed"},
		"sdk":        {"./cmd/secrets-extension"},
	} {
		build := exec.Command("go", append([]string{"build", "-ldflags=-s -w", "-o", folder + "/"}, packages...)...)
		build.Dir = filepath.Join(root, module)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build of %s: %w: %s", module, err, out)
		}
	}
	for archive, entry := range map[string]string{
		"auditor": "bootstrap", "migration-scan": "bootstrap", "rotate-database": "bootstrap", "rotate-api-key": "bootstrap",
		"rotate-custom": "bootstrap", "rotation-feed": "bootstrap", "secrets-extension-layer": "extensions/secrets-extension",
	} {
		program := filepath.Join(folder, strings.TrimSuffix(archive, "-layer"))
		if err := zipProgram(program, entry, filepath.Join(folder, archive+"_linux_"+runtime.GOARCH+".zip")); err != nil {
			return err
		}
	}
	return nil
})

func zipProgram(program, entry, path string) error {
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	archive, err := os.Create(path)
	if err != nil {
		return err
	}
	z := zip.NewWriter(archive)
	header := &zip.FileHeader{Name: entry, Method: zip.Store}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	if err == nil {
		_, err = w.Write(binary)
	}
	return errors.Join(err, z.Close(), archive.Close())
}

func open(t *testing.T) *story.World {
	t.Helper()
	w, err := story.Open(t.Context(), build(t), story.NewTeller(t.Output()))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.Close()) })
	return w
}

// The whole story, as it is printed. Everything that it leaves anywhere is searched
// for values.
func TestTheStory(t *testing.T) {
	var out strings.Builder
	options := build(t)
	options.Out = &out
	var seen traces
	dir := ""
	options.Look = func(ctx context.Context, w *story.World) error {
		seen = look(ctx, t, w)
		dir = w.Dir
		return nil
	}
	err := story.Tell(t.Context(), options)
	seen.add("the output", out.String())
	seen.addFiles(t, options.Reports)
	seen.assertNoValues(t)
	if !t.Failed() {
		t.Log(out.String())
	}
	require.NoError(t, err)
	for _, told := range []string{
		"2 secrets moved, 0 left in plaintext", "blocked by no-key", "2 in plaintext; findings", "0 in plaintext; findings",
		"3 succeeded, 0 failed", "the old and the new one are accepted", "versions lost", filepath.Join(options.Reports, "audit-after.html"),
	} {
		assert.Contains(t, out.String(), told)
	}
	assert.NoDirExists(t, dir)
}

// rotator drives one rotation at a time and looks at how it ended.
type rotator struct {
	*story.World
	secrets *secretsmanager.Client
}

func newRotator(w *story.World) rotator {
	return rotator{w, secretsmanager.NewFromConfig(w.Cloud.Config(story.Region))}
}

// rotate asks for a rotation and gives Secrets Manager the time for all its
// tries.
func (r rotator) rotate(ctx context.Context, t *testing.T) {
	t.Helper()
	_, err := r.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: aws.String(story.SecretName)})
	require.NoError(t, err)
	require.NoError(t, r.Cloud.Advance(ctx, 6*time.Hour))
}

// stages returns the versions that hold a label.
func (r rotator) stages(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	out, err := r.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(story.SecretName)})
	require.NoError(t, err)
	stages := map[string]string{}
	for version, labels := range out.VersionIdsToStages {
		for _, label := range labels {
			assert.NotContains(t, stages, label, "a label on two versions")
			stages[label] = version
		}
	}
	return stages
}

// TestTheRotatorDiesAtEveryCall kills the real function at each call that it
// makes to AWS, before and after the call's effect. Secrets Manager tries again,
// and the rotation always ends well.
func TestTheRotatorDiesAtEveryCall(t *testing.T) {
	ctx := t.Context()
	r := newRotator(open(t))
	client, err := r.StartClient(ctx)
	require.NoError(t, err)
	defer func() { assert.NoError(t, client.Stop()) }()
	role := "arn:aws:iam::" + r.Cloud.Account() + ":role/" + story.Rotator

	for _, kind := range []faults.Kind{faults.CrashBefore, faults.CrashAfter} {
		crashes := 0
		for call := 0; ; call++ {
			before := r.stages(ctx, t)
			remove, err := r.Cloud.Faults.Add(faults.Fault{Kind: kind, Principal: role, Skip: call, Times: 1})
			require.NoError(t, err)
			r.rotate(ctx, t)
			died := r.Cloud.Faults.List()[0].Hits > 0
			remove()
			if !died {
				break // it makes no more calls than this
			}
			crashes++
			after := r.stages(ctx, t)
			where := fmt.Sprintf("%s at call %d", kind, call+1)
			require.NotEqual(t, before["AWSCURRENT"], after["AWSCURRENT"], "%s: the rotation did not happen", where)
			require.Equal(t, before["AWSCURRENT"], after["AWSPREVIOUS"], where)
			if pending, ok := after["AWSPENDING"]; ok {
				require.Equal(t, after["AWSCURRENT"], pending, "%s: a pending version is left", where)
			}
			require.Empty(t, client.Failures(), where)
		}
		assert.Greater(t, crashes, 5, "the function makes more calls than that")
		t.Logf("%s: killed at each of %d calls", kind, crashes)
		r.assertNoValueLeaks(ctx, t)
	}
}

// assertNoValueLeaks looks for the values that work now in all that is left of
// them.
func (r rotator) assertNoValueLeaks(ctx context.Context, t *testing.T) {
	t.Helper()
	seen := look(ctx, t, r.World)
	seen.assertNoValues(t)
}

// traces are values, and what could hold one by mistake.
type traces struct {
	values []string
	texts  map[string][]string // by what they are
}

func (s *traces) add(what, text string) { s.texts[what] = append(s.texts[what], text) }

func (s *traces) addFiles(t *testing.T, folder string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		s.add(path, string(text))
		return err
	}))
}

func (s *traces) assertNoValues(t *testing.T) {
	t.Helper()
	for what, texts := range s.texts {
		for _, text := range texts {
			for i, value := range s.values {
				// Not assert.NotContains: it would print the value.
				assert.False(t, strings.Contains(text, value), "value %d is in %s", i, what)
			}
		}
	}
}

// look collects the values of all secrets, and the logs of all functions, the
// trail and the files of a World.
func look(ctx context.Context, t *testing.T, w *story.World) traces {
	t.Helper()
	seen := traces{values: []string{w.Postgres.AdminPassword}, texts: map[string][]string{}}
	config := w.Cloud.Config(story.Region)
	client := secretsmanager.NewFromConfig(config)
	secrets := secretsmanager.NewListSecretsPaginator(client, &secretsmanager.ListSecretsInput{})
	for secrets.HasMorePages() {
		page, err := secrets.NextPage(ctx)
		require.NoError(t, err)
		for _, secret := range page.SecretList {
			for _, stage := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
				out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: secret.ARN, VersionStage: &stage})
				if missing := (*types.ResourceNotFoundException)(nil); errors.As(err, &missing) {
					continue
				}
				require.NoError(t, err)
				seen.values = append(seen.values, secretParts(*out.SecretString)...)
			}
		}
	}
	logs := cloudwatchlogs.NewFromConfig(config)
	groups := cloudwatchlogs.NewDescribeLogGroupsPaginator(logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: aws.String("/aws/lambda/")})
	for groups.HasMorePages() {
		page, err := groups.NextPage(ctx)
		require.NoError(t, err)
		for _, group := range page.LogGroups {
			events := cloudwatchlogs.NewFilterLogEventsPaginator(logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group.LogGroupName})
			for events.HasMorePages() {
				page, err := events.NextPage(ctx)
				require.NoError(t, err)
				for _, event := range page.Events {
					seen.add("the log "+*group.LogGroupName, *event.Message)
				}
			}
		}
	}
	events := cloudtrail.NewLookupEventsPaginator(cloudtrail.NewFromConfig(config), &cloudtrail.LookupEventsInput{})
	for events.HasMorePages() {
		page, err := events.NextPage(ctx)
		require.NoError(t, err)
		for _, event := range page.Events {
			seen.add("the trail", *event.CloudTrailEvent)
		}
	}
	seen.addFiles(t, w.Dir)
	require.NotEmpty(t, seen.texts["the log /aws/lambda/"+story.Rotator])
	require.NotEmpty(t, seen.texts["the trail"])
	return seen
}

// secretParts are the parts of a value that nobody may see: the whole, or what of
// an object isn't a name or an address.
func secretParts(value string) []string {
	var object map[string]any
	if json.Unmarshal([]byte(value), &object) != nil {
		return []string{value}
	}
	var parts []string
	for _, key := range []string{"password", "key", "value"} {
		if text, ok := object[key].(string); ok && text != "" {
			parts = append(parts, text)
		}
	}
	return parts
}
