// Command localcloud runs the emulator as a server, for the aws CLI and for
// SDKs of any language.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/aistudio/secrets/localcloud"
)

func main() {
	address := flag.String("address", "127.0.0.1:4566", "where to listen; port 0 takes a free one")
	verbose := flag.Bool("v", false, "log each unsupported call and each failure")
	flag.Parse()
	if err := run(*address, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "localcloud:", err)
		os.Exit(1)
	}
}

func run(address string, verbose bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := []localcloud.Option{localcloud.WithAddress(address)}
	if verbose {
		opts = append(opts, localcloud.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	}
	cloud, err := localcloud.New(opts...)
	if err != nil {
		return err
	}
	fmt.Printf(`The emulator listens on %[1]s. To use it:

export AWS_ENDPOINT_URL=%[1]s AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1

Move its clock:   curl -X POST -d '{"advance":"720h"}' %[1]s/_localcloud/clock
Start over:       curl -X POST %[1]s/_localcloud/reset
Stop it:          Ctrl-C
`, cloud.URL())
	<-ctx.Done()
	return cloud.Close()
}
