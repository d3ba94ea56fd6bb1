package operate

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// PlanUnstick plans to clear a pending version that blocks a secret's rotation:
// one that a failed or cancelled rotation has left. Only its label goes; without
// one Secrets Manager deletes the version in time. A rotation that is in
// progress is refused.
func (o *Operator) PlanUnstick(ctx context.Context, id string) (*Plan, error) {
	st, err := o.Status(ctx, id)
	if err != nil {
		return nil, err
	}
	p := newPlan("unstick", &st.Secret)
	if st.Pending == nil {
		return p.nothing("no version of " + st.Name + " is pending: nothing blocks its rotation"), nil
	}
	v := *st.Pending
	p.Version = v.Version
	if v.State == InProgress {
		return nil, refuse("version %s of %s is pending because a rotation is in progress (%s): wait for it, or stop it with \"rotate cancel %s\"", v.Version, st.Name, v.Reason, st.Name)
	}
	p.Steps = []string{fmt.Sprintf("UpdateSecretVersionStage: take %s from version %s of %s: %s", stagePending, v.Version, stamp(v.Created), v.Reason)}
	for _, failure := range st.Errors {
		if failure.Version == "" || failure.Version == v.Version {
			p.Warnings = append(p.Warnings, "if its cause isn't mended, the next rotation fails too: "+failure.Message)
		}
	}
	if v.State == Retrying {
		p.Warnings = append(p.Warnings, "an attempt that begins right now fails at its next step; the current value isn't touched")
	}
	p.Warnings = append(p.Warnings, st.Notes...)
	p.do = func(ctx context.Context, progress func(string)) (Outcome, error) {
		if err := o.unlabel(ctx, &st.Secret, v.Version); err != nil {
			return Outcome{}, err
		}
		progress(stagePending + " taken away")
		return Outcome{Done: true, Result: "nothing blocks the rotation of " + p.Secret + " any more", Next: []string{
			"rotate it with a new value: \"rotate now " + p.Secret + "\"",
		}}, nil
	}
	return p, nil
}

// unlabel takes AWSPENDING from a version, if it has it still.
func (o *Operator) unlabel(ctx context.Context, s *Secret, version string) error {
	_, err := o.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &s.ARN, VersionStage: aws.String(stagePending), RemoveFromVersionId: &version,
	})
	var changed *types.InvalidParameterException
	if errors.As(err, &changed) {
		return refuse("version %s of %s isn't pending any more, so nothing was changed: see \"rotate status %s\" (%v)", version, s.Name, s.Name, err)
	}
	if err != nil {
		return explain("take "+stagePending+" from version "+version+" of", s.Name, err)
	}
	return nil
}
