// Package tasks does the work behind the targets of the magefile: it builds the
// Lambda artifacts, installs the pinned tools, and runs tests, linters and the
// demo over all modules of the workspace.
//
// A task is a method of [Workspace]. Tasks run commands and say what runs now
// and for how long; they hold nothing between calls, and each of them can be
// stopped and run again.
package tasks

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"golang.org/x/mod/modfile"
)

// Workspace is a checked-out tree: the folder that holds go.work.
type Workspace struct {
	// Root is the absolute path of the folder that holds go.work.
	Root string

	// Modules are the modules that go.work joins, sorted by folder.
	Modules []Module

	out      io.Writer
	progress *progress
}

// Module is one Go module of the workspace.
type Module struct {
	// Folder is where the module is, relative to the root, with slashes.
	Folder string

	// Path is the module path that its go.mod declares.
	Path string
}

// Open finds the workspace that dir lies in by looking for go.work in dir and
// the folders above it. What the tasks print goes to out: one line when a step
// begins, one when it ends, and one every ten seconds in between.
func Open(dir string, out io.Writer) (*Workspace, error) {
	root, err := findRoot(dir)
	if err != nil {
		return nil, err
	}
	modules, err := readModules(root)
	if err != nil {
		return nil, err
	}
	return &Workspace{
		Root:     root,
		Modules:  modules,
		out:      out,
		progress: newProgress(out, heartbeat),
	}, nil
}

// path joins elements, given with slashes, to the root.
func (w *Workspace) path(elements ...string) string {
	return filepath.Join(append([]string{w.Root}, elements...)...)
}

func findRoot(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the workspace: %w", err)
	}
	for at := start; ; at = filepath.Dir(at) {
		_, err := os.Stat(filepath.Join(at, "go.work"))
		switch {
		case err == nil:
			return at, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("find the workspace: %w", err)
		case at == filepath.Dir(at):
			return "", fmt.Errorf("find the workspace: no go.work in %s or above it: run from inside the checked-out tree", start)
		}
	}
}

func readModules(root string) ([]Module, error) {
	name := filepath.Join(root, "go.work")
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the workspace: %w", err)
	}
	work, err := modfile.ParseWork(name, data, nil)
	if err != nil {
		return nil, fmt.Errorf("read the workspace: %w", err)
	}

	modules := make([]Module, 0, len(work.Use))
	for _, use := range work.Use {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(use.Path), "go.mod"))
		if err != nil {
			return nil, fmt.Errorf("read module %s of go.work: %w", use.Path, err)
		}
		modules = append(modules, Module{
			Folder: filepath.ToSlash(filepath.Clean(use.Path)),
			Path:   modfile.ModulePath(data),
		})
	}
	sort.Slice(modules, func(i, j int) bool { return modules[i].Folder < modules[j].Folder })
	return modules, nil
}

// heartbeat is how long a step may be silent before the progress says that it
// is still running.
const heartbeat = 10 * time.Second
