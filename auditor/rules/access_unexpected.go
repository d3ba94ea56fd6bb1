package rules

import (
	"fmt"
	"slices"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/policy"
)

func accessUnexpected() Rule {
	return Rule{
		ID:          "access-unexpected",
		Title:       "Somebody unexpected read or tried to read the secret",
		Rationale:   "The catalogue names who reads a secret. Anybody else in the trail is a mistake in the permissions, or an intruder.",
		Remediation: "Look at who it was: go tool mage audit:access <secret>. If they should read, name them in the catalogue; if not, take the permission away and rotate the secret.",
		Severity:    finding.High,
		Controls:    monitoringControls(),
		Secret: func(c Context, s *facts.Subject) finding.Verdict {
			if s.Declared == nil || s.Declared.Readers == nil {
				return finding.Skipped("nobody declared who reads it")
			}
			strangers := map[string]int{}
			for _, read := range s.Reads.Value {
				if !ExpectedReader(c.Policy, s.Declared, read.Principal) {
					strangers[read.Principal]++
				}
			}
			switch {
			case len(strangers) > 0:
				return finding.Failed(strangersOf(strangers, s.Reads.Value)...)
			case s.Reads.Unknown != "":
				return finding.Unreadable(s.Reads.Unknown)
			}
			return finding.Passed()
		},
	}
}

// ExpectedReader reports whether a principal may read a declared secret: a
// reader, its rotation function, an administrator, or who the policy expects
// everywhere.
func ExpectedReader(p *policy.Policy, d *facts.Declared, principal string) bool {
	expected := slices.Concat(d.Readers, d.Administrators, p.Access.Expected)
	if d.Rotator != "" {
		expected = append(expected, d.Rotator)
	}
	return slices.ContainsFunc(expected, func(pattern string) bool { return policy.Match(pattern, principal) })
}

func strangersOf(counts map[string]int, reads []facts.Access) []string {
	var names []string
	last := map[string]facts.Access{}
	for _, read := range reads {
		if _, stranger := counts[read.Principal]; !stranger {
			continue
		}
		if seen, ok := last[read.Principal]; !ok || read.Time.After(seen.Time) {
			last[read.Principal] = read
		}
	}
	for principal := range counts {
		names = append(names, principal)
	}
	slices.Sort(names)
	var pairs []string
	for _, principal := range names {
		read, how := last[principal], "allowed"
		if read.Error != "" {
			how = "refused: " + read.Error
		}
		times := "once"
		if n := counts[principal]; n > 1 {
			times = fmt.Sprintf("%d times, last", n)
		}
		pairs = append(pairs, principal, fmt.Sprintf("%s %s from %s, %s", times, when(read.Time), read.Source, how))
	}
	return pairs
}
