package tasks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Program is a main package of the workspace.
type Program struct {
	// Name is the folder in cmd/, and so the name of the command.
	Name string

	// Module is the folder of the module that holds it.
	Module string

	// Kind says what build makes of it.
	Kind ProgramKind
}

// ProgramKind says what build makes of a program.
type ProgramKind int

const (
	// LambdaFunction becomes dist/<name>_linux_<arch>.zip with the program as
	// bootstrap, the name that Lambda's runtime provided.al2023 runs.
	LambdaFunction ProgramKind = iota + 1

	// LambdaLayer becomes dist/<name>-layer_linux_<arch>.zip with the program as
	// an external extension: Lambda runs what is in /opt/extensions, where it
	// unpacks extensions/ of a layer.
	LambdaLayer

	// HostProgram becomes bin/<name>, for the machine that builds.
	HostProgram

	// OnDemand becomes bin/<name> too, but only when a target runs it: it links
	// the Pulumi AWS provider's SDK, which takes minutes to compile.
	OnDemand
)

// programKinds says what each command in the workspace is, by the pattern (as of
// path.Match) of its name. A command that no row knows fails the build, so that
// a new Lambda function can't be forgotten.
var programKinds = []struct {
	pattern string
	kind    ProgramKind
}{
	{"rotate-*", LambdaFunction},
	{"rotate", HostProgram},
	{"rotation-feed", LambdaFunction},
	{"auditor", LambdaFunction},
	{"audit", HostProgram},
	{"secrets-extension", LambdaLayer},
	{"recovery", HostProgram},
	{"cost", HostProgram},
	{"scorecard", HostProgram},
	{"migrate", HostProgram},
	{"migration-scan", LambdaFunction},
	{"localcloud", HostProgram},
	{"pulumi-resource-aws", HostProgram},
	{"pipeline", OnDemand},
}

// artifact returns what build makes of the program for an architecture: the
// name of the archive and that of the program in it.
func (p Program) artifact(arch string) (archive, entry string) {
	if p.Kind == LambdaLayer {
		return fmt.Sprintf("%s-layer_linux_%s.zip", p.Name, arch), "extensions/" + p.Name
	}
	return fmt.Sprintf("%s_linux_%s.zip", p.Name, arch), "bootstrap"
}

// architectures are those that Lambda runs, as GOARCH.
var architectures = []string{"amd64", "arm64"}

// Build makes every Lambda artifact, as BuildLambdas does, and the programs for
// this machine in bin/.
func (w *Workspace) Build(ctx context.Context) error {
	if err := w.BuildLambdas(ctx); err != nil {
		return err
	}
	host, err := w.programs(HostProgram)
	if err != nil {
		return err
	}
	for _, program := range host {
		if _, err := w.compileHere(ctx, program.Module, "./cmd/"+program.Name, program.Name); err != nil {
			return err
		}
	}
	return nil
}

// BuildLambdas makes every Lambda artifact for both architectures in dist/, with
// dist/SHA256SUMS, and removes what else is there. What it makes is the same
// byte for byte wherever and whenever it is made from the same sources with the
// same Go toolchain.
func (w *Workspace) BuildLambdas(ctx context.Context) error {
	return w.buildLambdas(ctx, w.path("dist"), architectures...)
}

// buildLambdas is BuildLambdas into a folder, for some architectures.
func (w *Workspace) buildLambdas(ctx context.Context, dist string, architectures ...string) error {
	programs, err := w.programs(LambdaFunction, LambdaLayer)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	temporary, err := os.MkdirTemp("", "build-*")
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	defer os.RemoveAll(temporary)

	var names []string
	for _, program := range programs {
		for _, arch := range architectures {
			name, entry := program.artifact(arch)
			compiled := filepath.Join(temporary, "program")
			if err := w.compileFor(ctx, arch, program, compiled); err != nil {
				return err
			}
			executable, err := os.ReadFile(compiled)
			if err != nil {
				return fmt.Errorf("build %s: %w", name, err)
			}
			archive, err := zipExecutable(entry, executable)
			if err != nil {
				return fmt.Errorf("build %s: %w", name, err)
			}
			if err := replaceFile(filepath.Join(dist, name), archive, 0o644); err != nil {
				return err
			}
			names = append(names, name)
		}
	}

	sums, err := checksums(dist, names)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dist, "SHA256SUMS"), []byte(sums), 0o644); err != nil {
		return err
	}
	return removeOthers(dist, append(names, "SHA256SUMS"))
}

// programs returns the commands of some kinds.
func (w *Workspace) programs(kinds ...ProgramKind) ([]Program, error) {
	all, err := w.Programs()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p Program) bool { return !slices.Contains(kinds, p.Kind) }), nil
}

// Programs returns all commands of the workspace (cmd/* of each module), sorted
// by name.
func (w *Workspace) Programs() ([]Program, error) {
	var found []Program
	for _, module := range w.Modules {
		mains, err := filepath.Glob(w.path(module.Folder, "cmd", "*", "main.go"))
		if err != nil {
			return nil, fmt.Errorf("find the commands of %s: %w", module.Folder, err)
		}
		for _, main := range mains {
			program := Program{Name: filepath.Base(filepath.Dir(main)), Module: module.Folder}
			program.Kind, err = kindOf(program.Name)
			if err != nil {
				return nil, fmt.Errorf("%s/cmd/%s: %w", module.Folder, program.Name, err)
			}
			found = append(found, program)
		}
	}
	slices.SortFunc(found, func(a, b Program) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(found); i++ {
		if found[i].Name == found[i-1].Name {
			return nil, fmt.Errorf("two commands are named %s, in %s and %s: their artifacts would overwrite each other, rename one",
				found[i].Name, found[i-1].Module, found[i].Module)
		}
	}
	return found, nil
}

func kindOf(command string) (ProgramKind, error) {
	for _, row := range programKinds {
		if matched, _ := path.Match(row.pattern, command); matched {
			return row.kind, nil
		}
	}
	return 0, errors.New("build doesn't know what this command is: add its name to the table of programs in magefiles/tasks/build.go")
}

// removeOthers removes the artifacts of functions that are no more, so that
// nobody deploys one by mistake.
func removeOthers(dist string, keep []string) error {
	entries, err := os.ReadDir(dist)
	if err != nil {
		return fmt.Errorf("remove old artifacts: %w", err)
	}
	for _, entry := range entries {
		if slices.Contains(keep, entry.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dist, entry.Name())); err != nil {
			return fmt.Errorf("remove old artifact %s: %w", entry.Name(), err)
		}
	}
	return nil
}
