// Package rotationevents holds the component RotationEvents: what learns of
// rotations. The rotation feed tells the caches of new values, and a topic
// tells people of rotations that failed.
//
// Both live on what CloudTrail tells EventBridge, for which AWS needs a trail
// that logs the account's management events in the stack's region (EventBridge
// user guide, "AWS service events delivered via AWS CloudTrail").
package rotationevents

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const typeToken = "aistudio:secrets:RotationEvents"

// Args describes RotationEvents.
type Args struct {
	Prefix             string // begins the names of all resources, "<organization>-<environment>"
	Environment        string // the dimension of the feed's metrics
	SecretPrefix       string // begins the names of the secrets whose events count, "<organization>/<environment>/"
	Partition          string // "aws" outside of GovCloud and China
	AccountID          string
	Region             string
	Replica            *Replica // where the feed is, too; nil: nowhere
	ArchivePath        string   // zip of the function that writes the feed
	Architecture       string   // arm64 or x86_64, the archive's
	LogRetentionDays   int
	Administrators     []string // ARNs of those who may manage the topic's key; the deployer among them
	DeletionWindowDays int      // of the topic's key, 7 to 30
	Protect            bool     // refuse to delete the topic's key
	Subscriptions      []Subscription
	Budget             bool // AWS Budgets tells the topic too
	Tags               map[string]string
}

// Replica is the second region, where the feed has a replica and a function that
// writes it, and where a topic tells the same people of what happens there.
type Replica struct {
	Region   string
	Provider pulumi.ProviderResource
}

// Subscription is who is told of failed rotations, and of what else the topic
// hears.
type Subscription struct {
	Protocol string // email, https, sqs or lambda
	Endpoint string // address, URL or ARN
}

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{
		{"Prefix", a.Prefix}, {"Environment", a.Environment}, {"Partition", a.Partition}, {"AccountID", a.AccountID}, {"Region", a.Region}, {"ArchivePath", a.ArchivePath},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if !strings.HasSuffix(a.SecretPrefix, "/") {
		errs = append(errs, fmt.Errorf("SecretPrefix %q doesn't end in a slash: it would match other environments", a.SecretPrefix))
	}
	if len(a.Administrators) == 0 {
		errs = append(errs, errors.New("Administrators is missing: nobody could manage the key"))
	}
	if a.DeletionWindowDays < 7 || a.DeletionWindowDays > 30 {
		errs = append(errs, fmt.Errorf("DeletionWindowDays is %d: AWS takes 7 to 30", a.DeletionWindowDays))
	}
	for _, subscription := range a.Subscriptions {
		if subscription.Protocol == "" || subscription.Endpoint == "" {
			errs = append(errs, fmt.Errorf("subscription %+v: Protocol and Endpoint are needed", subscription))
		}
	}
	if r := a.Replica; r != nil && (r.Region == "" || r.Region == a.Region || r.Provider == nil) {
		errs = append(errs, errors.New("Replica needs another Region, and its Provider"))
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// there are the arguments of what is in the second region. A budget is of the
// account and tells one topic.
func (a Args) there() Args {
	a.Region, a.Budget = a.Replica.Region, false
	return a
}

// arn returns the ARN of a resource in the stack's region.
func (a Args) arn(service, resource string) string {
	return strings.Join([]string{"arn", a.Partition, service, a.Region, a.AccountID, resource}, ":")
}

// RotationEvents is the rotation feed and the topic of failed rotations.
type RotationEvents struct {
	pulumi.ResourceState

	FeedTableName pulumi.StringOutput
	FeedTableARN  pulumi.StringOutput
	FeedReplica   pulumi.StringInput // ARN of the table's replica; nil: it has none
	TopicARN      pulumi.StringOutput
	TopicKeyARN   pulumi.StringOutput // of the key that encrypts the topic

	// StandbyTopicARN is of the second region's topic, because alarms and rules
	// tell topics of their own region only; nil: there is none.
	StandbyTopicARN pulumi.StringInput
}

// New registers RotationEvents.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*RotationEvents, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("rotation events %s: %w", name, err)
	}
	component := &RotationEvents{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	made, err := component.deployAlerts(ctx, name, args)
	if err != nil {
		return nil, err
	}
	component.TopicARN, component.TopicKeyARN = made.topicARN, made.keyARN
	if args.Replica != nil {
		there, err := component.deployAlerts(ctx, name+"-standby", args.there(), pulumi.Provider(args.Replica.Provider))
		if err != nil {
			return nil, err
		}
		component.StandbyTopicARN = there.topicARN
	}
	if err := component.deployFeed(ctx, name+"-feed", args); err != nil {
		return nil, err
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"feedTableName": component.FeedTableName,
		"feedTableArn":  component.FeedTableARN,
		"topicArn":      component.TopicARN,
	})
}
