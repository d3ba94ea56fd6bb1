package validate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// The files of a report in the migration's folder.
const (
	jsonFile     = "validation.json"
	markdownFile = "validation.md"
)

// Version is the version of the report's JSON.
const Version = 1

// Report is what a validation found. It holds no value.
type Report struct {
	Version  int           `json:"version"` // Version
	Stack    string        `json:"stack"`
	Account  string        `json:"account"`
	Region   string        `json:"region"`
	Started  time.Time     `json:"started"`  // by AWS's clock
	Finished time.Time     `json:"finished"` // by AWS's clock
	Soak     time.Duration `json:"soakNanoseconds"`
	Switched time.Time     `json:"switched"` // when the last service was; zero: nobody knows
	Only     []string      `json:"only,omitempty"`
	Checks   []Check       `json:"checks"`
}

// Check is a question about one secret or one service, and its answer.
type Check struct {
	Question Question `json:"question"`
	Subject  string   `json:"subject"` // name of a secret or ID of a service
	Result   Result   `json:"result"`
	How      string   `json:"how"` // how it was found out
	Detail   string   `json:"detail,omitempty"`
	Remedy   string   `json:"remedy,omitempty"` // what to do, unless it passed
}

// Question is what a check asks.
type Question string

// The questions, in the order in which reports list them.
const (
	// Of secrets.
	Exists Question = "exists" // is it there, with a current value?
	Equal  Question = "equal"  // does it hold what the old places hold?

	// Of services.
	Switched Question = "switched" // does the service use the secrets?
	MayRead  Question = "may-read" // do the policies of its role allow it to read them?
	Reads    Question = "reads"    // has somebody read them as that role?
	Keys     Question = "keys"     // do the secrets have the JSON keys that it names?
	Healthy  Question = "healthy"  // does it run as well as before?
	Soaked   Question = "soaked"   // has it done without its old values for the soak time?
)

// Result is the answer to a question.
type Result string

// The results. Only Pass is good.
const (
	Pass    Result = "pass"
	Fail    Result = "fail"
	Unknown Result = "unknown"
)

// Valid tells whether the whole plan was looked at and every check passed.
func (r Report) Valid() bool {
	return len(r.Only) == 0 && r.Count(Pass) == len(r.Checks) && len(r.Checks) > 0
}

// latest is how old a report may be to speak for the migration as it is now.
const latest = 24 * time.Hour

// Covers returns nil if the report speaks for the migration of a stack as it is
// now: it is valid, with that soak time at least, newer than the last switch of a
// service, and of the last day. Otherwise the error says what it lacks.
func (r Report) Covers(stack, account string, lastSwitch time.Time, soak time.Duration, now time.Time) error {
	switch {
	case r.Stack != stack || r.Account != account:
		return fmt.Errorf("the validation is of stack %s in account %s", r.Stack, r.Account)
	case r.Soak < soak:
		return fmt.Errorf("the validation's soak time was %s, and %s are asked for", r.Soak, soak)
	case r.Started.Before(lastSwitch):
		return fmt.Errorf("the validation is of %s, and the last service was switched at %s", moment(r.Started), moment(lastSwitch))
	case now.Sub(r.Finished) > latest:
		return fmt.Errorf("the validation is of %s: validate again", moment(r.Finished))
	case !r.Valid():
		return errors.New(r.Summary())
	}
	return nil
}

// Count returns how many checks have the result.
func (r Report) Count(result Result) int {
	n := 0
	for _, c := range r.Checks {
		if c.Result == result {
			n++
		}
	}
	return n
}

