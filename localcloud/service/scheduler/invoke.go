package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// session is the name of the role's session that invokes.
const session = "EventBridgeScheduler"

func (e *entry) stop() {
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}

// plan sets the timer of a schedule's next invocation after now. s.mu is held.
func (s *Service) plan(e *entry, now time.Time, first bool) {
	e.stop()
	if e.State != "ENABLED" {
		return
	}
	next := e.times.next(now, first)
	if next.IsZero() {
		if e.ActionAfterCompletion == "DELETE" {
			delete(s.schedules[e.place], e.name)
		}
		return
	}
	e.timer = s.env.Clock.AtFunc(next, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.schedules[e.place][e.name] != e {
			return
		}
		i := &invocation{Service: s, entry: e, scheduled: next, id: uuid.NewString(), began: s.env.Clock.Now()}
		if delay := s.delay(e); delay > 0 {
			s.env.Clock.AfterFunc(delay, i.attempt)
		} else {
			s.env.Clock.Go(i.attempt)
		}
		s.plan(e, next, false)
	})
}

// delay is some time within a flexible window.
func (s *Service) delay(e *entry) time.Duration {
	minutes := e.FlexibleTimeWindow.MaximumWindowInMinutes
	if minutes == nil {
		return 0
	}
	n, err := rand.Int(s.env.Rand, big.NewInt(int64(time.Duration(*minutes)*time.Minute)))
	if err != nil {
		return 0
	}
	return time.Duration(n.Int64())
}

// invocation is one of a schedule's, with all its attempts.
type invocation struct {
	*Service
	*entry
	scheduled time.Time
	id        string
	began     time.Time
	retries   int
}

// attempt invokes the target. What fails is tried again, ever more slowly, as
// the retry policy says, and then goes to the dead-letter queue.
func (i *invocation) attempt() {
	ctx := context.Background() // outlives every request
	caller, err := i.caller(ctx)
	if err == nil {
		payload := i.payload()
		switch target := i.Target.Arn; strings.Split(target, ":")[2] {
		case "lambda":
			err = i.targets.functions.InvokeAsync(ctx, caller, target, payload)
		case "sqs":
			err = i.targets.queues.Send(ctx, caller, target, payload)
		case "ecs": // would run a task
		default:
			err = i.targets.topics.Publish(ctx, caller, target, "", string(payload))
		}
	}
	if err == nil {
		return
	}
	i.env.Log.WarnContext(ctx, "a schedule's invocation failed", "schedule", i.arn, "target", i.Target.Arn, "error", err)
	pause := min(time.Second<<min(i.retries, 20), 10*time.Minute)
	age := i.env.Clock.Now().Sub(i.began) + pause
	if i.retries < *i.Target.RetryPolicy.MaximumRetryAttempts && age <= time.Duration(*i.Target.RetryPolicy.MaximumEventAgeInSeconds)*time.Second {
		i.retries++
		i.env.Clock.AfterFunc(pause, i.attempt)
		return
	}
	if i.Target.DeadLetterConfig == nil || caller.Role == "" {
		return
	}
	if err := i.targets.queues.Send(ctx, caller, i.Target.DeadLetterConfig.Arn, i.payload()); err != nil {
		i.env.Log.WarnContext(ctx, "a dead letter is lost", "schedule", i.arn, "queue", i.Target.DeadLetterConfig.Arn, "error", err)
	}
}

// caller is the role, as long as it trusts the Scheduler.
func (i *invocation) caller(ctx context.Context) (api.Caller, error) {
	role := i.Target.RoleArn
	if _, err := i.roles.SessionOf(ctx, role, session, principal, groupARN(i.arn)); err != nil {
		return api.Caller{}, err
	}
	return api.Caller{
		Account: i.place.account, Role: role, Session: session,
		ARN: "arn:aws:sts::" + i.place.account + ":assumed-role/" + role[strings.LastIndex(role, "/")+1:] + "/" + session,
	}, nil
}

// payload is the target's input, with its context attributes filled in:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
func (i *invocation) payload() []byte {
	if i.Target.Input != "" {
		return []byte(strings.NewReplacer(
			"<aws.scheduler.schedule-arn>", i.arn,
			"<aws.scheduler.scheduled-time>", i.scheduled.Format(time.RFC3339),
			"<aws.scheduler.execution-id>", i.id,
			"<aws.scheduler.attempt-number>", strconv.Itoa(i.retries+1),
		).Replace(i.Target.Input))
	}
	text, _ := json.Marshal(map[string]any{ // made of strings
		"version": "0", "id": i.id, "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": i.place.account,
		"time": i.scheduled.Format(time.RFC3339), "region": i.place.region, "resources": []string{i.arn}, "detail": "{}",
	})
	return text
}
