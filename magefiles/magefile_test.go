package main

import (
	"strings"
	"testing"

	"github.com/magefile/mage/parse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The list of targets is a manual: each has a synopsis that fits on a line of
// the list, and a help text that says more.
func TestTheTargetsReadLikeAManual(t *testing.T) {
	info, err := parse.PrimaryPackage("go", ".", []string{"magefile.go"}, false)
	require.NoError(t, err)
	assert.NotEmpty(t, info.Description)

	var names []string
	for _, target := range info.Funcs {
		name := strings.ToLower(target.TargetName())
		names = append(names, name)
		assert.NotEmpty(t, target.Synopsis, name)
		assert.LessOrEqual(t, len(target.Synopsis), 90, name)
		synopsis, more, _ := strings.Cut(target.Comment, "\n")
		assert.True(t, strings.HasSuffix(synopsis, "."), "%s: the synopsis is one line", name)
		if name != "fmt" {
			assert.NotEmpty(t, strings.TrimSpace(more), "%s: the help text says no more than the synopsis", name)
		}
	}
	assert.ElementsMatch(t, []string{
		"audit:access", "audit:report", "audit:rules", "audit:run",
		"bench", "build", "cost", "demo", "dr:drill", "dr:failback", "dr:failover", "dr:status", "fmt", "lint", "lint:vuln", "local:start",
		"migrate:apply", "migrate:cleanup", "migrate:discover", "migrate:plan", "migrate:rollback", "migrate:source", "migrate:status", "migrate:validate",
		"phase:cleanup", "phase:confirm", "phase:dev", "phase:foundation", "phase:prepare", "phase:prod", "phase:staging", "phase:status",
		"pipeline:checks", "pipeline:destroy", "pipeline:drift", "pipeline:preview", "pipeline:promote", "pipeline:up",
		"rotate:cancel", "rotate:history", "rotate:now", "rotate:rollback", "rotate:status", "rotate:unstick",
		"scorecard", "test", "test:engine", "test:race", "test:unit", "tools:install",
	}, names)
}
