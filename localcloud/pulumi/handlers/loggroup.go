package handlers

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// logGroup is a CloudWatch Logs group. RetentionInDays is 0 to keep all.
type logGroup struct {
	ARN             string `json:"arn" prop:"out"`
	KMSKeyID        string `json:"kmsKeyId,omitempty" prop:"in"`
	LogGroupClass   string `json:"logGroupClass,omitempty" prop:"in,out,replace"`
	Name            string `json:"name" prop:"in,replace,auto=512"`
	NamePrefix      string `json:"namePrefix,omitempty" prop:"in,replace,writeonly"`
	RetentionInDays int    `json:"retentionInDays" prop:"in,default=0"`
	SkipDestroy     bool   `json:"skipDestroy" prop:"in,writeonly,default=false"`
	tagged
}

func logGroupKind() resourceType {
	return kind[logGroup]{
		token:  "aws:cloudwatch/logGroup:LogGroup",
		create: createLogGroup,
		read:   readLogGroup,
		update: updateLogGroup,
		remove: func(ctx context.Context, c *clients, id string, g *logGroup) error {
			if g.SkipDestroy {
				return nil
			}
			_, err := c.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: &id})
			return unlessGone[*logstypes.ResourceNotFoundException](err)
		},
	}
}

func createLogGroup(ctx context.Context, c *clients, g *logGroup) (string, error) {
	name, err := nameOrPrefix(g.Name, g.NamePrefix)
	if err != nil {
		return "", err
	}
	_, err = c.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{
		KmsKeyId:      optional(g.KMSKeyID),
		LogGroupClass: logstypes.LogGroupClass(g.LogGroupClass),
		LogGroupName:  &name,
		Tags:          g.Tags,
	})
	if err != nil {
		return "", err
	}
	return name, setRetention(ctx, c, name, 0, g.RetentionInDays)
}

func setRetention(ctx context.Context, c *clients, id string, old, days int) error {
	var err error
	switch {
	case old == days:
	case days == 0:
		_, err = c.logs.DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: &id})
	default:
		_, err = c.logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &id, RetentionInDays: aws.Int32(int32(days))})
	}
	return err
}

func readLogGroup(ctx context.Context, c *clients, id string, g *logGroup) error {
	pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(c.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return gone[*logstypes.ResourceNotFoundException](err)
		}
		for _, group := range page.LogGroups {
			if aws.ToString(group.LogGroupName) == id {
				return g.take(ctx, c, group)
			}
		}
	}
	return errNotFound
}

func (g *logGroup) take(ctx context.Context, c *clients, group logstypes.LogGroup) error {
	// The ARN of the group itself, without the ":*" for its streams.
	g.ARN = strings.TrimSuffix(aws.ToString(group.Arn), ":*")
	g.KMSKeyID = keepSpelling(g.KMSKeyID, aws.ToString(group.KmsKeyId), sameKey)
	g.LogGroupClass = string(group.LogGroupClass)
	g.Name = aws.ToString(group.LogGroupName)
	g.RetentionInDays = int(aws.ToInt32(group.RetentionInDays))
	listed, err := c.logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &g.ARN})
	if err != nil {
		return err
	}
	if listed.Tags == nil {
		listed.Tags = map[string]string{}
	}
	g.setTags(listed.Tags)
	return nil
}

func updateLogGroup(ctx context.Context, c *clients, id string, old, g *logGroup) error {
	if err := setRetention(ctx, c, id, old.RetentionInDays, g.RetentionInDays); err != nil {
		return err
	}
	if err := setLogKey(ctx, c, id, old.KMSKeyID, g.KMSKeyID); err != nil {
		return err
	}
	put, remove := tagChanges(old.Tags, g.Tags)
	if len(remove) > 0 {
		if _, err := c.logs.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: &old.ARN, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.logs.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: &old.ARN, Tags: put}); err != nil {
			return err
		}
	}
	return nil
}

func setLogKey(ctx context.Context, c *clients, id, old, key string) error {
	var err error
	switch {
	case old == key:
	case key == "":
		_, err = c.logs.DisassociateKmsKey(ctx, &cloudwatchlogs.DisassociateKmsKeyInput{LogGroupName: &id})
	default:
		_, err = c.logs.AssociateKmsKey(ctx, &cloudwatchlogs.AssociateKmsKeyInput{KmsKeyId: &key, LogGroupName: &id})
	}
	return err
}
