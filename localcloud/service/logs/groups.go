package logs

import (
	"cmp"
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

var groupForm = regexp.MustCompile(`^[\.\-_/#A-Za-z0-9]{1,512}$`)

// retentions are the numbers of days that AWS takes.
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

type createLogGroupInput struct {
	LogGroupName  string
	KmsKeyID      string
	LogGroupClass string
	Tags          map[string]string
}

func (s *Service) createLogGroup(ctx context.Context, r *api.Request, in *createLogGroupInput) (*empty, error) {
	k := groupKey{r.Account, r.Region, in.LogGroupName}
	if err := s.authorize(ctx, r, "CreateLogGroup", k, ""); err != nil {
		return nil, err
	}
	if !groupForm.MatchString(in.LogGroupName) {
		return nil, invalid("1 validation error detected: Value '%s' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+", in.LogGroupName)
	}
	class := cmp.Or(in.LogGroupClass, "STANDARD")
	if class != "STANDARD" && class != "INFREQUENT_ACCESS" && class != "DELIVERY" {
		return nil, invalid("The log group class %q is none of STANDARD, INFREQUENT_ACCESS and DELIVERY.", class)
	}
	if err := validateTags(in.Tags); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.groups[k] != nil {
		return nil, api.Errorf("ResourceAlreadyExistsException", "The specified log group already exists")
	}
	g := s.newGroup(k)
	g.class, g.kmsKey = class, in.KmsKeyID
	maps.Copy(g.tags, in.Tags)
	s.groups[k] = g
	return nil, nil
}

type groupInput struct{ LogGroupName string }

// change authorises an operation on a group and carries it out under the lock.
func (s *Service) change(ctx context.Context, r *api.Request, action, name string, f func(*group)) (*empty, error) {
	k := groupKey{r.Account, r.Region, name}
	if err := s.authorize(ctx, r, action, k, ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(k)
	if err != nil {
		return nil, err
	}
	f(g)
	return nil, nil
}

func (s *Service) deleteLogGroup(ctx context.Context, r *api.Request, in *groupInput) (*empty, error) {
	return s.change(ctx, r, "DeleteLogGroup", in.LogGroupName, func(g *group) { delete(s.groups, g.groupKey) })
}

type putRetentionInput struct {
	LogGroupName    string
	RetentionInDays int
}

func (s *Service) putRetentionPolicy(ctx context.Context, r *api.Request, in *putRetentionInput) (*empty, error) {
	valid := slices.Contains(retentions, in.RetentionInDays)
	out, err := s.change(ctx, r, "PutRetentionPolicy", in.LogGroupName, func(g *group) {
		if valid {
			g.retention = in.RetentionInDays
		}
	})
	if err == nil && !valid {
		return nil, invalid("%d is not a valid retention: it is one of %v days.", in.RetentionInDays, retentions)
	}
	return out, err
}

func (s *Service) deleteRetentionPolicy(ctx context.Context, r *api.Request, in *groupInput) (*empty, error) {
	return s.change(ctx, r, "DeleteRetentionPolicy", in.LogGroupName, func(g *group) { g.retention = 0 })
}

type kmsKeyInput struct{ KmsKeyID, LogGroupName string }

func (s *Service) associateKMSKey(ctx context.Context, r *api.Request, in *kmsKeyInput) (*empty, error) {
	return s.change(ctx, r, "AssociateKmsKey", in.LogGroupName, func(g *group) { g.kmsKey = in.KmsKeyID })
}

func (s *Service) disassociateKMSKey(ctx context.Context, r *api.Request, in *groupInput) (*empty, error) {
	return s.change(ctx, r, "DisassociateKmsKey", in.LogGroupName, func(g *group) { g.kmsKey = "" })
}

type describeLogGroupsInput struct {
	LogGroupNamePattern string
	LogGroupNamePrefix  string
	Limit               int
	NextToken           string
}

type groupOutput struct {
	ARN               string `json:"arn"`
	CreationTime      int64  `json:"creationTime"`
	KmsKeyID          string `json:"kmsKeyId,omitempty"`
	LogGroupARN       string `json:"logGroupArn"`
	LogGroupClass     string `json:"logGroupClass"`
	LogGroupName      string `json:"logGroupName"`
	MetricFilterCount int    `json:"metricFilterCount"`
	RetentionInDays   int    `json:"retentionInDays,omitempty"`
	StoredBytes       int64  `json:"storedBytes"`
}

type describeLogGroupsOutput struct {
	LogGroups []groupOutput `json:"logGroups"`
	NextToken string        `json:"nextToken,omitempty"`
}

func (s *Service) describeLogGroups(ctx context.Context, r *api.Request, in *describeLogGroupsInput) (*describeLogGroupsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "logs:DescribeLogGroups", Resource: api.ARN("logs", r.Region, r.Account, "log-group::log-stream:")}); err != nil {
		return nil, err
	}
	if in.LogGroupNamePattern != "" && in.LogGroupNamePrefix != "" {
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []groupOutput
	for k, g := range s.groups {
		if k.account == r.Account && k.region == r.Region && strings.HasPrefix(k.name, in.LogGroupNamePrefix) &&
			strings.Contains(strings.ToLower(k.name), strings.ToLower(in.LogGroupNamePattern)) {
			list = append(list, s.show(g))
		}
	}
	slices.SortFunc(list, func(a, b groupOutput) int { return cmp.Compare(a.LogGroupName, b.LogGroupName) })
	page, next, err := paged(list, in.Limit, 50, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &describeLogGroupsOutput{page, next}, nil
}

func (s *Service) show(g *group) groupOutput {
	out := groupOutput{
		ARN: g.arn() + ":*", LogGroupARN: g.arn(), CreationTime: g.created.UnixMilli(), KmsKeyID: g.kmsKey,
		LogGroupClass: g.class, LogGroupName: g.name, RetentionInDays: g.retention, MetricFilterCount: len(g.filters),
	}
	for _, st := range g.streams {
		for _, e := range s.current(g, st) {
			out.StoredBytes += int64(len(e.Message)) + 26 // AWS counts 26 bytes an event besides
		}
	}
	return out
}

// paged cuts a page out of a list; the token is the index of its first item.
func paged[T any](list []T, limit, most int, token string) (page []T, next string, err error) {
	if limit < 0 || limit > most {
		return nil, "", invalid("limit must be between 1 and %d.", most)
	}
	if limit == 0 {
		limit = most
	}
	start := 0
	if token != "" {
		if start, err = strconv.Atoi(token); err != nil || start < 0 || start > len(list) {
			return nil, "", invalid("The specified nextToken is invalid.")
		}
	}
	end := min(start+limit, len(list))
	if end < len(list) {
		next = strconv.Itoa(end)
	}
	return append([]T{}, list[start:end]...), next, nil // never null in JSON
}

type tagInput struct {
	ResourceARN string
	Tags        map[string]string
	TagKeys     []string
}

func validateTags(tags map[string]string) error {
	if len(tags) > 50 {
		return api.Errorf("TooManyTagsException", "A resource can have no more than 50 tags.")
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("The tag key %q, or its value, is not valid: keys have 1 to 128 characters and don't begin with aws:, values have at most 256.", k)
		}
	}
	return nil
}

// tagged authorises an operation on a group's tags and carries it out under the
// lock.
func (s *Service) tagged(ctx context.Context, r *api.Request, action string, in *tagInput, f func(*group) error) error {
	parts := strings.SplitN(in.ResourceARN, ":", 7)
	if len(parts) != 7 || parts[2] != "logs" || parts[5] != "log-group" || strings.Contains(parts[6], ":") {
		return invalid("%q is not the ARN of a log group (without \":*\" at its end).", in.ResourceARN)
	}
	k := groupKey{parts[4], parts[3], parts[6]}
	r.TrailResources = []string{k.arn()}
	c := api.Check{Action: "logs:" + action, Resource: k.arn(), Context: map[string][]string{}}
	for key, value := range in.Tags {
		c.Context["aws:RequestTag/"+key] = []string{value}
		c.Context["aws:TagKeys"] = append(c.Context["aws:TagKeys"], key)
	}
	if err := r.Authorize(ctx, c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.group(k)
	if err != nil {
		return err
	}
	return f(g)
}

func (s *Service) tagResource(ctx context.Context, r *api.Request, in *tagInput) (*empty, error) {
	return nil, s.tagged(ctx, r, "TagResource", in, func(g *group) error {
		tags := maps.Clone(g.tags)
		maps.Copy(tags, in.Tags)
		if err := validateTags(tags); err != nil {
			return err
		}
		g.tags = tags
		return nil
	})
}

func (s *Service) untagResource(ctx context.Context, r *api.Request, in *tagInput) (*empty, error) {
	return nil, s.tagged(ctx, r, "UntagResource", in, func(g *group) error {
		for _, k := range in.TagKeys {
			delete(g.tags, k)
		}
		return nil
	})
}

type tagsOutput struct {
	Tags map[string]string `json:"tags"`
}

func (s *Service) listTagsForResource(ctx context.Context, r *api.Request, in *tagInput) (*tagsOutput, error) {
	out := &tagsOutput{}
	err := s.tagged(ctx, r, "ListTagsForResource", in, func(g *group) error {
		out.Tags = maps.Clone(g.tags)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
