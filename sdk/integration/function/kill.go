package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// kill kills the extension of this environment: the process of that name that
// talks to the same Runtime API as this one.
func kill(name string) error {
	variable := "AWS_LAMBDA_RUNTIME_API=" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "\x00"
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return err
	}
	for _, path := range environs {
		comm, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		environ, _ := os.ReadFile(path)
		var pid int
		if !strings.HasPrefix(name, strings.TrimSpace(string(comm))) || !strings.Contains(string(environ), variable) {
			continue // comm has the first 15 characters
		}
		if _, err := fmt.Sscanf(path, "/proc/%d/environ", &pid); err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return fmt.Errorf("no process %s", name)
}
