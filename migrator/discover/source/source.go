package source

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	ignore "github.com/sabhiram/go-gitignore"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/sdk/spec"
)

// Finding is a credential in a file.
type Finding struct {
	File    string // from the tree's root, with slashes
	Line    int    // from 1
	Name    string // that the value has there; "": none
	Verdict classify.Verdict
	Value   spec.Value
}

// Unread is a file that wasn't looked into although it may hold something.
type Unread struct {
	File   string
	Reason string
}

// Result is what a tree holds, in the order of its files.
type Result struct {
	Files    int // that were read
	Findings []Finding
	Unread   []Unread
}

// Options change what is looked at. The zero Options are the defaults.
type Options struct {
	// Allow are patterns of files that may hold credentials, such as made-up ones
	// of tests. They are path.Match's, for a name or a path from the root; with /**
	// at the end, for all that is below: "*_test.go", "deploy/dev.env", "testdata/**".
	Allow []string
	// Report is told of every file that is read, and may be nil.
	Report func(file string)
}

// maxSize is the size from which a file isn't read, in bytes.
const maxSize = 1 << 20

// Classifier gives verdicts. *classify.Classifier is one.
type Classifier interface {
	Classify(classify.Setting) classify.Verdict
}

// Scan reads a tree of files, such as os.DirFS(root). It fails on a malformed
// pattern, on a tree that can't be walked, and when the context ends; a file that
// can't be read is in Unread.
func Scan(ctx context.Context, tree fs.FS, classifier Classifier, options Options) (Result, error) {
	for _, pattern := range options.Allow {
		if _, err := path.Match(strings.TrimSuffix(pattern, "/**"), ""); err != nil {
			return Result{}, fmt.Errorf("pattern %q of allowed files: %w", pattern, err)
		}
	}
	s := &scan{tree: tree, classifier: classifier, options: options, ignored: map[string]*ignore.GitIgnore{}}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && name == ".":
			return err
		case err != nil:
			s.unread(name, err)
			return nil
		case entry.IsDir():
			return s.enter(name)
		case entry.Type().IsRegular() && !s.leaveOut(name):
			s.read(name)
		}
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("look for credentials in files: %w", err)
	}
	return s.result, nil
}

type scan struct {
	tree       fs.FS
	classifier Classifier
	options    Options
	ignored    map[string]*ignore.GitIgnore // by folder
	result     Result
}

// dependencies are folders of what others wrote, or what was made from it.
var dependencies = []string{".git", ".hg", ".svn", "node_modules", "vendor", ".terraform", ".venv", "venv", "__pycache__", ".tox", ".gradle"}

func (s *scan) enter(folder string) error {
	if folder != "." && (slices.Contains(dependencies, path.Base(folder)) || s.isIgnored(folder+"/") || s.allowed(folder)) {
		return fs.SkipDir
	}
	if text, err := fs.ReadFile(s.tree, path.Join(folder, ".gitignore")); err == nil {
		s.ignored[folder] = ignore.CompileIgnoreLines(strings.Split(string(text), "\n")...)
	}
	return nil
}

// isIgnored asks the ignore files of all folders above.
func (s *scan) isIgnored(name string) bool {
	for folder, rules := range s.ignored {
		relative := name
		if folder != "." {
			var below bool
			if relative, below = strings.CutPrefix(name, folder+"/"); !below {
				continue
			}
		}
		if rules.MatchesPath(relative) {
			return true
		}
	}
	return false
}

// lockFiles hold hashes of what others wrote.
var lockFiles = []string{
	"go.sum", "go.work.sum", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "Cargo.lock", "poetry.lock", "uv.lock",
	"Pipfile.lock", "composer.lock", "Gemfile.lock", ".terraform.lock.hcl",
}

func (s *scan) leaveOut(name string) bool {
	base := path.Base(name)
	return slices.Contains(lockFiles, base) || strings.Contains(base, ".min.") || path.Ext(base) == ".map" || path.Ext(base) == ".svg" ||
		s.isIgnored(name) || s.allowed(name)
}

func (s *scan) allowed(name string) bool {
	return slices.ContainsFunc(s.options.Allow, func(pattern string) bool {
		if below, ok := strings.CutSuffix(pattern, "/**"); ok {
			return matches(below, name)
		}
		return matches(pattern, name)
	})
}

// matches compares a pattern with a path, or one without a slash with its last
// element.
func matches(pattern, name string) bool {
	if !strings.Contains(pattern, "/") {
		name = path.Base(name)
	}
	match, _ := path.Match(pattern, name) // Scan refuses malformed ones
	return match
}

// tooLong returns the number of the first line that isn't looked at as a whole, or 0.
func tooLong(text []byte) int {
	number := 0
	for line := range bytes.Lines(text) {
		if number++; len(line) > longest {
			return number
		}
	}
	return 0
}

var errTooBig = errors.New("it has more than 1 MB")

func (s *scan) read(name string) {
	text, err := s.text(name)
	if err != nil {
		s.unread(name, err)
		return
	}
	if text == nil {
		return
	}
	s.result.Files++
	if s.options.Report != nil {
		s.options.Report(name)
	}
	format := formatOf(name, string(text))
	if line := tooLong(text); line > 0 && format == configuration {
		s.unread(name, fmt.Errorf("line %d has more than %d bytes, and isn't looked at beyond", line, longest))
	}
	found := judge(s.classifier, format, string(text))
	for i := range found {
		found[i].File = name
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	s.result.Findings = append(s.result.Findings, found...)
}

// text returns nil for a binary file, which has a NUL near its beginning, as git
// tells.
func (s *scan) text(name string) ([]byte, error) {
	file, err := s.tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	switch {
	case err != nil:
		return nil, err
	case bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0:
		return nil, nil
	case len(text) > maxSize:
		return nil, errTooBig
	}
	return text, nil
}

func (s *scan) unread(name string, err error) {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	s.result.Unread = append(s.result.Unread, Unread{name, err.Error()})
}
