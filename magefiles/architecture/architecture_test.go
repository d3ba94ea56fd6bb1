package architecture_test

import (
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/magefiles/architecture"
)

// The project itself keeps its rules.
func TestThisTree(t *testing.T) {
	violations, err := architecture.Check(os.DirFS("../.."))
	require.NoError(t, err)
	for _, violation := range violations {
		t.Error(violation)
	}
}

// sound is a small tree that breaks no rule.
var sound = map[string]string{
	"go.work":                      "go 1.26\nuse (\n./sdk\n./rotators\n./infra\n./localcloud\n./localcloud/pulumi\n)\n",
	"sdk/go.mod":                   "module github.com/aistudio/secrets/sdk\nrequire golang.org/x/sync v0.25.0\n",
	"sdk/secrets.go":               "package secrets\nimport (\n_ \"context\"\n_ \"golang.org/x/sync/singleflight\"\n_ \"github.com/aistudio/secrets/sdk/spec\"\n)\n",
	"sdk/spec/spec.go":             "package spec\n",
	"rotators/go.mod":              "module github.com/aistudio/secrets/rotators\nrequire (\ngithub.com/aistudio/secrets/sdk v0.0.0\ngithub.com/jackc/pgx/v5 v5.12.0\ngolang.org/x/sync v0.25.0 // indirect\n)\nreplace github.com/aistudio/secrets/sdk => ../sdk\n",
	"rotators/cmd/rotate/main.go":  "package main\nimport _ \"github.com/aistudio/secrets/sdk\"\nfunc main() {}\n",
	"rotators/rotator_test.go":     "package rotators\nimport _ \"github.com/aistudio/secrets/localcloud\"\nfunc init() {}\n",
	"infra/go.mod":                 "module github.com/aistudio/secrets/infra\n",
	"infra/infra.go":               "package infra\nimport _ \"github.com/aistudio/secrets/sdk/spec\"\n",
	"localcloud/go.mod":            "module github.com/aistudio/secrets/localcloud\n",
	"localcloud/localcloud.go":     "package localcloud\n",
	"localcloud/pulumi/go.mod":     "module github.com/aistudio/secrets/localcloud/pulumi\nrequire github.com/aistudio/secrets/localcloud v0.0.0\nreplace github.com/aistudio/secrets/localcloud => ../\n",
	"localcloud/pulumi/plug.go":    "package plug\nimport _ \"github.com/aistudio/secrets/localcloud\"\n",
	"tools/hammer/go.mod":          "module github.com/aistudio/secrets/tools/hammer\ntool example.com/hammer/cmd/hammer\nrequire example.com/hammer v1.0.0 // indirect\nrequire golang.org/x/sync v0.1.0 // indirect\n",
	"sdk/testdata/broken.go":       "this is not Go",
	".localcloud/left/over.go":     "package util\n",
	architecture.DependencyPage:    "# Why\n\n## `sdk`\n\n- `golang.org/x/sync`: joins calls.\n\n## `rotators`\n\n- `github.com/jackc/pgx/v5`: talks to PostgreSQL.\n\n## `tools/hammer`\n\n- `example.com/hammer`: hits.\n",
	"demo.txt":                     "no code",
	"rotators/internal/x/x_abi.go": "package x\n",
}

