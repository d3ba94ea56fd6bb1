package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// FormXML makes a Handler of a query protocol's operation with a typed request
// and reply, as JSON does for the JSON protocol: a parameter that I doesn't have
// is an error. I's fields are strings, *int, *bool, string lists, structs,
// lists of structs and maps of strings, named as AWS names them (a tag
// `form:"name"` overrides the name); a list is sent as Name.member.1, a map as
// Name.entry.1.key and Name.entry.1.value, or, if its values are structs, as
// Name.entry.1.Name and Name.entry.1.Value.Member.
func FormXML[I, O any](f func(context.Context, *Request, *I) (*O, error)) Handler {
	return Form(func(ctx context.Context, r *Request, form url.Values) (any, error) {
		in := new(I)
		form.Del("Action")
		form.Del("Version")
		d := formDecoder{form: form}
		if err := d.decode("", reflect.ValueOf(in).Elem()); err != nil {
			return nil, err
		}
		if left := d.left(); len(left) > 0 {
			return nil, StatusErrorf(http.StatusNotImplemented, ErrUnsupportedMember,
				"The emulator does not support the member %q of %s:%s.", left[0], r.Service, r.Operation)
		}
		if r.TrailParams == nil {
			r.TrailParams, _ = trailForm(reflect.ValueOf(in).Elem()).(map[string]any)
		}
		out, err := f(ctx, r, in)
		if err != nil || out == nil {
			return nil, err
		}
		return out, nil
	})
}

// formDecoder takes parameters out of the form as it reads them.
type formDecoder struct{ form url.Values }

func (d formDecoder) left() []string {
	names := make([]string, 0, len(d.form))
	for name := range d.form {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (d formDecoder) has(prefix string) bool {
	for name := range d.form {
		if name == prefix || strings.HasPrefix(name, prefix+".") {
			return true
		}
	}
	return false
}

func (d formDecoder) decode(name string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			member := formName(v.Type().Field(i))
			if name != "" {
				member = name + "." + member
			}
			if err := d.decode(member, v.Field(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		delete(d.form, name) // an empty list is sent as Name=
		for i := 1; d.has(fmt.Sprintf("%s.member.%d", name, i)); i++ {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := d.decode(fmt.Sprintf("%s.member.%d", name, i), item); err != nil {
				return err
			}
			v.Set(reflect.Append(v, item))
		}
		return nil
	case reflect.Map:
		for i := 1; d.has(fmt.Sprintf("%s.entry.%d", name, i)); i++ {
			entry := fmt.Sprintf("%s.entry.%d", name, i)
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			if v.Type().Elem().Kind() == reflect.Struct {
				item := reflect.New(v.Type().Elem()).Elem()
				if err := d.decode(entry+".Value", item); err != nil {
					return err
				}
				v.SetMapIndex(reflect.ValueOf(d.form.Get(entry+".Name")), item)
				delete(d.form, entry+".Name")
				continue
			}
			v.SetMapIndex(reflect.ValueOf(d.form.Get(entry+".key")), reflect.ValueOf(d.form.Get(entry+".value")))
			delete(d.form, entry+".key")
			delete(d.form, entry+".value")
		}
		return nil
	case reflect.Pointer:
		if !d.form.Has(name) {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(name, v.Elem())
	}
	text := d.form.Get(name)
	delete(d.form, name)
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return Errorf("MalformedInput", "The parameter %s must be an integer.", name)
		}
		v.SetInt(int64(n))
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return Errorf("MalformedInput", "The parameter %s must be true or false.", name)
		}
		v.SetBool(b)
	default:
		return fmt.Errorf("decode form: no rule for %s", v.Type())
	}
	return nil
}

func formName(f reflect.StructField) string {
	if name := f.Tag.Get("form"); name != "" {
		return name
	}
	return f.Name
}

// trailForm shows a request as CloudTrail does: names begin with a small letter
// and what was not sent is not there.
func trailForm(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			f := v.Field(i)
			if f.IsZero() {
				continue
			}
			name := formName(v.Type().Field(i))
			r, size := utf8.DecodeRuneInString(name)
			out[string(unicode.ToLower(r))+name[size:]] = trailForm(f)
		}
		return out
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = trailForm(v.Index(i))
		}
		return list
	case reflect.Pointer:
		return trailForm(v.Elem())
	default:
		return v.Interface()
	}
}

// XMLTime is a timestamp in the query protocol's replies: ISO 8601 in UTC, to
// the second. A nil one is left out.
type XMLTime struct{ time.Time }

// NewXMLTime returns nil for a zero time.
func NewXMLTime(t time.Time) *XMLTime {
	if t.IsZero() {
		return nil
	}
	return &XMLTime{t}
}

// MarshalText implements encoding.TextMarshaler.
func (t XMLTime) MarshalText() ([]byte, error) {
	return []byte(t.UTC().Format(time.RFC3339)), nil
}
