package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeApprovals(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prod.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestReadApprovals(t *testing.T) {
	approvals, err := ReadApprovals(writeApprovals(t, `
approvals:
  - stack: prod
    commit: 0123456789abcdef0123456789abcdef01234567
    digest: sha256:aa
    approvedBy: ada
    approvedAt: 2026-11-29T10:00:00Z
    expiresAt: 2026-11-30T10:00:00Z
    reason: the weekly release
`))
	require.NoError(t, err)
	require.Len(t, approvals, 1)
	assert.Equal(t, time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC), approvals[0].ExpiresAt.UTC())

	for name, test := range map[string]struct {
		text  string
		words []string
	}{
		"all mistakes at once": {"approvals:\n  - approvedBy: ada\n  - stack: prod\n    commit: c\n    digest: d\n    approvedBy: ' '\n    approvedAt: 2026-11-29T10:00:00Z\n    expiresAt: 2026-12-29T10:00:00Z\n",
			[]string{"entry 1: stack is missing", "commit is missing", "digest is missing", "approvedAt is missing", "entry 2: approvedBy is missing", "more than 7 days"}},
		"an unknown key": {"approvals:\n  - approver: ada\n", []string{"approver"}},
		"backwards":      {"approvals:\n  - {stack: prod, commit: c, digest: d, approvedBy: ada, approvedAt: 2026-11-29T10:00:00Z, expiresAt: 2026-11-29T09:00:00Z}\n", []string{"isn't after"}},
		"no expiry":      {"approvals:\n  - {stack: prod, commit: c, digest: d, approvedBy: ada, approvedAt: 2026-11-29T10:00:00Z}\n", []string{"expiresAt is missing"}},
		"no YAML":        {"{", []string{"read the approvals"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadApprovals(writeApprovals(t, test.text))
			for _, word := range test.words {
				require.ErrorContains(t, err, word)
			}
		})
	}
	_, err = ReadApprovals(filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestWhichApprovalsCount(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	report := sample()
	good := Approval{
		Stack: report.Stack, Commit: report.Revision.Commit, Digest: report.Digest, ApprovedBy: "ada",
		ApprovedAt: now.Add(-time.Hour), ExpiresAt: now.Add(time.Hour),
	}
	by := func(who string, changes ...func(*Approval)) Approval {
		approval := good
		approval.ApprovedBy = who
		for _, change := range changes {
			change(&approval)
		}
		return approval
	}
	for name, test := range map[string]struct {
		approvals []Approval
		why       string // empty: it is approved
	}{
		"two people":        {[]Approval{good, by("grace")}, ""},
		"three people":      {[]Approval{good, by("grace"), by("joan")}, ""},
		"nobody":            {nil, "0 of 2"},
		"one":               {[]Approval{good}, "1 of 2"},
		"one twice":         {[]Approval{good, by(" @Ada ")}, "1 of 2 approvals of these changes are there:  @Ada  is there twice"},
		"other changes":     {[]Approval{good, by("grace", func(a *Approval) { a.Digest = "sha256:other" })}, "that of grace is for other changes"},
		"another commit":    {[]Approval{good, by("grace", func(a *Approval) { a.Commit = strings.Repeat("f", 40) })}, "that of grace is for commit ffffffffffff"},
		"expired":           {[]Approval{good, by("grace", func(a *Approval) { a.ExpiresAt = now })}, "that of grace expired on 2026-11-29T12:00:00Z"},
		"from the future":   {[]Approval{good, by("grace", func(a *Approval) { a.ApprovedAt = now.Add(time.Minute) })}, "dated in the future"},
		"of another stack":  {[]Approval{good, by("grace", func(a *Approval) { a.Stack = "staging" })}, "1 of 2"},
		"others beside two": {[]Approval{by("joan", func(a *Approval) { a.Digest = "old" }), good, by("grace")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			report := sample()
			report.Refusals, report.Approvals = nil, nil
			Options{Guarded: true, Approvals: test.approvals}.checkApprovals(&report, now)
			assert.Equal(t, 2, report.ApprovalsNeeded)
			if test.why == "" {
				assert.Empty(t, report.Refusals)
				assert.GreaterOrEqual(t, len(report.Approvals), 2)
				return
			}
			require.Len(t, report.Refusals, 1)
			assert.Equal(t, GateApproval, report.Refusals[0].Gate)
			assert.Contains(t, report.Refusals[0].Problem, test.why)
			assert.Contains(t, strings.Join(report.Next, " "), report.Digest)
		})
	}

	report.Refusals = nil
	Options{}.checkApprovals(&report, now)
	assert.Empty(t, report.Refusals, "a stack that isn't guarded needs none")
	report.Changes = nil
	Options{Guarded: true}.checkApprovals(&report, now)
	assert.Empty(t, report.Refusals, "nothing changes, so nobody has to approve")
}

func TestWhatMayBeDeleted(t *testing.T) {
	change := func(operation Operation, resourceType, name string, protected bool) Change {
		return Change{Operation: operation, URN: "urn:pulumi:prod::p::" + resourceType + "::" + name, Type: resourceType, Name: name, Protected: protected}
	}
	secret := change(Delete, "aws:secretsmanager/secret:Secret", "s", true)
	policy := change(Delete, "aws:secretsmanager/secretPolicy:SecretPolicy", "s", true)
	key := change(Replace, "aws:kms/key:Key", "k", false)
	all := []Change{
		secret, policy, key,
		change(Delete, "aws:sqs/queue:Queue", "q", false), change(Update, "aws:kms/key:Key", "changed", true), change(Create, "aws:kms/key:Key", "new", false),
	}
	for name, test := range map[string]struct {
		options     Options
		refused     []string
		unprotected []string
	}{
		"none named":     {Options{Guarded: true}, []string{secret.URN, policy.URN, key.URN}, nil},
		"by URN":         {Options{Guarded: true, AllowDelete: []string{secret.URN, key.URN}}, []string{policy.URN}, []string{secret.URN}},
		"by name":        {Options{Guarded: true, AllowDelete: []string{"s", "k"}}, nil, []string{secret.URN, policy.URN}},
		"what isn't":     {Options{Guarded: true, AllowDelete: []string{"s", "k", "q"}}, []string{""}, []string{secret.URN, policy.URN}},
		"only protected": {Options{}, []string{secret.URN, policy.URN}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			report := Report{Changes: all}
			assert.Equal(t, test.unprotected, test.options.checkDeletions(&report))
			var refused []string
			for _, refusal := range report.Refusals {
				assert.Equal(t, GateDeletion, refusal.Gate)
				refused = append(refused, refusal.URN)
			}
			assert.Equal(t, test.refused, refused)
		})
	}
}

func TestLocks(t *testing.T) {
	assert.Nil(t, lockOf(os.ErrNotExist))
	assert.Nil(t, lockOf(&CommandError{Message: "no such stack"}))
	const text = "the stack is currently locked by 1 lock(s). Either wait …\n  s3://states/.pulumi/locks/a.json: created by root@ci-7 (pid 4711) at 2026-11-29T14:43:45Z"
	met := lockOf(fmt.Errorf("take the protection off: %w", &CommandError{Message: text}))
	require.NotNil(t, met)
	assert.Equal(t, lock{text: text, host: "ci-7", pid: 4711}, *met)
	require.NotNil(t, lockOf(&CommandError{Message: "[409] Conflict: Another update is currently in progress."}))
	host, err := os.Hostname()
	require.NoError(t, err)
	assert.True(t, lock{host: host, pid: os.Getpid()}.held())
	assert.False(t, lock{host: host}.held())
	assert.False(t, lock{host: "elsewhere", pid: os.Getpid()}.held())
}

func TestParseImport(t *testing.T) {
	urn, id, err := ParseImport("urn:pulumi:dev::p::aws:sqs/queue:Queue::q=https://sqs.us-east-1.amazonaws.com/1/q?a=b")
	require.NoError(t, err)
	assert.Equal(t, "urn:pulumi:dev::p::aws:sqs/queue:Queue::q", urn)
	assert.Equal(t, "https://sqs.us-east-1.amazonaws.com/1/q?a=b", id)
	for _, text := range []string{"", "urn:pulumi:dev::p::t::q", "urn:pulumi:dev::p::t::q=", "q=id"} {
		_, _, err := ParseImport(text)
		assert.Error(t, err, text)
	}
}
