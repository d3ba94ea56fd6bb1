// Package layer measures the program of the Lambda layer over HTTP, as a
// function in any language uses it.
package layer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/bench/report"
	"github.com/aistudio/secrets/bench/sandbox"
	"github.com/aistudio/secrets/localcloud"
)

const (
	artifact = "secrets-extension-layer"
	region   = "us-east-1"

	starts      = 20
	secretCount = 100
	rate        = 2000 // requests a second
	connections = 8
	rounds      = 5
	openTime    = 4 * time.Second
	closedTime  = 4 * time.Second
)

const about = `
The program in the layer's zip, started as Lambda starts an external extension, and read from over HTTP. Secrets Manager
is the emulator. *Start* is the time from its exec until it is registered with Lambda; by then it listens. The load
generator of [layer/](layer/) sends 2,000 requests a second for 100 cached secrets over 8 connections, whether or not the
ones before were answered (an open loop). The throughput is what 8 connections get that send the next request as soon as
they have an answer. The generator runs on the same cores, so its own work is in all of these numbers, and so is what the
machine takes for HTTP at all: see */ping*. Times are the median of the rounds.
`

// Run measures the layer's artifact in the dist folder below root.
func Run(ctx context.Context, root string, progress func(string)) (_ report.Section, err error) {
	section := report.Section{Title: "The layer over HTTP", About: about}
	dir, err := os.MkdirTemp("", "bench-layer-")
	if err != nil {
		return section, fmt.Errorf("benchmark the layer: %w", err)
	}
	defer os.RemoveAll(dir)
	program, err := sandbox.Named(root, artifact, runtime.GOARCH).Unpack(dir)
	if err != nil {
		return section, err
	}
	cloud, ids, err := startCloud(ctx)
	if err != nil {
		return section, err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()

	progress(fmt.Sprintf("start it %d times", starts))
	if section.Rows, err = measureStart(ctx, program, cloud); err != nil {
		return section, err
	}
	if err := measureLoad(ctx, program, cloud, ids, progress, &section); err != nil {
		return section, err
	}
	for _, arch := range []string{"amd64", "arm64"} {
		size, err := sandbox.Named(root, artifact, arch).Size()
		if err != nil {
			return section, err
		}
		section.Rows = append(section.Rows, report.Row{What: "layer: zip for " + arch, Value: float64(size), Unit: report.Bytes, Goal: report.AtMost(6e6)})
	}
	return section, nil
}

// startCloud returns an emulator with the secrets that are read.
func startCloud(ctx context.Context) (*localcloud.Cloud, []string, error) {
	cloud, err := localcloud.New()
	if err != nil {
		return nil, nil, err
	}
	client := secretsmanager.NewFromConfig(cloud.Config(region))
	var ids []string
	for i := range secretCount {
		id := fmt.Sprintf("acme/prod/shop/secret.%d", i)
		_, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
			Name: &id, SecretString: aws.String(`{"engine":"postgres","host":"db.example.com","port":5432,"username":"shop","password":"example"}`),
		})
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("create a secret to read: %w", err), cloud.Close())
		}
		ids = append(ids, id)
	}
	return cloud, ids, nil
}

// served is the layer's program, running.
type served struct {
	*sandbox.Sandbox
	address, token string
}

func start(ctx context.Context, program string, cloud *localcloud.Cloud) (served, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return served{}, fmt.Errorf("find a free port: %w", err)
	}
	address, token := listener.Addr().String(), rand.Text()
	if err := listener.Close(); err != nil {
		return served{}, fmt.Errorf("find a free port: %w", err)
	}
	_, port, _ := net.SplitHostPort(address)
	s, err := sandbox.Start(ctx, program, map[string]string{
		"AWS_REGION": region, "AWS_ENDPOINT_URL": cloud.URL(), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"AWS_TOKEN": token, "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT": port,
	})
	return served{s, address, token}, err
}

