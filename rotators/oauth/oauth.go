// Package oauth rotates the tokens of OAuth 2.0 clients, and their secrets where
// the server lets a client change its own.
//
// The secret is a spec.OAuth. With a refresh_token the next access token comes
// from it (RFC 6749 section 6), else from the client's own credentials (section
// 4.4). Four more keys of the secret say how, all optional:
//
//	token_endpoint_auth_method  client_secret_basic (default), client_secret_post or none (RFC 7591)
//	introspection_url           where a new token is verified (RFC 7662)
//	resource_url                or: a resource that a valid token may GET
//	revocation_url              where old access tokens are revoked (RFC 7009)
//
// A client with registration_client_uri and registration_access_token also gets
// another client_secret, if its server gives one when its registration is
// updated (RFC 7592).
//
// # Refresh tokens that can be used once
//
// Many servers give a new refresh token with each access token and take the old
// one for stolen when it comes again (RFC 9700 section 4.14.2). Nothing is asked
// of the server before the secret could be read, and the answer is stored as
// the pending version before anything else is done with it; until it is stored
// it is also kept in memory, for the try that Secrets Manager makes after a
// failure, which usually reaches the same process. What the protocol leaves is
// a process that dies between the server's answer and the call that stores it:
// the next try uses the old refresh token again. Servers with a grace period
// (often called leeway or overlap) answer as before; switch it on. Of others
// the answer is invalid_grant: then the current access token works until it
// expires, and the error says that somebody must grant access anew. The same
// holds for a registration_access_token that the server changes with the
// client's secret.
//
// A rotation that stored new tokens and was then cancelled is not the end of
// them: the target is rotation.Consuming.
//
// Some servers end the old access token when its refresh token is used. Readers
// of the current version are then refused until the rotation finishes, usually
// for less than a second; secrets.Client.Do tries again by itself.
package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/aistudio/secrets/rotators/remote"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// Target rotates OAuth tokens. It is safe for concurrent use.
type Target struct {
	client *remote.Client
	http   *http.Client
	now    func() time.Time

	mu       sync.Mutex
	progress map[string]progress // by the token of versions that aren't known to be stored
}

// progress is how far the making of a value came in this process.
type progress struct {
	value  spec.OAuth
	client bool // its client secret is renewed
	tokens bool // its tokens are
}

var _ rotation.Consuming = (*Target)(nil)

// Consumes implements rotation.Consuming: refresh tokens may be used up.
func (t *Target) Consumes() {}

// spare is the time that must be left before anything is asked for that the
// server gives once: for two requests, and for storing the answer.
const spare = 2*remote.DefaultTimeout + 5*time.Second

// New returns a target that sends requests by transport; nil:
// http.DefaultTransport.
func New(transport http.RoundTripper) *Target {
	return &Target{
		client:   remote.New(transport, 0),
		http:     remote.HTTP(transport, 0),
		now:      time.Now,
		progress: map[string]progress{},
	}
}

// settings are the keys of the secret that say how to use the server.
type settings struct {
	AuthMethod       string `json:"token_endpoint_auth_method"`
	IntrospectionURL string `json:"introspection_url"`
	ResourceURL      string `json:"resource_url"`
	RevocationURL    string `json:"revocation_url"`
}

