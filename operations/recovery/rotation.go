package recovery

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// cancelRotation stops a rotation under way and switches the schedule off. AWS
// keeps its settings, and does the same a second time.
func cancelRotation(ctx context.Context, client *secretsmanager.Client, name string) error {
	_, err := client.CancelRotateSecret(ctx, &secretsmanager.CancelRotateSecretInput{SecretId: &name})
	return short(err)
}

// setRotation switches a rotation on. With now it rotates at once and returns
// the new version; else AWS only tries the rotation function's testSecret.
func setRotation(ctx context.Context, client *secretsmanager.Client, name string, rotation Rotation, now bool) (version string, err error) {
	rules := &types.RotationRulesType{}
	if rotation.Schedule != "" {
		rules.ScheduleExpression = &rotation.Schedule
	} else if rotation.Days > 0 {
		rules.AutomaticallyAfterDays = &rotation.Days
	}
	if rotation.Duration != "" {
		rules.Duration = &rotation.Duration
	}
	out, err := client.RotateSecret(ctx, &secretsmanager.RotateSecretInput{
		SecretId: &name, RotationLambdaARN: &rotation.FunctionARN, RotationRules: rules, RotateImmediately: &now,
	})
	if has(err, "InvalidRequestException") {
		return "", fmt.Errorf("%w: if a rotation isn't complete, \"rotate unstick\" clears it; then run this again", short(err))
	}
	if err != nil {
		return "", short(err)
	}
	return aws.ToString(out.VersionId), nil
}

// rotateThere sets the rotations up in the DR region, as far as it has the
// rotation functions: those of the primary region, by the same name.
func (r *run) rotateThere(ctx context.Context, promoted []*Secret) error {
	ready, absent, err := r.rotatable(ctx, promoted)
	if err != nil {
		return err
	}
	for _, function := range slices.Sorted(maps.Keys(absent)) {
		r.note("%s: %d secrets aren't rotated until the failback, or another run that finds the function in %s: %s", function, len(absent[function]), r.standby.region, some(absent[function]))
	}
	var unset []*Secret
	for _, s := range ready {
		if !s.Standby.stands(r.standby.region) || !s.Standby.Rotation.Enabled {
			unset = append(unset, s)
		}
	}
	_, err = r.step(ctx, "set up rotation in "+r.standby.region, unset, func(ctx context.Context, s *Secret) error {
		_, err := setRotation(ctx, r.standby.secrets, s.Name, r.rotationThere(s), false)
		return err
	})
	return err
}

// rotationThere is a secret's rotation with the function of the DR region.
func (r *run) rotationThere(s *Secret) Rotation {
	rotation := r.record.Secrets[s.Name].Rotation
	rotation.FunctionARN = inRegion(rotation.FunctionARN, r.standby.region)
	return rotation
}

// rotatable returns the secrets that rotate and whose function the DR region
// has, and by the function's ARN those whose it hasn't.
func (r *run) rotatable(ctx context.Context, secrets []*Secret) (ready []*Secret, absent map[string][]*Secret, err error) {
	there := map[string]bool{}
	absent = map[string][]*Secret{}
	for _, s := range secrets {
		rotation := r.rotationThere(s)
		if !rotation.Enabled || rotation.FunctionARN == "" || r.record.Secrets[s.Name].Current == "" {
			continue
		}
		known, asked := there[rotation.FunctionARN]
		if !asked {
			_, err := r.standby.lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &rotation.FunctionARN})
			if ctx.Err() != nil {
				return nil, nil, fmt.Errorf("look for the rotation functions: stopped, run it again to go on: %w", context.Cause(ctx))
			}
			if err != nil && !has(err, "ResourceNotFoundException") {
				// It isn't known to be there, which is no reason to leave out all the rest.
				r.fail(rotation.FunctionARN, "look for the rotation function", short(err))
			}
			known = err == nil
			there[rotation.FunctionARN] = known
		}
		if known {
			ready = append(ready, s)
		} else {
			absent[rotation.FunctionARN] = append(absent[rotation.FunctionARN], s)
		}
	}
	return ready, absent, nil
}
