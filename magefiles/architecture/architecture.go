// Package architecture checks the rules of the house: who may import whom, what
// a module may require, and a few rules about names and sizes.
//
// The rules are data ([imports], [requires] and the lists beside them), so that
// whoever wants to know or change one finds it in one place. The checks read the
// source of the whole tree, whatever the build tags; test files are free to
// import anything.
package architecture

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// Prefix begins the path of every module of the project; the folder follows.
const Prefix = "github.com/aistudio/secrets/"

// Violation is a place in the tree that breaks a rule.
type Violation struct {
	// Place is a file, with the line where there is one, relative to the root.
	Place string

	// Rule says what is wrong and what to do.
	Rule string
}

func (v Violation) String() string { return v.Place + ": " + v.Rule }

// tree is the part of a work tree that the rules are about.
type tree struct {
	modules []module
	files   []file
}

// module is a go.mod.
type module struct {
	folder string // relative to the root, with slashes
	file   *modfile.File
	joined bool // go.work lists it
}

// file is a Go file that is no test.
type file struct {
	name   string // relative to the root, with slashes
	module string // the folder of its module
	syntax *ast.File
	set    *token.FileSet
}

// place is where a node of the file begins.
func (f file) place(at token.Pos) string {
	return fmt.Sprintf("%s:%d", f.name, f.set.Position(at).Line)
}

// folder is where the file is, relative to the root.
func (f file) folder() string { return path.Dir(f.name) }

// Check applies all rules to the work tree at the root of fsys, the folder of
// go.work, and returns what breaks them, in the order of places. The error is
// for a tree that can't be read.
func Check(fsys fs.FS) ([]Violation, error) {
	t, err := read(fsys)
	if err != nil {
		return nil, fmt.Errorf("check the architecture: %w", err)
	}
	violations := slices.Concat(
		checkImports(t),
		checkRootPackage(t),
		checkModules(t),
		checkVersions(t),
		checkNames(t),
		checkInit(t),
		checkMains(t),
	)
	dependencies, err := checkDependencyPage(fsys, t)
	if err != nil {
		return nil, fmt.Errorf("check the architecture: %w", err)
	}
	violations = append(violations, dependencies...)
	slices.SortFunc(violations, func(a, b Violation) int {
		return strings.Compare(a.String(), b.String())
	})
	return violations, nil
}

// skipped are folders that hold no source of the project.
var skipped = []string{"bin", "dist", "testdata", "node_modules"}

func read(fsys fs.FS) (*tree, error) {
	joined, err := readWork(fsys)
	if err != nil {
		return nil, err
	}
	t := &tree{}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (slices.Contains(skipped, base) || strings.HasPrefix(base, ".")):
			return fs.SkipDir
		case base == "go.mod":
			m, err := readModule(fsys, name)
			if err != nil {
				return err
			}
			m.joined = slices.Contains(joined, m.folder)
			t.modules = append(t.modules, m)
		case strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go"):
			f := file{name: name, set: token.NewFileSet()}
			source, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			f.syntax, err = parser.ParseFile(f.set, name, source, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			t.files = append(t.files, f)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range t.files {
		t.files[i].module = t.moduleOf(t.files[i].name)
	}
	return t, nil
}

func readWork(fsys fs.FS) ([]string, error) {
	data, err := fs.ReadFile(fsys, "go.work")
	if err != nil {
		return nil, err
	}
	work, err := modfile.ParseWork("go.work", data, nil)
	if err != nil {
		return nil, err
	}
	folders := make([]string, 0, len(work.Use))
	for _, use := range work.Use {
		folders = append(folders, path.Clean(use.Path))
	}
	return folders, nil
}

func readModule(fsys fs.FS, name string) (module, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return module{}, err
	}
	parsed, err := modfile.Parse(name, data, nil)
	if err != nil {
		return module{}, err
	}
	if parsed.Module == nil {
		return module{}, errors.New(name + ": no module directive")
	}
	return module{folder: path.Dir(name), file: parsed}, nil
}

// moduleOf returns the folder of the innermost module that holds a file; "" if
// there is none.
func (t *tree) moduleOf(name string) string {
	innermost := ""
	for _, m := range t.modules {
		if within(name, m.folder) && len(m.folder) > len(innermost) {
			innermost = m.folder
		}
	}
	return innermost
}

// within tells whether a path is a folder or lies in it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}
