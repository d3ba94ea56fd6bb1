// Package run is one audit from beginning to end: read, judge, report, remember,
// tell.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	hub "github.com/aws/aws-sdk-go-v2/service/securityhub"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aistudio/secrets/auditor/audit"
	"github.com/aistudio/secrets/auditor/bucket"
	"github.com/aistudio/secrets/auditor/facts"
	"github.com/aistudio/secrets/auditor/inventory"
	"github.com/aistudio/secrets/auditor/metrics"
	"github.com/aistudio/secrets/auditor/notify"
	"github.com/aistudio/secrets/auditor/policy"
	"github.com/aistudio/secrets/auditor/report"
	"github.com/aistudio/secrets/auditor/securityhub"
	"github.com/aistudio/secrets/auditor/state"
	"github.com/aistudio/secrets/sdk/spec"
)

// Options say what is audited and where the results go.
type Options struct {
	AWS         aws.Config
	Environment string
	Regions     []string             // the first is the stack's own
	Catalogue   *spec.AuditCatalogue // nil: there is none to compare with
	Policy      policy.Policy
	Scan        facts.Fact[*spec.Scan]
	Store       state.Store

	Bucket      *bucket.Bucket // for reports; nil: they stay in Reports
	Reports     string         // an existing folder for reports; empty: a temporary one
	ReportURL   string         // begins the link in alerts; see spec.EnvAuditReportURL
	Topic       string         // ARN; empty: no alerts
	SecurityHub bool
	Metrics     io.Writer // nil: none

	// Deadline is when reading ends, so that there is time to report; zero: the
	// context's. What wasn't read by then is unknown.
	Deadline time.Time
	Now      time.Time
	Log      *slog.Logger // never nil
	// QuotaShare is the share of AWS's quotas that the audit may use in each
	// region; 0: inventory.DefaultShare.
	QuotaShare float64
	Progress   func(inventory.Progress)
}

// Outcome is what a run came to. Close removes its files, but not the reports.
type Outcome struct {
	*audit.Result
	Files []report.File
	Calls map[string]int // to AWS, of the inventory
	// Superseded says that another run saved its state first: it tells what is
	// new, and this one told nobody.
	Superseded bool

	dir string
}

// Close removes what the run kept on disk.
func (o *Outcome) Close() error { return errors.Join(o.Result.Close(), os.RemoveAll(o.dir)) }

// Run audits. When it returns an Outcome together with an error, the audit is
// whole, and telling somebody of it failed.
func Run(ctx context.Context, opts Options) (*Outcome, error) {
	dir, err := os.MkdirTemp("", "audit-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the audit: %w", err)
	}
	outcome, err := (&runner{opts: opts, dir: dir}).run(ctx)
	if outcome == nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return outcome, err
}

type runner struct {
	opts     Options
	dir      string
	account  string
	previous *state.Previous
	reviewed *inventory.Reviewed
	gone     bool // the state keeps what is resolved, for Security Hub
}

func (r *runner) run(ctx context.Context) (*Outcome, error) {
	o := r.opts
	o.Now = o.Now.UTC()
	identity, err := sts.NewFromConfig(o.AWS).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, fmt.Errorf("ask AWS which account this is: %w", err)
	}
	r.account = aws.ToString(identity.Account)
	if r.previous, err = state.Load(ctx, o.Store, r.dir); err != nil {
		return nil, err
	}
	defer r.previous.Close()
	outcome, err := r.audit(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.publish(ctx, outcome); err != nil {
		return outcome, err
	}
	return outcome, nil
}

