package handlers

import (
	"context"
	"maps"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// queue is a standard SQS queue; its ID is its URL. Sizes are in bytes.
type queue struct {
	ARN                          string `json:"arn" prop:"out"`
	DelaySeconds                 int    `json:"delaySeconds" prop:"in,default=0"`
	KMSDataKeyReusePeriodSeconds int    `json:"kmsDataKeyReusePeriodSeconds" prop:"in,out"`
	KMSMasterKeyID               string `json:"kmsMasterKeyId,omitempty" prop:"in"`
	MaxMessageSize               int    `json:"maxMessageSize" prop:"in,default=262144"`
	MessageRetentionSeconds      int    `json:"messageRetentionSeconds" prop:"in,default=345600"`
	Name                         string `json:"name" prop:"in,replace,auto=80"`
	NamePrefix                   string `json:"namePrefix" prop:"in,out,replace,writeonly"`
	Policy                       string `json:"policy" prop:"in,out,json"`
	ReceiveWaitTimeSeconds       int    `json:"receiveWaitTimeSeconds" prop:"in,default=0"`
	RedriveAllowPolicy           string `json:"redriveAllowPolicy" prop:"in,out,json"`
	RedrivePolicy                string `json:"redrivePolicy" prop:"in,out,json"`
	SQSManagedSSEEnabled         bool   `json:"sqsManagedSseEnabled" prop:"in,out"`
	URL                          string `json:"url" prop:"out"`
	VisibilityTimeoutSeconds     int    `json:"visibilityTimeoutSeconds" prop:"in,default=30"`
	tagged
}

func queueKind() resourceType {
	return kind[queue]{
		token: "aws:sqs/queue:Queue",
		create: func(ctx context.Context, c *clients, q *queue) (string, error) {
			name, err := nameOrPrefix(q.Name, q.NamePrefix)
			if err != nil {
				return "", err
			}
			attributes := q.attributes()
			maps.DeleteFunc(attributes, func(_, value string) bool { return value == "" })
			created, err := c.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes, Tags: q.Tags})
			if err != nil {
				return "", err
			}
			return aws.ToString(created.QueueUrl), nil
		},
		read:   readQueue,
		update: updateQueue,
		remove: func(ctx context.Context, c *clients, id string, _ *queue) error {
			_, err := c.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &id})
			return unlessGone[*sqstypes.QueueDoesNotExist](err)
		},
	}
}

// attributes are the queue's settings by SQS's names; those that the program
// leaves to AWS are not among them.
func (q *queue) attributes() map[string]string {
	attributes := map[string]string{
		"DelaySeconds":                  strconv.Itoa(q.DelaySeconds),
		"KmsMasterKeyId":                q.KMSMasterKeyID,
		"MaximumMessageSize":            strconv.Itoa(q.MaxMessageSize),
		"MessageRetentionPeriod":        strconv.Itoa(q.MessageRetentionSeconds),
		"ReceiveMessageWaitTimeSeconds": strconv.Itoa(q.ReceiveWaitTimeSeconds),
		"VisibilityTimeout":             strconv.Itoa(q.VisibilityTimeoutSeconds),
	}
	for name, value := range map[string]string{"Policy": q.Policy, "RedriveAllowPolicy": q.RedriveAllowPolicy, "RedrivePolicy": q.RedrivePolicy} {
		if value != "" {
			attributes[name] = value
		}
	}
	if q.KMSDataKeyReusePeriodSeconds != 0 {
		attributes["KmsDataKeyReusePeriodSeconds"] = strconv.Itoa(q.KMSDataKeyReusePeriodSeconds)
	}
	if q.SQSManagedSSEEnabled {
		attributes["SqsManagedSseEnabled"] = "true"
	}
	return attributes
}

