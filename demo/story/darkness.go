package story

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/aistudio/secrets/localcloud/faults"
	"github.com/aistudio/secrets/operations/recovery"
	secrets "github.com/aistudio/secrets/sdk"
)

// Loss is how the loss of the primary region went.
type Loss struct {
	FirstRead time.Duration // of a client with an empty cache, from the replica
	Drill     recovery.Report
}

// String is the drill in words.
func (l Loss) String() string {
	r := l.Drill.Recovered
	if r == nil {
		return "nothing was failed over"
	}
	return fmt.Sprintf("failed over in %.1f s, back in %.1f s, %d of %d versions lost, %d secrets rotated in %s",
		r.Seconds, r.FailbackSeconds, r.LostInFailover+r.LostInFailback, r.Versions, r.Rotated, l.Drill.DRRegion)
}

// goDark takes the primary region away for a while. The client, whose cache is
// full, goes on; a new one reads from the replica.
func (w *World) goDark(ctx context.Context, client *Client) (firstRead time.Duration, err error) {
	fresh, err := secrets.New(ctx, secrets.WithConfig(w.ReaderConfig(ReaderRole)), secrets.WithFailover(Standby))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, fresh.Close()) }()
	lift, err := w.Cloud.Faults.Add(faults.Fault{Kind: faults.DropBefore, Region: Region})
	if err != nil {
		return 0, fmt.Errorf("take %s away: %w", Region, err)
	}
	defer lift()
	began := time.Now()
	read, err := fresh.Get(ctx, SecretName)
	if err != nil {
		return 0, fmt.Errorf("read %s while %s is dark: %w", SecretName, Region, err)
	}
	if firstRead = time.Since(began); read.Region != Standby {
		return 0, fmt.Errorf("%s was read in %s, which is dark", SecretName, read.Region)
	}
	return firstRead, client.await(ctx, total(client.Logins())+loginsPerSecond)
}

// drill has the real program fail all secrets over, rotate some of them in the
// other region, and bring them back.
func (w *World) drill(ctx context.Context) (recovery.Report, error) {
	out, err := filepath.Abs(w.options.path(w.options.Reports))
	if err != nil {
		return recovery.Report{}, fmt.Errorf("find the folder for reports: %w", err)
	}
	var report recovery.Report
	if err := w.command(ctx, &report, "recovery", "drill", "--yes", "--stack", w.stackFile(),
		"--record", filepath.Join(w.Dir, "record.json"), "--out", out); err != nil {
		return recovery.Report{}, err
	}
	if len(report.Failures) > 0 {
		return report, fmt.Errorf("%d steps of the drill failed, the first: %s", len(report.Failures), report.Failures[0])
	}
	if !report.Passed || report.Recovered == nil {
		return report, errors.New("the drill hasn't passed")
	}
	return report, nil
}