// Load reads the newest report of the migration's folder. The error is
// [fs.ErrNotExist] if there is none.
func Load(folder string) (Report, error) {
	text, err := os.ReadFile(filepath.Join(folder, jsonFile))
	if err != nil {
		return Report{}, fmt.Errorf("read the migration's validation: %w", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return Report{}, fmt.Errorf("read the migration's validation in %s: %w: validate again", folder, err)
	}
	if r.Version != Version {
		return Report{}, fmt.Errorf("the migration's validation in %s has version %d, this program reads %d: validate again", folder, r.Version, Version)
	}
	return r, nil
}

// Save writes the report into the migration's folder, as JSON and as a page. It
// replaces the report before.
func (r Report) Save(folder string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	if err == nil {
		err = replace(filepath.Join(folder, jsonFile), append(text, '\n'))
	}
	if err == nil {
		err = replace(filepath.Join(folder, markdownFile), []byte(r.markdown()))
	}
	if err != nil {
		return fmt.Errorf("write the migration's validation: %w", err)
	}
	return nil
}

// replace writes a file at once, so that nobody reads half of it.
func replace(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // with 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		if gone := os.Remove(temporary.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// Summary is one sentence about the report.
func (r Report) Summary() string {
	verdict := "The migration isn't valid"
	switch {
	case r.Valid():
		verdict = "The migration is valid"
	case len(r.Checks) == 0:
		return "There is nothing to validate."
	case r.Count(Pass) == len(r.Checks):
		verdict = "What was looked at is valid"
	}
	return fmt.Sprintf("%s: %d passed, %d failed, %d unknown.", verdict, r.Count(Pass), r.Count(Fail), r.Count(Unknown))
}

// open are the checks that didn't pass, those that failed first.
func (r Report) open() []Check {
	var open []Check
	for _, result := range []Result{Fail, Unknown} {
		for _, c := range r.Checks {
			if c.Result == result {
				open = append(open, c)
			}
		}
	}
	return open
}

// Text writes a table of the questions and what didn't pass, for a terminal.
func (r Report) Text(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "QUESTION\tPASS\tFAIL\tUNKNOWN")
	for _, q := range questions() {
		if n := r.counts(q); n[Pass]+n[Fail]+n[Unknown] > 0 {
			fmt.Fprintf(out, "%s\t%d\t%d\t%d\n", q, n[Pass], n[Fail], n[Unknown])
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, c := range r.open() {
		if _, err := fmt.Fprintf(w, "\n%s  %s %s\n  %s\n  found out by %s\n  -> %s\n", strings.ToUpper(string(c.Result)), c.Question, c.Subject, c.Detail, c.How, c.Remedy); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.Summary())
	return err
}

func (r Report) counts(q Question) map[Result]int {
	n := map[Result]int{}
	for _, c := range r.Checks {
		if c.Question == q {
			n[c.Result]++
		}
	}
	return n
}

func questions() []Question {
	return []Question{Exists, Equal, Switched, MayRead, Reads, Keys, Healthy, Soaked}
}

func (r Report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Validation of the migration of %s\n\n%s\n\n", r.Stack, r.Summary())
	fmt.Fprintf(&b, "Account %s, %s, at %s. Soak time: %s", r.Account, r.Region, moment(r.Finished), r.Soak)
	if !r.Switched.IsZero() {
		fmt.Fprintf(&b, "; the last service was switched at %s", moment(r.Switched))
	}
	b.WriteString(".\n")
	if len(r.Only) > 0 {
		fmt.Fprintf(&b, "\nOnly a part was looked at: %s.\n", strings.Join(r.Only, ", "))
	}
	for _, part := range []struct {
		title  string
		checks []Check
	}{{"What didn't pass", r.open()}, {"All checks", r.Checks}} {
		if len(part.checks) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n| subject | question | result | detail | found out by | what to do |\n| --- | --- | --- | --- | --- | --- |\n", part.title)
		for _, c := range part.checks {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", cell(c.Subject), c.Question, c.Result, cell(c.Detail), cell(c.How), cell(c.Remedy))
		}
	}
	return b.String()
}

// cell keeps a text in its cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// sortChecks orders checks by question and subject.
func sortChecks(checks []Check) {
	order := questions()
	slices.SortStableFunc(checks, func(a, b Check) int {
		if a.Question != b.Question {
			return slices.Index(order, a.Question) - slices.Index(order, b.Question)
		}
		return strings.Compare(a.Subject, b.Subject)
	})
}
