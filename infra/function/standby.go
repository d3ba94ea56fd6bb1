package function

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

// Standby is where the same function stands by, with the same name, role, code
// and environment.
type Standby struct {
	Provider    pulumi.ProviderResource // of the region
	Layers      pulumi.StringArray      // ARNs of versions of layers there
	VPC         *VPC                    // there; nil: outside of any
	DeadLetters pulumi.StringInput      // ARN of the queue there; nil: none

	// Allow are outputs of policy.Document: what the role may do there. Each is a
	// policy of its own, because all in one would be too long for IAM.
	Allow []pulumi.Output
}

func (s *Standby) validate() error {
	var errs []error
	if s.Provider == nil {
		errs = append(errs, errors.New("Standby.Provider is missing"))
	}
	if len(s.Allow) == 0 {
		errs = append(errs, errors.New("Standby.Allow is missing: the role could do nothing there"))
	}
	return errors.Join(append(errs, s.VPC.validate("Standby.VPC"))...)
}

// standBy registers the function of the second region, and what its role may do
// there.
func (f *Function) standBy(ctx *pulumi.Context, name string, args Args, role *iam.Role, access pulumi.Resource, child []pulumi.ResourceOption) error {
	there := append(child[:len(child):len(child)], pulumi.Provider(args.Standby.Provider))
	logs, err := newLogGroup(ctx, name, args, there)
	if err != nil {
		return err
	}
	deadLetters := args.Standby.DeadLetters
	if deadLetters == nil {
		deadLetters = pulumi.String("")
	}
	needs := []pulumi.Resource{access}
	for i, allow := range args.Standby.Allow {
		part := fmt.Sprintf("%s-%d", name, i+1)
		written, err := iam.NewPolicy(ctx, part, &iam.PolicyArgs{
			Name:        pulumi.String(fmt.Sprintf("%s-standby-%d", args.Name, i+1)),
			Description: pulumi.String(args.Description + ", in the second region"),
			Policy: pulumi.All(allow, logs.Arn, deadLetters).ApplyT(func(all []any) (string, error) {
				document, ok := all[0].(policy.Document)
				if !ok {
					return "", fmt.Errorf("function %s: Standby.Allow holds a %T, no policy.Document", args.Name, all[0])
				}
				if i == 0 {
					document = append(document[:len(document):len(document)], logging(all[1].(string)))
					if queue := all[2].(string); queue != "" {
						document = append(document, keepingFailures(queue))
					}
				}
				return document.JSON()
			}).(pulumi.StringOutput),
			Tags: pulumi.ToStringMap(args.Tags),
		}, child...)
		if err != nil {
			return err
		}
		attached, err := iam.NewRolePolicyAttachment(ctx, part, &iam.RolePolicyAttachmentArgs{Role: role.Name, PolicyArn: written.Arn}, child...)
		if err != nil {
			return err
		}
		needs = append(needs, attached)
	}
	function, err := lambda.NewFunction(ctx, name, functionArgs(args, role, logs, place{args.Standby.Layers, args.Standby.DeadLetters, args.Standby.VPC}), append(there, pulumi.DependsOn(needs))...)
	if err != nil {
		return err
	}
	f.StandbyARN, f.StandbyName = function.Arn, function.Name
	return nil
}
