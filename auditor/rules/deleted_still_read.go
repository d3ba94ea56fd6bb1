package rules

import (
	"time"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func deletedStillRead() Rule {
	return Rule{
		ID:          "deleted-still-read",
		Title:       "Scheduled for deletion, but still read",
		Rationale:   "Something still needs this secret and fails now. When the recovery window ends it is gone for good.",
		Remediation: "Restore the secret (aws secretsmanager restore-secret --secret-id <name>), move its readers, then delete it.",
		Severity:    finding.High,
		Controls:    replicaControls(),
		Deleted: func(_ Context, s *facts.Subject) finding.Verdict {
			var last facts.Access
			for _, read := range s.Reads.Value {
				if read.Time.After(s.Deleted) && read.Time.After(last.Time) {
					last = read
				}
			}
			switch {
			case !last.Time.IsZero():
				return finding.Failed("deleted", when(s.Deleted), "last tried", when(last.Time), "by", last.Principal)
			case s.Accessed.After(s.Deleted.Truncate(24 * time.Hour)):
				return finding.Failed("deleted", when(s.Deleted), "last read", date(s.Accessed))
			case s.Reads.Unknown != "":
				return finding.Unreadable(s.Reads.Unknown)
			}
			return finding.Passed()
		},
	}
}
