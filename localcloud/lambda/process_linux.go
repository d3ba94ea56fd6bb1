package lambda

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is the runtime or an external extension, the leader of a process
// group of its own.
type process struct {
	name      string
	extension bool
	cmd       *exec.Cmd
	exited    chan struct{}
	noted     chan struct{} // the environment knows of the exit
	err       error         // of cmd.Wait, once exited
}

// mountKind is how an environment gets its layers on /opt.
type mountKind int

const (
	mountNone mountKind = iota // LAMBDA_LAYER_ROOT instead
	mountRoot                  // a mount namespace
	mountUser                  // a user namespace and in it a mount namespace
)

// command makes the command that runs path with opt mounted on /opt.
func (k mountKind) command(path, opt string) *exec.Cmd {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if k == mountNone || opt == "" {
		cmd := exec.Command(path) //nolint:noctx // it outlives every context; shutdown ends it
		cmd.SysProcAttr = attr
		return cmd
	}
	cmd := exec.Command("/bin/sh", "-c", `mount --bind "$0" /opt && exec "$@"`, opt, path) //nolint:noctx // as above
	if k == mountRoot {
		attr.Unshareflags = syscall.CLONE_NEWNS
	} else {
		attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	return cmd
}

// probeMount tries what this machine allows.
func (x *Executor) probeMount() mountKind {
	for _, k := range []mountKind{mountRoot, mountUser} {
		cmd := k.command("/bin/true", os.TempDir())
		if x.onSpawner(cmd.Run) == nil {
			return k
		}
	}
	return mountNone
}

// start runs an executable of the function's.
func (e *environment) start(path string, extension bool) error {
	if err := checkBinary(path, e.fn.Architecture); err != nil {
		return err
	}
	opt := e.fn.Layers
	mount := mountNone
	if opt != "" {
		mount = e.x.mountOpt()
	}
	cmd := mount.command(path, opt)
	cmd.Dir = e.fn.Code
	cmd.Env = e.variables(extension, mount)
	cmd.Stdout, cmd.Stderr = e.out.w, e.out.w
	p := &process{name: extensionName(path), extension: extension, cmd: cmd, exited: make(chan struct{}), noted: make(chan struct{})}
	err := e.x.onSpawner(func() error {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.killed {
			return ErrClosed
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		e.processes = append(e.processes, p)
		return nil
	})
	if err != nil {
		return entrypointError(path, extension, err)
	}
	go e.watch(p)
	return nil
}

// watch waits for a process to exit; nobody expects it to.
func (e *environment) watch(p *process) {
	p.err = p.cmd.Wait()
	close(p.exited)
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its children
	e.change(func() {
		if e.failure == nil && !e.ending {
			e.failure = exitFailure(p)
		}
	})
	close(p.noted)
}

func exitFailure(p *process) *failure {
	if p.extension {
		return &failure{"Extension.Crash", fmt.Sprintf("extension %s exited: %s", p.name, p.exitText())}
	}
	if p.err == nil {
		return &failure{"Runtime.ExitError", "Runtime exited without providing a reason"}
	}
	return &failure{"Runtime.ExitError", "Runtime exited with error: " + p.exitText()}
}

// exitText is the exit as AWS words it: "exit status 1", "signal: killed".
func (p *process) exitText() string {
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ProcessState.String()
	}
	if p.err != nil {
		return p.err.Error()
	}
	return "exit status 0"
}

// signal signals the whole group. Nothing happens when it is gone.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.exited:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// freeze stops the group and returns when its leader has stopped, or has exited
// and the environment knows of it.
func (p *process) freeze() {
	p.signal(syscall.SIGSTOP)
	for {
		var found unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &found, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err == nil && found.Code == cldStopped:
			return
		default:
			<-p.noted
			return
		}
	}
}

// cldStopped is CLD_STOPPED of signal.h: the code of a child that was stopped.
const cldStopped = 5

func (p *process) thaw() { p.signal(syscall.SIGCONT) }

func (p *process) terminate() { p.signal(syscall.SIGTERM) }

// kill kills the group and returns when its leader is gone.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.noted
}

func (p *process) waitUntil(deadline time.Time) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
	}
}

// peakMemory is the most that the process has used, in MB.
func (p *process) peakMemory() int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0 // it is gone
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				return 0
			}
			return (kb + 1023) / 1024
		}
	}
	return 0
}
