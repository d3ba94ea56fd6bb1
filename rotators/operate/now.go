package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/uuid"
)

// PlanNow plans a rotation of a secret, outside of its schedule. It is followed
// until it has ended or the context has.
//
// If an earlier rotation hasn't ended well, Secrets Manager tries that one again
// in place of a new one (API reference, RotateSecret).
func (o *Operator) PlanNow(ctx context.Context, id string) (*Plan, error) {
	st, err := o.rotatable(ctx, id)
	if err != nil {
		return nil, err
	}
	p := newPlan("now", &st.Secret)
	p.Version = uuid.NewString()
	p.Steps = []string{"RotateSecret: the rotation function makes version " + p.Version + " and it becomes current"}
	if pending := st.Pending; pending != nil {
		p.Version = pending.Version
		p.Steps = []string{fmt.Sprintf("RotateSecret: Secrets Manager tries version %s once more, which is pending: %s", pending.Version, pending.Reason)}
		p.Warnings = append(p.Warnings, "this makes no new value; where the pending one is at fault, clear it first: rotate unstick "+st.Name)
	}
	p.Warnings = append(p.Warnings, switchesOn(st)...)
	p.do = func(ctx context.Context, progress func(string)) (Outcome, error) {
		return o.rotate(ctx, &st.Secret, p.Version, false, progress)
	}
	return p, nil
}

// PlanTest plans a test of a secret's rotation: Secrets Manager runs the step
// testSecret with the current value, and the secret stays as it is.
func (o *Operator) PlanTest(ctx context.Context, id string) (*Plan, error) {
	st, err := o.rotatable(ctx, id)
	if err != nil {
		return nil, err
	}
	if st.Pending != nil {
		return nil, refuse("version %s of %s is pending (%s), so Secrets Manager wouldn't test: clear it first with \"rotate unstick %s\"", st.Pending.Version, st.Name, st.Pending.Reason, st.Name)
	}
	p := newPlan("test", &st.Secret)
	p.Version = uuid.NewString()
	p.Steps = []string{"RotateSecret without rotating: the rotation function runs testSecret with the current value, as version " + p.Version + ", which is removed afterwards"}
	p.Warnings = switchesOn(st)
	p.do = func(ctx context.Context, progress func(string)) (Outcome, error) {
		return o.rotate(ctx, &st.Secret, p.Version, true, progress)
	}
	return p, nil
}

// rotatable returns the status of a secret that can be rotated.
func (o *Operator) rotatable(ctx context.Context, id string) (*Status, error) {
	s, err := o.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.rotates(); err != nil {
		return nil, err
	}
	if s.staged(stageCurrent) == nil {
		return nil, refuse("%s has no current value yet: its first one comes from the rotation function's seed step, which the stack's deployment asks for", s.Name)
	}
	st, err := o.Status(ctx, s.ARN)
	if err != nil {
		return nil, err
	}
	if st.Pending != nil && st.Pending.State == InProgress {
		return nil, refuse("a rotation of %s is in progress (version %s, %s): see \"rotate status %s\"", s.Name, st.Pending.Version, st.Pending.Reason, s.Name)
	}
	return st, nil
}

func switchesOn(st *Status) []string {
	if st.Rotation.On {
		return nil
	}
	return []string{"rotation is switched off: this switches its schedule on again"}
}

func (o *Operator) rotate(ctx context.Context, s *Secret, version string, testOnly bool, progress func(string)) (Outcome, error) {
	f, err := o.follow(ctx, s, version)
	if err != nil {
		progress("the rotation function's log can't be read, so its steps aren't shown: " + err.Error())
	}
	token := version
	if s.pending() != nil {
		// With the pending version's own token Secrets Manager takes this for the
		// request of then, and does nothing.
		token = uuid.NewString()
	}
	_, err = o.secrets.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &s.ARN, ClientRequestToken: &token, RotateImmediately: aws.Bool(!testOnly),
	})
	var incomplete *types.InvalidRequestException
	switch {
	case errors.As(err, &incomplete) && token != version && strings.Contains(incomplete.ErrorMessage(), "previous rotation"):
		// As planned: the pending version is tried again.
	case err != nil:
		return Outcome{}, explain("rotate", s.Name, err)
	default:
		f.version = token
	}
	if testOnly {
		return f.test(ctx, progress)
	}
	return f.rotation(ctx, progress)
}

// follower watches a version on its way.
type follower struct {
	operator *Operator
	secret   *Secret
	version  string
	group    string // of the function's log; "" when it can't be read
	since    time.Time
	told     int // records of steps that were there before, or were told
	failures int // failures that the trail had before
}

