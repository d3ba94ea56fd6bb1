package apikey

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// Header is the header in which Middleware looks for the key, after a bearer
// token of the Authorization header.
const Header = "X-Api-Key"

type matchKey struct{}

// FromContext returns the key with which the request of that context was
// accepted by Middleware.
func FromContext(ctx context.Context) (Match, bool) {
	match, ok := ctx.Value(matchKey{}).(Match)
	return match, ok
}

// Middleware passes on requests with an accepted key, in a header
// "Authorization: Bearer <key>" (RFC 6750) or "X-Api-Key: <key>". Others get
// 401, and 503 if the keys can't be read, which is logged; log may be nil for
// slog's default.
func (v *Verifier) Middleware(next http.Handler, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.Default()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		match, err := v.Verify(r.Context(), presented(r))
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), matchKey{}, match)))
		case errors.Is(err, ErrInvalid):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "missing or invalid API key", http.StatusUnauthorized)
		default:
			log.ErrorContext(r.Context(), "API keys can't be read", "secret", v.id, "error", err)
			http.Error(w, "API keys can't be verified now", http.StatusServiceUnavailable)
		}
	})
}

func presented(r *http.Request) string {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if found && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return r.Header.Get(Header)
}
