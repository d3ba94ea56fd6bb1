package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
	executor "github.com/aistudio/secrets/localcloud/lambda"
)

// Limits of an invocation's payload, in bytes.
const (
	maxSyncPayload  = 6 << 20
	maxAsyncPayload = 1 << 20
)

// invoke is the Invoke operation. Its payload is not JSON of the API's but the
// event, so that CloudTrail gets none of it.
func (s *Service) invoke(ctx context.Context, r *api.Request) (any, error) {
	kind := r.HTTP.Header.Get("X-Amz-Invocation-Type")
	r.TrailParams = map[string]any{"functionName": r.Path["FunctionName"], "invocationType": kind}
	ref, err := parseReference(r.Path["FunctionName"], r.HTTP.URL.Query().Get("Qualifier"), r.Region, r.Account)
	if err != nil {
		return nil, err
	}
	r.TrailResources = []string{ref.functionKey.arn()}
	if err := r.Authorize(ctx, s.check(ref, "lambda:InvokeFunction")); err != nil {
		return nil, err
	}
	event := invocation{ref: ref, id: r.ID, payload: r.Body, traceID: r.HTTP.Header.Get("X-Amzn-Trace-Id")}
	if text := r.HTTP.Header.Get("X-Amz-Client-Context"); text != "" {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !json.Valid(b) {
			return nil, userError(http.StatusBadRequest, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
		}
		event.clientContext = string(b)
	}
	switch kind {
	case "DryRun":
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _, err := s.find(ref)
		return noContent(), err
	case "Event":
		if err := s.enqueue(event); err != nil {
			return nil, err
		}
		return &api.Reply{Status: http.StatusAccepted}, nil
	case "", "RequestResponse":
		return s.respond(ctx, event, r.HTTP.Header.Get("X-Amz-Log-Type") == "Tail")
	default:
		return nil, constraint(kind, "invocationType", "Member must satisfy enum value set: [Event, RequestResponse, DryRun]")
	}
}

// respond invokes and answers the HTTP request.
func (s *Service) respond(ctx context.Context, event invocation, tail bool) (*api.Reply, error) {
	result, number, err := s.run(ctx, event)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("X-Amz-Executed-Version", number)
	if result.FunctionError != "" {
		header.Set("X-Amz-Function-Error", result.FunctionError)
	}
	if tail {
		header.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(result.Tail))
	}
	return &api.Reply{Header: header, Body: append([]byte{}, result.Payload...)}, nil
}

// invocation is an event on its way to a function.
type invocation struct {
	ref           reference
	id            string
	payload       []byte
	traceID       string
	clientContext string
}

func (i invocation) validate(limit int) error {
	if len(i.payload) > limit {
		return userError(http.StatusRequestEntityTooLarge, "RequestTooLargeException",
			"Request must be smaller than %d bytes for the InvokeFunction operation", limit)
	}
	if len(i.payload) > 0 && !json.Valid(i.payload) {
		return userError(http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json.")
	}
	return nil
}

// run invokes a function once, now. The error is for what kept it from running.
func (s *Service) run(ctx context.Context, event invocation) (executor.Result, string, error) {
	if err := event.validate(maxSyncPayload); err != nil {
		return executor.Result{}, "", err
	}
	f, v, err := s.begin(event.ref)
	if err != nil {
		if throttled(err) {
			s.measure(event.ref, "Throttles", "Count", 1)
		}
		return executor.Result{}, "", err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.running--
	}()
	payload := event.payload
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	active := v.tracing == "Active"
	if active && event.traceID == "" {
		event.traceID = sampled(s.env.Clock.Now())
	}
	began := s.env.Clock.Now()
	result, err := v.pool.Invoke(ctx, executor.Invocation{
		RequestID: event.id, ARN: event.ref.arn(), Payload: payload,
		TraceID: event.traceID, ClientContext: event.clientContext,
	})
	if err != nil {
		return executor.Result{}, "", err
	}
	failed := result.FunctionError != ""
	s.measure(event.ref, "Invocations", "Count", 1)
	s.measure(event.ref, "Errors", "Count", count(failed))
	s.measure(event.ref, "Throttles", "Count", 0)
	s.measure(event.ref, "Duration", "Milliseconds", 1000*s.env.Clock.Now().Sub(began).Seconds())
	if active {
		s.trace(ctx, f, v, event.traceID, began, failed)
	}
	return result, v.number, nil
}

// measure reports one of the metrics of a function, of its alias or version if
// the event came for one, and of all functions together.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
func (s *Service) measure(ref reference, name, unit string, value float64) {
	put := func(dimensions ...string) {
		s.metrics.Put(ref.account, ref.region, "AWS/Lambda", name, unit, value, dimensions...)
	}
	put()
	put("FunctionName", ref.name)
	if ref.qualifier != "" {
		put("FunctionName", ref.name, "Resource", ref.name+":"+ref.qualifier)
	}
}

func count(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// begin chooses the version that an invocation runs and counts it in.
func (s *Service) begin(ref reference) (*function, *version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, v, err := s.find(ref)
	if err != nil {
		return nil, nil, err
	}
	if a := f.aliases[ref.qualifier]; a != nil {
		number, err := a.pick(s.env.Rand)
		if err != nil {
			return nil, nil, fmt.Errorf("choose a version of %s: %w", ref.arn(), err)
		}
		if v = f.version(number); v == nil {
			return nil, nil, functionNotFound(qualified(f.functionKey, number))
		}
	}
	if v == f.latest {
		if v = f.active; v == nil {
			return nil, nil, conflict("The operation cannot be performed at this time. The function is currently in the following state: Pending")
		}
	}
	if !executable(v.runtime) {
		return nil, nil, unsupported("running functions of the runtime " + v.runtime + "; it runs provided.al2 and provided.al2023")
	}
	if err := s.enter(f); err != nil {
		return nil, nil, err
	}
	return f, v, nil
}

// InvokeSync invokes a function for another AWS service, whose principal the
// function's resource policy must allow. An error of the function's is a
// *FunctionError.
func (s *Service) InvokeSync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) ([]byte, error) {
	event, err := s.serviceEvent(ctx, caller, functionARN, payload)
	if err != nil {
		return nil, err
	}
	result, _, err := s.run(ctx, event)
	if err != nil {
		return nil, err
	}
	if result.FunctionError != "" {
		return nil, functionError(event.ref.arn(), result.Payload)
	}
	return result.Payload, nil
}

// InvokeAsync queues an event for a function, as EventBridge does. Failed ones
// are tried twice more.
func (s *Service) InvokeAsync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) error {
	event, err := s.serviceEvent(ctx, caller, functionARN, payload)
	if err != nil {
		return err
	}
	return s.enqueue(event)
}

