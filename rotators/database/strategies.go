package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// strategyKey is a key of the secret that AWS's functions don't have, because
// each of them knows one strategy. Its values are the user guide's words.
const (
	strategyKey         = "rotationstrategy"
	strategySingle      = "single-user"
	strategyAlternating = "alternating-users"
)

// value is a secret's value with the strategy that it asks for.
type value struct {
	spec.Database
	strategy string
}

// alternates tells whether the user alternates with another: when there is a
// master secret, unless the value says otherwise.
func (v value) alternates() bool { return v.MasterARN != "" && v.strategy != strategySingle }

func readStrategy(v spec.Value, hasMaster bool) (string, error) {
	var keys struct {
		Strategy string `json:"rotationstrategy"`
	}
	if err := json.Unmarshal(v.Reveal(), &keys); err != nil {
		return "", fmt.Errorf("key %q: not a JSON string", strategyKey)
	}
	switch keys.Strategy {
	case "", strategySingle:
		return keys.Strategy, nil
	case strategyAlternating:
		if !hasMaster {
			return "", fmt.Errorf(`key "masterarn" is missing: add the ARN of the secret of a user who may change the two that alternate`)
		}
		return keys.Strategy, nil
	}
	return "", fmt.Errorf("key %q: %q is neither %s nor %s", strategyKey, keys.Strategy, strategySingle, strategyAlternating)
}

// alternate gives the user that isn't current the pending password and all
// that the current one has.
func (t *Target) alternate(ctx context.Context, e engine, arn string, current, pending value) error {
	users, err := usersOf(pending.Username, e)
	if err != nil {
		return err
	}
	c := change{
		users: users, target: pending.Username, current: current.Username, password: pending.Password,
		database: dbname(pending.Database), secretARN: arn,
	}
	if c.denied, err = t.prove(ctx, e, current); err != nil {
		return err
	}
	return t.asMaster(ctx, e, current.Database, c, pending.MasterARN)
}

// singleByMaster gives the secret's only user the pending password, as the
// master user. Unlike the user itself, that one can make a user who is missing.
func (t *Target) singleByMaster(ctx context.Context, e engine, arn string, current, pending value, previous spec.Value) error {
	c := change{
		users: users{base: pending.Username}, target: pending.Username, current: current.Username, password: pending.Password,
		alone: true, database: dbname(pending.Database), secretARN: arn,
	}
	var err error
	if c.denied, err = t.prove(ctx, e, current); err != nil {
		return err
	}
	if c.denied != nil && previous.Len() > 0 {
		before, previousErr := t.previousFor(previous, pending)
		if previousErr == nil {
			if previousErr = e.login(ctx, before.Database); previousErr == nil {
				c.denied = nil
			}
		}
		if c.denied != nil {
			c.denied = errors.Join(c.denied, fmt.Errorf("with the previous value: %w", previousErr))
		}
	}
	return t.asMaster(ctx, e, current.Database, c, pending.MasterARN)
}

// prove logs in with the current value: that it's refused is no error here,
// because a user that isn't there may be made.
func (t *Target) prove(ctx context.Context, e engine, current value) (denied, err error) {
	err = e.login(ctx, current.Database)
	if err == nil {
		return nil, nil
	}
	err = wrap(err, fmt.Sprintf("logging in as %q", current.Username))
	if refused(err) {
		return err, nil
	}
	return nil, fmt.Errorf("proving that the current value is right: %w", err)
}

// seed makes the first user. One that exists is only touched when this
// secret's seed has made it before.
func (t *Target) seed(ctx context.Context, e engine, arn string, pending value) error {
	users, err := usersOf(pending.Username, e)
	if err != nil {
		return err
	}
	nobody := pending.Database
	nobody.Username, nobody.Password = "", spec.Value{}
	return t.asMaster(ctx, e, nobody, change{
		users: users, target: pending.Username, password: pending.Password,
		database: dbname(pending.Database), secretARN: arn,
	}, pending.MasterARN)
}

// asMaster makes a change as the user of a master secret. For a seed current
// has no user.
func (t *Target) asMaster(ctx context.Context, e engine, current spec.Database, c change, masterARN string) error {
	master, err := t.master(ctx, masterARN, c)
	if err != nil {
		return err
	}
	if master.Engine != current.Engine && !sameFamily(master.Engine, current.Engine) {
		return fmt.Errorf("the master secret %s is for engine %q and the secret for %q (%w)", masterARN, master.Engine, current.Engine, rotation.ErrDefinite)
	}
	if c.denied != nil {
		current.Username, current.Password = "", spec.Value{}
		c.current = ""
	}
	if err := t.sameServer(ctx, e, masterARN, master, current); err != nil {
		if c.denied != nil {
			return errors.Join(c.denied, err)
		}
		return err
	}
	return e.provide(ctx, master, c)
}

// single changes the password of the secret's only user, as that user. The
// previous value is tried too, as AWS's function does: a secret that was
// changed by hand, and its database not, still has the password before.
func (t *Target) single(ctx context.Context, e engine, current, pending value, previous spec.Value) error {
	err := e.changeOwn(ctx, current.Database, pending.Password)
	if refused(err) && !errors.Is(err, rotation.ErrRejected) && previous.Len() > 0 {
		before, previousErr := t.previousFor(previous, pending)
		if previousErr == nil {
			previousErr = e.changeOwn(ctx, before.Database, pending.Password)
		}
		if previousErr == nil {
			return nil
		}
		err = errors.Join(err, fmt.Errorf("with the previous value: %w", previousErr))
	}
	return wrap(err, fmt.Sprintf("logging in as %q to change its password", current.Username))
}

// previousFor reads the previous value if it's for the same user and server.
func (t *Target) previousFor(previous spec.Value, pending value) (value, error) {
	before, _, err := t.read("previous", previous)
	if err != nil {
		return value{}, err
	}
	if sameDatabase(before, pending, pending.Username) != nil {
		return value{}, errors.New("it's for another user or server")
	}
	return before, nil
}
