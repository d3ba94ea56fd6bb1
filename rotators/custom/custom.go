// Package custom rotates secrets of no special kind: it generates their values
// and leaves the rest to a webhook, to a Lambda function, or to nobody.
//
// A system that none of these suits is a rotation.Target of one's own in a command of
// one's own: docs/own-rotator.md tells how.
package custom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/aistudio/secrets/rotators/password"
	"github.com/aistudio/secrets/rotators/remote"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// Options say what values look like. The zero value is a password as
// GetRandomPassword's by default.
type Options struct {
	Password password.Options
	// Template is a JSON object that the first value is made of, and Key the
	// member that holds the password. Later values keep all other members of
	// the current one. Both empty: the value is the password itself.
	Template string
	Key      string
}

// ParseOptions reads a JSON object with the options of GetRandomPassword, in
// its spelling, and SecretStringTemplate and GenerateStringKey, which have the
// meaning that they have in CloudFormation's AWS::SecretsManager::Secret. The
// template must hold no secret. "" is the zero Options.
func ParseOptions(text string) (Options, error) {
	if text == "" {
		return Options{}, nil
	}
	var in struct {
		PasswordLength          int
		ExcludeCharacters       string
		ExcludeNumbers          bool
		ExcludePunctuation      bool
		ExcludeUppercase        bool
		ExcludeLowercase        bool
		IncludeSpace            bool
		RequireEachIncludedType *bool
		SecretStringTemplate    string
		GenerateStringKey       string
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return Options{}, fmt.Errorf("password options: %w", err)
	}
	options := Options{
		Password: password.Options{
			Length: in.PasswordLength, ExcludeCharacters: in.ExcludeCharacters,
			ExcludeNumbers: in.ExcludeNumbers, ExcludePunctuation: in.ExcludePunctuation,
			ExcludeUppercase: in.ExcludeUppercase, ExcludeLowercase: in.ExcludeLowercase,
			IncludeSpace:      in.IncludeSpace,
			AllowMissingTypes: in.RequireEachIncludedType != nil && !*in.RequireEachIncludedType,
		},
		Template: in.SecretStringTemplate, Key: in.GenerateStringKey,
	}
	if (options.Template == "") != (options.Key == "") {
		return Options{}, errors.New("password options: SecretStringTemplate and GenerateStringKey go together")
	}
	value, err := password.Generate(options.Password)
	if err != nil {
		return Options{}, fmt.Errorf("password options: %w", err)
	}
	if options.Template != "" {
		if _, err := setMember(spec.ValueString(options.Template), options.Key, value); err != nil {
			return Options{}, fmt.Errorf("password options: SecretStringTemplate: %w", err)
		}
	}
	return options, nil
}

// Target rotates custom secrets. It is safe for concurrent use.
type Target struct {
	options Options
	applier Applier // nil: values are only generated
}

var _ rotation.Target = (*Target)(nil)

// New returns the target; applier may be nil.
func New(options Options, applier Applier) *Target {
	return &Target{options: options, applier: applier}
}

// Config is the configuration of a Target as texts. "" is the default.
type Config struct {
	Options  string // what ParseOptions reads
	Webhook  string // what ParseWebhook reads
	Function string // ARN of a Lambda function that is the applier, in place of a webhook
}

// Configure returns the target of a configuration. secrets reads the webhook's
// signing key, and functions invokes the function.
func Configure(config Config, secrets remote.SecretReader, functions Invoker) (*Target, error) {
	options, err := ParseOptions(config.Options)
	if err != nil {
		return nil, err
	}
	switch {
	case config.Webhook != "" && config.Function != "":
		return nil, errors.New("there are both a webhook and a function to apply values: leave one out")
	case config.Webhook != "":
		description, err := ParseWebhook(config.Webhook)
		if err != nil {
			return nil, err
		}
		return New(options, NewWebhook(description, secrets, nil)), nil
	case config.Function != "":
		function, err := NewFunction(config.Function, functions, 0)
		if err != nil {
			return nil, err
		}
		return New(options, function), nil
	}
	return New(options, nil), nil
}

// Generate makes a value.
func (t *Target) Generate(_ context.Context, r rotation.GenerateRequest) (rotation.GenerateResponse, error) {
	if r.Seed != nil && r.Seed.Database != nil {
		return rotation.GenerateResponse{}, fmt.Errorf("the seed is for a database, and this function makes custom secrets: seed with the function for databases (%w)", rotation.ErrDefinite)
	}
	value, err := password.Generate(t.options.Password)
	if err != nil {
		return rotation.GenerateResponse{}, fmt.Errorf("%w (%w)", err, rotation.ErrDefinite)
	}
	if t.options.Key == "" {
		return rotation.GenerateResponse{Value: value}, nil
	}
	base := r.Current
	if r.Seed != nil {
		base = spec.ValueString(t.options.Template)
	}
	if value, err = setMember(base, t.options.Key, value); err != nil {
		return rotation.GenerateResponse{}, fmt.Errorf("the current value: %w (%w)", err, rotation.ErrDefinite)
	}
	return rotation.GenerateResponse{Value: value}, nil
}

// setMember returns the JSON object with a member of another value.
func setMember(object spec.Value, key string, value spec.Value) (spec.Value, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(object.Reveal(), &members) != nil || members == nil {
		return spec.Value{}, errors.New("it isn't a JSON object")
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value.RevealString()); err != nil {
		return spec.Value{}, errors.New("the password can't be written as JSON")
	}
	members[key] = bytes.TrimSpace(bytes.Clone(out.Bytes()))
	out.Reset()
	if err := encoder.Encode(members); err != nil {
		return spec.Value{}, errors.New("it can't be written as JSON")
	}
	return spec.NewValue(bytes.TrimSpace(out.Bytes())), nil
}

// Apply has the applier set the pending value.
func (t *Target) Apply(ctx context.Context, r rotation.ApplyRequest) (rotation.ApplyResponse, error) {
	return rotation.ApplyResponse{}, t.ask(ctx, order{
		step: StepSet, secretARN: r.SecretARN, token: r.Token, seeding: r.Seeding(),
		values:   map[string]spec.Value{"pending": r.Pending, "current": r.Current, "previous": r.Previous},
		versions: map[string]string{"pending": r.Token, "current": r.CurrentID, "previous": r.PreviousID},
	})
}

// Verify has the applier test the pending value.
func (t *Target) Verify(ctx context.Context, r rotation.VerifyRequest) (rotation.VerifyResponse, error) {
	return rotation.VerifyResponse{}, t.ask(ctx, order{
		step: StepTest, secretARN: r.SecretARN, token: r.Token, seeding: r.Seeding,
		values:   map[string]spec.Value{"pending": r.Pending},
		versions: map[string]string{"pending": r.Token},
	})
}

// Retire has the applier take the previous value out of use.
func (t *Target) Retire(ctx context.Context, r rotation.RetireRequest) (rotation.RetireResponse, error) {
	return rotation.RetireResponse{}, t.ask(ctx, order{
		step: StepRetire, secretARN: r.SecretARN, token: r.Token,
		values:   map[string]spec.Value{"retired": r.Retired, "current": r.Current, "pending": r.Pending},
		versions: map[string]string{"retired": r.RetiredID, "current": r.CurrentID, "pending": r.Token},
	})
}

// ask has the applier do a step, if there is one.
func (t *Target) ask(ctx context.Context, order order) error {
	if t.applier == nil {
		return nil
	}
	maps.DeleteFunc(order.versions, func(name, _ string) bool { return order.values[name].Len() == 0 })
	return t.applier.call(ctx, order)
}
