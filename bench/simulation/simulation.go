// Package simulation counts the calls to Secrets Manager of a day's traffic, on
// a clock that is moved from read to read: for the SDK, for plain caches with a
// TTL, and for no cache.
package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/aistudio/secrets/bench/caches"
	"github.com/aistudio/secrets/bench/report"
)

const (
	day         = 24 * time.Hour
	secretCount = 10

	// price is what Secrets Manager takes for a call, in dollars.
	price = 0.05 / 10_000
)

const about = `
A day's traffic on a clock that is moved from read to read. Requests come at random (a Poisson process, the same for all)
and each reads ten secrets. A container lives on; an environment of a Lambda function is frozen between the requests, in
which time nothing happens in it, and is replaced after two hours, with its cache. The sdk has its defaults: a TTL of one
hour, and a refresh when about 85 % of it are over. A TTL of 300 s is the default of AWS's extension. Prices are those of
calls, $0.05 for 10,000.
`

// Traffic is what reads the secrets.
type Traffic struct {
	Name       string
	PerHour    float64       // requests of each reader
	Readers    int           // containers or environments
	ReplacedIn time.Duration // life of a reader; 0: for ever
	Goal       float64       // percent of the calls that ours should save; 0: none
}

// Traffics are what is simulated.
func Traffics() []Traffic {
	return []Traffic{
		{Name: "a container, 30 requests an hour", PerHour: 30, Readers: 1, Goal: 95},
		{Name: "a container, 100 requests an hour", PerHour: 100, Readers: 1},
		{Name: "a container, 1,000 requests an hour", PerHour: 1000, Readers: 1, Goal: 99.5},
		{Name: "20 environments of a Lambda function, 30 requests an hour each", PerHour: 30, Readers: 20, ReplacedIn: 2 * time.Hour},
	}
}

// Strategy is a way to read.
type Strategy struct {
	Name string
	Peer string // of package caches
	TTL  time.Duration
}

// Strategies are what is compared; the first is ours and the last has no cache.
func Strategies() []Strategy {
	return []Strategy{
		{Name: "sdk", Peer: "sdk", TTL: time.Hour},
		{Name: "TTL 1 h", Peer: "map", TTL: time.Hour},
		{Name: "TTL 300 s", Peer: "map", TTL: 300 * time.Second},
		{Name: "no cache", Peer: "none", TTL: time.Hour},
	}
}

// clock is moved by the reader and read by what the reader started, too.
type clock struct{ since atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2030, time.January, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(c.since.Load()))
}

// Calls returns how many calls to Secrets Manager a day's traffic causes.
func Calls(ctx context.Context, traffic Traffic, strategy Strategy) (int64, error) {
	var api caches.API
	for reader := range traffic.Readers {
		if err := live(ctx, traffic, strategy, &api, uint64(reader)); err != nil {
			return 0, err
		}
	}
	return api.Calls(), nil
}

// live is the day of one reader. seed decides when its requests come.
func live(ctx context.Context, traffic Traffic, strategy Strategy, api *caches.API, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // the same traffic in every run
	gap := func() time.Duration { return time.Duration(random.ExpFloat64() / traffic.PerHour * float64(time.Hour)) }
	life := day
	if traffic.ReplacedIn > 0 {
		life = traffic.ReplacedIn
	}
	at := gap()
	for born := time.Duration(0); born < day; born += life {
		var c clock
		reader, end, err := open(strategy, caches.Options{API: api, TTL: strategy.TTL, Entries: 1000, Now: c.now})
		if err != nil {
			return err
		}
		for ; at < min(born+life, day); at += gap() {
			c.since.Store(int64(at))
			if err := request(ctx, reader); err != nil {
				end()
				return err
			}
		}
		end()
	}
	return nil
}

func open(strategy Strategy, o caches.Options) (caches.Reader, func(), error) {
	for _, peer := range caches.Peers() {
		if peer.Name == strategy.Peer {
			return peer.New(o)
		}
	}
	return nil, nil, fmt.Errorf("there is no peer %q to simulate", strategy.Peer)
}

func request(ctx context.Context, reader caches.Reader) error {
	for i := range secretCount {
		if err := reader.Read(ctx, fmt.Sprintf("acme/prod/shop/secret.%d", i)); err != nil {
			return err
		}
	}
	// A refresh in the background, which an API without a delay answers at once,
	// has its turn before time goes on. One that is late by a request or two
	// changes nothing: there is only one at a time for a secret.
	for range 8 {
		runtime.Gosched()
	}
	return nil
}

// Saved is how many percent fewer calls there are than without a cache.
func Saved(calls, uncached int64) float64 { return 100 * (1 - float64(calls)/float64(uncached)) }

// Run simulates everything. root is not used.
func Run(ctx context.Context, _ string, progress func(string)) (report.Section, error) {
	section := report.Section{Title: "API calls of a day", About: about}
	calls := report.Table{Title: "Calls a day and their price in 30 days", Head: []string{""}}
	saved := report.Table{Title: "Fewer calls than without a cache", Head: []string{""}}
	strategies := Strategies()
	for i, s := range strategies {
		calls.Head = append(calls.Head, s.Name)
		if i < len(strategies)-1 {
			saved.Head = append(saved.Head, s.Name)
		}
	}
	for _, traffic := range Traffics() {
		progress(traffic.Name)
		counts := make([]int64, len(strategies))
		for j, s := range strategies {
			n, err := Calls(ctx, traffic, s)
			if err != nil {
				return section, fmt.Errorf("simulate %s with %s: %w", traffic.Name, s.Name, err)
			}
			counts[j] = n
		}
		uncached := counts[len(counts)-1]
		line, percents := []string{traffic.Name}, []string{traffic.Name}
		for _, n := range counts {
			line = append(line, fmt.Sprintf("%d, $%.2f", n, float64(n)*30*price))
		}
		for _, n := range counts[:len(counts)-1] {
			percents = append(percents, report.Percent.Format(Saved(n, uncached)))
		}
		calls.Lines, saved.Lines = append(calls.Lines, line), append(saved.Lines, percents)
		row := report.Row{What: "sdk: fewer API calls a day, " + traffic.Name, Value: Saved(counts[0], uncached), Unit: report.Percent}
		if traffic.Goal > 0 {
			row.Goal = report.AtLeast(traffic.Goal)
		}
		section.Rows = append(section.Rows, row)
	}
	section.Tables = []report.Table{calls, saved}
	return section, nil
}
