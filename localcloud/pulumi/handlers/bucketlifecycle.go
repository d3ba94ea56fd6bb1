package handlers

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// bucketLifecycle are the rules by which S3 deletes or moves a bucket's objects;
// its ID is the bucket's name. Days are counted from an object's creation, or
// from when it stopped being current.
type bucketLifecycle struct {
	Bucket                             string          `json:"bucket" prop:"in,required,replace"`
	Rules                              []lifecycleRule `json:"rules,omitempty" prop:"in"`
	TransitionDefaultMinimumObjectSize string          `json:"transitionDefaultMinimumObjectSize" prop:"in,out"`
}

type lifecycleRule struct {
	AbortIncompleteMultipartUpload *lifecycleAbort        `json:"abortIncompleteMultipartUpload,omitempty" prop:"in"`
	Expiration                     *lifecycleExpiration   `json:"expiration,omitempty" prop:"in"`
	Filter                         *lifecycleFilter       `json:"filter,omitempty" prop:"in,out"`
	ID                             string                 `json:"id" prop:"in,required,key"`
	NoncurrentVersionExpiration    *noncurrentExpiration  `json:"noncurrentVersionExpiration,omitempty" prop:"in"`
	NoncurrentVersionTransitions   []noncurrentTransition `json:"noncurrentVersionTransitions,omitempty" prop:"in,set"`
	Prefix                         string                 `json:"prefix,omitempty" prop:"in"`
	Status                         string                 `json:"status" prop:"in,required"`
	Transitions                    []lifecycleTransition  `json:"transitions,omitempty" prop:"in,set"`
}

type lifecycleAbort struct {
	DaysAfterInitiation int32 `json:"daysAfterInitiation,omitempty" prop:"in"`
}

type lifecycleExpiration struct {
	Date                      string `json:"date,omitempty" prop:"in"`
	Days                      int32  `json:"days,omitempty" prop:"in"`
	ExpiredObjectDeleteMarker bool   `json:"expiredObjectDeleteMarker" prop:"in,out"`
}

type lifecycleFilter struct {
	And                   *lifecycleAnd `json:"and,omitempty" prop:"in"`
	ObjectSizeGreaterThan int64         `json:"objectSizeGreaterThan,omitempty" prop:"in"`
	ObjectSizeLessThan    int64         `json:"objectSizeLessThan,omitempty" prop:"in"`
	Prefix                string        `json:"prefix,omitempty" prop:"in"`
	Tag                   *lifecycleTag `json:"tag,omitempty" prop:"in"`
}

type lifecycleAnd struct {
	ObjectSizeGreaterThan int64             `json:"objectSizeGreaterThan,omitempty" prop:"in"`
	ObjectSizeLessThan    int64             `json:"objectSizeLessThan,omitempty" prop:"in"`
	Prefix                string            `json:"prefix,omitempty" prop:"in"`
	Tags                  map[string]string `json:"tags,omitempty" prop:"in"`
}

type lifecycleTag struct {
	Key   string `json:"key" prop:"in,required"`
	Value string `json:"value" prop:"in,required"`
}

type noncurrentExpiration struct {
	NewerNoncurrentVersions int32 `json:"newerNoncurrentVersions,omitempty" prop:"in"`
	NoncurrentDays          int32 `json:"noncurrentDays" prop:"in,required"`
}

type noncurrentTransition struct {
	NewerNoncurrentVersions int32  `json:"newerNoncurrentVersions,omitempty" prop:"in"`
	NoncurrentDays          int32  `json:"noncurrentDays" prop:"in,required"`
	StorageClass            string `json:"storageClass" prop:"in,required"`
}

type lifecycleTransition struct {
	Date         string `json:"date,omitempty" prop:"in"`
	Days         int32  `json:"days,omitempty" prop:"in"`
	StorageClass string `json:"storageClass" prop:"in,required"`
}