// read parses a value and checks what can be told without asking the server.
func read(v spec.Value) (spec.OAuth, settings, error) {
	o, err := spec.ParseOAuth(v)
	if err != nil {
		return o, settings{}, fmt.Errorf("%w (%w)", err, rotation.ErrDefinite)
	}
	var s settings
	text := v.Reveal()
	defer clear(text)
	if json.Unmarshal(text, &s) != nil {
		return o, s, fmt.Errorf("oauth secret: the keys token_endpoint_auth_method, introspection_url, resource_url and revocation_url hold strings (%w)", rotation.ErrDefinite)
	}
	var errs []error
	if o.ClientID == "" {
		errs = append(errs, errors.New(`key "client_id" is missing`))
	}
	if o.TokenURL == "" {
		errs = append(errs, errors.New(`key "token_url" is missing`))
	}
	for _, address := range []struct{ key, url string }{
		{"token_url", o.TokenURL}, {"introspection_url", s.IntrospectionURL}, {"resource_url", s.ResourceURL},
		{"revocation_url", s.RevocationURL}, {"registration_client_uri", o.RegistrationURL},
	} {
		if address.url == "" {
			continue
		}
		parsed, err := url.Parse(address.url)
		if err != nil {
			errs = append(errs, fmt.Errorf("key %q is no URL", address.key))
		} else if err := remote.CheckURL(parsed); err != nil {
			errs = append(errs, fmt.Errorf("key %q: %w", address.key, err))
		}
	}
	switch s.AuthMethod {
	case "", "client_secret_basic", "client_secret_post", "none":
	default:
		errs = append(errs, errors.New(`key "token_endpoint_auth_method" is none of client_secret_basic, client_secret_post, none`))
	}
	if o.ClientSecret.Len() == 0 && (s.AuthMethod != "none" || o.RefreshToken.Len() == 0) {
		errs = append(errs, errors.New(`key "client_secret" is missing: only a public client with a refresh token has none, whose token_endpoint_auth_method is none`))
	}
	if err := errors.Join(errs...); err != nil {
		return o, s, fmt.Errorf("oauth secret: %w (%w)", err, rotation.ErrDefinite)
	}
	return o, s, nil
}

