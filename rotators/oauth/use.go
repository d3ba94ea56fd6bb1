package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// Verify asks the server, or a resource, whether the pending access token is
// good. With neither configured it looks at its expiry.
func (t *Target) Verify(ctx context.Context, request rotation.VerifyRequest) (rotation.VerifyResponse, error) {
	o, s, err := read(request.Pending)
	if err != nil {
		return rotation.VerifyResponse{}, err
	}
	switch {
	case o.AccessToken.Len() == 0:
		return rotation.VerifyResponse{}, fmt.Errorf("the pending value has no access token (%w)", rotation.ErrDefinite)
	case !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(t.now()):
		return rotation.VerifyResponse{}, fmt.Errorf("the pending access token expired at %s: rotate again (%w)", o.ExpiresAt, rotation.ErrDefinite)
	case s.IntrospectionURL != "":
		err = t.introspect(ctx, o, s)
	case s.ResourceURL != "":
		err = t.visit(ctx, o, s)
	}
	return rotation.VerifyResponse{}, err
}

// introspect is RFC 7662.
func (t *Target) introspect(ctx context.Context, o spec.OAuth, s settings) error {
	body, err := t.post(ctx, s.IntrospectionURL, o, s, url.Values{
		"token": {o.AccessToken.RevealString()}, "token_type_hint": {"access_token"},
	})
	if err != nil {
		return fmt.Errorf("introspecting the new access token: %w", err)
	}
	var answer struct {
		Active bool `json:"active"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return fmt.Errorf("introspecting the new access token: the answer isn't RFC 7662's JSON (%w)", rotation.ErrDefinite)
	}
	if !answer.Active {
		return errors.New("the server says that the new access token isn't active")
	}
	return nil
}

func (t *Target) visit(ctx context.Context, o spec.OAuth, s settings) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ResourceURL, nil)
	if err != nil {
		return fmt.Errorf(`key "resource_url" is no URL (%w)`, rotation.ErrDefinite)
	}
	request.Header.Set("Authorization", "Bearer "+o.AccessToken.RevealString())
	if _, err := t.client.Do(request); err != nil {
		return fmt.Errorf("using the new access token: %w", err)
	}
	return nil
}

// Retire revokes the access token that nobody should have any more, if it came
// from the client's own credentials. One that came with a refresh token is left
// to expire: a server may take its revocation for the end of the whole grant
// (RFC 7009 section 2.1).
func (t *Target) Retire(ctx context.Context, request rotation.RetireRequest) (rotation.RetireResponse, error) {
	retired, _, err := read(request.Retired)
	if err != nil {
		return rotation.RetireResponse{}, nil //nolint:nilerr // no value of ours: nothing that could be revoked
	}
	current, s, err := read(request.Current)
	if err != nil {
		return rotation.RetireResponse{}, err
	}
	pending, _, err := read(request.Pending)
	if err != nil {
		return rotation.RetireResponse{}, err
	}
	token := retired.AccessToken
	if s.RevocationURL == "" || retired.RefreshToken.Len() > 0 || token.Len() == 0 || token.Equal(current.AccessToken) || token.Equal(pending.AccessToken) {
		return rotation.RetireResponse{}, nil
	}
	// The pending client secret is the one that the server knows now.
	if _, err := t.post(ctx, s.RevocationURL, pending, s, url.Values{
		"token": {token.RevealString()}, "token_type_hint": {"access_token"},
	}); err != nil {
		return rotation.RetireResponse{}, fmt.Errorf("revoking the access token before the last: %w", err)
	}
	return rotation.RetireResponse{}, nil
}

// post sends a form with the client's credentials as for the token endpoint.
func (t *Target) post(ctx context.Context, address string, o spec.OAuth, s settings, form url.Values) ([]byte, error) {
	switch s.AuthMethod {
	case "none":
		form.Set("client_id", o.ClientID)
	case "client_secret_post":
		form.Set("client_id", o.ClientID)
		form.Set("client_secret", o.ClientSecret.RevealString())
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("no URL (%w)", rotation.ErrDefinite)
	}
	if s.AuthMethod == "" || s.AuthMethod == "client_secret_basic" {
		// RFC 6749 section 2.3.1: both are form-encoded first.
		request.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret.RevealString()))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	return t.client.Do(request)
}

// renewClient gives the client another secret by updating its registration with
// what it is already (RFC 7592 section 2.2). It reads the registration first: if
// that has another secret than ours, an earlier run got it and died before it
// was stored.
func (t *Target) renewClient(ctx context.Context, o *spec.OAuth) error {
	registered, err := t.registration(ctx, http.MethodGet, *o, nil)
	if err != nil {
		return fmt.Errorf("reading the client's registration: %w", err)
	}
	before := o.ClientSecret
	registered.take(o)
	if !o.ClientSecret.Equal(before) {
		return nil
	}
	for _, key := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		delete(registered, key) // "MUST NOT include"
	}
	body, err := json.Marshal(registered)
	if err != nil {
		return fmt.Errorf("writing the client's registration (%w)", rotation.ErrDefinite)
	}
	updated, err := t.registration(ctx, http.MethodPut, *o, body)
	if err != nil {
		return fmt.Errorf("updating the client's registration: %w", err)
	}
	updated.take(o)
	return nil
}

// registration is a client's metadata, as the server writes it.
type registration map[string]json.RawMessage

func (r registration) take(o *spec.OAuth) {
	for _, member := range []struct {
		key string
		to  *spec.Value
	}{{"client_secret", &o.ClientSecret}, {"registration_access_token", &o.RegistrationToken}} {
		var text string
		if json.Unmarshal(r[member.key], &text) == nil && text != "" {
			*member.to = spec.ValueString(text)
		}
	}
}

func (t *Target) registration(ctx context.Context, method string, o spec.OAuth, body []byte) (registration, error) {
	request, err := http.NewRequestWithContext(ctx, method, o.RegistrationURL, strings.NewReader(string(body)))
	if err != nil {
		return nil, fmt.Errorf(`key "registration_client_uri" is no URL (%w)`, rotation.ErrDefinite)
	}
	request.Header.Set("Authorization", "Bearer "+o.RegistrationToken.RevealString())
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := t.client.Do(request)
	if err != nil {
		return nil, err
	}
	var r registration
	if json.Unmarshal(answer, &r) != nil {
		return nil, fmt.Errorf("the answer isn't RFC 7592's JSON (%w)", rotation.ErrDefinite)
	}
	return r, nil
}
