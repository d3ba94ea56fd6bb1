package secretstest_test

import (
	"context"
	"testing"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/secretstest"
)

// service is what a test tests.
type service struct{ secrets secrets.Getter }

func (s service) token(ctx context.Context) (string, error) {
	secret, err := s.secrets.Get(ctx, "acme/dev/shop/token")
	return secret.Value.RevealString(), err
}

func Example() {
	_ = func(t *testing.T) { // func TestService(t *testing.T)
		store := secretstest.New()
		store.Put("acme/dev/shop/token", "one")
		tested := service{secrets: store.Client(t)}

		if token, err := tested.token(t.Context()); err != nil || token != "one" {
			t.Errorf("token: %v", err)
		}

		store.BeforeCall(func(context.Context, string, string) error { return secretstest.Throttled() })
		// … and the service goes on, since the secret is cached.
	}
}
