package cloudtrail

import (
	"context"
	"slices"
	"strconv"

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

// logs reports whether the trail logs a management event: without selectors it
// logs all.
func (t *trail) logs(e api.Event) bool {
	if len(t.advanced) > 0 {
		return slices.ContainsFunc(t.advanced, func(x advancedSelector) bool { return x.selects(e) })
	}
	if len(t.selectors) == 0 {
		return true
	}
	return slices.ContainsFunc(t.selectors, func(x eventSelector) bool {
		return (x.IncludeManagementEvents == nil || *x.IncludeManagementEvents) &&
			(x.ReadWriteType == "" || x.ReadWriteType == "All" || (x.ReadWriteType == "ReadOnly") == e.ReadOnly) &&
			!slices.Contains(x.ExcludeManagementEventSources, e.Source)
	})
}

func (x advancedSelector) selects(e api.Event) bool {
	for _, f := range x.FieldSelectors {
		value := map[string]string{
			"eventCategory": "Management", "readOnly": strconv.FormatBool(e.ReadOnly),
			"eventSource": e.Source, "eventName": e.Name, "eventType": e.Type,
		}[f.Field]
		if len(f.Equals) > 0 && !slices.Contains(f.Equals, value) || slices.Contains(f.NotEquals, value) {
			return false
		}
	}
	return true
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