func readQueue(ctx context.Context, c *clients, id string, q *queue) error {
	got, err := c.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &id, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll},
	})
	if err != nil {
		return gone[*sqstypes.QueueDoesNotExist](err)
	}
	for name, number := range map[string]*int{
		"DelaySeconds": &q.DelaySeconds, "KmsDataKeyReusePeriodSeconds": &q.KMSDataKeyReusePeriodSeconds,
		"MaximumMessageSize": &q.MaxMessageSize, "MessageRetentionPeriod": &q.MessageRetentionSeconds,
		"ReceiveMessageWaitTimeSeconds": &q.ReceiveWaitTimeSeconds, "VisibilityTimeout": &q.VisibilityTimeoutSeconds,
	} {
		if *number, err = strconv.Atoi(got.Attributes[name]); err != nil && got.Attributes[name] != "" {
			return err
		}
	}
	q.URL, q.ARN, q.Name = id, got.Attributes["QueueArn"], lastSegment(got.Attributes["QueueArn"])
	q.KMSMasterKeyID = keepSpelling(q.KMSMasterKeyID, got.Attributes["KmsMasterKeyId"], sameKey)
	q.Policy = keepSpelling(q.Policy, got.Attributes["Policy"], sameJSON)
	q.RedriveAllowPolicy = keepSpelling(q.RedriveAllowPolicy, got.Attributes["RedriveAllowPolicy"], sameJSON)
	q.RedrivePolicy = keepSpelling(q.RedrivePolicy, got.Attributes["RedrivePolicy"], sameJSON)
	q.SQSManagedSSEEnabled = got.Attributes["SqsManagedSseEnabled"] == "true"
	listed, err := c.sqs.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &id})
	if err != nil {
		return err
	}
	if listed.Tags == nil {
		listed.Tags = map[string]string{}
	}
	q.setTags(listed.Tags)
	return nil
}

func updateQueue(ctx context.Context, c *clients, id string, old, q *queue) error {
	changed, before := q.attributes(), old.attributes()
	maps.DeleteFunc(changed, func(name, value string) bool { return before[name] == value })
	if len(changed) > 0 {
		if _, err := c.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &id, Attributes: changed}); err != nil {
			return err
		}
	}
	put, remove := tagChanges(old.Tags, q.Tags)
	if len(remove) > 0 {
		if _, err := c.sqs.UntagQueue(ctx, &sqs.UntagQueueInput{QueueUrl: &id, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.sqs.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: &id, Tags: put}); err != nil {
			return err
		}
	}
	return nil
}

// queuePolicy is a queue's resource policy; its ID is the queue's URL.
type queuePolicy struct {
	Policy   string `json:"policy" prop:"in,required,json"`
	QueueURL string `json:"queueUrl" prop:"in,required,replace"`
}

func queuePolicyKind() resourceType {
	set := func(ctx context.Context, c *clients, url, policy string) error {
		_, err := c.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"Policy": policy}})
		return err
	}
	return kind[queuePolicy]{
		token: "aws:sqs/queuePolicy:QueuePolicy",
		create: func(ctx context.Context, c *clients, p *queuePolicy) (string, error) {
			if err := set(ctx, c, p.QueueURL, p.Policy); err != nil {
				return "", err
			}
			return p.QueueURL, nil
		},
		read: func(ctx context.Context, c *clients, id string, p *queuePolicy) error {
			got, err := c.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
				QueueUrl: &id, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNamePolicy},
			})
			if err != nil {
				return gone[*sqstypes.QueueDoesNotExist](err)
			}
			if got.Attributes["Policy"] == "" {
				return errNotFound
			}
			p.QueueURL, p.Policy = id, keepSpelling(p.Policy, got.Attributes["Policy"], sameJSON)
			return nil
		},
		update: func(ctx context.Context, c *clients, id string, _, p *queuePolicy) error {
			return set(ctx, c, id, p.Policy)
		},
		remove: func(ctx context.Context, c *clients, id string, _ *queuePolicy) error {
			return unlessGone[*sqstypes.QueueDoesNotExist](set(ctx, c, id, ""))
		},
	}
}
