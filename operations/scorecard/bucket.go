package scorecard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/aistudio/secrets/operations/recovery"
	"github.com/aistudio/secrets/sdk/spec"
)

// objects is what is needed of S3.
type objects interface {
	s3.ListObjectsV2APIClient
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Bucket is the audit's bucket, which has the reports of audits, scans and
// drills, and earlier scorecards.
type Bucket struct {
	Name        string
	Environment string
	Objects     objects
}

// Evidence returns what the bucket has. That something isn't there, or can't be
// read, is part of it.
func (b Bucket) Evidence(ctx context.Context) Evidence {
	return Evidence{
		Scan:  one(ctx, b, spec.ScanKey, spec.ReadScan, "the migration's scan"),
		Audit: newest(ctx, b, spec.AuditReports, "report.json", ReadAudit, nil, "the audit's report"),
		Drill: newest(ctx, b, spec.RecoveryReports, spec.RecoveryJSON, ReadDrill, Promoted, "a drill's report"),
	}
}

// Promoted tells whether a drill failed over, and didn't only read.
func Promoted(r recovery.Report) bool { return r.Recovered != nil }

func one[T any](ctx context.Context, b Bucket, key string, read func(io.Reader) (T, error), what string) Found[T] {
	out, err := b.Objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Name, Key: &key})
	var absent *types.NoSuchKey
	switch {
	case errors.As(err, &absent):
		return Found[T]{Missing: what + " isn't in the bucket"}
	case err != nil:
		return Found[T]{Missing: what + " can't be read: " + code(err)}
	}
	defer out.Body.Close()
	value, err := read(out.Body)
	if err != nil {
		return Found[T]{Missing: what + ": " + err.Error()}
	}
	return Found[T]{Value: value, From: "s3://" + b.Name + "/" + key}
}

// newest returns the newest of the reports that wanted takes; if it takes none,
// the newest of all.
func newest[T any](ctx context.Context, b Bucket, prefix, name string, read func(io.Reader) (T, error), wanted func(T) bool, what string) Found[T] {
	keys, err := b.list(ctx, prefix, name)
	if err != nil {
		return Found[T]{Missing: what + " can't be looked for: " + code(err)}
	}
	if len(keys) == 0 {
		return Found[T]{Missing: what + " isn't in the bucket"}
	}
	newest := one(ctx, b, keys[len(keys)-1], read, what)
	for i := len(keys) - 1; i >= 0 && wanted != nil; i-- {
		if found := one(ctx, b, keys[i], read, what); found.From != "" && wanted(found.Value) {
			return found
		}
	}
	return newest
}

// list returns the keys of an environment's reports, oldest first.
func (b Bucket) list(ctx context.Context, prefix, name string) ([]string, error) {
	pages := s3.NewListObjectsV2Paginator(b.Objects, &s3.ListObjectsV2Input{Bucket: &b.Name, Prefix: aws.String(prefix + b.Environment + "/")})
	var keys []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, object := range page.Contents {
			if key := aws.ToString(object.Key); strings.HasSuffix(key, "/"+name) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys) // a run's name is its time
	return keys, nil
}

// History returns the last earlier scorecards, oldest first.
func (b Bucket) History(ctx context.Context) ([]Scorecard, error) {
	keys, err := b.list(ctx, spec.ScorecardReports, spec.ScorecardJSON)
	if err != nil {
		return nil, fmt.Errorf("list the earlier scorecards in s3://%s: %s", b.Name, code(err))
	}
	var history []Scorecard
	for _, key := range keys[max(0, len(keys)-trendLength):] {
		found := one(ctx, b, key, Read, "an earlier scorecard")
		if found.From == "" {
			return nil, fmt.Errorf("s3://%s/%s: %s", b.Name, key, found.Missing)
		}
		history = append(history, found.Value)
	}
	return history, nil
}

// Save keeps a scorecard.
func (b Bucket) Save(ctx context.Context, s *Scorecard) error {
	var text bytes.Buffer
	if err := s.WriteJSON(&text); err != nil {
		return err
	}
	key := spec.ScorecardReports + b.Environment + "/" + s.Time.Format(spec.ReportTime) + "/" + spec.ScorecardJSON
	if _, err := b.Objects.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.Name, Key: &key, Body: bytes.NewReader(text.Bytes()), ContentType: aws.String("application/json")}); err != nil {
		return fmt.Errorf("write s3://%s/%s: %s", b.Name, key, code(err))
	}
	return nil
}

// File reads evidence from a file. An empty path, and one that isn't there where
// it may be absent, is missing evidence.
func File[T any](path string, mayBeAbsent bool, read func(io.Reader) (T, error), what string) (Found[T], error) {
	file, err := os.Open(path)
	if path == "" || mayBeAbsent && errors.Is(err, fs.ErrNotExist) {
		return Found[T]{Missing: "there is no " + what}, nil
	}
	if err != nil {
		return Found[T]{}, fmt.Errorf("read the %s: %w", what, err)
	}
	defer file.Close()
	value, err := read(file)
	if err != nil {
		return Found[T]{}, fmt.Errorf("%s: %w", path, err)
	}
	return Found[T]{Value: value, From: path}, nil
}

// Folder keeps scorecards in files, where there is no bucket.
type Folder string

// History returns the last earlier scorecards, oldest first.
func (f Folder) History(context.Context) ([]Scorecard, error) {
	paths, err := filepath.Glob(filepath.Join(string(f), "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var history []Scorecard
	for _, path := range paths[max(0, len(paths)-trendLength):] {
		found, err := File(path, false, Read, "earlier scorecard")
		if err != nil {
			return nil, err
		}
		history = append(history, found.Value)
	}
	return history, nil
}

// Save keeps a scorecard.
func (f Folder) Save(_ context.Context, s *Scorecard) error {
	var text bytes.Buffer
	if err := s.WriteJSON(&text); err != nil {
		return err
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("make the folder of the scorecards: %w", err)
	}
	path := filepath.Join(string(f), s.Time.Format(spec.ReportTime)+".json")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("keep the scorecard: %w", err)
	}
	return nil
}
