package secretsmanager

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
	"github.com/aistudio/secrets/localcloud/service/secretsmanager/window"
)

// rotation is how a secret is rotated, and the rotation under way.
type rotation struct {
	configured  bool // ever
	enabled     bool
	functionARN string
	rules       rotationRules
	schedule    window.Schedule
	// anchor is what the schedule's rate counts from.
	anchor time.Time
	// nextDate is the end of the next window, as NextRotationDate shows it.
	nextDate time.Time
	timer    *clock.Timer

	run *run // nil unless a rotation is under way or has failed
}

// run is one rotation: from its pending version to that version's being
// current, or given up.
type run struct {
	token    string // the pending version's id
	secret   string // the RotationToken
	testOnly bool   // RotateImmediately=false
	attempts int
	active   bool // the function is at work
	retry    *clock.Timer
}

type rotationRules struct {
	AutomaticallyAfterDays *int64  `json:",omitempty"`
	Duration               *string `json:",omitempty"`
	ScheduleExpression     *string `json:",omitempty"`
}

func (rules *rotationRules) parse() (window.Schedule, error) {
	var c constraints
	c.number("rotationRules.automaticallyAfterDays", rules.AutomaticallyAfterDays, 1000)
	c.length("rotationRules.duration", rules.Duration, 2, 3)
	c.length("rotationRules.scheduleExpression", rules.ScheduleExpression, 1, 256)
	if err := c.err(); err != nil {
		return window.Schedule{}, err
	}
	duration := ""
	if rules.Duration != nil {
		duration = *rules.Duration
	}
	var s window.Schedule
	var err error
	switch {
	case rules.AutomaticallyAfterDays != nil && rules.ScheduleExpression != nil:
		err = errors.New("you can specify AutomaticallyAfterDays or ScheduleExpression, but not both")
	case rules.AutomaticallyAfterDays != nil:
		s, err = window.EveryDays(int(*rules.AutomaticallyAfterDays), duration)
	case rules.ScheduleExpression != nil:
		s, err = window.Parse(*rules.ScheduleExpression, duration)
	case duration != "":
		err = errors.New("a Duration needs a schedule")
	}
	if err != nil {
		return s, errParameter("Invalid RotationRules: %v.", err)
	}
	return s, nil
}

// stop ends what waits for the clock. A function that is at work goes on, and
// nothing follows it.
func (rot *rotation) stop() {
	if rot.timer != nil {
		rot.timer.Stop()
		rot.timer = nil
	}
	rot.abandon()
}

// abandon forgets the rotation under way.
func (rot *rotation) abandon() {
	if rot.run != nil && rot.run.retry != nil {
		rot.run.retry.Stop()
	}
	rot.run = nil
}

// checkToken checks the token by which a rotation function proves what it acts
// for. Functions need not send it.
func (rot *rotation) checkToken(token *string) error {
	if token != nil && (rot.run == nil || rot.run.secret != *token) {
		return errParameter("The RotationToken is not that of a rotation in progress.")
	}
	return nil
}

type rotateInput struct {
	SecretId           *string
	ClientRequestToken *string
	RotateImmediately  *bool
	RotationLambdaARN  *string
	RotationRules      *rotationRules
}

type rotateOutput struct {
	ARN       string
	Name      string
	VersionId string `json:",omitempty"`
}

func (s *Service) rotateSecret(ctx context.Context, r *api.Request, in *rotateInput) (*rotateOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := conditions{}.
		set("secretsmanager:RotationLambdaARN", in.RotationLambdaARN).
		setBool("secretsmanager:RotateImmediately", in.RotateImmediately)
	if in.RotationRules != nil {
		keys["secretsmanager:ModifyRotationRules"] = []string{"true"}
	}
	sec, err := s.openPrimary(ctx, r, "RotateSecret", in.SecretId, keys)
	if err != nil {
		return nil, err
	}
	token, err := rotateToken(in.ClientRequestToken)
	if err != nil {
		return nil, err
	}
	out := &rotateOutput{ARN: sec.arn(), Name: sec.name, VersionId: token}
	if sec.version(token) != nil { // this request, repeated
		return out, nil
	}
	next, err := s.configure(ctx, r, sec, in)
	if err != nil {
		return nil, err
	}
	if v := sec.staged(pending); v != nil && !v.has(current) {
		s.reattempt(sec)
		return nil, errRequest("A previous rotation isn't complete. That rotation will be reattempted.")
	}
	sec.rotation.abandon()
	next.timer, next.run = sec.rotation.timer, nil
	sec.rotation = *next
	sec.changed = r.Time
	testOnly := in.RotateImmediately != nil && !*in.RotateImmediately
	if err := s.begin(sec, token, testOnly); err != nil {
		return nil, err
	}
	s.arm(sec)
	s.replicate(r.Caller, sec)
	r.TrailResponse = map[string]any{"arn": out.ARN, "name": out.Name, "versionId": out.VersionId}
	return out, nil
}

