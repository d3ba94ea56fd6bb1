package lambda

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// entrypoint finds the program that is the runtime: bootstrap, in the code or in
// a layer.
func entrypoint(f Function) (string, error) {
	for _, dir := range []string{f.Code, f.Layers} {
		if dir == "" {
			continue
		}
		path := filepath.Join(dir, "bootstrap")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", &failure{"Runtime.InvalidEntrypoint", "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}
}

// externalExtensions lists the executables in <layers>/extensions.
func externalExtensions(layers string) ([]string, error) {
	if layers == "" {
		return nil, nil
	}
	dir := filepath.Join(layers, "extensions")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extensions: %w", err)
	}
	var paths []string
	for _, entry := range entries {
		if !entry.IsDir() {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	return paths, nil
}

// entrypointError is the failure to start a program, as AWS reports it.
func entrypointError(path string, extension bool, err error) *failure {
	if extension {
		return &failure{"Extension.LaunchError", fmt.Sprintf("fork/exec /opt/extensions/%s: %v", filepath.Base(path), cause(err))}
	}
	return &failure{"Runtime.InvalidEntrypoint", fmt.Sprintf("fork/exec /var/task/%s: %v", filepath.Base(path), cause(err))}
}

// cause leaves the paths of this machine out of an error.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

var machines = map[string]elf.Machine{"x86_64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// hostArchitecture is this machine's, in Lambda's words.
func hostArchitecture() string {
	if runtime.GOARCH == "amd64" {
		return "x86_64"
	}
	return runtime.GOARCH
}

// checkBinary refuses a binary of another architecture than the function's, as
// AWS does, and than this machine's. What isn't an ELF file, such as a script,
// is the kernel's business.
func checkBinary(path, architecture string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), cause(err))
	}
	defer f.Close()
	extension := filepath.Base(filepath.Dir(path)) == "extensions"
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), cause(err))
	}
	if info.Mode().Perm()&0o111 == 0 {
		return entrypointError(path, extension, fs.ErrPermission)
	}
	head := make([]byte, 20) // up to and with e_machine
	if _, err := io.ReadFull(f, head); err != nil || !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return nil
	}
	machine := elf.Machine(uint16(head[18]) | uint16(head[19])<<8)
	if machine != machines[architecture] {
		return entrypointError(path, extension, fmt.Errorf("exec format error (the binary is for %s, the function's architecture is %s)",
			machineName(machine), architecture))
	}
	if machine != machines[hostArchitecture()] {
		return entrypointError(path, extension, fmt.Errorf("exec format error (the emulator runs on %s and can't run %s: deploy the zip for %s and declare that architecture)",
			hostArchitecture(), architecture, hostArchitecture()))
	}
	return nil
}

func machineName(m elf.Machine) string {
	for name, machine := range machines {
		if machine == m {
			return name
		}
	}
	return m.String()
}

// notForExtensions are the variables that the runtime has and external
// extensions don't: "Extensions API", environment variables.
var notForExtensions = []string{
	"AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
	"LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_HANDLER",
}

// variables is the environment of a process: Lambda's "defined runtime
// environment variables", the cloud's endpoint, the function's own.
func (e *environment) variables(extension bool, mount mountKind) []string {
	f := e.fn
	vars := map[string]string{
		"AWS_ENDPOINT_URL":                e.x.cfg.Endpoint(),
		"TMPDIR":                          e.dir,
		"PATH":                            "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
		"_HANDLER":                        f.Handler,
		"LAMBDA_TASK_ROOT":                f.Code,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"AWS_LAMBDA_RUNTIME_API":          e.listener.Addr().String(),
		"AWS_LAMBDA_FUNCTION_NAME":        f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     f.Version,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(f.Memory),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       f.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME":      e.stream,
		"AWS_REGION":                      f.Region,
		"AWS_DEFAULT_REGION":              f.Region,
		"AWS_ACCESS_KEY_ID":               e.credentials.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":           e.credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN":               e.credentials.SessionToken,
	}
	if f.Layers != "" && mount == mountNone {
		vars["LAMBDA_LAYER_ROOT"] = f.Layers
	}
	maps.Copy(vars, f.Variables)
	if extension {
		for _, name := range notForExtensions {
			delete(vars, name)
		}
	}
	list := make([]string, 0, len(vars))
	for _, name := range slices.SortedFunc(maps.Keys(vars), cmp.Compare[string]) {
		list = append(list, name+"="+vars[name])
	}
	return list
}
