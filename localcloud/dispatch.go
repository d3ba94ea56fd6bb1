package localcloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/faults"
)

// maxBody is more than any call here needs; Lambda's zip upload limit is 50 MB
// and base64 makes that 67.
const maxBody = 80 << 20

// ServeHTTP carries out one AWS call: find the service in the signature's
// scope, find the caller, apply the faults, ask the service, record the call.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		c.serveControl(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the request body can't be read", http.StatusBadRequest)
		return
	}
	b := c.backend.Load()
	scope, err := parseScope(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	svc, ok := b.services[scope.service]
	if !ok {
		c.noteUnsupported(scope.service)
		http.Error(w, fmt.Sprintf("the emulator has no service %q", scope.service), http.StatusNotImplemented)
		return
	}
	op, path := svc.Protocol().Route(r, body)
	req := api.NewRequest(api.Request{
		HTTP: r, Body: body, Path: path,
		ID:      uuid.NewString(),
		Service: scope.service, Operation: op, Region: scope.region,
		Time: b.env.Clock.Now(),
	}, b.iam)
	w.Header().Set("X-Amzn-RequestId", req.ID)
	// The SDKs tell by it what time it is at AWS.
	w.Header().Set("Date", req.Time.UTC().Format(http.TimeFormat))

	req.Caller, err = b.iam.Resolve(scope.service, scope.accessKey, scope.token)
	if err != nil {
		svc.Protocol().WriteError(w, req, asError(err))
		return
	}
	req.Account = req.Caller.Account
	req.Caller.SourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	req.Caller.UserAgent = r.UserAgent()

	hits := c.Faults.Match(faults.Call{
		Service: req.Service, Operation: op, Region: req.Region, Principal: req.Caller.Principal(),
	})
	failure := b.before(r.Context(), req, hits)
	if failure == nil && !c.Quotas.Allow(req.Account, req.Region, req.Service, op) {
		failure = throttled(req.Service)
	}
	var out any
	callErr := failure
	if failure == nil {
		out, callErr = b.call(c, svc, req)
	}
	b.record(svc, req, callErr)
	b.after(req, hits)
	if callErr != nil {
		svc.Protocol().WriteError(w, req, asError(callErr))
		return
	}
	if err := writeReply(w, svc.Protocol(), req, out); err != nil {
		c.opts.log.ErrorContext(r.Context(), "reply not written", "service", req.Service, "operation", op, "error", err)
	}
}

// call runs the operation's handler and makes sure that it asked IAM.
func (b *backend) call(c *Cloud, svc api.Service, req *api.Request) (out any, err error) {
	handler := svc.Handler(req.Operation)
	if handler == nil {
		c.noteUnsupported(req.Service + ":" + req.Operation)
		return nil, api.StatusErrorf(http.StatusNotImplemented, "UnknownOperationException",
			"The emulator does not support the operation %s:%s.", req.Service, req.Operation)
	}
	defer func() {
		if p := recover(); p != nil {
			b.env.Log.Error("a service panicked", "service", req.Service, "operation", req.Operation,
				"panic", p, "stack", string(debug.Stack()))
			out, err = nil, api.StatusErrorf(http.StatusInternalServerError, "InternalFailure",
				"The emulator failed in %s:%s; its log has the reason.", req.Service, req.Operation)
		}
	}()
	out, err = handler(req.HTTP.Context(), req)
	var apiErr *api.Error
	if errors.As(err, &apiErr) && apiErr.Code == api.ErrUnsupportedMember {
		c.noteUnsupported(req.Service + ":" + req.Operation + ": " + apiErr.Message)
	}
	if err == nil && !req.Authorized() {
		return nil, api.StatusErrorf(http.StatusInternalServerError, "InternalFailure",
			"The emulator's %s:%s never asked IAM; its reply is withheld.", req.Service, req.Operation)
	}
	return out, err
}

// before applies the faults that come before the effect. Dropping a connection
// is a panic that net/http knows.
func (b *backend) before(ctx context.Context, req *api.Request, hits []faults.Fault) error {
	for _, f := range hits {
		switch f.Kind {
		case faults.Latency:
			select {
			case <-time.After(f.Delay):
			case <-ctx.Done():
			}
		case faults.Throttle:
			return api.Errorf("ThrottlingException", "Rate exceeded")
		case faults.Error:
			return faultError(f)
		case faults.CrashBefore:
			b.lambda.Crash(req.Caller.AccessKeyID)
			panic(http.ErrAbortHandler)
		case faults.DropBefore:
			panic(http.ErrAbortHandler)
		}
	}
	return nil
}

// throttled is how services answer calls that are over a quota.
func throttled(service string) error {
	switch service {
	case "lambda":
		return api.StatusErrorf(http.StatusTooManyRequests, "TooManyRequestsException", "Rate exceeded")
	case "scheduler":
		return api.StatusErrorf(http.StatusTooManyRequests, "ThrottlingException", "Rate exceeded")
	default:
		return api.Errorf("ThrottlingException", "Rate exceeded")
	}
}