func treeOf(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, content := range files {
		tree[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return tree
}

func TestSoundTree(t *testing.T) {
	violations, err := architecture.Check(treeOf(sound))
	require.NoError(t, err)
	assert.Empty(t, violations)
}

// Each rule is broken once; the checker must say where and by which rule.
func TestEachRuleCanFail(t *testing.T) {
	tests := []struct {
		name    string
		changes map[string]string
		place   string
		rule    string
	}{
		{
			name:    "sdk imports a rotator",
			changes: map[string]string{"sdk/spec/spec.go": "package spec\nimport _ \"github.com/aistudio/secrets/rotators/database\"\n"},
			place:   "sdk/spec/spec.go:2",
			rule:    "sdk may not import github.com/aistudio/secrets/rotators/database",
		},
		{
			name:    "a rotator imports the emulator outside of tests",
			changes: map[string]string{"rotators/internal/x/x.go": "package x\nimport _ \"github.com/aistudio/secrets/localcloud\"\n"},
			place:   "rotators/internal/x/x.go:2",
			rule:    "rotators may not import github.com/aistudio/secrets/localcloud",
		},
		{
			name:    "behind a build tag too",
			changes: map[string]string{"rotators/x_windows.go": "//go:build never\n\npackage rotators\nimport _ \"github.com/aistudio/secrets/localcloud\"\n"},
			place:   "rotators/x_windows.go:4",
			rule:    "rotators may not import",
		},
		{
			name:    "infra imports the client",
			changes: map[string]string{"infra/infra.go": "package infra\nimport _ \"github.com/aistudio/secrets/sdk\"\n"},
			place:   "infra/infra.go:2",
			rule:    "infra may not import github.com/aistudio/secrets/sdk:",
		},
		{
			name:    "infra imports a package whose name only begins like spec",
			changes: map[string]string{"infra/infra.go": "package infra\nimport _ \"github.com/aistudio/secrets/sdk/special\"\n"},
			place:   "infra/infra.go:2",
			rule:    "infra may not import",
		},
		{
			name:    "the emulator imports the product",
			changes: map[string]string{"localcloud/pulumi/plug.go": "package plug\nimport _ \"github.com/aistudio/secrets/sdk/spec\"\n"},
			place:   "localcloud/pulumi/plug.go:2",
			rule:    "localcloud may not import",
		},
		{
			name:    "a part that nobody knows",
			changes: map[string]string{"novelty/x.go": "package novelty\nimport _ \"github.com/aistudio/secrets/sdk\"\n"},
			place:   "novelty/x.go:2",
			rule:    "no row in the table of imports",
		},
		{
			name:    "the sdk's root needs too much",
			changes: map[string]string{"sdk/secrets.go": "package secrets\nimport _ \"go.opentelemetry.io/otel\"\n"},
			place:   "sdk/secrets.go:2",
			rule:    "reaches go.opentelemetry.io/otel",
		},
		{
			name:    "the sdk's root needs too much through a package of ours",
			changes: map[string]string{"sdk/spec/spec.go": "package spec\nimport _ \"github.com/aws/aws-sdk-go-v2/service/dynamodb\"\n"},
			place:   "sdk/spec/spec.go:2",
			rule:    "reaches github.com/aws/aws-sdk-go-v2/service/dynamodb",
		},
		{
			name:    "the sdk requires a neighbour",
			changes: map[string]string{"sdk/go.mod": "module github.com/aistudio/secrets/sdk\nrequire golang.org/x/sync v0.25.0\nrequire github.com/aistudio/secrets/localcloud v0.0.0\nreplace github.com/aistudio/secrets/localcloud => ../localcloud\n"},
			place:   "sdk/go.mod",
			rule:    "sdk may not require localcloud",
		},
		{
			name:    "a neighbour that isn't replaced",
			changes: map[string]string{"localcloud/pulumi/go.mod": "module github.com/aistudio/secrets/localcloud/pulumi\nrequire github.com/aistudio/secrets/localcloud v0.0.0\n"},
			place:   "localcloud/pulumi/go.mod",
			rule:    "doesn't build alone",
		},
		{
			name:    "a module with a wrong name",
			changes: map[string]string{"infra/go.mod": "module github.com/aistudio/secrets/infrastructure\n"},
			place:   "infra/go.mod",
			rule:    "name it github.com/aistudio/secrets/infra",
		},
		{
			name:    "a module outside go.work",
			changes: map[string]string{"sdk/otel/go.mod": "module github.com/aistudio/secrets/sdk/otel\n"},
			place:   "sdk/otel/go.mod",
			rule:    "not in go.work",
		},
		{
			name: "a tool inside go.work",
			changes: map[string]string{
				"go.work":             sound["go.work"] + "use ./tools/hammer\n",
				"tools/hammer/go.mod": strings.Replace(sound["tools/hammer/go.mod"], "sync v0.1.0", "sync v0.25.0", 1),
			},
			place: "tools/hammer/go.mod",
			rule:  "must not be in go.work",
		},
		{
			name:    "two versions of one dependency",
			changes: map[string]string{"rotators/go.mod": strings.Replace(sound["rotators/go.mod"], "sync v0.25.0", "sync v0.24.0", 1)},
			place:   "rotators/go.mod",
			rule:    "golang.org/x/sync is required in v0.24.0, and in v0.25.0 elsewhere: cd rotators && GOWORK=off go get golang.org/x/sync@v0.25.0",
		},
		{
			name:    "a package with an empty name",
			changes: map[string]string{"sdk/internal/helpers/x.go": "package helpers\n"},
			place:   "sdk/internal/helpers/x.go:1",
			rule:    "name the package after what it holds",
		},
		{
			name:    "an init function",
			changes: map[string]string{"sdk/spec/spec.go": "package spec\n\nfunc init() {}\n"},
			place:   "sdk/spec/spec.go:3",
			rule:    "an init function",
		},
		{
			name:    "a long main",
			changes: map[string]string{"rotators/cmd/rotate/main.go": "package main\n\nfunc main() {\n" + strings.Repeat("\n", 56) + "}\n"},
			place:   "rotators/cmd/rotate/main.go",
			rule:    "60 lines: a main.go wires",
		},
		{
			name:    "a dependency without a reason",
			changes: map[string]string{"infra/go.mod": "module github.com/aistudio/secrets/infra\nrequire gopkg.in/yaml.v3 v3.0.1\n"},
			place:   "infra/go.mod",
			rule:    "gopkg.in/yaml.v3 is required, and docs/dependencies.md doesn't say why",
		},
		{
			name:    "a tool without a reason",
			changes: map[string]string{architecture.DependencyPage: strings.Replace(sound[architecture.DependencyPage], "- `example.com/hammer`: hits.\n", "", 1)},
			place:   "tools/hammer/go.mod",
			rule:    "example.com/hammer is required",
		},
		{
			name:    "a reason without a dependency",
			changes: map[string]string{"sdk/go.mod": "module github.com/aistudio/secrets/sdk\n"},
			place:   "docs/dependencies.md:5",
			rule:    "sdk has no direct dependency golang.org/x/sync",
		},
		{
			name:    "a dependency without a why",
			changes: map[string]string{architecture.DependencyPage: sound[architecture.DependencyPage] + "- `example.com/x`:\n"},
			place:   "docs/dependencies.md:14",
			rule:    "write the line as",
		},
		{
			name:    "no page",
			changes: map[string]string{architecture.DependencyPage: ""},
			place:   "docs/dependencies.md",
			rule:    "the page is missing",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := maps.Clone(sound)
			for name, content := range test.changes {
				files[name] = content
				if content == "" {
					delete(files, name)
				}
			}
			violations, err := architecture.Check(treeOf(files))
			require.NoError(t, err)
			require.Len(t, violations, 1)
			assert.Equal(t, test.place, violations[0].Place)
			assert.Contains(t, violations[0].Rule, test.rule)
		})
	}
}

// A main.go of 59 lines is the longest that passes.
func TestLongestMain(t *testing.T) {
	files := maps.Clone(sound)
	files["rotators/cmd/rotate/main.go"] = "package main\n\nfunc main() {\n" + strings.Repeat("\n", 55) + "}\n"
	violations, err := architecture.Check(treeOf(files))
	require.NoError(t, err)
	assert.Empty(t, violations)
}

// What can't be read is an error and not a clean tree.
func TestUnreadableTrees(t *testing.T) {
	for name, changes := range map[string]map[string]string{
		"no go.work":              {"go.work": ""},
		"Go that doesn't parse":   {"sdk/spec/spec.go": "package spec\nfunc {"},
		"a go.mod without a name": {"sdk/go.mod": "go 1.26\n"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(sound)
			for name, content := range changes {
				files[name] = content
				if content == "" {
					delete(files, name)
				}
			}
			_, err := architecture.Check(treeOf(files))
			require.Error(t, err)
		})
	}
}
