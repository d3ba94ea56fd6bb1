package provider

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// engineCheck is how often the plugin looks whether the engine is still there.
const engineCheck = 10 * time.Second

// Serve answers the engine until ctx ends or the engine is gone. It writes the
// port on which it listens to out, as the engine expects. The engine's address,
// the plugin's first argument, may be empty; then only ctx ends Serve.
func Serve(ctx context.Context, p *Provider, engine string, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if engine != "" {
		if err := rpcutil.Healthcheck(ctx, engine, engineCheck, cancel); err != nil {
			return fmt.Errorf("watch the engine at %s: %w", engine, err)
		}
	}
	stop := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: stop,
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterResourceProviderServer(server, plugin.NewProviderServer(p))
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("serve provider aws: %w", err)
	}
	if _, err := fmt.Fprintf(out, "%d\n", handle.Port); err != nil {
		return fmt.Errorf("tell the engine the port: %w", err)
	}
	select {
	case err := <-handle.Done:
		return err
	case <-ctx.Done():
		if err := p.Close(); err != nil {
			return err
		}
		close(stop)
		return <-handle.Done
	}
}
