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

// The headers of a request.
const (
	// HeaderTimestamp is when the request was signed, in Unix seconds. Refuse
	// requests that are older than a few minutes.
	HeaderTimestamp = "X-Secrets-Timestamp"
	// HeaderSignature is what Sign returns.
	HeaderSignature = "X-Secrets-Signature"
)

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

// Webhook applies values by signed HTTP requests, whose body is a Call with the
// values. It is safe for concurrent use.
//
// The answers: 2xx when the step is done; 422 to StepSet when the value can
// never work, so that it is withdrawn; other statuses below 500, but 408, 425
// and 429, when only somebody's change can help; all others are tried again.
type Webhook struct {
	description Description
	secrets     remote.SecretReader
	client      *remote.Client
}

var _ Applier = (*Webhook)(nil)

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

func (w *Webhook) call(ctx context.Context, order order) error {
	values, err := texts(order.values)
	if err != nil {
		return err
	}
	body, err := json.Marshal(Call{Step: order.step, SecretID: order.secretARN, Token: order.token, Values: values})
	if err != nil {
		return fmt.Errorf("the call of the webhook can't be written as JSON (%w)", rotation.ErrDefinite)
	}
	key, err := remote.ReadSecret(ctx, w.secrets, w.description.Secret)
	if err != nil {
		return fmt.Errorf("the webhook's signing key: %w", err)
	}
	return repeat(ctx, "the webhook", order.step, func() error {
		err := w.send(ctx, key, body)
		var status *remote.StatusError
		if order.step == StepSet && errors.As(err, &status) && status.Status == http.StatusUnprocessableEntity {
			return fmt.Errorf("%w: %w", err, rotation.ErrRejected)
		}
		return err
	})
}

// texts returns the values that aren't empty as JSON can hold them.
func texts(values map[string]spec.Value) (map[string]string, error) {
	found := map[string]string{}
	for name, value := range values {
		text := value.RevealString()
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("the %s value isn't text, so that it can't be sent as JSON (%w)", name, rotation.ErrDefinite)
		}
		if text != "" {
			found[name] = text
		}
	}
	return found, nil
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
