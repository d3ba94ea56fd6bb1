package program_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/catalogue"
)

// checkBudget has the month cost more than planned: who has subscribed is told,
// which takes the policies of the topic and of its key.
func (w *world) checkBudget(t *testing.T) {
	spend := func(actual, forecast float64) []string {
		w.receive(t, "on-call")
		require.NoError(t, w.cloud.Spend(t.Context(), actual, forecast))
		require.NoError(t, w.cloud.Settle(t.Context()))
		var told []string
		for _, message := range w.receive(t, "on-call") {
			if strings.Contains(message, "aistudio-dev-secrets") {
				told = append(told, message)
			}
		}
		return told
	}
	assert.Empty(t, spend(24, 30), "80 per cent of $30, and its forecast")
	assert.Len(t, spend(24.01, 30), 1)
	assert.Len(t, spend(25, 30.01), 1)
	assert.Len(t, spend(31, 40), 1)
	assert.Empty(t, spend(32, 41), "each once a month")
}

// Without a budget nobody but the stack's own may publish, and by tag it counts
// what has the stack's tag.
func TestBudget(t *testing.T) {
	const token = "aws:budgets/budget:Budget"
	config := stackConfig(t, "prod")
	config[catalogue.KeyBudget] = `{"monthlyUSD": 12.5, "byTag": true, "emails": ["a@b.example"]}`
	record := &recorder{next: paperFor("prod")}
	require.NoError(t, deploy(record, config, artifacts(t)))
	inputs := record.named(token)["budget"].Inputs.Mappable()
	assert.Equal(t, "12.5", inputs["limitAmount"])
	assert.Equal(t, []any{map[string]any{"name": "TagKeyValue", "values": []any{"user:Environment$prod"}}}, inputs["costFilters"])
	for _, notification := range inputs["notifications"].([]any) {
		assert.Equal(t, []any{"a@b.example"}, notification.(map[string]any)["subscriberEmailAddresses"])
	}

	config[catalogue.KeyBudget] = `{"off": true}`
	record = &recorder{next: paperFor("prod")}
	require.NoError(t, deploy(record, config, artifacts(t)))
	assert.Empty(t, record.named(token))
	for _, p := range collectPolicies(t, record) {
		for _, statement := range p.document {
			if statement.Principal != nil {
				assert.NotContains(t, statement.Principal.Service, "budgets.amazonaws.com", p.where)
			}
		}
	}
}
