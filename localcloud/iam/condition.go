package iam

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Context holds what is known about a call, by condition key. Names are kept in
// lower case, because policies name them without regard to case.
type Context map[string][]string

// Set sets a key; without values it is there and empty.
func (c Context) Set(key string, values ...string) { c[strings.ToLower(key)] = values }

// condition is one operator and key with the values that it is compared to.
type condition struct {
	operator operator
	set      string // "", forAll or forAny
	ifExists bool
	key      string // in lower case
	values   []pattern
}

const (
	forAll = "ForAllValues:"
	forAny = "ForAnyValue:"
)

// operator is a condition operator without its prefix and suffix.
type operator struct {
	// matches compares a value of the context with one of the policy; nil for
	// Null.
	matches func(have string, want glob) bool
	// negated operators hold when no value matches.
	negated bool
	// valid checks a value of the policy that has no variables.
	valid func(string) bool
}

// operators are those of "IAM JSON policy elements: Condition operators".
var operators = map[string]operator{
	"StringEquals":              {matches: equals},
	"StringNotEquals":           {matches: equals, negated: true},
	"StringEqualsIgnoreCase":    {matches: equalsFold},
	"StringNotEqualsIgnoreCase": {matches: equalsFold, negated: true},
	"StringLike":                {matches: like},
	"StringNotLike":             {matches: like, negated: true},
	"NumericEquals":             numeric(func(c int) bool { return c == 0 }, false),
	"NumericNotEquals":          numeric(func(c int) bool { return c == 0 }, true),
	"NumericLessThan":           numeric(func(c int) bool { return c < 0 }, false),
	"NumericLessThanEquals":     numeric(func(c int) bool { return c <= 0 }, false),
	"NumericGreaterThan":        numeric(func(c int) bool { return c > 0 }, false),
	"NumericGreaterThanEquals":  numeric(func(c int) bool { return c >= 0 }, false),
	"DateEquals":                date(func(c int) bool { return c == 0 }, false),
	"DateNotEquals":             date(func(c int) bool { return c == 0 }, true),
	"DateLessThan":              date(func(c int) bool { return c < 0 }, false),
	"DateLessThanEquals":        date(func(c int) bool { return c <= 0 }, false),
	"DateGreaterThan":           date(func(c int) bool { return c > 0 }, false),
	"DateGreaterThanEquals":     date(func(c int) bool { return c >= 0 }, false),
	"Bool":                      {matches: equalsFold, valid: isBool},
	"BinaryEquals":              {matches: binaryEquals, valid: isBase64},
	"IpAddress":                 {matches: inNetwork, valid: isNetwork},
	"NotIpAddress":              {matches: inNetwork, negated: true, valid: isNetwork},
	"ArnEquals":                 {matches: likeARN},
	"ArnLike":                   {matches: likeARN},
	"ArnNotEquals":              {matches: likeARN, negated: true},
	"ArnNotLike":                {matches: likeARN, negated: true},
	"Null":                      {valid: isBool},
}

func parseConditions(version string, raw json.RawMessage) ([]condition, error) {
	blocks, err := object(raw)
	if err != nil {
		return nil, err
	}
	var list []condition
	for _, block := range blocks {
		base, err := parseOperator(block.name)
		if err != nil {
			return nil, err
		}
		keys, err := object(block.value)
		if err != nil {
			return nil, err
		}
		for _, m := range keys {
			c := base
			if c.key = strings.ToLower(m.name); !strings.Contains(c.key, ":") {
				return nil, fmt.Errorf("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
			}
			if c.values, err = c.parseValues(version, m); err != nil {
				return nil, err
			}
			list = append(list, c)
		}
	}
	return list, nil
}

func parseOperator(name string) (condition, error) {
	var c condition
	rest := name
	for _, set := range []string{forAll, forAny} {
		if s, ok := strings.CutPrefix(rest, set); ok {
			rest, c.set = s, set
		}
	}
	rest, c.ifExists = strings.CutSuffix(rest, "IfExists")
	var ok bool
	if c.operator, ok = operators[rest]; !ok {
		return c, syntaxError("unknown condition operator %q", name)
	}
	if c.operator.matches == nil && (c.ifExists || c.set != "") {
		return c, syntaxError("Null takes neither ForAllValues, ForAnyValue nor IfExists")
	}
	return c, nil
}

// parseValues reads strings, numbers and booleans; AWS takes all three.
func (c condition) parseValues(version string, m member) ([]pattern, error) {
	list, err := oneOrMore(m.value)
	if err != nil {
		return nil, syntaxError("the value of %s is not valid", m.name)
	}
	values := make([]pattern, 0, len(list))
	for _, raw := range list {
		var v any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			return nil, syntaxError("the value of %s is not valid", m.name)
		}
		switch v.(type) {
		case string, bool, json.Number:
		default:
			return nil, syntaxError("the value of %s must be a string, number or boolean", m.name)
		}
		s := fmt.Sprint(v)
		p, err := parsePattern(s, version == version2012)
		if err != nil {
			return nil, err
		}
		if c.operator.valid != nil && !strings.Contains(s, "${") && !c.operator.valid(s) {
			return nil, syntaxError("the value %q of %s does not fit the condition operator", s, m.name)
		}
		values = append(values, p)
	}
	return values, nil
}

