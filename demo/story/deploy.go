package story

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
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

	stackFile = "Pulumi." + stack + ".yaml"

	mockEngine = "Pulumi's mock monitor (no engine)"
)

// configure reads the development stack's file and writes what differs here to
// the World's folder, where the commands of operators find it.
func (w *World) configure() error {
	var err error
	if w.config, err = program.ReadStackFile(w.options.path(stackFile)); err != nil {
		return err
	}
	if err := w.onThisMachine(w.config); err != nil {
		return err
	}
	return w.writeStack()
}

// writeStack writes the stack's file as it is deployed.
func (w *World) writeStack() error {
	values := map[string]any{}
	for key, text := range w.config {
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		values[key] = value
	}
	text, err := json.Marshal(map[string]any{"config": values}) // JSON is YAML
	if err == nil {
		err = os.WriteFile(w.stackFile(), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write the stack's file: %w", err)
	}
	return nil
}

func (w *World) stackFile() string { return filepath.Join(w.Dir, stackFile) }

// deploy runs the same Pulumi program as `pulumi up`, with the development
// stack's configuration. Only what onThisMachine changes, and what a migration
// adds, differs from the file.
func (w *World) deploy(ctx context.Context) (string, error) {
	artifacts, err := filepath.Abs(w.options.path(w.options.Artifacts))
	if err != nil {
		return "", fmt.Errorf("find the Lambda zips: %w", err)
	}
	run := program.New(program.Options{Artifacts: artifacts})
	if w.options.Pulumi != "" {
		return w.deployWithEngine(ctx, run)
	}
	w.Engine = mockEngine
	monitor, err := mocks.New(ctx, handlers.Config{Region: Region, Endpoint: w.Cloud.URL()})
	if err != nil {
		return "", fmt.Errorf("prepare the deployment: %w", err)
	}
	err = pulumi.RunErr(run, pulumi.WithMocks(project, stack, monitor), func(info *pulumi.RunInfo) { info.Config = w.config })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d resources by %s", len(monitor.Resources()), w.Engine), nil
}

// onThisMachine changes the stack's configuration to the server that runs, to
// functions that this machine can run, and to two regions.
func (w *World) onThisMachine(config map[string]string) error {
	for key, changeIt := range map[string]func(object) error{
		"settings": func(settings object) error {
			settings["replicaRegion"] = Standby
			return nil
		},
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
		if err := change(config, project+":"+key, changeIt); err != nil {
			return err
		}
	}
	return nil
}

// change changes one of the configuration's objects.
func change(config map[string]string, key string, by func(object) error) error {
	value := object{}
	if err := json.Unmarshal([]byte(config[key]), &value); err != nil {
		return fmt.Errorf("read %s of the stack's configuration: %w", key, err)
	}
	if err := by(value); err != nil {
		return fmt.Errorf("change %s of the stack's configuration: %w", key, err)
	}
	changed, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("change %s of the stack's configuration: %w", key, err)
	}
	config[key] = string(changed)
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
