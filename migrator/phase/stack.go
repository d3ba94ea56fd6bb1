package phase

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/migrator/journal"
	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/settings"
	"github.com/aistudio/secrets/sdk/spec"
)

// planFile is the plan's file in a migration's folder.
const planFile = "plan.yaml"

// Stack is a stack and where its migration is.
type Stack struct {
	Name     string
	Settings settings.Settings
	Folder   string     // of its migration
	Config   aws.Config // credentials of its account, in its region
	Account  string     // theirs
	Now      time.Time  // by AWS's clock
}

// facts asks AWS and the folder about a stack. Each call asks anew: checks are
// few.
type facts struct {
	Stack
	confirmed []Confirmation
}

// resource begins the names of the stack's resources, as the infrastructure
// names them.
func (f *facts) resource(name string) string {
	return f.Settings.Organization + "-" + f.Settings.Environment + "-" + name
}

func (f *facts) bucket() string { return f.resource("audit-" + f.Account) }

func (f *facts) inReplica() aws.Config {
	c := f.Config.Copy()
	c.Region = f.Settings.ReplicaRegion
	return c
}

func (f *facts) keys(config aws.Config) *kms.Client { return kms.NewFromConfig(config) }

func (f *facts) lambda() *lambda.Client { return lambda.NewFromConfig(f.Config) }

func (f *facts) secretAPI() *secretsmanager.Client { return secretsmanager.NewFromConfig(f.Config) }

func (f *facts) trails() *cloudtrail.Client { return cloudtrail.NewFromConfig(f.Config) }

// regions are the stack's: its own and, if it has one, that of its replicas.
func (f *facts) regions() []aws.Config {
	if f.Settings.ReplicaRegion == "" {
		return []aws.Config{f.Config}
	}
	return []aws.Config{f.Config, f.inReplica()}
}

// declared are the names of the secrets in the stack's catalogue.
func (f *facts) declared() []string {
	var names []string
	for _, path := range slices.Sorted(maps.Keys(f.Settings.Declared)) {
		names = append(names, strings.Join([]string{f.Settings.Organization, f.Settings.Environment, path}, "/"))
	}
	return names
}

// plan returns the migration's plan. The error is [fs.ErrNotExist] if there is
// none.
func (f *facts) plan() (plan.Plan, error) { return plan.Load(filepath.Join(f.Folder, planFile)) }

func (f *facts) journal() (journal.State, error) { return journal.Read(f.Folder) }

// confirmation returns a person's word about a check.
func (f *facts) confirmation(phase Name, check string) (Confirmation, bool) {
	for _, c := range f.confirmed {
		if c.Phase == phase && c.Check == check {
			return c, true
		}
	}
	return Confirmation{}, false
}

// audit is what is used of the auditor's report.json.
type audit struct {
	Time     time.Time
	Complete bool
	Rules    []struct {
		ID       string
		Severity string
		Counts   map[string]int
	}
}

// errNothing says that what was looked for isn't there.
var errNothing = errors.New("there is none")

// newestAudit reads the newest report of the stack's audit.
func (f *facts) newestAudit(ctx context.Context) (audit, error) {
	objects := s3.NewFromConfig(f.Config)
	prefix := spec.AuditReports + f.Settings.Environment + "/"
	newest := ""
	pages := s3.NewListObjectsV2Paginator(objects, &s3.ListObjectsV2Input{Bucket: aws.String(f.bucket()), Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return audit{}, err
		}
		for _, object := range page.Contents {
			// A run's name is its time.
			if key := aws.ToString(object.Key); strings.HasSuffix(key, "/report.json") && key > newest {
				newest = key
			}
		}
	}
	if newest == "" {
		return audit{}, errNothing
	}
	text, err := f.object(ctx, newest)
	if err != nil {
		return audit{}, err
	}
	var a audit
	if err := json.Unmarshal(text, &a); err != nil {
		return audit{}, fmt.Errorf("read the audit's report %s: %w", newest, err)
	}
	return a, nil
}

// scan reads the newest scan for secrets in plaintext.
func (f *facts) scan(ctx context.Context) (spec.Scan, error) {
	text, err := f.object(ctx, spec.ScanKey)
	if err != nil {
		return spec.Scan{}, err
	}
	return spec.ReadScan(bytes.NewReader(text))
}

// maxObject is more than a report with a finding for each of 10,000 secrets.
const maxObject = 64 << 20

func (f *facts) object(ctx context.Context, key string) ([]byte, error) {
	out, err := s3.NewFromConfig(f.Config).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(f.bucket()), Key: &key})
	if code(err) == "NoSuchKey" {
		return nil, errNothing
	}
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxObject))
	if err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", f.bucket(), key, err)
	}
	return text, nil
}

// code is the code of an error of AWS; "" for others.
func code(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// notThere tells whether AWS says that what was asked for isn't there.
func notThere(err error) bool {
	return errors.Is(err, errNothing) || errors.Is(err, fs.ErrNotExist) ||
		slices.Contains([]string{"NotFoundException", "ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "NotFound"}, code(err))
}

// reason says why something couldn't be asked: AWS's code, since its text may
// quote what was sent, or an error of our own.
func reason(err error) string { return cmp.Or(code(err), err.Error()) }