// holds decides a condition, by "Multivalued context keys" for the set
// operators and "…IfExists condition operators" for absent keys.
func (c condition) holds(ctx Context) bool {
	have, exists := ctx[c.key]
	exists = exists && len(have) > 0
	if c.operator.matches == nil {
		return c.holdsNull(exists, ctx)
	}
	if !exists {
		return c.ifExists || c.set == forAll || (c.operator.negated && c.set == "")
	}
	wants := make([]glob, 0, len(c.values))
	for _, v := range c.values {
		if g, ok := v.expand(ctx); ok {
			wants = append(wants, g)
		}
	}
	one := func(value string) bool {
		for _, want := range wants {
			if c.operator.matches(value, want) {
				return !c.operator.negated
			}
		}
		return c.operator.negated
	}
	// A negated operator without a set operator holds when no value matches.
	every := c.set == forAll || (c.set == "" && c.operator.negated)
	for _, value := range have {
		if one(value) != every {
			return !every
		}
	}
	return every
}

func (c condition) holdsNull(exists bool, ctx Context) bool {
	for _, v := range c.values {
		want, ok := v.expand(ctx)
		if ok && strings.EqualFold(want.String(), strconv.FormatBool(!exists)) {
			return true
		}
	}
	return false
}

func equals(have string, want glob) bool     { return have == want.String() }
func equalsFold(have string, want glob) bool { return strings.EqualFold(have, want.String()) }
func like(have string, want glob) bool       { return want.matches(have) }
func likeARN(have string, want glob) bool    { return want.matchesARN(have) }

func isBool(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") }

func numeric(holds func(int) bool, negated bool) operator {
	return operator{
		matches: func(have string, want glob) bool {
			a, errA := strconv.ParseFloat(have, 64)
			b, errB := strconv.ParseFloat(want.String(), 64)
			return errA == nil && errB == nil && holds(compareFloat(a, b))
		},
		negated: negated,
		valid: func(s string) bool {
			_, err := strconv.ParseFloat(s, 64)
			return err == nil
		},
	}
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func date(holds func(int) bool, negated bool) operator {
	return operator{
		matches: func(have string, want glob) bool {
			a, okA := parseDate(have)
			b, okB := parseDate(want.String())
			return okA && okB && holds(a.Compare(b))
		},
		negated: negated,
		valid: func(s string) bool {
			_, ok := parseDate(s)
			return ok
		},
	}
}

// parseDate reads the W3C's forms of ISO 8601 and seconds since 1970.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(seconds, 0), err == nil
}

func binaryEquals(have string, want glob) bool {
	a, errA := base64.StdEncoding.DecodeString(have)
	b, errB := base64.StdEncoding.DecodeString(want.String())
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func isBase64(s string) bool {
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil
}

func inNetwork(have string, want glob) bool {
	address, err := netip.ParseAddr(have)
	if err != nil {
		return false
	}
	network, ok := parseNetwork(want.String())
	return ok && network.Contains(address.Unmap())
}

func isNetwork(s string) bool {
	_, ok := parseNetwork(s)
	return ok
}

// parseNetwork reads CIDR notation; a lone address is a network of one.
func parseNetwork(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}
