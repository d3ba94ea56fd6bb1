package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/infra/pipeline/checks"
)

func TestExitCodes(t *testing.T) {
	for outcome, code := range map[Outcome]int{Succeeded: 0, Failed: 1, Cancelled: 1, Pending: 2, Refused: 3, "new": 1} {
		assert.Equal(t, code, outcome.ExitCode(), outcome)
	}
}

// sample has everything that a report can tell.
func sample() Report {
	report := newReport("promote", "prod", time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC))
	report.Project, report.Digest = "aistudio-secrets", "sha256:"+strings.Repeat("d", 64)
	report.Revision = Revision{Commit: strings.Repeat("c", 40), Artifacts: "sha256:" + strings.Repeat("a", 64)}
	report.Changes = []Change{
		{Operation: Create, URN: "urn:pulumi:prod::p::aws:sns/topic:Topic::alerts", Type: "aws:sns/topic:Topic", Name: "alerts"},
		{Operation: Update, URN: "urn:pulumi:prod::p::aws:sqs/queue:Queue::q", Type: "aws:sqs/queue:Queue", Name: "q", Properties: []string{`tags["a|b"]`, "policy"}},
		{Operation: Delete, URN: "urn:pulumi:prod::p::aws:kms/key:Key::k", Type: "aws:kms/key:Key", Name: "k", Protected: true, Retained: true},
	}
	report.Unchanged = 40
	report.Violations = []checks.Violation{{Check: "tagged", URN: report.Changes[0].URN, Problem: "tags are missing: Owner"}}
	report.refuse(GateChecks, report.Changes[0].URN, "tagged: tags are missing: Owner")
	report.refuse(GateApproval, "", "1 of 2 approvals of these changes are there")
	report.ApprovalsNeeded = 2
	report.Approvals = []Approval{{ApprovedBy: "@ada"}}
	report.warn("a <b>warning</b>\nof two lines")
	report.next("pipeline checks explains each one")
	report.next("pipeline checks explains each one")
	report.end(report.Started.Add(1500*time.Millisecond), Succeeded)
	return report
}

func TestTheReportForPeople(t *testing.T) {
	report := sample()
	assert.Equal(t, Refused, report.Outcome)
	assert.Equal(t, ExitRefused, report.ExitCode)
	assert.Len(t, report.Next, 1, "what to do is said once")

	var text, page strings.Builder
	require.NoError(t, report.WriteText(&text))
	require.NoError(t, report.WriteMarkdown(&page))
	for file, got := range map[string]string{"report.txt": text.String(), "report.md": page.String()} {
		golden := filepath.Join("testdata", file)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		assert.Equal(t, string(want), got, "UPDATE_GOLDEN=1 writes %s", golden)
	}
}

// A summary of many changes stays below what GitHub takes as a comment.
func TestALongSummaryIsCut(t *testing.T) {
	report := sample()
	for range 5000 {
		report.Changes = append(report.Changes, report.Changes[1])
	}
	var page strings.Builder
	require.NoError(t, report.WriteMarkdown(&page))
	assert.Less(t, page.Len(), 65536)
	assert.Contains(t, page.String(), "and 4803 more")
}

func TestAFailureOutranksARefusal(t *testing.T) {
	report := sample()
	report.fail("", "boom")
	report.end(report.Started, Succeeded)
	assert.Equal(t, Failed, report.Outcome)
	report.end(report.Started, Cancelled)
	assert.Equal(t, Cancelled, report.Outcome)
}

func step(op apitype.OpType, inputs map[string]any) apitype.StepEventMetadata {
	return apitype.StepEventMetadata{
		Op: op, URN: "urn:pulumi:dev::p::aws:sqs/queue:Queue::q", Type: "aws:sqs/queue:Queue",
		Old: &apitype.StepEventStateMetadata{Protect: true}, New: &apitype.StepEventStateMetadata{Inputs: inputs},
	}
}

// The three steps of a replacement are one change, which keeps what each knows.
func TestAReplacementIsOneChange(t *testing.T) {
	collected := changes{}
	first := step(apitype.OpCreateReplacement, map[string]any{"name": "q"})
	first.DetailedDiff = map[string]apitype.PropertyDiff{"name": {Kind: apitype.DiffUpdateReplace}}
	collected.add(first)
	collected.add(step(apitype.OpReplace, map[string]any{"name": "q"}))
	last := step(apitype.OpDeleteReplaced, nil)
	last.New = nil
	collected.add(last)
	collected.add(apitype.StepEventMetadata{Op: apitype.OpSame, URN: "urn:pulumi:dev::p::aws:sqs/queue:Queue::other"})
	assert.Equal(t, []Change{{
		Operation: Replace, URN: first.URN, Type: first.Type, Name: "q", Properties: []string{"name"}, Protected: true, inputs: map[string]any{"name": "q"},
	}}, collected.sorted())
}

