package validate_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/validate"
)

// rotatedAt tells of secrets that they were rotated at a time.
type rotatedAt struct {
	aws.HTTPClient
	at time.Time
}

func (r *rotatedAt) Do(request *http.Request) (*http.Response, error) {
	out, err := r.HTTPClient.Do(request)
	if err != nil || !strings.HasSuffix(request.Header.Get("X-Amz-Target"), ".DescribeSecret") {
		return out, err
	}
	text, err := io.ReadAll(out.Body)
	text = bytes.Replace(text, []byte("{"), fmt.Appendf(nil, `{"LastRotatedDate":%d,`, r.at.Unix()), 1)
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	out.Header.Del("Content-Length")
	return out, err
}

// A rotation explains why a secret has another value, and not what somebody put
// into it after a rotation.
func TestWhatARotationExplains(t *testing.T) {
	w := newWorld(t)
	client := &rotatedAt{w.config.HTTPClient, w.cloud.Clock().Now()}
	if client.HTTPClient == nil {
		client.HTTPClient = http.DefaultClient
	}
	w.config.HTTPClient = client
	w.advance(time.Hour)
	_, err := w.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String(tokenName), SecretString: aws.String("another")})
	require.NoError(t, err)
	w.validate()
	w.answers(validate.Equal, tokenName, validate.Fail, "the secret holds something else")

	w.advance(time.Minute)
	client.at = w.cloud.Clock().Now()
	w.validate()
	w.answers(validate.Equal, tokenName, validate.Pass, "it was rotated at")
}