func (s *Service) serviceEvent(ctx context.Context, caller api.Caller, arn string, payload []byte) (invocation, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[2] != "lambda" {
		return invocation{}, invalid("%q is not the ARN of a function.", arn)
	}
	ref, err := parseReference(arn, "", parts[3], parts[4])
	if err != nil {
		return invocation{}, err
	}
	if err := s.env.IAM.Authorize(ctx, caller, ref.region, s.check(ref, "lambda:InvokeFunction")); err != nil {
		return invocation{}, err
	}
	return invocation{ref: ref, id: uuid.NewString(), payload: payload}, nil
}

func functionError(arn string, payload []byte) *FunctionError {
	e := &FunctionError{FunctionARN: arn}
	var body struct{ ErrorType, ErrorMessage string }
	if json.Unmarshal(payload, &body) == nil {
		e.Type, e.Message = body.ErrorType, body.ErrorMessage
	}
	return e
}

// credentials makes those of a function's role for a new environment.
func (s *Service) credentials(ctx context.Context, f executor.Function) (executor.Credentials, error) {
	c, err := s.roles.ServiceSession(ctx, f.Role, f.Name, principal)
	if err != nil {
		s.env.Log.WarnContext(ctx, "a function's role can't be assumed", "function", f.Name, "role", f.Role, "error", err)
		return executor.Credentials{}, userError(http.StatusForbidden, "AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.")
	}
	return executor.Credentials(c), nil
}

// log writes a function's output to CloudWatch Logs, as far as its role may:
// Lambda writes in the role's name.
func (s *Service) log(f executor.Function, stream string, lines []string) {
	ctx := context.Background() // the output outlives every request
	caller := roleCaller(f)
	group := api.ARN("logs", f.Region, f.Account, "log-group:"+f.LogGroup)
	checks := []api.Check{
		{Action: "logs:CreateLogStream", Resource: group + ":log-stream:" + stream},
		{Action: "logs:PutLogEvents", Resource: group + ":log-stream:" + stream},
	}
	if !s.logs.HasGroup(f.Account, f.Region, f.LogGroup) {
		checks = append(checks, api.Check{Action: "logs:CreateLogGroup", Resource: group + ":log-stream:"})
	}
	for _, c := range checks {
		if err := s.env.IAM.Authorize(ctx, caller, f.Region, c); err != nil {
			s.env.Log.DebugContext(ctx, "a function's output is not logged", "function", f.Name, "error", err)
			return
		}
	}
	s.logs.Put(ctx, f.Account, f.Region, f.LogGroup, stream, lines)
}

// roleCaller is the function's session of its role.
func roleCaller(f executor.Function) api.Caller {
	role := f.Role[strings.LastIndex(f.Role, "/")+1:]
	return api.Caller{
		Account: f.Account, Role: f.Role, Session: f.Name,
		ARN: fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", f.Account, role, f.Name),
	}
}

// throttled tells whether an invocation found no room.
func throttled(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == "TooManyRequestsException"
}

// pendingError tells whether the function is still being created.
func pendingError(err error) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Code == "ResourceConflictException"
}
