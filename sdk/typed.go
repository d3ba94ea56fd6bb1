package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
)

// GetBytes returns a copy of the secret's bytes.
func (c *Client) GetBytes(ctx context.Context, id string, which ...Selector) ([]byte, error) {
	secret, err := c.Get(ctx, id, which...)
	if err != nil {
		return nil, err
	}
	return secret.Value.Reveal(), nil
}

// GetString returns the secret as a string.
func (c *Client) GetString(ctx context.Context, id string, which ...Selector) (string, error) {
	secret, err := c.Get(ctx, id, which...)
	if err != nil {
		return "", err
	}
	return secret.Value.RevealString(), nil
}

// GetJSON returns the secret's JSON decoded into a T. Use spec.Value for the
// fields that are secret: it decodes from a JSON string and never prints. The
// error tells where decoding failed, but quotes nothing of the secret.
func GetJSON[T any](ctx context.Context, c Getter, id string, which ...Selector) (T, error) {
	var decoded T
	secret, err := c.Get(ctx, id, which...)
	if err != nil {
		return decoded, err
	}
	text := secret.Value.Reveal()
	defer clear(text)
	if err := json.Unmarshal(text, &decoded); err != nil {
		var zero T
		return zero, fmt.Errorf("decode secret %q: %w", id, withoutInput(err))
	}
	runtime.KeepAlive(secret)
	return decoded, nil
}

// withoutInput words an error of encoding/json anew: its own words quote the
// input, and those of other decoders may.
func withoutInput(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON: syntax error at byte %d", syntax.Offset)
	case errors.As(err, &mismatch) && mismatch.Field != "":
		return fmt.Errorf("the JSON value of %s doesn't fit a Go %s", mismatch.Field, mismatch.Type)
	case errors.As(err, &mismatch):
		return fmt.Errorf("the JSON value doesn't fit a Go %s", mismatch.Type)
	default:
		return fmt.Errorf("a value isn't in the form that its Go type wants (%T)", err)
	}
}
