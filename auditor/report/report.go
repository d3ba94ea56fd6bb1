// Package report writes an audit's result for those who read it: JSON and CSV
// for programs, HTML for people, ASFF for Security Hub and OCSF for a security
// lake.
//
// All but the HTML stream their findings from disk. No format can hold a
// secret's value: findings have none.
package report

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/controls"
)

// File is a report that was written.
type File struct {
	Name        string // within its folder
	ContentType string
	SHA256      string // hexadecimal
}

// writer writes one format.
type writer struct {
	name, contentType string
	write             func(io.Writer, *audit.Result, []controls.Framework) error
}

func writers(frameworks []controls.Framework) []writer {
	all := []writer{
		{"report.html", "text/html; charset=utf-8", writeHTML},
		{"report.json", "application/json", writeJSON},
		{"findings.csv", "text/csv; charset=utf-8", writeCSV},
		{"findings.asff.json", "application/json", writeASFF},
		{"findings.ocsf.jsonl", "application/x-ndjson", writeOCSF},
	}
	for _, f := range frameworks {
		all = append(all, writer{"framework-" + f.Slug + ".html", "text/html; charset=utf-8",
			func(w io.Writer, r *audit.Result, _ []controls.Framework) error { return writeFramework(w, r, f) }})
	}
	return all
}

// Sums is the file that lists the others with their SHA-256, the last to be
// written: whoever finds it finds all.
const Sums = "SHA256SUMS"

// Verify compares the files of a folder with its Sums.
func Verify(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, Sums))
	if err != nil {
		return fmt.Errorf("verify the reports: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if !filepath.IsLocal(name) {
			return fmt.Errorf("verify the reports: %s names %q, which is no file of its folder", Sums, name)
		}
		got, err := sumOf(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("verify the reports: %w", err)
		}
		if got != want {
			return fmt.Errorf("verify the reports: %s is not what the audit wrote: its SHA-256 is %s, and should be %s; the auditor's log has the sum too", name, got, want)
		}
	}
	return nil
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Write writes all reports into an existing folder, and SHA256SUMS, which
// lists them. What is there is replaced.
func Write(dir string, r *audit.Result) ([]File, error) {
	frameworks := controls.Evaluate(r)
	var files []File
	sums := ""
	for _, w := range writers(frameworks) {
		sum, err := writeFile(filepath.Join(dir, w.name), func(out io.Writer) error { return w.write(out, r, frameworks) })
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", w.name, err)
		}
		files = append(files, File{w.name, w.contentType, sum})
		sums += sum + "  " + w.name + "\n"
	}
	sum, err := writeFile(filepath.Join(dir, Sums), func(out io.Writer) error {
		_, err := io.WriteString(out, sums)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", Sums, err)
	}
	return append(files, File{Sums, "text/plain; charset=utf-8", sum}), nil
}

// writeFile replaces a file as a whole, so that a run that is killed leaves the
// last one's report and not the half of one.
func writeFile(path string, write func(io.Writer) error) (sum string, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name()) // it is gone if all went well
	hash := sha256.New()
	err = write(io.MultiWriter(file, hash))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), os.Rename(file.Name(), path)
}
