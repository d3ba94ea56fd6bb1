package journal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// ticking is a clock that goes on by a second each time it is read.
func ticking() func() time.Time {
	t := start
	return func() time.Time {
		t = t.Add(time.Second)
		return t
	}
}

func open(t *testing.T, folder string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(folder, journal.Apply, ticking())
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func service(status journal.Status) journal.Entry {
	return journal.Entry{Service: &journal.Service{ID: "lambda/orders", Status: status, Variables: []journal.Variable{{Name: "A", Secret: "s"}}}}
}

func TestTheLastEntryOfEachSubjectIsTheState(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "migration", "dev")
	j := open(t, folder)
	for _, e := range []journal.Entry{
		{Secret: &journal.Secret{Name: "a/b/c/d", Status: journal.Writing, Attempt: 1}},
		{Secret: &journal.Secret{Name: "a/b/c/d", Status: journal.Written, Attempt: 1, Version: "v", Made: true}},
		{Grant: &journal.Grant{Role: "r", PolicyName: "p", Status: journal.Granted}},
		service(journal.Switching), service(journal.Healthy), service(journal.Restoring),
		{Parameter: &journal.Parameter{Name: "/p", Status: journal.Exported}},
		{Revision: &journal.Revision{ARN: "x:1", Status: journal.Removed}},
	} {
		require.NoError(t, j.Record(e))
	}
	state, err := journal.Read(folder)
	require.NoError(t, err)
	assert.Equal(t, j.State(), state)
	assert.Equal(t, "v", j.Secret("a/b/c/d").Version)
	assert.True(t, j.Secret("a/b/c/d").Made)
	s := j.Service("lambda/orders")
	assert.Equal(t, journal.Restoring, s.Status)
	assert.Equal(t, start.Add(5*time.Second), s.Switched, "it stays switched while it is restored")
	assert.Equal(t, s.Switched, state.LastSwitch())
	assert.True(t, s.Live())
	assert.True(t, s.Holds(plan.Variable{Name: "A", Secret: "s"}))
	assert.False(t, s.Holds(plan.Variable{Name: "A", Secret: "other"}))
	assert.False(t, state.Cleaned())
	require.NoError(t, j.Record(service(journal.Restored)))
	assert.False(t, j.Service("lambda/orders").Live())
	assert.Zero(t, j.State().LastSwitch())
	require.NoError(t, j.Record(journal.Entry{Parameter: &journal.Parameter{Name: "/p", Status: journal.Deleting}}))
	assert.True(t, j.State().Cleaned())
	require.NoError(t, j.Close())

	require.Error(t, j.Record(service(journal.Healthy)), "it is closed")
	assert.Equal(t, state.Started, open(t, folder).State().Started)
}

func TestNobodyElseCanLookIn(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "migration", "dev")
	require.NoError(t, open(t, folder).Record(service(journal.Healthy)))
	info, err := os.Stat(folder)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), f.Name())
	}
}

func TestOneProgramAtATime(t *testing.T) {
	folder := t.TempDir()
	j := open(t, folder)
	_, err := journal.Open(folder, journal.Rollback, time.Now)
	require.ErrorIs(t, err, journal.ErrLocked)
	require.NoError(t, j.Close())
	open(t, folder)
}

// Wherever a crash cuts the file, the whole lines before are the state, and the
// next entry is no continuation of the half one.
func TestALineThatWasCutShortIsDropped(t *testing.T) {
	folder := t.TempDir()
	j := open(t, folder)
	require.NoError(t, j.Record(service(journal.Switching)))
	path := filepath.Join(folder, "journal.jsonl")
	first, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, j.Record(service(journal.Healthy)))
	require.NoError(t, j.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for cut := range whole {
		require.NoError(t, os.WriteFile(path, whole[:cut], 0o600))
		before, err := journal.Read(folder)
		require.NoError(t, err)
		want := 0
		if cut >= len(first) {
			want = 1
		}
		require.Len(t, before.Services, want, "cut at %d", cut)
		j := open(t, folder)
		require.Equal(t, before, j.State())
		require.NoError(t, j.Record(service(journal.Restored)))
		require.NoError(t, j.Close())
		after, err := journal.Read(folder)
		require.NoError(t, err)
		require.Equal(t, journal.Restored, after.Services["lambda/orders"].Status)
	}
}

func TestDamageIsNoStateAtAll(t *testing.T) {
	for name, lines := range map[string]struct{ text, want string }{
		"not JSON":     {"{\"format\":1,\n{}\n", "line 1: it is damaged"},
		"newer format": {`{"format":2,"secret":{"name":"a"}}` + "\n", "format 2"},
		"no subject":   {`{"format":1}` + "\n", "no subject"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(folder, "journal.jsonl"), []byte(lines.text), 0o600))
			_, err := journal.Read(folder)
			require.ErrorContains(t, err, lines.want)
			_, err = journal.Open(folder, journal.Apply, time.Now)
			require.ErrorContains(t, err, lines.want)
			text, err := os.ReadFile(filepath.Join(folder, "journal.jsonl"))
			require.NoError(t, err)
			assert.Equal(t, lines.text, string(text), "it isn't touched")
			require.NoError(t, os.Remove(filepath.Join(folder, "journal.jsonl")))
			open(t, folder) // the lock is free
		})
	}
}

func TestNoJournalIsTheEmptyState(t *testing.T) {
	state, err := journal.Read(filepath.Join(t.TempDir(), "none"))
	require.NoError(t, err)
	assert.Empty(t, state.Services)
	assert.True(t, state.Started.IsZero())
}

// A cleanup takes old values out of services that have soaked: a soak doesn't
// begin anew, so one that was killed can go on.
func TestACleanupBeginsNoSoak(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "migration", "dev")
	j := open(t, folder)
	require.NoError(t, j.Record(service(journal.Healthy)))
	switched := j.State().LastSwitch()
	require.NoError(t, j.Close())
	j, err := journal.Open(folder, journal.Cleanup, func() time.Time { return start.Add(48 * time.Hour) })
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	for _, status := range []journal.Status{journal.Switching, journal.Healthy, journal.Cleaning} {
		require.NoError(t, j.Record(service(status)))
		assert.Equal(t, switched, j.State().LastSwitch())
	}
}