func measureStart(ctx context.Context, program string, cloud *localcloud.Cloud) ([]report.Row, error) {
	var times []time.Duration
	for range starts {
		s, err := start(ctx, program, cloud)
		if err != nil {
			return nil, err
		}
		times = append(times, s.Started)
		listening, err := dial(ctx, s.address)
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
		if err := errors.Join(listening.file.Close(), s.Stop()); err != nil {
			return nil, err
		}
	}
	return []report.Row{
		{What: "layer: start, median", Value: report.Duration(report.Quantile(times, 0.5)), Unit: report.Nanoseconds, Goal: report.AtMost(15e6)},
		{What: "layer: start, slowest", Value: report.Duration(report.Quantile(times, 1)), Unit: report.Nanoseconds},
	}, nil
}

func measureLoad(ctx context.Context, program string, cloud *localcloud.Cloud, ids []string, progress func(string), section *report.Section) error {
	s, err := start(ctx, program, cloud)
	if err != nil {
		return err
	}
	defer func() { _ = s.Stop() }() // it was measured
	l := load{address: s.address, connections: connections}
	for _, id := range ids {
		wire, err := request(ctx, s.address, "/secretsmanager/get?secretId="+url.QueryEscape(id), s.token)
		if err != nil {
			return err
		}
		l.requests = append(l.requests, wire)
	}
	if err := l.once(ctx); err != nil { // fills the cache
		return err
	}
	ping, err := request(ctx, s.address, "/ping", s.token)
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("%d pings a second", rate))
	pings, err := load{address: s.address, requests: [][]byte{ping}, connections: connections}.open(ctx, rate, openTime)
	if err != nil {
		return err
	}
	var p50, p99 []time.Duration
	detail := report.Table{Title: "Each round at 2,000/s", Head: []string{"", "p50", "p90", "p99", "p99.9", "longest"}}
	for round := 1; round <= rounds; round++ {
		progress(fmt.Sprintf("round %d of %d: %d requests a second", round, rounds, rate))
		times, err := l.open(ctx, rate, openTime)
		if err != nil {
			return err
		}
		p50, p99 = append(p50, report.Quantile(times, 0.5)), append(p99, report.Quantile(times, 0.99))
		line := []string{fmt.Sprint(round)}
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
			line = append(line, report.Nanoseconds.Format(report.Duration(report.Quantile(times, q))))
		}
		detail.Lines = append(detail.Lines, line)
	}
	section.Tables = append(section.Tables, detail)
	section.Rows = append(section.Rows,
		report.Row{What: "layer: p50 at 2,000/s", Value: report.Duration(report.Quantile(p50, 0.5)), Unit: report.Nanoseconds, Goal: report.AtMost(100e3)},
		report.Row{What: "layer: p99 at 2,000/s", Value: report.Duration(report.Quantile(p99, 0.5)), Unit: report.Nanoseconds, Goal: report.AtMost(1e6)},
		report.Row{What: "layer: p50 of /ping at 2,000/s, which looks up nothing", Value: report.Duration(report.Quantile(pings, 0.5)), Unit: report.Nanoseconds},
	)
	memory := s.memory()
	memory.What, memory.Goal = "layer: most memory resident, after all rounds at 2,000/s", report.AtMost(20e6)

	progress("as many requests a second as it can")
	most, err := l.closed(ctx, closedTime)
	if err != nil {
		return err
	}
	loaded := s.memory()
	loaded.What = "layer: most memory resident, after that"
	section.Rows = append(section.Rows, memory, report.Row{What: "layer: throughput", Value: most, Unit: report.PerSecond}, loaded)
	return nil
}

// memory is the row of the program's peak so far.
func (s served) memory() report.Row {
	row := report.Row{Unit: report.Bytes}
	peak, err := s.PeakMemory()
	if err != nil {
		row.Missing = err.Error()
	}
	row.Value = float64(peak)
	return row
}
