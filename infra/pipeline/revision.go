package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Revision is what is deployed: the program's commit and the artifacts.
type Revision struct {
	// Commit is the full hash of the commit in git.
	Commit string `json:"commit"`
	// Dirty is that files differ from the commit, so that nobody else can have
	// what is deployed.
	Dirty bool `json:"dirty,omitempty"`
	// Artifacts identifies the Lambda archives: sha256: and the checksum of
	// their list of checksums.
	Artifacts string `json:"artifacts"`
}

// sums is the file that lists the checksums of the artifacts.
const sums = "SHA256SUMS"

// ReadRevision finds out what is in a working copy of git and in the folder of
// the artifacts. It reads every artifact and compares it with its checksum. The
// commit is asked for in git if it is empty.
func ReadRevision(ctx context.Context, tree, artifacts, commit string) (Revision, error) {
	revision := Revision{Commit: commit}
	if commit == "" {
		head, err := git(ctx, tree, "rev-parse", "HEAD")
		if err != nil {
			return Revision{}, fmt.Errorf("find the commit of %s: %w; outside of a working copy of git, give it with --commit", tree, err)
		}
		status, err := git(ctx, tree, "status", "--porcelain", "--untracked-files=no")
		if err != nil {
			return Revision{}, fmt.Errorf("compare %s with its commit: %w", tree, err)
		}
		revision.Commit, revision.Dirty = head, status != ""
	}
	if !fullHash.MatchString(revision.Commit) {
		return Revision{}, fmt.Errorf("%q is no commit: a full hash has 40 or 64 of the digits 0 to 9 and a to f", revision.Commit)
	}
	var err error
	revision.Artifacts, err = checkArtifacts(artifacts)
	return revision, err
}

var fullHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func git(ctx context.Context, tree string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", append([]string{"-C", tree}, args...)...)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(complaints.String()))
	}
	return strings.TrimSpace(string(output)), nil
}

// checkArtifacts compares the files in a folder with the list of their
// checksums, and returns what identifies the list.
func checkArtifacts(folder string) (string, error) {
	list, err := os.ReadFile(filepath.Join(folder, sums))
	if err != nil {
		return "", fmt.Errorf("read the artifacts' checksums: %w; build them with `go tool mage build`", err)
	}
	var errs []error
	lines := bufio.NewScanner(bytes.NewReader(list))
	for lines.Scan() {
		want, file, ok := strings.Cut(lines.Text(), "  ")
		if !ok || filepath.Base(file) != file {
			return "", fmt.Errorf("%s in %s isn't a list of sha256sum: build it with `go tool mage build`", sums, folder)
		}
		got, err := sum(filepath.Join(folder, file))
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("read an artifact: %w", err))
		case got != want:
			errs = append(errs, fmt.Errorf("%s isn't what was built: its checksum is %s and not %s; build it with `go tool mage build`", file, got, want))
		}
	}
	if err := errors.Join(append(errs, lines.Err())...); err != nil {
		return "", err
	}
	hash := sha256.Sum256(list)
	return "sha256:" + hex.EncodeToString(hash[:]), nil
}

func sum(file string) (string, error) {
	opened, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer opened.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, opened); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// message is what the history of the stack says of an update: it is the record
// of what was deployed, which Pulumi keeps together with how the update ended,
// on every backend.
func (r Revision) message(command string) string {
	return fmt.Sprintf("pipeline %s commit=%s%s artifacts=%s", command, r.Commit, dirtyMark(r.Dirty), r.Artifacts)
}

func dirtyMark(dirty bool) string {
	if dirty {
		return "+changes"
	}
	return ""
}

var recorded = regexp.MustCompile(`pipeline (up|promote|destroy) commit=([0-9a-f]+)(\+changes)? artifacts=(sha256:[0-9a-f]{64})`)

// parseMessage reads what message wrote.
func parseMessage(text string) (revision Revision, ok bool) {
	found := recorded.FindStringSubmatch(text)
	if found == nil {
		return Revision{}, false
	}
	return Revision{Commit: found[2], Dirty: found[3] != "", Artifacts: found[4]}, true
}

// String names the revision for people.
func (r Revision) String() string {
	if r.Commit == "" {
		return "unknown"
	}
	return fmt.Sprintf("commit %.12s%s, artifacts %.19s", r.Commit, dirtyMark(r.Dirty), r.Artifacts)
}
