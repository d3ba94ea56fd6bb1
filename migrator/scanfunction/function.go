// Package scanfunction is the migration's scan as a Lambda function that a
// schedule invokes once a day. It reads and classifies, and changes nothing but
// its own result.
package scanfunction

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"go.yaml.in/yaml/v3"

	"github.com/aistudio/secrets/migrator/classify"
	"github.com/aistudio/secrets/migrator/digest"
	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/migrator/inventory"
	"github.com/aistudio/secrets/migrator/quota"
	"github.com/aistudio/secrets/migrator/scan"
	"github.com/aistudio/secrets/sdk/spec"
)

// Function scans when it is invoked. Its fields are set once.
type Function struct {
	AWS    aws.Config
	Getenv func(string) string // see spec.EnvScanBucket and its neighbours
	Output io.Writer           // the function's log, for metrics
	Log    *slog.Logger

	// Quotas are the buckets that calls wait for, those of each region by
	// themselves; nil: none.
	Quotas []quota.Bucket
}

// Summary is what an invocation answers.
type Summary struct {
	Findings int    `json:"findings"` // secrets left in plaintext
	Unread   int    `json:"unread"`   // things that couldn't be read
	Result   string `json:"result"`   // key in the bucket
}

// Handle scans all regions, stores the result and writes the metrics. The
// invocation's payload doesn't matter. What isn't allowed is in the result as
// unread; a listing that fails for a passing reason fails the invocation, and
// stores nothing: a part would look like the whole. Lambda then tries again.
func (f *Function) Handle(ctx context.Context) (Summary, error) {
	bucket := f.Getenv(spec.EnvScanBucket)
	if bucket == "" {
		return Summary{}, fmt.Errorf("the variable %s is empty: it names the audit's bucket", spec.EnvScanBucket)
	}
	objects := s3.NewFromConfig(f.AWS)
	decided, err := readDecided(ctx, objects, bucket)
	if err != nil {
		return Summary{}, err
	}
	result, err := f.scan(ctx, decided)
	if err != nil {
		return Summary{}, err
	}
	if err := store(ctx, objects, bucket, result); err != nil {
		return Summary{}, err
	}
	f.Log.InfoContext(ctx, "scanned", "regions", result.Regions, "findings", len(result.Findings), "unread", len(result.Unread))
	if err := f.measure(result); err != nil {
		return Summary{}, err
	}
	return Summary{Findings: len(result.Findings), Unread: len(result.Unread), Result: spec.ScanKey}, nil
}

// decided is what the scan uses of the migration's file; package settings has the
// rest.
type decided struct {
	Classify struct {
		Secrets    []string `yaml:"secrets"`
		NotSecrets []string `yaml:"notSecrets"`
	} `yaml:"classify"`
	OwnerTags []string `yaml:"ownerTags"`
}

func readDecided(ctx context.Context, objects *s3.Client, bucket string) (decided, error) {
	var d decided
	out, err := objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String(spec.ScanConfigKey)})
	var missing *types.NoSuchKey
	if errors.As(err, &missing) {
		return d, nil
	}
	if err != nil {
		return d, fmt.Errorf("read s3://%s/%s: %w", bucket, spec.ScanConfigKey, err)
	}
	defer out.Body.Close()
	if err := yaml.NewDecoder(out.Body).Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return d, fmt.Errorf("read s3://%s/%s: %w", bucket, spec.ScanConfigKey, err)
	}
	return d, nil
}

func (f *Function) scan(ctx context.Context, d decided) (spec.Scan, error) {
	classifier, err := classify.New(classify.Config{Secrets: d.Classify.Secrets, NotSecrets: d.Classify.NotSecrets})
	if err != nil {
		return spec.Scan{}, fmt.Errorf("%s: %w", spec.ScanConfigKey, err)
	}
	started, key := time.Now(), digest.New() // nothing is compared with what was before
	var account string
	var inventories []inventory.Inventory
	for _, region := range f.regions() {
		config := f.AWS.Copy()
		config.Region = region
		if f.Quotas != nil {
			config = quota.Apply(config, f.Quotas)
		}
		estate, err := discover.ReadPlaintext(ctx, config, nil)
		if err != nil {
			return spec.Scan{}, err
		}
		account = estate.Account
		inventories = append(inventories, inventory.Make(estate, classifier, key, inventory.Options{OwnerTags: d.OwnerTags}))
	}
	return scan.Of(account, started, time.Now(), inventories...), nil
}

func (f *Function) regions() []string {
	var regions []string
	for _, region := range strings.Split(f.Getenv(spec.EnvScanRegions), ",") {
		if region = strings.TrimSpace(region); region != "" && !slices.Contains(regions, region) {
			regions = append(regions, region)
		}
	}
	if len(regions) == 0 {
		return []string{f.AWS.Region}
	}
	return regions
}

func store(ctx context.Context, objects *s3.Client, bucket string, result spec.Scan) error {
	text, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("write the scan's result: %w", err)
	}
	_, err = objects.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String(spec.ScanKey), Body: bytes.NewReader(text), ContentType: aws.String("application/json"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	})
	if err != nil {
		return fmt.Errorf("write s3://%s/%s: %w", bucket, spec.ScanKey, err)
	}
	return nil
}

// measure writes the metrics in CloudWatch's embedded metric format (CloudWatch
// user guide, "Embedded metric format").
func (f *Function) measure(result spec.Scan) error {
	type metric struct{ Name, Unit string }
	line, err := json.Marshal(map[string]any{
		"_aws": map[string]any{
			"Timestamp": result.Finished.UnixMilli(),
			"CloudWatchMetrics": []any{map[string]any{
				"Namespace":  spec.MetricNamespace,
				"Dimensions": [][]string{{spec.DimensionEnvironment}},
				"Metrics":    []metric{{spec.MetricPlaintextSecrets, "Count"}, {spec.MetricScanUnread, "Count"}, {spec.MetricScans, "Count"}},
			}},
		},
		spec.DimensionEnvironment:   f.Getenv(spec.EnvScanEnvironment),
		spec.MetricPlaintextSecrets: len(result.Findings),
		spec.MetricScanUnread:       len(result.Unread),
		spec.MetricScans:            1,
	})
	if err == nil {
		_, err = f.Output.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the metrics: %w", err)
	}
	return nil
}
