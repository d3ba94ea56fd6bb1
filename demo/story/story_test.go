package story_test

import (
	"archive/zip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/demo/story"
	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/sdk/spec"
)

const root = "../.."

// artifacts builds what the stack deploys as `go tool mage build` does, for
// this machine, and returns the folder of the zips.
func artifacts(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for module, commands := range map[string][]string{
		"auditor":  {"auditor"},
		"migrator": {"migration-scan"},
		"rotators": {"rotate-database", "rotate-api-key", "rotate-custom", "rotation-feed"},
		"sdk":      {"secrets-extension"},
	} {
		arguments := []string{"build", "-o", folder + "/"}
		for _, command := range commands {
			arguments = append(arguments, "./cmd/"+command)
		}
		build := exec.CommandContext(t.Context(), "go", arguments...)
		build.Dir = filepath.Join(root, module)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
		for _, command := range commands {
			archive, entry := command, "bootstrap"
			if module == "sdk" {
				archive, entry = command+"-layer", "extensions/"+command
			}
			zipProgram(t, filepath.Join(folder, command), entry, filepath.Join(folder, archive+"_linux_"+runtime.GOARCH+".zip"))
		}
	}
	return folder
}

func zipProgram(t *testing.T, binary, entry, path string) {
	t.Helper()
	program, err := os.ReadFile(binary)
	require.NoError(t, err)
	archive, err := os.Create(path)
	require.NoError(t, err)
	defer archive.Close()
	z := zip.NewWriter(archive)
	header := &zip.FileHeader{Name: entry, Method: zip.Deflate}
	header.SetMode(0o755)
	w, err := z.CreateHeader(header)
	require.NoError(t, err)
	_, err = w.Write(program)
	require.NoError(t, err)
	require.NoError(t, z.Close())
}

func open(t *testing.T) *story.World {
	t.Helper()
	w, err := story.Open(t.Context(), story.Options{Root: root, Artifacts: artifacts(t)}, story.NewTeller(t.Output()))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.Close()) })
	return w
}

func TestNoLoginFailsThroughThreeRotations(t *testing.T) {
	var out strings.Builder
	err := story.Tell(t.Context(), story.Options{Root: root, Artifacts: artifacts(t), Rotations: 3, Out: &out})
	t.Log(out.String())
	require.NoError(t, err)
	assert.Contains(t, out.String(), "3 succeeded, 0 failed")
	assert.Contains(t, out.String(), "the old and the new one are accepted")
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

// assertNoValueLeaks looks for the passwords that work now in the function's
// log and in the trail.
func (r rotator) assertNoValueLeaks(ctx context.Context, t *testing.T) {
	t.Helper()
	passwords := []string{r.Postgres.AdminPassword}
	for _, stage := range []string{"AWSCURRENT", "AWSPREVIOUS"} {
		out, err := r.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(story.SecretName), VersionStage: &stage})
		require.NoError(t, err)
		credentials, err := spec.ParseDatabase(spec.ValueString(*out.SecretString))
		require.NoError(t, err)
		passwords = append(passwords, credentials.Password.RevealString())
	}
	records, err := r.FunctionLog(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, records)
	pages := cloudtrail.NewLookupEventsPaginator(cloudtrail.NewFromConfig(r.Cloud.Config(story.Region)), &cloudtrail.LookupEventsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		require.NoError(t, err)
		for _, event := range page.Events {
			records = append(records, *event.CloudTrailEvent)
		}
	}
	for _, record := range records {
		for _, password := range passwords {
			// Not assert.NotContains: it would print the password.
			assert.False(t, strings.Contains(record, password), "a password is in a log or in the trail")
		}
	}
}
