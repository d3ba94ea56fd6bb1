// Command echofunction is the Lambda function that the tests deploy. It answers with its event, or fails with
// the message in the event's "fail". As a rotation function it agrees to every
// step.
package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, event json.RawMessage) (json.RawMessage, error) {
		var order struct {
			Fail string `json:"fail"`
		}
		if err := json.Unmarshal(event, &order); err != nil {
			return nil, err
		}
		if order.Fail != "" {
			return nil, errors.New(order.Fail)
		}
		return event, nil
	})
}
