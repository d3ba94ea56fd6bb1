package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// CBORRPC is Smithy's RPC v2 protocol with CBOR bodies, which CloudWatch speaks:
// the operation is the last segment of the path. A client that can't, such as
// version 1 of the aws CLI, speaks the JSON protocol instead.
// https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
type CBORRPC struct{}

var jsonInstead = JSONRPC{Version: "1.0"}

func speaksCBOR(r *http.Request) bool { return r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor" }

// Route implements Protocol.
func (p CBORRPC) Route(r *http.Request, body []byte) (string, map[string]string) {
	if !speaksCBOR(r) {
		return jsonInstead.Route(r, body)
	}
	_, operation, _ := strings.Cut(r.URL.Path, "/operation/")
	return operation, nil
}

// Write implements Protocol.
func (p CBORRPC) Write(w http.ResponseWriter, r *Request, status int, out any) error {
	if !speaksCBOR(r.HTTP) {
		return jsonInstead.Write(w, r, status, out)
	}
	if out == nil {
		out = struct{}{}
	}
	body, err := encodeCBOR(out)
	if err != nil {
		return fmt.Errorf("encode reply: %w", err)
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.WriteHeader(status)
	_, err = w.Write(body)
	return err
}

// WriteError implements Protocol. Services that once spoke the query protocol
// (Smithy's awsQueryCompatible) have a second code for it: see QueryCode.
func (p CBORRPC) WriteError(w http.ResponseWriter, r *Request, err *Error) {
	body := map[string]any{"__type": err.Code, "message": err.Message}
	for k, v := range err.Fields {
		body[k] = v
	}
	if code, ok := body[QueryCode]; ok {
		fault := "Sender"
		if err.Status >= http.StatusInternalServerError {
			fault = "Receiver"
		}
		w.Header().Set("X-Amzn-Query-Error", fmt.Sprintf("%s;%s", code, fault))
		delete(body, QueryCode)
	}
	_ = p.Write(w, r, err.Status, body)
}

// QueryCode is the field of an Error that CBORRPC sends as the query protocol's
// code instead of as a member.
const QueryCode = "queryCode"

// CBOR makes a Handler of a function with a typed request and reply, as JSON
// does for the JSON protocols and with its rules. The body is turned into JSON
// first, so that CloudTrail and everything else read it like any other.
func CBOR[I, O any](f func(context.Context, *Request, *I) (*O, error)) Handler {
	handler := JSON(f)
	return func(ctx context.Context, r *Request) (any, error) {
		body, err := plainBody(r)
		if err != nil {
			return nil, err
		}
		if len(body) > 0 && speaksCBOR(r.HTTP) {
			if body, err = jsonOfCBOR(body); err != nil {
				return nil, err
			}
		}
		r.Body = body
		return handler(ctx, r)
	}
}

// plainBody undoes the compression that Smithy lets clients use for long
// requests: https://smithy.io/2.0/spec/behavior-traits.html#requestcompression-trait
func plainBody(r *Request) ([]byte, error) {
	if r.HTTP.Header.Get("Content-Encoding") != "gzip" {
		return r.Body, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(r.Body))
	if err != nil {
		return nil, Errorf("SerializationException", "The request body is not valid gzip.")
	}
	const limit = 16 << 20
	body, err := io.ReadAll(io.LimitReader(z, limit+1))
	if err != nil || len(body) > limit {
		return nil, Errorf("SerializationException", "The request body is not valid gzip, or longer than %d bytes.", limit)
	}
	return body, nil
}

func jsonOfCBOR(body []byte) ([]byte, error) {
	mode, err := cbor.DecOptions{DefaultMapType: reflect.TypeFor[map[string]any]()}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("read CBOR: %w", err)
	}
	var in any
	if err := mode.Unmarshal(body, &in); err != nil {
		return nil, Errorf("SerializationException", "The request body is not valid CBOR.")
	}
	text, err := json.Marshal(jsonValue(in))
	var unsupported *json.UnsupportedValueError
	if errors.As(err, &unsupported) { // NaN and the infinities
		return nil, Errorf("SerializationException", "The request body has a number that is none: %s.", unsupported.Str)
	}
	return text, err
}

// jsonValue turns CBOR's times into those of AWS's JSON.
func jsonValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if item == nil {
				delete(v, k)
				continue
			}
			v[k] = jsonValue(item)
		}
	case []any:
		for i, item := range v {
			v[i] = jsonValue(item)
		}
	case time.Time:
		return Time{v}
	}
	return v
}

func encodeCBOR(v any) ([]byte, error) {
	mode, err := cbor.EncOptions{Time: cbor.TimeUnixDynamic, TimeTag: cbor.EncTagRequired}.EncMode()
	if err != nil {
		return nil, err
	}
	return mode.Marshal(v)
}

// MarshalCBOR implements cbor.Marshaler: tag 1, seconds since 1970.
func (t Time) MarshalCBOR() ([]byte, error) { return encodeCBOR(t.Truncate(time.Millisecond)) }
