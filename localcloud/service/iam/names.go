package iam

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
	policy "github.com/aistudio/secrets/localcloud/iam"
)

var (
	nameForm = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathForm = regexp.MustCompile(`^/([\x21-\x7e]+/)?$`)
)

func checkName(member, name string, longest int) error {
	if name == "" {
		return validation("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must not be null", member)
	}
	if !nameForm.MatchString(name) {
		return validation("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", member)
	}
	if len(name) > longest {
		return validation("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", member, longest)
	}
	return nil
}

// checkPath returns "/" for an empty path.
func checkPath(path string) (string, error) {
	path = cmp.Or(path, "/")
	if len(path) > 512 || !pathForm.MatchString(path) {
		return "", validation("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return path, nil
}

func validation(format string, args ...any) error {
	return api.Errorf("ValidationError", format, args...)
}

func noSuchEntity(format string, args ...any) error {
	return api.StatusErrorf(http.StatusNotFound, "NoSuchEntity", format, args...)
}

func conflict(code, format string, args ...any) error {
	return api.StatusErrorf(http.StatusConflict, code, format, args...)
}

// document is a policy as it was written and as it was understood.
type document struct {
	text   string
	parsed *policy.Document
}

func parseDocument(kind policy.Kind, text string, longest int) (document, error) {
	if len(text) > longest {
		return document{}, conflict("LimitExceeded", "Cannot exceed quota for PolicySize: %d", longest)
	}
	parsed, err := policy.Parse(kind, text)
	if err != nil {
		return document{}, api.Errorf("MalformedPolicyDocument", "%v", err)
	}
	return document{text, parsed}, nil
}

// encoded is the form that IAM's replies carry documents in: RFC 3986.
func (d document) encoded() string {
	return strings.ReplaceAll(url.QueryEscape(d.text), "+", "%20")
}

const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// newID makes a unique id such as AROA… of 21 characters, or an access key id
// of 20.
func (s *Service) newID(prefix string, length int) (string, error) {
	b := make([]byte, length-len(prefix))
	if _, err := io.ReadFull(s.env.Rand, b); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	for i := range b {
		b[i] = idAlphabet[int(b[i])%len(idAlphabet)]
	}
	return prefix + string(b), nil
}

func (s *Service) randomText(bytes int) (string, error) {
	b := make([]byte, bytes)
	if _, err := io.ReadFull(s.env.Rand, b); err != nil {
		return "", fmt.Errorf("make credentials: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString(b), nil
}

// page is embedded in the replies of operations that list.
type page struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

// paginate cuts a list, sorted by key, after the marker: the key of the last
// item of the page before.
func paginate[T any](items []T, key func(T) string, marker string, maxItems *int) ([]T, page, error) {
	limit := 100
	if maxItems != nil {
		limit = *maxItems
	}
	if limit < 1 || limit > 1000 {
		return nil, page{}, validation("1 validation error detected: Value '%d' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 1000", limit)
	}
	slices.SortFunc(items, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	if marker != "" {
		last, err := base64.RawURLEncoding.DecodeString(marker)
		if err != nil {
			return nil, page{}, validation("Invalid Marker.")
		}
		i, found := slices.BinarySearchFunc(items, string(last), func(item T, k string) int { return strings.Compare(key(item), k) })
		if found {
			i++
		}
		items = items[i:]
	}
	if len(items) <= limit {
		return items, page{}, nil
	}
	items = items[:limit]
	return items, page{true, base64.RawURLEncoding.EncodeToString([]byte(key(items[limit-1])))}, nil
}

// tag is a tag as requests and replies have it.
type tag struct{ Key, Value string }

const maxTags = 50

// addTags checks new tags and returns the old ones with them. Keys are unique
// without regard to case.
func addTags(old map[string]string, tags []tag) (map[string]string, error) {
	all := map[string]string{}
	for k, v := range old {
		all[k] = v
	}
	seen := map[string]bool{}
	for _, t := range tags {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 {
			return nil, validation("A tag's key has 1 to 128 characters, its value at most 256.")
		}
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, api.Errorf("InvalidInput", "Tag keys must not begin with aws:.")
		}
		if seen[strings.ToLower(t.Key)] {
			return nil, api.Errorf("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[strings.ToLower(t.Key)] = true
		for k := range all {
			if strings.EqualFold(k, t.Key) {
				delete(all, k)
			}
		}
		all[t.Key] = t.Value
	}
	if len(all) > maxTags {
		return nil, conflict("LimitExceeded", "The number of tags has reached the maximum limit: %d.", maxTags)
	}
	return all, nil
}

func tagList(tags map[string]string) []tag {
	list := make([]tag, 0, len(tags))
	for k, v := range tags {
		list = append(list, tag{k, v})
	}
	slices.SortFunc(list, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// requestTags are the condition keys of the tags that a request sends.
func requestTags(tags []tag) map[string][]string {
	keys := map[string][]string{}
	for _, t := range tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	return keys
}