// follow remembers what there is about a version before something is done.
func (o *Operator) follow(ctx context.Context, s *Secret, version string) (*follower, error) {
	f := &follower{operator: o, secret: s, version: version, since: s.Now.Add(-time.Minute)}
	if v := s.pending(); v != nil && v.Created.Before(f.since) {
		f.since = v.Created
	}
	f.failures = len(f.failed(ctx))
	group, err := o.logGroup(ctx, s.Rotation.Function)
	if err != nil {
		return f, err
	}
	records, err := o.steps(ctx, group, s, version, f.since)
	if err != nil {
		return f, err
	}
	f.group, f.told = group, len(records)
	return f, nil
}

// failed returns what the trail has of failures since. One that can't be read
// has none: then what follows is told by the log and the versions alone.
func (f *follower) failed(ctx context.Context) []event {
	events, _, err := f.operator.events(ctx, f.secret, f.since, rotationFailed, "TestRotationFailed")
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(events, func(e event) bool {
		version := e.version(f.secret)
		return version != "" && version != f.version
	})
}

// trailEvery is how many looks at the versions go by between looks at the trail,
// which AWS allows less often.
const trailEvery = 5

// look returns how the version's steps went, and the versions of now.
func (f *follower) look(ctx context.Context, n int, progress func(string)) (failure string, done bool, s *Secret, err error) {
	if s, err = f.operator.find(ctx, f.secret.ARN); err != nil {
		return "", false, nil, err
	}
	if f.group != "" {
		records, err := f.operator.steps(ctx, f.group, f.secret, f.version, f.since)
		if err != nil {
			return "", false, nil, err
		}
		for ; f.told < len(records); f.told++ {
			r := records[f.told]
			switch r.Msg {
			case stepDone:
				done = true
				progress(r.Step + " done")
			case stepFailed:
				failure = r.Step + " failed: " + r.Error
			}
		}
	}
	if failure == "" && n%trailEvery == 0 {
		if events := f.failed(ctx); len(events) > f.failures {
			failure = events[len(events)-1].ErrorMessage
		}
	}
	return failure, done, s, nil
}

// unseenLooks is how many looks may go by until a version that was just made is
// seen: Secrets Manager is eventually consistent.
const unseenLooks = 3

func (f *follower) rotation(ctx context.Context, progress func(string)) (Outcome, error) {
	name := f.secret.Name
	for n := 0; ; n++ {
		failure, _, s, err := f.look(ctx, n, progress)
		if err != nil {
			return f.interrupted(ctx, err)
		}
		version := s.version(f.version)
		switch {
		case version != nil && slices.Contains(version.Stages, stageCurrent):
			return Outcome{Done: true, Result: fmt.Sprintf("version %s of %s is current", f.version, name), Next: []string{"the value before stays usable until the next rotation, which is due by " + stamp(s.Rotation.Next)}}, nil
		case failure != "":
			return Outcome{Result: failure, Next: []string{
				"the current value is the one before, and works as it did",
				"Secrets Manager tries again by itself: see \"rotate status " + name + "\"",
				"when the cause is mended: \"rotate now " + name + "\" tries the same version at once, \"rotate unstick " + name + "\" clears it",
			}}, nil
		case version == nil && n >= unseenLooks:
			return Outcome{Result: fmt.Sprintf("version %s of %s was withdrawn, or another took its place", f.version, name), Next: []string{"see \"rotate status " + name + "\""}}, nil
		}
		if err := f.operator.wait(ctx); err != nil {
			return f.interrupted(ctx, err)
		}
	}
}

// testWords is how many looks a test's result is waited for once its version is
// gone, since a log is late.
const testWords = 15

func (f *follower) test(ctx context.Context, progress func(string)) (Outcome, error) {
	name, passed, gone := f.secret.Name, false, 0
	for n := 0; ; n++ {
		failure, done, s, err := f.look(ctx, n, progress)
		if err != nil {
			return f.interrupted(ctx, err)
		}
		passed = passed || done
		if s.version(f.version) == nil {
			gone++
		}
		switch {
		case failure != "":
			return Outcome{Result: failure, Next: []string{"the secret is as it was; the rotation would fail too: mend the cause and test again"}}, nil
		case gone > 0 && passed:
			return Outcome{Done: true, Result: "the rotation function works with the current value of " + name, Next: []string{"the next rotation is due by " + stamp(s.Rotation.Next)}}, nil
		case gone == testWords:
			return Outcome{Result: "the test has ended, and its result isn't known: the function's log doesn't tell it", Next: []string{"look for TestRotationFailed and TestRotationSucceeded in CloudTrail in a few minutes"}}, nil
		}
		if err := f.operator.wait(ctx); err != nil {
			return f.interrupted(ctx, err)
		}
	}
}

// interrupted tells that the rotation goes on when nobody looks.
func (f *follower) interrupted(ctx context.Context, err error) (Outcome, error) {
	if ctx.Err() == nil {
		return Outcome{}, err
	}
	return Outcome{Result: "not followed to its end; it goes on by itself", Next: []string{"see \"rotate status " + f.secret.Name + "\""}}, nil
}

func (o *Operator) wait(ctx context.Context) error {
	timer := time.NewTimer(o.interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
