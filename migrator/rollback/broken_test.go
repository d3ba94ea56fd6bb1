package rollback_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/rollback"
)

// failed tells of a function whose last update failed, until there is another.
type failed struct {
	aws.HTTPClient
	updated bool
}

func (f *failed) Do(request *http.Request) (*http.Response, error) {
	out, err := f.HTTPClient.Do(request)
	if err != nil || !strings.HasSuffix(request.URL.Path, "orders/configuration") {
		return out, err
	}
	if f.updated = f.updated || request.Method == http.MethodPut; f.updated {
		return out, nil
	}
	text, err := io.ReadAll(out.Body)
	text = bytes.Replace(text, []byte(`"LastUpdateStatus":"Successful"`), []byte(`"LastUpdateStatus":"Failed","LastUpdateStatusReasonCode":"EniLimitExceeded"`), 1)
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	out.Header.Del("Content-Length")
	return out, err
}

// An update that failed, perhaps the migration's own, is no reason not to go back:
// Lambda takes the next one.
func TestAFunctionWhoseUpdateFailedGoesBack(t *testing.T) {
	w := applytest.New(t)
	w.Must(applytest.Small(w))
	client := &failed{HTTPClient: w.Config.HTTPClient}
	if client.HTTPClient == nil {
		client.HTTPClient = http.DefaultClient
	}
	config := w.Config.Copy()
	config.HTTPClient = client
	result, err := rollback.Run(t.Context(), config, options(w))
	require.NoError(t, err)
	assert.True(t, result.Complete, "%+v", result.Steps)
	assert.True(t, client.updated)
	checkOld(w)
}

// Deployments go on during a soak, and aren't undone.
func TestADeploymentSinceTheSwitchStays(t *testing.T) {
	c := applytest.NewContainers(t)
	p, old := applytest.Web(c, plan.ByInjection)
	c.Must(p)
	other := c.Register("web", map[string]string{"RELEASE": "2"}, nil)
	c.Deploy("web", other)
	c.Advance(time.Hour)
	assert.Contains(t, failures(back(c.World, options(c.World)))["ecs/main/web"], "deploy a revision, the way that was, which has the variables as "+old)
	assert.Equal(t, other, c.Running("web"))
}
