package extension

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// The events of the Extensions API that an external extension can ask for.
const (
	eventInvoke   = "INVOKE"
	eventShutdown = "SHUTDOWN"
)

// event is an event of the Extensions API.
type event struct {
	Type   string `json:"eventType"`
	Reason string `json:"shutdownReason"` // of SHUTDOWN
}

// lifecycle is a registered extension: a client of Lambda's Extensions API
// (developer guide, "Using the Lambda Extensions API to create extensions").
type lifecycle struct {
	base   string
	id     string
	client *http.Client
}

// register tells Lambda that the extension is there. Name must be that of its
// file. The runtime starts after it.
func register(ctx context.Context, runtimeAPI, name string) (*lifecycle, error) {
	l := &lifecycle{
		base: "http://" + runtimeAPI + "/2020-01-01/extension/",
		// No timeout: the answer comes with the next event, which may be hours
		// away. No proxy: the API is in the sandbox.
		client: &http.Client{Transport: &http.Transport{}},
	}
	body, _ := json.Marshal(map[string][]string{"events": {eventInvoke, eventShutdown}}) // strings only
	header, err := l.call(ctx, http.MethodPost, "register", http.Header{"Lambda-Extension-Name": {name}}, body, nil)
	if err != nil {
		return nil, fmt.Errorf("register the extension %s: %w", name, err)
	}
	if l.id = header.Get("Lambda-Extension-Identifier"); l.id == "" {
		return nil, fmt.Errorf("register the extension %s: Lambda gave no identifier", name)
	}
	return l, nil
}

// next tells that the extension is done with the event before, and waits for
// the next one.
func (l *lifecycle) next(ctx context.Context) (event, error) {
	var e event
	if _, err := l.call(ctx, http.MethodGet, "event/next", nil, nil, &e); err != nil {
		return event{}, fmt.Errorf("wait for the next event: %w", err)
	}
	return e, nil
}

// initError tells that the extension can't start; Lambda fails the Init.
func (l *lifecycle) initError(ctx context.Context, reason error) error {
	return l.report(ctx, "init/error", "Extension.InitError", reason)
}

// exitError tells that the extension can't go on; Lambda starts a new
// environment for the next invocation.
func (l *lifecycle) exitError(ctx context.Context, reason error) error {
	return l.report(ctx, "exit/error", "Extension.ExitError", reason)
}

func (l *lifecycle) report(ctx context.Context, path, kind string, reason error) error {
	body, _ := json.Marshal(map[string]any{ // strings only
		"errorType": kind, "errorMessage": reason.Error(), "stackTrace": []string{},
	})
	if _, err := l.call(ctx, http.MethodPost, path, http.Header{"Lambda-Extension-Function-Error-Type": {kind}}, body, nil); err != nil {
		return fmt.Errorf("report %s: %w", kind, err)
	}
	return nil
}

// call makes a request and reads the JSON of its answer into result, unless
// that is nil.
func (l *lifecycle) call(ctx context.Context, method, path string, header http.Header, body []byte, result any) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, l.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if l.id != "" {
		request.Header.Set("Lambda-Extension-Identifier", l.id)
	}
	response, err := l.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: status %d: %s", path, response.StatusCode, answer)
	}
	if result != nil {
		if err := json.Unmarshal(answer, result); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return response.Header, nil
}
