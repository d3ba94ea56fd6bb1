package rotation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aistudio/secrets/sdk/spec"
)

// Serve is Handle for a Lambda function that takes spec.VerifyRequest too, which
// an operator sends before making an earlier version current again. It returns a
// *spec.VerifyResult for that, and for all else what Handle returns.
func (r *Rotator) Serve(ctx context.Context, event json.RawMessage) (any, error) {
	var request spec.VerifyRequest
	// What can't be read is no VerifyRequest: Handle says what is wrong with it.
	if err := json.Unmarshal(event, &request); err != nil || request.Step != spec.StepVerify {
		return r.Handle(ctx, event)
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline.Add(-lastWords), errOutOfTime)
		defer cancel()
	}
	start := time.Now()
	result, err := r.verify(ctx, request)
	log := r.log.With("step", request.Step, "secret", request.SecretID, "version", request.VersionID, "duration", time.Since(start))
	if err != nil {
		err = fmt.Errorf("%s of %s: %w", request.Step, request.SecretID, err)
		log.ErrorContext(ctx, "step failed", "error", err)
		return nil, err
	}
	log.InfoContext(ctx, "step done", "verified", result.Verified, "reason", result.Reason)
	return result, nil
}

// verify tries a version's value, whatever the version's stage, and whether the
// secret's rotation is switched on or off: in an incident it may be off.
func (r *Rotator) verify(ctx context.Context, request spec.VerifyRequest) (*spec.VerifyResult, error) {
	if err := request.Validate(); err != nil {
		return nil, fmt.Errorf("%w (%w)", err, ErrDefinite)
	}
	secret, _, err := r.store.describe(ctx, request.SecretID)
	if err != nil {
		return nil, err
	}
	if _, ok := secret.versions[request.VersionID]; !ok {
		return nil, fmt.Errorf("the secret has no version %s with a staging label (%w)", request.VersionID, ErrDefinite)
	}
	stored, err := r.store.readSoon(ctx, secret.arn, request.VersionID, "")
	if err != nil {
		return nil, err
	}
	result := &spec.VerifyResult{SecretID: secret.arn, VersionID: request.VersionID, Verified: true}
	verification := VerifyRequest{SecretARN: secret.arn, Token: request.VersionID, Pending: stored.Value}
	if _, err := r.target.Verify(ctx, verification); err != nil {
		result.Verified, result.Reason = false, err.Error()
	}
	return result, nil
}
