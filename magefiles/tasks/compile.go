package tasks

import (
	"context"
	"slices"
	"strings"
)

// compile runs a go command that was given -v (which names each package as it
// is compiled) as a step of its own, and shows in its heartbeat how far it is.
// What else the command prints is part of the error.
func (w *Workspace) compile(ctx context.Context, c command, format string, args ...any) error {
	var (
		step     = w.progress.begin(format, args...)
		compiled int
		rest     []string
	)
	stderr := &lines{each: func(line string) {
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			step.now("%s", strings.TrimPrefix(line, "go: "))
		case isImportPath(line):
			compiled++
			step.now("%d packages compiled, now %s", compiled, line)
		case !slices.Contains(rest, line): // go says some things once for each package
			rest = append(rest, line)
		}
	}}
	c.stderr = stderr
	err := c.run(ctx)
	stderr.flush()
	if err != nil {
		err = withOutput(err, strings.Join(rest, "\n"))
	}
	return step.end(err)
}

// isImportPath tells the names of packages from the compiler's messages, which
// all have a space in them.
func isImportPath(line string) bool {
	return line != "" && !strings.ContainsAny(line, " \t#")
}

// compileFor builds a main package for Linux on the given architecture. Equal
// sources, versions and toolchain give equal bytes, wherever the tree lies: no
// path, time, commit or setting of who builds leaves a trace.
func (w *Workspace) compileFor(ctx context.Context, arch string, program Program, output string) error {
	c := w.goCommand(program.Module, "build", "-v", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -buildid=", "-o", output, "./cmd/"+program.Name).alone()
	c.env = append(c.env, "GOOS=linux", "GOARCH="+arch,
		"GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0")
	return w.compile(ctx, c, "build %s for linux/%s", program.Name, arch)
}

// compileHere builds a main package for this machine into bin/ and returns the
// absolute path of the program.
func (w *Workspace) compileHere(ctx context.Context, folder, pkg, name string) (string, error) {
	output := w.path("bin", name)
	c := w.goCommand(folder, "build", "-v", "-buildvcs=false", "-o", output, pkg)
	return output, w.compile(ctx, c, "build %s", name)
}
