package cloudwatch

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

// maxWidgets is AWS's quota of widgets in a dashboard.
const maxWidgets = 500

type dashboard struct {
	arn, name, body string
	modified        time.Time
}

var dashboardName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

func dashboardARN(account, name string) string {
	return api.ARN("cloudwatch", "", account, "dashboard/"+name)
}

func (s *Service) authorizeDashboard(ctx context.Context, r *api.Request, action, name string) error {
	arn := dashboardARN(r.Account, name)
	r.TrailResources = append(r.TrailResources, arn)
	return r.Authorize(ctx, api.Check{Action: "cloudwatch:" + action, Resource: arn})
}

func dashboardNotFound(name string) error {
	return shape(http.StatusNotFound, "DashboardNotFoundError", "ResourceNotFound", "Dashboard %s does not exist", name)
}

type putDashboardInput struct{ DashboardName, DashboardBody string }

type validationMessage struct{ DataPath, Message string }

type putDashboardOutput struct{ DashboardValidationMessages []validationMessage }

// putDashboard checks what makes a body no dashboard at all: its JSON, and that
// each widget has a type and properties and lies on the grid of 24 columns.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
func (s *Service) putDashboard(ctx context.Context, r *api.Request, in *putDashboardInput) (*putDashboardOutput, error) {
	if err := s.authorizeDashboard(ctx, r, "PutDashboard", in.DashboardName); err != nil {
		return nil, err
	}
	if !dashboardName.MatchString(in.DashboardName) {
		return nil, invalid("The value %s for field DashboardName contains invalid characters. It can only contain alphanumerics, dash (-) and underscore (_).", in.DashboardName)
	}
	if found := checkBody(in.DashboardBody); len(found) > 0 {
		e := api.Errorf("DashboardInvalidInputError", "The dashboard body is invalid, there are %d validation errors: %s: %s", len(found), found[0].DataPath, found[0].Message)
		e.Fields = map[string]any{api.QueryCode: "InvalidParameterInput", "dashboardValidationMessages": found}
		return nil, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dashboards[r.Account] == nil {
		s.dashboards[r.Account] = map[string]*dashboard{}
	}
	s.dashboards[r.Account][in.DashboardName] = &dashboard{
		dashboardARN(r.Account, in.DashboardName), in.DashboardName, in.DashboardBody, r.Time,
	}
	return &putDashboardOutput{[]validationMessage{}}, nil
}

func checkBody(body string) []validationMessage {
	var in struct {
		Widgets []struct {
			Type                string          `json:"type"`
			X, Y, Width, Height *int            `json:",omitempty"`
			Properties          json.RawMessage `json:"properties"`
		} `json:"widgets"`
	}
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		return []validationMessage{{"/", "The field DashboardBody must be a valid JSON object"}}
	}
	var found []validationMessage
	if len(in.Widgets) > maxWidgets {
		found = append(found, validationMessage{"/widgets", "Should not have more than " + strconv.Itoa(maxWidgets) + " items"})
	}
	for i, w := range in.Widgets {
		path := "/widgets/" + strconv.Itoa(i)
		switch w.Type {
		case "metric", "text", "log", "alarm", "explorer", "custom":
		default:
			found = append(found, validationMessage{path + "/type", "Should be one of metric, text, log, alarm, explorer and custom"})
		}
		if len(w.Properties) == 0 {
			found = append(found, validationMessage{path, "Should have required property 'properties'"})
		}
		for _, side := range []struct {
			name   string
			value  *int
			lo, hi int
		}{{"x", w.X, 0, 23}, {"y", w.Y, 0, 1 << 30}, {"width", w.Width, 1, 24}, {"height", w.Height, 1, 1000}} {
			if side.value != nil && (*side.value < side.lo || *side.value > side.hi) {
				found = append(found, validationMessage{path + "/" + side.name, "Should be between " + strconv.Itoa(side.lo) + " and " + strconv.Itoa(side.hi)})
			}
		}
	}
	return found
}

type getDashboardInput struct{ DashboardName string }

type getDashboardOutput struct{ DashboardArn, DashboardBody, DashboardName string }

func (s *Service) getDashboard(ctx context.Context, r *api.Request, in *getDashboardInput) (*getDashboardOutput, error) {
	if err := s.authorizeDashboard(ctx, r, "GetDashboard", in.DashboardName); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dashboards[r.Account][in.DashboardName]
	if d == nil {
		return nil, dashboardNotFound(in.DashboardName)
	}
	return &getDashboardOutput{d.arn, d.body, d.name}, nil
}

type listDashboardsInput struct{ DashboardNamePrefix, NextToken string }

type dashboardEntry struct {
	DashboardArn, DashboardName string
	LastModified                *api.Time
	Size                        int
}

type listDashboardsOutput struct {
	DashboardEntries []dashboardEntry
	NextToken        string `json:",omitempty"`
}

func (s *Service) listDashboards(ctx context.Context, r *api.Request, in *listDashboardsInput) (*listDashboardsOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "cloudwatch:ListDashboards", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []dashboardEntry{}
	for _, name := range sortedKeys(s.dashboards[r.Account]) {
		if d := s.dashboards[r.Account][name]; strings.HasPrefix(name, in.DashboardNamePrefix) {
			found = append(found, dashboardEntry{d.arn, d.name, api.NewTime(d.modified), len(d.body)})
		}
	}
	const page = 1000
	start, err := offset(in.NextToken, len(found))
	if err != nil {
		return nil, err
	}
	out := &listDashboardsOutput{DashboardEntries: found[start:min(start+page, len(found))]}
	if start+page < len(found) {
		out.NextToken = strconv.Itoa(start + page)
	}
	return out, nil
}

type deleteDashboardsInput struct{ DashboardNames []string }

// deleteDashboards deletes all or, if one doesn't exist, none.
func (s *Service) deleteDashboards(ctx context.Context, r *api.Request, in *deleteDashboardsInput) (*empty, error) {
	if len(in.DashboardNames) == 0 {
		r.AllowAll()
		return nil, missing("DashboardNames")
	}
	for _, name := range in.DashboardNames {
		if err := s.authorizeDashboard(ctx, r, "DeleteDashboards", name); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range in.DashboardNames {
		if s.dashboards[r.Account][name] == nil {
			return nil, dashboardNotFound(name)
		}
	}
	for _, name := range in.DashboardNames {
		delete(s.dashboards[r.Account], name)
	}
	return nil, nil //nolint:nilnil // an operation without a result
}
