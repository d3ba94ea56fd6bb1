package handlers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// trail is a CloudTrail trail without basic event selectors, Insights and a
// topic; its ID is its ARN.
type trail struct {
	AdvancedEventSelectors     []advancedSelector `json:"advancedEventSelectors,omitempty" prop:"in"`
	ARN                        string             `json:"arn" prop:"out"`
	CloudWatchLogsGroupARN     string             `json:"cloudWatchLogsGroupArn,omitempty" prop:"in"`
	CloudWatchLogsRoleARN      string             `json:"cloudWatchLogsRoleArn,omitempty" prop:"in"`
	EnableLogFileValidation    bool               `json:"enableLogFileValidation" prop:"in,default=false"`
	EnableLogging              bool               `json:"enableLogging" prop:"in,default=true"`
	HomeRegion                 string             `json:"homeRegion" prop:"out"`
	IncludeGlobalServiceEvents bool               `json:"includeGlobalServiceEvents" prop:"in,default=true"`
	IsMultiRegionTrail         bool               `json:"isMultiRegionTrail" prop:"in,default=false"`
	IsOrganizationTrail        bool               `json:"isOrganizationTrail" prop:"in,default=false"`
	KMSKeyID                   string             `json:"kmsKeyId,omitempty" prop:"in"`
	Name                       string             `json:"name" prop:"in,replace,auto=128"`
	S3BucketName               string             `json:"s3BucketName" prop:"in,required"`
	S3KeyPrefix                string             `json:"s3KeyPrefix,omitempty" prop:"in"`
	tagged
}

type advancedSelector struct {
	FieldSelectors []fieldSelector `json:"fieldSelectors" prop:"in,required,set"`
	Name           string          `json:"name,omitempty" prop:"in"`
}

type fieldSelector struct {
	EndsWith      []string `json:"endsWiths,omitempty" prop:"in"`
	Equals        []string `json:"equals,omitempty" prop:"in"`
	Field         string   `json:"field" prop:"in,required,key"`
	NotEndsWith   []string `json:"notEndsWiths,omitempty" prop:"in"`
	NotEquals     []string `json:"notEquals,omitempty" prop:"in"`
	NotStartsWith []string `json:"notStartsWiths,omitempty" prop:"in"`
	StartsWith    []string `json:"startsWiths,omitempty" prop:"in"`
}

func trailKind() resourceType {
	return kind[trail]{
		token: "aws:cloudtrail/trail:Trail",
		create: func(ctx context.Context, c *clients, t *trail) (string, error) {
			created, err := c.cloudtrail.CreateTrail(ctx, &cloudtrail.CreateTrailInput{
				CloudWatchLogsLogGroupArn: optional(t.CloudWatchLogsGroupARN), CloudWatchLogsRoleArn: optional(t.CloudWatchLogsRoleARN),
				EnableLogFileValidation: &t.EnableLogFileValidation, IncludeGlobalServiceEvents: &t.IncludeGlobalServiceEvents,
				IsMultiRegionTrail: &t.IsMultiRegionTrail, IsOrganizationTrail: &t.IsOrganizationTrail,
				KmsKeyId: optional(t.KMSKeyID), Name: &t.Name, S3BucketName: &t.S3BucketName, S3KeyPrefix: optional(t.S3KeyPrefix),
				TagsList: tagList(t.Tags, trailTag),
			})
			if err != nil {
				return "", err
			}
			id := aws.ToString(created.TrailARN)
			if err := setLogging(ctx, c, id, t.EnableLogging, false); err != nil {
				return id, err
			}
			return id, setSelectors(ctx, c, id, t.AdvancedEventSelectors)
		},
		read:   readTrail,
		update: updateTrail,
		remove: func(ctx context.Context, c *clients, id string, _ *trail) error {
			_, err := c.cloudtrail.DeleteTrail(ctx, &cloudtrail.DeleteTrailInput{Name: &id})
			return unlessGone[*trailtypes.TrailNotFoundException](err)
		},
	}
}

func setLogging(ctx context.Context, c *clients, id string, on, was bool) error {
	var err error
	switch {
	case on == was:
	case on:
		_, err = c.cloudtrail.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: &id})
	default:
		_, err = c.cloudtrail.StopLogging(ctx, &cloudtrail.StopLoggingInput{Name: &id})
	}
	return err
}

// setSelectors puts the selectors. Without any, a trail logs all management
// events, which pulumi-aws says with a basic selector.
func setSelectors(ctx context.Context, c *clients, id string, selectors []advancedSelector) error {
	in := &cloudtrail.PutEventSelectorsInput{TrailName: &id}
	for _, selector := range selectors {
		sent := trailtypes.AdvancedEventSelector{Name: optional(selector.Name)}
		for _, field := range selector.FieldSelectors {
			sent.FieldSelectors = append(sent.FieldSelectors, trailtypes.AdvancedFieldSelector{
				EndsWith: field.EndsWith, Equals: field.Equals, Field: aws.String(field.Field), NotEndsWith: field.NotEndsWith,
				NotEquals: field.NotEquals, NotStartsWith: field.NotStartsWith, StartsWith: field.StartsWith,
			})
		}
		in.AdvancedEventSelectors = append(in.AdvancedEventSelectors, sent)
	}
	if len(selectors) == 0 {
		in.EventSelectors = []trailtypes.EventSelector{{IncludeManagementEvents: aws.Bool(true), ReadWriteType: trailtypes.ReadWriteTypeAll}}
	}
	_, err := c.cloudtrail.PutEventSelectors(ctx, in)
	return err
}

