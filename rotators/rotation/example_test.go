package rotation_test

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/rotators/function"
	"github.com/aistudio/secrets/rotators/password"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// gate is a system of one's own that knows two passwords at a time.
type gate interface {
	Allow(ctx context.Context, passwords ...string) error
	Enter(ctx context.Context, password string) error
}

// gateTarget rotates the password of a gate.
type gateTarget struct{ gate gate }

func (gateTarget) Generate(context.Context, rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	value, err := password.Generate(password.Options{Length: 40})
	return rotation.GenerateResponse{Value: value}, err
}

func (t gateTarget) Apply(ctx context.Context, r rotation.ApplyRequest) (rotation.ApplyResponse, error) {
	return rotation.ApplyResponse{}, t.gate.Allow(ctx, reveal(r.Pending, r.Current)...)
}

func (t gateTarget) Verify(ctx context.Context, r rotation.VerifyRequest) (rotation.VerifyResponse, error) {
	return rotation.VerifyResponse{}, t.gate.Enter(ctx, r.Pending.RevealString())
}

// Retire has nothing to do: Apply has replaced the password before the last.
func (gateTarget) Retire(context.Context, rotation.RetireRequest) (rotation.RetireResponse, error) {
	return rotation.RetireResponse{}, nil
}

func reveal(values ...spec.Value) (texts []string) {
	for _, value := range values {
		if value.Len() > 0 {
			texts = append(texts, value.RevealString())
		}
	}
	return texts
}

// A rotator of one's own is a Target and a main function, in cmd/rotate-gate.
func Example() {
	var ours gate // the client of the system

	function.Run(spec.KindCustom, func(settings function.Settings) (*rotation.Rotator, error) {
		client := secretsmanager.NewFromConfig(settings.AWS)
		return rotation.New(client, gateTarget{gate: ours}, settings.Options), nil
	})
}
