package cloudtrail

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// eventSelector is a basic event selector.
type eventSelector struct {
	ReadWriteType                 string         `json:",omitempty"` // All (the default), ReadOnly or WriteOnly
	IncludeManagementEvents       *bool          `json:",omitempty"` // nil means true
	DataResources                 []dataResource `json:",omitempty"`
	ExcludeManagementEventSources []string       `json:",omitempty"`
}

type dataResource struct {
	Type   string
	Values []string
}

// advancedSelector is an advanced event selector: all its fields must fit.
type advancedSelector struct {
	Name           string `json:",omitempty"`
	FieldSelectors []fieldSelector
}

type fieldSelector struct {
	Field         string
	Equals        []string `json:",omitempty"`
	StartsWith    []string `json:",omitempty"`
	EndsWith      []string `json:",omitempty"`
	NotEquals     []string `json:",omitempty"`
	NotStartsWith []string `json:",omitempty"`
	NotEndsWith   []string `json:",omitempty"`
}

// logs reports whether the trail logs an event: without selectors it logs all
// management events, and no data events.
func (t *trail) logs(e api.Event, data bool) bool {
	if len(t.advanced) > 0 {
		return slices.ContainsFunc(t.advanced, func(x advancedSelector) bool { return x.selects(e, data) })
	}
	if data {
		return slices.ContainsFunc(t.selectors, func(x eventSelector) bool { return x.reads(e) && x.selectsData(e) })
	}
	if len(t.selectors) == 0 {
		return true
	}
	return slices.ContainsFunc(t.selectors, func(x eventSelector) bool {
		return (x.IncludeManagementEvents == nil || *x.IncludeManagementEvents) && x.reads(e) &&
			!slices.Contains(x.ExcludeManagementEventSources, e.Source)
	})
}

func (x eventSelector) reads(e api.Event) bool {
	return x.ReadWriteType == "" || x.ReadWriteType == "All" || (x.ReadWriteType == "ReadOnly") == e.ReadOnly
}

// selectsData compares with the beginnings of ARNs, as basic selectors do; that
// of a service alone ("arn:aws:lambda") stands for all its resources.
func (x eventSelector) selectsData(e api.Event) bool {
	for _, resource := range x.DataResources {
		for _, arn := range e.Resources {
			if resource.Type == dataType(arn) && slices.ContainsFunc(resource.Values, func(v string) bool { return strings.HasPrefix(arn, v) }) {
				return true
			}
		}
	}
	return false
}

// selects compares an event's fields. Of its resources, one has to fit.
func (x advancedSelector) selects(e api.Event, data bool) bool {
	fields := map[string]string{
		"eventCategory": "Management", "readOnly": strconv.FormatBool(e.ReadOnly),
		"eventSource": e.Source, "eventName": e.Name, "eventType": e.Type,
	}
	if !data {
		return x.fits(fields)
	}
	fields["eventCategory"] = "Data"
	return slices.ContainsFunc(e.Resources, func(arn string) bool {
		of := maps.Clone(fields)
		of["resources.type"], of["resources.ARN"] = dataType(arn), arn
		return x.fits(of)
	})
}

func (x advancedSelector) fits(fields map[string]string) bool {
	for _, f := range x.FieldSelectors {
		if !f.fits(fields[f.Field]) {
			return false
		}
	}
	return true
}

func (f fieldSelector) fits(value string) bool {
	equal := func(want string) bool { return value == want }
	starts := func(want string) bool { return strings.HasPrefix(value, want) }
	ends := func(want string) bool { return strings.HasSuffix(value, want) }
	if wants := slices.Concat(f.Equals, f.StartsWith, f.EndsWith); len(wants) > 0 &&
		!slices.ContainsFunc(f.Equals, equal) && !slices.ContainsFunc(f.StartsWith, starts) && !slices.ContainsFunc(f.EndsWith, ends) {
		return false
	}
	return !slices.ContainsFunc(f.NotEquals, equal) && !slices.ContainsFunc(f.NotStartsWith, starts) && !slices.ContainsFunc(f.NotEndsWith, ends)
}

// dataType is what selectors call the type of a resource (user guide, "Data
// events"); "" for what isn't known.
func dataType(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 {
		return ""
	}
	kind, _, _ := strings.Cut(strings.ReplaceAll(parts[5], "/", ":"), ":")
	switch {
	case parts[2] == "s3" && strings.Contains(parts[5], "/"):
		return "AWS::S3::Object"
	case parts[2] == "lambda" && kind == "function":
		return "AWS::Lambda::Function"
	case parts[2] == "dynamodb" && kind == "table":
		return "AWS::DynamoDB::Table"
	case parts[2] == "sns":
		return "AWS::SNS::Topic"
	case parts[2] == "sqs":
		return "AWS::SQS::Queue"
	}
	return ""
}

type putSelectorsIn struct {
	TrailName              string
	EventSelectors         []eventSelector
	AdvancedEventSelectors []advancedSelector
}

type selectorsOut struct {
	TrailARN               string
	EventSelectors         []eventSelector    `json:",omitempty"`
	AdvancedEventSelectors []advancedSelector `json:",omitempty"`
}

func (s *Service) putEventSelectors(ctx context.Context, r *api.Request, in *putSelectorsIn) (*selectorsOut, error) {
	out := &selectorsOut{}
	err := s.with(ctx, r, in.TrailName, func(t *trail) error {
		if (len(in.EventSelectors) == 0) == (len(in.AdvancedEventSelectors) == 0) {
			return api.Errorf("InvalidEventSelectorsException", "Either EventSelectors or AdvancedEventSelectors is needed, not both.")
		}
		if len(in.EventSelectors) > 5 {
			return api.Errorf("InvalidEventSelectorsException", "A trail can have at most 5 event selectors.")
		}
		for i := range in.EventSelectors {
			x := &in.EventSelectors[i]
			switch x.ReadWriteType {
			case "":
				x.ReadWriteType = "All"
			case "All", "ReadOnly", "WriteOnly":
			default:
				return api.Errorf("InvalidEventSelectorsException", "ReadWriteType must be All, ReadOnly or WriteOnly.")
			}
			if x.IncludeManagementEvents == nil {
				include := true
				x.IncludeManagementEvents = &include
			}
		}
		t.selectors, t.advanced, t.HasCustomEventSelectors = in.EventSelectors, in.AdvancedEventSelectors, true
		*out = selectorsOut{t.TrailARN, t.selectors, t.advanced}
		return nil
	})
	return out, err
}

func (s *Service) getEventSelectors(ctx context.Context, r *api.Request, in *struct{ TrailName string }) (*selectorsOut, error) {
	out := &selectorsOut{}
	err := s.with(ctx, r, in.TrailName, func(t *trail) error {
		*out = selectorsOut{t.TrailARN, t.selectors, t.advanced}
		if !t.HasCustomEventSelectors {
			include := true
			out.EventSelectors = []eventSelector{{ReadWriteType: "All", IncludeManagementEvents: &include}}
		}
		return nil
	})
	return out, err
}
