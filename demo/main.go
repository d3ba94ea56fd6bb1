// Command demo tells the whole story on one machine: it deploys the development
// stack into the emulator, lets a client log in to a real PostgreSQL server all
// the while, and rotates the client's credentials with the real Lambda binary.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aistudio/secrets/demo/story"
)

func main() {
	options := story.Options{Out: os.Stdout}
	flag.StringVar(&options.Root, "root", ".", "folder of Pulumi.yaml")
	flag.StringVar(&options.Artifacts, "artifacts", "dist", "folder of the Lambda zips, below root")
	flag.StringVar(&options.Pulumi, "pulumi", "", "the pulumi program, to deploy with the real engine; empty: without")
	flag.StringVar(&options.Plugins, "plugins", "bin", "folder of pulumi-resource-aws, below root")
	flag.IntVar(&options.Rotations, "rotations", 3, "how often to rotate")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := story.Tell(ctx, options); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
