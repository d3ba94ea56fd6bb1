package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a JSON object that keeps the order of its members and, byte for
// byte, those that nobody changed.
type object []member

type member struct {
	key    string
	rawKey []byte // as written, with quotes and escapes
	raw    json.RawMessage
}

// field is what a shape says about one of its keys when it is encoded.
type field struct {
	key  string
	raw  json.RawMessage                // nil: the member is absent
	same func(raw json.RawMessage) bool // whether a member as it was read means the same
}

// parseObject reads exactly one JSON object. Its errors quote nothing of the
// input but keys, since the rest is secret.
func parseObject(v Value) (object, error) {
	doc := v.Reveal()
	if !utf8.Valid(doc) {
		return nil, errors.New("the value isn't UTF-8 text, which JSON is")
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(doc, new(json.RawMessage)); errors.As(err, &syntax) {
		return nil, fmt.Errorf("the value isn't JSON: syntax error at byte %d", syntax.Offset)
	} else if err != nil {
		return nil, errors.New("the value isn't JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("the value is JSON but not an object")
	}
	var members object
	seen := map[string]bool{}
	for decoder.More() {
		before := decoder.InputOffset()
		token, err := decoder.Token()
		key, isKey := token.(string)
		if err != nil || !isKey {
			return nil, errors.New("the value isn't a JSON object")
		}
		if seen[key] {
			return nil, fmt.Errorf("key %q is there twice: remove one", key)
		}
		seen[key] = true
		rawKey := bytes.TrimLeft(doc[before:decoder.InputOffset()], ", \t\r\n")
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, fmt.Errorf("the value of key %q isn't JSON", key)
		}
		members = append(members, member{key: key, rawKey: bytes.Clone(rawKey), raw: raw})
	}
	return members, nil
}

func (o object) get(key string) json.RawMessage {
	for _, m := range o {
		if m.key == key {
			return m.raw
		}
	}
	return nil
}

// encodeObject writes the source object, which may be empty, with the fields'
// values: a member whose field means the same stays as it was written, others
// are replaced where they stand, removed, or added at the end.
func encodeObject(source Value, fields []field) (Value, error) {
	var members object
	if source.Len() > 0 {
		var err error
		if members, err = parseObject(source); err != nil {
			return Value{}, err
		}
	}
	var out bytes.Buffer
	separator := byte('{')
	write := func(rawKey, raw []byte) {
		out.WriteByte(separator)
		separator = ','
		out.Write(rawKey)
		out.WriteByte(':')
		out.Write(raw)
	}
	placed := map[string]bool{}
	for _, m := range members {
		raw := m.raw
		for _, f := range fields {
			if f.key == m.key {
				placed[f.key] = true
				if !f.same(m.raw) {
					raw = f.raw
				}
			}
		}
		if raw != nil {
			write(m.rawKey, raw)
		}
	}
	for _, f := range fields {
		if !placed[f.key] && f.raw != nil {
			write([]byte(strconv.Quote(f.key)), f.raw)
		}
	}
	if separator == '{' {
		out.WriteByte('{')
	}
	out.WriteByte('}')
	return own(out.Bytes()), nil
}

// stringField encodes a string; the empty one is absent.
func stringField(key, s string) (field, error) {
	raw, err := encodeString(s)
	if err != nil {
		return field{}, fmt.Errorf("key %q: %w", key, err)
	}
	if s == "" {
		raw = nil
	}
	same := func(raw json.RawMessage) bool {
		old, err := readString(raw)
		return err == nil && old == s
	}
	return field{key: key, raw: raw, same: same}, nil
}

// readString reads an optional string: absent and null are "".
func readString(raw json.RawMessage) (string, error) {
	if raw == nil || string(raw) == "null" {
		return "", nil
	}
	return decodeString(raw)
}

// surrogate finds the escapes that may stand alone and would be decoded to
// U+FFFD without an error.
var surrogate = regexp.MustCompile(`(?i)\\ud[89a-f]`)

// decodeString reads a JSON string without changing it: what encoding/json
// would replace is an error.
func decodeString(raw json.RawMessage) (string, error) {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", errors.New("not a JSON string")
	}
	if !utf8.Valid(raw) || strings.ContainsRune(*s, utf8.RuneError) && surrogate.Match(raw) {
		return "", errors.New("not Unicode text")
	}
	return *s, nil
}

func encodeString(s string) (json.RawMessage, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not UTF-8 text, so JSON can't hold it")
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		return nil, errors.New("can't be encoded as a JSON string")
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
