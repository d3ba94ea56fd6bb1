package plan

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"
)

// allowsReading tells whether a policy, encoded as IAM gives it (RFC 3986), may
// allow reading the value of some secret. It looks at the actions alone: what it
// rules out is sure, and for the rest IAM is asked.
func allowsReading(encoded string) bool {
	text, err := url.PathUnescape(encoded)
	if err != nil {
		return true
	}
	var document struct{ Statement listOf[statement] }
	if json.Unmarshal([]byte(text), &document) != nil {
		return true
	}
	for _, s := range document.Statement {
		if s.Effect != "Allow" {
			continue
		}
		if len(s.NotAction) > 0 {
			return true
		}
		for _, action := range s.Action {
			// No action holds a slash or a bracket, so that IAM's wildcards are those of
			// path.Match.
			match, err := path.Match(strings.ToLower(action), strings.ToLower(readAction))
			if match || err != nil {
				return true
			}
		}
	}
	return false
}

type statement struct {
	Effect            string
	Action, NotAction listOf[string]
}

// listOf is a list that may be written as its only element (IAM user guide,
// "Grammar of the IAM JSON policy language").
type listOf[T any] []T

// UnmarshalJSON reads either form.
func (l *listOf[T]) UnmarshalJSON(text []byte) error {
	var many []T
	if json.Unmarshal(text, &many) == nil {
		*l = many
		return nil
	}
	var one T
	if err := json.Unmarshal(text, &one); err != nil {
		return err
	}
	*l = listOf[T]{one}
	return nil
}
