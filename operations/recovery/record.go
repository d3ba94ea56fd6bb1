package recovery

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Record keeps how things were before a failover, as far as AWS forgets it. It
// is written before anything is changed and removed when all is back. It holds
// no value.
type Record struct {
	Version       int                `json:"version"`
	Started       time.Time          `json:"started"`
	Environment   string             `json:"environment"`
	PrimaryRegion string             `json:"primaryRegion"`
	DRRegion      string             `json:"drRegion"`
	Secrets       map[string]Before  `json:"secrets"`             // by name
	Functions     map[string]Pointer `json:"functions,omitempty"` // by ARN, those that were repointed
}

// Before is a secret before the failover.
type Before struct {
	Current  string   `json:"current,omitempty"`         // id of the version
	Lacking  bool     `json:"drRegionLacksIt,omitempty"` // the replica didn't have that version
	Rotation Rotation `json:"rotation,omitzero"`
	Assumed  bool     `json:"rotationAssumed,omitempty"` // it is the catalogue's: no region could tell
	HomeKey  string   `json:"primaryRegionKey,omitempty"`
	DRKey    string   `json:"drRegionKey,omitempty"`
}

// moved tells whether a secret that the DR region alone has belongs to a failover:
// the catalogue declares it, it was failed over, or it was made afterwards. The
// record may be nil.
func (r *Record) moved(s *Secret) bool {
	if s.declared || r == nil {
		return s.declared
	}
	_, known := r.Secrets[s.Name]
	return known || s.Standby.created.After(r.Started)
}

const recordVersion = 1

// readRecord returns nil if there is none.
func (e *Estate) readRecord() (*Record, error) {
	text, err := os.ReadFile(e.record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of the failover: %w", err)
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read the record of the failover %s: %w", e.record, err)
	}
	if r.Version != recordVersion || r.Environment != e.stack.Settings.Environment || r.PrimaryRegion != e.home.region || r.DRRegion != e.standby.region {
		return nil, refuse("nothing was changed: the record %s is of %s from %s to %s (version %d), not of this stack: move it away or name another", e.record, r.Environment, r.PrimaryRegion, r.DRRegion, r.Version)
	}
	return &r, nil
}

// writeRecord replaces the record at once or not at all.
func (e *Estate) writeRecord(r *Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = writeFile(e.record, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the record of the failover: %w", err)
	}
	return nil
}

func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".recovery-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// openRecord returns the record, brought up to date, or a new one. Of secrets that
// are failed over it keeps what it knows, since after a promotion AWS shows less.
func (e *Estate) openRecord(status *Status) (*Record, error) {
	r, err := e.readRecord()
	if err != nil {
		return nil, err
	}
	if r == nil {
		r = &Record{
			Version: recordVersion, Started: e.now().UTC(), Environment: e.stack.Settings.Environment,
			PrimaryRegion: e.home.region, DRRegion: e.standby.region,
			Secrets: map[string]Before{}, Functions: map[string]Pointer{},
		}
	}
	if r.Functions == nil {
		r.Functions = map[string]Pointer{}
	}
	for _, s := range status.Secrets {
		kept, known := r.Secrets[s.Name]
		switch fresh := e.before(s); {
		case s.State == Alone, !known && !s.declared && s.State == Promoted && !s.Home.Answered:
			// No failover is about it, or nobody knows while the primary region is dark.
		case !known:
			r.Secrets[s.Name] = fresh
		case s.State != Promoted && s.State != Reversed:
			// It may be a record of long ago, or of a run that was killed when it had
			// stopped the rotation.
			if (fresh.Assumed || !fresh.Rotation.Enabled) && kept.Rotation.Enabled && (s.rotates || !s.declared) {
				fresh.Rotation, fresh.Assumed = kept.Rotation, kept.Assumed
			}
			if fresh.HomeKey == "" && !s.Home.Answered {
				fresh.HomeKey = kept.HomeKey
			}
			r.Secrets[s.Name] = fresh
		case (kept.Assumed || kept.Rotation.FunctionARN == "") && s.Home.stands(e.home.region) && s.Home.Rotation.FunctionARN != "":
			// The primary region was dark at the failover, and answers now: as nobody has
			// stopped the rotation there yet, it is as it was.
			kept.Rotation, kept.Assumed = s.Home.Rotation, false
			r.Secrets[s.Name] = kept
		}
	}
	return r, e.writeRecord(r)
}

// before derives what a record holds from what there is. The old primary keeps its
// rotation's settings, also when it was stopped or has lost its replica. Whether a
// replica shows its primary's isn't documented; where it doesn't, they are the
// catalogue's.
func (e *Estate) before(s *Secret) Before {
	from := s.Home
	if !from.Exists || from.isReplicaOf(e.standby.region) {
		from = s.Standby
	}
	b := Before{Current: from.Current(), Rotation: from.Rotation, HomeKey: s.Home.KeyID, DRKey: s.Standby.KeyID}
	if s.State == Promoted || s.State == Reversed {
		// A failover, of which there is no record, stopped the rotation.
		b.Rotation.Enabled = b.Rotation.FunctionARN != "" && (b.Rotation.Enabled || s.rotates)
		b.Rotation.FunctionARN = inRegion(b.Rotation.FunctionARN, e.home.region)
	}
	if b.Rotation.FunctionARN == "" && s.rotates {
		b.Rotation, b.Assumed = e.declaredRotation(s), true
	}
	b.Lacking = from.Current() != "" && s.Standby.Exists && len(s.Standby.Versions[from.Current()]) == 0
	if b.HomeKey == "" {
		b.HomeKey = multiRegionKey(s.Standby.KeyID, e.home.region)
	}
	if b.DRKey == "" {
		b.DRKey = multiRegionKey(s.Home.KeyID, e.standby.region)
	}
	return b
}

// declaredRotation is a secret's rotation as the stack makes it, with the function
// of the primary region.
func (e *Estate) declaredRotation(s *Secret) Rotation {
	arn := strings.Split(cmp.Or(s.Home.ARN, s.Standby.ARN), ":")
	const partition, account, fields = 1, 4, 7
	if len(arn) < fields {
		return Rotation{}
	}
	return Rotation{
		Enabled: true, Schedule: s.schedule.Expression, Duration: s.schedule.Duration(),
		FunctionARN: strings.Join([]string{"arn", arn[partition], "lambda", e.home.region, arn[account], "function", s.rotator}, ":"),
	}
}

// multiRegionKey returns the ARN of a multi-region key in another region: it
// differs in the region alone (KMS developer guide, "Multi-Region keys"). For
// another key it is "", which is Secrets Manager's own key.
func multiRegionKey(arn, region string) string {
	if !strings.Contains(arn, ":key/mrk-") {
		return ""
	}
	return inRegion(arn, region)
}

// inRegion returns an ARN as it is in another region.
func inRegion(arn, region string) string {
	const regionField, fields = 3, 7
	parts := strings.SplitN(arn, ":", fields)
	if len(parts) <= regionField || parts[0] != "arn" {
		return arn
	}
	parts[regionField] = region
	return strings.Join(parts, ":")
}

func (e *Estate) removeRecord() error {
	if err := os.Remove(e.record); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("all is back; remove the record of the failover: %w", err)
	}
	return nil
}
