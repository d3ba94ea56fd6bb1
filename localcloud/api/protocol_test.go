package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/aistudio/secrets/localcloud/api"
)

func TestRESTRoutes(t *testing.T) {
	p := api.REST{Routes: []api.Route{
		{Method: "GET", Path: "/functions", Operation: "List"},
		{Method: "GET", Path: "/functions/{name}", Operation: "Get"},
		{Method: "POST", Path: "/functions/{name}/versions", Operation: "Publish"},
		{Method: "GET", Path: "/tags/{arn+}", Operation: "ListTags"},
	}}
	for _, c := range []struct {
		method, path, op string
		vars             map[string]string
	}{
		{"GET", "/functions", "List", map[string]string{}},
		{"GET", "/functions/", "List", map[string]string{}},
		{"GET", "/functions/f", "Get", map[string]string{"name": "f"}},
		{"GET", "/functions/arn%3Aaws%3Alambda%2Fx", "Get", map[string]string{"name": "arn:aws:lambda/x"}},
		{"POST", "/functions/f/versions", "Publish", map[string]string{"name": "f"}},
		{"GET", "/tags/arn:aws:lambda:x/y/z", "ListTags", map[string]string{"arn": "arn:aws:lambda:x/y/z"}},
		{"DELETE", "/functions/f", "", nil},
		{"GET", "/functions/f/aliases", "", nil},
		{"GET", "/", "", nil},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(""))
		op, vars := p.Route(r, nil)
		require.Equal(t, c.op, op, c.path)
		if c.vars != nil {
			require.Equal(t, c.vars, vars, c.path)
		}
	}
}

func TestJSONErrorsHaveTheirFields(t *testing.T) {
	w := httptest.NewRecorder()
	e := api.Errorf("InvalidRequestException", "no %s", "way")
	e.Fields = map[string]any{"Reason": "because"}
	api.JSONRPC{Version: "1.1"}.WriteError(w, &api.Request{}, e)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "InvalidRequestException", w.Header().Get("X-Amzn-ErrorType"))
	require.Equal(t, "application/x-amz-json-1.1", w.Header().Get("Content-Type"))
	require.JSONEq(t, `{"__type":"InvalidRequestException","message":"no way","Reason":"because"}`, w.Body.String())
}

func TestTimesKeepTheirMilliseconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "time")).UTC()
		text, err := json.Marshal(api.NewTime(at))
		require.NoError(t, err)
		var back api.Time
		require.NoError(t, json.Unmarshal(text, &back))
		require.True(t, back.Equal(at), "%s %s", at, back)
	})
	require.Nil(t, api.NewTime(time.Time{}))
	require.Error(t, json.Unmarshal([]byte(`"soon"`), &api.Time{}))
}
