// Command secrets-extension is the external extension of the Lambda layer, and a
// sidecar elsewhere. Package extension has its protocol and its environment
// variables.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/aistudio/secrets/sdk/extension"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := extension.Run(ctx, filepath.Base(os.Args[0]), os.LookupEnv, os.Stdout); err != nil {
		return 1 // Run logged it
	}
	return 0
}
