// Command cost estimates what a stack costs in a month. See "cost --help" and
// docs/cost.md.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// The exit codes.
const (
	exitDone  = 0
	exitOver  = 1 // the estimate is over --limit
	exitUsage = 2
)

// errOver says that the estimate is over the limit.
var errOver = errors.New("the estimate is over the limit")

func main() { os.Exit(execute(os.Stdout, os.Stderr, os.Args[1:])) }

func execute(stdout, stderr io.Writer, args []string) int {
	command := newRoot()
	command.SetOut(stdout)
	command.SetErr(stderr)
	command.SetArgs(args)
	err := command.Execute()
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errOver):
		fmt.Fprintln(stderr, "cost:", err)
		return exitOver
	default:
		fmt.Fprintln(stderr, "cost:", err)
		return exitUsage
	}
}
