package catalogue

import (
	"time"

	"github.com/aistudio/secrets/sdk/spec"
)

// readRotation returns when the secret of an entry is rotated, nil for not at
// all.
func readRotation(at string, secret Secret, e entry, mistakes *MistakesError) *Schedule {
	path, written := at+".rotation", e.Rotation
	lifetime := readLifetime(at+".oauth", secret.Kind, e.OAuth, mistakes)
	if written.Disabled != "" {
		if written.Every != "" || written.Schedule != "" || written.Window != "" {
			mistakes.add(path, "is both disabled and configured: leave one out")
		}
		return nil
	}
	var window time.Duration
	if written.Window != "" {
		var err error
		if window, err = parseWindow(written.Window); err != nil {
			mistakes.addErr(path+".window", err)
			return nil
		}
	}

	var schedule Schedule
	var err error
	key := path
	switch {
	case written.Every != "" && written.Schedule != "":
		mistakes.add(path, "has both every and schedule: leave one out")
		return nil
	case written.Every != "":
		key += ".every"
		var interval time.Duration
		if interval, err = parseEvery(written.Every); err == nil {
			err = every(interval).validate(secret.Kind) // before it is spread, so that the mistake is about what is written
			schedule = spread(secret.Name.String(), interval, window)
		}
	case written.Schedule != "":
		key += ".schedule"
		if schedule, err = parseExpression(written.Schedule); err == nil {
			schedule.Window = window
		}
	case lifetime > 0:
		key = at + ".oauth.tokenLifetime"
		schedule, err = within(secret.Name.String(), lifetime, window)
	case secret.Kind.RotationInterval() == 0:
		mistakes.add(path, "is missing: %s secrets have no default, so write every, schedule or disabled", secret.Kind)
		return nil
	default:
		schedule = spread(secret.Name.String(), secret.Kind.RotationInterval(), window)
	}
	if err != nil {
		mistakes.addErr(key, err)
		return nil
	}
	mistakes.addErr(key, schedule.validate(secret.Kind))
	mistakes.addErr(path+".window", schedule.validateWindow())
	if lifetime > 0 {
		mistakes.addErr(key, schedule.validateLifetime(lifetime))
	}
	return &schedule
}

// readLifetime returns how long the tokens of an oauth secret live, 0 for
// unknown or for ever.
func readLifetime(path string, kind spec.Kind, written *oauth, mistakes *MistakesError) time.Duration {
	if written == nil {
		return 0
	}
	if kind != spec.KindOAuth {
		mistakes.add(path, "belongs to oauth secrets, and this one is of kind %s", kind)
		return 0
	}
	lifetime, err := parseEvery(written.TokenLifetime)
	if err != nil {
		mistakes.addErr(path+".tokenLifetime", err)
		return 0
	}
	return lifetime
}
