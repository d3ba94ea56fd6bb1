package discover_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/discover"
	"github.com/aistudio/secrets/sdk/spec"
)

// One parameter whose key can't be used doesn't hide the others of its batch.
func TestAParameterWhoseKeyIsDisabledIsUnread(t *testing.T) {
	w := newWorld(t)
	keys := kms.NewFromConfig(w.cloud.Config(region))
	key, err := keys.CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	_, err = w.parameters.PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/shop/locked"), Value: aws.String("hunter2"), Type: ssmtypes.ParameterTypeSecureString, KeyId: key.KeyMetadata.KeyId,
	})
	require.NoError(t, err)
	w.parameter("/shop/open", "hunter3", ssmtypes.ParameterTypeSecureString)
	w.parameter("/shop/list", "a,b", ssmtypes.ParameterTypeStringList)
	_, err = keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key.KeyMetadata.KeyId})
	require.NoError(t, err)

	estate := w.read()
	require.Len(t, estate.Unread, 1)
	assert.Equal(t, "arn:aws:ssm:us-east-1:123456789012:parameter/shop/locked", estate.Unread[0].ARN)
	assert.Contains(t, estate.Unread[0].Reason, "its value can't be read: ")
	require.Len(t, estate.Parameters, 3)
	assert.Equal(t, discover.StringList, estate.Parameters[0].Type)
	assert.Equal(t, "a,b", estate.Parameters[0].Value.RevealString())
	assert.Zero(t, estate.Parameters[1].Value.Len())
	assert.Equal(t, "hunter3", estate.Parameters[2].Value.RevealString())

	estate, err = discover.ReadPlaintext(t.Context(), w.cloud.Config(region), nil)
	require.NoError(t, err)
	assert.Empty(t, estate.Unread, "what is encrypted isn't looked for")
	require.Len(t, estate.Parameters, 3)
	assert.Equal(t, "a,b", estate.Parameters[0].Value.RevealString())
	assert.Zero(t, estate.Parameters[2].Value.Len())
}

func TestLabels(t *testing.T) {
	w := newWorld(t)
	w.parameter("/shop/key", "one", ssmtypes.ParameterTypeString)
	_, err := w.parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/shop/key"), Value: aws.String("two"), Overwrite: aws.Bool(true)})
	require.NoError(t, err)
	_, err = w.parameters.LabelParameterVersion(t.Context(), &ssm.LabelParameterVersionInput{Name: aws.String("/shop/key"), ParameterVersion: aws.Int64(1), Labels: []string{"prod", "blue"}})
	require.NoError(t, err)
	w.parameter("/shop/other", "x", ssmtypes.ParameterTypeString)

	estate := w.read()
	assert.Nil(t, estate.Parameters[0].Labels)
	err = discover.ReadLabels(t.Context(), w.cloud.Config(region), &estate, func(p discover.Parameter) bool { return p.Name == "/shop/key" }, nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"prod": 1, "blue": 1}, estate.Parameters[0].Labels)
	assert.Equal(t, "two", estate.Parameters[0].Value.RevealString())
	assert.Nil(t, estate.Parameters[1].Labels)
	assert.Empty(t, estate.Unread)

	estate.Unread = nil
	err = discover.ReadLabels(t.Context(), w.asRole(), &estate, func(p discover.Parameter) bool { return p.Name == "/shop/key" }, nil)
	require.NoError(t, err)
	assert.Equal(t, []discover.Unread{{Place: spec.ScanSSM, ARN: estate.Parameters[0].ARN, Reason: "its labels can't be read: AccessDeniedException"}}, estate.Unread)
}
