// Command bench runs all benchmarks, prints what they found and writes it into
// the page of the bench folder. It needs the Lambda artifacts in dist/; "go tool
// mage bench" makes them first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/aistudio/secrets/bench/audit"
	"github.com/aistudio/secrets/bench/caches"
	"github.com/aistudio/secrets/bench/layer"
	"github.com/aistudio/secrets/bench/migration"
	"github.com/aistudio/secrets/bench/report"
	"github.com/aistudio/secrets/bench/rotation"
	"github.com/aistudio/secrets/bench/simulation"
)

type section struct {
	name string
	run  func(ctx context.Context, root string, progress func(string)) (report.Section, error)
}

// sections are all benchmarks, in the order in which they run.
func sections() []section {
	return []section{
		{"caches", caches.Run},
		{"layer", layer.Run},
		{"rotation", rotation.Run},
		{"simulation", simulation.Run},
		{"audit", audit.Run([]int{1_000, 10_000, 100_000})},
		{"migration", migration.Run(migration.Large)},
	}
}

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: bench [flags] [section ...]\n\nWith sections it runs only those, and writes no file.")
		flag.PrintDefaults()
	}
	root := flag.String("root", ".", "folder that holds bench and dist")
	json := flag.Bool("json", false, "write bench/results.json too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, sections(), *root, *json, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, sections []section, root string, json bool, only []string) error {
	start := time.Now()
	found := report.Report{Date: start, Command: "go tool mage bench", Machine: report.ThisMachine()}
	for _, s := range sections {
		if len(only) > 0 && !slices.Contains(only, s.name) {
			continue
		}
		section, err := s.run(ctx, root, func(what string) {
			fmt.Printf("[%4s] %s: %s\n", time.Since(start).Round(time.Second), s.name, what)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, errors.Join(err, context.Cause(ctx)))
		}
		found.Sections = append(found.Sections, section)
	}
	fmt.Print(found.Terminal())
	if len(only) > 0 {
		return nil
	}
	if err := write(filepath.Join(root, "bench", "README.md"), []byte(found.Markdown())); err != nil || !json {
		return err
	}
	results, err := found.JSON()
	if err != nil {
		return err
	}
	return write(filepath.Join(root, "bench", "results.json"), results)
}

func write(name string, data []byte) error {
	if err := os.WriteFile(name, data, 0o644); err != nil { //nolint:gosec // a page for everyone
		return fmt.Errorf("write the results: %w", err)
	}
	fmt.Println("\nwritten:", name)
	return nil
}
