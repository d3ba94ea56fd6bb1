package story_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/demo/story"
	"github.com/aistudio/secrets/migrator/phase"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/migrator/validate"
)

// looker looks at the phases of a deployed stack.
type looker struct {
	*story.World
	settings settings.Settings
	folder   string // of a migration of nothing
}

func newLooker(t *testing.T, w *story.World) *looker {
	t.Helper()
	s, err := settings.Read("dev", filepath.Join(root, "Pulumi.dev.yaml"), "")
	require.NoError(t, err)
	secret, err := secretsmanager.NewFromConfig(w.Cloud.Config(story.Region)).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(story.SecretName)})
	require.NoError(t, err)
	for _, replica := range secret.ReplicationStatus {
		s.ReplicaRegion = aws.ToString(replica.Region) // which the story may add
	}
	l := &looker{w, s, t.TempDir()}
	file, err := os.Create(filepath.Join(l.folder, "plan.yaml"))
	require.NoError(t, err)
	require.NoError(t, plan.Write(file, plan.Plan{
		Version: plan.Version, Stack: "dev", Organization: s.Organization, Environment: s.Environment, Account: w.Cloud.Account(), Region: s.Region, KMSKey: s.KMSKey, Mode: plan.DualRead,
		Secrets: []plan.Secret{}, Services: []plan.Service{},
	}))
	require.NoError(t, file.Close())
	return l
}

// look returns the answers of a phase's checks.
func (l *looker) look(t *testing.T, name phase.Name) map[string]phase.Answer {
	t.Helper()
	config := l.Cloud.Config(story.Region)
	now, account, err := validate.Now(t.Context(), config)
	require.NoError(t, err)
	report, err := phase.Look(t.Context(), phase.At{Phase: name, Stack: "dev"}, phase.Stack{
		Name: "dev", Settings: l.settings, Folder: l.folder, Config: config, Account: account, Now: now,
	}, func(string) string { return l.folder })
	require.NoError(t, err)
	answers := map[string]phase.Answer{}
	for _, item := range report.Items {
		answers[item.ID] = item.Answer
	}
	return answers
}

// The phases of the migration look for what the stack's program makes: its names,
// its regions, its alarms, and what its functions write day by day.
func TestThePhasesKnowTheStack(t *testing.T) {
	l := newLooker(t, open(t))
	pass := func(name phase.Name, checks ...string) {
		t.Helper()
		answers := l.look(t, name)
		for _, id := range checks {
			assert.Equal(t, phase.Pass, answers[id].Result, "%s: %s", id, answers[id].Detail)
		}
	}
	assert.Equal(t, phase.Fail, l.look(t, phase.Foundation)["audited"].Result)
	assert.Equal(t, phase.Fail, l.look(t, phase.Prepare)["rotated"].Result)
	for _, name := range []string{"orders/database", "inference/gateway-key", "studio/webhook-signing"} {
		_, err := secretsmanager.NewFromConfig(l.Cloud.Config(story.Region)).RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("aistudio/dev/" + name)})
		require.NoError(t, err)
	}
	// A scan and an audit. The functions' own clock is the machine's.
	require.NoError(t, l.Cloud.Advance(t.Context(), 25*time.Hour))
	pass(phase.Foundation, "key", "replica-key", "secrets", "replicas", "trail", "auditor", "audited")
	pass(phase.Prepare, "layer", "rotators", "rotated", "planned", "unblocked")
	pass(phase.Dev, "no-alarm", "rotating", "audit-clean")
	pass(phase.Cleanup, "no-plaintext")
}