func bucketLifecycleKind() resourceType {
	return kind[bucketLifecycle]{
		token: "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2",
		check: func(b *bucketLifecycle) error {
			for _, rule := range b.Rules {
				if _, err := rule.request(); err != nil {
					return err
				}
			}
			return nil
		},
		create: func(ctx context.Context, c *clients, b *bucketLifecycle) (string, error) {
			return b.Bucket, putLifecycle(ctx, c, b)
		},
		read: readLifecycle,
		update: func(ctx context.Context, c *clients, _ string, _, b *bucketLifecycle) error {
			return putLifecycle(ctx, c, b)
		},
		remove: func(ctx context.Context, c *clients, id string, _ *bucketLifecycle) error {
			_, err := c.s3.DeleteBucketLifecycle(ctx, &s3.DeleteBucketLifecycleInput{Bucket: &id})
			return unlessNotFound(s3Gone(err, "NoSuchBucket"))
		},
	}
}

func putLifecycle(ctx context.Context, c *clients, b *bucketLifecycle) error {
	in := &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &b.Bucket, LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{},
		TransitionDefaultMinimumObjectSize: s3types.TransitionDefaultMinimumObjectSize(b.TransitionDefaultMinimumObjectSize),
	}
	for _, rule := range b.Rules {
		sent, err := rule.request()
		if err != nil {
			return err
		}
		in.LifecycleConfiguration.Rules = append(in.LifecycleConfiguration.Rules, sent)
	}
	_, err := c.s3.PutBucketLifecycleConfiguration(ctx, in)
	return err
}

func date(property, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no date
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("%s must be a time such as 2030-01-01T00:00:00Z", property)
	}
	return &t, nil
}

func (r lifecycleRule) request() (s3types.LifecycleRule, error) {
	out := s3types.LifecycleRule{ID: &r.ID, Status: s3types.ExpirationStatus(r.Status), Filter: r.Filter.request()}
	if r.Prefix != "" {
		out.Filter = &s3types.LifecycleRuleFilter{Prefix: &r.Prefix}
	}
	if a := r.AbortIncompleteMultipartUpload; a != nil {
		out.AbortIncompleteMultipartUpload = &s3types.AbortIncompleteMultipartUpload{DaysAfterInitiation: positive(a.DaysAfterInitiation)}
	}
	if e := r.Expiration; e != nil {
		at, err := date("expiration.date", e.Date)
		if err != nil {
			return out, err
		}
		out.Expiration = &s3types.LifecycleExpiration{Date: at, Days: positive(e.Days)}
		if e.ExpiredObjectDeleteMarker {
			out.Expiration.ExpiredObjectDeleteMarker = aws.Bool(true)
		}
	}
	if e := r.NoncurrentVersionExpiration; e != nil {
		out.NoncurrentVersionExpiration = &s3types.NoncurrentVersionExpiration{NewerNoncurrentVersions: positive(e.NewerNoncurrentVersions), NoncurrentDays: &e.NoncurrentDays}
	}
	for _, t := range r.NoncurrentVersionTransitions {
		out.NoncurrentVersionTransitions = append(out.NoncurrentVersionTransitions, s3types.NoncurrentVersionTransition{
			NewerNoncurrentVersions: positive(t.NewerNoncurrentVersions), NoncurrentDays: aws.Int32(t.NoncurrentDays), StorageClass: s3types.TransitionStorageClass(t.StorageClass),
		})
	}
	for _, t := range r.Transitions {
		at, err := date("transitions.date", t.Date)
		if err != nil {
			return out, err
		}
		out.Transitions = append(out.Transitions, s3types.Transition{Date: at, Days: positive(t.Days), StorageClass: s3types.TransitionStorageClass(t.StorageClass)})
	}
	return out, nil
}

