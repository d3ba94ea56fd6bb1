// Package scheduler is the local cloud's Amazon EventBridge Scheduler: schedules
// in the default group that invoke Lambda functions, SQS queues and SNS topics
// by the local cloud's clock, in the name of a role, and tasks of ECS, where the
// emulator runs nothing. Other groups and universal targets are refused.
package scheduler

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // schedules have time zones, whatever the machine knows of them

	"github.com/aistudio/secrets/localcloud/api"
	"github.com/aistudio/secrets/localcloud/clock"
	"github.com/aistudio/secrets/localcloud/schedule"
	"github.com/aistudio/secrets/localcloud/service/iam"
)

const principal = "scheduler.amazonaws.com"

// Service is Amazon EventBridge Scheduler.
type Service struct {
	env     *api.Env
	roles   roles
	targets targets

	mu        sync.Mutex
	schedules map[place]map[string]*entry
}

// roles is what the Scheduler needs of IAM.
type roles interface {
	SessionOf(ctx context.Context, roleARN, session, service, sourceARN string) (iam.Credentials, error)
}

// functions, queues and topics are what schedules invoke.
type functions interface {
	InvokeAsync(ctx context.Context, caller api.Caller, functionARN string, payload []byte) error
}

type queues interface {
	Send(ctx context.Context, caller api.Caller, queueARN string, body []byte) error
}

type topics interface {
	Publish(ctx context.Context, caller api.Caller, topicARN, subject, message string) error
}

type targets struct {
	functions functions
	queues    queues
	topics    topics
}

type place struct{ account, region string }

// settings are what CreateSchedule sets and GetSchedule shows.
type settings struct {
	ActionAfterCompletion      string    `json:",omitempty"`
	Description                string    `json:",omitempty"`
	EndDate                    *api.Time `json:",omitempty"`
	FlexibleTimeWindow         *window
	GroupName                  string `json:",omitempty"`
	KmsKeyArn                  string `json:",omitempty"`
	ScheduleExpression         string
	ScheduleExpressionTimezone string    `json:",omitempty"`
	StartDate                  *api.Time `json:",omitempty"`
	State                      string    `json:",omitempty"`
	Target                     *target
}

type window struct {
	Mode                   string
	MaximumWindowInMinutes *int `json:",omitempty"`
}

type target struct {
	Arn              string
	RoleArn          string
	Input            string          `json:",omitempty"`
	RetryPolicy      *retryPolicy    `json:",omitempty"`
	DeadLetterConfig *deadLetters    `json:",omitempty"`
	EcsParameters    json.RawMessage `json:",omitempty"` // kept as they came
}

type retryPolicy struct {
	MaximumEventAgeInSeconds *int `json:",omitempty"`
	MaximumRetryAttempts     *int `json:",omitempty"`
}

type deadLetters struct{ Arn string }

// entry is a schedule.
type entry struct {
	settings
	place             place
	name, arn         string
	created, modified time.Time
	times             times
	timer             *clock.Timer
}

// New makes a Scheduler without schedules.
func New(env *api.Env, r roles, f functions, q queues, t topics) *Service {
	return &Service{env: env, roles: r, targets: targets{f, q, t}, schedules: map[place]map[string]*entry{}}
}

// Name implements api.Service.
func (s *Service) Name() string { return "scheduler" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol {
	return api.REST{Routes: []api.Route{
		{Method: http.MethodGet, Path: "/schedules", Operation: "ListSchedules"},
		{Method: http.MethodPost, Path: "/schedules/{Name}", Operation: "CreateSchedule"},
		{Method: http.MethodGet, Path: "/schedules/{Name}", Operation: "GetSchedule"},
		{Method: http.MethodPut, Path: "/schedules/{Name}", Operation: "UpdateSchedule"},
		{Method: http.MethodDelete, Path: "/schedules/{Name}", Operation: "DeleteSchedule"},
		{Method: http.MethodGet, Path: "/tags/{ResourceArn}", Operation: "ListTagsForResource"},
	}}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"ListSchedules":       s.list,
		"CreateSchedule":      api.JSON(s.create),
		"GetSchedule":         s.get,
		"UpdateSchedule":      api.JSON(s.update),
		"DeleteSchedule":      s.remove,
		"ListTagsForResource": s.listTags,
	}[operation]
}

