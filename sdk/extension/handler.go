package extension

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// requestLimit is how many requests are answered at a time, as many as
	// AWS's agent allows by default, and pingReserve how many pings beyond it.
	requestLimit = 800
	pingReserve  = 2

	// readyPatience is how long a request waits for the first invocation to be
	// announced. The runtime and the extension learn of it at the same time, so
	// that the function's first request may come first.
	readyPatience = 2 * time.Second
)

// source is where the answers come from. *Cache is one.
type source interface {
	// Secret returns the JSON of GetSecretValue.
	Secret(context.Context, SecretRequest) ([]byte, error)
	// Parameter returns the JSON of GetParameter.
	Parameter(context.Context, ParameterRequest) ([]byte, error)
}

// Handler answers the requests of the function. It refuses, in this order, what
// is over the limit (429), forwarded (400), without the token (403), no GET
// (405) and unknown (404). /ping needs no token.
type Handler struct {
	source   source
	token    [sha256.Size]byte
	hasToken bool
	log      *slog.Logger
	limit    int64
	patience time.Duration

	active atomic.Int64
	ready  chan struct{} // closed when values may be served
	once   sync.Once     // closes ready
}

// NewHandler returns a handler that serves no value before Ready. With an empty
// token it refuses everything but pings.
func NewHandler(from source, token string, log *slog.Logger) *Handler {
	return &Handler{
		source: from, token: sha256.Sum256([]byte(token)), hasToken: token != "", log: log,
		limit: requestLimit, patience: readyPatience, ready: make(chan struct{}),
	}
}

// Ready lets the handler serve values. Until then they are refused as AWS's
// extension does during Init, with 400 and "not ready to serve traffic". So a
// snapshot that is taken after Init holds nothing secret.
func (h *Handler) Ready() { h.once.Do(func() { close(h.ready) }) }

// String hides what the handler holds: a digest of the token is in it.
func (h *Handler) String() string { return "handler of the secrets extension" }

// GoString is String.
func (h *Handler) GoString() string { return h.String() }

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.active.Add(-1)
	active := h.active.Add(1)
	start := time.Now()
	body, err := h.answer(r, active)
	defer clear(body)
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	status, kind := http.StatusOK, "application/json"
	if err != nil {
		status, kind, body = describe(err)
		h.log.WarnContext(r.Context(), "request failed", "path", r.URL.Path, "status", status, "error", err.Error())
	} else {
		h.log.DebugContext(r.Context(), "request served", "path", r.URL.Path, "took", time.Since(start).String())
	}
	header.Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write(body) // if it fails, the caller is gone
}

// answer returns the body of a success. A panic becomes an error: it concerns
// the request, not the process.
func (h *Handler) answer(r *http.Request, active int64) (body []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			// What was panicked with isn't logged: it might hold a value.
			h.log.ErrorContext(r.Context(), "panic in a request", "path", r.URL.Path, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			body, err = nil, errors.New("internal error")
		}
	}()
	ping := r.URL.Path == "/ping"
	if active > h.limit && (!ping || active > h.limit+pingReserve) {
		return nil, &refusal{http.StatusTooManyRequests, "Connection limit exceeded"}
	}
	if !ping {
		if len(r.Header["X-Forwarded-For"]) > 0 {
			return nil, badRequest("Forwarded")
		}
		if !h.knows(r.Header.Get("X-Aws-Parameters-Secrets-Token")) && !h.knows(r.Header.Get("X-Vault-Token")) {
			return nil, &refusal{http.StatusForbidden, "Bad Token"}
		}
	}
	if r.Method != http.MethodGet {
		return nil, &refusal{http.StatusMethodNotAllowed, "Not allowed"}
	}
	if ping {
		return []byte("healthy"), nil
	}
	request, err := parse(r.URL)
	if err != nil {
		return nil, err
	}
	if err := h.await(r.Context()); err != nil {
		return nil, err
	}
	return request.read(r.Context(), h.source)
}

// knows tells whether the token is the right one, in a time that depends on
// the length of the one that was sent only.
func (h *Handler) knows(token string) bool {
	sent := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sent[:], h.token[:]) == 1 && h.hasToken
}

func (h *Handler) await(ctx context.Context) error {
	select {
	case <-h.ready:
		return nil
	default:
	}
	timer := time.NewTimer(h.patience)
	defer timer.Stop()
	select {
	case <-h.ready:
		return nil
	case <-timer.C:
		return badRequest("not ready to serve traffic, please wait")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
