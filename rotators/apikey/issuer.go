package apikey

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aistudio/secrets/rotators/remote"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	defaultPatience = 60 * time.Second
	firstPause      = 250 * time.Millisecond
	longestPause    = 5 * time.Second
)

// Options of an Issuer. The zero value is fine.
type Options struct {
	// Transport sends the requests. Nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Patience is how long Verify waits until the issuer knows a new key.
	// 0: 60 s. The context's deadline may end it sooner.
	Patience time.Duration
}

// Issuer rotates keys that another system issues. A key's id is kept beside it
// in the secret, by which it is revoked when it isn't AWSPREVIOUS any more.
//
// With a Description that has a List, keys of a rotation that were made but
// never stored are revoked once another one is. Two seeds of one secret at the
// same time may then revoke each other's keys, and the verification says so;
// an issuer with idempotency keys has no such case.
//
// The key of a rotation that was cancelled or given up is revoked by the next
// one.
type Issuer struct {
	description Description
	secrets     remote.SecretReader
	client      *remote.Client
	patience    time.Duration
}

var _ rotation.Consuming = (*Issuer)(nil)

// NewIssuer returns the target for an issuer, whose admin credential is read by
// secrets, usually a *secretsmanager.Client.
func NewIssuer(description Description, secrets remote.SecretReader, options Options) *Issuer {
	patience := options.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	return &Issuer{description: description, secrets: secrets, client: remote.New(options.Transport, 0), patience: patience}
}

// Consumes marks the target as one whose next rotation has to know of a key that
// was made and never became current.
func (*Issuer) Consumes() {}

// Generate has the issuer make a key.
func (i *Issuer) Generate(ctx context.Context, r rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	value, err := base(r)
	if err != nil {
		return rotation.GenerateResponse{}, err
	}
	if r.Seed == nil && value.ID == "" {
		return rotation.GenerateResponse{}, fmt.Errorf(`the current value has no id, by which its key could be revoked: store it as {"id": …, "key": …} with the id that the issuer gave it (%w)`, rotation.ErrDefinite)
	}
	if r.Newest.Len() > 0 {
		if err := i.revokeGivenUp(ctx, r); err != nil {
			return rotation.GenerateResponse{}, err
		}
	}
	answer, err := i.ask(ctx, "creating a key", i.description.Create.Request, fields{Token: r.Token})
	if err != nil {
		return rotation.GenerateResponse{}, err
	}
	id, idErr := findText(answer, i.description.Create.ID)
	key, keyErr := findText(answer, i.description.Create.Key)
	if err := errors.Join(idErr, keyErr); err != nil {
		return rotation.GenerateResponse{}, fmt.Errorf("the answer to creating a key isn't as described: %w (%w)", err, rotation.ErrDefinite)
	}
	value.ID, value.Key = id, spec.ValueString(key)
	return encode(value)
}

// Apply revokes the keys that tries of this rotation have made and lost. It
// doesn't do so before the pending one is stored: a store whose answer was lost
// would leave a key that is revoked.
func (i *Issuer) Apply(ctx context.Context, r rotation.ApplyRequest) (rotation.ApplyResponse, error) {
	list := i.description.List
	if list == nil {
		return rotation.ApplyResponse{}, nil
	}
	pending, err := stored(r.Pending)
	if err != nil {
		return rotation.ApplyResponse{}, err
	}
	answer, err := i.ask(ctx, "listing the keys", list.Request, fields{Token: r.Token})
	if err != nil {
		return rotation.ApplyResponse{}, err
	}
	items, err := find(answer, list.Items)
	keys, isArray := items.([]any)
	if err == nil && !isArray {
		err = fmt.Errorf("what is at %q is no array", list.Items)
	}
	if err != nil {
		return rotation.ApplyResponse{}, fmt.Errorf("the list of keys isn't as described: %w (%w)", err, rotation.ErrDefinite)
	}
	for _, key := range keys {
		name, err := findText(key, list.Name)
		if err != nil || !strings.Contains(name, r.Token) {
			continue // a key without a name isn't one of ours
		}
		id, err := findText(key, list.ID)
		if err != nil {
			return rotation.ApplyResponse{}, fmt.Errorf("the list of keys isn't as described: %w (%w)", err, rotation.ErrDefinite)
		}
		if id == pending.ID {
			continue
		}
		if err := i.revoke(ctx, "revoking a key that was never stored", fields{Token: r.Token, ID: id}); err != nil {
			return rotation.ApplyResponse{}, err
		}
	}
	return rotation.ApplyResponse{}, nil
}

