package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/plan"
)

// A block that still holds can't be edited away.
func TestABlockThatWasEditedAwayStillBlocks(t *testing.T) {
	w := newWorld(t)
	w.function(function{name: "orders", environment: map[string]string{"PARTNER_API_KEY": w.canary()}})
	w.function(function{name: "of-terraform", tags: map[string]string{"ManagedBy": "terraform"}, environment: map[string]string{"PARTNER_API_KEY": w.canary()}})
	var p plan.Plan
	w.want(exitFindings, &p, "plan", stack)
	require.Len(t, p.Blocked, 1)
	p.Blocked = nil
	var text bytes.Buffer
	require.NoError(t, plan.Write(&text, p))
	require.NoError(t, os.WriteFile(w.folder()+"/plan.yaml", text.Bytes(), 0o600))
	before := w.environment("of-terraform")
	for _, args := range [][]string{{"--dry-run"}, {"--yes"}, {"--yes", "--only", "lambda/of-terraform"}} {
		code, _, said := w.migrate(append([]string{"apply", stack}, args...)...)
		assert.Equal(t, exitCouldNot, code, args)
		assert.Contains(t, said, "lambda/of-terraform: ")
		assert.Contains(t, said, "nothing was changed")
	}
	assert.Equal(t, before, w.environment("of-terraform"))
	assert.NotContains(t, w.environment("orders"), "PARTNER_API_KEY_SECRET_ID")

	// What it isn't about isn't held up; nor is a run that goes on.
	w.want(exitDone, nil, "apply", stack, "--yes", "--only", "lambda/orders")
	w.want(exitDone, nil, "apply", stack, "--yes", "--only", "lambda/orders")
	assert.Contains(t, w.environment("orders"), "PARTNER_API_KEY_SECRET_ID")
}
