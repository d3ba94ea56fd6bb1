package secretsmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// retryDelays are the pauses between the attempts of a rotation. AWS documents
// that it retries "the entire rotation process multiple times" and no more, so
// number and lengths are the emulator's own. When all have failed, the rotation
// stays incomplete until the next window or RotateSecret.
var retryDelays = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// steps are what a rotation function is invoked with, in order.
var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

// event is what a rotation function gets.
type event struct {
	Step               string
	SecretId           string
	ClientRequestToken string
	RotationToken      string
}

// asService is Secrets Manager as the caller of a rotation function.
func (s *Service) asService(sec *secret) api.Caller {
	return api.Caller{
		Account: sec.account, Service: "secretsmanager.amazonaws.com", SourceARN: sec.arn(),
		SourceIP: "secretsmanager.amazonaws.com", UserAgent: "secretsmanager.amazonaws.com",
	}
}

// begin starts a rotation: the version is there, and pending, before the
// function gets to work. The test of a configuration has a copy of the current
// version; a rotation begins with an empty one.
func (s *Service) begin(sec *secret, token string, testOnly bool) error {
	now := s.env.Clock.Now()
	if err := sec.room(now, []string{pending}); err != nil {
		return err
	}
	v := &version{id: token, created: now}
	if testOnly {
		from := sec.staged(current)
		v.ciphertext, v.boundTo, v.binary = from.ciphertext, from.boundTo, from.binary
		v.keyARN, v.defaultKey = from.keyARN, from.defaultKey
	}
	sec.versions = append(sec.versions, v)
	sec.move(pending, v)
	// The RotationToken ties the function's PutSecretValue to this run.
	sec.rotation.run = &run{token: token, secret: uuid.NewString(), testOnly: testOnly}
	s.recordRotation(context.Background(), sec, sec.rotation.run, "RotationStarted", "")
	s.launch(sec)
	return nil
}

// launch lets the function work in the background.
func (s *Service) launch(sec *secret) {
	this := sec.rotation.run
	this.attempts++
	this.active = true
	s.env.Clock.Go(func() { s.attempt(sec, this) })
}

// reattempt goes on with a rotation that isn't complete, unless it is being
// attempted right now.
func (s *Service) reattempt(sec *secret) {
	rot := &sec.rotation
	if !rot.enabled || (rot.run != nil && rot.run.active) {
		return
	}
	if rot.run == nil {
		rot.run = &run{token: sec.staged(pending).id, secret: uuid.NewString()}
	}
	if rot.run.retry != nil {
		rot.run.retry.Stop()
	}
	rot.run.attempts = 0
	s.launch(sec)
}

// attempt invokes the function once a step. It holds the lock only between the
// steps.
func (s *Service) attempt(sec *secret, this *run) {
	ctx := context.Background()
	todo := steps
	if this.testOnly {
		todo = []string{"testSecret"}
	}
	for _, step := range todo {
		functionARN, ok := s.proceed(sec, this)
		if !ok {
			return
		}
		payload, err := json.Marshal(event{step, sec.arn(), this.token, this.secret})
		if err == nil {
			_, err = s.functions.InvokeSync(ctx, s.asService(sec), functionARN, payload)
		}
		if err != nil {
			s.env.Log.Warn("a rotation step failed", "secret", sec.arn(), "step", step, "error", err)
			s.failed(ctx, sec, this, fmt.Sprintf("Error when executing lambda %s during %s step", functionARN, step))
			return
		}
	}
	s.finished(ctx, sec, this)
}

// proceed says whether this rotation is still wanted.
func (s *Service) proceed(sec *secret, this *run) (functionARN string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sec.rotation.functionARN, sec.rotation.run == this
}

// finished checks the outcome: the new version must be the current one.
func (s *Service) finished(ctx context.Context, sec *secret, this *run) {
	s.mu.Lock()
	if sec.rotation.run != this {
		s.mu.Unlock()
		return
	}
	if this.testOnly {
		defer s.mu.Unlock()
		s.recordRotation(ctx, sec, this, "RotationSucceeded", "")
		s.endTest(sec, this)
		return
	}
	v := sec.version(this.token)
	if v == nil || !v.has(current) {
		s.mu.Unlock()
		s.failed(ctx, sec, this, "The rotation function finished and the pending version is not AWSCURRENT")
		return
	}
	defer s.mu.Unlock()
	now := s.env.Clock.Now()
	sec.rotated, sec.changed = now, now
	rot := &sec.rotation
	rot.run = nil
	if rot.rules.ScheduleExpression == nil || rot.schedule.CountsFromRotation() {
		rot.anchor = now
	}
	if rot.rules.ScheduleExpression != nil {
		days := int64(rot.schedule.Days(now))
		rot.rules.AutomaticallyAfterDays = &days
	}
	s.arm(sec)
	s.recordRotation(ctx, sec, this, "RotationSucceeded", "")
	s.refresh(sec)
}

// failed ends an attempt and plans the next one.
func (s *Service) failed(ctx context.Context, sec *secret, this *run, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec.rotation.run != this {
		return
	}
	s.recordRotation(ctx, sec, this, "RotationFailed", message)
	this.active = false
	if this.testOnly {
		s.endTest(sec, this)
		return
	}
	if this.attempts > len(retryDelays) {
		return
	}
	this.retry = s.env.Clock.AfterFunc(retryDelays[this.attempts-1], func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if sec.rotation.run == this && !this.active {
			s.launch(sec)
		}
	})
}

// endTest removes the version that a test of the configuration used.
func (s *Service) endTest(sec *secret, this *run) {
	sec.versions = slices.DeleteFunc(sec.versions, func(v *version) bool { return v.id == this.token && !v.has(current) })
	sec.rotation.run = nil
	s.refresh(sec)
}

// recordRotation writes one of the events that Secrets Manager itself makes.
// Their form is that of "CloudTrail entries for Secrets Manager". Those of a
// test of the configuration have names of their own: TestRotationStarted and so
// on.
func (s *Service) recordRotation(ctx context.Context, sec *secret, this *run, name, message string) {
	if this.testOnly {
		name = "Test" + name
	}
	s.env.Trail.Record(ctx, api.Event{
		ID: uuid.NewString(), Name: name, Source: "secretsmanager.amazonaws.com", Type: "AwsServiceEvent",
		Time: s.env.Clock.Now(), Region: sec.region, Account: sec.account, Caller: s.asService(sec),
		RequestID:  "Rotation-" + sec.arn() + "-" + this.token,
		Additional: map[string]any{"SecretId": sec.arn()},
		Resources:  []string{sec.arn()}, ErrorMessage: message,
	})
}
