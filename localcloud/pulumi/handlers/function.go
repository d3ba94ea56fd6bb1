package handlers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
)

// latestVersion is the name of a function's unpublished version.
const latestVersion = "$LATEST"

// function is a Lambda function whose code is a zip. MemorySize is in MB,
// Timeout in seconds, SourceCodeSize in bytes; ReservedConcurrentExecutions is
// -1 for none.
type function struct {
	Architectures                []string          `json:"architectures" prop:"in,out"`
	ARN                          string            `json:"arn" prop:"out"`
	Code                         *archive.Archive  `json:"code" prop:"in,asset"`
	CodeSHA256                   string            `json:"codeSha256" prop:"out,volatile"`
	DeadLetterConfig             *deadLetterConfig `json:"deadLetterConfig,omitempty" prop:"in"`
	Description                  string            `json:"description,omitempty" prop:"in"`
	Environment                  *environment      `json:"environment,omitempty" prop:"in"`
	EphemeralStorage             *ephemeralStorage `json:"ephemeralStorage,omitempty" prop:"in,out"`
	Handler                      string            `json:"handler,omitempty" prop:"in"`
	InvokeARN                    string            `json:"invokeArn" prop:"out"`
	KMSKeyARN                    string            `json:"kmsKeyArn,omitempty" prop:"in"`
	LastModified                 string            `json:"lastModified" prop:"out,volatile"`
	Layers                       []string          `json:"layers,omitempty" prop:"in"`
	LoggingConfig                *loggingConfig    `json:"loggingConfig,omitempty" prop:"in,out"`
	MemorySize                   int               `json:"memorySize" prop:"in,default=128"`
	Name                         string            `json:"name" prop:"in,replace,auto=64"`
	PackageType                  string            `json:"packageType" prop:"in,replace,default=\"Zip\""`
	Publish                      bool              `json:"publish" prop:"in,writeonly,default=false"`
	QualifiedARN                 string            `json:"qualifiedArn" prop:"out,volatile"`
	QualifiedInvokeARN           string            `json:"qualifiedInvokeArn" prop:"out,volatile"`
	ReservedConcurrentExecutions int               `json:"reservedConcurrentExecutions" prop:"in,default=-1"`
	Role                         string            `json:"role" prop:"in,required"`
	Runtime                      string            `json:"runtime,omitempty" prop:"in"`
	SigningJobARN                string            `json:"signingJobArn" prop:"out"`
	SigningProfileVersionARN     string            `json:"signingProfileVersionArn" prop:"out"`
	SkipDestroy                  bool              `json:"skipDestroy" prop:"in,writeonly,default=false"`
	SourceCodeHash               string            `json:"sourceCodeHash" prop:"in,out,volatile"`
	SourceCodeSize               int64             `json:"sourceCodeSize" prop:"out,volatile"`
	Timeout                      int               `json:"timeout" prop:"in,default=3"`
	TracingConfig                *tracingConfig    `json:"tracingConfig,omitempty" prop:"in,out"`
	Version                      string            `json:"version" prop:"out,volatile"`
	VPCConfig                    *vpcConfig        `json:"vpcConfig,omitempty" prop:"in"`
	tagged
}

type deadLetterConfig struct {
	TargetARN string `json:"targetArn" prop:"in,required"`
}

type environment struct {
	Variables map[string]string `json:"variables,omitempty" prop:"in"`
}

// ephemeralStorage is the size of /tmp in MB.
type ephemeralStorage struct {
	Size int `json:"size,omitempty" prop:"in,out"`
}

type loggingConfig struct {
	ApplicationLogLevel string `json:"applicationLogLevel,omitempty" prop:"in"`
	LogFormat           string `json:"logFormat" prop:"in,required"`
	LogGroup            string `json:"logGroup,omitempty" prop:"in,out"`
	SystemLogLevel      string `json:"systemLogLevel,omitempty" prop:"in"`
}

type tracingConfig struct {
	Mode string `json:"mode" prop:"in,required"`
}

type vpcConfig struct {
	IPv6AllowedForDualStack bool     `json:"ipv6AllowedForDualStack" prop:"in,default=false"`
	SecurityGroupIDs        []string `json:"securityGroupIds" prop:"in,required,set"`
	SubnetIDs               []string `json:"subnetIds" prop:"in,required,set"`
	VPCID                   string   `json:"vpcId,omitempty" prop:"out"`
}

