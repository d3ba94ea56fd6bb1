// Command demo tells the whole story on one machine, in the emulator and with a
// real PostgreSQL server: a company's secrets move out of plaintext, the development
// stack rotates them under load with the real Lambda binaries, and a region is lost.
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
	flag.StringVar(&options.Programs, "programs", "bin", "folder of migrate, recovery and shop, below root")
	flag.StringVar(&options.Reports, "reports", "dist/demo", "folder for the reports that stay, below root")
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
