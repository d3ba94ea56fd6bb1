package secretsmanager_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is what the documentation says about staging labels, in a few lines.
type model struct {
	holder map[string]string // by label
	values map[string]string // by version
}

func (m *model) move(label, version string) {
	from, held := m.holder[label]
	if from == version && held {
		return
	}
	if label == "AWSCURRENT" {
		if m.holder["AWSPREVIOUS"] == version {
			delete(m.holder, "AWSPREVIOUS")
		}
		if held {
			m.holder["AWSPREVIOUS"] = from
		}
	}
	m.holder[label] = version
}

func (m *model) stages() map[string][]string {
	out := map[string][]string{}
	for label, version := range m.holder {
		out[version] = append(out[version], label)
	}
	for _, labels := range out {
		slices.Sort(labels)
	}
	return out
}

// TestVersionsFollowTheModel does arbitrary writes and compares all of the
// secret with the model after each.
func TestVersionsFollowTheModel(t *testing.T) {
	b := newBench(t)
	labels := []string{"AWSCURRENT", "AWSPREVIOUS", "AWSPENDING", "BLUE", "GREEN"}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		id := fmt.Sprintf("model/%d", n)
		b.create(id, "")
		m := &model{holder: map[string]string{}, values: map[string]string{}}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				token := fmt.Sprintf("%032d", rapid.IntRange(0, 9).Draw(rt, "token"))
				val := rapid.StringN(1, 8, 32).Draw(rt, "value")
				stages := rapid.SliceOfNDistinct(rapid.SampledFrom(labels), 0, 3, rapid.ID).Draw(rt, "stages")
				if len(stages) == 0 {
					stages = nil
				}
				_, err := b.client.PutSecretValue(t.Context(), &sm.PutSecretValueInput{
					SecretId: &id, ClientRequestToken: &token, SecretString: &val, VersionStages: stages,
				})
				before, exists := m.values[token]
				if exists && before != val {
					fails(t, err, "ResourceExistsException", "")
					return
				}
				require.NoError(t, err)
				if exists {
					return
				}
				m.values[token] = val
				if len(stages) == 0 {
					stages = []string{"AWSCURRENT"}
				}
				if m.holder["AWSCURRENT"] == "" && !slices.Contains(stages, "AWSCURRENT") {
					stages = append(stages, "AWSCURRENT")
				}
				for _, stage := range stages {
					m.move(stage, token)
				}
			},
			"move": func(rt *rapid.T) {
				label := rapid.SampledFrom(labels).Draw(rt, "label")
				versions := slices.Sorted(maps.Keys(m.values))
				if len(versions) == 0 {
					return
				}
				to := rapid.SampledFrom(versions).Draw(rt, "to")
				in := &sm.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: &label, MoveToVersionId: &to}
				from, held := m.holder[label]
				named := rapid.Bool().Draw(rt, "named")
				if held && named {
					in.RemoveFromVersionId = &from
				}
				_, err := b.client.UpdateSecretVersionStage(t.Context(), in)
				if held && from != to && !named {
					fails(t, err, "InvalidParameterException", "RemoveFromVersionId")
					return
				}
				require.NoError(t, err)
				m.move(label, to)
			},
			"remove": func(rt *rapid.T) {
				label := rapid.SampledFrom(labels).Draw(rt, "label")
				from, held := m.holder[label]
				if !held {
					return
				}
				_, err := b.client.UpdateSecretVersionStage(t.Context(), &sm.UpdateSecretVersionStageInput{SecretId: &id, VersionStage: &label, RemoveFromVersionId: &from})
				if label == "AWSCURRENT" {
					fails(t, err, "InvalidParameterException", "AWSCURRENT")
					return
				}
				require.NoError(t, err)
				delete(m.holder, label)
			},
			"": func(*rapid.T) {
				got := b.describe(id).VersionIdsToStages
				if len(m.holder) == 0 {
					require.Empty(t, got)
					return
				}
				require.Equal(t, m.stages(), got)
				if version := m.holder["AWSCURRENT"]; version != "" {
					require.Equal(t, m.values[version], b.value(id, ""))
				}
			},
		})
	})
}

func (b *bench) versions(id string) int {
	b.t.Helper()
	n := 0
	p := sm.NewListSecretVersionIdsPaginator(b.client, &sm.ListSecretVersionIdsInput{SecretId: &id, IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(30)})
	for p.HasMorePages() {
		page, err := p.NextPage(b.t.Context())
		require.NoError(b.t, err)
		require.LessOrEqual(b.t, len(page.Versions), 30)
		n += len(page.Versions)
	}
	return n
}

// TestOldVersionsGo: 100 versions without a label stay, and all of the last 24
// hours.
func TestOldVersionsGo(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "v")
	put := func(n int) error {
		for i := range n {
			_, err := b.client.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: &id, SecretString: aws.String(fmt.Sprint(i))})
			if err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, put(129))
	assert.Equal(t, 130, b.versions(id))
	b.advance(25 * time.Hour)
	require.NoError(t, put(1))
	assert.Equal(t, 100+1+2, b.versions(id), "the previous version lost its label just now")
	fails(t, put(300), "LimitExceededException", "versions")
	b.advance(25 * time.Hour)
	require.NoError(t, put(1))
}

func TestLabelLimit(t *testing.T) {
	b := newBench(t)
	id := b.create("app/db", "v")
	var labels []string
	for i := range 19 {
		labels = append(labels, fmt.Sprintf("LABEL%d", i))
	}
	put := func(labels ...string) error {
		_, err := b.client.PutSecretValue(t.Context(), &sm.PutSecretValueInput{SecretId: &id, SecretString: aws.String(strings.Join(labels, "")), VersionStages: labels})
		return err
	}
	require.NoError(t, put(labels...))
	require.NoError(t, put("LABEL0"), "a label that moves is not one more")
	fails(t, put("ONEMORE"), "LimitExceededException", "20")
}

func TestChangeOfKeyEncryptsAgain(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	id := b.create("app/db", "first")
	_, err := b.client.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: &id, KmsKeyId: aws.String("alias/none")})
	fails(t, err, "EncryptionFailure", "alias/none")
	assert.Nil(t, b.describe(id).KmsKeyId)
	_, err = b.client.UpdateSecret(ctx, &sm.UpdateSecretInput{SecretId: &id, KmsKeyId: aws.String("alias/aws/secretsmanager")})
	require.NoError(t, err)
	assert.Nil(t, b.describe(id).KmsKeyId, "the default key isn't shown")
	assert.Equal(t, "first", b.value(id, ""))
}
