package apply_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/apply"
	"github.com/aistudio/secrets/migrator/internal/applytest"
	"github.com/aistudio/secrets/migrator/plan"
)

// aliased is Small with an alias of orders that moves.
func aliased(w *applytest.World) plan.Plan {
	p := applytest.Small(w)
	w.Publish("orders")
	w.Alias("orders", "live", "1")
	p.Services[0].Aliases = []string{"live"}
	return p
}

func atAlias(w *applytest.World) map[string]string {
	w.Helper()
	out, err := w.Functions.GetFunctionConfiguration(w.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("orders"), Qualifier: aws.String("live")})
	require.NoError(w, err)
	return out.Environment.Variables
}

func TestAnAliasMovesToAVersionWithTheReferences(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at, more := 0, true; more; at++ {
			w := applytest.New(t)
			p := aliased(w)
			more, _ = w.Killed(at, after, func(config aws.Config) { _, _ = apply.Run(t.Context(), config, p, w.Options()) })
			w.Must(p)
			require.Equal(t, "2", w.AliasVersion("orders", "live"), fmt.Sprint(after, at))
			require.Equal(t, w.Environment("orders"), atAlias(w))
			versions, err := w.Functions.ListVersionsByFunction(t.Context(), &lambda.ListVersionsByFunctionInput{FunctionName: aws.String("orders")})
			require.NoError(t, err)
			require.Len(t, versions.Versions, 3, "one was published")
		}
	}
}

func TestAnAliasFromDualReadToFinal(t *testing.T) {
	w := applytest.New(t)
	p := aliased(w)
	w.Must(p)
	o := w.Options()
	o.Mode = plan.Final
	for at, more := 0, true; more; at++ {
		more, _ = w.Killed(at, true, func(config aws.Config) { _, _ = apply.Run(t.Context(), config, p, o) })
	}
	require.True(t, w.Apply(p, o).Complete)
	assert.Equal(t, "3", w.AliasVersion("orders", "live"))
	assert.Equal(t, map[string]string{"API_KEY_SECRET_ID": "acme/dev/orders/api-key", "LOG_LEVEL": "info"}, atAlias(w))
	s := w.State().Services["lambda/orders"]
	assert.Equal(t, []string{"2", "3"}, s.Versions)
	assert.Equal(t, "1", s.Aliases[0].Old)
}

// An alias must not bring along what is in $LATEST and isn't deployed yet, and one
// that divides its traffic is somebody's deployment.
func TestAnAliasThatIsNotWhatLatestIs(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*applytest.World)
		want   string
	}{
		"another environment": {func(w *applytest.World) { w.Set("orders", "RELEASE", "7") }, "which isn't what $LATEST is"},
		"another timeout": {func(w *applytest.World) {
			_, err := w.Functions.UpdateFunctionConfiguration(w.Context(), &lambda.UpdateFunctionConfigurationInput{FunctionName: aws.String("orders"), Timeout: aws.Int32(9)})
			require.NoError(w, err)
		}, "which isn't what $LATEST is"},
		"another network": {func(w *applytest.World) {
			_, err := w.Functions.UpdateFunctionConfiguration(w.Context(), &lambda.UpdateFunctionConfigurationInput{
				FunctionName: aws.String("orders"), VpcConfig: &lambdatypes.VpcConfig{SubnetIds: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}},
			})
			require.NoError(w, err)
			w.Advance(time.Minute)
		}, "which isn't what $LATEST is"},
		"divided traffic": {func(w *applytest.World) {
			w.Set("orders", "RELEASE", "7")
			w.Publish("orders")
			_, err := w.Functions.UpdateAlias(w.Context(), &lambda.UpdateAliasInput{
				FunctionName: aws.String("orders"), Name: aws.String("live"), RoutingConfig: &lambdatypes.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"2": 0.1}},
			})
			require.NoError(w, err)
		}, "divides its traffic"},
	} {
		t.Run(name, func(t *testing.T) {
			w := applytest.New(t)
			p := aliased(w)
			c.change(w)
			assert.Contains(t, applytest.Failures(w.Apply(p, w.Options()))["lambda/orders"], c.want)
			assert.NotContains(t, w.Environment("orders"), "API_KEY_SECRET_ID")
		})
	}
}

// Somebody else edits a function before each of the calls: the edit is there
// afterwards, and what it concerns is told.
func TestSomebodyElseEditsAFunctionAtEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("an apply for each call")
	}
	for name, c := range map[string]struct{ variable, value string }{
		"another variable":    {"RELEASE", "7"},
		"the secret itself":   {"API_KEY", "canary-other"},
		"the reference":       {"API_KEY_SECRET_ID", "another/secret"},
		"the variable is off": {"API_KEY", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for at, more := 0, true; more; at++ {
				w := applytest.New(t)
				p := applytest.Small(w)
				o := w.Options()
				o.Only = []string{"lambda/orders"}
				edited := false
				var result apply.Result
				var err error
				w.Observed(func(call int) {
					if call == at {
						edited = true
						w.Set("orders", c.variable, c.value)
					}
				}, func(config aws.Config) { result, err = apply.Run(t.Context(), config, p, o) })
				if more = edited; !more {
					break
				}
				now, there := w.Environment("orders")[c.variable]
				require.Equal(t, c.value, now, "at call %d it was overwritten: %+v", at, result.Steps)
				require.Equal(t, c.value != "", there)
				assert.NotContains(t, fmt.Sprintf("%+v %v", result, err), "canary-")
			}
		})
	}
}
