// Package functions changes the environment of Lambda functions without ever
// overwriting somebody else's change: what is written names the revision that it
// was made from (RevisionId), and Lambda refuses it when there is a newer one.
package functions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/aistudio/secrets/migrator/apply/refusal"
	"github.com/aistudio/secrets/sdk/spec"
)

// ErrChanged is returned when somebody else changed the function since it was
// read. Nothing was written.
var ErrChanged = errors.New("somebody else has changed it meanwhile")

// ErrUnready is in what says that a function can't be read or changed as it is
// now, for a reason of its own: other functions can.
var ErrUnready = errors.New("mend it first")

// How long an update may take: minutes for a function in a VPC.
const (
	patience = 10 * time.Minute
	interval = 2 * time.Second
)

type api interface {
	GetFunctionConfiguration(context.Context, *lambda.GetFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.GetFunctionConfigurationOutput, error)
	UpdateFunctionConfiguration(context.Context, *lambda.UpdateFunctionConfigurationInput, ...func(*lambda.Options)) (*lambda.UpdateFunctionConfigurationOutput, error)
	PublishVersion(context.Context, *lambda.PublishVersionInput, ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error)
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
	UpdateAlias(context.Context, *lambda.UpdateAliasInput, ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error)
}

// Sleep waits for a while, or until the context ends, whose error it returns.
type Sleep func(context.Context, time.Duration) error

// Functions are the functions of an account and region.
type Functions struct {
	api   api
	sleep Sleep
}

// New returns the functions of the configuration's account and region.
func New(config aws.Config, sleep Sleep) *Functions {
	return &Functions{lambda.NewFromConfig(config), sleep}
}

// Configuration is what this package reads of a function's version.
type Configuration struct {
	ARN         string // of the function, without a version
	Version     string // its number, or $LATEST
	Revision    string // RevisionId
	Environment Environment
	Broken      error  // of ReadBroken: why it has to be mended; nil: it hasn't
	code        string // what the version runs besides its environment
}

// SameCode tells whether both versions differ in nothing but their environment
// and what Lambda counts: code, layers, handler, runtime, role, sizes, network,
// file systems, logs and so on.
func (c Configuration) SameCode(other Configuration) bool { return c.code == other.code }

// Read returns the function's configuration when no update of it is under way:
// it waits for one to end. qualifier is a version, an alias, or "" for $LATEST.
func (f *Functions) Read(ctx context.Context, function, qualifier string) (Configuration, error) {
	read, err := f.read(ctx, function, qualifier)
	if err == nil && read.Broken != nil {
		return Configuration{}, fmt.Errorf("lambda function %s: %w: %w", function, read.Broken, ErrUnready)
	}
	return read, err
}

// ReadBroken is Read of $LATEST for whoever is to mend it or only looks: Lambda
// takes another update after one that failed (Lambda developer guide, "Lambda
// function states").
func (f *Functions) ReadBroken(ctx context.Context, function string) (Configuration, error) {
	return f.read(ctx, function, "")
}

func (f *Functions) read(ctx context.Context, function, qualifier string) (Configuration, error) {
	in := &lambda.GetFunctionConfigurationInput{FunctionName: &function}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	for waited := time.Duration(0); ; waited += interval {
		out, err := f.api.GetFunctionConfiguration(ctx, in)
		if err != nil {
			return Configuration{}, fmt.Errorf("read Lambda function %s: %w", function, refusal.Of(err))
		}
		if settled(out) {
			return configuration(function, out)
		}
		if waited >= patience {
			return Configuration{}, fmt.Errorf("lambda function %s: an update is under way for more than %s: %w, then run again", function, patience, ErrUnready)
		}
		if err := f.sleep(ctx, interval); err != nil {
			return Configuration{}, err
		}
	}
}

// settled tells whether a version can be changed. An idle function (State
// Inactive) can: its next invocation wakes it.
func settled(c *lambda.GetFunctionConfigurationOutput) bool {
	return c.State != lambdatypes.StatePending && c.LastUpdateStatus != lambdatypes.LastUpdateStatusInProgress
}

// broken tells why a version can't be used, or nil.
func broken(c *lambda.GetFunctionConfigurationOutput) error {
	switch {
	case c.State == lambdatypes.StateFailed:
		return fmt.Errorf("it is in the state Failed (%s)", c.StateReasonCode)
	case c.LastUpdateStatus == lambdatypes.LastUpdateStatusFailed:
		return fmt.Errorf("its last update failed (%s)", c.LastUpdateStatusReasonCode)
	default:
		return nil
	}
}

func configuration(function string, c *lambda.GetFunctionConfigurationOutput) (Configuration, error) {
	if c.Environment != nil && c.Environment.Error != nil {
		return Configuration{}, fmt.Errorf("lambda function %s: its environment can't be decrypted (%s), which takes the right kms:Decrypt on its key: %w", function, aws.ToString(c.Environment.Error.ErrorCode), ErrUnready)
	}
	var variables map[string]string
	if c.Environment != nil {
		variables = c.Environment.Variables
	}
	return Configuration{
		ARN: function, Version: aws.ToString(c.Version), Revision: aws.ToString(c.RevisionId),
		Environment: newEnvironment(variables), Broken: broken(c), code: code(c),
	}, nil
}

