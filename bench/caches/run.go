package caches

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"github.com/aistudio/secrets/bench/report"
)

const (
	// rounds is how often everything is measured: as often as benchstat needs
	// to tell differences from noise.
	rounds = 6
)

// allCores is how go test writes the number of cores behind a benchmark's name.
var allCores = "-" + strconv.Itoa(runtime.NumCPU())

// passes are the runs of a round. The slow benchmarks decide themselves how long
// they take.
var passes = []struct{ what, benchmarks, time, cores string }{
	{"hits", "^BenchmarkHit$", "200ms", "1"},
	{"hits on one core and on all", "^BenchmarkHitParallel$", "200ms", "1," + strconv.Itoa(runtime.NumCPU())},
	{"stampede, expiry, memory", "^Benchmark(Stampede|Expiry|Memory)$", "1x", strconv.Itoa(runtime.NumCPU())},
}

const about = `
The benchmarks of [caches/](caches/), by benchstat. Every peer is read through the same interface:

- **sdk**: the client of ` + "`sdk/`" + ` with its defaults
- **map**: a map, a mutex and a TTL
- **otter**: [otter](https://github.com/maypok86/otter) v2 with a loader, an expiry, and a refresh at 85 % of it
- **none**: the AWS SDK at every read. In the benchmarks of hits it talks to a server in the same process, which answers at once; AWS takes milliseconds

*Stampede* is 10,000 callers of 50 secrets with an empty cache and an API that takes 50 ms. *Expiry* is 64 readers of one
secret in use while it expires, with an API that takes 300 ms; the table has the longest wait of any of them. *Memory* is
the heap that each of 10,000 cached secrets takes; the sdk keeps the ARN, the version and its labels beside the value.

AWS's own client for Go, aws-secretsmanager-caching-go, isn't compared: the Go module proxy that this project is built
from doesn't serve it.
`

// Run measures the peers in several rounds, so that what else the machine does
// hits all of them. root is the folder that holds bench; the go command must be
// on PATH.
func Run(ctx context.Context, root string, progress func(string)) (report.Section, error) {
	section := report.Section{Title: "Reading secrets in a process", About: about}
	dir, err := os.MkdirTemp("", "bench-caches-")
	if err != nil {
		return section, fmt.Errorf("benchmark the caches: %w", err)
	}
	defer os.RemoveAll(dir)

	module, program := filepath.Join(root, "bench"), filepath.Join(dir, "caches.test")
	progress("compile")
	if _, err := output(ctx, module, "go", "test", "-c", "-o", program, "./caches"); err != nil {
		return section, err
	}
	var printed bytes.Buffer
	for round := 1; round <= rounds; round++ {
		for _, pass := range passes {
			progress(fmt.Sprintf("round %d of %d: %s", round, rounds, pass.what))
			out, err := output(ctx, dir, program, "-test.run=^$", "-test.bench="+pass.benchmarks, "-test.benchtime="+pass.time, "-test.cpu="+pass.cores)
			if err != nil {
				return section, err
			}
			printed.Write(out)
		}
	}
	file := filepath.Join(dir, "results.txt")
	if err := os.WriteFile(file, printed.Bytes(), 0o600); err != nil {
		return section, fmt.Errorf("benchmark the caches: %w", err)
	}
	compared, err := output(ctx, module, "go", "tool", "benchstat", "-col", "/peer", "-row", ".name /keys /gomaxprocs", file)
	if err != nil {
		return section, err
	}
	section.Output = string(compared)
	results, err := readResults(&printed)
	if err != nil {
		return section, err
	}
	section.Rows = results.rows()
	if len(results.missing) > 0 {
		return section, fmt.Errorf("benchmark the caches: no result of %s", strings.Join(results.missing, ", "))
	}
	return section, nil
}

// output runs a command and returns what it printed.
func output(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out, nil
}

// results are the measured values.
type results struct {
	samples map[sample][]float64
	missing []string // what was asked for and not measured
}

// sample names a benchmark as go test does, and a unit.
type sample struct{ benchmark, unit string }

// readResults reads what go test prints. Units are benchfmt's: sec/op for ns/op.
func readResults(printed io.Reader) (*results, error) {
	read := &results{samples: map[sample][]float64{}}
	reader := benchfmt.NewReader(printed, "benchmarks")
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			for _, value := range record.Values {
				key := sample{string(record.Name), value.Unit}
				read.samples[key] = append(read.samples[key], value.Value)
			}
		case *benchfmt.SyntaxError:
			return nil, fmt.Errorf("read the benchmarks' results: %w", record)
		}
	}
	if err := reader.Err(); err != nil {
		return nil, fmt.Errorf("read the benchmarks' results: %w", err)
	}
	return read, nil
}

// of returns the quantile of a benchmark's values.
func (r *results) of(benchmark, unit string, quantile float64) float64 {
	values := r.samples[sample{benchmark, unit}]
	if len(values) == 0 {
		r.missing = append(r.missing, benchmark+" in "+unit)
	}
	return report.Quantile(values, quantile)
}

func (r *results) rows() []report.Row {
	time := func(benchmark string) float64 { return r.of(benchmark, "sec/op", 0.5) * 1e9 }
	wait := func(peer string) float64 { return r.of("Expiry/peer="+peer+allCores, "max-wait-sec", 1) * 1e9 }
	ours := time("Hit/peer=sdk")
	faster := func(peer string) float64 { return time("Hit/peer="+peer) / ours }
	growth := func(keys string) float64 {
		const parallel = "HitParallel/keys=%s/peer=sdk"
		one := fmt.Sprintf(parallel, keys)
		return time(one) / time(one+allCores)
	}
	return []report.Row{
		{What: "sdk: hit, serial", Value: ours, Unit: report.Nanoseconds, Goal: report.AtMost(60)},
		{What: "sdk: allocations of a hit", Value: r.of("Hit/peer=sdk", "allocs/op", 1), Goal: report.AtMost(0)},
		{What: "hit: how much faster than aws-secretsmanager-caching-go", Unit: report.Times, Goal: report.AtLeast(6), Missing: "the Go module proxy doesn't serve it"},
		{What: "hit: how much faster than the map", Value: faster("map"), Unit: report.Times},
		{What: "hit: how much faster than otter", Value: faster("otter"), Unit: report.Times},
		{What: "hit: how much faster than no cache, if AWS took no time", Value: faster("none"), Unit: report.Times},
		{What: "sdk: throughput on all cores against one, 1 secret", Value: growth("1"), Unit: report.Times, Goal: report.AtLeast(1.5)},
		{What: "sdk: throughput on all cores against one, 1,000 secrets", Value: growth("1000"), Unit: report.Times, Goal: report.AtLeast(1.5)},
		{What: "sdk: API calls of a cold stampede, 10,000 callers of 50 secrets", Value: r.of("Stampede/peer=sdk"+allCores, "calls/op", 1), Goal: report.AtMost(50)},
		{What: "sdk: longest wait of a warm reader at expiry, API at 300 ms", Value: wait("sdk"), Unit: report.Nanoseconds, Goal: report.AtMost(1e6)},
		{What: "map: longest wait of a warm reader at expiry, API at 300 ms", Value: wait("map"), Unit: report.Nanoseconds},
		{What: "sdk: memory for a secret, 10,000 cached", Value: r.of("Memory/peer=sdk"+allCores, "B/secret", 0.5), Unit: report.Bytes},
	}
}
