// Package state keeps what an audit remembers from run to run: the open
// findings, the trend, the resource policies that were read, and the messages
// that have yet to be sent.
//
// It is one object in a Store, gzipped lines of JSON, replaced as a whole and
// only if nobody else has replaced it meanwhile: of two runs at once one wins,
// and the other knows that it lost.
package state

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/aistudio/secrets/auditor/finding"
	"github.com/aistudio/secrets/auditor/inventory"
)

// ErrConflict says that the state was replaced by another run since it was
// loaded.
var ErrConflict = errors.New("the audit's state was changed by another run")

// Store holds one state.
type Store interface {
	// Load returns the state's bytes and its version, or nil and "" if there is
	// none yet.
	Load(ctx context.Context) (io.ReadCloser, string, error)
	// Save replaces the state if its version is still that one, "" for none, and
	// returns the new version. The error wraps ErrConflict if it isn't.
	Save(ctx context.Context, body io.ReadSeeker, version string) (string, error)
}

// Header is what a run remembers besides findings.
type Header struct {
	Format int       `json:"format"` // of the lines that follow
	Run    string    `json:"run"`    // of the last run
	Time   time.Time `json:"time"`
	Trend  []Point   `json:"trend"` // oldest first, with the last run's
	// ReviewedUpTo is the time to which changes of resource policies are known.
	ReviewedUpTo time.Time `json:"reviewedUpTo"`
	Reviews      int       `json:"reviews"` // their number
	Outbox       []Message `json:"outbox,omitempty"`
	SecurityHub  bool      `json:"securityHub,omitempty"` // findings go there, from this run or one before
}

// Point is a run in the trend.
type Point struct {
	Time               time.Time                `json:"time"`
	Secrets            int                      `json:"secrets"`
	Findings           map[finding.Severity]int `json:"findings"`
	Unknown            int                      `json:"unknown"`
	RotationCompliance float64                  `json:"rotationCompliance"` // per cent
}

