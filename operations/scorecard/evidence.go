package scorecard

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aistudio/secrets/operations/recovery"
	"github.com/aistudio/secrets/sdk/spec"
)

// Evidence are the results of others on which metrics rest.
type Evidence struct {
	Code  Found[Code]            // of a scan of source code
	Scan  Found[spec.Scan]       // of the migration's scan of an account
	Audit Found[Audit]           // the newest report of the audit
	Drill Found[recovery.Report] // the newest drill that failed over
}

// Found is a result, or why there is none.
type Found[T any] struct {
	Value   T
	From    string // where it was found; empty: it wasn't
	Missing string // why it wasn't
}

// Code is what a scan of source code found.
type Code struct {
	Findings int // hard-coded secrets that nobody has accepted
	Unread   int // places that couldn't be read
	Time     time.Time
	Tool     string
}

// ReadCode reads the result of a scan of source code: SARIF 2.1.0, the format of
// code scanners (OASIS), or the JSON of "migrate source".
func ReadCode(r io.Reader) (Code, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return Code{}, fmt.Errorf("read the code scan: %w", err)
	}
	var which struct {
		Runs  *json.RawMessage `json:"runs"`
		Files *int             `json:"files"`
		source
	}
	if err := json.Unmarshal(text, &which); err != nil {
		return Code{}, fmt.Errorf("read the code scan: %w", err)
	}
	switch {
	case which.Runs != nil:
		return readSARIF(text)
	case which.Files == nil || which.Findings == nil || which.Unread == nil:
		return Code{}, errors.New("the code scan is neither SARIF nor the JSON of \"migrate source\"")
	case *which.Files == 0 && len(*which.Unread) == 0:
		return Code{}, errors.New("the code scan saw no file: was it given the right folder?")
	}
	return Code{Findings: len(*which.Findings), Unread: len(*which.Unread), Tool: "migrate source"}, nil
}

// source is the part of the JSON of "migrate source" that counts here.
type source struct {
	Findings *[]struct{} `json:"findings"`
	Unread   *[]struct{} `json:"unread"`
}

// CodeFile reads the result of a code scan from a file, which is as old as the
// file where it doesn't say.
func CodeFile(path string) (Found[Code], error) {
	found, err := File(path, false, ReadCode, "code scan (--code)")
	if err != nil || found.From == "" || !found.Value.Time.IsZero() {
		return found, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return found, fmt.Errorf("read the code scan: %w", err)
	}
	found.Value.Time = info.ModTime()
	return found, nil
}

// sarif is the part of SARIF 2.1.0 that counts here.
type sarif struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Name string `json:"name"`
			} `json:"driver"`
		} `json:"tool"`
		Invocations []struct {
			Successful *bool     `json:"executionSuccessful"`
			End        time.Time `json:"endTimeUtc"`
		} `json:"invocations"`
		Results *[]struct {
			Kind         string `json:"kind"`
			Baseline     string `json:"baselineState"`
			Suppressions []struct {
				Status string `json:"status"`
			} `json:"suppressions"`
		} `json:"results"`
	} `json:"runs"`
}

func readSARIF(text []byte) (Code, error) {
	var log sarif
	if err := json.Unmarshal(text, &log); err != nil {
		return Code{}, fmt.Errorf("read the code scan's SARIF: %w", err)
	}
	if len(log.Runs) == 0 {
		return Code{}, errors.New("the code scan's SARIF has no run: nothing was scanned")
	}
	var code Code
	var tools []string
	for _, run := range log.Runs {
		if run.Results == nil {
			// The schema of SARIF 2.1.0: results "must be present (but may be empty) if a
			// log file represents an actual scan".
			return Code{}, fmt.Errorf("the code scan's SARIF has a run of %s without results: nothing was scanned", run.Tool.Driver.Name)
		}
		tools = append(tools, run.Tool.Driver.Name)
		for _, invocation := range run.Invocations {
			if invocation.Successful != nil && !*invocation.Successful {
				code.Unread++
			}
			if invocation.End.After(code.Time) {
				code.Time = invocation.End
			}
		}
		for _, result := range *run.Results {
			if (result.Kind != "" && result.Kind != "fail") || result.Baseline == "absent" {
				continue
			}
			// A suppression without a status is accepted (SARIF 2.1.0, 3.35.3).
			accepted := false
			for _, s := range result.Suppressions {
				accepted = accepted || s.Status == "" || s.Status == "accepted"
			}
			if !accepted {
				code.Findings++
			}
		}
	}
	code.Tool = strings.Join(tools, ", ")
	return code, nil
}

// Audit is the part of the audit's report.json (auditor/report/schema.json) that
// counts here.
type Audit struct {
	Schema      string    `json:"$schema"`
	Run         string    `json:"run"`
	Environment string    `json:"environment"`
	Time        time.Time `json:"time"`
	Complete    bool      `json:"complete"`
	Summary     struct {
		Secrets            int     `json:"secrets"`
		RotationCompliance float64 `json:"rotationCompliance"`
		Coverage           float64 `json:"coverage"`
	} `json:"summary"`
}

// auditSchema is what a report says that it follows.
const auditSchema = "https://github.com/aistudio/secrets/auditor/report/schema.json"

// ReadAudit reads a report of the audit.
func ReadAudit(r io.Reader) (Audit, error) {
	var a Audit
	if err := json.NewDecoder(r).Decode(&a); err != nil {
		return Audit{}, fmt.Errorf("read the audit's report: %w", err)
	}
	if a.Schema != auditSchema || a.Time.IsZero() {
		return Audit{}, errors.New("this is no report.json of the audit")
	}
	return a, nil
}

// ReadDrill reads a drill's report.
func ReadDrill(r io.Reader) (recovery.Report, error) {
	var d recovery.Report
	if err := json.NewDecoder(r).Decode(&d); err != nil {
		return recovery.Report{}, fmt.Errorf("read the drill's report: %w", err)
	}
	if d.Version != recovery.ReportVersion || d.Finished.IsZero() {
		return recovery.Report{}, fmt.Errorf("this is no report of a drill of version %d", recovery.ReportVersion)
	}
	return d, nil
}

// Read reads a scorecard.
func Read(r io.Reader) (Scorecard, error) {
	var s Scorecard
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return Scorecard{}, fmt.Errorf("read an earlier scorecard: %w", err)
	}
	if s.Version != Version || s.Time.IsZero() {
		return Scorecard{}, fmt.Errorf("this is no scorecard of version %d", Version)
	}
	return s, nil
}