// SensitiveMembers implements api.Sensitive.
func (s *Service) SensitiveMembers() []string { return []string{"Input"} }

const group = "default"

func at(r *api.Request) place { return place{r.Account, r.Region} }

// groupARN is what the Scheduler tells a role's trust policy as aws:SourceArn
// (user guide, "Confused deputy prevention").
func groupARN(schedule string) string {
	return strings.Replace(schedule[:strings.LastIndex(schedule, "/")], ":schedule/", ":schedule-group/", 1)
}

func arnOf(r *api.Request, name string) string { return r.ARN("scheduler", "schedule/"+group+"/"+name) }

func invalid(format string, args ...any) error {
	return api.Errorf("ValidationException", format, args...)
}

func notFound(name string) error {
	return api.StatusErrorf(http.StatusNotFound, "ResourceNotFoundException", "Schedule %s does not exist.", name)
}

func (s *Service) authorize(ctx context.Context, r *api.Request, action string) error {
	arn := arnOf(r, r.Path["Name"])
	r.TrailResources = []string{arn}
	return r.Authorize(ctx, api.Check{Action: "scheduler:" + action, Resource: arn})
}

func checkGroup(name string) error {
	if name != "" && name != group {
		return api.StatusErrorf(http.StatusNotFound, "ResourceNotFoundException", "Schedule group %s does not exist.", name)
	}
	return nil
}

type scheduleInput struct {
	settings
	ClientToken string
}

type arnOutput struct{ ScheduleArn string }

func (s *Service) create(ctx context.Context, r *api.Request, in *scheduleInput) (*arnOutput, error) {
	if err := s.authorize(ctx, r, "CreateSchedule"); err != nil {
		return nil, err
	}
	e, err := s.entry(ctx, r, in.settings)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schedules[e.place] == nil {
		s.schedules[e.place] = map[string]*entry{}
	}
	if s.schedules[e.place][e.name] != nil {
		return nil, api.StatusErrorf(http.StatusConflict, "ConflictException", "Schedule %s already exists.", e.name)
	}
	s.schedules[e.place][e.name] = e
	s.plan(e, r.Time, true)
	r.TrailResponse = map[string]any{"scheduleArn": e.arn}
	return &arnOutput{e.arn}, nil
}

// update replaces all settings: what isn't given gets its default.
func (s *Service) update(ctx context.Context, r *api.Request, in *scheduleInput) (*arnOutput, error) {
	if err := s.authorize(ctx, r, "UpdateSchedule"); err != nil {
		return nil, err
	}
	e, err := s.entry(ctx, r, in.settings)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.schedules[e.place][e.name]
	if old == nil {
		return nil, notFound(e.name)
	}
	old.stop()
	e.created = old.created
	s.schedules[e.place][e.name] = e
	s.plan(e, r.Time, true)
	return &arnOutput{e.arn}, nil
}

type getOutput struct {
	settings
	Arn, Name                          string
	CreationDate, LastModificationDate *api.Time
}