// The digest changes with what is deployed, and with nothing else.
func TestDigest(t *testing.T) {
	revision := sample().Revision
	of := func(stack string, revision Revision, inputs map[string]any) string {
		collected := changes{}
		collected.add(step(apitype.OpUpdate, inputs))
		text, err := digest("p", stack, "up", revision, collected.sorted())
		require.NoError(t, err)
		return text
	}
	archive := func(path, hash string) map[string]any {
		return map[string]any{"code": map[string]any{"4dabf18193072939515e22adb298388d": "0def7320c3a5731c473e5ecbe6d01bc7", "path": path, "hash": hash}}
	}
	same := of("dev", revision, archive("/here/a.zip", "1"))
	assert.Equal(t, same, of("dev", revision, archive("/there/a.zip", "1")), "where an archive lies")
	assert.NotEqual(t, same, of("dev", revision, archive("/here/a.zip", "2")), "what is in it")
	assert.NotEqual(t, same, of("prod", revision, archive("/here/a.zip", "1")), "which stack")
	other := revision
	other.Artifacts = "sha256:" + strings.Repeat("b", 64)
	assert.NotEqual(t, same, of("dev", other, archive("/here/a.zip", "1")), "which artifacts")

	named := func(name string) map[string]any {
		return map[string]any{"name": name, "kind": "a", "__defaults": []any{"name"}}
	}
	assert.Equal(t, of("dev", revision, named("q-1a2b")), of("dev", revision, named("q-3c4d")), "a name that the provider draws")
	assert.NotEqual(t, of("dev", revision, map[string]any{"name": "a"}), of("dev", revision, map[string]any{"name": "b"}), "a name that the program gives")
}

// What an update is recorded as is read as just that, quoted as the Automation
// API quotes messages too.
func TestTheRecordOfARevision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		revision := Revision{
			Commit:    rapid.StringMatching(`[0-9a-f]{40}`).Draw(t, "commit"),
			Dirty:     rapid.Bool().Draw(t, "dirty"),
			Artifacts: rapid.StringMatching(`sha256:[0-9a-f]{64}`).Draw(t, "artifacts"),
		}
		command := rapid.SampledFrom([]string{"up", "promote", "destroy"}).Draw(t, "command")
		for _, text := range []string{revision.message(command), `"` + revision.message(command) + `"`} {
			parsed, ok := parseMessage(text)
			assert.True(t, ok)
			assert.Equal(t, revision, parsed)
		}
	})
	_, ok := parseMessage("fix the outage")
	assert.False(t, ok)
}