// request is the filter; a rule without one is about all objects.
func (f *lifecycleFilter) request() *s3types.LifecycleRuleFilter {
	switch {
	case f == nil:
		return &s3types.LifecycleRuleFilter{Prefix: aws.String("")}
	case f.And != nil:
		return &s3types.LifecycleRuleFilter{And: &s3types.LifecycleRuleAndOperator{
			ObjectSizeGreaterThan: size(f.And.ObjectSizeGreaterThan), ObjectSizeLessThan: size(f.And.ObjectSizeLessThan), Prefix: optional(f.And.Prefix),
			Tags: tagList(f.And.Tags, func(key, value string) s3types.Tag { return s3types.Tag{Key: &key, Value: &value} }),
		}}
	case f.Tag != nil:
		return &s3types.LifecycleRuleFilter{Tag: &s3types.Tag{Key: &f.Tag.Key, Value: &f.Tag.Value}}
	case f.ObjectSizeGreaterThan > 0 || f.ObjectSizeLessThan > 0:
		return &s3types.LifecycleRuleFilter{ObjectSizeGreaterThan: size(f.ObjectSizeGreaterThan), ObjectSizeLessThan: size(f.ObjectSizeLessThan)}
	}
	return &s3types.LifecycleRuleFilter{Prefix: &f.Prefix}
}

func size(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

func readLifecycle(ctx context.Context, c *clients, id string, b *bucketLifecycle) error {
	got, err := c.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &id})
	if err != nil {
		return s3Gone(err, "NoSuchBucket", "NoSuchLifecycleConfiguration")
	}
	known := map[string]lifecycleRule{}
	for _, rule := range b.Rules {
		known[rule.ID] = rule
	}
	*b = bucketLifecycle{Bucket: id, TransitionDefaultMinimumObjectSize: string(got.TransitionDefaultMinimumObjectSize)}
	for _, rule := range got.Rules {
		read := readRule(rule)
		// A prefix may be written in two places, or not at all.
		if before, ok := known[read.ID]; ok && read.Filter != nil && *read.Filter == (lifecycleFilter{Prefix: read.Filter.Prefix}) {
			switch {
			case before.Prefix == read.Filter.Prefix && before.Filter == nil:
				read.Prefix, read.Filter = before.Prefix, nil
			case before.Filter != nil && read.Filter.Prefix == "":
				read.Filter = &lifecycleFilter{}
			}
		}
		b.Rules = append(b.Rules, read)
	}
	return nil
}

func readRule(r s3types.LifecycleRule) lifecycleRule {
	out := lifecycleRule{ID: aws.ToString(r.ID), Status: string(r.Status)}
	if f := r.Filter; f != nil {
		out.Filter = &lifecycleFilter{ObjectSizeGreaterThan: aws.ToInt64(f.ObjectSizeGreaterThan), ObjectSizeLessThan: aws.ToInt64(f.ObjectSizeLessThan), Prefix: aws.ToString(f.Prefix)}
		if f.Tag != nil {
			out.Filter.Tag = &lifecycleTag{aws.ToString(f.Tag.Key), aws.ToString(f.Tag.Value)}
		}
		if f.And != nil {
			out.Filter.And = &lifecycleAnd{
				aws.ToInt64(f.And.ObjectSizeGreaterThan), aws.ToInt64(f.And.ObjectSizeLessThan), aws.ToString(f.And.Prefix),
				tagMap(f.And.Tags, func(tag s3types.Tag) (key, value *string) { return tag.Key, tag.Value }),
			}
		}
	}
	if a := r.AbortIncompleteMultipartUpload; a != nil {
		out.AbortIncompleteMultipartUpload = &lifecycleAbort{aws.ToInt32(a.DaysAfterInitiation)}
	}
	if e := r.Expiration; e != nil {
		out.Expiration = &lifecycleExpiration{dateText(e.Date), aws.ToInt32(e.Days), aws.ToBool(e.ExpiredObjectDeleteMarker)}
	}
	if e := r.NoncurrentVersionExpiration; e != nil {
		out.NoncurrentVersionExpiration = &noncurrentExpiration{aws.ToInt32(e.NewerNoncurrentVersions), aws.ToInt32(e.NoncurrentDays)}
	}
	for _, t := range r.NoncurrentVersionTransitions {
		out.NoncurrentVersionTransitions = append(out.NoncurrentVersionTransitions, noncurrentTransition{aws.ToInt32(t.NewerNoncurrentVersions), aws.ToInt32(t.NoncurrentDays), string(t.StorageClass)})
	}
	for _, t := range r.Transitions {
		out.Transitions = append(out.Transitions, lifecycleTransition{dateText(t.Date), aws.ToInt32(t.Days), string(t.StorageClass)})
	}
	return out
}

func dateText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
