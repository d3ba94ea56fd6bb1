// Package parameter reads an SSM parameter as the old place of a dual read.
package parameter

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/aistudio/secrets/sdk/dualread"
	"github.com/aistudio/secrets/sdk/spec"
)

// API is what is needed of SSM. *ssm.Client is one.
type API interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// Source reads the SSM parameter of that name, decrypted if it is a
// SecureString. It makes a call at every read.
func Source(api API, name string) dualread.Source {
	return func(ctx context.Context) (spec.Value, error) {
		out, err := api.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		if err != nil {
			return spec.Value{}, fmt.Errorf("read SSM parameter %q: %w", name, err)
		}
		if out.Parameter == nil || aws.ToString(out.Parameter.Value) == "" {
			return spec.Value{}, fmt.Errorf("SSM parameter %q has no value", name)
		}
		return spec.ValueString(*out.Parameter.Value), nil
	}
}
