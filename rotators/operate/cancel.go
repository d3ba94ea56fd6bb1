package operate

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// PlanCancel plans to stop a secret's rotation, both the one under way and those
// of its schedule.
func (o *Operator) PlanCancel(ctx context.Context, id string) (*Plan, error) {
	s, err := o.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.rotates(); err != nil {
		return nil, err
	}
	p := newPlan("cancel", s)
	if !s.Rotation.On {
		return p.nothing("the rotation of " + s.Name + " is switched off already"), nil
	}
	p.Steps = []string{"CancelRotateSecret: no step is begun any more, and the schedule is switched off until somebody switches it on"}
	p.Warnings = []string{"the secret grows older than its policy allows while rotation is off; the daily audit will report it"}
	next := []string{
		fmt.Sprintf("\"rotate now --test %s\" switches the schedule on again, \"rotate now %s\" also rotates at once", s.Name, s.Name),
	}
	if v := s.pending(); v != nil {
		p.Version = v.ID
		p.Warnings = append(p.Warnings, fmt.Sprintf("version %s stays pending, and a step that the function has begun still ends", v.ID))
		next = append([]string{fmt.Sprintf("version %s blocks the next rotation: clear it with \"rotate unstick %s\"", v.ID, s.Name)}, next...)
	}
	p.do = func(ctx context.Context, progress func(string)) (Outcome, error) {
		if _, err := o.secrets.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &s.ARN}); err != nil {
			return Outcome{}, explain("cancel the rotation of", s.Name, err)
		}
		progress("CancelRotateSecret done")
		return Outcome{Done: true, Result: "the rotation of " + s.Name + " is switched off", Next: next}, nil
	}
	return p, nil
}
