// Package apikey rotates API keys: those that our own services verify
// (Generated), and those that another system issues by an HTTP API (Issuer).
// The value of a secret has the shape of spec.APIKey.
package apikey

import (
	"fmt"

	"github.com/aistudio/secrets/rotators/remote"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// New returns the target of a configuration: an Issuer if the JSON description
// of one is given, or else Generated with the prefix.
func New(prefix, issuer string, secrets remote.SecretReader) (rotation.Target, error) {
	if issuer == "" {
		return NewGenerated(prefix)
	}
	description, err := ParseDescription(issuer)
	if err != nil {
		return nil, err
	}
	return NewIssuer(description, secrets, Options{}), nil
}

// base is the value that the next one is made from: the current one, or an
// empty one for a seed.
func base(r rotation.GenerateRequest) (spec.APIKey, error) {
	if r.Seed != nil {
		if r.Seed.Database != nil {
			return spec.APIKey{}, fmt.Errorf("the seed is for a database, and this function makes API keys: seed with the function for databases (%w)", rotation.ErrDefinite)
		}
		return spec.APIKey{}, nil
	}
	value, err := spec.ParseAPIKey(r.Current)
	if err != nil {
		return spec.APIKey{}, fmt.Errorf("the current value: %w (%w)", err, rotation.ErrDefinite)
	}
	return value, nil
}

func encode(key spec.APIKey) (rotation.GenerateResponse, error) {
	value, err := key.Encode()
	if err != nil {
		return rotation.GenerateResponse{}, fmt.Errorf("%w (%w)", err, rotation.ErrDefinite)
	}
	return rotation.GenerateResponse{Value: value}, nil
}
