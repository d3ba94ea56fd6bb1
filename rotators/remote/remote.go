// Package remote makes HTTP requests to the systems that rotators change, and
// tells definite answers from passing ones. Neither a URL nor an answer gets
// into an error, since both may hold credentials.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aistudio/secrets/rotators/rotation"
)

// DefaultTimeout is of one request with its answer.
const DefaultTimeout = 10 * time.Second

// maxBody bounds an answer, in bytes.
const maxBody = 1 << 20

// StatusError is an answer whose status isn't 2xx.
type StatusError struct{ Status int }

func (e *StatusError) Error() string {
	return fmt.Sprintf("the answer was %d %s", e.Status, http.StatusText(e.Status))
}

// Is makes the error rotation.ErrDefinite for all statuses but those which say
// that a retry may help: 408, 425, 429 (RFC 9110, RFC 8470, RFC 6585) and 5xx.
func (e *StatusError) Is(target error) bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return target == rotation.ErrDefinite && e.Status < http.StatusInternalServerError
}

// Client sends requests. It is safe for concurrent use.
type Client struct{ http *http.Client }

// New returns a client that sends by transport; nil: http.DefaultTransport.
// timeout is of one request with its answer; 0: DefaultTimeout.
func New(transport http.RoundTripper, timeout time.Duration) *Client {
	return &Client{http: HTTP(transport, timeout)}
}

// HTTP returns the HTTP client that New makes, for libraries that want one. It
// follows no redirection, which could take the credentials elsewhere.
func HTTP(transport http.RoundTripper, timeout time.Duration) *http.Client {
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &http.Client{
		Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Do returns the body of a 2xx answer, of at most 1 MiB. Other answers are a
// *StatusError.
func (c *Client) Do(request *http.Request) ([]byte, error) {
	if err := CheckURL(request.URL); err != nil {
		return nil, err
	}
	response, err := c.http.Do(request) //nolint:gosec // G704: the URL is the configuration's, which whoever deploys the function writes
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", request.URL.Host, WithoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("asking %s: %w", request.URL.Host, &StatusError{Status: response.StatusCode})
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", request.URL.Host, WithoutURL(err))
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes (%w)", request.URL.Host, maxBody, rotation.ErrDefinite)
	}
	return body, nil
}

// CheckURL refuses what would send credentials in the clear: all but https, and
// http to the machine itself.
func CheckURL(u *url.URL) error {
	switch {
	case u.Hostname() == "":
		return fmt.Errorf("the URL has no host (%w)", rotation.ErrDefinite)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()):
		return nil
	}
	return fmt.Errorf("the URL for %s must begin with https:// (%w)", u.Hostname(), rotation.ErrDefinite)
}

// WithoutURL takes the URL out of an error of package http: it may hold
// credentials.
func WithoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// Pause waits, or returns the context's error.
func Pause(ctx context.Context, duration time.Duration) error {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