// Verify uses the key until the issuer accepts it, because new keys aren't
// active at once everywhere.
func (i *Issuer) Verify(ctx context.Context, r rotation.VerifyRequest) (rotation.VerifyResponse, error) {
	pending, err := stored(r.Pending)
	if err != nil {
		return rotation.VerifyResponse{}, err
	}
	giveUp := time.Now().Add(i.patience)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		_, err := i.send(ctx, "using the new key", i.description.Verify, fields{Token: r.Token, ID: pending.ID, Key: pending.Key.RevealString()})
		var status *remote.StatusError
		refused := errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden || status.Status == http.StatusNotFound)
		switch {
		case err == nil:
			return rotation.VerifyResponse{}, nil
		case errors.Is(err, rotation.ErrDefinite) && !refused:
			return rotation.VerifyResponse{}, err
		case time.Now().Add(pause).After(giveUp):
			return rotation.VerifyResponse{}, fmt.Errorf("the key didn't work within %s: %w", i.patience, err)
		}
		if stopped := remote.Pause(ctx, pause); stopped != nil {
			return rotation.VerifyResponse{}, fmt.Errorf("%w: %w", stopped, err)
		}
	}
}

// Retire revokes the key, unless the current or the pending value has the same.
func (i *Issuer) Retire(ctx context.Context, r rotation.RetireRequest) (rotation.RetireResponse, error) {
	retired, err := spec.ParseAPIKey(r.Retired)
	if err != nil {
		return rotation.RetireResponse{}, fmt.Errorf("the previous value: %w (%w)", err, rotation.ErrDefinite)
	}
	for what, value := range map[string]spec.Value{"current": r.Current, "pending": r.Pending} {
		kept, err := spec.ParseAPIKey(value)
		if err != nil {
			return rotation.RetireResponse{}, fmt.Errorf("the %s value: %w (%w)", what, err, rotation.ErrDefinite)
		}
		if kept.ID != "" && kept.ID == retired.ID || kept.Key.Equal(retired.Key) {
			return rotation.RetireResponse{}, nil
		}
	}
	if retired.ID == "" {
		return rotation.RetireResponse{}, fmt.Errorf("the previous value has no id, so its key can't be revoked here: revoke it at the issuer and take AWSPREVIOUS from the version (%w)", rotation.ErrDefinite)
	}
	return rotation.RetireResponse{}, i.revoke(ctx, "revoking a key that nobody needs", fields{Token: r.Token, ID: retired.ID})
}

// revokeGivenUp revokes the key of a rotation that never finished.
func (i *Issuer) revokeGivenUp(ctx context.Context, r rotation.GenerateRequest) error {
	_, err := i.Retire(ctx, rotation.RetireRequest{
		SecretARN: r.SecretARN, Token: r.Token, Retired: r.Newest, Current: r.Current, Pending: r.Current,
	})
	if err != nil {
		return fmt.Errorf("the key of a rotation that was given up: %w", err)
	}
	return nil
}

// stored reads a pending value, which always has an id.
func stored(value spec.Value) (spec.APIKey, error) {
	key, err := spec.ParseAPIKey(value)
	if err == nil && key.ID == "" {
		err = errors.New("it has no id, which the issuer gives a key")
	}
	if err != nil {
		return spec.APIKey{}, fmt.Errorf("the pending value: %w (%w)", err, rotation.ErrDefinite)
	}
	return key, nil
}

func (i *Issuer) revoke(ctx context.Context, doing string, f fields) error {
	_, err := i.send(ctx, doing, i.description.Revoke, f)
	var status *remote.StatusError
	if errors.As(err, &status) && (status.Status == http.StatusNotFound || status.Status == http.StatusGone) {
		return nil
	}
	return err
}

// ask sends a request and returns the JSON that is answered.
func (i *Issuer) ask(ctx context.Context, doing string, description Request, f fields) (any, error) {
	body, err := i.send(ctx, doing, description, f)
	if err != nil {
		return nil, err
	}
	answer, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("%s: the answer isn't as described: %w (%w)", doing, err, rotation.ErrDefinite)
	}
	return answer, nil
}

func (i *Issuer) send(ctx context.Context, doing string, description Request, f fields) ([]byte, error) {
	if description.uses(func(f *fields) { f.Admin = probe }) {
		var err error
		if f.Admin, err = i.admin(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
	}
	filled, err := description.render(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (%w)", doing, err, rotation.ErrDefinite)
	}
	request, err := http.NewRequestWithContext(ctx, filled.Method, filled.URL, strings.NewReader(filled.Body))
	if err != nil {
		return nil, fmt.Errorf("%s: the method or the URL that is described is malformed (%w)", doing, rotation.ErrDefinite)
	}
	for name, value := range filled.Headers {
		request.Header.Set(name, value)
	}
	body, err := i.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return body, nil
}

func (i *Issuer) admin(ctx context.Context) (string, error) {
	value, err := remote.ReadSecret(ctx, i.secrets, i.description.Admin.Secret)
	if err != nil || i.description.Admin.Pointer == "" {
		return value.RevealString(), err
	}
	document, err := parse(value.Reveal())
	if err != nil {
		return "", fmt.Errorf("the admin credential %s: %w (%w)", i.description.Admin.Secret, err, rotation.ErrDefinite)
	}
	text, err := findText(document, i.description.Admin.Pointer)
	if err != nil {
		return "", fmt.Errorf("the admin credential %s: %w (%w)", i.description.Admin.Secret, err, rotation.ErrDefinite)
	}
	return text, nil
}