// code names all that makes two versions run alike.
func code(c *lambda.GetFunctionConfigurationOutput) string {
	parts := []any{
		c.CodeSha256, c.Handler, c.Runtime, c.Role, c.MemorySize, c.Timeout, c.Architectures, c.PackageType, c.KMSKeyArn,
		c.EphemeralStorage, c.FileSystemConfigs, c.DeadLetterConfig, c.TracingConfig, c.LoggingConfig, c.ImageConfigResponse,
	}
	for _, layer := range c.Layers {
		parts = append(parts, layer.Arn)
	}
	if c.VpcConfig != nil {
		// In whatever order Lambda gives them.
		parts = append(parts, slices.Sorted(slices.Values(c.VpcConfig.SubnetIds)), slices.Sorted(slices.Values(c.VpcConfig.SecurityGroupIds)))
	}
	if c.SnapStart != nil {
		parts = append(parts, c.SnapStart.ApplyOn)
	}
	text, _ := json.Marshal(parts) // texts and numbers always marshal
	return string(text)
}

// Update writes the environment over that of $LATEST as it was read, and returns
// the configuration after it, when the update is complete. It returns ErrChanged
// if there is a newer revision, unless that has the same environment: then it
// was this very update, of which the reply got lost.
func (f *Functions) Update(ctx context.Context, read Configuration, environment Environment) (Configuration, error) {
	_, err := f.api.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &read.ARN, RevisionId: &read.Revision,
		Environment: &lambdatypes.Environment{Variables: environment.reveal()},
	})
	if err != nil && !changed(err) {
		return Configuration{}, fmt.Errorf("update Lambda function %s: %w", read.ARN, refusal.Of(err))
	}
	after, err := f.Read(ctx, read.ARN, "")
	if err != nil {
		return Configuration{}, err
	}
	if !after.Environment.Equal(environment) {
		return Configuration{}, fmt.Errorf("update Lambda function %s: %w", read.ARN, ErrChanged)
	}
	return after, nil
}

// Publish makes a version of $LATEST as it was read, and returns its number when
// it can be invoked. If nothing has changed since the last version, Lambda
// returns that one, so publishing twice makes one version.
func (f *Functions) Publish(ctx context.Context, read Configuration, description string) (string, error) {
	out, err := f.api.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &read.ARN, RevisionId: &read.Revision, Description: &description})
	if changed(err) {
		return "", fmt.Errorf("publish a version of Lambda function %s: %w", read.ARN, ErrChanged)
	}
	if err != nil {
		return "", fmt.Errorf("publish a version of Lambda function %s: %w", read.ARN, refusal.Of(err))
	}
	version := aws.ToString(out.Version)
	published, err := f.Read(ctx, read.ARN, version)
	if err != nil {
		return "", err
	}
	if !published.Environment.Equal(read.Environment) {
		return "", fmt.Errorf("version %s of Lambda function %s: %w", version, read.ARN, ErrChanged)
	}
	return version, nil
}

// Alias returns the version that the alias names. It fails while the alias
// divides its traffic between two: somebody is at work.
func (f *Functions) Alias(ctx context.Context, function, alias string) (version string, err error) {
	out, err := f.alias(ctx, function, alias)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.FunctionVersion), nil
}

func (f *Functions) alias(ctx context.Context, function, alias string) (*lambda.GetAliasOutput, error) {
	out, err := f.api.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &function, Name: &alias})
	if err != nil {
		return nil, fmt.Errorf("read alias %s of Lambda function %s: %w", alias, function, refusal.Of(err))
	}
	if r := out.RoutingConfig; r != nil && len(r.AdditionalVersionWeights) > 0 {
		return nil, fmt.Errorf("alias %s of Lambda function %s divides its traffic between two versions: wait until that deployment is complete", alias, function)
	}
	return out, nil
}

// Point moves the alias from one of the versions to another. It does nothing if
// the alias is there already, and returns ErrChanged if it is anywhere else.
func (f *Functions) Point(ctx context.Context, function, alias string, from []string, to string) error {
	out, err := f.alias(ctx, function, alias)
	if err != nil {
		return err
	}
	switch at := aws.ToString(out.FunctionVersion); {
	case at == to:
		return nil
	case !slices.Contains(from, at):
		return fmt.Errorf("alias %s of Lambda function %s names version %s: %w", alias, function, at, ErrChanged)
	}
	_, err = f.api.UpdateAlias(ctx, &lambda.UpdateAliasInput{FunctionName: &function, Name: &alias, FunctionVersion: &to, RevisionId: out.RevisionId})
	if changed(err) {
		// Either somebody else, or this call's own first attempt.
		now, readErr := f.alias(ctx, function, alias)
		if readErr != nil {
			return readErr
		}
		if aws.ToString(now.FunctionVersion) == to {
			return nil
		}
		return fmt.Errorf("move alias %s of Lambda function %s: %w", alias, function, ErrChanged)
	}
	if err != nil {
		return fmt.Errorf("move alias %s of Lambda function %s: %w", alias, function, refusal.Of(err))
	}
	return nil
}

// Value returns a variable of the function's $LATEST, and whether it is there,
// also of a function that is to be mended.
func (f *Functions) Value(ctx context.Context, function, variable string) (spec.Value, bool, error) {
	c, err := f.ReadBroken(ctx, function)
	if err != nil {
		return spec.Value{}, false, err
	}
	value, ok := c.Environment.Get(variable)
	return value, ok, nil
}

// changed tells of the refusals that another change is the reason for: one that
// is complete, or one that is under way.
func changed(err error) bool {
	failed, conflict := &lambdatypes.PreconditionFailedException{}, &lambdatypes.ResourceConflictException{}
	return errors.As(err, &failed) || errors.As(err, &conflict)
}
