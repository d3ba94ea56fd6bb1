package architecture

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// requires says which modules of the project a module's go.mod may require. It
// is wider than the table of imports, because a go.mod counts for tests too. A
// module without a row may require none. "*" is every module.
var requires = map[string][]string{
	"sdk":                  nil,
	"sdk/integration":      {"sdk", "sdk/otelsecrets", "localcloud"},
	"sdk/otelsecrets":      {"sdk"},
	"rotators":             {"sdk", "localcloud"},
	"rotators/integration": {"rotators", "sdk", "localcloud"},
	"auditor":              {"sdk", "localcloud"},
	"migrator":             {"sdk", "localcloud"},
	"operations":           {"sdk", "infra", "localcloud", "localcloud/pulumi"},
	"infra":                {"sdk", "localcloud", "localcloud/pulumi"},
	"localcloud":           nil,
	"localcloud/pulumi":    {"localcloud"},
	"magefiles":            nil,
	"demo":                 {"*"},
	"bench":                {"*"},
}

// toolsFolder holds the modules of tools, each with versions of its own, so they
// are not in go.work.
const toolsFolder = "tools"

// checkModules checks the name and the neighbours of each module.
func checkModules(t *tree) []Violation {
	var violations []Violation
	report := func(m module, format string, args ...any) {
		violations = append(violations, Violation{Place: m.folder + "/go.mod", Rule: fmt.Sprintf(format, args...)})
	}
	for _, m := range t.modules {
		if want := Prefix + m.folder; m.file.Module.Mod.Path != want {
			report(m, "the module is named %s: name it %s, after its folder", m.file.Module.Mod.Path, want)
		}
		if isTool := within(m.folder, toolsFolder); m.joined == isTool {
			if isTool {
				report(m, "a tool's module must not be in go.work: its versions are its own")
			} else {
				report(m, "the module is not in go.work: add it")
			}
		}
		allowed := requires[m.folder]
		for _, require := range m.file.Require {
			neighbour, ours := strings.CutPrefix(require.Mod.Path, Prefix)
			if !ours {
				continue
			}
			if !slices.Contains(allowed, neighbour) && !slices.Contains(allowed, "*") {
				report(m, "%s may not require %s by the table of requires in magefiles/architecture", m.folder, neighbour)
			}
			if !replaced(m, require.Mod.Path) {
				report(m, "%s is required but not replaced by its folder, so the module doesn't build alone", neighbour)
			}
		}
	}
	return violations
}

func replaced(m module, modulePath string) bool {
	for _, replace := range m.file.Replace {
		if replace.Old.Path == modulePath && strings.HasPrefix(replace.New.Path, ".") {
			return true
		}
	}
	return false
}

// checkVersions checks that all modules of go.work require a dependency in the
// same version. Else the module alone is built with other code than the module
// in the workspace, and everything is compiled twice.
func checkVersions(t *tree) []Violation {
	versions := map[string]map[string][]string{} // dependency, version, folders
	for _, m := range t.modules {
		if !m.joined {
			continue
		}
		for _, require := range m.file.Require {
			if strings.HasPrefix(require.Mod.Path, Prefix) {
				continue
			}
			of := versions[require.Mod.Path]
			if of == nil {
				of = map[string][]string{}
				versions[require.Mod.Path] = of
			}
			of[require.Mod.Version] = append(of[require.Mod.Version], m.folder)
		}
	}
	var violations []Violation
	for _, dependency := range slices.Sorted(maps.Keys(versions)) {
		of := versions[dependency]
		if len(of) == 1 {
			continue
		}
		ordered := slices.SortedFunc(maps.Keys(of), semver.Compare)
		newest := ordered[len(ordered)-1]
		for _, version := range ordered[:len(ordered)-1] {
			for _, folder := range of[version] {
				violations = append(violations, Violation{
					Place: folder + "/go.mod",
					Rule: fmt.Sprintf("%s is required in %s, and in %s elsewhere: cd %s && GOWORK=off go get %s@%s",
						dependency, version, newest, folder, dependency, newest),
				})
			}
		}
	}
	return violations
}
