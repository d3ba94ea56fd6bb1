package logs

import (
	"net/http"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// parsePattern reads a filter pattern ("Filter pattern syntax", CloudWatch Logs
// user guide): one for JSON, or one for unstructured events, in which all terms
// must occur, in any order, or one of the ?terms, and none of the -terms. An
// empty pattern matches all.
func parsePattern(pattern string) (func(message string) bool, error) {
	pattern = strings.TrimSpace(pattern)
	if strings.HasPrefix(pattern, "{") {
		return parseJSONPattern(pattern)
	}
	if strings.HasPrefix(pattern, "[") || strings.HasPrefix(pattern, "%") {
		return nil, api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember,
			"The emulator does not support filter patterns for space-delimited events and with regular expressions.")
	}
	var all, some, none []string
	for rest := pattern; rest != ""; rest = strings.TrimLeft(rest, " ") {
		list := &all
		switch rest[0] {
		case '?':
			list, rest = &some, rest[1:]
		case '-':
			list, rest = &none, rest[1:]
		}
		var term string
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			if term, rest, ok = strings.Cut(quoted, `"`); !ok {
				return nil, invalid("Invalid filter pattern: a quote isn't closed.")
			}
		} else {
			term, rest, _ = strings.Cut(rest, " ")
		}
		if term == "" {
			return nil, invalid("Invalid filter pattern: a term is empty.")
		}
		*list = append(*list, term)
	}
	if len(some) > 0 && len(all)+len(none) > 0 {
		return nil, invalid("Invalid filter pattern: ?terms can't be mixed with others.")
	}
	return func(message string) bool {
		return containsAll(message, all) && (len(some) == 0 || containsAny(message, some)) && !containsAny(message, none)
	}, nil
}

func containsAll(message string, terms []string) bool {
	for _, t := range terms {
		if !strings.Contains(message, t) {
			return false
		}
	}
	return true
}

func containsAny(message string, terms []string) bool {
	for _, t := range terms {
		if strings.Contains(message, t) {
			return true
		}
	}
	return false
}