// Message is an alert that must be sent.
type Message struct {
	ID         string            `json:"id"`
	Subject    string            `json:"subject"`
	Body       string            `json:"body"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Entry is an open finding.
type Entry struct {
	ID        string           `json:"id"`
	Rule      string           `json:"rule"`
	Severity  finding.Severity `json:"severity"`
	FirstSeen time.Time        `json:"firstSeen"`
	Resource  finding.Resource `json:"resource"`
}

const format = 2

// Previous is the last run's state. Its findings are on disk; what is in memory
// is 16 bytes for each.
type Previous struct {
	Header
	Reviewed *inventory.Reviewed // nil: none
	Version  string              // of the store
	Gone     []Entry             // what was resolved and Security Hub doesn't know yet

	file *os.File
	open []known // sorted by key
}

// known is a finding that was open.
type known struct {
	key       uint64 // see keyOf
	firstSeen uint32 // Unix seconds, until 2106
	rank      int8
	seen      bool
}

// Load reads the state into dir. Close removes it there. A state of another
// format is an error: it is not thrown away.
func Load(ctx context.Context, store Store, dir string) (*Previous, error) {
	body, version, err := store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the audit's state: %w", err)
	}
	p := &Previous{Version: version}
	if p.file, err = os.CreateTemp(dir, "previous-*.jsonl"); err != nil {
		return nil, fmt.Errorf("make a file for the audit's state: %w", err)
	}
	if body == nil {
		return p, nil
	}
	defer body.Close()
	if err := p.read(body); err != nil {
		return nil, errors.Join(fmt.Errorf("read the audit's state: %w", err), p.Close())
	}
	return p, nil
}

// line is one of the kinds of lines. A reader leaves out those that it doesn't know.
type line struct {
	Header  *Header `json:"header,omitempty"`
	Finding *Entry  `json:"finding,omitempty"`
	Reviews []byte  `json:"reviews,omitempty"` // 8 bytes each
	Gone    *Entry  `json:"gone,omitempty"`
}

func (p *Previous) read(body io.Reader) error {
	unzipped, err := gzip.NewReader(body)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(p.file)
	encoder, decoder := json.NewEncoder(out), json.NewDecoder(bufio.NewReader(unzipped))
	for {
		var l line
		err := decoder.Decode(&l)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case l.Header != nil:
			p.Header = *l.Header
			if p.Format != format {
				return fmt.Errorf("its format is %d and this program reads %d: use the program that wrote it, or remove the state, and every finding is new again", p.Format, format)
			}
			p.Reviewed = &inventory.Reviewed{Time: p.ReviewedUpTo, Clean: make([]uint64, 0, min(max(0, p.Reviews), maxReviews))}
		case l.Finding != nil:
			p.open = append(p.open, known{key: keyOf(l.Finding.ID), firstSeen: uint32(l.Finding.FirstSeen.Unix()), rank: int8(l.Finding.Severity.Rank())})
			if err := encoder.Encode(l.Finding); err != nil {
				return err
			}
		case l.Gone != nil && len(p.Gone) < maxGone:
			p.Gone = append(p.Gone, *l.Gone)
		case l.Reviews != nil && p.Reviewed != nil:
			for chunk := range slices.Chunk(l.Reviews, reviewSize) {
				if len(chunk) == reviewSize {
					p.Reviewed.Clean = append(p.Reviewed.Clean, binary.BigEndian.Uint64(chunk))
				}
			}
		}
	}
	slices.SortFunc(p.open, func(a, b known) int { return cmp.Compare(a.key, b.key) })
	return out.Flush()
}

const (
	reviewSize = 8
	maxReviews = 1 << 20 // for which room is made before they are read
	maxGone    = 5_000   // more are left to Security Hub, which drops them after 90 days
)

// keyOf is a finding's id as a number; ids are 16 hexadecimal digits.
func keyOf(id string) uint64 {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// find returns nil for a finding that the last run didn't have.
func (p *Previous) find(id string) *known {
	i, found := slices.BinarySearchFunc(p.open, keyOf(id), func(k known, key uint64) int { return cmp.Compare(k.key, key) })
	if !found {
		return nil
	}
	return &p.open[i]
}

// Peek returns what Seen does and marks nothing.
func (p *Previous) Peek(id string) (firstSeen time.Time, rank int, ok bool) {
	k := p.find(id)
	if k == nil {
		return time.Time{}, 0, false
	}
	return time.Unix(int64(k.firstSeen), 0).UTC(), int(k.rank), true
}

// Seen marks a finding as there in this run and returns since when it is, and
// how severe it was. It reports false for one that the last run didn't have.
func (p *Previous) Seen(id string) (firstSeen time.Time, rank int, ok bool) {
	if k := p.find(id); k != nil {
		k.seen = true
	}
	return p.Peek(id)
}

// Unseen calls each for the findings of the last run that weren't marked.
func (p *Previous) Unseen(each func(Entry) error) error {
	return p.entries(func(e Entry) error {
		if k := p.find(e.ID); k != nil && k.seen {
			return nil
		}
		return each(e)
	})
}

func (p *Previous) entries(each func(Entry) error) error {
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the last run's findings: %w", err)
	}
	decoder := json.NewDecoder(bufio.NewReader(p.file))
	for {
		var e Entry
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the last run's findings: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// Close removes the file.
func (p *Previous) Close() error { return errors.Join(p.file.Close(), os.Remove(p.file.Name())) }

// Writer writes a state to a file, to be saved later.
type Writer struct {
	file    *os.File
	zipped  *gzip.Writer
	encoder *json.Encoder
}

// NewWriter begins a state in a file in dir with its header.
func NewWriter(dir string, header Header, reviewed *inventory.Reviewed) (*Writer, error) {
	file, err := os.CreateTemp(dir, "state-*.jsonl.gz")
	if err != nil {
		return nil, fmt.Errorf("make a file for the audit's state: %w", err)
	}
	w := &Writer{file: file, zipped: gzip.NewWriter(file)}
	w.encoder = json.NewEncoder(w.zipped)
	header.Format = format
	if reviewed != nil {
		header.ReviewedUpTo, header.Reviews = reviewed.Time, len(reviewed.Clean)
	}
	err = w.encoder.Encode(line{Header: &header})
	if reviewed != nil {
		const perLine = 4096
		for chunk := range slices.Chunk(reviewed.Clean, perLine) {
			var packed []byte
			for _, id := range chunk {
				packed = binary.BigEndian.AppendUint64(packed, id)
			}
			err = errors.Join(err, w.encoder.Encode(line{Reviews: packed}))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the audit's state: %w", err), w.Close())
	}
	return w, nil
}

// Add writes an open finding.
func (w *Writer) Add(e Entry) error {
	if err := w.encoder.Encode(line{Finding: &e}); err != nil {
		return fmt.Errorf("write the audit's state: %w", err)
	}
	return nil
}

// AddGone writes a finding that is gone and that Security Hub doesn't know yet.
func (w *Writer) AddGone(e Entry) error {
	if err := w.encoder.Encode(line{Gone: &e}); err != nil {
		return fmt.Errorf("write the audit's state: %w", err)
	}
	return nil
}

// Save hands the state to the store. See Store.Save for version.
func (w *Writer) Save(ctx context.Context, store Store, version string) (string, error) {
	if err := w.zipped.Close(); err != nil {
		return "", fmt.Errorf("write the audit's state: %w", err)
	}
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("write the audit's state: %w", err)
	}
	saved, err := store.Save(ctx, w.file, version)
	if err != nil {
		return "", fmt.Errorf("save the audit's state: %w", err)
	}
	return saved, nil
}

// Close removes the file.
func (w *Writer) Close() error { return errors.Join(w.file.Close(), os.Remove(w.file.Name())) }
