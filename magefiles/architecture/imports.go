package architecture

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// imports says which packages of other parts of the project the code of a part
// may import. A part is a folder at the root with all modules in it; what is in
// the part itself may always be imported. A part without a row may import nothing.
var imports = map[string]struct {
	allowed []string // folders, with all that is in them; "*" is everything
	because string
}{
	"sdk":        {nil, "services import the sdk and must get nothing of the rest with it"},
	"rotators":   {[]string{"sdk"}, "rotators know the sdk, and no other part that runs"},
	"auditor":    {[]string{"sdk"}, "the auditor knows the sdk, and no other part that runs"},
	"migrator":   {[]string{"sdk"}, "the migrator knows the sdk, and no other part that runs"},
	"operations": {[]string{"sdk", "infra/catalogue"}, "operations know the sdk and what a stack declares; what others found they read as JSON"},
	"infra":      {[]string{"sdk/spec"}, "the infrastructure and the code that it deploys agree on constants in sdk/spec, and on nothing else"},
	"localcloud": {nil, "the emulator must not share a mistake with the code that is tested on it"},
	"magefiles":  {nil, "magefiles run commands"},
	"demo":       {[]string{"*"}, ""},
	"bench":      {[]string{"*"}, ""},
}

// isTestSupport tells of packages that only tests import, by their name and
// place: internal/rotatortest. They may import what tests may.
func isTestSupport(name string) bool {
	folder := path.Dir(name)
	return strings.HasSuffix(folder, "test") && path.Base(path.Dir(folder)) == "internal"
}

// checkImports applies the table of imports.
func checkImports(t *tree) []Violation {
	var violations []Violation
	for _, f := range t.files {
		part := partOf(f.name)
		rule := imports[part]
		for _, spec := range f.syntax.Imports {
			imported, ours := strings.CutPrefix(unquote(spec.Path.Value), Prefix)
			if !ours || partOf(imported) == part || allows(rule.allowed, imported) || isTestSupport(f.name) {
				continue
			}
			because := rule.because
			if because == "" {
				because = "the part has no row in the table of imports"
			}
			violations = append(violations, Violation{
				Place: f.place(spec.Pos()),
				Rule:  fmt.Sprintf("%s may not import %s: %s", part, Prefix+imported, because),
			})
		}
	}
	return violations
}

// partOf returns the first element of a path below the root.
func partOf(name string) string {
	part, _, _ := strings.Cut(name, "/")
	return part
}

func allows(folders []string, imported string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return folder == "*" || within(imported, folder)
	})
}

// rootPackage is what a service pays for with its first line of this project.
const rootPackage = "sdk"

// rootPackageNeeds are the modules of others that the root package of the sdk,
// and each package of ours that it imports, may import from.
var rootPackageNeeds = []string{
	"github.com/aws/aws-sdk-go-v2",
	"github.com/aws/aws-sdk-go-v2/config",
	"github.com/aws/aws-sdk-go-v2/credentials",
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager",
	"github.com/aws/smithy-go",
	"golang.org/x/sync",
}

// checkRootPackage follows the imports of the sdk's root package through our own
// packages, and checks that nothing else is reached.
func checkRootPackage(t *tree) []Violation {
	var violations []Violation
	reached := []string{rootPackage}
	for i := 0; i < len(reached); i++ {
		for _, f := range t.files {
			if f.folder() != reached[i] {
				continue
			}
			for _, spec := range f.syntax.Imports {
				imported := unquote(spec.Path.Value)
				if folder, ours := strings.CutPrefix(imported, Prefix); ours {
					if !slices.Contains(reached, folder) {
						reached = append(reached, folder)
					}
					continue
				}
				if standard(imported) || rootPackageMayUse(imported) {
					continue
				}
				violations = append(violations, Violation{
					Place: f.place(spec.Pos()),
					Rule: fmt.Sprintf("the root package of the sdk reaches %s: it may need only %s; put what needs more into a package of its own that the root doesn't import",
						imported, strings.Join(rootPackageNeeds, ", ")),
				})
			}
		}
	}
	return violations
}

// rootPackageMayUse matches by module: the AWS SDK is many modules below one path.
func rootPackageMayUse(imported string) bool {
	return slices.ContainsFunc(rootPackageNeeds, func(need string) bool {
		switch {
		case !within(imported, need):
			return false
		case need == "github.com/aws/aws-sdk-go-v2":
			below := strings.TrimPrefix(imported, need+"/")
			return !slices.Contains([]string{"service", "config", "credentials", "feature"}, partOf(below))
		}
		return true
	})
}

// standard tells whether an import path is of the standard library, whose paths
// have no dot in the first element.
func standard(imported string) bool {
	return !strings.Contains(partOf(imported), ".")
}

// unquote returns the path of an import, which the parser has checked.
func unquote(literal string) string {
	value, err := strconv.Unquote(literal)
	if err != nil {
		return literal
	}
	return path.Clean(value)
}
