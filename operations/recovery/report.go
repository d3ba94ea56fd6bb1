package recovery

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes the report as JSON.
func (r *Report) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// WriteMarkdown writes the report as a page.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	verdict := "passed"
	if !r.Passed {
		verdict = "FAILED"
	}
	where := "AWS"
	if r.LocalCloud {
		where = "the local cloud, an emulator of AWS"
	}
	line("# Disaster recovery drill: %s, %s\n", r.Environment, verdict)
	line("On %s, from %s to %s UTC; primary region %s, DR region %s.", where,
		r.Started.Format("2006-01-02 15:04:05"), r.Finished.Format("15:04:05"), r.PrimaryRegion, r.DRRegion)
	if r.Resumed {
		line("\nAn earlier run was interrupted; the times are those of the last one.")
	}
	line("\n## Replicas\n")
	line("| state | secrets |\n|---|---:|")
	for _, state := range States() {
		if n := r.Replicas[state]; n > 0 {
			line("| %s | %d |", state, n)
		}
	}
	line("\n%d of %d replicas have the primary's version and value.", r.Compared, r.Secrets)
	line("\n## Reads in %s\n", r.DRRegion)
	line("%d secrets were read with the role of a service that may read them, %d with the operator's own rights.", r.Readers.ByService, r.Readers.ByOperator)
	for _, why := range r.Readers.Why {
		line("- %s", why)
	}
	if r.Readers.ByOperator > 0 {
		line("\nOf %d secrets IAM's simulation says that services whose roles can't be taken on may read them there.", r.Readers.Simulated)
	}
	line("\n| reads through the SDK | secrets | failed | by failover | slowest first read | median | 99 %% | slowest |\n|---|---:|---:|---:|---:|---:|---:|---:|")
	for _, row := range []struct {
		what  string
		reads Reads
	}{{"from the DR region", r.Direct}, {"while " + r.Darkness, r.Failover}} {
		line("| %s | %d | %d | %d | %.0f ms | %.1f ms | %.1f ms | %.0f ms |", row.what, row.reads.Count, row.reads.Failed, row.reads.Failover,
			row.reads.FirstMS, row.reads.MedianMS, row.reads.P99MS, row.reads.MaxMS)
	}
	r.writeRecovery(line)
	writeFailures(line, r.Failures)
	if len(r.Notes) > 0 {
		line("\n## Notes\n")
	}
	for _, note := range r.Notes {
		line("- %s", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) writeRecovery(line func(string, ...any)) {
	c := r.Recovered
	if c == nil {
		line("\n## Failover\n\nNothing was promoted: the recovery time isn't measured. On AWS that needs --for-real.")
		return
	}
	line("\n## Failover\n")
	line("| | |\n|---|---|")
	line("| recovery time | **%.1f s**, target %.0f s |", c.Seconds, c.TargetSecs)
	line("| secrets promoted | %d |", c.Promoted)
	line("| versions lost in the failover | **%d** of %d |", c.LostInFailover, c.Versions)
	line("| rotated in %s | %d, in %.1f s |", r.DRRegion, c.Rotated, c.RotationSeconds)
	line("| failback | %.1f s |", c.FailbackSeconds)
	line("| versions lost in the failback | **%d** |", c.LostInFailback)
	line("\n| step | done | failed | seconds |\n|---|---:|---:|---:|")
	for _, steps := range [][]Step{c.FailoverSteps, c.FailbackSteps} {
		for _, s := range steps {
			line("| %s | %d | %d | %.1f |", s.Name, s.Done, s.Failed, s.Seconds)
		}
	}
}

func writeFailures(line func(string, ...any), failures []Failure) {
	if len(failures) == 0 {
		return
	}
	line("\n## Failures\n")
	line("| secret | step | problem |\n|---|---|---|")
	for _, f := range failures {
		line("| `%s` | %s | %s |", f.Secret, f.Step, strings.NewReplacer("|", "\\|", "\n", " ").Replace(f.Problem))
	}
}

// WriteJSON writes the status as JSON.
func (s *Status) WriteJSON(w io.Writer) error { return writeJSON(w, s) }

// WriteText writes the status for a terminal: all secrets, or those alone that
// need something done.
func (s *Status) WriteText(w io.Writer, all bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: the secrets are in %s (primary region %s, DR region %s)\n", s.Environment, s.Where, s.PrimaryRegion, s.DRRegion)
	if !s.Answers {
		fmt.Fprintf(&b, "%s doesn't answer.\n", s.PrimaryRegion)
	}
	for _, state := range States() {
		if n := s.Counts[state]; n > 0 {
			fmt.Fprintf(&b, "  %-12s %d\n", state, n)
		}
	}
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	head := "\nSECRET\tSTATE\tVERSION\tNOTE\n"
	for _, secret := range s.Secrets {
		if !all && secret.State == InSync && secret.Note == "" {
			continue
		}
		version := secret.Standby.Current()
		if version == "" {
			version = "-"
		}
		fmt.Fprintf(columns, "%s%s\t%s\t%s\t%s\n", head, secret.Name, secret.State, version, secret.Note)
		head = ""
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the outcome with its plan as JSON.
func (o *Outcome) WriteJSON(w io.Writer, p *Plan) error {
	return writeJSON(w, struct {
		Plan *Plan `json:"plan"`
		*Outcome
	}{p, o})
}

// WriteText writes the outcome for a terminal.
func (o *Outcome) WriteText(w io.Writer) error {
	var b strings.Builder
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "STEP\tDONE\tFAILED\tSECONDS")
	for _, s := range o.Steps {
		fmt.Fprintf(columns, "%s\t%d\t%d\t%.1f\n", s.Name, s.Done, s.Failed, s.Seconds)
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	writeAlike(&b, o.Failures)
	for _, note := range o.Notes {
		fmt.Fprintf(&b, "  - %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeAlike writes failures for a terminal: many of the same kind in one line, so
// that what is another's isn't lost among them.
func writeAlike(b *strings.Builder, failures []Failure) {
	const many = 10
	names := map[Failure][]string{}
	for _, f := range failures {
		kind := Failure{Step: f.Step, Problem: f.Problem}
		names[kind] = append(names[kind], f.Secret)
	}
	for _, f := range failures {
		kind := Failure{Step: f.Step, Problem: f.Problem}
		switch alike := names[kind]; {
		case len(alike) <= many:
			fmt.Fprintf(b, "  ! %s\n", f)
		case alike[0] == f.Secret:
			fmt.Fprintf(b, "  ! %s %d times: %s: %s\n", f.Step, len(alike), f.Problem, few(alike))
		}
	}
}

// WritePlan writes a plan as JSON.
func WritePlan(w io.Writer, p *Plan) error { return writeJSON(w, p) }
