package handlers

import (
	"maps"
	"slices"
	"strings"
)

// tagged holds the two tag properties that most resource types have.
type tagged struct {
	Tags    map[string]string `json:"tags,omitempty" prop:"in"`
	TagsAll map[string]string `json:"tagsAll,omitempty" prop:"out"`
}

// setTags takes over the tags that AWS tells, without AWS's own.
func (t *tagged) setTags(actual map[string]string) {
	maps.DeleteFunc(actual, func(key, _ string) bool { return strings.HasPrefix(key, "aws:") })
	t.Tags, t.TagsAll = actual, maps.Clone(actual)
}

// tagChanges tells which tags to put and which keys to remove to get from one
// set of tags to another.
func tagChanges(old, tags map[string]string) (put map[string]string, remove []string) {
	put = map[string]string{}
	for key, value := range tags {
		if before, had := old[key]; !had || before != value {
			put[key] = value
		}
	}
	for key := range old {
		if _, stays := tags[key]; !stays {
			remove = append(remove, key)
		}
	}
	slices.Sort(remove)
	return put, remove
}

// tagList turns tags into a service's own type, in the order of their keys.
func tagList[T any](tags map[string]string, tag func(key, value string) T) []T {
	var list []T
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, tag(key, tags[key]))
	}
	return list
}

// tagMap is the way back.
func tagMap[T any](list []T, keyValue func(T) (key, value *string)) map[string]string {
	tags := make(map[string]string, len(list))
	for _, tag := range list {
		if key, value := keyValue(tag); key != nil {
			text := ""
			if value != nil {
				text = *value
			}
			tags[*key] = text
		}
	}
	return tags
}
