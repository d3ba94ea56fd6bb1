package story

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	if err := w.onThisMachine(config); err != nil {
		return "", err
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

// onThisMachine changes the stack's configuration to the server that runs and to
// functions that this machine can run.
func (w *World) onThisMachine(config map[string]string) error {
	for key, changeIt := range map[string]func(object) error{
		"databases": func(databases object) error {
			return databases.set("main", object{"host": w.Postgres.Host, "port": w.Postgres.Port})
		},
		"rotators": func(rotators object) error {
			for name := range rotators {
				if err := rotators.set(name, object{"architecture": architecture()}); err != nil {
					return err
				}
			}
			return rotators.set("database", object{"caFile": w.Postgres.CAFile})
		},
		"cache": func(cache object) error {
			cache["architectures"] = []string{architecture()}
			return nil
		},
		"events": func(events object) error {
			events["architecture"] = architecture()
			return nil
		},
		"audit": func(audit object) error {
			audit["architecture"] = architecture()
			return nil
		},
	} {
		key = project + ":" + key
		value := object{}
		if err := json.Unmarshal([]byte(config[key]), &value); err != nil {
			return fmt.Errorf("read %s of the stack's configuration: %w", key, err)
		}
		if err := changeIt(value); err != nil {
			return fmt.Errorf("change %s of the stack's configuration: %w", key, err)
		}
		changed, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("change %s of the stack's configuration: %w", key, err)
		}
		config[key] = string(changed)
	}
	return nil
}

// object is one of the configuration's.
type object map[string]any

// set changes values of an entry that is itself an object.
func (o object) set(entry string, values object) error {
	inner, ok := o[entry].(map[string]any)
	if !ok {
		return fmt.Errorf("there is no %s", entry)
	}
	maps.Copy(inner, values)
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
