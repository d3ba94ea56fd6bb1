package dynamodb

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

// value is an attribute value in DynamoDB's JSON: exactly one member is set.
type value struct {
	S    *string          `json:",omitempty"`
	N    *string          `json:",omitempty"`
	B    []byte           `json:",omitempty"`
	BOOL *bool            `json:",omitempty"`
	NULL *bool            `json:",omitempty"`
	M    map[string]value `json:",omitempty"`
	L    []value          `json:",omitempty"`
	SS   []string         `json:",omitempty"`
	NS   []string         `json:",omitempty"`
	BS   [][]byte         `json:",omitempty"`
}

type item map[string]value

// kind is the type descriptor, "" for a value that has none.
func (v value) kind() string {
	switch {
	case v.S != nil:
		return "S"
	case v.N != nil:
		return "N"
	case v.B != nil:
		return "B"
	case v.BOOL != nil:
		return "BOOL"
	case v.NULL != nil:
		return "NULL"
	case v.M != nil:
		return "M"
	case v.L != nil:
		return "L"
	case v.SS != nil:
		return "SS"
	case v.NS != nil:
		return "NS"
	case v.BS != nil:
		return "BS"
	}
	return ""
}

func number(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return new(big.Rat)
	}
	return r
}

func numeric(r *big.Rat) value {
	s := r.RatString()
	if !r.IsInt() {
		s = strings.TrimRight(strings.TrimRight(r.FloatString(38), "0"), ".")
	}
	return value{N: &s}
}

// compare orders two values of one scalar type; ok is false for others.
func compare(a, b value) (order int, ok bool) {
	switch {
	case a.S != nil && b.S != nil:
		return cmp.Compare(*a.S, *b.S), true
	case a.N != nil && b.N != nil:
		return number(*a.N).Cmp(number(*b.N)), true
	case a.B != nil && b.B != nil:
		return bytes.Compare(a.B, b.B), true
	}
	return 0, false
}

func equal(a, b value) bool {
	if order, ok := compare(a, b); ok {
		return order == 0
	}
	return reflect.DeepEqual(a, b)
}

// contains is the function of that name: a part of a text, a member of a set
// or list.
func contains(v, part value) bool {
	switch {
	case v.S != nil && part.S != nil:
		return strings.Contains(*v.S, *part.S)
	case v.B != nil && part.B != nil:
		return bytes.Contains(v.B, part.B)
	case v.SS != nil && part.S != nil:
		return slices.Contains(v.SS, *part.S)
	case v.NS != nil && part.N != nil:
		return slices.ContainsFunc(v.NS, func(n string) bool { return number(n).Cmp(number(*part.N)) == 0 })
	case v.L != nil:
		return slices.ContainsFunc(v.L, func(x value) bool { return equal(x, part) })
	}
	return false
}

// size is the function of that name.
func (v value) size() int {
	switch v.kind() {
	case "S":
		return len([]rune(*v.S))
	case "B":
		return len(v.B)
	case "M":
		return len(v.M)
	case "L":
		return len(v.L)
	case "SS":
		return len(v.SS)
	case "NS":
		return len(v.NS)
	case "BS":
		return len(v.BS)
	}
	return 0
}

// MarshalJSON writes the one member that is set, empty lists and maps too.
func (v value) MarshalJSON() ([]byte, error) {
	kind := v.kind()
	if kind == "" {
		return []byte("{}"), nil
	}
	member := reflect.ValueOf(v).FieldByName(kind).Interface()
	return json.Marshal(map[string]any{kind: member})
}