func TestReadRevision(t *testing.T) {
	folder, tree := t.TempDir(), t.TempDir()
	run := func(args ...string) {
		output, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", tree, "-c", "user.name=t", "-c", "user.email=t@t"}, args...)...).CombinedOutput()
		require.NoError(t, err, string(output))
	}
	write := func(folder, name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	_, err := ReadRevision(t.Context(), tree, folder, "")
	require.ErrorContains(t, err, "give it with --commit")
	run("init", "-q")
	write(tree, "file", "one")
	run("add", "file")
	run("commit", "-qm", "m")

	_, err = ReadRevision(t.Context(), tree, folder, "")
	require.ErrorContains(t, err, "go tool mage build")
	// The checksum of "a".
	write(folder, "SHA256SUMS", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.zip\n")
	_, err = ReadRevision(t.Context(), tree, folder, "")
	require.ErrorIs(t, err, os.ErrNotExist)
	write(folder, "a.zip", "b")
	_, err = ReadRevision(t.Context(), tree, folder, "")
	require.ErrorContains(t, err, "a.zip isn't what was built")
	write(folder, "a.zip", "a")
	clean, err := ReadRevision(t.Context(), tree, folder, "")
	require.NoError(t, err)
	assert.Len(t, clean.Commit, 40)
	assert.False(t, clean.Dirty)

	write(tree, "file", "two")
	dirty, err := ReadRevision(t.Context(), tree, folder, "")
	require.NoError(t, err)
	assert.True(t, dirty.Dirty)
	assert.Equal(t, clean.Artifacts, dirty.Artifacts)
	_, err = ReadRevision(t.Context(), tree, folder, "main")
	require.ErrorContains(t, err, `"main" is no commit`)
	write(folder, "SHA256SUMS", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  ../a.zip\n")
	_, err = ReadRevision(t.Context(), tree, folder, clean.Commit)
	require.ErrorContains(t, err, "isn't a list of sha256sum")
}

// A channel that nobody closes doesn't hold up the pipeline, and one that is
// closed is read to its end.
func TestFollow(t *testing.T) {
	_, collect := follow(nil)
	assert.Empty(t, collect().changes)

	// The Automation API closes the channel, and then returns.
	stream, collect := follow(nil)
	for range 100 {
		stream <- events.EngineEvent{EngineEvent: apitype.EngineEvent{ResourcePreEvent: &apitype.ResourcePreEvent{Metadata: step(apitype.OpCreate, nil)}}}
	}
	stream <- events.EngineEvent{Error: errors.New("torn")}
	close(stream)
	ran := collect()
	assert.Len(t, ran.changes, 1)
	assert.EqualError(t, ran.incomplete, "torn")
}

func TestMessagesOfTheCLI(t *testing.T) {
	assert.Equal(t, "the stack is locked", complaint("warning: old\nerror: the stack is locked\n", "outputs: value"))
	assert.Equal(t, "boom", complaint("", "diff\nerror: boom\n\nOutputs:\n  a: value"))
	assert.Empty(t, complaint("a: value\n", "b: value\n"))
	assert.Equal(t, "boom", message(errors.Join(&CommandError{Message: "boom", err: errors.New("exit status 1")})))
	assert.Equal(t, "first", message(errors.New("first\nstdout: value")))
	assert.Equal(t, "red", plain("<{%fg 1%}>red<{%reset%}>"))
}

// fakeCLI is a program that does what a script says.
func fakeCLI(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pulumi")
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\nif [ \"$2\" = version ]; then echo v3.274.1; exit; fi\n"+script), 0o700))
	return file
}

// at calls do when a text is written.
type at struct {
	text string
	do   func()
}

func (a at) Write(written []byte) (int, error) {
	if strings.Contains(string(written), a.text) {
		a.do()
	}
	return len(written), nil
}

// A cancelled CLI is asked to end and waited for, and killed only when its grace
// is over.
func TestACancelledCommandIsWaitedFor(t *testing.T) {
	run := func(script string, grace time.Duration) (string, int, error) {
		c, err := NewCommand(t.Context(), fakeCLI(t, script), grace)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stdout, _, code, err := c.Run(ctx, t.TempDir(), nil, []io.Writer{at{"ready", cancel}}, nil, nil, "up")
		return stdout, code, err
	}
	stdout, code, err := run("trap 'echo saved the state; exit 7' INT\necho ready\nwhile :; do sleep 0.01; done\n", time.Minute)
	require.Error(t, err)
	assert.Equal(t, 7, code)
	assert.Contains(t, stdout, "saved the state")

	_, code, err = run("trap '' INT\necho ready\nexec sleep 60\n", time.Millisecond)
	require.Error(t, err)
	assert.Equal(t, -1, code, "it was killed")
}

// Previews look past protection, and nothing else does.
func TestOnlyPreviewsIgnoreProtection(t *testing.T) {
	c, err := NewCommand(t.Context(), fakeCLI(t, `echo "$@"`), time.Minute)
	require.NoError(t, err)
	for _, test := range []struct {
		args    []string
		ignores bool
	}{
		{[]string{"preview"}, true}, {[]string{"destroy", "--preview-only"}, true},
		{[]string{"up"}, false}, {[]string{"destroy"}, false}, {[]string{"refresh", "--preview-only"}, false},
	} {
		stdout, _, _, err := c.Run(t.Context(), "", nil, nil, nil, nil, test.args...)
		require.NoError(t, err)
		assert.Equal(t, test.ignores, strings.Contains(stdout, "--ignore-protect"), stdout)
	}
}

func TestAnOldCLIIsRefused(t *testing.T) {
	old := filepath.Join(t.TempDir(), "pulumi")
	require.NoError(t, os.WriteFile(old, []byte("#!/bin/sh\necho v3.200.0\n"), 0o700))
	_, err := NewCommand(t.Context(), old, time.Minute)
	require.ErrorContains(t, err, "needs 3.274.0 or a later 3")
	_, err = NewCommand(t.Context(), filepath.Join(t.TempDir(), "none"), time.Minute)
	require.ErrorContains(t, err, "go tool mage tools:install")
}