func (r *runner) audit(ctx context.Context) (*Outcome, error) {
	o := r.opts
	inv, err := inventory.Collect(ctx, o.AWS, inventory.Options{
		Deadline: o.Deadline, QuotaShare: o.QuotaShare,
		Account: r.account, Regions: o.Regions, Catalogue: o.Catalogue, Policy: &r.opts.Policy, Previous: r.previous.Reviewed,
		Scan: o.Scan, Dir: r.dir, Now: o.Now, Log: o.Log, Progress: o.Progress,
	})
	if err != nil {
		return nil, err
	}
	defer inv.Close()
	result, err := audit.Judge(ctx, inv, audit.Options{
		Environment: o.Environment, Policy: &r.opts.Policy, Previous: r.previous, Stack: stackRegions(o.Catalogue), Dir: r.dir, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	r.reviewed = inv.Reviewed
	return &Outcome{Result: result, Calls: inv.Calls(), dir: r.dir}, nil
}

// stackRegions are the regions that a catalogue names, nil if it doesn't say.
func stackRegions(c *spec.AuditCatalogue) []string {
	if c == nil || len(c.Regions) == 0 {
		return nil
	}
	return append(slices.Clone(c.Regions), c.ReplicaRegion)
}

// publish writes the reports, saves the state and tells people, in that order:
// an alert's link leads somewhere, and only the run whose state was saved
// alerts.
func (r *runner) publish(ctx context.Context, outcome *Outcome) error {
	o := r.opts
	if err := r.report(ctx, outcome); err != nil {
		return err
	}
	header := state.Header{Run: outcome.Run, Time: outcome.Time, Trend: outcome.Trend}
	// What an earlier run couldn't send goes first.
	header.Outbox = slices.Clone(r.previous.Outbox)
	if o.Topic != "" || o.Bucket != nil {
		messages, err := notify.Messages(outcome.Result, r.link(outcome))
		if err != nil {
			return err
		}
		header.Outbox = append(header.Outbox, messages...)
	}
	if more := len(header.Outbox) - maxOutbox; more > 0 {
		header.Outbox = header.Outbox[more:]
	}
	header.SecurityHub = o.SecurityHub || r.previous.SecurityHub
	r.gone = header.SecurityHub
	version, err := r.save(ctx, outcome, header, r.previous.Version)
	if errors.Is(err, state.ErrConflict) {
		outcome.Superseded = true
		o.Log.WarnContext(ctx, "another run was faster and tells what is new", "run", outcome.Run, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	if o.Topic != "" && len(header.Outbox) > 0 {
		header.Outbox, version, err = r.alert(ctx, outcome, header, version)
		errs = append(errs, err)
	}
	if o.SecurityHub {
		errs = append(errs, r.importAll(ctx, outcome, header, version))
	}
	if o.Metrics != nil {
		errs = append(errs, metrics.Write(o.Metrics, outcome.Result))
	}
	return errors.Join(errs...)
}

// maxOutbox are the newest messages that wait to be sent. A run by hand with the
// bucket of the daily audit and without its topic leaves what is new to the next
// daily one; where there is no topic, nobody will ever take them.
const maxOutbox = 500

func (r *runner) report(ctx context.Context, outcome *Outcome) error {
	dir := r.opts.Reports
	if dir == "" {
		dir = filepath.Join(r.dir, "reports")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("make a folder for the reports: %w", err)
		}
	}
	files, err := report.Write(dir, outcome.Result)
	if err != nil {
		return err
	}
	outcome.Files = files
	for _, f := range files {
		r.opts.Log.InfoContext(ctx, "a report is written", "run", outcome.Run, "file", f.Name, "sha256", f.SHA256)
	}
	if r.opts.Bucket == nil {
		return nil
	}
	return r.opts.Bucket.Upload(ctx, dir, r.prefix(outcome), files)
}

func (r *runner) prefix(outcome *Outcome) string {
	return spec.AuditReports + outcome.Environment + "/" + outcome.Run
}

// link is the address of the report for people.
func (r *runner) link(outcome *Outcome) string {
	key := path.Join(r.prefix(outcome), "report.html")
	switch {
	case r.opts.Bucket == nil:
		return ""
	case r.opts.ReportURL != "":
		return r.opts.ReportURL + key
	default:
		return "https://console.aws.amazon.com/s3/object/" + r.opts.Bucket.Name + "?region=" + r.opts.AWS.Region + "&prefix=" + key
	}
}

// importAll hands the findings to Security Hub. What is resolved stays in the state
// until it has them.
func (r *runner) importAll(ctx context.Context, outcome *Outcome, header state.Header, version string) error {
	imported, err := securityhub.Import(ctx, hub.NewFromConfig(r.opts.AWS), r.opts.AWS.Region, outcome.Result)
	r.opts.Log.InfoContext(ctx, "findings are in Security Hub", "imported", imported)
	if err != nil || outcome.Resolved+len(outcome.Gone()) == 0 {
		return err
	}
	r.gone = false
	_, err = r.save(ctx, outcome, header, version)
	return err
}

func (r *runner) save(ctx context.Context, outcome *Outcome, header state.Header, version string) (string, error) {
	w, err := state.NewWriter(r.dir, header, r.reviewed)
	if err != nil {
		return "", err
	}
	defer w.Close()
	for e, err := range outcome.Open() {
		if err == nil {
			err = w.Add(e)
		}
		if err != nil {
			return "", err
		}
	}
	if r.gone {
		if err := addGone(w, outcome); err != nil {
			return "", err
		}
	}
	return w.Save(ctx, r.opts.Store, version)
}

func addGone(w *state.Writer, outcome *Outcome) error {
	for e, err := range outcome.ResolvedFindings() {
		if err == nil {
			err = w.AddGone(e)
		}
		if err != nil {
			return err
		}
	}
	for _, e := range outcome.Gone() {
		if err := w.AddGone(e); err != nil {
			return err
		}
	}
	return nil
}

// alert sends the outbox and empties it. What couldn't be sent stays in it for
// the next run. It returns what is left, and the state's version.
func (r *runner) alert(ctx context.Context, outcome *Outcome, header state.Header, version string) ([]state.Message, string, error) {
	sent, sendErr := notify.Send(ctx, sns.NewFromConfig(r.opts.AWS), r.opts.Topic, header.Outbox)
	header.Outbox = header.Outbox[sent:]
	r.opts.Log.InfoContext(ctx, "alerts are sent", "sent", sent, "left", len(header.Outbox))
	if sent == 0 {
		return header.Outbox, version, sendErr
	}
	saved, err := r.save(ctx, outcome, header, version)
	if err == nil {
		version = saved
	}
	return header.Outbox, version, errors.Join(sendErr, err)
}
