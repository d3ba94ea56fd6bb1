package localcloud_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud"
)

// control calls the control API as a program in another language would.
func control(t *testing.T, cloud *localcloud.Cloud, method, path, body string) (int, any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, cloud.URL()+"/_localcloud/"+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var out any
	if json.Unmarshal(text, &out) != nil {
		return resp.StatusCode, string(text)
	}
	return resp.StatusCode, out
}

func TestControlHealthAndClock(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	cloud := newCloud(t, localcloud.WithStart(start))
	status, out := control(t, cloud, "GET", "health", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ok", out.(map[string]any)["status"])
	require.Equal(t, "123456789012", out.(map[string]any)["account"])

	fired := false
	cloud.Clock().AfterFunc(100*time.Hour, func() { fired = true })
	status, out = control(t, cloud, "POST", "clock", `{"advance":"720h"}`)
	require.Equal(t, http.StatusOK, status)
	now, err := time.Parse(time.RFC3339, out.(map[string]any)["time"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, start.Add(720*time.Hour), now, time.Minute)
	require.True(t, fired, "it waits for what happens on the way")
	status, out = control(t, cloud, "GET", "clock", "")
	require.Equal(t, http.StatusOK, status)
	require.NotEmpty(t, out.(map[string]any)["time"])
	status, _ = control(t, cloud, "POST", "settle", "")
	require.Equal(t, http.StatusOK, status)
}

func TestControlFaultsAndUnsupported(t *testing.T) {
	cloud := newCloud(t)
	status, out := control(t, cloud, "POST", "faults", `{"kind":"error","service":"iam","operation":"ListRoles","code":"ServiceFailure","status":418}`)
	require.Equal(t, http.StatusCreated, status)
	require.Len(t, out, 1)
	_, err := iam.NewFromConfig(cloud.Config("us-east-1")).ListRoles(t.Context(), &iam.ListRolesInput{})
	require.ErrorContains(t, err, "ServiceFailure")
	_, out = control(t, cloud, "GET", "faults", "")
	require.Equal(t, "ServiceFailure", out.([]any)[0].(map[string]any)["code"])
	status, out = control(t, cloud, "DELETE", "faults", "")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, out)
	_, err = iam.NewFromConfig(cloud.Config("us-east-1")).ListRoles(t.Context(), &iam.ListRolesInput{})
	require.NoError(t, err)

	_, err = iam.NewFromConfig(cloud.Config("us-east-1")).ListGroups(t.Context(), &iam.ListGroupsInput{})
	require.Error(t, err)
	_, out = control(t, cloud, "GET", "unsupported", "")
	require.Equal(t, map[string]any{"iam:ListGroups": 1.0}, out)
	status, _ = control(t, cloud, "POST", "reset", "")
	require.Equal(t, http.StatusOK, status)
	_, out = control(t, cloud, "GET", "unsupported", "")
	require.Empty(t, out)
}

func TestControlRefusesWhatItDoesNotKnow(t *testing.T) {
	cloud := newCloud(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "clock", `{"advance":"tomorrow"}`, http.StatusBadRequest},
		{"POST", "clock", `{"advance":"-1h"}`, http.StatusBadRequest},
		{"POST", "clock", `{"forward":"1h"}`, http.StatusBadRequest},
		{"POST", "clock", `{`, http.StatusBadRequest},
		{"POST", "faults", `{"kind":"flood"}`, http.StatusBadRequest},
		{"POST", "faults", `{"kind":"throttle","colour":"red"}`, http.StatusBadRequest},
		{"DELETE", "clock", "", http.StatusMethodNotAllowed},
		{"GET", "nothing", "", http.StatusNotFound},
	} {
		status, out := control(t, cloud, c.method, c.path, c.body)
		require.Equal(t, c.status, status, "%s %s %s: %v", c.method, c.path, c.body, out)
	}
	require.Empty(t, cloud.Faults.List())
}
