package custom_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"

	lambdahandler "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/custom"
	"github.com/aistudio/secrets/rotators/internal/rotatortest"
	"github.com/aistudio/secrets/rotators/rotation"
)

const gateVariable = "GATE"

func TestMain(m *testing.M) {
	if os.Getenv(gateVariable) != "" {
		lambdahandler.Start(applyToGate)
		return
	}
	rotatortest.Main(m)
}

// applyToGate is this test binary as the function that applies values: it reads
// them from Secrets Manager, but for a seed's.
func applyToGate(ctx context.Context, call custom.Call) (custom.Answer, error) {
	values := call.Values
	if values == nil {
		aws, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return custom.Answer{}, err
		}
		client := secretsmanager.NewFromConfig(aws)
		values = map[string]string{}
		for name, id := range call.Versions {
			output, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &call.SecretID, VersionId: &id})
			if err != nil {
				return custom.Answer{}, err
			}
			values[name] = *output.SecretString
		}
	}
	call.Values = values
	body, err := json.Marshal(call)
	if err != nil {
		return custom.Answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv(gateVariable), bytes.NewReader(body))
	if err != nil {
		return custom.Answer{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return custom.Answer{}, err
	}
	if err := response.Body.Close(); err != nil {
		return custom.Answer{}, err
	}
	if response.StatusCode != http.StatusOK {
		return custom.Answer{}, errors.New("canary: the gate doesn't know the value " + values["pending"])
	}
	return custom.Answer{Outcome: custom.OutcomeDone}, nil
}

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
		Name: "gate", Program: rotatortest.Self(t), Environment: map[string]string{gateVariable: server.URL},
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
	_, err = custom.New(custom.Options{}, function).Verify(t.Context(), rotation.VerifyRequest{SecretARN: e.ARN, Token: version, Pending: verify.Pending})
	require.ErrorContains(t, err, "it failed with errorString")
	for _, hidden := range []string{"canary", value} {
		assert.False(t, bytes.Contains(fmt.Append(nil, err), []byte(hidden)), "the function's message is in the error")
	}
}
