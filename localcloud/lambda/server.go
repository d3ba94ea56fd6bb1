package lambda

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxResponse is AWS's limit of a buffered response: 6 MB and some room.
const maxResponse = 6*1024*1024 + 100

// routes is the Runtime API and the Extensions API, as in "Using the Lambda
// runtime API" and "Using the Lambda Extensions API" of the developer guide.
func (e *environment) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", e.runtimeNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", e.runtimeResponse)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", e.runtimeError)
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", e.runtimeInitError)
	mux.HandleFunc("POST /2020-01-01/extension/register", e.extensionRegister)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", e.extensionNext)
	mux.HandleFunc("POST /2020-01-01/extension/init/error", e.extensionError("Extension.InitError"))
	mux.HandleFunc("POST /2020-01-01/extension/exit/error", e.extensionError("Extension.ExitError"))
	return mux
}

// deliver gives a participant its next event. The lock is held.
func (p *participant) deliver(ev event) {
	p.waiting = false
	select {
	case <-p.next: // an event that nobody took, when it ends meanwhile
	default:
	}
	p.next <- ev
}

// serveNext answers a request for the next event when there is one.
func (e *environment) serveNext(w http.ResponseWriter, r *http.Request, p *participant) {
	e.change(func() { p.waiting = true })
	select {
	case ev := <-p.next:
		for k, v := range ev.header {
			w.Header().Set(k, v)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(ev.body)
	case <-r.Context().Done():
	}
}

// deliverInvoke hands an invocation to the runtime and to the extensions that
// asked for INVOKE. The lock is held.
func (e *environment) deliverInvoke(inv Invocation, deadline time.Time) {
	header := map[string]string{
		"Lambda-Runtime-Aws-Request-Id":       inv.RequestID,
		"Lambda-Runtime-Deadline-Ms":          strconv.FormatInt(deadline.UnixMilli(), 10),
		"Lambda-Runtime-Invoked-Function-Arn": inv.ARN,
		"Lambda-Runtime-Trace-Id":             inv.TraceID,
	}
	if inv.ClientContext != "" {
		header["Lambda-Runtime-Client-Context"] = inv.ClientContext
	}
	e.runtime.deliver(event{header: header, body: inv.Payload})
	for id, x := range e.extensions {
		if x.events["INVOKE"] {
			x.deliver(jsonEvent(id, map[string]any{
				"eventType":          "INVOKE",
				"deadlineMs":         deadline.UnixMilli(),
				"requestId":          inv.RequestID,
				"invokedFunctionArn": inv.ARN,
				"tracing":            map[string]string{"type": "X-Amzn-Trace-Id", "value": inv.TraceID},
			}))
		}
	}
}

func shutdownEvent(reason shutdownReason, deadline time.Time) event {
	return jsonEvent("", map[string]any{
		"eventType":      "SHUTDOWN",
		"shutdownReason": reason,
		"deadlineMs":     deadline.UnixMilli(),
	})
}

func jsonEvent(identifier string, v any) event {
	body, _ := json.Marshal(v) // strings and numbers only
	return event{
		header: map[string]string{
			"Lambda-Extension-Identifier":       identifier,
			"Lambda-Extension-Event-Identifier": uuid.NewString(),
		},
		body: body,
	}
}

func (e *environment) runtimeNext(w http.ResponseWriter, r *http.Request) {
	e.serveNext(w, r, e.runtime)
}

func (e *environment) runtimeResponse(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse+1))
	if err != nil {
		return // the runtime is gone
	}
	if len(body) > maxResponse {
		f := failure{"Function.ResponseSizeTooLarge", fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse)}
		payload, _ := json.Marshal(f) // two strings
		e.reply(r.PathValue("id"), answer{payload: payload, failed: true})
		apiError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", f.Message)
		return
	}
	e.acknowledge(w, e.reply(r.PathValue("id"), answer{payload: body}))
}

func (e *environment) runtimeError(w http.ResponseWriter, r *http.Request) {
	body, err := errorBody(r)
	if err != nil {
		return
	}
	e.acknowledge(w, e.reply(r.PathValue("id"), answer{payload: body, failed: true}))
}

