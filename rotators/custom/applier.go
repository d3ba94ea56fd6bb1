package custom

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aistudio/secrets/rotators/remote"
	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// The steps that an applier is asked for. Each may be asked for again with the
// same token, also late, and must then end as if it had been asked for once.
const (
	StepSet    = "set"    // make the system accept pending beside current, and no other that was set before
	StepTest   = "test"   // use pending as a client would
	StepRetire = "retire" // take retired out of use; current and pending go on working
)

// Call is what an applier is asked for, a JSON object. Versions and Values are
// the secret's, by what they are: pending, current, previous, retired; those
// that there aren't are absent. A webhook gets the values, a function the
// versions; see Webhook and Function.
type Call struct {
	Step     string            `json:"step"`
	SecretID string            `json:"secretId"` // ARN
	Token    string            `json:"token"`    // id of the pending version
	Versions map[string]string `json:"versions,omitempty"`
	Values   map[string]string `json:"values,omitempty"`
}

// Applier applies the values of custom secrets: a *Webhook or a *Function. It is
// safe for concurrent use.
type Applier interface {
	// call asks for a step, attempts times at most.
	call(ctx context.Context, order order) error
}

// order is a step with all that an applier may need for it.
type order struct {
	step      string
	secretARN string
	token     string
	seeding   bool // pending may not be stored yet
	values    map[string]spec.Value
	versions  map[string]string
}

const (
	attempts   = 3
	firstPause = 200 * time.Millisecond
)

// repeat tries until there is success, or an error that another try won't cure,
// or attempts are over. who names the applier.
func repeat(ctx context.Context, who, step string, try func() error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := try()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, rotation.ErrRejected):
			return fmt.Errorf("step %s of %s: %w", step, who, err)
		case errors.Is(err, rotation.ErrDefinite) || attempt == attempts:
			return fmt.Errorf("step %s of %s, try %d: %w", step, who, attempt, err)
		}
		if stopped := remote.Pause(ctx, pause); stopped != nil {
			return fmt.Errorf("step %s of %s: %w: %w", step, who, stopped, err)
		}
		pause *= 2
	}
}
