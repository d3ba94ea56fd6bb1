// Package alarms holds the component Alarms: every alarm of a stack, as one table
// that one loop registers.
//
// Each alarm tells the topic once, when it begins; that time has passed doesn't
// mend what happened. Of costs the account's budget tells the topic.
package alarms

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const typeToken = "aistudio:secrets:Alarms"

// Args describes Alarms.
type Args struct {
	Prefix      string // begins the names of all alarms, "<organization>-<environment>"
	Environment string // the dimension of the auditor's and the caches' metrics
	TopicARN    pulumi.StringInput
	FailedRule  string // name of the EventBridge rule that matches failed rotations
	Trail       string // namespace of the metrics of what the audit trail saw; "": there are none
	Standby     bool   // of the second region: without what comes of the audit and the scan, which are in the first one
	Functions   []Function
	Queues      []string // names of the queues of what functions failed on
	Tags        map[string]string
}

// Function is a Lambda function of the stack.
type Function struct {
	Name           string
	TimeoutSeconds int
	ErrorsAllowed  int // within a quarter of an hour: what trying again may mend
}

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{
		{"Prefix", a.Prefix}, {"Environment", a.Environment}, {"FailedRule", a.FailedRule},
	} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if a.TopicARN == nil {
		errs = append(errs, errors.New("TopicARN is missing: nobody would be told"))
	}
	for _, function := range a.Functions {
		if !strings.HasPrefix(function.Name, a.Prefix+"-") || function.TimeoutSeconds < 1 {
			errs = append(errs, fmt.Errorf("function %+v: a Name that begins with %s- and TimeoutSeconds are needed", function, a.Prefix))
		}
	}
	for _, queue := range a.Queues {
		if !strings.HasPrefix(queue, a.Prefix+"-") {
			errs = append(errs, fmt.Errorf("queue %q doesn't begin with %s-", queue, a.Prefix))
		}
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// Alarms are the stack's alarms.
type Alarms struct {
	pulumi.ResourceState

	// Names are the alarms', in the order of the table: what is urgent first. Those
	// of the second region have the same.
	Names []string
}

// New registers Alarms.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Alarms, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("alarms %s: %w", name, err)
	}
	component := &Alarms{}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	for _, a := range table(args) {
		id := a.name
		if args.Standby {
			id += "-standby"
		}
		if _, err := cloudwatch.NewMetricAlarm(ctx, id, a.inputs(args), pulumi.Parent(component), pulumi.DeleteBeforeReplace(true)); err != nil {
			return nil, err
		}
		component.Names = append(component.Names, args.Prefix+"-"+a.name)
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{"names": pulumi.ToStringArray(component.Names)})
}
