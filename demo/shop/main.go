// Command shop is the Lambda function of a company before its migration. It signs
// messages with a key that is in its environment and with a token that is in the
// Parameter Store under the name that its environment tells.
//
// It reads both by package dualread, as docs/migrating.md asks for before the
// window, so that the migration changes its variables and not its code.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	secrets "github.com/aistudio/secrets/sdk"
	"github.com/aistudio/secrets/sdk/dualread"
	"github.com/aistudio/secrets/sdk/dualread/parameter"
)

const (
	keyVariable   = "WEBHOOK_SIGNING_KEY"
	tokenVariable = "PARTNER_TOKEN_PARAMETER"
)

// request is what the function is invoked with.
type request struct {
	Message string `json:"message"`
}

// signatures are those of the message, in hexadecimal.
type signatures struct {
	Key   string `json:"key"`
	Token string `json:"token"`
}

func main() {
	sign, err := newSigner(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(sign)
}

func newSigner(ctx context.Context) (func(context.Context, request) (signatures, error), error) {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	key, err := dualread.FromEnv(secrets.Default(), keyVariable, dualread.Options{})
	if err != nil {
		return nil, err
	}
	token, err := dualread.FromEnv(secrets.Default(), tokenVariable, dualread.Options{
		Old: parameter.Source(ssm.NewFromConfig(aws), os.Getenv(tokenVariable)),
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, r request) (s signatures, err error) {
		if s.Key, err = signature(ctx, key, r.Message); err != nil {
			return signatures{}, err
		}
		s.Token, err = signature(ctx, token, r.Message)
		return s, err
	}, nil
}

func signature(ctx context.Context, credential *dualread.Reader, message string) (string, error) {
	value, err := credential.Value(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, value.Reveal())
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil)), nil
}