func readTrail(ctx context.Context, c *clients, id string, t *trail) error {
	got, err := c.cloudtrail.GetTrail(ctx, &cloudtrail.GetTrailInput{Name: &id})
	if err != nil {
		return gone[*trailtypes.TrailNotFoundException](err)
	}
	is := got.Trail
	t.ARN, t.HomeRegion, t.Name = aws.ToString(is.TrailARN), aws.ToString(is.HomeRegion), aws.ToString(is.Name)
	t.CloudWatchLogsGroupARN, t.CloudWatchLogsRoleARN = aws.ToString(is.CloudWatchLogsLogGroupArn), aws.ToString(is.CloudWatchLogsRoleArn)
	t.EnableLogFileValidation, t.IncludeGlobalServiceEvents = aws.ToBool(is.LogFileValidationEnabled), aws.ToBool(is.IncludeGlobalServiceEvents)
	t.IsMultiRegionTrail, t.IsOrganizationTrail = aws.ToBool(is.IsMultiRegionTrail), aws.ToBool(is.IsOrganizationTrail)
	t.KMSKeyID = keepSpelling(t.KMSKeyID, aws.ToString(is.KmsKeyId), sameKey)
	t.S3BucketName, t.S3KeyPrefix = aws.ToString(is.S3BucketName), aws.ToString(is.S3KeyPrefix)
	status, err := c.cloudtrail.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: &id})
	if err != nil {
		return err
	}
	t.EnableLogging = aws.ToBool(status.IsLogging)
	selectors, err := c.cloudtrail.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: &id})
	if err != nil {
		return err
	}
	t.AdvancedEventSelectors = nil
	for _, selector := range selectors.AdvancedEventSelectors {
		read := advancedSelector{Name: aws.ToString(selector.Name)}
		for _, field := range selector.FieldSelectors {
			read.FieldSelectors = append(read.FieldSelectors, fieldSelector{
				field.EndsWith, field.Equals, aws.ToString(field.Field), field.NotEndsWith, field.NotEquals, field.NotStartsWith, field.StartsWith,
			})
		}
		t.AdvancedEventSelectors = append(t.AdvancedEventSelectors, read)
	}
	listed, err := c.cloudtrail.ListTags(ctx, &cloudtrail.ListTagsInput{ResourceIdList: []string{t.ARN}})
	if err != nil {
		return err
	}
	tags := map[string]string{}
	for _, resource := range listed.ResourceTagList {
		tags = tagMap(resource.TagsList, func(tag trailtypes.Tag) (*string, *string) { return tag.Key, tag.Value })
	}
	t.setTags(tags)
	return nil
}

func updateTrail(ctx context.Context, c *clients, id string, old, t *trail) error {
	// An empty text takes away what was there.
	if _, err := c.cloudtrail.UpdateTrail(ctx, &cloudtrail.UpdateTrailInput{
		CloudWatchLogsLogGroupArn: &t.CloudWatchLogsGroupARN, CloudWatchLogsRoleArn: &t.CloudWatchLogsRoleARN,
		EnableLogFileValidation: &t.EnableLogFileValidation, IncludeGlobalServiceEvents: &t.IncludeGlobalServiceEvents,
		IsMultiRegionTrail: &t.IsMultiRegionTrail, IsOrganizationTrail: &t.IsOrganizationTrail,
		KmsKeyId: &t.KMSKeyID, Name: &id, S3BucketName: &t.S3BucketName, S3KeyPrefix: &t.S3KeyPrefix,
	}); err != nil {
		return err
	}
	if err := setSelectors(ctx, c, id, t.AdvancedEventSelectors); err != nil {
		return err
	}
	if err := setLogging(ctx, c, id, t.EnableLogging, old.EnableLogging); err != nil {
		return err
	}
	put, remove := tagChanges(old.Tags, t.Tags)
	if len(remove) > 0 {
		in := &cloudtrail.RemoveTagsInput{ResourceId: &id}
		for _, key := range remove {
			in.TagsList = append(in.TagsList, trailtypes.Tag{Key: aws.String(key)})
		}
		if _, err := c.cloudtrail.RemoveTags(ctx, in); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.cloudtrail.AddTags(ctx, &cloudtrail.AddTagsInput{ResourceId: &id, TagsList: tagList(put, trailTag)}); err != nil {
			return err
		}
	}
	return nil
}

func trailTag(key, value string) trailtypes.Tag { return trailtypes.Tag{Key: &key, Value: &value} }
