// Command gate is a Lambda function that applies the values of custom secrets,
// for tests: it tells a gate, by HTTP, which passwords to accept.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aistudio/secrets/rotators/custom"
)

func main() { lambda.Start(handle) }

func handle(ctx context.Context, call custom.Call) (custom.Answer, error) {
	if call.Values == nil { // else it's a seed's call, whose value isn't stored yet
		values, err := read(ctx, call)
		if err != nil {
			return custom.Answer{}, err
		}
		call.Values = values
	}
	body, err := json.Marshal(call)
	if err != nil {
		return custom.Answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("GATE"), bytes.NewReader(body))
	if err != nil {
		return custom.Answer{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return custom.Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return custom.Answer{}, errors.New("the gate refuses " + call.Values["pending"]) // what no function should say
	}
	return custom.Answer{Outcome: custom.OutcomeDone}, nil
}

// read reads the values from Secrets Manager.
func read(ctx context.Context, call custom.Call) (map[string]string, error) {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	client := secretsmanager.NewFromConfig(aws)
	values := map[string]string{}
	for name, id := range call.Versions {
		output, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &call.SecretID, VersionId: &id})
		if err != nil {
			return nil, err
		}
		values[name] = *output.SecretString
	}
	return values, nil
}