func functionKind() resourceType {
	return kind[function]{
		token: "aws:lambda/function:Function",
		check: func(f *function) error {
			if f.PackageType != string(lambdatypes.PackageTypeZip) {
				return fmt.Errorf("packageType %s has no handler in the local cloud; it runs zips only", f.PackageType)
			}
			return nil
		},
		create: createFunction,
		read:   readFunction,
		update: updateFunction,
		remove: func(ctx context.Context, c *clients, id string, f *function) error {
			if f.SkipDestroy {
				return nil
			}
			_, err := c.lambda.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: &id})
			return unlessGone[*lambdatypes.ResourceNotFoundException](err)
		},
	}
}

func (f *function) takeAssets(from resource.PropertyMap) {
	if code, _ := plain(from["code"]); code != nil {
		f.Code, _ = code.(*archive.Archive)
	}
}

// zipOf is a function's or a layer's code as Lambda wants it.
func zipOf(code *archive.Archive) ([]byte, error) {
	if code == nil {
		return nil, errors.New("code must be an archive: a FileArchive of a zip or a folder, or an AssetArchive")
	}
	content, err := code.Bytes(archive.ZIPArchive)
	if err != nil {
		return nil, fmt.Errorf("read the code: %w", err)
	}
	return content, nil
}

func (f *function) architectures() []lambdatypes.Architecture {
	var list []lambdatypes.Architecture
	for _, architecture := range f.Architectures {
		list = append(list, lambdatypes.Architecture(architecture))
	}
	return list
}

// configuration is everything that UpdateFunctionConfiguration sets; what the
// program leaves out is set back to nothing.
func (f *function) configuration(id string) *lambda.UpdateFunctionConfigurationInput {
	input := &lambda.UpdateFunctionConfigurationInput{
		DeadLetterConfig: &lambdatypes.DeadLetterConfig{TargetArn: aws.String("")},
		Description:      &f.Description,
		Environment:      &lambdatypes.Environment{Variables: map[string]string{}},
		FunctionName:     &id,
		Handler:          optional(f.Handler),
		KMSKeyArn:        &f.KMSKeyARN,
		Layers:           append([]string{}, f.Layers...),
		MemorySize:       aws.Int32(int32(f.MemorySize)),
		Role:             &f.Role,
		Runtime:          lambdatypes.Runtime(f.Runtime),
		Timeout:          aws.Int32(int32(f.Timeout)),
		VpcConfig:        &lambdatypes.VpcConfig{SecurityGroupIds: []string{}, SubnetIds: []string{}},
	}
	if f.DeadLetterConfig != nil {
		input.DeadLetterConfig.TargetArn = &f.DeadLetterConfig.TargetARN
	}
	if f.Environment != nil && f.Environment.Variables != nil {
		input.Environment.Variables = f.Environment.Variables
	}
	if f.EphemeralStorage != nil && f.EphemeralStorage.Size != 0 {
		input.EphemeralStorage = &lambdatypes.EphemeralStorage{Size: aws.Int32(int32(f.EphemeralStorage.Size))}
	}
	if l := f.LoggingConfig; l != nil {
		input.LoggingConfig = &lambdatypes.LoggingConfig{
			ApplicationLogLevel: lambdatypes.ApplicationLogLevel(l.ApplicationLogLevel),
			LogFormat:           lambdatypes.LogFormat(l.LogFormat),
			LogGroup:            optional(l.LogGroup),
			SystemLogLevel:      lambdatypes.SystemLogLevel(l.SystemLogLevel),
		}
	}
	if f.TracingConfig != nil {
		input.TracingConfig = &lambdatypes.TracingConfig{Mode: lambdatypes.TracingMode(f.TracingConfig.Mode)}
	}
	if v := f.VPCConfig; v != nil {
		input.VpcConfig = &lambdatypes.VpcConfig{
			Ipv6AllowedForDualStack: aws.Bool(v.IPv6AllowedForDualStack),
			SecurityGroupIds:        v.SecurityGroupIDs,
			SubnetIds:               v.SubnetIDs,
		}
	}
	return input
}

