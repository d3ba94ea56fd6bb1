// Package rotation measures a whole rotation, with the real Lambda program and a
// real database server, and how long the rotators' programs take to start.
package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/bench/report"
	"github.com/aistudio/secrets/bench/sandbox"
	"github.com/aistudio/secrets/localcloud/localdb"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	coldRotations = 10
	warmRotations = 30
	starts        = 10
)

const about = `
A secret of a database user is rotated by the program in the zip of rotate-database, which the emulator runs as Lambda
does, on a real server that the benchmark starts. The strategy is that of two users who take turns, with an
administrator's secret. The time is that from RotateSecret until all four steps are done and their events delivered. Cold
is with a new environment for the function, as every scheduled rotation is on AWS; warm is with the one of the rotation
before. What AWS adds on its side is not in these numbers.

*Start* is the time from a program's exec until it asks Lambda for its first event.
`

// server is a running database.
type server struct {
	name  string
	admin spec.Database
	ca    string // file of the authority
	close func() error
}

// servers start the databases that are measured.
var servers = []func(context.Context, localdb.Options) (server, error){startPostgres, startMariaDB}

func startPostgres(ctx context.Context, options localdb.Options) (server, error) {
	p, err := localdb.StartPostgres(ctx, options)
	if err != nil {
		return server{}, err
	}
	return server{"PostgreSQL", spec.Database{
		Engine: spec.EnginePostgres, Host: p.Host, Port: p.Port, Username: p.AdminUser, Password: spec.ValueString(p.AdminPassword),
	}, p.CAFile, p.Close}, nil
}

func startMariaDB(ctx context.Context, options localdb.Options) (server, error) {
	m, err := localdb.StartMariaDB(ctx, options)
	if err != nil {
		return server{}, err
	}
	return server{"MariaDB", spec.Database{
		Engine: spec.EngineMariaDB, Host: m.Host, Port: m.Port, Username: m.AdminUser, Password: spec.ValueString(m.AdminPassword),
	}, m.CAFile, m.Close}, nil
}

// Run measures the rotators' artifacts in the dist folder below root.
func Run(ctx context.Context, root string, progress func(string)) (report.Section, error) {
	section := report.Section{Title: "Rotations", About: about}
	for _, start := range servers {
		if err := measureServer(ctx, root, start, progress, &section); err != nil {
			return section, err
		}
	}
	programs, err := measurePrograms(ctx, root, progress)
	if err != nil {
		return section, err
	}
	section.Tables = append(section.Tables, programs)
	return section, nil
}

func measureServer(ctx context.Context, root string, start func(context.Context, localdb.Options) (server, error), progress func(string), section *report.Section) (err error) {
	progress("start a database server")
	database, err := start(ctx, localdb.Options{Progress: progress})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.close()) }()
	w, err := newWorld(ctx, sandbox.Named(root, function, runtime.GOARCH), database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.cloud.Close()) }()

	progress(fmt.Sprintf("%s: %d rotations with a cold function", database.name, coldRotations))
	cold, err := w.rotations(ctx, coldRotations, true)
	if err != nil {
		return err
	}
	coldSteps, err := w.steps(ctx, coldRotations)
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("%s: %d rotations with a warm function", database.name, warmRotations))
	warm, err := w.rotations(ctx, warmRotations, false)
	if err != nil {
		return err
	}
	warmSteps, err := w.steps(ctx, warmRotations)
	if err != nil {
		return err
	}

	row := func(what string, times []time.Duration, quantile float64, goal *report.Goal) report.Row {
		return report.Row{What: database.name + ": a whole rotation, " + what, Value: report.Duration(report.Quantile(times, quantile)), Unit: report.Nanoseconds, Goal: goal}
	}
	goal := report.AtMost(report.Duration(300 * time.Millisecond))
	section.Rows = append(section.Rows, row("cold, median", cold, 0.5, goal), row("cold, slowest", cold, 1, nil), row("warm, median", warm, 0.5, goal), row("warm, slowest", warm, 1, nil))

	detail := report.Table{Title: database.name + ", time in the function, median", Head: []string{"", "cold", "warm"}}
	for i, name := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		detail.Lines = append(detail.Lines, []string{name, formatted(coldSteps[i]), formatted(warmSteps[i])})
	}
	section.Tables = append(section.Tables, detail)
	return nil
}

func formatted(times []time.Duration) string {
	return report.Nanoseconds.Format(report.Duration(report.Quantile(times, 0.5)))
}

// measurePrograms measures the start and the size of each rotator.
func measurePrograms(ctx context.Context, root string, progress func(string)) (report.Table, error) {
	table := report.Table{Title: "The rotators' programs", Head: []string{"", "start, median", "slowest", "memory", "zip for arm64", "zip for amd64"}}
	archives, err := filepath.Glob(string(sandbox.Named(root, "rotat*", runtime.GOARCH)))
	if err != nil || len(archives) == 0 {
		return table, errors.Join(err, fmt.Errorf("no rotator in the dist folder of %s: make them with \"go tool mage build\"", root))
	}
	slices.SortFunc(archives, cmp.Compare[string])
	for _, archive := range archives {
		name, _, _ := strings.Cut(filepath.Base(archive), "_linux_")
		progress(fmt.Sprintf("start %s %d times", name, starts))
		line, err := measureProgram(ctx, root, name)
		if err != nil {
			return table, err
		}
		table.Lines = append(table.Lines, line)
	}
	return table, nil
}

func measureProgram(ctx context.Context, root, name string) ([]string, error) {
	dir, err := os.MkdirTemp("", "bench-rotators-")
	if err != nil {
		return nil, fmt.Errorf("benchmark %s: %w", name, err)
	}
	defer os.RemoveAll(dir)
	program, err := sandbox.Named(root, name, runtime.GOARCH).Unpack(dir)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	var memory int64
	for range starts {
		s, err := sandbox.Start(ctx, program, map[string]string{
			"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", spec.EnvFeedTable: feedTable,
		})
		if err != nil {
			return nil, err
		}
		times = append(times, s.Started)
		peak, err := s.PeakMemory()
		if err := errors.Join(err, s.Stop()); err != nil {
			return nil, err
		}
		memory = max(memory, peak)
	}
	line := []string{
		name, formatted(times), report.Nanoseconds.Format(report.Duration(report.Quantile(times, 1))),
		report.Bytes.Format(float64(memory)),
	}
	for _, arch := range []string{"arm64", "amd64"} {
		size, err := sandbox.Named(root, name, arch).Size()
		if err != nil {
			return nil, err
		}
		line = append(line, report.Bytes.Format(float64(size)))
	}
	return line, nil
}
