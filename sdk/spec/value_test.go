package spec_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/spec"
)

const canary = "hunter2-canary"

type holder struct {
	Exported   spec.Value
	Pointer    *spec.Value
	unexported spec.Value
	List       []spec.Value
	Map        map[string]spec.Value
	Any        any
}

func newHolder() holder {
	v := spec.ValueString(canary)
	return holder{v, &v, v, []spec.Value{v}, map[string]spec.Value{"k": v}, v}
}

// showsCanary looks for the canary in the forms in which fmt and encoders
// write bytes.
func showsCanary(s string) bool {
	lower := strings.ToLower(s)
	for _, form := range []string{
		canary,
		fmt.Sprintf("%x", canary),
		fmt.Sprintf("% x", canary),
		strings.Trim(fmt.Sprint([]byte(canary)), "[]"),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(canary)), "[]byte{"), "}"),
		"ahvudgvymi1jyw5hcnk", // base64, lower case
	} {
		if strings.Contains(lower, form) {
			return true
		}
	}
	return false
}

func TestTheCheckSeesALeak(t *testing.T) {
	for _, verb := range []string{"%v", "%s", "%q", "%x", "% x", "%#v", "%d"} {
		require.True(t, showsCanary(fmt.Sprintf(verb, []byte(canary))), verb)
	}
	j, err := json.Marshal([]byte(canary))
	require.NoError(t, err)
	require.True(t, showsCanary(string(j)))
}

func TestValueNeverFormats(t *testing.T) {
	v := spec.ValueString(canary)
	h := newHolder()
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U", "%e", "%g", "%t", "%p", "%w", "%T", "%z", "%20.30s", "%-9x"}
	for name, subject := range map[string]any{
		"value": v, "pointer": &v, "struct": h, "pointer to struct": &h,
		"slice": []spec.Value{v}, "map": map[string]spec.Value{"k": v}, "any": []any{v, &v},
	} {
		for _, verb := range verbs {
			out := fmt.Sprintf(verb, subject)
			assert.False(t, showsCanary(out), "%s of a %s", verb, name)
		}
		assert.False(t, showsCanary(fmt.Sprint(subject)), name)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		assert.Equal(t, spec.Redacted, fmt.Sprintf(verb, v), verb)
		assert.Equal(t, spec.Redacted, fmt.Sprintf(verb, &v), verb)
	}
	assert.Equal(t, spec.Redacted, v.String())
	assert.Equal(t, spec.Redacted, v.GoString())
}

func TestValueNeverShowsInTestDiffs(t *testing.T) {
	// testify prints both sides with methods disabled.
	var recorder failureRecorder
	assert.Equal(&recorder, newHolder(), holder{})
	require.NotEmpty(t, recorder.text)
	assert.False(t, showsCanary(recorder.text))

	recorder = failureRecorder{}
	d, err := spec.ParseDatabase(spec.ValueString(`{"password":"` + canary + `","x":"` + canary + `"}`))
	require.NoError(t, err)
	assert.Equal(&recorder, d, spec.Database{})
	require.NotEmpty(t, recorder.text)
	assert.False(t, showsCanary(recorder.text))
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		assert.False(t, showsCanary(fmt.Sprintf(verb, d)), verb)
		assert.False(t, showsCanary(fmt.Sprintf(verb, &d)), verb)
	}
}

type failureRecorder struct{ text string }

func (r *failureRecorder) Errorf(format string, args ...any) { r.text += fmt.Sprintf(format, args...) }

func TestValueNeverLogs(t *testing.T) {
	var out bytes.Buffer
	h := newHolder()
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		logger := slog.New(handler)
		logger.Info("read", "value", h.Exported, "pointer", h.Pointer, "struct", h, "struct pointer", &h, "any", h.Any)
		logger.With("value", h.Exported).Info(fmt.Sprint("read ", h.Exported))
	}
	require.Contains(t, out.String(), spec.Redacted)
	assert.False(t, showsCanary(out.String()))
}

func TestValueNeverMarshals(t *testing.T) {
	h := newHolder()
	j, err := json.Marshal(h)
	require.NoError(t, err)
	require.Contains(t, string(j), `"Exported":"[redacted]"`)
	assert.False(t, showsCanary(string(j)))

	var out bytes.Buffer
	require.NoError(t, gob.NewEncoder(&out).Encode(struct{ V spec.Value }{h.Exported}))
	require.Contains(t, out.String(), spec.Redacted)
	assert.False(t, showsCanary(out.String()))

	x, err := xml.Marshal(struct {
		XMLName xml.Name   `xml:"x"`
		V       spec.Value `xml:"v"`
		A       spec.Value `xml:"a,attr"`
	}{V: h.Exported, A: h.Exported})
	require.NoError(t, err)
	assert.False(t, showsCanary(string(x)))
}

func TestValueUnmarshals(t *testing.T) {
	var got struct{ Password, Absent spec.Value }
	require.NoError(t, json.Unmarshal([]byte(`{"Password":"pä\u0041\"","Absent":null}`), &got))
	assert.Equal(t, `päA"`, got.Password.RevealString())
	assert.Zero(t, got.Absent.Len())

	var text spec.Value
	require.NoError(t, text.UnmarshalText([]byte("secret")))
	assert.Equal(t, "secret", text.RevealString())
}

func TestValueRefusesItsOwnTrace(t *testing.T) {
	v := spec.ValueString(canary)
	j, err := json.Marshal(v)
	require.NoError(t, err)
	require.ErrorContains(t, json.Unmarshal(j, new(spec.Value)), "redacted")
	require.Error(t, new(spec.Value).UnmarshalText([]byte(spec.Redacted)))

	var stream bytes.Buffer
	require.NoError(t, gob.NewEncoder(&stream).Encode(v))
	require.ErrorContains(t, gob.NewDecoder(&stream).Decode(new(spec.Value)), "redacted")
}

func TestValueUnmarshalErrorsQuoteNothing(t *testing.T) {
	for _, bad := range []string{`12345678`, `{"a":"` + canary + `"}`, `["` + canary + `"]`, `true`, `"\ud800` + canary + `"`, "\"\xff" + canary + "\""} {
		err := new(spec.Value).UnmarshalJSON([]byte(bad))
		require.Error(t, err, bad)
		assert.False(t, showsCanary(err.Error()))
		assert.NotContains(t, err.Error(), "12345678")
	}
}

func TestValueIsImmutableAndShared(t *testing.T) {
	source := []byte(canary)
	v := spec.NewValue(source)
	clear(source)
	got := v.Reveal()
	assert.Equal(t, canary, string(got))
	clear(got)
	assert.Equal(t, canary, v.RevealString())
	assert.Equal(t, len(canary), v.Len())

	copied := v
	v.Zero()
	assert.Zero(t, copied.Len())
	assert.Nil(t, copied.Reveal())
	v.Zero()
	spec.Value{}.Zero()
}

func TestValueEqual(t *testing.T) {
	a, b := spec.ValueString("x"), spec.NewValue([]byte("x"))
	assert.True(t, a.Equal(b))
	assert.False(t, a.Equal(spec.ValueString("y")))
	assert.False(t, a.Equal(spec.Value{}))
	assert.True(t, spec.Value{}.Equal(spec.ValueString("")))
}

func TestValueInErrorStaysRedacted(t *testing.T) {
	err := fmt.Errorf("login with %v: %w", spec.ValueString(canary), errors.New("refused"))
	assert.False(t, showsCanary(err.Error()))
}
