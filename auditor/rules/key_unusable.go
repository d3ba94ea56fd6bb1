package rules

import (
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/finding"
)

func keyUnusable() Rule {
	return Rule{
		ID:          "key-unusable",
		Title:       "The key is disabled or will be deleted",
		Rationale:   "Without its key no secret can be read. Once the key is deleted they are lost, and nobody can bring them back.",
		Remediation: "Cancel the deletion (aws kms cancel-key-deletion --key-id <key>) and enable the key (aws kms enable-key --key-id <key>), or encrypt the secrets with another key first.",
		Severity:    finding.Critical,
		Controls:    keyControls([]string{"SC-12"}, []string{"KMS.3"}),
		Estate: func(_ Context, e *facts.Estate) []Result {
			return eachKey(e, func(used facts.UsedKey, key facts.Key) finding.Verdict {
				if key.Usable {
					return finding.Passed()
				}
				v := finding.Failed("state", key.State, "secrets", users(used.Users))
				if !key.Deletion.IsZero() {
					v.Evidence = append(v.Evidence, finding.Evidence{Name: "gone on", Value: date(key.Deletion)})
				}
				return v
			})
		},
	}
}
