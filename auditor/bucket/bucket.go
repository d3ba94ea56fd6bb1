// Package bucket is the audit's S3 bucket: its configuration, its state, the
// migration's scan and the reports.
package bucket

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/remedy"
	"github.com/aistudio/secrets/auditor/report"
	"github.com/aistudio/secrets/auditor/rules"
	"github.com/aistudio/secrets/auditor/state"
	"github.com/aistudio/secrets/sdk/spec"
)

type objects interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Bucket is the bucket. It implements state.Store.
type Bucket struct {
	Name    string
	Objects objects
}

// get returns nil for an object that isn't there. A caller who may not list the
// bucket is refused instead of told so (S3 API reference, GetObject), so the
// auditor's role may list.
func (b Bucket) get(ctx context.Context, key string) (*s3.GetObjectOutput, error) {
	out, err := b.Objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Name, Key: &key})
	var missing *types.NoSuchKey
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", b.Name, key, err)
	}
	return out, nil
}

// Catalogue reads what the stack declares. Without one there is nothing to
// audit by.
func (b Bucket) Catalogue(ctx context.Context) (*spec.AuditCatalogue, error) {
	out, err := b.get(ctx, spec.AuditCatalogueKey)
	if err != nil {
		return nil, err
	}
	if out == nil {
		return nil, fmt.Errorf("s3://%s/%s doesn't exist: deploy the stack, which writes it", b.Name, spec.AuditCatalogueKey)
	}
	defer out.Body.Close()
	var catalogue spec.AuditCatalogue
	if err := json.NewDecoder(out.Body).Decode(&catalogue); err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", b.Name, spec.AuditCatalogueKey, err)
	}
	return &catalogue, nil
}

// Policy reads the policy, or returns the default if there is none.
func (b Bucket) Policy(ctx context.Context) (policy.Policy, error) {
	out, err := b.get(ctx, spec.AuditPolicyKey)
	if err != nil {
		return policy.Policy{}, err
	}
	if out == nil {
		return policy.Default(), nil
	}
	defer out.Body.Close()
	p, err := policy.Parse(out.Body, rules.IDs(), remedy.Rules())
	if err != nil {
		return policy.Policy{}, fmt.Errorf("read s3://%s/%s: %w", b.Name, spec.AuditPolicyKey, err)
	}
	return p, nil
}

// Scan reads the newest result of the migration's scan. That there is none, and
// that it can't be read, are facts.
func (b Bucket) Scan(ctx context.Context) facts.Fact[*spec.Scan] {
	out, err := b.get(ctx, spec.ScanKey)
	if err != nil {
		return facts.Unknown[*spec.Scan]("the migration's scan can't be read: " + code(err))
	}
	if out == nil {
		return facts.Known[*spec.Scan](nil)
	}
	defer out.Body.Close()
	scan, err := spec.ReadScan(out.Body)
	if err != nil {
		return facts.Unknown[*spec.Scan](err.Error())
	}
	return facts.Known(&scan)
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return "no answer"
}

// Load implements state.Store.
func (b Bucket) Load(ctx context.Context) (io.ReadCloser, string, error) {
	out, err := b.get(ctx, spec.AuditStateKey)
	if err != nil || out == nil {
		return nil, "", err
	}
	return out.Body, aws.ToString(out.ETag), nil
}

// Save implements state.Store with S3's conditional writes (S3 user guide,
// "Add preconditions to S3 operations with conditional requests").
func (b Bucket) Save(ctx context.Context, body io.ReadSeeker, version string) (string, error) {
	in := &s3.PutObjectInput{Bucket: &b.Name, Key: aws.String(spec.AuditStateKey), Body: body, ContentType: aws.String("application/gzip")}
	if version == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &version
	}
	out, err := b.Objects.PutObject(ctx, in)
	if conflict(err) {
		return "", fmt.Errorf("%w: s3://%s/%s", state.ErrConflict, b.Name, spec.AuditStateKey)
	}
	if err != nil {
		return "", fmt.Errorf("write s3://%s/%s: %w", b.Name, spec.AuditStateKey, err)
	}
	return aws.ToString(out.ETag), nil
}

// conflict reports whether a condition didn't hold: 412, or 409 when another
// write was under way.
func conflict(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && (api.ErrorCode() == "PreconditionFailed" || api.ErrorCode() == "ConditionalRequestConflict")
}

// Upload puts reports from a folder under a prefix. The SHA-256 of each goes
// along, and S3 refuses what doesn't match it. Versions and object lock are the
// bucket's own settings.
func (b Bucket) Upload(ctx context.Context, dir, prefix string, files []report.File) error {
	for _, f := range files {
		if err := b.upload(ctx, filepath.Join(dir, f.Name), path.Join(prefix, f.Name), f); err != nil {
			return err
		}
	}
	return nil
}

func (b Bucket) upload(ctx context.Context, from, key string, f report.File) error {
	file, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("upload the report: %w", err)
	}
	defer file.Close()
	sum, err := hex.DecodeString(f.SHA256)
	if err != nil {
		return fmt.Errorf("upload the report %s: %w", from, err)
	}
	// The sum is that of what was written, not of what is read again.
	_, err = b.Objects.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.Name, Key: &key, Body: file, ContentType: &f.ContentType,
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum)), Metadata: map[string]string{"sha256": f.SHA256},
	})
	if err != nil {
		return fmt.Errorf("write s3://%s/%s: %w", b.Name, key, err)
	}
	return nil
}
