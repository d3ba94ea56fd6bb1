package cloudtrail

import (
	"context"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// visible are the account's trails that a region sees: its own and, with
// shadows, the multi-region ones of other regions; mu is held.
func (s *Service) visible(account, region string, shadows bool) []*trail {
	var list []*trail
	for _, t := range s.trails {
		if t.account == account && (t.HomeRegion == region || (shadows && t.IsMultiRegionTrail)) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *trail) int { return strings.Compare(a.TrailARN, b.TrailARN) })
	return list
}

type describeTrailsIn struct {
	TrailNameList       []string
	IncludeShadowTrails *bool
}

type describeTrailsOut struct {
	TrailList []description `json:"trailList"`
}

func (s *Service) describeTrails(ctx context.Context, r *api.Request, in *describeTrailsIn) (*describeTrailsOut, error) {
	if err := r.Authorize(ctx, api.Check{Action: "cloudtrail:DescribeTrails", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	shadows := in.IncludeShadowTrails == nil || *in.IncludeShadowTrails
	out := &describeTrailsOut{TrailList: []description{}}
	for _, t := range s.visible(r.Account, r.Region, shadows) {
		named := slices.Contains(in.TrailNameList, t.TrailARN) || (t.HomeRegion == r.Region && slices.Contains(in.TrailNameList, t.Name))
		if len(in.TrailNameList) == 0 || named {
			out.TrailList = append(out.TrailList, t.description)
		}
	}
	return out, nil
}

type listTrailsOut struct{ Trails []trailInfo }

type trailInfo struct{ TrailARN, Name, HomeRegion string }

// listTrails shows the account's trails of all regions on one page: an account
// has at most five a region.
func (s *Service) listTrails(ctx context.Context, r *api.Request, _ *struct{}) (*listTrailsOut, error) {
	if err := r.Authorize(ctx, api.Check{Action: "cloudtrail:ListTrails", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := &listTrailsOut{Trails: []trailInfo{}}
	for _, t := range s.trails {
		if t.account == r.Account {
			out.Trails = append(out.Trails, trailInfo{t.TrailARN, t.Name, t.HomeRegion})
		}
	}
	slices.SortFunc(out.Trails, func(a, b trailInfo) int { return strings.Compare(a.TrailARN, b.TrailARN) })
	return out, nil
}

type tagsIn struct {
	ResourceId string
	TagsList   []tag
}

func (s *Service) addTags(ctx context.Context, r *api.Request, in *tagsIn) (*nothing, error) {
	return nil, s.with(ctx, r, in.ResourceId, func(t *trail) error {
		for _, x := range in.TagsList {
			t.tags[x.Key] = x.Value
		}
		if len(t.tags) > 50 {
			return api.Errorf("TagsLimitExceededException", "A trail can have at most 50 tags.")
		}
		return nil
	})
}

func (s *Service) removeTags(ctx context.Context, r *api.Request, in *tagsIn) (*nothing, error) {
	return nil, s.with(ctx, r, in.ResourceId, func(t *trail) error {
		for _, x := range in.TagsList {
			delete(t.tags, x.Key)
		}
		return nil
	})
}

type listTagsIn struct {
	ResourceIdList []string
	NextToken      string
}

type listTagsOut struct{ ResourceTagList []resourceTags }

type resourceTags struct {
	ResourceId string
	TagsList   []tag
}

func (s *Service) listTags(ctx context.Context, r *api.Request, in *listTagsIn) (*listTagsOut, error) {
	if len(in.ResourceIdList) == 0 {
		r.AllowAll()
		return nil, api.Errorf("InvalidParameterException", "ResourceIdList must name at least one trail.")
	}
	out := &listTagsOut{}
	for _, id := range in.ResourceIdList {
		err := s.with(ctx, r, id, func(t *trail) error {
			x := resourceTags{ResourceId: id, TagsList: []tag{}}
			for k, v := range t.tags {
				x.TagsList = append(x.TagsList, tag{k, v})
			}
			slices.SortFunc(x.TagsList, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
			out.ResourceTagList = append(out.ResourceTagList, x)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
