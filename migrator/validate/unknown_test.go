package validate_test

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/migrator/plan"
	"github.com/aistudio/secrets/migrator/validate"
	"github.com/aistudio/secrets/sdk/spec"
)

// partly has CloudWatch say that it gave a part of the numbers.
type partly struct {
	aws.HTTPClient
	status string
}

func (p *partly) Do(request *http.Request) (*http.Response, error) {
	out, err := p.HTTPClient.Do(request)
	if err != nil || !strings.HasSuffix(request.URL.Path+request.Header.Get("X-Amz-Target"), "GetMetricData") {
		return out, err
	}
	text, err := io.ReadAll(out.Body)
	for _, quote := range []string{`"Complete"`, "hComplete"} { // JSON, or CBOR with the text's length
		if bytes.Contains(text, []byte(quote)) {
			with := `"` + p.status + `"`
			if quote[0] == 'h' {
				with = string(rune('`'+len(p.status))) + p.status
			}
			text = bytes.ReplaceAll(text, []byte(quote), []byte(with))
		}
	}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	out.Header.Del("Content-Length")
	return out, err
}

// Numbers that CloudWatch gives a part of don't show that nothing came from an old
// place.
func TestNumbersThatCloudWatchGivesAPartOf(t *testing.T) {
	w := newWorld(t)
	w.options.Soak = time.Hour
	w.options.Switched["lambda/billing"] = w.cloud.Clock().Now()
	w.advance(30 * time.Minute)
	w.sends(map[string]float64{spec.MetricDualReadNew: 3})
	w.advance(31 * time.Minute)
	w.validate()
	w.answers(validate.Soaked, "lambda/billing", validate.Pass, "3 reads from Secrets Manager")
	w.answers(validate.Healthy, "lambda/billing", validate.Pass, "0 of 0 invocations failed")
	well := w.config
	for _, status := range []string{"PartialData", "InternalError", "Forbidden"} {
		w.config.HTTPClient = &partly{cmp.Or[aws.HTTPClient](well.HTTPClient, http.DefaultClient), status}
		w.validate()
		w.answers(validate.Soaked, "lambda/billing", validate.Unknown, "its counters can't be read: CloudWatch"+status)
		w.answers(validate.Healthy, "lambda/billing", validate.Unknown, "its errors can't be read: CloudWatch"+status)
	}
}

// A version that an alias diverts a part of its traffic to must be switched as well.
func TestAnAliasThatDividesItsTraffic(t *testing.T) {
	w := newWorld(t)
	function := aws.String("billing")
	publish := func() {
		_, err := w.lambda.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: function})
		require.NoError(t, err)
		w.advance(time.Minute)
	}
	w.environment(map[string]string{"PARTNER_TOKEN": token})
	publish()
	w.environment(map[string]string{"PARTNER_TOKEN": token, "PARTNER_TOKEN_SECRET_ID": tokenName})
	publish()
	_, err := w.lambda.CreateAlias(t.Context(), &lambda.CreateAliasInput{FunctionName: function, Name: aws.String("live"), FunctionVersion: aws.String("2")})
	require.NoError(t, err)
	w.options.Plan.Services[0].Aliases = []string{"live"}
	w.validate()
	w.answers(validate.Switched, "lambda/billing", validate.Pass, "1 variables")
	_, err = w.lambda.UpdateAlias(t.Context(), &lambda.UpdateAliasInput{
		FunctionName: function, Name: aws.String("live"), RoutingConfig: &lambdatypes.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{"1": 0.1}},
	})
	require.NoError(t, err)
	w.validate()
	w.answers(validate.Switched, "lambda/billing", validate.Fail, "no reference in PARTNER_TOKEN_SECRET_ID")
}

// What was switched and is in no plan any more isn't valid, unless it is no more.
func TestAServiceThatThePlanForgot(t *testing.T) {
	w := newWorld(t)
	w.options.Left = w.options.Plan.Services[:1]
	w.options.Plan.Services = w.options.Plan.Services[1:]
	w.validate()
	w.answers(validate.Switched, "lambda/billing", validate.Unknown, "the plan no longer has it")
	assert.False(t, w.last.Valid())

	w.options.Left = []plan.Service{{ID: "lambda/gone", Kind: plan.LambdaFunction, ARN: "arn:aws:lambda:us-east-1:" + w.cloud.Account() + ":function:gone"}}
	for _, c := range w.validate().Checks {
		assert.NotEqual(t, "lambda/gone", c.Subject)
	}
}
