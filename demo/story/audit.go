package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"github.com/aistudio/secrets/auditor/finding"
)

// The stack's functions that look at the account every day.
const (
	scanFunction  = "aistudio-dev-migration-scan"
	auditFunction = "aistudio-dev-audit"
)

// plaintextRules begins the names of the rules about secrets in plaintext.
const plaintextRules = "plaintext-"

// Audit is what an audit found.
type Audit struct {
	Findings  map[finding.Severity]int
	Plaintext []string // "rule resource" of the secrets in plaintext
	Report    string   // file of the report for people
}

// String is the audit in words.
func (a Audit) String() string {
	var counts []string
	for _, severity := range finding.Severities() {
		counts = append(counts, fmt.Sprintf("%d %s", a.Findings[severity], severity))
	}
	return fmt.Sprintf("%d in plaintext; findings: %s", len(a.Plaintext), strings.Join(counts, ", "))
}

// audit has the stack's functions scan and audit, as they do every day, and keeps
// the report under a name.
func (w *World) audit(ctx context.Context, name string) (Audit, error) {
	var scanned, audited struct{ Report string }
	if err := w.invoke(ctx, scanFunction, &scanned); err != nil {
		return Audit{}, err
	}
	if err := w.invoke(ctx, auditFunction, &audited); err != nil {
		return Audit{}, err
	}
	text, err := w.report(ctx, path.Join(path.Dir(audited.Report), "report.json"))
	if err != nil {
		return Audit{}, err
	}
	var report struct {
		Summary  struct{ Findings map[finding.Severity]int }
		Findings []finding.Finding
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return Audit{}, fmt.Errorf("read the audit's report: %w", err)
	}
	result := Audit{Findings: report.Summary.Findings}
	for _, f := range report.Findings {
		if strings.HasPrefix(f.Rule, plaintextRules) {
			if f.Status != finding.Fail {
				return Audit{}, fmt.Errorf("the audit couldn't tell %s: %s", f.Rule, f.Reason)
			}
			result.Plaintext = append(result.Plaintext, f.Rule+" "+f.Resource.Name)
		}
	}
	page, err := w.report(ctx, audited.Report)
	if err != nil {
		return Audit{}, err
	}
	result.Report, err = w.keep(name, page)
	return result, err
}

// month lets 30 days pass. The scan and the audit, which run every day, rest until
// the last of them: 29 more would find the same, and each takes a second of ours.
func (w *World) month(ctx context.Context) error {
	if err := w.daily(ctx, types.ScheduleStateDisabled); err != nil {
		return err
	}
	const day = 24 * time.Hour
	if err := w.Cloud.Advance(ctx, interval-day); err != nil {
		return err
	}
	if err := w.daily(ctx, types.ScheduleStateEnabled); err != nil {
		return err
	}
	return w.Cloud.Advance(ctx, day)
}

// daily switches the schedules of the scan and the audit on or off.
func (w *World) daily(ctx context.Context, state types.ScheduleState) error {
	client := scheduler.NewFromConfig(w.Cloud.Config(Region))
	for _, name := range []string{scanFunction, auditFunction} {
		s, err := client.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: &name})
		if err != nil {
			return fmt.Errorf("look at the schedule %s: %w", name, err)
		}
		_, err = client.UpdateSchedule(ctx, &scheduler.UpdateScheduleInput{
			Name: &name, State: state, // and all else as it is, which would get its default
			ActionAfterCompletion: s.ActionAfterCompletion, Description: s.Description, EndDate: s.EndDate, FlexibleTimeWindow: s.FlexibleTimeWindow,
			GroupName: s.GroupName, KmsKeyArn: s.KmsKeyArn, ScheduleExpression: s.ScheduleExpression,
			ScheduleExpressionTimezone: s.ScheduleExpressionTimezone, StartDate: s.StartDate, Target: s.Target,
		})
		if err != nil {
			return fmt.Errorf("switch the schedule %s: %w", name, err)
		}
	}
	return nil
}

// invoke invokes one of the stack's functions, as its schedule does.
func (w *World) invoke(ctx context.Context, function string, answer any) error {
	out, err := lambda.NewFromConfig(w.Cloud.Config(Region)).Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: []byte("{}")})
	if err != nil {
		return fmt.Errorf("invoke %s: %w", function, err)
	}
	if out.FunctionError != nil {
		return fmt.Errorf("%s failed: %s", function, out.Payload)
	}
	if err := json.Unmarshal(out.Payload, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", function, err)
	}
	return nil
}

// report reads one of the audit's reports from its bucket.
func (w *World) report(ctx context.Context, key string) ([]byte, error) {
	bucket := "aistudio-dev-audit-" + w.Cloud.Account()
	out, err := s3.NewFromConfig(w.Cloud.Config(Region)).GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", bucket, key, err)
	}
	text, err := io.ReadAll(out.Body)
	if err = errors.Join(err, out.Body.Close()); err != nil {
		return nil, fmt.Errorf("read s3://%s/%s: %w", bucket, key, err)
	}
	return text, nil
}

// keep writes a report that stays, and returns where.
func (w *World) keep(name string, text []byte) (string, error) {
	folder := w.options.path(w.options.Reports)
	file := filepath.Join(folder, name)
	err := os.MkdirAll(folder, 0o750)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("keep the report: %w", err)
	}
	return file, nil
}
