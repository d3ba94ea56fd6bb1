// Command pulumi-resource-aws is a plugin for Pulumi's engine: it stands in for
// the real pulumi-aws and deploys into a local cloud instead of AWS. Pulumi
// starts it; see package engine for how a project names it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aistudio/secrets/localcloud/pulumi/provider"
)

func main() {
	// Ctrl-C goes to the whole process group, but it is for the engine to say
	// when a deployment ends: see Provider.SignalCancellation.
	signal.Ignore(syscall.SIGINT)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var engine string
	if len(os.Args) > 1 {
		engine = os.Args[1]
	}
	if err := provider.Serve(ctx, provider.New(provider.ConfigFromEnvironment()), engine, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-aws:", err)
		os.Exit(1)
	}
}
