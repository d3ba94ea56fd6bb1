package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// tool is a program of others that is built once from its pinned module in
// tools/ into bin/.
type tool struct {
	// name is the folder in tools/ and the name of the program.
	name string

	// module is the one whose version in tools/<name>/go.mod is the pin.
	module string

	// pkg is the main package.
	pkg string

	// versionVariable is the variable that the linker sets to the version;
	// empty: the program knows its version by itself.
	versionVariable string

	// version is the command line that prints the version of a program that
	// may be used from PATH if it is new enough; nil: PATH is not asked.
	version []string
}

var (
	// pulumi refuses to work with the Automation API when it was built without
	// its version.
	pulumi = tool{
		name:            "pulumi",
		module:          "github.com/pulumi/pulumi/pkg/v3",
		pkg:             "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
		versionVariable: "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version",
		version:         []string{"version"},
	}
	golangciLint = tool{
		name:   "golangci-lint",
		module: "github.com/golangci/golangci-lint/v2",
		pkg:    "github.com/golangci/golangci-lint/v2/cmd/golangci-lint",
	}
	govulncheck = tool{
		name:   "govulncheck",
		module: "golang.org/x/vuln",
		pkg:    "golang.org/x/vuln/cmd/govulncheck",
	}
)

// InstallTools builds every tool that is missing or whose pin has changed.
func (w *Workspace) InstallTools(ctx context.Context) error {
	for _, t := range []tool{pulumi, golangciLint, govulncheck} {
		program, err := w.install(ctx, t)
		if err != nil {
			return err
		}
		w.progress.printf("%s: %s", t.name, program)
	}
	return nil
}

// install returns the absolute path of a tool, which it builds if need be.
func (w *Workspace) install(ctx context.Context, t tool) (string, error) {
	pin, err := w.pin(t)
	if err != nil {
		return "", err
	}
	if found := w.present(ctx, t, pin); found != "" {
		return found, nil
	}

	program, stamp := w.built(t)
	if err := os.MkdirAll(w.path("bin"), 0o755); err != nil {
		return "", fmt.Errorf("install %s: %w", t.name, err)
	}

	linker := "-s -w"
	if t.versionVariable != "" {
		linker += " -X " + t.versionVariable + "=" + pin.version
	}
	build := w.goCommand("tools/"+t.name, "build", "-v", "-trimpath", "-buildvcs=false",
		"-ldflags", linker, "-o", program, t.pkg).alone()
	if err := w.compile(ctx, build, "build %s %s (once; a big tool takes minutes)", t.name, pin.version); err != nil {
		return "", fmt.Errorf("install %s: %w", t.name, err)
	}
	if err := replaceFile(stamp, []byte(pin.stamp), 0o644); err != nil {
		return "", fmt.Errorf("install %s: %w", t.name, err)
	}
	return program, nil
}

// present returns the absolute path of a tool that is good as it is, on PATH or
// built before, else "".
func (w *Workspace) present(ctx context.Context, t tool, pin pin) string {
	if found := t.onPath(ctx, pin.version); found != "" {
		return found
	}
	program, stamp := w.built(t)
	if last, err := os.ReadFile(stamp); err != nil || string(last) != pin.stamp || !exists(program) {
		return ""
	}
	return program
}

// built returns where a tool is built, and the file that holds the stamp of the
// pin that it was built from.
func (w *Workspace) built(t tool) (program, stamp string) {
	return w.path("bin", t.name), w.path("bin", "."+t.name+".pin")
}

// pin is what a built tool depends on.
type pin struct {
	version string // of the tool's module, like v3.274.1
	stamp   string // differs when anything that goes into the tool differs
}

func (w *Workspace) pin(t tool) (pin, error) {
	folder := w.path("tools", t.name)
	mod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return pin{}, fmt.Errorf("read the pin of %s: %w", t.name, err)
	}
	sum, err := os.ReadFile(filepath.Join(folder, "go.sum"))
	if err != nil {
		return pin{}, fmt.Errorf("read the pin of %s: %w", t.name, err)
	}
	file, err := modfile.Parse(filepath.Join(folder, "go.mod"), mod, nil)
	if err != nil {
		return pin{}, fmt.Errorf("read the pin of %s: %w", t.name, err)
	}
	for _, require := range file.Require {
		if require.Mod.Path != t.module {
			continue
		}
		hash := sha256.New()
		fmt.Fprintf(hash, "%s %s\n%s\n%s", t.pkg, t.versionVariable, mod, sum)
		return pin{
			version: require.Mod.Version,
			stamp:   require.Mod.Version + " " + hex.EncodeToString(hash.Sum(nil)) + "\n",
		}, nil
	}
	return pin{}, fmt.Errorf("read the pin of %s: tools/%s/go.mod doesn't require %s", t.name, t.name, t.module)
}

// onPath returns the program on PATH if it has the pinned major version and is
// not older than the pin, else "".
func (t tool) onPath(ctx context.Context, pinned string) string {
	if t.version == nil {
		return ""
	}
	program, err := exec.LookPath(t.name)
	if err != nil {
		return ""
	}
	printed, err := command{name: program, args: t.version}.output(ctx)
	if err != nil {
		return ""
	}
	version := strings.TrimSpace(printed)
	if !goodVersion(version, pinned) {
		return ""
	}
	return program
}

// goodVersion tells whether a release can stand in for the pinned one.
func goodVersion(version, pinned string) bool {
	return semver.IsValid(version) &&
		semver.Prerelease(version) == "" &&
		semver.Major(version) == semver.Major(pinned) &&
		semver.Compare(version, pinned) >= 0
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
