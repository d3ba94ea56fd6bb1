package lambda

import (
	"encoding/base64"
	"strconv"

	"github.com/aistudio/secrets/localcloud/api"
)

// maxItems is Lambda's page size when the caller names none.
const maxItems = 50

// paged cuts the page out of a list that the request's Marker and MaxItems mean.
// It returns the marker of the next one, "" after the last.
func paged[T any](r *api.Request, list []T) (page []T, next string, err error) {
	q := r.HTTP.URL.Query()
	size := maxItems
	if text := q.Get("MaxItems"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 1 || size > 10000 {
			return nil, "", constraint(text, "maxItems", "Member must have value between 1 and 10000")
		}
		size = min(size, maxItems)
	}
	start := 0
	if marker := q.Get("Marker"); marker != "" {
		b, err := base64.URLEncoding.DecodeString(marker)
		if err == nil {
			start, err = strconv.Atoi(string(b))
		}
		if err != nil || start < 0 || start > len(list) {
			return nil, "", invalid("Invalid marker")
		}
	}
	end := min(start+size, len(list))
	page = append([]T{}, list[start:end]...) // never null in JSON
	if end < len(list) {
		next = base64.URLEncoding.EncodeToString([]byte(strconv.Itoa(end)))
	}
	return page, next, nil
}
