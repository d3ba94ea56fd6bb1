package architecture

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
)

// emptyNames are package names that say nothing about what a package holds.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "base"}

// checkNames finds packages with an empty name.
func checkNames(t *tree) []Violation {
	var violations []Violation
	seen := map[string]bool{}
	for _, f := range t.files {
		name := f.syntax.Name.Name
		if !slices.Contains(emptyNames, name) || seen[f.folder()] {
			continue
		}
		seen[f.folder()] = true
		violations = append(violations, Violation{
			Place: f.place(f.syntax.Name.Pos()),
			Rule:  fmt.Sprintf("package %s: name the package after what it holds", name),
		})
	}
	return violations
}

// checkInit finds init functions: what they do happens behind the back of
// whoever imports the package.
func checkInit(t *tree) []Violation {
	var violations []Violation
	for _, f := range t.files {
		for _, declaration := range f.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv == nil && function.Name.Name == "init" {
				violations = append(violations, Violation{
					Place: f.place(function.Pos()),
					Rule:  "an init function: let main, or whoever needs it, call a function with a name",
				})
			}
		}
	}
	return violations
}

// maxMainLines is how long a cmd/*/main.go may be.
const maxMainLines = 59

// checkMains checks that commands only wire.
func checkMains(t *tree) []Violation {
	var violations []Violation
	for _, f := range t.files {
		if path.Base(f.name) != "main.go" || path.Base(path.Dir(f.folder())) != "cmd" {
			continue
		}
		if lines := f.set.File(f.syntax.Pos()).LineCount(); lines > maxMainLines {
			violations = append(violations, Violation{
				Place: f.name,
				Rule:  fmt.Sprintf("%d lines: a main.go wires and stays under 60 lines; move the rest into a package with tests", lines),
			})
		}
	}
	return violations
}
