package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/aistudio/secrets/sdk/spec"
)

// RollbackOptions of PlanRollback.
type RollbackOptions struct {
	// To is the version that becomes current. Empty: the previous one, if it is
	// older than the current.
	To string
	// Force goes back though the version isn't known to work.
	Force bool
}

// PlanRollback plans to make a secret's previous version current again. For the
// plan the rotation function tries that version's value, which changes nothing;
// a version that doesn't work is refused unless forced.
func (o *Operator) PlanRollback(ctx context.Context, id string, options RollbackOptions) (*Plan, error) {
	s, err := o.find(ctx, id)
	if err != nil {
		return nil, err
	}
	p := newPlan("rollback", s)
	current, previous := s.staged(stageCurrent), s.staged(stagePrevious)
	if options.To != "" && current != nil && current.ID == options.To {
		return p.nothing(fmt.Sprintf("version %s of %s is current already", current.ID, s.Name)), nil
	}
	if err := s.mayGoBack(options.To); err != nil {
		return nil, err
	}
	p.Version = previous.ID
	if p.Warnings, err = o.tried(ctx, s, previous.ID, options.Force); err != nil {
		return nil, err
	}
	if len(p.Warnings) == 0 {
		p.Steps = append(p.Steps, "done already: the rotation function has used version "+previous.ID+" as a client would, and it works")
	}
	if slices.Contains(current.Stages, stagePending) {
		p.Steps = append(p.Steps, fmt.Sprintf("UpdateSecretVersionStage: take %s from version %s, where its rotation left it and it would block the next one", stagePending, current.ID))
	}
	p.Steps = append(p.Steps, fmt.Sprintf("UpdateSecretVersionStage: move %s from version %s of %s to version %s of %s", stageCurrent, current.ID, stamp(current.Created), previous.ID, stamp(previous.Created)))
	if previous.Created.After(current.Created) {
		p.Warnings = append(p.Warnings, "the previous version is the newer one: this takes a rollback back")
	}
	p.Warnings = append(p.Warnings, o.rotatedSince(ctx, s, previous)...)
	p.Warnings = append(p.Warnings, s.afterRollback(current.ID)...)
	p.do = func(ctx context.Context, progress func(string)) (Outcome, error) {
		return o.goBack(ctx, s, *current, previous.ID, progress)
	}
	return p, nil
}

// mayGoBack refuses a secret whose versions don't allow a rollback.
func (s *Secret) mayGoBack(to string) error {
	current, previous := s.staged(stageCurrent), s.staged(stagePrevious)
	switch {
	case current == nil || previous == nil || current.ID == previous.ID:
		return refuse("%s has no previous version: there is nothing to go back to", s.Name)
	case to != "" && to != previous.ID:
		return refuse("version %s of %s isn't the previous one, which is %s: a value before that is out of use", to, s.Name, previous.ID)
	case s.pending() != nil:
		return refuse("version %s of %s is pending, and its rotation would go on after a rollback: \"rotate cancel %s\", then \"rotate unstick %s\"", s.pending().ID, s.Name, s.Name, s.Name)
	case to == "" && previous.Created.After(current.Created):
		return refuse("%s was rolled back already: version %s is older than the previous one; \"rotate rollback --to %s %s\" goes forward again", s.Name, current.ID, previous.ID, s.Name)
	}
	return s.rotates()
}

// tried has the rotation function try a version. What it returns are warnings of
// a rollback that is forced.
func (o *Operator) tried(ctx context.Context, s *Secret, version string, force bool) ([]string, error) {
	reason, err := o.verify(ctx, s, version)
	if err == nil && reason == "" {
		return nil, nil
	}
	var refused *RefusedError
	if errors.As(err, &refused) && !force {
		return nil, err
	}
	trouble := fmt.Sprintf("version %s of %s does NOT work: %s", version, s.Name, reason)
	if err != nil {
		trouble = fmt.Sprintf("it isn't known whether version %s of %s works: %v", version, s.Name, err)
	}
	if force {
		return []string{trouble}, nil
	}
	return nil, refuse("%s; so it doesn't become current (--force does it all the same)", trouble)
}

