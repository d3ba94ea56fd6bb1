package main

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is out of order already is left out and told of, the rest is done, and the
// same command completes it.
func TestAnApplyThatCouldDoOnlyAPart(t *testing.T) {
	w := newWorld(t)
	w.function(function{name: "orders", environment: map[string]string{"PARTNER_API_KEY": w.canary()}})
	w.service(task{name: "sick", environment: map[string]string{"PARTNER_API_KEY": w.canary()},
		secrets: map[string]string{"LEVEL": "arn:aws:ssm:us-east-1:" + w.cloud.Account() + ":parameter/sick/level"}})
	w.advance(time.Hour)
	w.want(exitDone, nil, "plan", stack)
	code, said, _ := w.migrate("apply", stack, "--yes")
	assert.Equal(t, exitFindings, code)
	assert.Contains(t, said, "1 of 6 steps failed: ecs/main/sick. What was done stays.")
	assert.Contains(t, w.environment("orders"), "PARTNER_API_KEY_SECRET_ID")
	assert.Empty(t, w.runs("sick")[0].Secrets[1:])

	w.parameter("/sick/level", "info", ssmtypes.ParameterTypeString)
	_, err := w.ecs.UpdateService(t.Context(), &ecs.UpdateServiceInput{Cluster: aws.String(cluster), Service: aws.String("sick"), ForceNewDeployment: true})
	require.NoError(t, err)
	w.advance(time.Hour)
	w.want(exitDone, nil, "apply", stack, "--yes")
	assert.Len(t, w.runs("sick")[0].Secrets, 2)
	w.noCanaries()
}
