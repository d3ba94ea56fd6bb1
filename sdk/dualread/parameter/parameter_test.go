package parameter_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/sdk/dualread/parameter"
)

type parameters map[string]string

func (p parameters) GetParameter(_ context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	value, found := p[*in.Name]
	if !found {
		return nil, &types.ParameterNotFound{}
	}
	if !aws.ToBool(in.WithDecryption) {
		value = "ciphertext"
	}
	return &ssm.GetParameterOutput{Parameter: &types.Parameter{Value: &value}}, nil
}

func TestSource(t *testing.T) {
	api := parameters{"/shop/password": " one\n", "/shop/empty": ""}
	value, err := parameter.Source(api, "/shop/password")(t.Context())
	require.NoError(t, err)
	assert.Equal(t, " one\n", value.RevealString())
	_, err = parameter.Source(api, "/shop/empty")(t.Context())
	require.ErrorContains(t, err, "/shop/empty")
	_, err = parameter.Source(api, "/shop/none")(t.Context())
	var notFound *types.ParameterNotFound
	require.ErrorAs(t, err, &notFound)
}