// rotateToken is requestToken with the error code that RotateSecret has for a
// missing one.
func rotateToken(token *string) (string, error) {
	if token == nil || *token == "" {
		return "", errParameter("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	}
	return requestToken(token, true)
}

// configure checks everything that a rotation needs and returns the
// configuration that the request asks for.
func (s *Service) configure(ctx context.Context, r *api.Request, sec *secret, in *rotateInput) (*rotation, error) {
	var c constraints
	c.length("rotationLambdaARN", in.RotationLambdaARN, 0, 2048)
	if err := c.err(); err != nil {
		return nil, err
	}
	next := sec.rotation
	if in.RotationLambdaARN != nil && *in.RotationLambdaARN != "" {
		next.functionARN = *in.RotationLambdaARN
	}
	if in.RotationRules != nil {
		var err error
		if next.schedule, err = in.RotationRules.parse(); err != nil {
			return nil, err
		}
		next.rules = *in.RotationRules
		next.anchor = r.Time
	}
	if next.functionARN == "" {
		return nil, errRequest("No Lambda rotation function ARN is associated with this secret.")
	}
	if sec.staged(current) == nil {
		return nil, errNoStage(current)
	}
	if err := r.Authorize(ctx, api.Check{Action: "lambda:InvokeFunction", Resource: next.functionARN}); err != nil {
		return nil, err
	}
	if err := s.functions.MayInvoke(ctx, s.asService(sec), next.functionARN); err != nil {
		return nil, api.Errorf("AccessDeniedException",
			"Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.")
	}
	if next.anchor.IsZero() {
		next.anchor = r.Time
	}
	next.configured, next.enabled = true, true
	return &next, nil
}

func (s *Service) cancelRotateSecret(ctx context.Context, r *api.Request, in *idInput) (*rotateOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.openPrimary(ctx, r, "CancelRotateSecret", in.SecretId, nil)
	if err != nil {
		return nil, err
	}
	if !sec.rotation.configured {
		return nil, errRequest("You can't cancel the rotation of a secret that has no rotation configured.")
	}
	out := &rotateOutput{ARN: sec.arn(), Name: sec.name}
	if v := sec.staged(pending); v != nil && !v.has(current) {
		out.VersionId = v.id
	}
	sec.rotation.stop()
	sec.rotation.enabled = false
	sec.changed = r.Time
	s.replicate(r.Caller, sec)
	r.TrailResponse = map[string]any{"arn": out.ARN, "name": out.Name, "versionId": out.VersionId}
	return out, nil
}

// changedByHand is called when AWSCURRENT goes to a new version by a request.
// With AutomaticallyAfterDays that counts as a rotation. A rotation of another
// version that is under way is over: see RotationAbandoned in the user guide.
func (s *Service) changedByHand(ctx context.Context, r *api.Request, sec *secret, v *version) {
	rot := &sec.rotation
	if rot.run != nil && rot.run.token == v.id {
		return
	}
	if rot.run != nil {
		if p := sec.version(rot.run.token); p != nil {
			p.unlabel(pending)
		}
		s.recordRotation(ctx, sec, rot.run, "RotationAbandoned", "")
		rot.abandon()
	}
	if rot.enabled && rot.rules.ScheduleExpression == nil {
		rot.anchor = r.Time
		s.arm(sec)
	}
}

// arm sets the clock for the next window and shows its end as the next date.
func (s *Service) arm(sec *secret) {
	now := s.env.Clock.Now()
	if w, ok := s.wake(sec, now); ok {
		// The last second in which the rotation can happen.
		sec.rotation.nextDate = w.End.Add(-time.Second)
	} else {
		sec.rotation.nextDate = time.Time{}
	}
}

// wake sets the clock for the first window after now.
func (s *Service) wake(sec *secret, now time.Time) (window.Window, bool) {
	rot := &sec.rotation
	if rot.timer != nil {
		rot.timer.Stop()
		rot.timer = nil
	}
	if !rot.enabled || !sec.deletion.IsZero() || sec.isReplica() {
		return window.Window{}, false
	}
	w, ok := rot.schedule.Next(now, rot.anchor)
	if !ok {
		return window.Window{}, false
	}
	var timer *clock.Timer
	timer = s.env.Clock.AtFunc(w.Start, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if sec.rotation.timer == timer {
			s.onSchedule(sec)
		}
	})
	rot.timer = timer
	return w, true
}

// onSchedule is called when a window opens. NextRotationDate stays in the past
// until the rotation has succeeded.
func (s *Service) onSchedule(sec *secret) {
	s.wake(sec, s.env.Clock.Now())
	if v := sec.staged(pending); v != nil && !v.has(current) {
		s.reattempt(sec)
		return
	}
	if err := s.begin(sec, uuid.NewString(), false); err != nil {
		s.env.Log.Error("a scheduled rotation did not begin", "secret", sec.arn(), "error", err)
		return
	}
	s.refresh(sec)
}
