package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// The files of a migration's folder.
const (
	file     = "journal.jsonl"
	lockFile = "journal.lock"

	// ignored keeps all but the plan out of a repository.
	ignored = "*\n!.gitignore\n!plan.yaml\n"
)

// ErrLocked is returned by Open when another program has the journal open.
var ErrLocked = errors.New("the migration's folder is in use by another program: wait until it is done")

// Journal is a journal that is open for writing, by one program at a time. It is
// safe for concurrent use.
type Journal struct {
	act  Act
	now  func() time.Time
	lock *os.File

	mu    sync.Mutex
	file  *os.File
	state State
}

// Open opens the journal in the folder for a program of the act, or makes both.
// It fails with ErrLocked while another program has it open. Times are now's.
func Open(folder string, act Act, now func() time.Time) (*Journal, error) {
	if err := prepare(folder); err != nil {
		return nil, fmt.Errorf("make the migration's folder: %w", err)
	}
	lock, err := takeLock(filepath.Join(folder, lockFile))
	if err != nil {
		return nil, err
	}
	j := &Journal{act: act, now: now, lock: lock}
	if err := j.open(filepath.Join(folder, file)); err != nil {
		return nil, errors.Join(fmt.Errorf("open the migration's journal: %w", err), lock.Close())
	}
	return j, nil
}

func prepare(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	ignore := filepath.Join(folder, ".gitignore")
	if _, err := os.Stat(ignore); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(ignore, []byte(ignored), 0o600)
}

func (j *Journal) open(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	state, length, err := replay(f)
	if err == nil {
		// Away with a line that was cut short.
		err = f.Truncate(length)
	}
	if err == nil {
		_, err = f.Seek(length, io.SeekStart)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.state = f, state
	return nil
}

// syncFolder makes the file's name as durable as its lines.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Read returns the state of the journal in the folder without locking it. A
// folder without a journal has the empty state.
func Read(folder string) (State, error) {
	f, err := os.Open(filepath.Join(folder, file))
	if errors.Is(err, fs.ErrNotExist) {
		return newState(), nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read the migration's journal: %w", err)
	}
	defer f.Close()
	state, _, err := replay(f)
	if err != nil {
		return State{}, fmt.Errorf("read the migration's journal: %w", err)
	}
	return state, nil
}

// replay adds the entries up and tells how many bytes they are, without a last
// line that was cut short.
func replay(f *os.File) (State, int64, error) {
	text, err := io.ReadAll(f)
	if err != nil {
		return State{}, 0, err
	}
	state := newState()
	var length int64
	for number := 1; ; number++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			return state, length, nil
		}
		if err := state.addLine(line); err != nil {
			return State{}, 0, fmt.Errorf("%s, line %d: %w: take the file from a copy", f.Name(), number, err)
		}
		length += int64(len(line)) + 1
		text = rest
	}
}

func (s *State) addLine(line []byte) error {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	if e.Format != Format {
		return fmt.Errorf("it has the format %d, and this program reads %d", e.Format, Format)
	}
	return s.add(e)
}

// Record appends an entry, of which the caller sets the subject, and returns
// when it is on the disk.
func (j *Journal) Record(e Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Format, e.Time, e.Act = Format, j.now().UTC(), j.act
	line, err := json.Marshal(e)
	if err == nil {
		err = j.append(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the migration's journal: %w: nothing was changed after its last entry; make room and run again", err)
	}
	return j.state.add(e)
}

// append leaves no half of a line behind for the next one to be glued to.
func (j *Journal) append(line []byte) error {
	start, err := j.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err = j.file.Write(line); err == nil {
		err = j.file.Sync()
	}
	if err == nil {
		return nil
	}
	_, seekErr := j.file.Seek(start, io.SeekStart)
	return errors.Join(err, j.file.Truncate(start), seekErr)
}

// Secret returns what is known of the secret, or the zero Secret.
func (j *Journal) Secret(name string) Secret {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.Secrets[name]
}

// Service returns what is known of the service, or the zero Service.
func (j *Journal) Service(id string) Service {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.Services[id]
}

// Grant returns what is known of the grant of the key, or the zero Grant.
func (j *Journal) Grant(key string) Grant {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.Grants[key]
}

// State returns a copy of what the journal adds up to.
func (j *Journal) State() State {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.clone()
}

// Close releases the journal for other programs.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.file.Close(), j.lock.Close())
}
