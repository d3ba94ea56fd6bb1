package validate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/aistudio/secrets/sdk/spec"
)

type functionReader interface {
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
}

// qualifiers are those of all that answers for the function: $LATEST, which has
// none, its aliases, and the versions to which these divert a part of their traffic.
func (v *validation) qualifiers(ctx context.Context, s *service) ([]string, error) {
	all := []string{""}
	for _, name := range s.Aliases {
		all = append(all, name)
		alias, err := v.functions.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &s.ARN, Name: &name})
		if err != nil {
			return nil, err
		}
		if alias.RoutingConfig != nil {
			all = slices.AppendSeq(all, maps.Keys(alias.RoutingConfig.AdditionalVersionWeights))
		}
	}
	return all, nil
}

// readFunction reads a function as it is and as each of its aliases has it: all
// of them must be switched.
func (v *validation) readFunction(ctx context.Context, s *service) error {
	var broken []string
	updating := false
	qualifiers, err := v.qualifiers(ctx, s)
	if err != nil {
		return err
	}
	for i, qualifier := range qualifiers {
		in := &lambda.GetFunctionConfigurationInput{FunctionName: &s.ARN}
		if qualifier != "" {
			in.Qualifier = aws.String(qualifier)
		}
		c, err := v.functions.GetFunctionConfiguration(ctx, in)
		if err != nil {
			return err
		}
		references := map[slot]string{}
		if c.Environment != nil {
			if c.Environment.Error != nil {
				s.problem = "its environment can't be decrypted: " + aws.ToString(c.Environment.Error.ErrorCode)
				return nil
			}
			for name, value := range c.Environment.Variables {
				if strings.HasSuffix(name, spec.ReferenceSuffix) {
					references[slot{variable: name}] = value
				}
			}
		}
		if i == 0 {
			s.references = references
		}
		for at, reference := range s.references {
			if references[at] != reference {
				delete(s.references, at) // of no use while an alias leads to a version without it
			}
		}
		if at, err := time.Parse("2006-01-02T15:04:05.000-0700", aws.ToString(c.LastModified)); err == nil && at.After(s.switched) {
			s.switched = at
		}
		switch {
		// A function that is idle becomes Inactive, and active again when it is
		// invoked (Lambda developer guide, "Lambda function states").
		case c.State != types.StateActive && c.State != types.StateInactive:
			broken = append(broken, fmt.Sprintf("its state is %s: %s", c.State, c.StateReasonCode))
		case c.LastUpdateStatus == types.LastUpdateStatusFailed:
			broken = append(broken, fmt.Sprintf("its last update failed: %s", c.LastUpdateStatusReasonCode))
		case c.LastUpdateStatus == types.LastUpdateStatusInProgress:
			updating = true
		}
	}
	s.health.How = "Lambda's state of the function"
	switch {
	case len(broken) > 0:
		s.health.Result, s.health.Detail = Fail, strings.Join(broken, "; ")
		s.health.Remedy = "See the function's page in the console; roll the service back if the migration is the cause."
	case updating:
		s.health.Result, s.health.Detail, s.health.Remedy = Unknown, "an update is in progress", "Validate again when it is done."
	default:
		s.health.Result = Pass
		s.health.Detail = "active" // and count looks at its errors
	}
	return nil
}
