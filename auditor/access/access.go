// Package access answers who accessed a secret, when, from where, and whether
// they were let in, from CloudTrail's event history.
package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"golang.org/x/time/rate"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/trail"
)

// Query says whose accesses are looked up.
type Query struct {
	Secret string // its name
	ARN    string // if known: finds changes too, not only reads
	Since  time.Time
	Now    time.Time
	Pages  int // of 50 events, for each region and lookup
}

// Report is what was found.
type Report struct {
	Secret   string    `json:"secret"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Complete bool      `json:"complete"` // false: the trail holds more than was read
	Unread   []string  `json:"unread,omitempty"`
	Accesses []Access  `json:"accesses"` // newest first
}

// Access is an access, and what is unusual about it.
type Access struct {
	facts.Access
	Unusual []string `json:"unusual,omitempty"`
}

// Find looks up the accesses in regions, each with its client. It fails only if
// no region could be read; what couldn't be is in Report.Unread.
//
// What is unusual is told by the events before Since, as far back as CloudTrail
// keeps them: see Mark.
func Find(ctx context.Context, regions map[string]trail.API, q Query) (Report, error) {
	r := Report{Secret: q.Secret, Since: q.Since, Until: q.Now, Complete: true, Accesses: []Access{}}
	seen := map[string]bool{}
	var all []facts.Access
	var errs []error
	for _, region := range sortedKeys(regions) {
		// Two a second (CloudTrail user guide, "Quotas").
		limit := rate.NewLimiter(1.6, 2)
		for _, lookup := range lookups(q, region) {
			complete, err := trail.Lookup(ctx, regions[region], limit, lookup, func(e *trail.Event) {
				if e.Secret() == q.Secret && !seen[e.EventID] {
					seen[e.EventID] = true
					all = append(all, e.Access())
				}
			})
			if err != nil {
				errs = append(errs, fmt.Errorf("read the trail of %s: %w", region, err))
				r.Unread = append(r.Unread, region)
				break
			}
			r.Complete = r.Complete && complete
		}
	}
	if len(r.Unread) == len(regions) {
		return Report{}, errors.Join(errs...)
	}
	r.Complete = r.Complete && len(r.Unread) == 0
	slices.SortFunc(all, func(a, b facts.Access) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Event, b.Event))
	})
	r.Accesses = Mark(all, q.Since)
	return r, nil
}

// lookups are the ways to a secret's events in a region: the reads of all secrets,
// since a refused read names no resource, and whatever names this one, whose
// replicas' ARNs differ in the region.
func lookups(q Query, region string) []trail.Query {
	from := q.Now.Add(-trail.Keeps)
	list := []trail.Query{{Key: types.LookupAttributeKeyEventName, Value: "GetSecretValue", From: from, To: q.Now, Pages: q.Pages}}
	if fields := strings.Split(q.ARN, ":"); len(fields) > arnRegion {
		fields[arnRegion] = region
		list = append(list, trail.Query{Key: types.LookupAttributeKeyResourceName, Value: strings.Join(fields, ":"), From: from, To: q.Now, Pages: q.Pages})
	}
	return list
}

// arnRegion is the field of an ARN that holds the region.
const arnRegion = 3

func sortedKeys(m map[string]trail.API) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// What a spike is: so many accesses of a principal in an hour, and so many
// times more than in its busiest hour before.
const (
	spikeFrom  = 20
	spikeTimes = 3
)

// Mark returns the accesses since a time, newest first as they came, and says
// of each what is unusual by those before: a principal that was never seen, a
// region in which the secret was never used, a spike. Without earlier accesses
// everything is usual.
func Mark(all []facts.Access, since time.Time) []Access {
	principals, regions := map[string]bool{}, map[string]bool{}
	busiest, hours := map[string]int{}, map[hour]int{}
	for _, a := range all {
		if !a.Time.Before(since) {
			hours[hourOf(a)]++
			continue
		}
		principals[a.Principal], regions[a.Region] = true, true
		h := hourOf(a)
		hours[h]++
		busiest[a.Principal] = max(busiest[a.Principal], hours[h])
	}
	marked := []Access{}
	for _, a := range all {
		if a.Time.Before(since) {
			continue
		}
		m := Access{Access: a}
		if len(principals) > 0 {
			if !principals[a.Principal] {
				m.Unusual = append(m.Unusual, "new principal")
			}
			if !regions[a.Region] {
				m.Unusual = append(m.Unusual, "new region")
			}
			if n := hours[hourOf(a)]; n >= spikeFrom && n > spikeTimes*busiest[a.Principal] {
				m.Unusual = append(m.Unusual, fmt.Sprintf("spike: %d in an hour", n))
			}
		}
		marked = append(marked, m)
	}
	return marked
}

type hour struct {
	principal string
	at        int64
}

func hourOf(a facts.Access) hour { return hour{a.Principal, a.Time.Unix() / 3600} }

// Table writes the report for people.
func (r Report) Table(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TIME\tPRINCIPAL\tEVENT\tRESULT\tSOURCE\tREGION\tVERSION\tUNUSUAL")
	for _, a := range r.Accesses {
		result, version := "allowed", a.Version
		if a.Error != "" {
			result = "refused: " + a.Error
		}
		if version == "" && a.Event == "GetSecretValue" {
			version = "AWSCURRENT"
		}
		row := []string{a.Time.Format(time.DateTime), a.Principal, a.Event, result, a.Source, a.Region, version, strings.Join(a.Unusual, ", ")}
		for i := range row {
			row[i] = finding.OneLine(row[i]) // the trail quotes what the caller sent
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	text := fmt.Sprintf("\n%d accesses since %s\n", len(r.Accesses), r.Since.Format(time.DateTime))
	if !r.Complete {
		text += "the trail holds more than was read: raise --pages\n"
	}
	for _, region := range r.Unread {
		text += "the trail of " + region + " could not be read: its accesses are unknown\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
