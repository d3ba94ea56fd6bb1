package secretsmanager

import (
	"cmp"
	"context"
	"encoding/base64"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aistudio/secrets/localcloud/api"
)

type listInput struct {
	Filters                []filter
	IncludePlannedDeletion *bool
	MaxResults             *int64
	NextToken              *string
	SortBy                 *string
	SortOrder              *string
}

type listOutput struct {
	NextToken  string `json:",omitempty"`
	SecretList []listEntry
}

type listEntry struct {
	description
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

// listSecrets is up to date at once; on AWS it can lag behind by minutes.
func (s *Service) listSecrets(ctx context.Context, r *api.Request, in *listInput) (*listOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "secretsmanager:ListSecrets", Resource: "*"}); err != nil {
		return nil, err
	}
	var c constraints
	c.number("maxResults", in.MaxResults, 100)
	c.oneOf("sortOrder", in.SortOrder, "asc", "desc")
	c.oneOf("sortBy", in.SortBy, "created-date", "last-accessed-date", "last-changed-date", "name")
	c.filters(in.Filters)
	if err := c.err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, next, err := page(s.match(place{r.Account, r.Region}, in), in.MaxResults, 100, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listOutput{NextToken: next, SecretList: []listEntry{}}
	for _, sec := range found {
		out.SecretList = append(out.SecretList, listEntry{description: sec.describe(), SecretVersionsToStages: sec.stages()})
	}
	return out, nil
}

// match walks through the secrets of a place that pass all filters: by creation,
// newest first, unless the caller says otherwise.
func (s *Service) match(where place, in *listInput) iter.Seq[*secret] {
	by := "created-date"
	if in.SortBy != nil {
		by = *in.SortBy
	}
	sorted := s.sorted(where, by)
	deleted := in.IncludePlannedDeletion != nil && *in.IncludePlannedDeletion
	return func(yield func(*secret) bool) {
		for i, sec := range sorted {
			if in.SortOrder == nil || *in.SortOrder == "desc" {
				sec = sorted[len(sorted)-1-i]
			}
			if (sec.deletion.IsZero() || deleted) && passes(sec, in.Filters) && !yield(sec) {
				return
			}
		}
	}
}

// sorted returns the secrets of a place in ascending order; equal ones by name.
// The orders that only a new secret or the end of one changes are kept, as a
// listing of many pages needs them for each page.
func (s *Service) sorted(where place, by string) []*secret {
	if kept := s.orders[where][by]; kept != nil {
		return kept
	}
	key := func(sec *secret) time.Time { return sec.created }
	switch by {
	case "last-changed-date":
		key = func(sec *secret) time.Time { return sec.changed }
	case "last-accessed-date":
		key = func(sec *secret) time.Time { return sec.accessed }
	case "name":
		key = func(*secret) time.Time { return time.Time{} }
	}
	all := slices.SortedFunc(maps.Values(s.secrets[where]), func(a, b *secret) int {
		return cmp.Or(key(a).Compare(key(b)), strings.Compare(a.name, b.name))
	})
	if by == "created-date" || by == "name" {
		if s.orders[where] == nil {
			s.orders[where] = map[string][]*secret{}
		}
		s.orders[where][by] = all
	}
	return all
}

// page cuts one page out of items. The token is the place where the next one
// begins.
func page[T any](items iter.Seq[T], size *int64, most int64, token *string) (part []T, next string, err error) {
	start := 0
	if token != nil {
		raw, err := base64.RawURLEncoding.DecodeString(*token)
		if err == nil {
			start, err = strconv.Atoi(strings.TrimPrefix(string(raw), "after:"))
		}
		if err != nil || start < 1 || !strings.HasPrefix(string(raw), "after:") {
			return nil, "", api.Errorf("InvalidNextTokenException", "The NextToken value is invalid.")
		}
	}
	n := int(most)
	if size != nil {
		n = int(*size)
	}
	part = []T{}
	i := 0
	for item := range items {
		if i >= start+n {
			next = base64.RawURLEncoding.EncodeToString([]byte("after:" + strconv.Itoa(i)))
			break
		}
		if i >= start {
			part = append(part, item)
		}
		i++
	}
	return part, next, nil
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
