package localdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// policyFile is where Debian's packages ask whether they may start services
// (invoke-rc.d(8)).
const policyFile = "/usr/sbin/policy-rc.d"

// debianPackage is one that has a database server in it.
type debianPackage struct {
	name    string
	missing error  // what to tell where it can't be installed
	policy  string // policyFile
}

// withoutServices runs a command, the arguments after the first, while no
// package may start a service: the tests want the server's programs, not a
// server of the machine's. The first argument is the policy's file; one that
// the machine has already is left alone.
const withoutServices = `
	policy=$1; shift
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy" || exit
	fi
	"$@"`

// install adds Debian's package. It needs root, or a sudo that asks nothing.
func install(ctx context.Context, wanted debianPackage, progress func(string)) error {
	aptGet, err := exec.LookPath("apt-get")
	if err != nil {
		return wanted.missing
	}
	prefix := []string{"env"}
	if os.Geteuid() != 0 {
		sudo, err := exec.LookPath("sudo")
		if err != nil || exec.CommandContext(ctx, sudo, "--non-interactive", "true").Run() != nil {
			return wanted.missing
		}
		prefix = []string{sudo, "--non-interactive", "env"}
	}
	prefix = append(prefix, "DEBIAN_FRONTEND=noninteractive",
		"sh", "-c", withoutServices, "sh", wanted.policy, aptGet, "-o", "DPkg::Lock::Timeout=300")
	run := func(arguments ...string) error {
		line := append(append([]string{}, prefix...), arguments...)
		output, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("running %s %s: %w: %s", aptGet, strings.Join(arguments, " "), err, tail(output))
		}
		return nil
	}
	report := func(line string) {
		if progress != nil {
			progress(line)
		}
	}

	installPackage := []string{"install", "--yes", "--no-install-recommends", wanted.name}
	report("its programs aren't on this machine: installing the package " + wanted.name)
	if err := run(installPackage...); err == nil {
		return nil
	}
	report("the package lists are old: updating them, then installing " + wanted.name)
	if err := run("update"); err != nil {
		return errors.Join(wanted.missing, err)
	}
	if err := run(installPackage...); err != nil {
		return errors.Join(wanted.missing, err)
	}
	return nil
}
