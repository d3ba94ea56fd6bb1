package operate

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
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
	p.Steps = []string{fmt.Sprintf("UpdateSecretVersionStage: take %s from version %s of %s, which is %s: %s", stagePending, v.Version, stamp(v.Created), v.State, v.Reason)}
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
		_, err := o.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &p.ARN, VersionStage: aws.String(stagePending), RemoveFromVersionId: &v.Version,
		})
		if err != nil {
			return Outcome{}, explain("take "+stagePending+" from version "+v.Version+" of", p.Secret, err)
		}
		progress("UpdateSecretVersionStage done")
		return Outcome{Done: true, Result: "nothing blocks the rotation of " + p.Secret + " any more", Next: []string{
			"rotate it with a new value: \"rotate now " + p.Secret + "\"",
		}}, nil
	}
	return p, nil
}
