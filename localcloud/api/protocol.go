package api

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Protocol is one of AWS's wire protocols.
type Protocol interface {
	// Route tells which operation a call is, "" when it is none that the
	// protocol can name, and the variables of its path.
	Route(r *http.Request, body []byte) (operation string, path map[string]string)
	Write(w http.ResponseWriter, r *Request, status int, out any) error
	WriteError(w http.ResponseWriter, r *Request, err *Error)
}

// JSONRPC is AWS's JSON protocol: the operation in X-Amz-Target.
type JSONRPC struct {
	// Version is "1.0" or "1.1".
	Version string
}

// Route implements Protocol.
func (p JSONRPC) Route(r *http.Request, _ []byte) (string, map[string]string) {
	target := r.Header.Get("X-Amz-Target")
	return target[strings.LastIndex(target, ".")+1:], nil
}

// Write implements Protocol.
func (p JSONRPC) Write(w http.ResponseWriter, _ *Request, status int, out any) error {
	return writeJSON(w, "application/x-amz-json-"+p.Version, status, out)
}

// WriteError implements Protocol.
func (p JSONRPC) WriteError(w http.ResponseWriter, _ *Request, err *Error) {
	writeJSONError(w, "application/x-amz-json-"+p.Version, err)
}

func writeJSON(w http.ResponseWriter, contentType string, status int, out any) error {
	w.Header().Set("Content-Type", contentType)
	if out == nil {
		w.WriteHeader(status)
		if status != http.StatusNoContent && status != http.StatusAccepted {
			_, err := io.WriteString(w, "{}")
			return err
		}
		return nil
	}
	body, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode reply: %w", err)
	}
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

func writeJSONError(w http.ResponseWriter, contentType string, err *Error) {
	body := map[string]any{"__type": err.Code, "message": err.Message}
	for k, v := range err.Fields {
		body[k] = v
	}
	w.Header().Set("X-Amzn-ErrorType", err.Code)
	_ = writeJSON(w, contentType, err.Status, body)
}

// JSON makes a Handler of a function with a typed request and reply. A member
// that I doesn't have is an error, not ignored: nobody shall believe that the
// emulator did something it doesn't know.
func JSON[I, O any](f func(context.Context, *Request, *I) (*O, error)) Handler {
	return func(ctx context.Context, r *Request) (any, error) {
		in := new(I)
		if len(bytes.TrimSpace(r.Body)) > 0 {
			d := json.NewDecoder(bytes.NewReader(r.Body))
			d.DisallowUnknownFields()
			if err := d.Decode(in); err != nil {
				return nil, decodeError(r, err)
			}
		}
		out, err := f(ctx, r, in)
		if err != nil || out == nil {
			return nil, err
		}
		return out, nil
	}
}

// ErrUnsupportedMember is the code of a call with a member that the emulator
// doesn't know.
const ErrUnsupportedMember = "LocalCloudUnsupportedMember"

func decodeError(r *Request, err error) error {
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return StatusErrorf(http.StatusNotImplemented, ErrUnsupportedMember,
			"The emulator does not support the member %s of %s:%s.", field, r.Service, r.Operation)
	}
	var typeErr *json.UnmarshalTypeError
	if errors.As(err, &typeErr) {
		return Errorf("SerializationException", "The member %s can't be a JSON %s.", typeErr.Field, typeErr.Value)
	}
	// Not err's text: it can quote the body.
	return Errorf("SerializationException", "The request body is not valid JSON.")
}

// Time is a timestamp in AWS's JSON protocols: seconds since 1970 with a
// fraction.
type Time struct{ time.Time }

// NewTime returns nil for a zero time, so that the member is left out.
func NewTime(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// MarshalJSON implements json.Marshaler, to the millisecond.
func (t Time) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t.UnixMilli())/1000, 'f', 3, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	sec, frac := math.Modf(f)
	t.Time = time.Unix(int64(sec), int64(math.Round(frac*1e6))*1000).UTC()
	return nil
}

// Query is AWS's query protocol: a form goes in, XML comes out.
type Query struct {
	// Namespace is the XML namespace of the replies.
	Namespace string
}

// Route implements Protocol.
func (p Query) Route(_ *http.Request, body []byte) (string, map[string]string) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", nil
	}
	return form.Get("Action"), nil
}

// Write implements Protocol.
func (p Query) Write(w http.ResponseWriter, r *Request, status int, out any) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<%sResponse xmlns=%q>`, r.Operation, p.Namespace)
	if out != nil {
		start := xml.StartElement{Name: xml.Name{Local: r.Operation + "Result"}}
		if err := xml.NewEncoder(&b).EncodeElement(out, start); err != nil {
			return fmt.Errorf("encode reply: %w", err)
		}
	}
	fmt.Fprintf(&b, `<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>`, r.ID, r.Operation)
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

// WriteError implements Protocol.
func (p Query) WriteError(w http.ResponseWriter, r *Request, err *Error) {
	fault := "Sender"
	if err.Status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	var msg bytes.Buffer
	_ = xml.EscapeText(&msg, []byte(err.Message))
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(err.Status)
	fmt.Fprintf(w, `<ErrorResponse xmlns=%q><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
		p.Namespace, fault, err.Code, msg.String(), r.ID)
}

// Form makes a Handler of a function that reads a form.
func Form(f func(ctx context.Context, r *Request, form url.Values) (any, error)) Handler {
	return func(ctx context.Context, r *Request) (any, error) {
		form, err := url.ParseQuery(string(r.Body))
		if err != nil {
			return nil, Errorf("MalformedQueryString", "The request body is not a valid form.")
		}
		return f(ctx, r, form)
	}
}

// REST is AWS's REST-JSON protocol: the operation is in method and path.
type REST struct {
	Routes []Route
}

// Route is one operation of a REST service. In the path, {name} is one segment
// and {name+} is all the rest.
type Route struct {
	Method, Path, Operation string
}

// Route implements Protocol.
func (p REST) Route(r *http.Request, _ []byte) (string, map[string]string) {
	segments := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for _, route := range p.Routes {
		if route.Method != r.Method {
			continue
		}
		if vars, ok := matchPath(strings.Split(strings.Trim(route.Path, "/"), "/"), segments); ok {
			return route.Operation, vars
		}
	}
	return "", nil
}

func matchPath(pattern, segments []string) (map[string]string, bool) {
	vars := map[string]string{}
	for i, p := range pattern {
		name, isVar := strings.CutPrefix(p, "{")
		name, rest := strings.CutSuffix(strings.TrimSuffix(name, "}"), "+")
		if i >= len(segments) {
			return nil, false
		}
		s := segments[i]
		if isVar && rest {
			s = strings.Join(segments[i:], "/")
		}
		value, err := url.PathUnescape(s)
		if err != nil {
			return nil, false
		}
		switch {
		case isVar && value == "":
			return nil, false
		case isVar:
			vars[name] = value
		case p != value:
			return nil, false
		}
		if rest {
			return vars, true
		}
	}
	return vars, len(pattern) == len(segments)
}

// Write implements Protocol.
func (p REST) Write(w http.ResponseWriter, _ *Request, status int, out any) error {
	return writeJSON(w, "application/json", status, out)
}

// WriteError implements Protocol.
func (p REST) WriteError(w http.ResponseWriter, _ *Request, err *Error) {
	writeJSONError(w, "application/json", err)
}