// verify asks the rotation function whether a version works; reason says why it
// doesn't.
func (o *Operator) verify(ctx context.Context, s *Secret, version string) (reason string, err error) {
	payload, err := json.Marshal(spec.VerifyRequest{Step: spec.StepVerify, SecretID: s.ARN, VersionID: version})
	if err != nil {
		return "", fmt.Errorf("encode the request: %w", err)
	}
	out, err := o.functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: &s.Rotation.Function, Payload: payload})
	if err != nil {
		return "", explain("ask the rotation function", s.Rotation.Function, err)
	}
	if out.FunctionError != nil {
		var failure struct {
			ErrorMessage string `json:"errorMessage"`
		}
		// What can't be read has no message.
		_ = json.Unmarshal(out.Payload, &failure)
		// Nobody vouches for what another function puts into its errors.
		cause, ours := strings.CutPrefix(failure.ErrorMessage, spec.StepVerify+" of ")
		if !ours {
			return "", fmt.Errorf("the rotation function failed, and not as one that knows the step %s does: its log tells why", spec.StepVerify)
		}
		return "", fmt.Errorf("the rotation function couldn't try the version: %s", cause)
	}
	var result spec.VerifyResult
	if err := json.Unmarshal(out.Payload, &result); err != nil || result.VersionID != version {
		return "", fmt.Errorf("the rotation function gave no answer to the step %s, so it doesn't know it: deploy a newer one", spec.StepVerify)
	}
	if result.Verified {
		return "", nil
	}
	return either(result.Reason, "it gives no reason"), nil
}

// rotatedSince warns of a version that isn't the one just before the current.
func (o *Operator) rotatedSince(ctx context.Context, s *Secret, previous *Version) []string {
	runs, _, err := o.runs(ctx, s, previous.Created)
	if err != nil {
		return []string{"the trail can't be read, so it isn't known what was rotated since: " + err.Error()}
	}
	var since []Run
	for _, run := range runs {
		if run.Result == Succeeded && !run.Ended.Before(previous.Created.Truncate(time.Second)) && run.Version != previous.ID {
			since = append(since, run)
		}
	}
	switch len(since) {
	case 0:
		return nil
	case 1:
		return []string{fmt.Sprintf("it was rotated at %s: who has read it since holds the version that stops being current", stamp(since[0].Ended))}
	}
	return []string{fmt.Sprintf("it was rotated %d times since version %s was made, the last time at %s", len(since), previous.ID, stamp(since[0].Ended))}
}

// afterRollback says what the next rotation does.
func (s *Secret) afterRollback(abandoned string) []string {
	what := fmt.Sprintf("the next rotation starts from the version that becomes current now: with alternating users it gives the user of version %s a new password, so that version stops working then", abandoned)
	if !s.Rotation.On {
		return []string{what + "; rotation is switched off, so that is when somebody switches it on"}
	}
	return []string{what + "; it is due by " + stamp(s.Rotation.Next) + ", and \"rotate cancel " + s.Name + "\" holds it"}
}

// goBack makes a version current, if the one that was planned is still current.
func (o *Operator) goBack(ctx context.Context, s *Secret, from Version, to string, progress func(string)) (Outcome, error) {
	if slices.Contains(from.Stages, stagePending) {
		if err := o.unlabel(ctx, s, from.ID); err != nil {
			return Outcome{}, err
		}
		progress(stagePending + " taken away")
	}
	_, err := o.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &s.ARN, VersionStage: aws.String(stageCurrent), MoveToVersionId: &to, RemoveFromVersionId: &from.ID,
	})
	var changed *types.InvalidParameterException
	if errors.As(err, &changed) {
		return Outcome{}, refuse("version %s of %s isn't current any more, so nothing was moved: see \"rotate status %s\" (%v)", from.ID, s.Name, s.Name, err)
	}
	if err != nil {
		return Outcome{}, explain("make version "+to+" current of", s.Name, err)
	}
	progress(stageCurrent + " moved")
	return Outcome{Done: true, Result: fmt.Sprintf("version %s of %s is current, version %s is previous", to, s.Name, from.ID), Next: []string{
		"services see it when their caches ask again, or at once through the rotation feed",
		fmt.Sprintf("\"rotate rollback --to %s %s\" goes forward again", from.ID, s.Name),
	}}, nil
}
