package handlers

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// topic is a standard SNS topic; its ID is its ARN.
type topic struct {
	ARN              string `json:"arn" prop:"out"`
	DeliveryPolicy   string `json:"deliveryPolicy,omitempty" prop:"in,json"`
	DisplayName      string `json:"displayName,omitempty" prop:"in"`
	KMSMasterKeyID   string `json:"kmsMasterKeyId,omitempty" prop:"in"`
	Name             string `json:"name" prop:"in,replace,auto=256"`
	NamePrefix       string `json:"namePrefix" prop:"in,out,replace,writeonly"`
	Owner            string `json:"owner" prop:"out"`
	Policy           string `json:"policy" prop:"in,out,json"`
	SignatureVersion int    `json:"signatureVersion" prop:"in,out"`
	TracingConfig    string `json:"tracingConfig" prop:"in,out"`
	tagged
}

func topicKind() resourceType {
	return kind[topic]{
		token: "aws:sns/topic:Topic",
		create: func(ctx context.Context, c *clients, t *topic) (string, error) {
			name, err := nameOrPrefix(t.Name, t.NamePrefix)
			if err != nil {
				return "", err
			}
			attributes := t.attributes()
			maps.DeleteFunc(attributes, func(_, value string) bool { return value == "" })
			created, err := c.sns.CreateTopic(ctx, &sns.CreateTopicInput{Name: &name, Attributes: attributes, Tags: tagList(t.Tags, snsTag)})
			if err != nil {
				return "", err
			}
			return aws.ToString(created.TopicArn), nil
		},
		read:   readTopic,
		update: updateTopic,
		remove: func(ctx context.Context, c *clients, id string, _ *topic) error {
			_, err := c.sns.DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: &id})
			return unlessGone[*snstypes.NotFoundException](err)
		},
	}
}

func snsTag(key, value string) snstypes.Tag { return snstypes.Tag{Key: &key, Value: &value} }

// attributes are the topic's settings by SNS's names; of those that the program
// can leave to AWS only the ones it doesn't.
func (t *topic) attributes() map[string]string {
	attributes := map[string]string{
		"DeliveryPolicy": t.DeliveryPolicy, "DisplayName": t.DisplayName, "KmsMasterKeyId": t.KMSMasterKeyID,
	}
	for name, value := range map[string]string{"Policy": t.Policy, "TracingConfig": t.TracingConfig} {
		if value != "" {
			attributes[name] = value
		}
	}
	if t.SignatureVersion != 0 {
		attributes["SignatureVersion"] = strconv.Itoa(t.SignatureVersion)
	}
	return attributes
}

func readTopic(ctx context.Context, c *clients, id string, t *topic) error {
	got, err := c.sns.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &id})
	if err != nil {
		return gone[*snstypes.NotFoundException](err)
	}
	t.ARN, t.Name, t.Owner = id, lastSegment(id), got.Attributes["Owner"]
	t.DeliveryPolicy = keepSpelling(t.DeliveryPolicy, got.Attributes["DeliveryPolicy"], sameJSON)
	t.DisplayName = got.Attributes["DisplayName"]
	t.KMSMasterKeyID = keepSpelling(t.KMSMasterKeyID, got.Attributes["KmsMasterKeyId"], sameKey)
	t.Policy = keepSpelling(t.Policy, got.Attributes["Policy"], sameJSON)
	t.SignatureVersion, _ = strconv.Atoi(got.Attributes["SignatureVersion"]) // absent: 0
	t.TracingConfig = got.Attributes["TracingConfig"]
	listed, err := c.sns.ListTagsForResource(ctx, &sns.ListTagsForResourceInput{ResourceArn: &id})
	if err != nil {
		return err
	}
	t.setTags(tagMap(listed.Tags, func(tag snstypes.Tag) (key, value *string) { return tag.Key, tag.Value }))
	return nil
}

func updateTopic(ctx context.Context, c *clients, id string, old, t *topic) error {
	before := old.attributes()
	for name, value := range t.attributes() {
		if before[name] == value {
			continue
		}
		if _, err := c.sns.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: &id, AttributeName: &name, AttributeValue: &value}); err != nil {
			return err
		}
	}
	put, remove := tagChanges(old.Tags, t.Tags)
	if len(remove) > 0 {
		if _, err := c.sns.UntagResource(ctx, &sns.UntagResourceInput{ResourceArn: &id, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.sns.TagResource(ctx, &sns.TagResourceInput{ResourceArn: &id, Tags: tagList(put, snsTag)}); err != nil {
			return err
		}
	}
	return nil
}

// topicPolicy is a topic's resource policy; its ID is the topic's ARN.
type topicPolicy struct {
	ARN    string `json:"arn" prop:"in,required,replace"`
	Owner  string `json:"owner" prop:"out"`
	Policy string `json:"policy" prop:"in,required,json"`
}

func topicPolicyKind() resourceType {
	set := func(ctx context.Context, c *clients, arn, policy string) error {
		_, err := c.sns.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: &arn, AttributeName: aws.String("Policy"), AttributeValue: &policy})
		return err
	}
	return kind[topicPolicy]{
		token: "aws:sns/topicPolicy:TopicPolicy",
		create: func(ctx context.Context, c *clients, p *topicPolicy) (string, error) {
			if err := set(ctx, c, p.ARN, p.Policy); err != nil {
				return "", err
			}
			return p.ARN, nil
		},
		read: func(ctx context.Context, c *clients, id string, p *topicPolicy) error {
			got, err := c.sns.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &id})
			if err != nil {
				return gone[*snstypes.NotFoundException](err)
			}
			p.ARN, p.Owner = id, got.Attributes["Owner"]
			p.Policy = keepSpelling(p.Policy, got.Attributes["Policy"], sameJSON)
			return nil
		},
		update: func(ctx context.Context, c *clients, id string, _, p *topicPolicy) error {
			return set(ctx, c, id, p.Policy)
		},
		// A topic always has a policy: what is left is SNS's default, for the
		// owner alone.
		remove: func(ctx context.Context, c *clients, id string, p *topicPolicy) error {
			return unlessGone[*snstypes.NotFoundException](set(ctx, c, id, defaultTopicPolicy(id, p.Owner)))
		},
	}
}