func (s *Service) get(ctx context.Context, r *api.Request) (any, error) {
	if err := s.authorize(ctx, r, "GetSchedule"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.open(r)
	if err != nil {
		return nil, err
	}
	return &getOutput{e.settings, e.arn, e.name, api.NewTime(e.created), api.NewTime(e.modified)}, nil
}

// open finds the schedule of a request. s.mu is held.
func (s *Service) open(r *api.Request) (*entry, error) {
	if err := checkGroup(r.HTTP.URL.Query().Get("groupName")); err != nil {
		return nil, err
	}
	e := s.schedules[at(r)][r.Path["Name"]]
	if e == nil {
		return nil, notFound(r.Path["Name"])
	}
	return e, nil
}

func (s *Service) remove(ctx context.Context, r *api.Request) (any, error) {
	if err := s.authorize(ctx, r, "DeleteSchedule"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.open(r)
	if err != nil {
		return nil, err
	}
	e.stop()
	delete(s.schedules[e.place], e.name)
	return nil, nil
}

type tagsOutput struct{ Tags []struct{} }

// listTags shows the tags of a schedule group; schedules have none. The default
// group, which is the only one here, starts without and none can be set.
func (s *Service) listTags(ctx context.Context, r *api.Request) (any, error) {
	arn := r.Path["ResourceArn"]
	if err := r.Authorize(ctx, api.Check{Action: "scheduler:ListTagsForResource", Resource: arn}); err != nil {
		return nil, err
	}
	if arn != r.ARN("scheduler", "schedule-group/"+group) {
		return nil, api.StatusErrorf(http.StatusNotFound, "ResourceNotFoundException", "Schedule group %s does not exist.", arn)
	}
	return &tagsOutput{[]struct{}{}}, nil
}

type summary struct {
	Arn, Name, GroupName, State        string
	Target                             struct{ Arn string }
	CreationDate, LastModificationDate *api.Time
}

type listOutput struct {
	Schedules []summary
	NextToken string `json:",omitempty"`
}

func (s *Service) list(ctx context.Context, r *api.Request) (any, error) {
	if err := r.Authorize(ctx, api.Check{Action: "scheduler:ListSchedules", Resource: r.ARN("scheduler", "schedule/*/*")}); err != nil {
		return nil, err
	}
	query := r.HTTP.URL.Query()
	if err := checkGroup(query.Get("ScheduleGroup")); err != nil {
		return nil, err
	}
	limit, start := 100, 0
	var err error
	if text := query.Get("MaxResults"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 100 {
			return nil, invalid("MaxResults must be between 1 and 100.")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []summary{}
	for _, name := range slices.Sorted(maps.Keys(s.schedules[at(r)])) {
		e := s.schedules[at(r)][name]
		if strings.HasPrefix(name, query.Get("NamePrefix")) && (query.Get("State") == "" || query.Get("State") == e.State) {
			found = append(found, summary{
				e.arn, e.name, group, e.State, struct{ Arn string }{e.Target.Arn}, api.NewTime(e.created), api.NewTime(e.modified),
			})
		}
	}
	if token := query.Get("NextToken"); token != "" {
		if start, err = strconv.Atoi(token); err != nil || start < 0 || start > len(found) {
			return nil, invalid("Invalid NextToken provided.")
		}
	}
	end := min(len(found), start+limit)
	out := &listOutput{Schedules: found[start:end]}
	if end < len(found) {
		out.NextToken = strconv.Itoa(end)
	}
	return out, nil
}

var nameForm = regexp.MustCompile(`^[0-9a-zA-Z-_.]{1,64}$`)

// entry checks the settings and makes a schedule of them.
func (s *Service) entry(ctx context.Context, r *api.Request, in settings) (*entry, error) {
	e := &entry{settings: in, place: at(r), name: r.Path["Name"], arn: arnOf(r, r.Path["Name"]), created: r.Time, modified: r.Time}
	if err := checkGroup(in.GroupName); err != nil {
		return nil, err
	}
	e.GroupName = group
	switch {
	case !nameForm.MatchString(e.name):
		return nil, invalid("1 validation error detected: Value at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9a-zA-Z-_.]+")
	case in.Target == nil || in.Target.Arn == "" || in.Target.RoleArn == "":
		return nil, invalid("The target needs an Arn and a RoleArn.")
	case in.FlexibleTimeWindow == nil || !in.FlexibleTimeWindow.valid():
		return nil, invalid("FlexibleTimeWindow needs the mode OFF, or FLEXIBLE with 1 to 1440 minutes.")
	case !slices.Contains([]string{"", "ENABLED", "DISABLED"}, in.State), !slices.Contains([]string{"", "NONE", "DELETE"}, in.ActionAfterCompletion):
		return nil, invalid("State must be ENABLED or DISABLED, ActionAfterCompletion NONE or DELETE.")
	}
	if e.State == "" {
		e.State = "ENABLED"
	}
	if e.ActionAfterCompletion == "" {
		e.ActionAfterCompletion = "NONE"
	}
	var err error
	if e.times, err = parseTimes(in); err != nil {
		return nil, err
	}
	if !e.times.start.IsZero() && r.Time.Sub(e.times.start) > 5*time.Minute {
		return nil, invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
	}
	if err := in.Target.check(); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, api.Check{
		Action: "iam:PassRole", Resource: in.Target.RoleArn, Context: map[string][]string{"iam:PassedToService": {principal}},
	}); err != nil {
		return nil, err
	}
	if _, err := s.roles.SessionOf(ctx, in.Target.RoleArn, session, principal, groupARN(e.arn)); err != nil {
		return nil, invalid("The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
	}
	return e, nil
}

func (w *window) valid() bool {
	switch n := w.MaximumWindowInMinutes; w.Mode {
	case "OFF":
		return n == nil
	case "FLEXIBLE":
		return n != nil && *n >= 1 && *n <= 1440
	}
	return false
}

func (t *target) check() error {
	switch parts := strings.Split(t.Arn, ":"); {
	case len(parts) < 6 || parts[0] != "arn":
		return invalid("Provided Arn is not in correct format.")
	case parts[2] == "ecs":
		var task struct{ TaskDefinitionArn string }
		if json.Unmarshal(t.EcsParameters, &task) != nil || task.TaskDefinitionArn == "" {
			return invalid("EcsParameters must have a TaskDefinitionArn.")
		}
	case parts[2] != "lambda" && parts[2] != "sqs" && parts[2] != "sns":
		return api.StatusErrorf(http.StatusNotImplemented, api.ErrUnsupportedMember, "The emulator does not support the target %s.", t.Arn)
	}
	if t.RetryPolicy == nil {
		t.RetryPolicy = &retryPolicy{}
	}
	for _, c := range []struct {
		value     **int
		otherwise int
		lo, hi    int
	}{
		{&t.RetryPolicy.MaximumEventAgeInSeconds, 86400, 60, 86400}, {&t.RetryPolicy.MaximumRetryAttempts, 185, 0, 185},
	} {
		if *c.value == nil {
			*c.value = &c.otherwise
		}
		if **c.value < c.lo || **c.value > c.hi {
			return invalid("The retry policy is out of range: %d is not between %d and %d.", **c.value, c.lo, c.hi)
		}
	}
	return nil
}

// times are those of a schedule: once, or again and again between two dates.
type times struct {
	once       time.Time
	repeated   schedule.Schedule
	start, end time.Time
}

func parseTimes(in settings) (times, error) {
	zone := time.UTC
	if in.ScheduleExpressionTimezone != "" {
		var err error
		if zone, err = time.LoadLocation(in.ScheduleExpressionTimezone); err != nil {
			return times{}, invalid("Invalid Schedule Expression Timezone %s.", in.ScheduleExpressionTimezone)
		}
	}
	if text, ok := strings.CutPrefix(in.ScheduleExpression, "at("); ok {
		once, err := time.ParseInLocation("2006-01-02T15:04:05)", text, zone)
		if err != nil {
			return times{}, invalid("Invalid Schedule Expression %s.", in.ScheduleExpression)
		}
		return times{once: once.UTC()}, nil
	}
	repeated, err := schedule.Parse(in.ScheduleExpression)
	if err != nil {
		return times{}, invalid("Invalid Schedule Expression %s.", in.ScheduleExpression)
	}
	t := times{repeated: repeated.In(zone)}
	if in.StartDate != nil {
		t.start = in.StartDate.Time
	}
	if in.EndDate != nil {
		t.end = in.EndDate.Time
	}
	return t, nil
}

// next is the first time after now, zero for none. A rate begins at its start
// or, without one, at once: first says that it hasn't begun.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
func (t times) next(now time.Time, first bool) time.Time {
	if !t.once.IsZero() {
		if t.once.After(now) {
			return t.once
		}
		return time.Time{}
	}
	var next time.Time
	switch {
	case t.repeated.Rate() > 0 && first && t.start.After(now):
		next = t.start
	case t.repeated.Rate() > 0 && first && !t.start.IsZero():
		next = t.start.Add(now.Sub(t.start).Truncate(t.repeated.Rate()) + t.repeated.Rate())
	case t.repeated.Rate() > 0 && first:
		next = now
	case t.repeated.Rate() > 0:
		next = t.repeated.Next(now)
	case t.start.After(now):
		next = t.repeated.Next(t.start.Add(-time.Second))
	default:
		next = t.repeated.Next(now)
	}
	if !t.end.IsZero() && next.After(t.end) {
		return time.Time{}
	}
	return next
}
