// Package migration measures the plan of a large migration, with the command
// that people run, against the emulator with AWS's request quotas switched on.
package migration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aistudio/secrets/bench/report"
	"github.com/aistudio/secrets/bench/sandbox"
	"github.com/aistudio/secrets/localcloud"
	"github.com/aistudio/secrets/localcloud/quotas"
)

const about = `
The command ` + "`migrate plan`" + ` as a process of its own: it reads the estate, classifies every variable and parameter, asks
what there is of secrets and rights already, and writes the plan. The emulator throttles calls as AWS's default quotas do,
and the command keeps itself to half of them, so most of the time is waiting for its turn: the aliases of each function
that has published versions, here every third, are a call, of which Lambda takes 15 a second. Nobody else uses the quotas.
`

const longest = 60 * time.Second // of a plan

// Size is how large an estate is.
type Size struct {
	Functions  int // each with eight variables, of which one is a secret; every third with a published version and an alias
	Services   int // each with two active revisions of its task definition
	Parameters int // half are encrypted; every tenth holds a secret
}

// Large is the size that the goal is for.
var Large = Size{Functions: 1_000, Services: 200, Parameters: 5_000}

// Run returns the benchmark for an estate of the size.
func Run(size Size) func(ctx context.Context, root string, progress func(string)) (report.Section, error) {
	return func(ctx context.Context, root string, progress func(string)) (_ report.Section, err error) {
		section := report.Section{Title: "The migration", About: about}
		dir, err := os.MkdirTemp("", "bench-migration-")
		if err != nil {
			return section, fmt.Errorf("benchmark the migration: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		progress("compile")
		program := filepath.Join(dir, "migrate")
		compile := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/migrate")
		compile.Dir = filepath.Join(root, "migrator")
		if out, err := compile.CombinedOutput(); err != nil {
			return section, fmt.Errorf("compile the migrator: %w\n%s", err, out)
		}
		cloud, err := localcloud.New()
		if err != nil {
			return section, err
		}
		defer func() { err = errors.Join(err, cloud.Close()) }()
		progress(fmt.Sprintf("make %d functions, %d services and %d parameters", size.Functions, size.Services, size.Parameters))
		if err := fill(ctx, cloud, size); err != nil {
			return section, fmt.Errorf("make the estate: %w", err)
		}
		progress("plan")
		cloud.Quotas.Set(quotas.AWS()...)
		m, err := plan(ctx, cloud.URL(), program, dir)
		if err != nil {
			return section, err
		}
		section.Rows = rows(size, m, cloud.Quotas.Throttled())
		return section, nil
	}
}

func rows(size Size, m measured, throttled map[string]int) []report.Row {
	refused := 0
	for _, n := range throttled {
		refused += n
	}
	memory := report.Row{What: "plan: most memory resident", Value: float64(m.memory), Unit: report.Bytes}
	if m.memory == 0 {
		memory.Missing = "it is measured on Linux only"
	}
	return []report.Row{
		{
			What:  fmt.Sprintf("plan of %d functions, %d services, %d parameters", size.Functions, size.Services, size.Parameters),
			Value: report.Duration(m.took), Unit: report.Nanoseconds, Goal: report.AtMost(report.Duration(longest)),
		},
		{What: "plan: calls over a quota", Value: float64(refused), Goal: report.AtMost(0)},
		{What: "plan: of that, time of the processor", Value: report.Duration(m.cpu), Unit: report.Nanoseconds},
		memory,
		{What: "plan: secrets that it makes", Value: float64(m.secrets)},
		{What: "plan: services that it switches", Value: float64(m.services)},
	}
}

// measured is what a plan took.
type measured struct {
	took, cpu         time.Duration // cpu: of its own process
	memory            int64         // bytes resident at its peak; 0: nobody tells
	secrets, services int           // in the plan
}

const stack = `config:
  aws:region: ` + region + `
  aistudio-secrets:settings:
    organization: acme
    environment: prod
    owner: team-platform
`

func plan(ctx context.Context, url, program, dir string) (measured, error) {
	if err := os.WriteFile(filepath.Join(dir, "Pulumi.prod.yaml"), []byte(stack), 0o600); err != nil {
		return measured{}, err
	}
	c := exec.CommandContext(ctx, program, "plan", "prod", "--root", dir, "--json")
	c.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+url, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION="+region)
	var out, messages bytes.Buffer
	c.Stdout, c.Stderr = &out, &messages
	began := time.Now()
	if err := c.Start(); err != nil {
		return measured{}, err
	}
	ended, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- sandbox.WatchMemory(c.Process.Pid, ended) }()
	err := c.Wait()
	m := measured{took: time.Since(began)}
	close(ended)
	m.memory, m.cpu = <-peak, c.ProcessState.UserTime()+c.ProcessState.SystemTime()
	// 1 is a plan with something that blocks, as a key that isn't there.
	if code := c.ProcessState.ExitCode(); code != 0 && code != 1 {
		return m, fmt.Errorf("plan the migration: %w\n%s", err, messages.String())
	}
	var made struct{ Secrets, Services []json.RawMessage }
	if err := json.Unmarshal(out.Bytes(), &made); err != nil {
		return m, fmt.Errorf("read the plan: %w", err)
	}
	m.secrets, m.services = len(made.Secrets), len(made.Services)
	return m, nil
}
