// Package function is the auditor as a Lambda function that a schedule invokes
// once a day.
package function

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aistudio/secrets/auditor/bucket"
	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/run"
	"github.com/aistudio/secrets/sdk/spec"
)

// Function audits when it is invoked. Its fields are set once.
type Function struct {
	AWS    aws.Config
	Getenv func(string) string // see spec.EnvAuditBucket and its neighbours
	Output io.Writer           // the function's log, for metrics
	Log    *slog.Logger

	// QuotaShare is the share of AWS's quotas that an audit may use; 0:
	// inventory.DefaultShare.
	QuotaShare float64
}

// reserve is kept of the invocation's time for reports and alerts.
const reserve = time.Minute

// Handle audits once and answers with a summary, whose report is a key in the
// bucket. The invocation's payload doesn't matter. It fails when the
// audit could not be made, when a region's list of secrets is incomplete, and
// when an alert could not be sent, so that the alarm on the function's errors
// says so; Lambda then tries again.
func (f *Function) Handle(ctx context.Context) (run.Summary, error) {
	o, err := f.options(ctx)
	if err != nil {
		return run.Summary{}, err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) > 2*reserve {
		o.Deadline = deadline.Add(-reserve)
	}
	outcome, err := run.Run(ctx, o)
	if outcome == nil {
		return run.Summary{}, err
	}
	defer func() {
		if err := outcome.Close(); err != nil {
			f.Log.WarnContext(ctx, "temporary files are left", "error", err)
		}
	}()
	f.Log.InfoContext(ctx, "audited", "run", outcome.Run, "secrets", outcome.Secrets, "findings", outcome.BySeverity(),
		"unknown", outcome.Count(finding.Unknown), "calls", outcome.Calls)
	if !outcome.Complete() {
		err = errors.Join(err, errors.New("the list of secrets is incomplete, so the audit is: the report says which region and why"))
	}
	return outcome.Summary(spec.AuditReports + outcome.Environment + "/" + outcome.Run + "/report.html"), err
}

func (f *Function) options(ctx context.Context) (run.Options, error) {
	name := f.Getenv(spec.EnvAuditBucket)
	if name == "" {
		return run.Options{}, fmt.Errorf("the variable %s is empty: it names the audit's bucket", spec.EnvAuditBucket)
	}
	hub := false
	if text := f.Getenv(spec.EnvAuditSecurityHub); text != "" {
		var err error
		if hub, err = strconv.ParseBool(text); err != nil {
			return run.Options{}, fmt.Errorf("the variable %s is %q: write true or false", spec.EnvAuditSecurityHub, text)
		}
	}
	b := &bucket.Bucket{Name: name, Objects: s3.NewFromConfig(f.AWS)}
	catalogue, catalogueErr := b.Catalogue(ctx)
	demands, policyErr := b.Policy(ctx)
	if err := errors.Join(catalogueErr, policyErr); err != nil {
		return run.Options{}, err
	}
	regions := slices.Clone(catalogue.Regions)
	if len(regions) == 0 {
		regions = []string{f.AWS.Region}
	}
	if r := catalogue.ReplicaRegion; r != "" && !slices.Contains(regions, r) {
		regions = append(regions, r)
	}
	return run.Options{
		AWS: f.AWS, Environment: catalogue.Environment, Regions: regions, Catalogue: catalogue, Policy: demands, Scan: b.Scan(ctx),
		Store: b, Bucket: b, ReportURL: f.Getenv(spec.EnvAuditReportURL), Topic: f.Getenv(spec.EnvAuditTopic), SecurityHub: hub,
		Metrics: f.Output, QuotaShare: f.QuotaShare, Now: time.Now(), Log: f.Log,
	}, nil
}
