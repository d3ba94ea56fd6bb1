package custom_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/internal/rotatortest"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

func TestMain(m *testing.M) { rotatortest.Main(m) }

// gate accepts two values of a secret: those of the last set.
type gate struct {
	mu       sync.Mutex
	accepted map[string]map[string]bool // by secret
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var call custom.Call
	if json.NewDecoder(r.Body).Decode(&call) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch pending := call.Values["pending"]; call.Step {
	case custom.StepSet:
		accepted := map[string]bool{pending: true}
		if current := call.Values["current"]; current != "" {
			accepted[current] = true
		}
		g.accepted[call.SecretID] = accepted
	case custom.StepTest:
		if !g.accepted[call.SecretID][pending] {
			w.WriteHeader(http.StatusConflict)
		}
	case custom.StepRetire:
		delete(g.accepted[call.SecretID], call.Values["retired"])
	}
}

// values are all that the gate accepts, sorted.
func (g *gate) values() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, accepted := range g.accepted {
		for value := range accepted {
			all = append(all, value)
		}
	}
	slices.Sort(all)
	return all
}

func TestAFunctionOfARotatorThatIsKilledAnywhere(t *testing.T) {
	e := rotatortest.NewEstate(t)
	system := &gate{accepted: map[string]map[string]bool{}}
	server := httptest.NewServer(system)
	t.Cleanup(server.Close)
	arn := rotatortest.Deploy(t, e.Cloud, rotatortest.Function{
		Name: "gate", Program: rotatortest.Build(t, "testdata/gate"), Environment: map[string]string{"GATE": server.URL},
		Statements: `{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}`,
	})
	k := &rotatortest.Killer{}
	settings := e.Cloud.Config("us-east-1")
	settings.HTTPClient = &http.Client{Transport: k}
	e.Run(k, func(*secretsmanager.Client) rotation.Target {
		function, err := custom.NewFunction(arn, lambda.NewFromConfig(settings), 0)
		require.NoError(t, err)
		return custom.New(custom.Options{}, function)
	})
	e.KillEverywhere(k, func(when string, values ...string) {
		require.True(t, slices.Equal(slices.Sorted(slices.Values(values)), system.values()), "%s: the gate doesn't accept what it should, or more", when)
	}, func(value string) bool { return slices.Contains(system.values(), value) })

	// What the function says of its failure stays in the function's own log.
	system.mu.Lock()
	clear(system.accepted)
	system.mu.Unlock()
	value, version := e.Staged("AWSCURRENT")
	function, err := custom.NewFunction(arn, lambda.NewFromConfig(e.Cloud.Config("us-east-1")), 0)
	require.NoError(t, err)
	_, err = custom.New(custom.Options{}, function).Verify(t.Context(), rotation.VerifyRequest{SecretARN: e.ARN, Token: version, Pending: spec.ValueString(value)})
	require.Error(t, err)
	assert.False(t, strings.Contains(err.Error(), value), "the function's message is in the error")
	assert.True(t, strings.Contains(err.Error(), "it failed with errorString"), "the error doesn't say how the function failed")
}
