// Package dualread reads a secret during its migration: from AWS Secrets
// Manager, and from the place where it was before if that fails. It counts
// which place was used and whether both hold the same, and goes back to the old
// place by an environment variable, with no deployment of code.
//
//	reader, err := dualread.FromEnv(client, "DB_PASSWORD", dualread.Options{})
//	password, err := reader.Value(ctx)
//
// FromEnv goes by what the migrator sets: before the migration it reads the
// variable DB_PASSWORD, while DB_PASSWORD_SECRET_ID stands beside it both, and
// once the variable is gone the secret alone. New takes a secret and an old place
// of any kind.
//
// The variable SECRETS_DUALREAD is looked up at every read:
//
//	new      Secrets Manager, else the old place (the default)
//	compare  the same, and each version is compared with the old place once
//	old      the old place alone
//
// Values are compared by a keyed digest: HMAC-SHA256 under a random key, which
// each Reader makes for itself and which never leaves the process. So the time
// that it takes tells nothing of the values, and Result.Digests can be logged:
// they tell whether one of the places changed, and without the key nobody can
// try out values against them.
package dualread

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/spec"
)

// Place is where a value came from.
type Place string

// The places.
const (
	PlaceNew Place = "new" // Secrets Manager
	PlaceOld Place = "old" // where the secret was before
)

// The values of the switch.
const (
	modeNew     = "new"
	modeOld     = "old"
	modeCompare = "compare"
)

// Source reads the old place. The package parameter has one for SSM.
type Source func(context.Context) (spec.Value, error)

// Env reads an environment variable. One that isn't set, or is empty, is an
// error.
func Env(name string) Source {
	return func(context.Context) (spec.Value, error) {
		text := os.Getenv(name)
		if text == "" {
			return spec.Value{}, fmt.Errorf("environment variable %s isn't set", name)
		}
		return spec.ValueString(text), nil
	}
}

// Options of a Reader. The zero value is ready to use.
type Options struct {
	// Field is a key of the secret's JSON object whose string, number or boolean
	// takes the place of the old value. Empty: the whole secret does. FromEnv takes
	// it from the reference.
	Field string

	// Observe is called at the end of every read, say to count in a metric. Nil:
	// nobody is; with FromEnv, the reader counts in Metrics.
	Observe func(context.Context, Result)

	// Old is the old place of FromEnv. Nil: the variable.
	Old Source
}

// Result tells how a read went, without its value.
type Result struct {
	SecretID  string
	VersionID string // of the secret, if the new place was read
	Place     Place  // that gave the value; "": none did
	Compared  bool   // both places were read and compared
	Differ    bool   // they hold different values
	Digests   Digests
	Err       error // why the new place gave no value, or nil
}

// Digests are those of the compared values, each 16 hexadecimal digits, or "" if
// they weren't compared. Equal values have equal digests for as long as the
// Reader lives; those of other Readers are different.
type Digests struct{ New, Old string }

// Stats counts a Reader's reads.
type Stats struct {
	New      uint64 // answered by Secrets Manager
	Old      uint64 // answered by the old place
	Failed   uint64 // answered by none
	Compared uint64 // compared
	Differ   uint64 // compared and different
}

// Reader reads one secret. It is safe for concurrent use.
type Reader struct {
	source  secrets.Getter
	id      string
	old     Source
	options Options
	key     [sha256.Size]byte // of the digests

	mu       sync.Mutex
	stats    Stats
	compared string // version that was compared last
}

// New returns a reader of the secret of that id, which was in the old place
// before.
func New(source secrets.Getter, id string, old Source, options Options) *Reader {
	r := &Reader{source: source, id: id, old: old, options: options}
	rand.Read(r.key[:]) // never fails
	return r
}

// FromEnv returns a reader of what was in the environment variable of that name.
// The variable with the suffix spec.ReferenceSuffix names the secret; while it
// isn't set the reader reads the old place alone. A reference that can't be read
// is an error.
//
// In Lambda, and where spec.EnvService names the service, it writes spec's
// metrics of dual reads to standard output, see [Metrics]. The migration's
// validation needs them.
func FromEnv(source secrets.Getter, variable string, options Options) (*Reader, error) {
	old := options.Old
	if old == nil {
		old = Env(variable)
	}
	text := os.Getenv(variable + spec.ReferenceSuffix)
	if text == "" {
		return New(source, "", old, options), nil
	}
	reference, err := spec.ParseReference(text)
	if err != nil {
		return nil, fmt.Errorf("environment variable %s: %w", variable+spec.ReferenceSuffix, err)
	}
	options.Field = reference.Field
	if service := serviceName(); service != "" && options.Observe == nil {
		options.Observe = NewMetrics(os.Stdout, service).Observe
	}
	return New(source, reference.SecretID, old, options), nil
}

// Value returns the secret's value. It fails if the place that the switch
// allows, or both, fail; the error tells of all that was tried. Secrets Manager has
// until halfway to the context's deadline before the old place is read.
func (r *Reader) Value(ctx context.Context) (spec.Value, error) {
	value, result, err := r.read(ctx)
	r.count(result)
	if r.options.Observe != nil {
		r.options.Observe(ctx, result)
	}
	return value, err
}

