package cleanup_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAParameterThatIsNamedInTheMidstOfTextStays(t *testing.T) {
	w, p := migrated(t)
	w.Function("routes", map[string]string{"ROUTE": "https://acme.example/mail/token", "OTHER": "/mail/token2 /old/mail/token"})
	for _, text := range []string{"/mail/token:3", "{{resolve:ssm-secure:/mail/token:1}}", `{"token": "/mail/token"}`, "ssm:///mail/token", "arn:aws:ssm:us-east-1:123456789012:parameter/mail/token:live"} {
		w.Function("batch", map[string]string{"TOKEN": text})
		o := options(w, p)
		o.DryRun = true
		assert.Contains(t, failures(clean(w, o))["/mail/token"], "variable TOKEN of arn:aws:lambda:us-east-1:123456789012:function:batch names it", text)
		w.Remove("batch")
	}
	require.True(t, clean(w, options(w, p)).Complete, "nothing of what is left names it")
	checkClean(w)
}

// CloudFormation, Terraform and Pulumi would make it again, or fail without it.
func TestAParameterThatAToolOwnsIsLeftToIt(t *testing.T) {
	w, p := migrated(t)
	_, err := w.Parameters.AddTagsToResource(t.Context(), &ssm.AddTagsToResourceInput{
		ResourceType: ssmtypes.ResourceTypeForTaggingParameter, ResourceId: aws.String("/mail/token"),
		Tags: []ssmtypes.Tag{{Key: aws.String("ManagedBy"), Value: aws.String("terraform")}},
	})
	require.NoError(t, err)
	for _, dry := range []bool{true, false} {
		o := options(w, p)
		o.DryRun = dry
		result := clean(w, o)
		assert.Equal(t, "Terraform owns it: take it out there", failures(result)["/mail/token"])
		require.Len(t, result.Remains, 1)
		assert.True(t, there(w, "/mail/token"))
	}
	_, err = w.Parameters.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/mail/token")}) // its owner took it out
	require.NoError(t, err)
	require.True(t, clean(w, options(w, p)).Complete)
}
