package program_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/policy"
	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/feed"
)

const feedTable = "aistudio-dev-rotation-feed"

// told counts the entries of the feed.
func (w *world) told(t *testing.T) int {
	t.Helper()
	found, err := dynamodb.NewFromConfig(w.cloud.Config(region)).Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("aistudio-" + w.stack + "-rotation-feed")})
	require.NoError(t, err)
	return len(found.Items)
}

func (w *world) checkDevLayer(t *testing.T) {
	client := lambda.NewFromConfig(w.cloud.Config(region))
	name := "aistudio-dev-secrets-cache-" + lambdaArchitecture()
	layer, err := client.GetLayerVersion(t.Context(), &lambda.GetLayerVersionInput{LayerName: &name, VersionNumber: aws.Int64(1)})
	require.NoError(t, err)
	assert.Equal(t, lambdaArchitecture(), string(layer.CompatibleArchitectures[0]))
	_, err = client.GetLayerVersionPolicy(t.Context(), &lambda.GetLayerVersionPolicyInput{LayerName: &name, VersionNumber: aws.Int64(1)})
	assert.ErrorContains(t, err, "ResourceNotFoundException", "nobody else may use it")
}

// google is a secret that awaits its value.
const google = "aistudio/dev/studio/google-oauth"

// putValue is a change that no rotation makes.
func (w *world) putValue(t *testing.T, value string) {
	t.Helper()
	_, err := secretsmanager.NewFromConfig(w.cloud.Config(region)).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(google), SecretString: &value})
	require.NoError(t, err)
	require.NoError(t, w.cloud.Settle(t.Context()))
}

// A cache with a reader's role learns of what rotates and of what people put.
func (w *world) checkFeed(t *testing.T) {
	since := w.cloud.Clock().Now()
	w.putValue(t, `{"client_id": "planted"}`)
	r := rotator{world: w, secret: "aistudio/dev/orders/database"}
	r.rotate(t)

	table := feed.NewTable(dynamodb.NewFromConfig(w.session(t, "aistudio-dev-orders-reader")), feedTable)
	changes, err := table.Changes(t.Context(), since.Add(-time.Second))
	require.NoError(t, err)
	for _, name := range []string{"studio/google-oauth", "orders/database"} {
		secret := describe(t, w.cloud.Config(region), "aistudio/dev/"+name)
		var versions []string
		for _, change := range changes {
			if change.SecretID == *secret.ARN || change.SecretID == *secret.Name {
				versions = append(versions, change.VersionID)
			}
		}
		require.NotEmpty(t, versions, "%s", name)
		if name == "orders/database" { // of what people put, the version isn't known
			assert.Contains(t, versions, currentVersion(t, w.cloud.Config(region), *secret.Name))
		}
	}
}

// A cache of another stack's or of nobody's secrets isn't told.
func (w *world) checkFeedStatements(t *testing.T) {
	r := rotator{world: w, role: "aistudio-dev-rotation-feed"}
	whole := w.record.named("aws:iam/rolePolicy:RolePolicy")["rotation-feed"].Inputs["policy"].StringValue()
	without := func(sids ...string) string {
		var document struct{ Statement []policy.Statement }
		require.NoError(t, json.Unmarshal([]byte(whole), &document))
		var kept policy.Document
		for _, statement := range document.Statement {
			if !strings.Contains(strings.Join(sids, " "), statement.Sid) {
				kept = append(kept, statement)
			}
		}
		text, err := kept.JSON()
		require.NoError(t, err)
		return text
	}
	defer r.put(t, whole)
	before := w.told(t)
	w.putValue(t, `{"client_id": "one"}`)
	require.Greater(t, w.told(t), before)
	assert.Empty(t, w.receive(t, "aistudio-dev-rotation-feed-failures"))

	for _, test := range []struct {
		removed []string
		kept    bool
	}{{[]string{"TellFeed"}, true}, {[]string{"TellFeed", "KeepFailures"}, false}} {
		t.Run(strings.Join(test.removed, " and "), func(t *testing.T) {
			r.put(t, without(test.removed...))
			before := w.told(t)
			w.putValue(t, `{"client_id": "`+strings.Join(test.removed, "")+`"}`)
			require.NoError(t, w.cloud.Advance(t.Context(), time.Hour)) // Lambda tries again, and gives up
			assert.Equal(t, before, w.told(t))
			failures := w.receive(t, "aistudio-dev-rotation-feed-failures")
			assert.Equal(t, test.kept, len(failures) > 0, "the event is kept: %v", failures)
		})
	}
}

// checkCacheStatements takes away what the role of a reader may do beside
// reading its secrets.
func (w *world) checkCacheStatements(t *testing.T) {
	const role, name = "aistudio-dev-orders-reader", "aistudio-dev-secrets-cache"
	client := iam.NewFromConfig(w.cloud.Config(region))
	config := w.session(t, role)
	ask := func() error {
		_, err := feed.NewTable(dynamodb.NewFromConfig(config), feedTable).Changes(t.Context(), w.cloud.Clock().Now())
		return err
	}
	batch := func() error {
		_, err := secretsmanager.NewFromConfig(config).BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"aistudio/dev/orders/database"}})
		return err
	}
	require.NoError(t, ask())
	require.NoError(t, batch())
	_, err := client.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String(role), PolicyName: aws.String(name)})
	require.NoError(t, err)
	requireDenied(t, ask())
	requireDenied(t, batch())
	whole := w.record.named("aws:iam/rolePolicy:RolePolicy")["orders-cache"].Inputs["policy"].StringValue()
	_, err = client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String(role), PolicyName: aws.String(name), PolicyDocument: &whole})
	require.NoError(t, err)

	// What the stack tells a service is enough for its cache, which reads ahead.
	cache, err := secrets.New(t.Context(), secrets.WithConfig(w.session(t, role)), secrets.WithClock(w.cloud.Clock().Now),
		secrets.WithFeed(feed.NewTable(dynamodb.NewFromConfig(w.session(t, role)), feedTable), 0))
	require.NoError(t, err)
	defer func() { require.NoError(t, cache.Close()) }()
	require.NoError(t, cache.Prefetch(t.Context(), "aistudio/dev/orders/database"))
	assert.EqualValues(t, 1, cache.Stats().Fetches)
}

// A rotation that fails is told to who has subscribed, and one that doesn't
// isn't. What the audit tells, if its hour comes, doesn't matter.
func (w *world) checkAlerts(t *testing.T) {
	w.receive(t, "on-call") // what the checks before have broken
	r := rotator{w, "aistudio-dev-rotate-custom", "aistudio/dev/studio/webhook-signing"}
	r.rotate(t)
	require.NoError(t, w.cloud.Advance(t.Context(), time.Hour))
	require.NotContains(t, strings.Join(w.receive(t, "on-call"), "\n"), "RotationFailed")

	whole := w.record.named("aws:iam/rolePolicy:RolePolicy")["rotate-custom"].Inputs["policy"].StringValue()
	nothing, err := policy.Document{{Sid: "Nothing", Effect: policy.Allow, Action: []string{"s3:GetObject"}, Resource: []string{"arn:aws:s3:::nothing/nothing"}}}.JSON()
	require.NoError(t, err)
	r.put(t, nothing)
	defer r.put(t, whole)
	r.rotate(t)
	require.NoError(t, w.cloud.Advance(t.Context(), time.Hour))
	failed := slices.DeleteFunc(w.receive(t, "on-call"), func(message string) bool { return !strings.Contains(message, "RotationFailed") })
	require.NotEmpty(t, failed)
	assert.Contains(t, failed[0], "aistudio/dev/studio/webhook-signing")
}
