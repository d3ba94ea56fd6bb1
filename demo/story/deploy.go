package story

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/program"
	"github.com/aistudio/secrets/localcloud/pulumi/handlers"
	"github.com/aistudio/secrets/localcloud/pulumi/mocks"
)

const (
	project = "aistudio-secrets"
	stack   = "dev"

	mockEngine = "Pulumi's mock monitor (no engine)"
)

// deploy runs the same Pulumi program as `pulumi up`, with the development
// stack's configuration. Only where the database server is and what machine
// runs the functions differs from the file.
func (w *World) deploy(ctx context.Context, options Options) (string, error) {
	config, err := program.ReadStackFile(options.path("Pulumi." + stack + ".yaml"))
	if err != nil {
		return "", err
	}
	for _, change := range []struct {
		key, entry string
		values     map[string]any
	}{
		{"databases", "main", map[string]any{"host": w.Postgres.Host, "port": w.Postgres.Port}},
		{"rotators", "database", map[string]any{"architecture": architecture(), "caFile": w.Postgres.CAFile}},
	} {
		if err := override(config, project+":"+change.key, change.entry, change.values); err != nil {
			return "", err
		}
	}
	artifacts, err := filepath.Abs(options.path(options.Artifacts))
	if err != nil {
		return "", fmt.Errorf("find the Lambda zips: %w", err)
	}
	run := program.New(program.Options{Artifacts: artifacts})
	if options.Pulumi != "" {
		return w.deployWithEngine(ctx, options, config, run)
	}
	w.Engine = mockEngine
	monitor, err := mocks.New(ctx, handlers.Config{Region: Region, Endpoint: w.Cloud.URL()})
	if err != nil {
		return "", fmt.Errorf("prepare the deployment: %w", err)
	}
	err = pulumi.RunErr(run, pulumi.WithMocks(project, stack, monitor), func(info *pulumi.RunInfo) { info.Config = config })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d resources by %s", len(monitor.Resources()), w.Engine), nil
}

// override changes values of one entry of a key that holds a map of entries.
func override(config map[string]string, key, entry string, values map[string]any) error {
	entries := map[string]map[string]any{}
	if err := json.Unmarshal([]byte(config[key]), &entries); err != nil {
		return fmt.Errorf("read %s of the stack's configuration: %w", key, err)
	}
	if entries[entry] == nil {
		return fmt.Errorf("the stack's configuration has no %s.%s", key, entry)
	}
	for name, value := range values {
		entries[entry][name] = value
	}
	changed, err := json.Marshal(entries)
	if err != nil {
		return fmt.Errorf("change %s of the stack's configuration: %w", key, err)
	}
	config[key] = string(changed)
	return nil
}

// architecture is this machine's, as Lambda calls it: the emulator runs the
// real binaries and so can't run another's.
func architecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}
