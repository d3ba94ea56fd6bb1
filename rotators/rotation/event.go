package rotation

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aistudio/secrets/sdk/spec"
)

// step is what an event asks for, in the spelling that Secrets Manager sends.
type step string

const (
	stepCreate step = "createSecret"
	stepSet    step = "setSecret"
	stepTest   step = "testSecret"
	stepFinish step = "finishSecret"
	stepSeed   step = spec.StepSeed
)

// steps maps all spellings: AWS's documentation also prints them with an
// underscore.
var steps = map[string]step{
	"createSecret": stepCreate, "create_secret": stepCreate,
	"setSecret": stepSet, "set_secret": stepSet,
	"testSecret": stepTest, "test_secret": stepTest,
	"finishSecret": stepFinish, "finish_secret": stepFinish,
	spec.StepSeed: stepSeed,
}

// request is an event that has been read and checked.
type request struct {
	step          step
	secretID      string
	token         string // the id of the version that this rotation makes; not for seeds
	rotationToken spec.Value
	seed          *spec.SeedRequest // for seeds only
}

// parseEvent reads what Secrets Manager sends (user guide, "Rotation by Lambda
// function") and seed requests. RotationToken proves to Secrets Manager where
// a request comes from and is sensitive, so it's never printed.
func parseEvent(raw json.RawMessage) (request, error) {
	var event struct {
		Step               string
		SecretID           string `json:"SecretId"`
		ClientRequestToken string
		RotationToken      spec.Value
	}
	if err := json.Unmarshal(raw, &event); err != nil {
		return request{}, fmt.Errorf("the event isn't one of a rotation, a JSON object with Step, SecretId and ClientRequestToken (%w): %w", ErrDefinite, redactJSON(err))
	}
	known, ok := steps[event.Step]
	if !ok {
		return request{}, fmt.Errorf("the event's Step is %q, none of createSecret, setSecret, testSecret, finishSecret and %s (%w)", event.Step, spec.StepSeed, ErrDefinite)
	}
	parsed := request{step: known, secretID: event.SecretID, token: event.ClientRequestToken, rotationToken: event.RotationToken}
	if known == stepSeed {
		parsed.seed = new(spec.SeedRequest)
		if err := json.Unmarshal(raw, parsed.seed); err != nil {
			return request{}, fmt.Errorf("reading the seed request (%w): %w", ErrDefinite, redactJSON(err))
		}
		if err := parsed.seed.Validate(); err != nil {
			return request{}, fmt.Errorf("%w (%w)", err, ErrDefinite)
		}
		parsed.token = ""
		return parsed, nil
	}
	var missing []error
	if parsed.secretID == "" {
		missing = append(missing, errors.New("SecretId is missing"))
	}
	if parsed.token == "" {
		missing = append(missing, errors.New("ClientRequestToken is missing"))
	}
	if err := errors.Join(missing...); err != nil {
		return request{}, fmt.Errorf("the event for %s isn't complete (%w): %w", known, ErrDefinite, err)
	}
	return parsed, nil
}

// redactJSON keeps of a JSON error where it is, and not what was there.
func redactJSON(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("syntax error at byte %d", syntax.Offset)
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Errorf("key %q has the wrong type", kind.Field)
	}
	return errors.New("a value can't be read")
}