func createFunction(ctx context.Context, c *clients, f *function) (string, error) {
	content, err := zipOf(f.Code)
	if err != nil {
		return "", err
	}
	configuration := f.configuration(f.Name)
	input := &lambda.CreateFunctionInput{
		Architectures:    f.architectures(),
		Code:             &lambdatypes.FunctionCode{ZipFile: content},
		Description:      optional(f.Description),
		EphemeralStorage: configuration.EphemeralStorage,
		FunctionName:     &f.Name,
		Handler:          configuration.Handler,
		KMSKeyArn:        optional(f.KMSKeyARN),
		Layers:           f.Layers,
		LoggingConfig:    configuration.LoggingConfig,
		MemorySize:       configuration.MemorySize,
		PackageType:      lambdatypes.PackageTypeZip,
		Publish:          f.Publish,
		Role:             &f.Role,
		Runtime:          configuration.Runtime,
		Tags:             f.Tags,
		Timeout:          configuration.Timeout,
		TracingConfig:    configuration.TracingConfig,
	}
	if f.DeadLetterConfig != nil {
		input.DeadLetterConfig = configuration.DeadLetterConfig
	}
	if f.Environment != nil {
		input.Environment = configuration.Environment
	}
	if f.VPCConfig != nil {
		input.VpcConfig = configuration.VpcConfig
	}
	if _, err := c.lambda.CreateFunction(ctx, input); err != nil {
		return "", err
	}
	id := f.Name
	if err := waitActive(ctx, c, id); err != nil {
		return id, err
	}
	return id, setReservedConcurrency(ctx, c, id, -1, f.ReservedConcurrentExecutions)
}

func waitActive(ctx context.Context, c *clients, id string) error {
	waiter := lambda.NewFunctionActiveV2Waiter(c.lambda, func(o *lambda.FunctionActiveV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = pollInterval, time.Second
	})
	return waiter.Wait(ctx, &lambda.GetFunctionInput{FunctionName: &id}, waitLimit)
}

func waitUpdated(ctx context.Context, c *clients, id string) error {
	waiter := lambda.NewFunctionUpdatedV2Waiter(c.lambda, func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = pollInterval, time.Second
	})
	return waiter.Wait(ctx, &lambda.GetFunctionInput{FunctionName: &id}, waitLimit)
}

func setReservedConcurrency(ctx context.Context, c *clients, id string, old, reserved int) error {
	var err error
	switch {
	case old == reserved:
	case reserved < 0:
		_, err = c.lambda.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: &id})
	default:
		_, err = c.lambda.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{
			FunctionName:                 &id,
			ReservedConcurrentExecutions: aws.Int32(int32(reserved)),
		})
	}
	return err
}

func updateFunction(ctx context.Context, c *clients, id string, old, f *function) error {
	// Somebody else's update may still be going on; Lambda takes one at a time.
	if err := waitUpdated(ctx, c, id); err != nil {
		return err
	}
	changed := false
	codeChanged := !f.Code.Equals(old.Code) || f.SourceCodeHash != old.SourceCodeHash
	if codeChanged || !reflect.DeepEqual(f.Architectures, old.Architectures) {
		content, err := zipOf(f.Code)
		if err != nil {
			return err
		}
		if _, err := c.lambda.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{
			Architectures: f.architectures(),
			FunctionName:  &id,
			ZipFile:       content,
		}); err != nil {
			return err
		}
		if err := waitUpdated(ctx, c, id); err != nil {
			return err
		}
		changed = true
	}
	if configuration := f.configuration(id); !reflect.DeepEqual(configuration, old.configuration(id)) {
		if _, err := c.lambda.UpdateFunctionConfiguration(ctx, configuration); err != nil {
			return err
		}
		if err := waitUpdated(ctx, c, id); err != nil {
			return err
		}
		changed = true
	}
	if err := setReservedConcurrency(ctx, c, id, old.ReservedConcurrentExecutions, f.ReservedConcurrentExecutions); err != nil {
		return err
	}
	put, remove := tagChanges(old.Tags, f.Tags)
	if len(remove) > 0 {
		if _, err := c.lambda.UntagResource(ctx, &lambda.UntagResourceInput{Resource: &old.ARN, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.lambda.TagResource(ctx, &lambda.TagResourceInput{Resource: &old.ARN, Tags: put}); err != nil {
			return err
		}
	}
	if f.Publish && (changed || !old.Publish) {
		_, err := c.lambda.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: &id})
		return err
	}
	return nil
}

