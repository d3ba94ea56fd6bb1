package story

import (
	"context"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/localcloud/pulumi/engine"
)

// deployWithEngine deploys with the real Pulumi engine, whose state lives in a
// folder that Close removes.
func (w *World) deployWithEngine(ctx context.Context, options Options, config map[string]string, run pulumi.RunFunc) (string, error) {
	var err error
	if w.engineDir, err = os.MkdirTemp("", "demo-pulumi-"); err != nil {
		return "", fmt.Errorf("make a folder for Pulumi's state: %w", err)
	}
	e, err := engine.New(engine.Options{
		CLI:      options.Pulumi,
		Plugin:   options.path(options.Plugins),
		Dir:      w.engineDir,
		Endpoint: w.Cloud.URL(),
	})
	if err != nil {
		return "", err
	}
	values := auto.ConfigMap{}
	for key, value := range config {
		values[key] = auto.ConfigValue{Value: value}
	}
	deployed, err := e.Stack(ctx, project, stack, values, run)
	if err != nil {
		return "", err
	}
	up, err := deployed.Up(ctx, optup.SuppressProgress())
	if err != nil {
		return "", fmt.Errorf("run pulumi up: %w", err)
	}
	w.Engine = "Pulumi's engine " + deployed.Workspace().PulumiVersion()
	created := 0
	if up.Summary.ResourceChanges != nil {
		created = (*up.Summary.ResourceChanges)["create"]
	}
	return fmt.Sprintf("%d resources by %s", created, w.Engine), nil
}
