package iam

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// narrowing are the condition keys that tie everybody down to somebody when
// their values have no wildcards.
var narrowing = []string{
	"aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths",
	"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourcevpc", "aws:sourcevpce",
	"aws:userid", "aws:username", "kms:calleraccount",
}

// Public reports whether a well-formed policy lets everybody in: a statement
// that allows the principal * and no condition that says whom exactly.
func Public(text string) bool {
	var doc struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(text), &doc) != nil {
		return true
	}
	type statement struct {
		Effect       string
		Principal    json.RawMessage
		NotPrincipal json.RawMessage
		Condition    map[string]map[string]json.RawMessage
	}
	var list []statement
	for _, raw := range listOf(doc.Statement) {
		var st statement
		if json.Unmarshal(raw, &st) != nil {
			return true
		}
		list = append(list, st)
	}
	return slices.ContainsFunc(list, func(st statement) bool {
		return st.Effect == "Allow" && (st.NotPrincipal != nil || isEverybody(st.Principal)) && !isNarrow(st.Condition)
	})
}

func isEverybody(principal json.RawMessage) bool {
	var kinds map[string]json.RawMessage
	if json.Unmarshal(principal, &kinds) != nil {
		return slices.Contains(textsOf(principal), "*")
	}
	for _, names := range kinds {
		if slices.Contains(textsOf(names), "*") {
			return true
		}
	}
	return false
}

// isNarrow: operators of negation and IfExists tie nobody down.
func isNarrow(condition map[string]map[string]json.RawMessage) bool {
	for operator, keys := range condition {
		operator = strings.ToLower(operator)
		if strings.Contains(operator, "not") || strings.HasSuffix(operator, "ifexists") || strings.HasPrefix(operator, "null") {
			continue
		}
		for key, values := range keys {
			fixed := !slices.ContainsFunc(textsOf(values), func(v string) bool { return strings.ContainsAny(v, "*?") })
			if slices.Contains(narrowing, strings.ToLower(key)) && fixed {
				return true
			}
		}
	}
	return false
}

// listOf takes apart a JSON list, or makes one of a single value.
func listOf(raw json.RawMessage) []json.RawMessage {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return []json.RawMessage{raw}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return list
}

func textsOf(raw json.RawMessage) []string {
	var texts []string
	for _, item := range listOf(raw) {
		var s string
		if json.Unmarshal(item, &s) == nil {
			texts = append(texts, s)
		}
	}
	return texts
}
