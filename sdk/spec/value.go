package spec

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
)

// Redacted is what a Value prints as.
const Redacted = "[redacted]"

// Value holds secret bytes and doesn't show them: it formats under every verb
// of fmt, logs (log/slog) and marshals (JSON, text, gob) as "[redacted]". Only
// Reveal and RevealString give the bytes.
//
// A Value is immutable, and its copies share the bytes. It is safe for
// concurrent use but for Zero. The zero Value is empty. Values can't be
// compared with == or reflect.DeepEqual; use Equal.
//
// When the last copy is collected by the garbage collector, the bytes are
// overwritten. That is as far as Go goes: what Reveal, RevealString and the
// network stack copied stays in memory until it is reused, the runtime may
// never collect what lives until the program ends, and the operating system
// may have swapped pages out.
type Value struct {
	// A function, and not a pointer: what walks data by reflection past the
	// methods (fmt on unexported fields, the diffs of test libraries) can't
	// look into a function.
	open func() *contents
}

type contents struct{ bytes []byte }

// NewValue returns a Value of a copy of b.
func NewValue(b []byte) Value { return own(bytes.Clone(b)) }

// ValueString returns a Value of the bytes of s.
func ValueString(s string) Value { return own([]byte(s)) }

// own returns a Value of b itself, which nobody else may hold.
func own(b []byte) Value {
	if len(b) == 0 {
		return Value{}
	}
	c := &contents{bytes: b}
	runtime.AddCleanup(c, func(b []byte) { clear(b) }, b)
	return Value{open: func() *contents { return c }}
}

// view returns the bytes themselves and what must be kept alive while they are
// read, lest the cleanup overwrites them.
func (v Value) view() ([]byte, *contents) {
	if v.open == nil {
		return nil, nil
	}
	c := v.open()
	return c.bytes, c
}

// Reveal returns a copy of the secret bytes, which the caller may change and
// should overwrite when it is done. It is nil for an empty Value.
func (v Value) Reveal() []byte {
	b, c := v.view()
	defer runtime.KeepAlive(c)
	return bytes.Clone(b)
}

// RevealString returns the secret bytes as a string. Go can't overwrite a
// string; prefer Reveal where the receiver takes bytes.
func (v Value) RevealString() string {
	b, c := v.view()
	defer runtime.KeepAlive(c)
	return string(b)
}

// Len returns the number of bytes.
func (v Value) Len() int {
	b, _ := v.view()
	return len(b)
}

// Equal tells whether both hold the same bytes, in a time that depends only on
// their lengths.
func (v Value) Equal(other Value) bool {
	a, keepA := v.view()
	b, keepB := other.view()
	defer runtime.KeepAlive(keepA)
	defer runtime.KeepAlive(keepB)
	return subtle.ConstantTimeCompare(a, b) == 1
}

// Zero overwrites the bytes and empties the Value and all its copies. The
// caller must know that nobody uses a copy at the same time.
func (v Value) Zero() {
	if v.open == nil {
		return
	}
	c := v.open()
	clear(c.bytes)
	c.bytes = nil
}

// String returns "[redacted]".
func (v Value) String() string { return Redacted }

// GoString returns "[redacted]".
func (v Value) GoString() string { return Redacted }

// Format writes "[redacted]" whatever the verb and flags.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue returns "[redacted]" for log/slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns "[redacted]", also for encoding/xml and YAML libraries.
func (v Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string. To write the secret into
// its JSON object use the Encode methods of the shapes.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(Redacted) }

// GobEncode returns "[redacted]".
func (v Value) GobEncode() ([]byte, error) { return []byte(Redacted), nil }

var errRedacted = errors.New("the value was redacted when it was written: read the secret itself")

// UnmarshalText takes the text as the secret. It refuses "[redacted]", which
// is no secret but the trace of a Value that was marshalled.
func (v *Value) UnmarshalText(text []byte) error {
	if string(text) == Redacted {
		return errRedacted
	}
	*v = NewValue(text)
	return nil
}

// UnmarshalJSON takes a JSON string's text as the secret; null leaves the
// Value as it is. It refuses "[redacted]", as UnmarshalText does, and a string
// that isn't Unicode, which would be changed.
func (v *Value) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	text, err := decodeString(data)
	if err != nil {
		return fmt.Errorf("secret value: %w", err)
	}
	return v.UnmarshalText([]byte(text))
}

// GobDecode refuses what GobEncode wrote: a Value doesn't travel by gob.
func (v *Value) GobDecode(data []byte) error { return v.UnmarshalText(data) }
