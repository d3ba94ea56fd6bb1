package plan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/aistudio/secrets/sdk/spec"
)

type namedValue struct {
	name  string
	value spec.Value
}

// encodeObject writes a JSON object with the members in the order given. All are
// strings, to the byte, also a port: AWS's own functions take either, and ECS
// injects the same text.
func encodeObject(values []namedValue) (spec.Value, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for i, v := range values {
		out.WriteString([]string{"{", ","}[min(i, 1)])
		text := v.value.RevealString()
		if !utf8.ValidString(text) {
			return spec.Value{}, fmt.Errorf("key %q: the value isn't UTF-8 text, so JSON can't hold it", v.name)
		}
		for j, part := range []string{v.name, text} {
			if j > 0 {
				out.WriteByte(':')
			}
			if err := encoder.Encode(part); err != nil {
				return spec.Value{}, fmt.Errorf("key %q can't be encoded", v.name)
			}
			out.Truncate(out.Len() - 1) // the encoder's newline
		}
	}
	if len(values) == 0 {
		return spec.Value{}, errors.New("it has no value")
	}
	out.WriteByte('}')
	return spec.NewValue(out.Bytes()), nil
}
