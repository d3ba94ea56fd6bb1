package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// createOnly is the lifecycle in which the function is invoked when the resource
// is created or replaced; in the other, lifecycleCRUD, at its update and
// deletion too.
const (
	createOnly    = "CREATE_ONLY"
	lifecycleCRUD = "CRUD"
)

// invocation is one call of a function. Its input and result go into Pulumi's
// state: neither may hold a secret value.
type invocation struct {
	FunctionName   string            `json:"functionName" prop:"in,required,replace"`
	Input          string            `json:"input" prop:"in,required,json"`
	LifecycleScope string            `json:"lifecycleScope" prop:"in,default=\"CREATE_ONLY\""`
	Qualifier      string            `json:"qualifier" prop:"in,replace,default=\"$LATEST\""`
	Result         string            `json:"result" prop:"out,volatile"`
	TerraformKey   string            `json:"terraformKey" prop:"in,default=\"tf\""`
	Triggers       map[string]string `json:"triggers,omitempty" prop:"in,replace"`
}

func invocationKind() resourceType {
	return kind[invocation]{
		token: "aws:lambda/invocation:Invocation",
		check: func(i *invocation) error {
			if i.LifecycleScope != createOnly && i.LifecycleScope != lifecycleCRUD {
				return fmt.Errorf("lifecycleScope must be %s or %s", createOnly, lifecycleCRUD)
			}
			if i.Input != "" && !json.Valid([]byte(i.Input)) {
				return errors.New("input must be JSON")
			}
			return nil
		},
		replaces: func(property string, _, after *invocation) bool {
			return after.LifecycleScope == createOnly && property == "input"
		},
		create: func(ctx context.Context, c *clients, i *invocation) (string, error) {
			if err := i.invoke(ctx, c, "create", ""); err != nil {
				return "", err
			}
			sum := sha256.Sum256([]byte(i.Input))
			return i.FunctionName + "_" + i.Qualifier + "_" + hex.EncodeToString(sum[:16]), nil
		},
		read: func(context.Context, *clients, string, *invocation) error {
			// AWS remembers no invocation: what it was told, it was told.
			return nil
		},
		update: func(ctx context.Context, c *clients, _ string, old, i *invocation) error {
			i.Result = old.Result
			if i.LifecycleScope != lifecycleCRUD {
				return nil
			}
			return i.invoke(ctx, c, "update", old.Input)
		},
		remove: func(ctx context.Context, c *clients, _ string, i *invocation) error {
			if i.LifecycleScope != lifecycleCRUD {
				return nil
			}
			err := i.invoke(ctx, c, "delete", i.Input)
			return unlessGone[*lambdatypes.ResourceNotFoundException](err)
		},
	}
}

// invoke calls the function and keeps its result.
func (i *invocation) invoke(ctx context.Context, c *clients, action, previous string) error {
	payload := []byte(i.Input)
	if i.LifecycleScope == lifecycleCRUD {
		var err error
		if payload, err = i.withLifecycle(action, previous); err != nil {
			return err
		}
	}
	answer, err := c.lambda.Invoke(ctx, &lambda.InvokeInput{
		FunctionName:   &i.FunctionName,
		InvocationType: lambdatypes.InvocationTypeRequestResponse,
		Payload:        payload,
		Qualifier:      &i.Qualifier,
	})
	if err != nil {
		return err
	}
	if answer.FunctionError != nil {
		// Of the payload only the error's own fields: it may echo its input.
		var failure struct{ ErrorType, ErrorMessage string }
		_ = json.Unmarshal(answer.Payload, &failure)
		return fmt.Errorf("function %s failed (%s): %s: %s; see its log group", i.FunctionName, aws.ToString(answer.FunctionError), failure.ErrorType, failure.ErrorMessage)
	}
	i.Result = string(answer.Payload)
	return nil
}

// withLifecycle is the input with what Pulumi is doing under TerraformKey.
func (i *invocation) withLifecycle(action, previous string) ([]byte, error) {
	var event map[string]any
	if err := json.Unmarshal([]byte(i.Input), &event); err != nil {
		return nil, fmt.Errorf("with lifecycleScope %s, input must be a JSON object", lifecycleCRUD)
	}
	var before any
	if previous != "" {
		if err := json.Unmarshal([]byte(previous), &before); err != nil {
			return nil, errors.New("the previous input isn't JSON")
		}
	}
	event[i.TerraformKey] = map[string]any{"action": action, "prev_input": before}
	return json.Marshal(event)
}
