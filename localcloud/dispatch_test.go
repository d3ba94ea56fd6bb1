package localcloud

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/faults"
)

// oddService misbehaves in the ways that the dispatcher has to bear.
type oddService struct{ effects atomic.Int32 }

func (s *oddService) Name() string           { return "odd" }
func (s *oddService) Protocol() api.Protocol { return api.JSONRPC{Version: "1.1"} }

func (s *oddService) SensitiveMembers() []string { return []string{"SecretString"} }

func (s *oddService) Handler(operation string) api.Handler {
	type in struct {
		Name         string
		SecretString string
		Nested       []struct{ SecretString, Key string }
	}
	type out struct{ Value string }
	return map[string]api.Handler{
		"Panic": func(context.Context, *api.Request) (any, error) { panic("on purpose") },
		"Forget": api.JSON(func(context.Context, *api.Request, *in) (*out, error) {
			return &out{"nobody asked"}, nil
		}),
		"Fail": api.JSON(func(context.Context, *api.Request, *in) (*out, error) {
			return nil, errors.New("an error that isn't AWS's")
		}),
		"Do": api.JSON(func(ctx context.Context, r *api.Request, _ *in) (*out, error) {
			if err := r.Authorize(ctx, api.Check{Action: "odd:Do", Resource: "*"}); err != nil {
				return nil, err
			}
			s.effects.Add(1)
			return &out{"done"}, nil
		}),
	}[operation]
}

// newOdd starts a cloud that also has the odd service.
func newOdd(t *testing.T) (*Cloud, *oddService) {
	t.Helper()
	c, err := New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	s := &oddService{}
	c.backend.Load().services[s.Name()] = s
	return c, s
}

// reply is what a raw call got.
type reply struct {
	status int
	body   string
	header http.Header
}

func post(t *testing.T, c *Cloud, operation, body string) (reply, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL(), strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Amz-Target", "Odd."+operation)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260301/us-east-1/odd/aws4_request, SignedHeaders=host, Signature=x")
	return send(t, req)
}

func send(t *testing.T, req *http.Request) (reply, error) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { require.NoError(t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp.StatusCode, string(body), resp.Header}, nil
}

func mustPost(t *testing.T, c *Cloud, operation, body string) reply {
	t.Helper()
	r, err := post(t, c, operation, body)
	require.NoError(t, err)
	return r
}

func TestAPanicIsAnErrorOfOneCall(t *testing.T) {
	c, _ := newOdd(t)
	r := mustPost(t, c, "Panic", `{}`)
	require.Equal(t, http.StatusInternalServerError, r.status)
	require.Contains(t, r.body, "InternalFailure")
	require.NotContains(t, r.body, "on purpose")
	require.Equal(t, http.StatusOK, mustPost(t, c, "Do", `{}`).status)
}

func TestAReplyThatNobodyAuthorisedIsWithheld(t *testing.T) {
	c, _ := newOdd(t)
	r := mustPost(t, c, "Forget", `{}`)
	require.Equal(t, http.StatusInternalServerError, r.status)
	require.Contains(t, r.body, "never asked IAM")
	require.NotContains(t, r.body, "nobody asked")
}

func TestErrorsThatAreNotAWSsAreInternal(t *testing.T) {
	c, _ := newOdd(t)
	r := mustPost(t, c, "Fail", `{}`)
	require.Equal(t, http.StatusInternalServerError, r.status)
	require.Equal(t, "InternalFailure", r.header.Get("X-Amzn-ErrorType"))
}

func TestWhatIsNotKnownIsRefusedAndCounted(t *testing.T) {
	c, s := newOdd(t)
	require.Equal(t, http.StatusNotImplemented, mustPost(t, c, "Fly", `{}`).status)
	r := mustPost(t, c, "Do", `{"Colour":"red"}`)
	require.Equal(t, http.StatusNotImplemented, r.status)
	require.Contains(t, r.body, "Colour")
	require.Equal(t, http.StatusBadRequest, mustPost(t, c, "Do", `{"Name":5}`).status)
	bad := mustPost(t, c, "Do", `{"SecretString":"hush`)
	require.Equal(t, http.StatusBadRequest, bad.status)
	require.NotContains(t, bad.body, "hush")
	require.EqualValues(t, 0, s.effects.Load())

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL(), strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260301/us-east-1/nothing/aws4_request")
	r, err = send(t, req)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotImplemented, r.status)

	counts := c.Unsupported()
	require.Equal(t, 1, counts["odd:Fly"])
	require.Equal(t, 1, counts["nothing"])
	require.Len(t, counts, 3, "and the member")
}