func (s settings) authStyle() oauth2.AuthStyle {
	if s.AuthMethod == "client_secret_post" || s.AuthMethod == "none" {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// Generate asks the server for new tokens.
func (t *Target) Generate(ctx context.Context, request rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	if request.Seed != nil {
		return rotation.GenerateResponse{}, fmt.Errorf(
			"an OAuth secret has no first value that could be generated: put a JSON object with token_url, client_id, client_secret and, if there is one, refresh_token into it (%w)", rotation.ErrDefinite)
	}
	p, s, err := t.begin(request)
	if err != nil {
		return rotation.GenerateResponse{}, err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < spare && !p.tokens {
		return rotation.GenerateResponse{}, fmt.Errorf("less than %s are left, so nothing was asked of the server: the function's timeout must be longer", spare)
	}
	if !p.client && p.value.RegistrationURL != "" && p.value.RegistrationToken.Len() > 0 {
		if err := t.renewClient(ctx, &p.value); err != nil {
			return rotation.GenerateResponse{}, err
		}
		p.client = true
		t.keep(request.Token, p)
	}
	if !p.tokens {
		if err := t.renewTokens(ctx, &p.value, s); err != nil {
			return rotation.GenerateResponse{}, err
		}
		p.tokens = true
		t.keep(request.Token, p)
	}
	value, err := p.value.Encode()
	if err != nil {
		return rotation.GenerateResponse{}, fmt.Errorf("%w (%w)", err, rotation.ErrDefinite)
	}
	return rotation.GenerateResponse{Value: value}, nil
}

// begin returns what this process has made already for the version, or the value
// to start from: the newest that the server knows.
func (t *Target) begin(request rotation.GenerateRequest) (progress, settings, error) {
	current, s, err := read(request.Current)
	if err != nil {
		return progress{}, s, err
	}
	if p, ok := t.kept(request.Token); ok {
		return p, s, nil
	}
	if request.Newest.Len() > 0 {
		newest, newestSettings, err := read(request.Newest)
		if err == nil && newest.ClientID == current.ClientID && newest.TokenURL == current.TokenURL {
			return progress{value: newest}, newestSettings, nil
		}
	}
	return progress{value: current}, s, nil
}

// renewTokens replaces the tokens by new ones. A request whose answer was lost
// is made once more at once: a server with a grace period gives it again.
func (t *Target) renewTokens(ctx context.Context, o *spec.OAuth, s settings) error {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, t.http)
	refreshing := o.RefreshToken.Len() > 0
	token, err := ask(ctx, *o, s)
	if err != nil && refreshing && ctx.Err() == nil && ambiguous(err) {
		token, err = ask(ctx, *o, s)
	}
	if err != nil {
		return refusal(err, refreshing)
	}
	o.AccessToken, o.ExpiresAt = spec.ValueString(token.AccessToken), time.Time{}
	if !token.Expiry.IsZero() {
		o.ExpiresAt = token.Expiry.UTC().Truncate(time.Second)
	}
	if token.RefreshToken != "" {
		o.RefreshToken = spec.ValueString(token.RefreshToken)
	}
	return nil
}

func ask(ctx context.Context, o spec.OAuth, s settings) (*oauth2.Token, error) {
	if o.RefreshToken.Len() > 0 {
		config := oauth2.Config{
			ClientID: o.ClientID, ClientSecret: o.ClientSecret.RevealString(),
			Endpoint: oauth2.Endpoint{TokenURL: o.TokenURL, AuthStyle: s.authStyle()},
		}
		return config.TokenSource(ctx, &oauth2.Token{RefreshToken: o.RefreshToken.RevealString()}).Token()
	}
	config := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret.RevealString(), TokenURL: o.TokenURL, AuthStyle: s.authStyle(),
	}
	if o.Scope != "" {
		config.Scopes = []string{o.Scope} // joined by spaces, as it is
	}
	return config.Token(ctx)
}

// ambiguous tells of a failure after which the server may have answered.
func ambiguous(err error) bool {
	answer := (*oauth2.RetrieveError)(nil)
	return !errors.As(err, &answer) || answer.Response.StatusCode >= http.StatusInternalServerError
}

// refusal says what a failed token request means. The server's own words aren't
// in it: they may quote the request.
func refusal(err error, refreshing bool) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return fmt.Errorf("asking the token endpoint: %w", remote.WithoutURL(err))
	}
	status := &remote.StatusError{Status: answer.Response.StatusCode}
	switch answer.ErrorCode {
	case "invalid_grant":
		if refreshing {
			return fmt.Errorf("the server refused the refresh token (invalid_grant): it expired, was revoked, or was used by a run that ended before its answer was stored. "+
				"Somebody must grant access anew and put the new refresh_token into the secret; the current access token works until it expires (%w)", rotation.ErrDefinite)
		}
	case "invalid_client", "unauthorized_client":
		return fmt.Errorf("the server refused the client (%s): check client_id, client_secret and token_endpoint_auth_method (%w)", answer.ErrorCode, rotation.ErrDefinite)
	case "invalid_scope", "invalid_request", "unsupported_grant_type":
		return fmt.Errorf("the server refused the request (%s): check token_url and scope (%w)", answer.ErrorCode, rotation.ErrDefinite)
	}
	return fmt.Errorf("asking the token endpoint: %w", status)
}

// Apply has nothing to do: the server has issued what is pending. It refuses
// tokens of a client that is no longer the current one.
func (t *Target) Apply(_ context.Context, request rotation.ApplyRequest) (rotation.ApplyResponse, error) {
	t.drop(request.Token) // it is stored, since it was read
	pending, _, err := read(request.Pending)
	if err != nil {
		return rotation.ApplyResponse{}, err
	}
	current, _, err := read(request.Current)
	if err != nil {
		return rotation.ApplyResponse{}, err
	}
	if pending.ClientID != current.ClientID || pending.TokenURL != current.TokenURL {
		return rotation.ApplyResponse{}, fmt.Errorf("the secret is of another client or server than when the tokens were asked for: %w", rotation.ErrRejected)
	}
	return rotation.ApplyResponse{}, nil
}

func (t *Target) keep(token string, p progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress[token] = p
}

func (t *Target) kept(token string) (progress, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.progress[token]
	return p, ok
}

func (t *Target) drop(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.progress, token)
}
