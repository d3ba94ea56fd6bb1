package apply_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
)

// sick lets Lambda tell something else of a function than it is.
type sick struct {
	aws.HTTPClient
	function, instead string
	of                string // a piece of the answer
	since             string // method of a request about the function before which it tells the truth; "": never
}

func (s *sick) Do(request *http.Request) (*http.Response, error) {
	out, err := s.HTTPClient.Do(request)
	if err != nil || !strings.HasSuffix(request.URL.Path, s.function+"/configuration") {
		return out, err
	}
	if request.Method == s.since {
		s.since = ""
	}
	if s.since != "" || request.Method != http.MethodGet {
		return out, nil
	}
	text, err := io.ReadAll(out.Body)
	text = bytes.Replace(text, []byte(s.of), []byte(s.instead), 1)
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	out.Header.Del("Content-Length")
	return out, err
}

// A function that is out of order before the migration comes to it stays as it is
// and holds up nothing but itself. When it is mended the next run completes all.
func TestAFunctionThatIsOutOfOrderHoldsUpNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		of, instead, want string
		unread            bool // its value can't be read either
	}{
		"failed":             {`"State":"Active"`, `"State":"Failed","StateReasonCode":"InvalidRuntime"`, "it is in the state Failed (InvalidRuntime)", false},
		"its update failed":  {`"LastUpdateStatus":"Successful"`, `"LastUpdateStatus":"Failed","LastUpdateStatusReasonCode":"EniLimitExceeded"`, "its last update failed (EniLimitExceeded)", false},
		"its update hangs":   {`"LastUpdateStatus":"Successful"`, `"LastUpdateStatus":"InProgress"`, "an update is under way for more than 10m0s", true},
		"its key is refused": {`"Environment":{`, `"Environment":{"Error":{"ErrorCode":"AccessDeniedException","Message":"no"},`, "its environment can't be decrypted (AccessDeniedException)", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := applytest.New(t)
			p := applytest.Small(w)
			well := w.Config
			w.Config.HTTPClient = &sick{HTTPClient: cmp.Or[aws.HTTPClient](well.HTTPClient, http.DefaultClient), function: "orders", of: c.of, instead: c.instead}
			o := w.Options()
			for _, o.DryRun = range []bool{true, false} {
				result := w.Apply(p, o)
				assert.False(t, result.Complete)
				failures := applytest.Failures(result)
				assert.Contains(t, failures["lambda/orders"], c.want)
				assert.Contains(t, failures["lambda/orders"], "mend it first")
				delete(failures, "lambda/orders")
				if c.unread {
					assert.Contains(t, failures["acme/dev/orders/api-key"], c.want)
					delete(failures, "acme/dev/orders/api-key")
				}
				assert.Empty(t, failures)
				assert.NotContains(t, fmt.Sprint(result), "canary")
			}
			assert.Equal(t, journal.Healthy, w.State().Services["lambda/mail"].Status)
			assert.Empty(t, w.State().Services["lambda/orders"].Status)
			assert.NotContains(t, w.Environment("orders"), "API_KEY_SECRET_ID")

			// Also where waves are done one by one.
			for _, o.Wave = range []int{2, 1} {
				result := w.Apply(p, o)
				assert.Equal(t, o.Wave == 2, result.Complete, "%+v", result.Steps)
			}
			w.Config = well
			w.Must(p)
			applytest.CheckSmall(w)
		})
	}
}

// A function that is out of order can be compared with the plan all the same.
func TestAFunctionThatIsOutOfOrderAndHasChanged(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	w.Set("orders", "API_KEY", "canary-other")
	w.Config.HTTPClient = &sick{HTTPClient: cmp.Or[aws.HTTPClient](w.Config.HTTPClient, http.DefaultClient), function: "orders", of: `"State":"Active"`, instead: `"State":"Failed"`}
	_, err := apply.Run(t.Context(), w.Config, p, w.Options())
	changed := &apply.ChangedError{}
	require.ErrorAs(t, err, &changed)
	assert.Equal(t, []string{"lambda/orders: variable API_KEY has another value"}, changed.Changes)
}

// What isn't there any more isn't out of order: somebody must say that it is left
// out.
func TestAFunctionThatIsGoneHoldsUpTheNextWave(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	w.Remove("orders")
	o := w.Options()
	o.Wave = 2
	assert.Equal(t, map[string]string{"lambda/mail": "held up: lambda/orders of an earlier wave isn't at its new secrets and healthy"}, applytest.Failures(w.Apply(p, o)))
}

// What its own switch has put out of order does hold up the waves after it.
func TestAFunctionThatItsSwitchPutOutOfOrderHoldsUpTheNextWave(t *testing.T) {
	w := applytest.New(t)
	p := applytest.Small(w)
	well := w.Config
	w.Config.HTTPClient = &sick{HTTPClient: cmp.Or[aws.HTTPClient](well.HTTPClient, http.DefaultClient), function: "orders", since: http.MethodPut,
		of: `"LastUpdateStatus":"Successful"`, instead: `"LastUpdateStatus":"Failed"`}
	for range 2 {
		failures := applytest.Failures(w.Apply(p, w.Options()))
		assert.Contains(t, failures["lambda/orders"], "its last update failed")
		assert.Contains(t, failures["lambda/mail"], "held up: lambda/orders")
	}
	w.Config = well
	w.Must(p)
	applytest.CheckSmall(w)
}

// A service whose deployment failed before the migration came to it isn't
// touched, and holds up nothing but itself.
func TestAServiceOfECSThatIsOutOfOrderHoldsUpNothingElse(t *testing.T) {
	for name, breaker := range map[string]*ecstypes.DeploymentConfiguration{
		"the circuit breaker opened": {DeploymentCircuitBreaker: &ecstypes.DeploymentCircuitBreaker{Enable: true}},
		"its tasks don't start":      {},
	} {
		t.Run(name, func(t *testing.T) {
			c := applytest.NewContainers(t)
			web, old := applytest.Web(c, plan.ByInjection)
			small := applytest.Small(c.World)
			for i := range small.Services {
				small.Services[i].Wave = 2
			}
			p := c.Plan(append(web.Secrets, small.Secrets...), append(web.Services, small.Services...))
			deploy := func() {
				_, err := c.Tasks.UpdateService(t.Context(), &ecs.UpdateServiceInput{
					Cluster: &c.Cluster, Service: aws.String("web"), ForceNewDeployment: true, DeploymentConfiguration: breaker,
				})
				require.NoError(t, err)
				c.Advance(time.Hour)
			}
			_, err := c.Roles.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("service"), PolicyName: aws.String("parameters")})
			require.NoError(t, err)
			deploy()

			o := c.Options()
			for _, o.DryRun = range []bool{true, false} {
				result := c.Apply(p, o)
				assert.False(t, result.Complete)
				failures := applytest.Failures(result)
				assert.Contains(t, failures["ecs/main/web"], "it wasn't switched: it doesn't reach a steady state")
				assert.Len(t, failures, 1)
			}
			for _, id := range []string{"lambda/orders", "lambda/mail"} {
				assert.Equal(t, journal.Healthy, c.State().Services[id].Status, id)
			}
			assert.Empty(t, c.State().Services["ecs/main/web"].Status)
			assert.Equal(t, []string{old}, c.Revisions("web"))

			c.AllowParameters()
			deploy()
			c.Must(p)
			applytest.CheckWeb(c, old)
		})
	}
}