func TestCallsMustBeSigned(t *testing.T) {
	c, _ := newOdd(t)
	for _, header := range []string{"", "Bearer x", "AWS4-HMAC-SHA256 Credential=test/odd"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL(), strings.NewReader("{}"))
		require.NoError(t, err)
		req.Header.Set("Authorization", header)
		r, err := send(t, req)
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, r.status, header)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		c.URL()+"/?X-Amz-Credential=test%2F20260301%2Fus-east-1%2Fodd%2Faws4_request", strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("X-Amz-Target", "Odd.Do")
	r, err := send(t, req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.status, "a presigned URL has it in the query")
}

func TestFaults(t *testing.T) {
	c, s := newOdd(t)
	on := func(f faults.Fault) func() {
		f.Service = "odd"
		remove, err := c.Faults.Add(f)
		require.NoError(t, err)
		return remove
	}

	off := on(faults.Fault{Kind: faults.Throttle})
	r := mustPost(t, c, "Do", `{}`)
	require.Equal(t, http.StatusBadRequest, r.status)
	require.Contains(t, r.body, "ThrottlingException")
	off()

	off = on(faults.Fault{Kind: faults.Error})
	r = mustPost(t, c, "Do", `{}`)
	require.Equal(t, http.StatusInternalServerError, r.status)
	require.Contains(t, r.body, "InternalServiceError")
	off()

	off = on(faults.Fault{Kind: faults.Error, Code: "DecryptionFailure", Message: "no key", Status: http.StatusBadRequest, Skip: 1, Times: 1})
	require.Equal(t, http.StatusOK, mustPost(t, c, "Do", `{}`).status)
	r = mustPost(t, c, "Do", `{}`)
	require.Equal(t, http.StatusBadRequest, r.status)
	require.JSONEq(t, `{"__type":"DecryptionFailure","message":"no key"}`, r.body)
	require.Equal(t, http.StatusOK, mustPost(t, c, "Do", `{}`).status)
	off()
	require.EqualValues(t, 2, s.effects.Load())

	off = on(faults.Fault{Kind: faults.DropBefore})
	_, err := post(t, c, "Do", `{}`)
	require.Error(t, err)
	require.EqualValues(t, 2, s.effects.Load(), "no effect")
	off()

	off = on(faults.Fault{Kind: faults.DropAfter})
	_, err = post(t, c, "Do", `{}`)
	require.Error(t, err)
	require.EqualValues(t, 3, s.effects.Load(), "the effect took place")
	off()

	off = on(faults.Fault{Kind: faults.Latency, Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL(), strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260301/us-east-1/odd/aws4_request")
	_, err = send(t, req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	off()

	off = on(faults.Fault{Kind: faults.Throttle, Region: "us-west-2"})
	require.Equal(t, http.StatusOK, mustPost(t, c, "Do", `{}`).status, "another region is down")
	off()
}

func TestTheTrailShowsNoSensitiveMembers(t *testing.T) {
	c, _ := newOdd(t)
	mustPost(t, c, "Do", `{"Name":"n","SecretString":"hush","Nested":[{"SecretString":"hush","Key":"k"}]}`)
	mustPost(t, c, "Fail", `{"SecretString":"hush"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL(), strings.NewReader(`{}`))
	require.NoError(t, err)
	req.Header.Set("X-Amz-Target", "CloudTrail.LookupEvents")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260301/us-east-1/cloudtrail/aws4_request")
	r, err := send(t, req)
	require.NoError(t, err)
	require.NotContains(t, r.body, "hush")
	var out struct {
		Events []struct{ EventName, CloudTrailEvent string }
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), &out))
	require.Len(t, out.Events, 2)
	require.Equal(t, "Do", out.Events[1].EventName)
	require.Contains(t, out.Events[1].CloudTrailEvent, `"requestParameters":{"name":"n","nested":[{"key":"k"}]}`)
	require.Contains(t, out.Events[0].CloudTrailEvent, `"errorCode":"InternalFailure"`)
}

func TestEachCallHasARequestID(t *testing.T) {
	c, _ := newOdd(t)
	first, second := mustPost(t, c, "Do", `{}`), mustPost(t, c, "Panic", `{}`)
	require.NotEmpty(t, first.header.Get("X-Amzn-Requestid"))
	require.NotEqual(t, first.header.Get("X-Amzn-Requestid"), second.header.Get("X-Amzn-Requestid"))
}
