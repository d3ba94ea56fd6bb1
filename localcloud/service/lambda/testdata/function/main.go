// The function that the tests deploy: it does what its event says.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

type event struct {
	Do    string
	Value string
}

type reply struct {
	Value  string
	PID    int
	Colour string
}

func main() { lambda.Start(handle) }

func handle(ctx context.Context, e event) (reply, error) {
	r := reply{Value: e.Value, PID: os.Getpid(), Colour: os.Getenv("COLOUR")}
	switch e.Do {
	case "", "echo":
	case "read": // a file of a layer
		root := os.Getenv("LAMBDA_LAYER_ROOT")
		if root == "" {
			root = "/opt"
		}
		b, err := os.ReadFile(filepath.Join(root, e.Value))
		r.Value = string(b)
		return r, err
	case "print":
		fmt.Println(e.Value)
	case "error":
		fmt.Println("attempt")
		return r, errors.New(e.Value)
	case "whoami":
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return r, err
		}
		id, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return r, err
		}
		r.Value = aws.ToString(id.Arn)
	case "group": // a call that its role may or may not make
		cfg, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return r, err
		}
		_, err = cloudwatchlogs.NewFromConfig(cfg).CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &e.Value})
		return r, err
	default:
		return r, fmt.Errorf("unknown: %q", e.Do)
	}
	return r, nil
}
