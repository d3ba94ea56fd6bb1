package custom

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aistudio/secrets/rotators/remote"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// The steps that a webhook is asked for. Each may be asked for again with the
// same token and must then end as if it had been asked for once.
const (
	StepSet    = "set"    // make the system accept pending beside current, and no other that was set before
	StepTest   = "test"   // use pending as a client would
	StepRetire = "retire" // take retired out of use; current and pending go on working
)

// The headers of a request.
const (
	// HeaderTimestamp is when the request was signed, in Unix seconds. Refuse
	// requests that are older than a few minutes.
	HeaderTimestamp = "X-Secrets-Timestamp"
	// HeaderSignature is what Sign returns.
	HeaderSignature = "X-Secrets-Signature"
)

const (
	attempts   = 3
	firstPause = 200 * time.Millisecond
)

// Call is the body of a request, a JSON object. Values are the secret's, by
// what they are: pending, current, previous, retired; those that there aren't
// are absent.
//
// The answers: 2xx when the step is done; 422 to StepSet when the value can
// never work, so that it is withdrawn; other statuses below 500, but 408, 425
// and 429, when only somebody's change can help; all others are tried again.
type Call struct {
	Step     string            `json:"step"`
	SecretID string            `json:"secretId"` // ARN
	Token    string            `json:"token"`    // id of the pending version
	Values   map[string]string `json:"values"`
}

// Description says where a webhook is. It holds no secret.
type Description struct {
	URL     string        // https://, or http:// to the machine itself
	Secret  string        // ARN or name of the secret that is the signing key
	Timeout time.Duration // of one request
}

// ParseWebhook reads a JSON object with the keys url, secret and, optional,
// timeout, a duration such as 5s.
func ParseWebhook(text string) (Description, error) {
	var in struct {
		URL     string `json:"url"`
		Secret  string `json:"secret"`
		Timeout string `json:"timeout"`
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return Description{}, fmt.Errorf("description of the webhook: %w", err)
	}
	d := Description{URL: in.URL, Secret: in.Secret, Timeout: remote.DefaultTimeout}
	var errs []error
	if parsed, err := url.Parse(in.URL); err != nil {
		errs = append(errs, errors.New("key \"url\" is no URL"))
	} else if err := remote.CheckURL(parsed); err != nil {
		errs = append(errs, fmt.Errorf("key \"url\": %w", err))
	}
	if in.Secret == "" {
		errs = append(errs, errors.New("key \"secret\" is missing: name the secret that is the signing key"))
	}
	if in.Timeout != "" {
		var err error
		if d.Timeout, err = time.ParseDuration(in.Timeout); err != nil || d.Timeout <= 0 {
			errs = append(errs, fmt.Errorf("key \"timeout\": %q is no duration above 0", in.Timeout))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Description{}, fmt.Errorf("description of the webhook: %w", err)
	}
	return d, nil
}

// Webhook applies values by signed HTTP requests. It is safe for concurrent
// use.
type Webhook struct {
	description Description
	secrets     remote.SecretReader
	client      *remote.Client
}

// NewWebhook returns the webhook. secrets reads the signing key and is usually
// a *secretsmanager.Client; transport sends the requests, nil:
// http.DefaultTransport.
func NewWebhook(description Description, secrets remote.SecretReader, transport http.RoundTripper) *Webhook {
	return &Webhook{description: description, secrets: secrets, client: remote.New(transport, description.Timeout)}
}

// Sign returns the signature of a request: "v1=" and the HMAC-SHA256, in hex,
// of the timestamp as it is in the header, a dot and the body.
func Sign(key spec.Value, timestamp string, body []byte) string {
	secret := key.Reveal()
	defer clear(secret)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// call asks for a step, three times at most. A nil Webhook does nothing.
func (w *Webhook) call(ctx context.Context, step, secretID, token string, values map[string]spec.Value) error {
	if w == nil {
		return nil
	}
	call := Call{Step: step, SecretID: secretID, Token: token, Values: map[string]string{}}
	for name, value := range values {
		text := value.RevealString()
		if !utf8.ValidString(text) {
			return fmt.Errorf("the %s value isn't text, so a webhook can't be told of it (%w)", name, rotation.ErrDefinite)
		}
		if text != "" {
			call.Values[name] = text
		}
	}
	body, err := json.Marshal(call)
	if err != nil {
		return fmt.Errorf("the call of the webhook can't be written as JSON (%w)", rotation.ErrDefinite)
	}
	key, err := remote.ReadSecret(ctx, w.secrets, w.description.Secret)
	if err != nil {
		return fmt.Errorf("the webhook's signing key: %w", err)
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := w.send(ctx, key, body)
		var status *remote.StatusError
		switch {
		case err == nil:
			return nil
		case step == StepSet && errors.As(err, &status) && status.Status == http.StatusUnprocessableEntity:
			return fmt.Errorf("step %s of the webhook: %w: %w", step, err, rotation.ErrRejected)
		case errors.Is(err, rotation.ErrDefinite) || attempt == attempts:
			return fmt.Errorf("step %s of the webhook, try %d: %w", step, attempt, err)
		}
		if stopped := remote.Pause(ctx, pause); stopped != nil {
			return fmt.Errorf("step %s of the webhook: %w: %w", step, stopped, err)
		}
		pause *= 2
	}
}

func (w *Webhook) send(ctx context.Context, key spec.Value, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.description.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the webhook's URL is malformed (%w)", rotation.ErrDefinite)
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(HeaderTimestamp, timestamp)
	request.Header.Set(HeaderSignature, Sign(key, timestamp, body))
	_, err = w.client.Do(request)
	return err
}
