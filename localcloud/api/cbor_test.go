package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/api"
)

type cborIn struct {
	Name   string
	Values []float64
	At     *api.Time
	Nested struct{ Count int }
}

// askCBOR sends a body to a handler that returns what it got.
func askCBOR(t testing.TB, body []byte, encoding string) (*cborIn, *api.Request, error) {
	h := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/service/X/operation/Do", nil)
	h.Header.Set("Content-Encoding", encoding)
	h.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	op, _ := api.CBORRPC{}.Route(h, nil)
	require.Equal(t, "Do", op)
	r := api.NewRequest(api.Request{HTTP: h, Service: "x", Operation: op, Body: body}, nil)
	var got *cborIn
	_, err := api.CBOR(func(_ context.Context, _ *api.Request, in *cborIn) (*struct{}, error) {
		got = in
		return nil, nil //nolint:nilnil // an operation without a result
	})(context.Background(), r)
	return got, r, err
}

func encode(t testing.TB, v any) []byte {
	body, err := cbor.Marshal(v)
	require.NoError(t, err)
	return body
}

func TestCBORReadsWhatSmithySends(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 500e6, time.UTC)
	body := encode(t, map[string]any{
		"Name": "n", "Values": []any{1, 2.5, float32(0.5)}, "At": cbor.Tag{Number: 1, Content: float64(at.UnixMilli()) / 1000},
		"Nested": map[string]any{"Count": 7}, "Absent": nil,
	})
	for _, encoding := range []string{"", "gzip"} {
		sent := body
		if encoding == "gzip" {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, err := z.Write(body)
			require.NoError(t, err)
			require.NoError(t, z.Close())
			sent = b.Bytes()
		}
		in, r, err := askCBOR(t, sent, encoding)
		require.NoError(t, err)
		require.Equal(t, "n", in.Name)
		require.Equal(t, []float64{1, 2.5, 0.5}, in.Values)
		require.True(t, in.At.Equal(at), in.At)
		require.Equal(t, 7, in.Nested.Count)
		require.JSONEq(t, `{"Name":"n","Values":[1,2.5,0.5],"At":1772366400.500,"Nested":{"Count":7}}`, string(r.Body), "what CloudTrail reads")
	}
}

func TestCBORRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		body           []byte
		encoding, code string
	}{
		"an unknown member": {encode(t, map[string]any{"Nested": map[string]any{"Other": 1}}), "", api.ErrUnsupportedMember},
		"another type":      {encode(t, map[string]any{"Name": 1}), "", "SerializationException"},
		"no number":         {encode(t, map[string]any{"Values": []float64{math.NaN()}}), "", "SerializationException"},
		"no CBOR":           {[]byte{0xff}, "", "SerializationException"},
		"no gzip":           {[]byte("plain"), "gzip", "SerializationException"},
	} {
		_, _, err := askCBOR(t, c.body, c.encoding)
		var e *api.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, c.code, e.Code, name)
	}
}

func TestJSONInstead(t *testing.T) {
	h := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	h.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801.Do")
	op, _ := api.CBORRPC{}.Route(h, nil)
	require.Equal(t, "Do", op)
	r := api.NewRequest(api.Request{HTTP: h, Service: "x", Operation: op, Body: []byte(`{"Name":"n","At":1772366400.5}`)}, nil)
	_, err := api.CBOR(func(_ context.Context, _ *api.Request, in *cborIn) (*struct{}, error) {
		require.Equal(t, "n", in.Name)
		require.Equal(t, int64(1772366400500), in.At.UnixMilli())
		return nil, nil //nolint:nilnil // an operation without a result
	})(t.Context(), r)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	e := api.Errorf("InvalidParameterValueException", "no")
	e.Fields = map[string]any{api.QueryCode: "InvalidParameterValue"}
	api.CBORRPC{}.WriteError(w, r, e)
	require.Equal(t, "InvalidParameterValue;Sender", w.Header().Get("X-Amzn-Query-Error"))
	require.JSONEq(t, `{"__type":"InvalidParameterValueException","message":"no"}`, w.Body.String())
}

func TestCBORWrites(t *testing.T) {
	w := httptest.NewRecorder()
	_, r, err := askCBOR(t, encode(t, map[string]any{}), "")
	require.NoError(t, err)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	require.NoError(t, api.CBORRPC{}.Write(w, r, http.StatusOK, &struct {
		At    *api.Time
		Empty string `json:",omitempty"`
	}{At: api.NewTime(at)}))
	require.Equal(t, "rpc-v2-cbor", w.Header().Get("Smithy-Protocol"))
	var out map[string]cbor.RawMessage
	require.NoError(t, cbor.Unmarshal(w.Body.Bytes(), &out))
	require.Len(t, out, 1)
	require.Equal(t, byte(0xc1), out["At"][0], "a time has tag 1")

	w = httptest.NewRecorder()
	e := api.StatusErrorf(http.StatusNotFound, "DashboardNotFoundError", "none")
	e.Fields = map[string]any{api.QueryCode: "ResourceNotFound"}
	api.CBORRPC{}.WriteError(w, r, e)
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Equal(t, "ResourceNotFound;Sender", w.Header().Get("X-Amzn-Query-Error"))
	var body map[string]string
	require.NoError(t, cbor.Unmarshal(w.Body.Bytes(), &body))
	require.Equal(t, map[string]string{"__type": "DashboardNotFoundError", "message": "none"}, body)
}

// FuzzCBOR looks for bodies that crash the decoder.
func FuzzCBOR(f *testing.F) {
	f.Add(encode(f, map[string]any{"Name": "n", "Values": []any{1, 2.5}}))
	f.Add([]byte{0xa1, 0xa0, 0x01}) // a map as the key of a map
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, err := askCBOR(t, body, "")
		var e *api.Error
		if err != nil {
			require.ErrorAs(t, err, &e)
		}
	})
}