func (r *Reader) read(ctx context.Context) (spec.Value, Result, error) {
	result := Result{SecretID: r.id}
	mode := os.Getenv(spec.EnvDualRead)
	if r.id == "" {
		mode = modeOld // there is no secret yet
	}
	switch mode {
	case "", modeNew, modeCompare:
	case modeOld:
		value, err := r.readOld(ctx)
		if err == nil {
			result.Place = PlaceOld
		}
		return value, result, err
	default:
		// A typing error in an incident must not take the service down.
		result.Err = fmt.Errorf("environment variable %s: %q is none of new, old, compare: reading as with new", spec.EnvDualRead, mode)
	}
	value, version, late, err := r.readNewInTime(ctx)
	if err != nil {
		old, oldErr := r.readOld(ctx)
		if oldErr == nil {
			result.Err, result.Place = err, PlaceOld
			return old, result, nil
		}
		if late { // and for nothing
			value, version, err = r.readNew(ctx)
		}
		if err != nil {
			result.Err = err
			return spec.Value{}, result, errors.Join(err, oldErr)
		}
	}
	result.Place, result.VersionID = PlaceNew, version
	if mode == modeCompare && r.toCompare(version) {
		if old, err := r.readOld(ctx); err == nil {
			r.compare(&result, value, old)
		}
	}
	return value, result, nil
}

func (r *Reader) compare(result *Result, value, old spec.Value) {
	a, b := r.digest(value), r.digest(old)
	const shown = 8 // bytes: enough to tell some values apart, and all that is logged
	result.Compared, result.Differ = true, !hmac.Equal(a, b)
	result.Digests = Digests{New: hex.EncodeToString(a[:shown]), Old: hex.EncodeToString(b[:shown])}
}

func (r *Reader) digest(value spec.Value) []byte {
	text := value.Reveal()
	defer clear(text)
	mac := hmac.New(sha256.New, r.key[:])
	mac.Write(text)
	return mac.Sum(nil)
}

// String tells which secret is read, so that no format shows the key.
func (r *Reader) String() string {
	if r.id == "" {
		return "read of the old place"
	}
	return fmt.Sprintf("dual read of secret %q", r.id)
}

// GoString is String.
func (r *Reader) GoString() string { return r.String() }

func (r *Reader) readOld(ctx context.Context) (spec.Value, error) {
	value, err := r.old(ctx)
	if err != nil && r.id == "" {
		return spec.Value{}, fmt.Errorf("read the old place, since no reference names a secret: %w", err)
	}
	if err != nil {
		return spec.Value{}, fmt.Errorf("read the old place of secret %q: %w", r.id, err)
	}
	return value, nil
}

// readNewInTime reads the new place until halfway to the context's deadline, which
// leaves the other half to the old place and to what the caller does then: in a
// network without a way to Secrets Manager nothing answers at all, and a function
// is stopped at its deadline. late tells that this was too short.
func (r *Reader) readNewInTime(ctx context.Context) (value spec.Value, version string, late bool, err error) {
	early := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		early, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/2))
		defer cancel()
	}
	value, version, err = r.readNew(early)
	return value, version, early.Err() != nil && ctx.Err() == nil, err
}

func (r *Reader) readNew(ctx context.Context) (value spec.Value, version string, err error) {
	secret, err := r.source.Get(ctx, r.id)
	if err != nil || r.options.Field == "" {
		return secret.Value, secret.VersionID, err
	}
	document := secret.Value.Reveal()
	defer clear(document)
	var fields map[string]json.RawMessage
	if json.Unmarshal(document, &fields) != nil { // whose error would quote the secret
		return spec.Value{}, "", fmt.Errorf("secret %q isn't a JSON object", r.id)
	}
	if value = scalar(fields[r.options.Field]); value.Len() == 0 {
		return spec.Value{}, "", fmt.Errorf("secret %q has no string, number or boolean under the key %q", r.id, r.options.Field)
	}
	return value, secret.VersionID, nil
}

// scalar is the text of a JSON string, number or boolean, or the empty Value.
func scalar(raw json.RawMessage) spec.Value {
	var value spec.Value
	switch {
	case len(raw) == 0 || bytes.ContainsAny(raw[:1], "[{n"):
	case raw[0] == '"':
		if value.UnmarshalJSON(raw) != nil {
			return spec.Value{}
		}
	default:
		value = spec.NewValue(raw)
	}
	return value
}

// toCompare tells whether the version wasn't compared yet: once is enough, and
// the old place may cost a call.
func (r *Reader) toCompare(version string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := r.compared != version
	r.compared = version
	return first
}

func (r *Reader) count(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.add(result)
}

func (s *Stats) add(r Result) {
	switch r.Place {
	case PlaceNew:
		s.New++
	case PlaceOld:
		s.Old++
	default:
		s.Failed++
	}
	if r.Compared {
		s.Compared++
	}
	if r.Differ {
		s.Differ++
	}
}

// Stats returns the counts so far.
func (r *Reader) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}
