package secrets

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counter answers every read and counts them.
type counter struct {
	API
	calls int
}

func (c *counter) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	c.calls++
	return &secretsmanager.GetSecretValueOutput{Name: aws.String("name"), VersionId: aws.String("v1"), SecretString: aws.String("value")}, nil
}

// A caller that found nothing in the cache and gets to fetch only when the
// others' fetch is over.
func TestALateFetchTakesTheAnswerThatIsThere(t *testing.T) {
	api := &counter{}
	client, err := New(t.Context(), WithAPI(func(string) API { return api }))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	_, err = client.Get(t.Context(), "name")
	require.NoError(t, err)
	e := client.entries.get(&key{id: "name"})
	var seen *state
	result := <-client.fetch(t.Context(), e, seen)
	assert.Same(t, e.state.Load(), result.Val)
	assert.Equal(t, 1, api.calls)
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 4: 16 * time.Second, 5: maxBackoff, 100: maxBackoff} {
		for range 100 {
			d := backoff(failures)
			assert.LessOrEqual(t, d, want)
			assert.GreaterOrEqual(t, d, want*3/4)
		}
	}
}
