package notify

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/finding"
)

// TestSubjects: what SNS refuses once would keep back every alert after it.
func TestSubjects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subject := plain("Secrets of prod: " + rapid.String().Draw(t, "text"))
		if len(subject) >= 100 || strings.ContainsFunc(subject, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("SNS refuses %q", subject)
		}
	})
	require.Len(t, plain(strings.Repeat("a", 512)), 99)
}

// TestBodies: a message is within the 256 KB that SNS takes, and whatever somebody
// typed stays in its line.
func TestBodies(t *testing.T) {
	b := builder{r: &audit.Result{Environment: "prod"}, titles: map[string]string{"r": "Title"}, link: "https://reports/1"}
	long := finding.Finding{Rule: "r", Resource: finding.Resource{Name: "x\nCRITICAL: forged", Owner: "team\r\nx"}}
	for range 10_000 {
		long.Evidence = append(long.Evidence, finding.Evidence{Name: strings.Repeat("ä", 20), Value: "\x1b[1mlikely\nforged"})
	}
	messages := b.atOnce([]finding.Finding{long}, 1)
	require.Len(t, messages, 1)
	body := messages[0].Body
	require.Less(t, len(body), 250_000)
	require.True(t, utf8.ValidString(body))
	require.Contains(t, body, "https://reports/1")
	require.NotContains(t, body, "\x1b")
	for line := range strings.SplitSeq(body, "\n") {
		require.False(t, strings.HasPrefix(line, "CRITICAL") || strings.HasPrefix(line, "forged"), line)
	}
}
