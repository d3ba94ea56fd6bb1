package architecture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// DependencyPage is the page that says why each direct dependency is there.
const DependencyPage = "docs/dependencies.md"

var (
	// A heading names the folder of a module.
	pageHeading = regexp.MustCompile("^## `([^`]+)`$")

	// A line below it names a dependency and says why.
	pageEntry = regexp.MustCompile("^- `([^`]+)`: (\\S.*)$")
)

// checkDependencyPage compares the page with the go.mod files, in both directions.
func checkDependencyPage(fsys fs.FS, t *tree) ([]Violation, error) {
	data, err := fs.ReadFile(fsys, DependencyPage)
	if errors.Is(err, fs.ErrNotExist) {
		return []Violation{{Place: DependencyPage, Rule: "the page is missing: write one line for each direct dependency of each module"}}, nil
	}
	if err != nil {
		return nil, err
	}
	told, violations := readDependencyPage(data)
	for _, m := range t.modules {
		direct := directDependencies(m)
		for _, dependency := range direct {
			if _, ok := told[m.folder][dependency]; !ok {
				violations = append(violations, Violation{
					Place: m.folder + "/go.mod",
					Rule:  fmt.Sprintf("%s is required, and %s doesn't say why: add a line below the heading `%s`", dependency, DependencyPage, m.folder),
				})
			}
			delete(told[m.folder], dependency)
		}
	}
	for folder, entries := range told {
		for dependency, line := range entries {
			violations = append(violations, Violation{
				Place: fmt.Sprintf("%s:%d", DependencyPage, line),
				Rule:  fmt.Sprintf("%s has no direct dependency %s: remove the line", folder, dependency),
			})
		}
	}
	return violations, nil
}

// readDependencyPage returns the line of each dependency by module, and the
// lines that look like entries and are none.
func readDependencyPage(page []byte) (map[string]map[string]int, []Violation) {
	var (
		told       = map[string]map[string]int{}
		violations []Violation
		folder     string
		line       int
	)
	for scanner := bufio.NewScanner(bytes.NewReader(page)); scanner.Scan(); {
		line++
		text := scanner.Text()
		if heading := pageHeading.FindStringSubmatch(text); heading != nil {
			folder = heading[1]
			if told[folder] == nil {
				told[folder] = map[string]int{}
			}
			continue
		}
		entry := pageEntry.FindStringSubmatch(text)
		switch {
		case entry != nil && folder != "":
			told[folder][entry[1]] = line
		case strings.HasPrefix(text, "- "):
			violations = append(violations, Violation{
				Place: fmt.Sprintf("%s:%d", DependencyPage, line),
				Rule:  "write the line as: - `module/path`: why, below a heading with the module's folder",
			})
		}
	}
	return told, violations
}

// directDependencies returns the modules of others that a module requires by
// itself, for its code, its tests or as a tool, sorted.
func directDependencies(m module) []string {
	direct := map[string]bool{}
	for _, require := range m.file.Require {
		isTool := slices.ContainsFunc(m.file.Tool, func(tool *modfile.Tool) bool {
			return within(tool.Path, require.Mod.Path)
		})
		if (!require.Indirect || isTool) && !strings.HasPrefix(require.Mod.Path, Prefix) {
			direct[require.Mod.Path] = true
		}
	}
	return slices.Sorted(maps.Keys(direct))
}
