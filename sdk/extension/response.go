package extension

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	secrets "github.com/aistudio/secrets/sdk"
)

// The bodies are those of AWS's extension: the members of the API's answers in
// this order, null where there is none, times as text.

type secretBody struct {
	ARN            *string
	CreatedDate    *time.Time
	Name           *string
	SecretBinary   []byte // base64
	SecretString   *string
	VersionId      *string
	VersionStages  []string
	ResultMetadata struct{}
}

func encodeSecret(out *secretsmanager.GetSecretValueOutput) ([]byte, error) {
	return encode(secretBody{
		ARN: out.ARN, CreatedDate: out.CreatedDate, Name: out.Name, SecretBinary: out.SecretBinary,
		SecretString: out.SecretString, VersionId: out.VersionId, VersionStages: out.VersionStages,
	})
}

type parameterBody struct {
	Parameter struct {
		ARN              *string
		DataType         *string
		LastModifiedDate *time.Time
		Name             *string
		Selector         *string
		SourceResult     *string
		Type             string
		Value            *string
		Version          int64
	}
	ResultMetadata struct{}
}

func encodeParameter(out *ssm.GetParameterOutput) ([]byte, error) {
	p := out.Parameter
	if p == nil {
		return nil, errors.New("the Parameter Store answered with no parameter")
	}
	var body parameterBody
	body.Parameter.ARN, body.Parameter.DataType, body.Parameter.LastModifiedDate = p.ARN, p.DataType, p.LastModifiedDate
	body.Parameter.Name, body.Parameter.Selector, body.Parameter.SourceResult = p.Name, p.Selector, p.SourceResult
	body.Parameter.Type, body.Parameter.Value, body.Parameter.Version = string(p.Type), p.Value, p.Version
	return encode(body)
}

func encode(body any) ([]byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return encoded, nil
}

// describe returns what a failed request is answered with. What AWS refused
// keeps AWS's status, code and message; the others have those of AWS's agent.
func describe(err error) (status int, contentType string, body []byte) {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.status, "text/plain; charset=utf-8", []byte(refused.text)
	}
	status, code, message := classify(err)
	body, _ = json.Marshal(struct { // strings only
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{code, message})
	return status, "application/json", body
}

func classify(err error) (status int, code, message string) {
	var (
		api      smithy.APIError
		response *awshttp.ResponseError
		network  net.Error
	)
	switch {
	case errors.As(err, &api):
		status = http.StatusBadRequest
		if errors.As(err, &response) {
			status = response.HTTPStatusCode()
		}
		return status, api.ErrorCode(), api.ErrorMessage()
	case errors.Is(err, secrets.ErrClosed):
		return http.StatusServiceUnavailable, "ServiceUnavailable", "The extension is shutting down."
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return http.StatusGatewayTimeout, "TimeoutError", "Timeout"
	case errors.As(err, &network):
		return http.StatusBadGateway, "ConnectionError", "Read Error"
	default:
		return http.StatusInternalServerError, "InternalFailure", "The extension's log says what failed."
	}
}
