package cloudtrail

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// trail is one trail.
type trail struct {
	description
	account          string
	logging          bool
	started, stopped time.Time
	tags             map[string]string
	selectors        []eventSelector
	advanced         []advancedSelector
	toBucket         outcome
	toGroup          outcome
}

// description is a trail as replies show it.
type description struct {
	Name                       string
	S3BucketName               string
	S3KeyPrefix                string `json:",omitempty"`
	SnsTopicName               string `json:",omitempty"`
	SnsTopicARN                string `json:",omitempty"`
	IncludeGlobalServiceEvents bool
	IsMultiRegionTrail         bool
	IsOrganizationTrail        bool
	HomeRegion                 string
	TrailARN                   string
	LogFileValidationEnabled   bool
	CloudWatchLogsLogGroupArn  string `json:",omitempty"`
	CloudWatchLogsRoleArn      string `json:",omitempty"`
	KmsKeyId                   string `json:",omitempty"`
	HasCustomEventSelectors    bool
	HasInsightSelectors        bool
}

// trailIn is the request of CreateTrail and UpdateTrail.
type trailIn struct {
	Name                       string
	S3BucketName               *string
	S3KeyPrefix                *string
	SnsTopicName               *string
	IncludeGlobalServiceEvents *bool
	IsMultiRegionTrail         *bool
	IsOrganizationTrail        *bool
	EnableLogFileValidation    *bool
	CloudWatchLogsLogGroupArn  *string
	CloudWatchLogsRoleArn      *string
	KmsKeyId                   *string
	TagsList                   []tag
}

type tag struct {
	Key   string
	Value string `json:",omitempty"`
}

// apply changes what the request has.
func (in *trailIn) apply(d *description) {
	for to, from := range map[*string]*string{
		&d.S3BucketName: in.S3BucketName, &d.S3KeyPrefix: in.S3KeyPrefix, &d.SnsTopicName: in.SnsTopicName,
		&d.CloudWatchLogsLogGroupArn: in.CloudWatchLogsLogGroupArn, &d.CloudWatchLogsRoleArn: in.CloudWatchLogsRoleArn,
		&d.KmsKeyId: in.KmsKeyId,
	} {
		if from != nil {
			*to = *from
		}
	}
	for to, from := range map[*bool]*bool{
		&d.IncludeGlobalServiceEvents: in.IncludeGlobalServiceEvents, &d.IsMultiRegionTrail: in.IsMultiRegionTrail,
		&d.IsOrganizationTrail: in.IsOrganizationTrail, &d.LogFileValidationEnabled: in.EnableLogFileValidation,
	} {
		if from != nil {
			*to = *from
		}
	}
}

var trailNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,126}[A-Za-z0-9]$`)

func (s *Service) createTrail(ctx context.Context, r *api.Request, in *trailIn) (*description, error) {
	arn := r.ARN("cloudtrail", "trail/"+in.Name)
	if err := ask(ctx, r, arn); err != nil {
		return nil, err
	}
	if !trailNameForm.MatchString(in.Name) {
		return nil, api.Errorf("InvalidTrailNameException", "The trail name %q is not valid: 3 to 128 letters, digits, periods, underscores and dashes.", in.Name)
	}
	if in.S3BucketName == nil || *in.S3BucketName == "" {
		return nil, api.Errorf("InvalidS3BucketNameException", "Bucket name cannot be blank!")
	}
	t := &trail{account: r.Account, tags: map[string]string{}}
	t.description = description{Name: in.Name, TrailARN: arn, HomeRegion: r.Region, IncludeGlobalServiceEvents: true}
	in.apply(&t.description)
	if t.IsMultiRegionTrail && !t.IncludeGlobalServiceEvents {
		return nil, api.Errorf("InvalidParameterCombinationException", "Multi-Region trail must include global service events.")
	}
	for _, x := range in.TagsList {
		t.tags[x.Key] = x.Value
	}
	if err := s.check(ctx, r, t); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trails[arn] != nil {
		return nil, api.Errorf("TrailAlreadyExistsException", "Trail %s already exists for customer: %s", in.Name, r.Account)
	}
	s.trails[arn] = t
	r.TrailResponse = map[string]any{"name": t.Name, "trailARN": arn, "s3BucketName": t.S3BucketName, "isMultiRegionTrail": t.IsMultiRegionTrail}
	out := t.description
	return &out, nil
}

func ask(ctx context.Context, r *api.Request, arn string) error {
	r.TrailResources = []string{arn}
	return r.Authorize(ctx, api.Check{Action: "cloudtrail:" + r.Operation, Resource: arn})
}

// with asks IAM, then runs f with the trail under the lock. A trail is named by
// its ARN or, in its home region, by its name.
func (s *Service) with(ctx context.Context, r *api.Request, name string, f func(*trail) error) error {
	arn := name
	if !strings.HasPrefix(name, "arn:") {
		arn = r.ARN("cloudtrail", "trail/"+name)
	}
	if err := ask(ctx, r, arn); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.trails[arn]
	if t == nil || t.account != r.Account {
		return api.Errorf("TrailNotFoundException", "Unknown trail: %s for the user: %s", name, r.Account)
	}
	reads := strings.HasPrefix(r.Operation, "Get") || strings.HasPrefix(r.Operation, "List")
	if !reads && t.HomeRegion != r.Region {
		return api.Errorf("InvalidHomeRegionException", "The trail %s can be changed in its home region %s only.", arn, t.HomeRegion)
	}
	return f(t)
}

func (s *Service) updateTrail(ctx context.Context, r *api.Request, in *trailIn) (*description, error) {
	changed := &trail{}
	err := s.with(ctx, r, in.Name, func(t *trail) error {
		*changed = *t
		return nil
	})
	if err != nil {
		return nil, err
	}
	in.apply(&changed.description)
	if err := s.check(ctx, r, changed); err != nil {
		return nil, err
	}
	out := &description{}
	err = s.with(ctx, r, in.Name, func(t *trail) error {
		in.apply(&t.description)
		*out = t.description
		return nil
	})
	return out, err
}

type trailName struct{ Name string }

type nothing struct{}

func (s *Service) deleteTrail(ctx context.Context, r *api.Request, in *trailName) (*nothing, error) {
	return nil, s.with(ctx, r, in.Name, func(t *trail) error {
		s.end(r, t)
		delete(s.trails, t.TrailARN)
		return nil
	})
}

type getTrailOut struct{ Trail description }

func (s *Service) getTrail(ctx context.Context, r *api.Request, in *trailName) (*getTrailOut, error) {
	out := &getTrailOut{}
	err := s.with(ctx, r, in.Name, func(t *trail) error {
		out.Trail = t.description
		return nil
	})
	return out, err
}

func (s *Service) startLogging(ctx context.Context, r *api.Request, in *trailName) (*nothing, error) {
	return nil, s.with(ctx, r, in.Name, func(t *trail) error {
		t.logging, t.started = true, s.env.Clock.Now()
		return nil
	})
}

func (s *Service) stopLogging(ctx context.Context, r *api.Request, in *trailName) (*nothing, error) {
	return nil, s.with(ctx, r, in.Name, func(t *trail) error {
		s.end(r, t)
		t.logging, t.stopped = false, s.env.Clock.Now()
		return nil
	})
}

// end has a trail log the request that ends it. s.mu is held.
func (s *Service) end(r *api.Request, t *trail) {
	if t.logging && r.ID != "" {
		last := *t
		s.ending[r.ID] = &last
	}
}

type statusOut struct {
	IsLogging        bool
	StartLoggingTime *api.Time `json:",omitempty"`
	StopLoggingTime  *api.Time `json:",omitempty"`

	LatestDeliveryTime                *api.Time `json:",omitempty"`
	LatestDeliveryError               string    `json:",omitempty"`
	LatestCloudWatchLogsDeliveryTime  *api.Time `json:",omitempty"`
	LatestCloudWatchLogsDeliveryError string    `json:",omitempty"`

	TimeLoggingStarted string
	TimeLoggingStopped string
}

func (s *Service) getTrailStatus(ctx context.Context, r *api.Request, in *trailName) (*statusOut, error) {
	out := &statusOut{}
	err := s.with(ctx, r, in.Name, func(t *trail) error {
		out.IsLogging = t.logging
		out.StartLoggingTime, out.TimeLoggingStarted = api.NewTime(t.started), timeText(t.started)
		out.StopLoggingTime, out.TimeLoggingStopped = api.NewTime(t.stopped), timeText(t.stopped)
		out.LatestDeliveryTime, out.LatestDeliveryError = api.NewTime(t.toBucket.last), t.toBucket.error
		out.LatestCloudWatchLogsDeliveryTime, out.LatestCloudWatchLogsDeliveryError = api.NewTime(t.toGroup.last), t.toGroup.error
		return nil
	})
	return out, err
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
