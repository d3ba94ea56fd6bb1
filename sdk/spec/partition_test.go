package spec_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aistudio/secrets/sdk/spec"
)

func TestPartition(t *testing.T) {
	for region, want := range map[string]string{
		"us-east-1": "aws", "eu-central-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov",
	} {
		assert.Equal(t, want, spec.Partition(region), region)
	}
}
