package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aistudio/secrets/auditor/policy"
)

// demand is a line of the policy by which an audit judged.
type demand struct{ Name, Value string }

// demands are what an assessor asks of the policy: the numbers that decide, and
// what deviates from the rules' own severities.
func demands(p *policy.Policy) []demand {
	var list []demand
	for _, kind := range slices.Sorted(maps.Keys(p.MaximumAge)) {
		list = append(list, demand{"Maximum age, " + kind, span(p.MaximumAge[kind])})
	}
	list = append(list,
		demand{"Unused after", span(p.UnusedAfter)},
		demand{"Rotation overdue", span(p.RotationGrace) + " after its window"},
		demand{"Rotation stuck", span(p.PendingGrace) + " after it began"},
		demand{"Reads judged", "those of the last " + span(p.Access.Window)},
		demand{"Migration scan trusted for", span(p.ScanMaxAge)},
	)
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		value := "any value"
		if allowed := p.Tags[key]; len(allowed) > 0 {
			value = strings.Join(allowed, ", ")
		}
		list = append(list, demand{"Required tag " + key, value})
	}
	if len(p.Access.Expected) > 0 {
		list = append(list, demand{"May read every secret", strings.Join(p.Access.Expected, ", ")})
	}
	for _, rule := range slices.Sorted(maps.Keys(p.Severities)) {
		list = append(list, demand{"Severity of " + rule, string(p.Severities[rule])})
	}
	return list
}

// span writes a duration in days, or in hours if it is less than two of them.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d < 2*day || d%day != 0 {
		return fmt.Sprintf("%g hours", d.Hours())
	}
	return fmt.Sprintf("%d days", d/day)
}