func (e *environment) runtimeInitError(w http.ResponseWriter, r *http.Request) {
	body, err := errorBody(r)
	if err != nil {
		return
	}
	ok := false
	e.change(func() {
		if ok = !e.ready; ok {
			e.initError = &answer{payload: body, failed: true}
		}
	})
	if !ok {
		apiError(w, http.StatusForbidden, "InvalidStateTransition", "Init is over.")
		return
	}
	e.acknowledge(w, true)
}

// errorBody reads the JSON of a runtime's error; without one, the header's error
// type makes it.
func errorBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) > 0 {
		return body, nil
	}
	return json.Marshal(map[string]string{
		"errorType": cmp.Or(r.Header.Get("Lambda-Runtime-Function-Error-Type"), "Runtime.Unknown"),
	})
}

// reply keeps the first answer to the current invocation; false for any other.
func (e *environment) reply(requestID string, a answer) (ok bool) {
	e.change(func() {
		if ok = e.current != nil && e.current.RequestID == requestID && e.answer == nil; ok {
			e.answer = &a
		}
	})
	return ok
}

func (e *environment) acknowledge(w http.ResponseWriter, ok bool) {
	if !ok {
		apiError(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`+"\n")
}

func (e *environment) extensionRegister(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Events []string `json:"events"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&in); err != nil {
		apiError(w, http.StatusBadRequest, "InvalidRequestFormat", "The body must be JSON with the member events.")
		return
	}
	name := r.Header.Get("Lambda-Extension-Name")
	id := uuid.NewString()
	errType := ""
	e.change(func() { errType = e.register(id, name, in.Events) })
	if errType != "" {
		apiError(w, http.StatusForbidden, errType, "The extension "+strconv.Quote(name)+" can't be registered.")
		return
	}
	out := map[string]string{
		"functionName": e.fn.Name, "functionVersion": e.fn.Version, "handler": e.fn.Handler,
	}
	if strings.Contains(r.Header.Get("Lambda-Extension-Accept-Feature"), "accountId") {
		out["accountId"] = e.fn.Account
	}
	w.Header().Set("Lambda-Extension-Identifier", id)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// register adds an extension, or returns the type of the error. The lock is
// held.
func (e *environment) register(id, name string, events []string) string {
	if name == "" {
		return "Extension.InvalidExtensionName"
	}
	if e.ready || e.runtime.waiting {
		return "Extension.RegistrationClosed"
	}
	for _, x := range e.extensions {
		if x.name == name {
			return "Extension.AlreadyRegistered"
		}
	}
	external := slices.ContainsFunc(e.processes, func(p *process) bool { return p.extension && p.name == name })
	x := newParticipant(name)
	for _, ev := range events {
		if ev != "INVOKE" && (ev != "SHUTDOWN" || !external) {
			return "Extension.InvalidEventType"
		}
		x.events[ev] = true
	}
	e.extensions[id] = x
	return ""
}

func (e *environment) extensionNext(w http.ResponseWriter, r *http.Request) {
	if x := e.extension(w, r); x != nil {
		e.serveNext(w, r, x)
	}
}

func (e *environment) extensionError(errType string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := e.extension(w, r)
		if x == nil {
			return
		}
		reported := cmp.Or(r.Header.Get("Lambda-Extension-Function-Error-Type"), errType)
		e.change(func() {
			if e.failure == nil && !e.ending {
				e.failure = &failure{errType, "extension " + x.name + " reported " + reported}
			}
		})
		e.acknowledge(w, true)
	}
}

// extension finds who calls; it answers the call itself when nobody registered
// like that.
func (e *environment) extension(w http.ResponseWriter, r *http.Request) *participant {
	e.mu.Lock()
	x := e.extensions[r.Header.Get("Lambda-Extension-Identifier")]
	e.mu.Unlock()
	if x == nil {
		apiError(w, http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension")
	}
	return x
}

func (e *environment) extensionList() []*participant {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.SortedFunc(maps.Values(e.extensions), func(a, b *participant) int { return cmp.Compare(a.name, b.name) })
}

func eventNames(p *participant) string {
	return strings.Join(slices.Sorted(maps.Keys(p.events)), ", ")
}

func apiError(w http.ResponseWriter, status int, errType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(failure{errType, message})
}

func newTraceID(now time.Time) string {
	id := strings.ReplaceAll(uuid.NewString()+uuid.NewString(), "-", "")
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", now.Unix(), id[:24], id[24:40])
}

// extensionName is the one that an external extension must register with.
func extensionName(path string) string { return filepath.Base(path) }
