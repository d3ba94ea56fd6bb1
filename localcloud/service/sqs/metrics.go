package sqs

import (
	"strings"
	"time"
)

// metricSink is CloudWatch, which gets the queues' metrics.
type metricSink interface {
	Put(account, region, namespace, name, unit string, value float64, dimensions ...string)
}

// measure reports one of a queue's metrics.
func (s *Service) measure(q *queue, name, unit string, value float64) {
	parts := strings.Split(q.arn, ":")
	s.metrics.Put(parts[4], parts[3], "AWS/SQS", name, unit, value, "QueueName", q.name)
}

// report reports how full a queue is, now and every minute until it is empty.
// (AWS goes on until it has been for some hours.) s.mu is held.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
func (s *Service) report(q *queue) {
	s.expire(q)
	now := s.env.Clock.Now()
	visible, hidden := 0, 0
	var oldest time.Duration
	for _, m := range q.messages {
		switch {
		case !m.visible.After(now):
			visible++
		case m.received > 0:
			hidden++
		}
		oldest = max(oldest, now.Sub(m.sent))
	}
	s.measure(q, "ApproximateNumberOfMessagesVisible", "Count", float64(visible))
	s.measure(q, "ApproximateNumberOfMessagesNotVisible", "Count", float64(hidden))
	s.measure(q, "ApproximateAgeOfOldestMessage", "Seconds", oldest.Seconds())
	q.report = nil
	if len(q.messages) == 0 {
		return
	}
	q.report = s.env.Clock.AfterFunc(time.Minute, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.queues[q.arn] == q {
			s.report(q)
		}
	})
}
