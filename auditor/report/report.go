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
	const list = "SHA256SUMS"
	sum, err := writeFile(filepath.Join(dir, list), func(out io.Writer) error {
		_, err := io.WriteString(out, sums)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", list, err)
	}
	return append(files, File{list, "text/plain; charset=utf-8", sum}), nil
}

func writeFile(path string, write func(io.Writer) error) (sum string, err error) {
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	err = write(io.MultiWriter(file, hash))
	return hex.EncodeToString(hash.Sum(nil)), errors.Join(err, file.Close())
}
