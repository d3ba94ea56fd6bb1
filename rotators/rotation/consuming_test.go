package rotation_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
)

// consumer is a system whose values are used up by making the next one.
type consumer struct {
	*system
	from string // what the last value was to be made from, if not the current one
}

func (*consumer) Consumes() {}

func (c *consumer) Generate(ctx context.Context, request rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	c.from = request.Newest.RevealString()
	return c.system.Generate(ctx, request)
}

// A rotation that is cancelled may have used up the current value: the next one
// goes on from what it made, also when Secrets Manager's clock gave both the same
// time. Once somebody has put another value, that is where to go on.
func TestARotationGoesOnFromACancelledOnesValue(t *testing.T) {
	for name, test := range map[string]struct {
		made   time.Duration // after the current value
		put    time.Duration // when somebody put another value; 0: nobody did
		goesOn bool
	}{
		"made after the current value":          {made: time.Hour, goesOn: true},
		"made in the instant of the current":    {goesOn: true},
		"somebody has put another value since":  {made: time.Hour, put: 2 * time.Hour},
		"another value, and the clock was slow": {put: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			f := unseeded()
			f.manager.now = start
			target := &consumer{system: f.system}
			f.use(target, nil)
			_, err := f.seed(t.Context())
			require.NoError(t, err)

			f.manager.now = start.Add(test.made)
			require.NoError(t, f.manager.startRotation(token(1)))
			require.NoError(t, f.step(t.Context(), "createSecret", token(1)))
			require.True(t, target.from == "", "there is nothing but the current value")
			cancelled := f.manager.value("AWSPENDING")
			_, err = f.manager.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: aws.String(arn), VersionStage: aws.String("AWSPENDING"), RemoveFromVersionId: aws.String(token(1)),
			})
			require.NoError(t, err)
			if test.put > 0 {
				f.manager.now = start.Add(test.put)
				_, err = f.manager.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
					SecretId: aws.String(arn), ClientRequestToken: aws.String(token(2)), SecretString: aws.String("canary-put"), VersionStages: []string{"AWSCURRENT"},
				})
				require.NoError(t, err)
			}

			require.NoError(t, f.manager.startRotation(token(3)))
			require.NoError(t, f.step(t.Context(), "createSecret", token(3)))
			assert.True(t, (target.from == cancelled) == test.goesOn && (target.from == "") != test.goesOn, "where the next value came from")
			f.noCanary(t)
		})
	}
}