// defaultTopicPolicy is the policy that SNS gives to a new topic.
func defaultTopicPolicy(arn, owner string) string {
	return `{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},` +
		`"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],` +
		`"Resource":"` + arn + `","Condition":{"StringEquals":{"AWS:SourceOwner":"` + owner + `"}}}]}`
}

// topicSubscription is who gets a topic's messages; its ID is its ARN.
type topicSubscription struct {
	ARN                          string `json:"arn" prop:"out"`
	ConfirmationTimeoutInMinutes int    `json:"confirmationTimeoutInMinutes" prop:"in,writeonly,default=1"`
	ConfirmationWasAuthenticated bool   `json:"confirmationWasAuthenticated" prop:"out"`
	DeliveryPolicy               string `json:"deliveryPolicy,omitempty" prop:"in,json"`
	Endpoint                     string `json:"endpoint" prop:"in,required,replace"`
	EndpointAutoConfirms         bool   `json:"endpointAutoConfirms" prop:"in,writeonly,default=false"`
	FilterPolicy                 string `json:"filterPolicy,omitempty" prop:"in,json"`
	FilterPolicyScope            string `json:"filterPolicyScope" prop:"in,out"`
	OwnerID                      string `json:"ownerId" prop:"out"`
	PendingConfirmation          bool   `json:"pendingConfirmation" prop:"out"`
	Protocol                     string `json:"protocol" prop:"in,required,replace"`
	RawMessageDelivery           bool   `json:"rawMessageDelivery" prop:"in,default=false"`
	RedrivePolicy                string `json:"redrivePolicy,omitempty" prop:"in,json"`
	Topic                        string `json:"topic" prop:"in,required,replace"`
}

func topicSubscriptionKind() resourceType {
	return kind[topicSubscription]{
		token: "aws:sns/topicSubscription:TopicSubscription",
		create: func(ctx context.Context, c *clients, s *topicSubscription) (string, error) {
			attributes := s.attributes()
			maps.DeleteFunc(attributes, func(_, value string) bool { return value == "" || value == "false" })
			made, err := c.sns.Subscribe(ctx, &sns.SubscribeInput{
				Attributes: attributes, Endpoint: &s.Endpoint, Protocol: &s.Protocol, ReturnSubscriptionArn: true, TopicArn: &s.Topic,
			})
			if err != nil {
				return "", err
			}
			return aws.ToString(made.SubscriptionArn), nil
		},
		read: readTopicSubscription,
		update: func(ctx context.Context, c *clients, id string, old, s *topicSubscription) error {
			before := old.attributes()
			for name, value := range s.attributes() {
				if before[name] == value {
					continue
				}
				if _, err := c.sns.SetSubscriptionAttributes(ctx, &sns.SetSubscriptionAttributesInput{
					SubscriptionArn: &id, AttributeName: &name, AttributeValue: &value,
				}); err != nil {
					return err
				}
			}
			return nil
		},
		remove: func(ctx context.Context, c *clients, id string, s *topicSubscription) error {
			if s.PendingConfirmation {
				return nil // SNS drops it by itself, and lets nobody else do so
			}
			_, err := c.sns.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: &id})
			return unlessGone[*snstypes.NotFoundException](err)
		},
	}
}

func (s *topicSubscription) attributes() map[string]string {
	attributes := map[string]string{
		"DeliveryPolicy": s.DeliveryPolicy, "FilterPolicy": s.FilterPolicy, "RawMessageDelivery": strconv.FormatBool(s.RawMessageDelivery),
		"RedrivePolicy": s.RedrivePolicy,
	}
	if s.FilterPolicyScope != "" && s.FilterPolicy != "" {
		attributes["FilterPolicyScope"] = s.FilterPolicyScope
	}
	return attributes
}

func readTopicSubscription(ctx context.Context, c *clients, id string, s *topicSubscription) error {
	got, err := c.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &id})
	if err != nil {
		return gone[*snstypes.NotFoundException](err)
	}
	s.ARN, s.OwnerID, s.Topic = id, got.Attributes["Owner"], got.Attributes["TopicArn"]
	s.Protocol, s.Endpoint = got.Attributes["Protocol"], got.Attributes["Endpoint"]
	s.PendingConfirmation = got.Attributes["PendingConfirmation"] == "true"
	s.ConfirmationWasAuthenticated = got.Attributes["ConfirmationWasAuthenticated"] == "true"
	s.RawMessageDelivery = got.Attributes["RawMessageDelivery"] == "true"
	s.DeliveryPolicy = keepSpelling(s.DeliveryPolicy, got.Attributes["DeliveryPolicy"], sameJSON)
	s.FilterPolicy = keepSpelling(s.FilterPolicy, got.Attributes["FilterPolicy"], sameJSON)
	s.RedrivePolicy = keepSpelling(s.RedrivePolicy, got.Attributes["RedrivePolicy"], sameJSON)
	s.FilterPolicyScope = got.Attributes["FilterPolicyScope"]
	return nil
}

// lastSegment is what stands behind an ARN's last colon.
func lastSegment(arn string) string { return arn[strings.LastIndex(arn, ":")+1:] }