func readFunction(ctx context.Context, c *clients, id string, f *function) error {
	got, err := c.lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &id})
	if err != nil {
		return gone[*lambdatypes.ResourceNotFoundException](err)
	}
	f.readConfiguration(got.Configuration)
	f.ReservedConcurrentExecutions = -1
	if got.Concurrency != nil && got.Concurrency.ReservedConcurrentExecutions != nil {
		f.ReservedConcurrentExecutions = int(*got.Concurrency.ReservedConcurrentExecutions)
	}
	if got.Tags == nil {
		got.Tags = map[string]string{}
	}
	f.setTags(got.Tags)
	f.Version = latestVersion
	if f.Publish {
		if f.Version, err = lastVersion(ctx, c, id); err != nil {
			return err
		}
	}
	f.QualifiedARN = f.ARN + ":" + f.Version
	f.InvokeARN = c.invokeARN(f.ARN)
	f.QualifiedInvokeARN = c.invokeARN(f.QualifiedARN)
	return nil
}

func (f *function) readConfiguration(got *lambdatypes.FunctionConfiguration) {
	f.ARN = aws.ToString(got.FunctionArn)
	f.Architectures = nil
	for _, architecture := range got.Architectures {
		f.Architectures = append(f.Architectures, string(architecture))
	}
	f.CodeSHA256 = aws.ToString(got.CodeSha256)
	f.Description = aws.ToString(got.Description)
	f.Handler = aws.ToString(got.Handler)
	f.KMSKeyARN = aws.ToString(got.KMSKeyArn)
	f.LastModified = aws.ToString(got.LastModified)
	f.MemorySize = int(aws.ToInt32(got.MemorySize))
	f.Name = aws.ToString(got.FunctionName)
	f.Role = aws.ToString(got.Role)
	f.Runtime = string(got.Runtime)
	f.SigningJobARN = aws.ToString(got.SigningJobArn)
	f.SigningProfileVersionARN = aws.ToString(got.SigningProfileVersionArn)
	f.SourceCodeHash = f.CodeSHA256
	f.SourceCodeSize = got.CodeSize
	f.Timeout = int(aws.ToInt32(got.Timeout))

	f.DeadLetterConfig, f.EphemeralStorage, f.LoggingConfig, f.TracingConfig, f.VPCConfig = nil, nil, nil, nil, nil
	if d := got.DeadLetterConfig; d != nil && aws.ToString(d.TargetArn) != "" {
		f.DeadLetterConfig = &deadLetterConfig{TargetARN: *d.TargetArn}
	}
	if got.Environment == nil || len(got.Environment.Variables) == 0 {
		// An empty block and none are the same to Lambda.
		if f.Environment != nil {
			f.Environment = &environment{}
		}
	} else {
		f.Environment = &environment{Variables: got.Environment.Variables}
	}
	if e := got.EphemeralStorage; e != nil {
		f.EphemeralStorage = &ephemeralStorage{Size: int(aws.ToInt32(e.Size))}
	}
	f.Layers = nil
	for _, layer := range got.Layers {
		f.Layers = append(f.Layers, aws.ToString(layer.Arn))
	}
	if l := got.LoggingConfig; l != nil {
		f.LoggingConfig = &loggingConfig{
			ApplicationLogLevel: string(l.ApplicationLogLevel),
			LogFormat:           string(l.LogFormat),
			LogGroup:            aws.ToString(l.LogGroup),
			SystemLogLevel:      string(l.SystemLogLevel),
		}
	}
	if t := got.TracingConfig; t != nil {
		f.TracingConfig = &tracingConfig{Mode: string(t.Mode)}
	}
	if v := got.VpcConfig; v != nil && len(v.SubnetIds) > 0 {
		f.VPCConfig = &vpcConfig{
			IPv6AllowedForDualStack: aws.ToBool(v.Ipv6AllowedForDualStack),
			SecurityGroupIDs:        v.SecurityGroupIds,
			SubnetIDs:               v.SubnetIds,
			VPCID:                   aws.ToString(v.VpcId),
		}
	}
}

// lastVersion is the number of the version published last, or latestVersion.
func lastVersion(ctx context.Context, c *clients, id string) (string, error) {
	last := latestVersion
	pages := lambda.NewListVersionsByFunctionPaginator(c.lambda, &lambda.ListVersionsByFunctionInput{FunctionName: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", err
		}
		for _, version := range page.Versions {
			// Lambda lists them in the order of their numbers.
			last = aws.ToString(version.Version)
		}
	}
	return last, nil
}

// invokeARN is the ARN under which API Gateway calls a function.
func (c *clients) invokeARN(function string) string {
	return fmt.Sprintf("arn:%s:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations", c.partition(), c.config.Region, function)
}
