package lambda

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

const (
	// maxEventAge is how long AWS keeps an asynchronous event that finds no room.
	maxEventAge = 6 * time.Hour
	// maxBackoff is the longest pause between two such attempts.
	maxBackoff = 5 * time.Minute
)

// retryPauses come before the attempts after a function error: "two more times,
// with a one-minute wait between the first two attempts, and two minutes
// between the second and third".
var retryPauses = []time.Duration{time.Minute, 2 * time.Minute}

// queued is an event of an asynchronous invocation.
type queued struct {
	invocation
	since    time.Time
	attempts int // that ended in an error
	backoff  time.Duration
}

// enqueue takes an event for an existing function; it is handled in the
// background.
func (s *Service) enqueue(event invocation) error {
	if err := event.validate(maxAsyncPayload); err != nil {
		return err
	}
	if event.id == "" {
		event.id = uuid.NewString()
	}
	s.mu.Lock()
	_, _, err := s.find(event.ref)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	q := &queued{invocation: event, since: s.env.Clock.Now(), backoff: time.Second}
	s.env.Clock.Go(func() { s.handle(q) })
	return nil
}

// handle makes one attempt and plans the next when it fails.
func (s *Service) handle(q *queued) {
	result, _, err := s.run(context.Background(), q.invocation) // outlives the request
	switch {
	case err == nil && result.FunctionError == "":
		return
	case throttled(err) || pendingError(err):
		if s.env.Clock.Now().Sub(q.since) >= maxEventAge {
			s.drop(q, "it is too old")
			return
		}
		pause := q.backoff
		q.backoff = min(2*q.backoff, maxBackoff)
		s.env.Clock.AfterFunc(pause, func() { s.handle(q) })
	case err != nil:
		s.drop(q, err.Error())
	case q.attempts == len(retryPauses):
		s.drop(q, functionError(q.ref.arn(), result.Payload).Type)
	default:
		q.attempts++
		s.env.Clock.AfterFunc(retryPauses[q.attempts-1], func() { s.handle(q) })
	}
}

// drop gives an event up. It goes to the function's dead-letter queue, by the
// function's role; the attributes that AWS adds to the message are left out:
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html.
func (s *Service) drop(q *queued, why string) {
	s.env.Log.Warn("an asynchronous event is dropped", "function", q.ref.arn(), "request", q.id, "why", why)
	s.mu.Lock()
	_, v, err := s.find(q.ref)
	var queue, role string
	if err == nil {
		queue, role = v.deadLetters, v.role
	}
	s.mu.Unlock()
	if queue == "" {
		return
	}
	if err := s.queues.Send(context.Background(), asRole(role, q.ref.name), queue, q.payload); err != nil {
		s.env.Log.Error("a dead letter is lost", "function", q.ref.arn(), "queue", queue, "error", err)
	}
}

// asRole is a caller that has taken a role on.
func asRole(role, session string) api.Caller {
	account := strings.Split(role, ":")[4]
	return api.Caller{
		Account: account, Role: role, Session: session,
		ARN: "arn:aws:sts::" + account + ":assumed-role/" + role[strings.LastIndex(role, "/")+1:] + "/" + session,
	}
}

// mayKeep refuses a role that couldn't send to the dead-letter queue.
func (s *Service) mayKeep(ctx context.Context, region string, set settings) error {
	if set.deadLetters == "" {
		return nil
	}
	if s.env.IAM.Authorize(ctx, asRole(set.role, "lambda"), region, api.Check{Action: "sqs:SendMessage", Resource: set.deadLetters}) != nil {
		return invalid("The provided execution role does not have permissions to call SendMessage on SQS")
	}
	return nil
}
