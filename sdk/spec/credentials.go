package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// APIKey is the value of an API key secret: a JSON object with the keys id and
// key, or just the key, as keys that come from an environment variable are.
// Other keys of the object are kept.
type APIKey struct {
	ID  string // names the key in logs and lists; "": absent
	Key Value

	source Value // the object that was parsed, for what Encode keeps
	plain  bool  // the value is the key itself
}

// ParseAPIKey reads an API key secret. Bytes that don't start with a brace are
// the key itself, untouched, and are encoded as such again unless an ID is set.
func ParseAPIKey(v Value) (APIKey, error) {
	if v.Len() == 0 {
		return APIKey{}, errors.New("api-key secret: empty")
	}
	if !strings.HasPrefix(strings.TrimSpace(v.RevealString()), "{") {
		return APIKey{Key: v, plain: true}, nil
	}
	members, err := parseObject(v)
	if err != nil {
		return APIKey{}, fmt.Errorf("api-key secret: %w", err)
	}
	k := APIKey{source: v}
	var key string
	var errs []error
	for _, text := range []struct {
		name string
		to   *string
	}{{"id", &k.ID}, {"key", &key}} {
		if *text.to, err = readString(members.get(text.name)); err != nil {
			errs = append(errs, fmt.Errorf("key %q: %w", text.name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return APIKey{}, fmt.Errorf("api-key secret: %w", err)
	}
	if key == "" {
		return APIKey{}, fmt.Errorf("api-key secret: key %q is missing", "key")
	}
	k.Key = ValueString(key)
	return k, nil
}

// Encode returns the secret's value, in the form in which it was parsed.
func (k APIKey) Encode() (Value, error) {
	if k.Key.Len() == 0 {
		return Value{}, errors.New("api-key secret: no key")
	}
	if k.plain && k.ID == "" {
		return k.Key, nil
	}
	id, idErr := stringField("id", k.ID)
	key, keyErr := stringField("key", k.Key.RevealString())
	if err := errors.Join(idErr, keyErr); err != nil {
		return Value{}, fmt.Errorf("api-key secret: %w", err)
	}
	encoded, err := encodeObject(k.source, []field{id, key})
	if err != nil {
		return Value{}, fmt.Errorf("api-key secret: %w", err)
	}
	return encoded, nil
}

// OAuth is the value of an OAuth secret: a client's credentials and the tokens
// they gave. The JSON keys are RFC 6749's (client_id, client_secret, scope,
// access_token, refresh_token), token_url for the token endpoint, expires_at,
// the access token's end as an RFC 3339 time, and RFC 7592's
// registration_client_uri and registration_access_token. Other keys are kept.
type OAuth struct {
	TokenURL     string
	ClientID     string
	ClientSecret Value
	Scope        string    // space separated, RFC 6749 section 3.3; "": absent
	AccessToken  Value     // empty: absent
	RefreshToken Value     // empty: absent
	ExpiresAt    time.Time // zero: absent

	RegistrationURL   string // where the client's registration is changed; "": absent
	RegistrationToken Value  // that lets one do so; empty: absent

	source Value // the document that was parsed, for what Encode keeps
}

// ParseOAuth reads an OAuth secret. It asks for none of the keys.
func ParseOAuth(v Value) (OAuth, error) {
	members, err := parseObject(v)
	if err != nil {
		return OAuth{}, fmt.Errorf("oauth secret: %w", err)
	}
	o := OAuth{source: v}
	var clientSecret, accessToken, refreshToken, registrationToken string
	var errs []error
	for _, text := range []struct {
		key string
		to  *string
	}{
		{"token_url", &o.TokenURL}, {"client_id", &o.ClientID}, {"client_secret", &clientSecret},
		{"scope", &o.Scope}, {"access_token", &accessToken}, {"refresh_token", &refreshToken},
		{"registration_client_uri", &o.RegistrationURL}, {"registration_access_token", &registrationToken},
	} {
		if *text.to, err = readString(members.get(text.key)); err != nil {
			errs = append(errs, fmt.Errorf("key %q: %w", text.key, err))
		}
	}
	if o.ExpiresAt, err = readTime(members.get("expires_at")); err != nil {
		errs = append(errs, fmt.Errorf("key %q: %w", "expires_at", err))
	}
	if err := errors.Join(errs...); err != nil {
		return OAuth{}, fmt.Errorf("oauth secret: %w", err)
	}
	o.ClientSecret, o.AccessToken, o.RefreshToken = ValueString(clientSecret), ValueString(accessToken), ValueString(refreshToken)
	o.RegistrationToken = ValueString(registrationToken)
	return o, nil
}

// Encode returns the JSON object. Members that didn't change, and those that
// this package doesn't know, are as they were parsed.
func (o OAuth) Encode() (Value, error) {
	var fields []field
	var errs []error
	for _, text := range []struct{ key, s string }{
		{"token_url", o.TokenURL}, {"client_id", o.ClientID}, {"client_secret", o.ClientSecret.RevealString()},
		{"scope", o.Scope}, {"access_token", o.AccessToken.RevealString()}, {"refresh_token", o.RefreshToken.RevealString()},
		{"registration_client_uri", o.RegistrationURL}, {"registration_access_token", o.RegistrationToken.RevealString()},
	} {
		f, err := stringField(text.key, text.s)
		errs = append(errs, err)
		fields = append(fields, f)
	}
	if err := errors.Join(errs...); err != nil {
		return Value{}, fmt.Errorf("oauth secret: %w", err)
	}
	encoded, err := encodeObject(o.source, append(fields, timeField("expires_at", o.ExpiresAt)))
	if err != nil {
		return Value{}, fmt.Errorf("oauth secret: %w", err)
	}
	return encoded, nil
}

func readTime(raw json.RawMessage) (time.Time, error) {
	text, err := readString(raw)
	if err != nil || text == "" {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("not an RFC 3339 time")
	}
	return t, nil
}

func timeField(key string, t time.Time) field {
	f := field{key: key, same: func(raw json.RawMessage) bool {
		old, err := readTime(raw)
		return err == nil && old.Equal(t)
	}}
	if !t.IsZero() {
		f.raw = json.RawMessage(`"` + t.UTC().Format(time.RFC3339Nano) + `"`)
	}
	return f
}
