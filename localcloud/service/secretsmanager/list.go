package secretsmanager

import (
	"cmp"
	"context"
	"encoding/base64"
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
	found := s.match(place{r.Account, r.Region}, in.Filters, in.IncludePlannedDeletion != nil && *in.IncludePlannedDeletion)
	sortSecrets(found, in.SortBy, in.SortOrder)
	found, next, err := page(found, in.MaxResults, 100, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listOutput{NextToken: next, SecretList: []listEntry{}}
	for _, sec := range found {
		out.SecretList = append(out.SecretList, listEntry{description: sec.describe(), SecretVersionsToStages: sec.stages()})
	}
	return out, nil
}

// match returns the secrets of a place that pass all filters.
func (s *Service) match(where place, filters []filter, deleted bool) []*secret {
	var found []*secret
	for _, sec := range s.secrets[where] {
		if (sec.deletion.IsZero() || deleted) && passes(sec, filters) {
			found = append(found, sec)
		}
	}
	return found
}

// sortSecrets sorts by creation, newest first, unless the caller says
// otherwise; equal ones by name.
func sortSecrets(secrets []*secret, by, order *string) {
	key := func(sec *secret) time.Time { return sec.created }
	if by != nil && *by == "last-changed-date" {
		key = func(sec *secret) time.Time { return sec.changed }
	}
	if by != nil && *by == "last-accessed-date" {
		key = func(sec *secret) time.Time { return sec.accessed }
	}
	slices.SortFunc(secrets, func(a, b *secret) int {
		if by != nil && *by == "name" {
			return strings.Compare(a.name, b.name)
		}
		return cmp.Or(key(a).Compare(key(b)), strings.Compare(a.name, b.name))
	})
	if order == nil || *order == "desc" {
		slices.Reverse(secrets)
	}
}

// page cuts one page out of items. The token is the place where the next one
// begins.
func page[T any](items []T, size *int64, most int64, token *string) (part []T, next string, err error) {
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
	n := most
	if size != nil {
		n = *size
	}
	start = min(start, len(items))
	end := min(start+int(n), len(items))
	if end < len(items) {
		next = base64.RawURLEncoding.EncodeToString([]byte("after:" + strconv.Itoa(end)))
	}
	return items[start:end], next, nil
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
