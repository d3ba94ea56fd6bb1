package classify

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// objectIn returns the members of a JSON object, those of objects in it under
// their own names.
func objectIn(value string) (map[string]string, bool) {
	if !strings.HasPrefix(strings.TrimSpace(value), "{") {
		return nil, false
	}
	var object map[string]any
	if json.Unmarshal([]byte(value), &object) != nil {
		return nil, false
	}
	members := map[string]string{}
	flatten(object, members)
	return members, true
}

func flatten(object map[string]any, into map[string]string) {
	for key, value := range object {
		switch value := value.(type) {
		case map[string]any:
			flatten(value, into)
		case string:
			into[key] = value
		default:
			// Numbers, switches and lists aren't secrets.
		}
	}
}

// pair is one of a list as the headers of an exporter or the fields of a form
// are: api-key=…,team=shop.
var pair = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_.-]{0,40})=([^=].*)$`)

// pairsIn returns the pairs of a value that is nothing but pairs.
func pairsIn(value string) (map[string]string, bool) {
	members := map[string]string{}
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(",;& \n", r) }) {
		match := pair.FindStringSubmatch(part)
		if match == nil {
			return nil, false
		}
		members[match[1]] = match[2]
	}
	return members, len(members) > 0
}

// judgeObject takes an object for a secret if one of its members is one, by the
// member's own name or, where that says nothing, by the object's.
func judgeObject(n name, members map[string]string) Verdict {
	if v := judgeMembers(n, members, "member"); v.Secret {
		return v
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if randomness(members[key]) < somewhatRandom {
			continue
		}
		if v := judge(n, members[key]); v.Secret {
			v.Reasons = append([]string{told("member", key) + " is a secret by the object's name"}, v.Reasons...)
			return v
		}
	}
	return notSecret(0.9, "a JSON object without a secret member")
}

// told names a member for people, if its key can't be a part of a secret: a token may
// have an equals sign in it, and be a key of an object itself.
func told(what, key string) string {
	if what == "pair" || strings.ContainsAny(key, "0123456789") || randomness(key) >= somewhatRandom {
		return "one of its " + what + "s"
	}
	return "its " + what + " " + quoted(key)
}

func judgeMembers(n name, members map[string]string, what string) Verdict {
	var found Verdict
	for _, key := range slices.Sorted(maps.Keys(members)) {
		v := judge(parseName(key), members[key])
		if v.Secret && v.Confidence > found.Confidence {
			found = v
			found.Reasons = append([]string{told(what, key) + " is a secret"}, v.Reasons...)
		}
	}
	if !found.Secret {
		return found
	}
	if keys := parseName(strings.Join(slices.Sorted(maps.Keys(members)), " ")); keys.has("engine", "host", "dbname", "database") && keys.has("password") {
		found.Kind = "database"
	} else if kind := kindOf(n, ""); kind != "custom" {
		found.Kind = kind
	}
	return found
}
