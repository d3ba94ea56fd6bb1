package handlers

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

// schedule is one of EventBridge Scheduler; its ID is its group and name.
type schedule struct {
	ARN                        string          `json:"arn" prop:"out"`
	Description                string          `json:"description,omitempty" prop:"in"`
	EndDate                    string          `json:"endDate,omitempty" prop:"in"`
	FlexibleTimeWindow         *flexibleWindow `json:"flexibleTimeWindow" prop:"in,required"`
	GroupName                  string          `json:"groupName" prop:"in,out,replace"`
	KMSKeyARN                  string          `json:"kmsKeyArn,omitempty" prop:"in"`
	Name                       string          `json:"name" prop:"in,replace,auto=64"`
	NamePrefix                 string          `json:"namePrefix" prop:"in,out,replace,writeonly"`
	ScheduleExpression         string          `json:"scheduleExpression" prop:"in,required"`
	ScheduleExpressionTimezone string          `json:"scheduleExpressionTimezone" prop:"in,default=\"UTC\""`
	StartDate                  string          `json:"startDate,omitempty" prop:"in"`
	State                      string          `json:"state" prop:"in,default=\"ENABLED\""`
	Target                     *scheduleTarget `json:"target" prop:"in,required"`
}

type flexibleWindow struct {
	MaximumWindowInMinutes int32  `json:"maximumWindowInMinutes,omitempty" prop:"in"`
	Mode                   string `json:"mode" prop:"in,required"`
}

type scheduleTarget struct {
	ARN              string               `json:"arn" prop:"in,required"`
	DeadLetterConfig *scheduleDeadLetters `json:"deadLetterConfig,omitempty" prop:"in"`
	Input            string               `json:"input,omitempty" prop:"in"`
	RetryPolicy      *scheduleRetries     `json:"retryPolicy,omitempty" prop:"in,out"`
	RoleARN          string               `json:"roleArn" prop:"in,required"`
}

type scheduleDeadLetters struct {
	ARN string `json:"arn" prop:"in,required"`
}

type scheduleRetries struct {
	MaximumEventAgeInSeconds int32 `json:"maximumEventAgeInSeconds" prop:"in,default=86400"`
	MaximumRetryAttempts     int32 `json:"maximumRetryAttempts" prop:"in,default=185"`
}

func scheduleKind() resourceType {
	return kind[schedule]{
		token: "aws:scheduler/schedule:Schedule",
		check: func(s *schedule) error {
			if _, err := date("startDate", s.StartDate); err != nil {
				return err
			}
			_, err := date("endDate", s.EndDate)
			return err
		},
		create: func(ctx context.Context, c *clients, s *schedule) (string, error) {
			name, err := nameOrPrefix(s.Name, s.NamePrefix)
			if err != nil {
				return "", err
			}
			in, err := s.request(name)
			if err != nil {
				return "", err
			}
			if _, err := c.scheduler.CreateSchedule(ctx, in); err != nil {
				return "", err
			}
			return aws.ToString(in.GroupName) + "/" + name, nil
		},
		read: readSchedule,
		update: func(ctx context.Context, c *clients, id string, _, s *schedule) error {
			_, name, _ := strings.Cut(id, "/")
			in, err := s.request(name)
			if err != nil {
				return err
			}
			_, err = c.scheduler.UpdateSchedule(ctx, &scheduler.UpdateScheduleInput{
				Description: in.Description, EndDate: in.EndDate, FlexibleTimeWindow: in.FlexibleTimeWindow, GroupName: in.GroupName, KmsKeyArn: in.KmsKeyArn,
				Name: in.Name, ScheduleExpression: in.ScheduleExpression, ScheduleExpressionTimezone: in.ScheduleExpressionTimezone,
				StartDate: in.StartDate, State: in.State, Target: in.Target,
			})
			return err
		},
		remove: func(ctx context.Context, c *clients, id string, _ *schedule) error {
			group, name, _ := strings.Cut(id, "/")
			_, err := c.scheduler.DeleteSchedule(ctx, &scheduler.DeleteScheduleInput{GroupName: &group, Name: &name})
			return unlessGone[*schedulertypes.ResourceNotFoundException](err)
		},
	}
}

func (s *schedule) request(name string) (*scheduler.CreateScheduleInput, error) {
	from, err := date("startDate", s.StartDate)
	if err != nil {
		return nil, err
	}
	to, err := date("endDate", s.EndDate)
	if err != nil {
		return nil, err
	}
	group := s.GroupName
	if group == "" {
		group = "default"
	}
	in := &scheduler.CreateScheduleInput{
		Description: optional(s.Description), EndDate: to, GroupName: &group, KmsKeyArn: optional(s.KMSKeyARN), Name: &name,
		FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{
			MaximumWindowInMinutes: positive(s.FlexibleTimeWindow.MaximumWindowInMinutes), Mode: schedulertypes.FlexibleTimeWindowMode(s.FlexibleTimeWindow.Mode),
		},
		ScheduleExpression: &s.ScheduleExpression, ScheduleExpressionTimezone: optional(s.ScheduleExpressionTimezone),
		StartDate: from, State: schedulertypes.ScheduleState(s.State),
		Target: &schedulertypes.Target{Arn: &s.Target.ARN, RoleArn: &s.Target.RoleARN, Input: optional(s.Target.Input)},
	}
	if d := s.Target.DeadLetterConfig; d != nil {
		in.Target.DeadLetterConfig = &schedulertypes.DeadLetterConfig{Arn: &d.ARN}
	}
	if p := s.Target.RetryPolicy; p != nil {
		in.Target.RetryPolicy = &schedulertypes.RetryPolicy{MaximumEventAgeInSeconds: &p.MaximumEventAgeInSeconds, MaximumRetryAttempts: &p.MaximumRetryAttempts}
	}
	return in, nil
}

func readSchedule(ctx context.Context, c *clients, id string, s *schedule) error {
	group, name, _ := strings.Cut(id, "/")
	got, err := c.scheduler.GetSchedule(ctx, &scheduler.GetScheduleInput{GroupName: &group, Name: &name})
	if err != nil {
		return gone[*schedulertypes.ResourceNotFoundException](err)
	}
	*s = schedule{
		ARN: aws.ToString(got.Arn), Description: aws.ToString(got.Description), EndDate: dateText(got.EndDate), GroupName: aws.ToString(got.GroupName),
		FlexibleTimeWindow: &flexibleWindow{aws.ToInt32(got.FlexibleTimeWindow.MaximumWindowInMinutes), string(got.FlexibleTimeWindow.Mode)},
		KMSKeyARN:          aws.ToString(got.KmsKeyArn), Name: name, NamePrefix: s.NamePrefix,
		ScheduleExpression: aws.ToString(got.ScheduleExpression), ScheduleExpressionTimezone: aws.ToString(got.ScheduleExpressionTimezone),
		StartDate: dateText(got.StartDate), State: string(got.State),
		Target: &scheduleTarget{ARN: aws.ToString(got.Target.Arn), Input: aws.ToString(got.Target.Input), RoleARN: aws.ToString(got.Target.RoleArn)},
	}
	if got.Target.DeadLetterConfig != nil {
		s.Target.DeadLetterConfig = &scheduleDeadLetters{aws.ToString(got.Target.DeadLetterConfig.Arn)}
	}
	if p := got.Target.RetryPolicy; p != nil {
		s.Target.RetryPolicy = &scheduleRetries{aws.ToInt32(p.MaximumEventAgeInSeconds), aws.ToInt32(p.MaximumRetryAttempts)}
	}
	return nil
}