func (b *backend) after(req *api.Request, hits []faults.Fault) {
	for _, f := range hits {
		switch f.Kind {
		case faults.CrashAfter:
			b.lambda.Crash(req.Caller.AccessKeyID)
			panic(http.ErrAbortHandler)
		case faults.DropAfter:
			panic(http.ErrAbortHandler)
		}
	}
}

func faultError(f faults.Fault) error {
	e := &api.Error{Status: f.Status, Code: f.Code, Message: f.Message}
	if e.Status == 0 {
		e.Status = http.StatusInternalServerError
	}
	if e.Code == "" {
		e.Code = "InternalServiceError"
	}
	if e.Message == "" {
		e.Message = "A fault of the local cloud, made on purpose."
	}
	return e
}

func asError(err error) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		if e.Status == 0 {
			e.Status = http.StatusBadRequest
		}
		return e
	}
	return api.StatusErrorf(http.StatusInternalServerError, "InternalFailure", "%v", err)
}

func writeReply(w http.ResponseWriter, p api.Protocol, req *api.Request, out any) error {
	status := http.StatusOK
	if reply, ok := out.(*api.Reply); ok {
		for k, v := range reply.Header {
			w.Header()[http.CanonicalHeaderKey(k)] = v
		}
		if reply.Status != 0 {
			status = reply.Status
		}
		if raw, ok := reply.Body.([]byte); ok {
			w.WriteHeader(status)
			_, err := w.Write(raw)
			return err
		}
		out = reply.Body
	}
	return p.Write(w, req, status, out)
}

// record hands the call to CloudTrail.
func (b *backend) record(svc api.Service, req *api.Request, err error) {
	e := api.Event{
		ID:        uuid.NewString(),
		Name:      req.Operation,
		Source:    eventSource(req.Service),
		Type:      "AwsApiCall",
		Time:      req.Time,
		Region:    req.Region,
		Account:   req.Account,
		Caller:    req.Caller,
		ReadOnly:  readOnly(req.Operation),
		RequestID: req.ID,
		Request:   req.TrailParams,
		Response:  req.TrailResponse,
		Resources: req.TrailResources,
	}
	if e.Request == nil {
		var sensitive []string
		if s, ok := svc.(api.Sensitive); ok {
			sensitive = s.SensitiveMembers()
		}
		e.Request = trailParams(req.Body, sensitive)
		for name, value := range req.Path {
			if e.Request == nil {
				e.Request = map[string]any{}
			}
			e.Request[lowerFirst(name)] = value
		}
	}
	if err != nil {
		apiErr := asError(err)
		e.ErrorCode, e.ErrorMessage = apiErr.Code, apiErr.Message
		e.Response = nil
	}
	b.env.Trail.Record(req.HTTP.Context(), e)
}

func eventSource(service string) string {
	return service + ".amazonaws.com"
}

// readOnly is CloudTrail's notion: using a key or assuming a role changes
// nothing.
func readOnly(op string) bool {
	for _, prefix := range []string{
		"Get", "List", "Describe", "BatchGet", "Lookup", "Validate", "Simulate", "Test",
		"Decrypt", "Encrypt", "ReEncrypt", "GenerateDataKey", "AssumeRole",
	} {
		if strings.HasPrefix(op, prefix) {
			return true
		}
	}
	return false
}

// trailParams shows a JSON body the way CloudTrail does: member names begin
// with a small letter, sensitive members are gone.
func trailParams(body []byte, sensitive []string) map[string]any {
	var in map[string]any
	if json.Unmarshal(body, &in) != nil {
		return nil
	}
	return trailObject(in, sensitive)
}

func trailObject(in map[string]any, sensitive []string) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		if slices.Contains(sensitive, k) {
			continue
		}
		switch v := v.(type) {
		case map[string]any:
			out[lowerFirst(k)] = trailObject(v, sensitive)
		case []any:
			list := make([]any, len(v))
			for i, item := range v {
				if m, ok := item.(map[string]any); ok {
					list[i] = trailObject(m, sensitive)
				} else {
					list[i] = item
				}
			}
			out[lowerFirst(k)] = list
		default:
			out[lowerFirst(k)] = v
		}
	}
	return out
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	r := []rune(s)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}

// scope is what the signature says about a call.
type scope struct {
	accessKey, region, service, token string
}

// parseScope reads the credential scope of Signature Version 4, from the
// header or from a presigned URL. The signature itself is not checked: the
// emulator's callers are on this machine.
func parseScope(r *http.Request) (scope, error) {
	credential, token := r.URL.Query().Get("X-Amz-Credential"), r.URL.Query().Get("X-Amz-Security-Token")
	if credential == "" {
		header := r.Header.Get("Authorization")
		_, rest, ok := strings.Cut(header, "Credential=")
		if !ok {
			return scope{}, errors.New("the request is not signed with Signature Version 4")
		}
		credential, _, _ = strings.Cut(rest, ",")
		token = r.Header.Get("X-Amz-Security-Token")
	}
	parts := strings.Split(strings.TrimSpace(credential), "/")
	if len(parts) < 5 {
		return scope{}, fmt.Errorf("the credential scope has %d parts, not 5", len(parts))
	}
	n := len(parts)
	return scope{
		accessKey: strings.Join(parts[:n-4], "/"), region: parts[n-3], service: parts[n-2], token: token,
	}, nil
}
