package story

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/localcloud/pulumi/engine"
)

// deployWithEngine deploys with the real Pulumi engine, whose state lives in a
// folder that Close removes.
func (w *World) deployWithEngine(ctx context.Context, run pulumi.RunFunc) (string, error) {
	e, err := engine.New(engine.Options{
		CLI:      w.options.Pulumi,
		Plugin:   w.options.path(w.options.Plugins),
		Dir:      filepath.Join(w.Dir, "pulumi"),
		Endpoint: w.Cloud.URL(),
	})
	if err != nil {
		return "", err
	}
	values := auto.ConfigMap{}
	for key, value := range w.config {
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
