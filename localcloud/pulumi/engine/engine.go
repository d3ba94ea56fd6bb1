// Package engine runs Pulumi programs with the real Pulumi engine, offline, and
// deploys them into a local cloud.
//
// An Engine keeps everything that Pulumi writes in one folder: its home, the
// state of the stacks, the passphrase that encrypts secrets in it. It needs no
// network but the loopback interface, no account with Pulumi, and no language
// host, since the programs are Go functions (Pulumi's Automation API calls them
// inline).
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	// pluginPackage is the Go package of the plugin.
	pluginPackage = "github.com/aistudio/secrets/localcloud/pulumi/cmd/pulumi-resource-aws"
	// pluginName is the name under which the engine looks for it.
	pluginName = "pulumi-resource-aws"
	// packageName is the Pulumi package that the plugin answers for.
	packageName = "aws"
)

// Options say what an engine is made of. All are required but Environment.
type Options struct {
	// CLI is the path of the pulumi command, of a version that fits Pulumi's Go
	// SDK (see the module's go.mod).
	CLI string
	// Plugin is the path of the folder that holds pulumi-resource-aws. See
	// BuildPlugin.
	Plugin string
	// Dir is the folder for all that Pulumi writes. It is made if need be; with
	// one used before, the stacks in it are there again.
	Dir string
	// Endpoint is the URL of the local cloud. A stack's configuration can name
	// another with aws:endpoints.
	Endpoint string
	// Environment holds more variables for the Pulumi CLI and the plugin.
	Environment map[string]string
}

// Engine runs programs. It is safe for concurrent use, on different stacks.
type Engine struct {
	plugin      string
	home        string
	work        string
	command     auto.PulumiCommand
	environment map[string]string
}

// New prepares an engine. It runs the CLI once, to learn its version.
func New(options Options) (*Engine, error) {
	plugin, err := executableIn(options.Plugin, pluginName)
	if err != nil {
		return nil, fmt.Errorf("find the plugin for package aws: %w; build it with BuildPlugin", err)
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, fmt.Errorf("find Pulumi's folder %s: %w", options.Dir, err)
	}
	e := &Engine{plugin: plugin, home: filepath.Join(dir, "home"), work: filepath.Join(dir, "work")}
	state := filepath.Join(dir, "state")
	for _, folder := range []string{e.home, e.work, state} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("make Pulumi's folder: %w", err)
		}
	}
	if e.command, err = command(options.CLI, filepath.Join(dir, "cli")); err != nil {
		return nil, err
	}
	passphrase, err := passphraseIn(dir)
	if err != nil {
		return nil, err
	}
	e.environment = map[string]string{
		"AWS_ENDPOINT_URL":                            options.Endpoint,
		"PULUMI_BACKEND_URL":                          "file://" + filepath.ToSlash(state),
		"PULUMI_CONFIG_PASSPHRASE":                    passphrase,
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
		"PULUMI_SKIP_UPDATE_CHECK":                    "true",
	}
	for name, value := range options.Environment {
		e.environment[name] = value
	}
	return e, nil
}

// executableIn returns the absolute path of folder, in which name must be.
func executableIn(folder, name string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(filepath.Join(folder, name))
	if err != nil {
		return "", err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s in %s can't be executed", name, folder)
	}
	return folder, nil
}

// command makes Pulumi's Automation API use one CLI. The API takes the root of
// an installation, in which the command is bin/pulumi: root is made to be one.
func command(cli, root string) (auto.PulumiCommand, error) {
	cli, err := exec.LookPath(cli)
	if err != nil {
		return nil, fmt.Errorf("find the pulumi CLI: %w", err)
	}
	if cli, err = filepath.Abs(cli); err != nil {
		return nil, fmt.Errorf("find the pulumi CLI: %w", err)
	}
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for the pulumi CLI: %w", err)
	}
	link := filepath.Join(bin, "pulumi")
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("link the pulumi CLI: %w", err)
	}
	if err := os.Symlink(cli, link); err != nil {
		return nil, fmt.Errorf("link the pulumi CLI: %w", err)
	}
	command, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: root})
	if err != nil {
		return nil, fmt.Errorf("run the pulumi CLI %s: %w", cli, err)
	}
	return command, nil
}

// passphraseIn returns the passphrase kept in dir, a new one the first time. It
// protects nothing but test data and never leaves the machine.
func passphraseIn(dir string) (string, error) {
	file := filepath.Join(dir, "passphrase")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		passphrase := rand.Text()
		if err := os.WriteFile(file, []byte(passphrase), 0o600); err != nil {
			return "", fmt.Errorf("keep the passphrase of Pulumi's state: %w", err)
		}
		return passphrase, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the passphrase of Pulumi's state: %w", err)
	}
	return string(text), nil
}

// Stack returns the stack of that name, a new one if there is none, with the
// program that its deployments run. config is its configuration, for example
// "aws:region"; it is written over what the stack has. The options come after
// the engine's own, which they overrule.
func (e *Engine) Stack(ctx context.Context, project, stack string, config auto.ConfigMap, program pulumi.RunFunc, options ...auto.LocalWorkspaceOption) (auto.Stack, error) {
	// Each project has a folder of its own, since Pulumi keeps its settings
	// beside those of its stacks.
	work := filepath.Join(e.work, project)
	if err := os.MkdirAll(work, 0o700); err != nil {
		return auto.Stack{}, fmt.Errorf("make the folder of project %s: %w", project, err)
	}
	s, err := auto.UpsertStackInlineSource(ctx, stack, project, program, append([]auto.LocalWorkspaceOption{
		auto.Pulumi(e.command),
		auto.PulumiHome(e.home),
		auto.WorkDir(work),
		auto.EnvVars(e.environment),
		auto.Project(workspace.Project{
			Name:    tokens.PackageName(project),
			Runtime: workspace.NewProjectRuntimeInfo("go", nil),
			Plugins: &workspace.Plugins{
				Providers: []workspace.PluginOptions{{Name: packageName, Path: e.plugin}},
			},
		}),
	}, options...)...)
	if err != nil {
		return auto.Stack{}, fmt.Errorf("open stack %s of project %s: %w", stack, project, err)
	}
	if len(config) > 0 {
		if err := s.SetAllConfig(ctx, config); err != nil {
			return auto.Stack{}, fmt.Errorf("configure stack %s of project %s: %w", stack, project, err)
		}
	}
	return s, nil
}

// BuildPlugin builds pulumi-resource-aws into a folder, with the go command and
// from the module that the current directory is in, which must require this
// one.
func BuildPlugin(ctx context.Context, folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return fmt.Errorf("build the plugin for package aws: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(folder, pluginName), pluginPackage)
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the plugin for package aws: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}
