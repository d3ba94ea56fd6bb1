package lambda

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

// settings are what UpdateFunctionConfiguration changes.
type settings struct {
	description      string
	variables        map[string]string
	ephemeralStorage int // MB
	handler          string
	deadLetters      string // ARN of a queue; "": none
	kmsKeyARN        string
	layers           []string // ARNs of layer versions
	logging          loggingConfig
	memory           int // MB
	role             string
	runtime          string
	timeout          int // seconds
	tracing          string
	vpc              *vpcConfig
}

// settingsInput is how requests bring them; a nil one is left as it is.
type settingsInput struct {
	DeadLetterConfig *struct{ TargetArn string }
	Description      *string
	Environment      *struct{ Variables map[string]string }
	EphemeralStorage *struct{ Size int }
	Handler          *string
	KMSKeyArn        *string
	Layers           *[]string
	LoggingConfig    *loggingConfig
	MemorySize       *int
	Role             *string
	Runtime          *string
	SnapStart        *struct{ ApplyOn string }
	Timeout          *int
	TracingConfig    *struct{ Mode string }
	VpcConfig        *vpcConfig
}

type loggingConfig struct {
	ApplicationLogLevel string `json:",omitempty"`
	LogFormat           string `json:",omitempty"`
	LogGroup            string `json:",omitempty"`
	SystemLogLevel      string `json:",omitempty"`
}

type vpcConfig struct {
	Ipv6AllowedForDualStack bool
	SecurityGroupIds        []string
	SubnetIds               []string
}

func defaultSettings(name string) settings {
	return settings{
		ephemeralStorage: 512, memory: 128, timeout: 3, tracing: "PassThrough",
		logging: loggingConfig{LogFormat: "Text", LogGroup: "/aws/lambda/" + name},
	}
}

// runtimes are the ones that functions can be made with.
var runtimes = []string{
	"provided.al2", "provided.al2023",
	"dotnet8", "dotnet10", "java11", "java17", "java21", "java25", "nodejs20.x", "nodejs22.x", "nodejs24.x",
	"python3.10", "python3.11", "python3.12", "python3.13", "python3.14", "ruby3.2", "ruby3.3", "ruby3.4",
}

// executable tells whether the emulator can run functions of a runtime.
func executable(runtime string) bool {
	return runtime == "provided.al2" || runtime == "provided.al2023"
}

var (
	roleForm     = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$`)
	variableForm = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)
)

// with returns the settings as in changes them.
func (s settings) with(in settingsInput) (settings, error) {
	set(&s.description, in.Description)
	set(&s.handler, in.Handler)
	set(&s.kmsKeyARN, in.KMSKeyArn)
	set(&s.memory, in.MemorySize)
	set(&s.role, in.Role)
	set(&s.runtime, in.Runtime)
	set(&s.timeout, in.Timeout)
	if in.Layers != nil {
		s.layers = slices.Clone(*in.Layers)
	}
	if in.Environment != nil {
		s.variables = maps.Clone(in.Environment.Variables)
	}
	if in.EphemeralStorage != nil {
		s.ephemeralStorage = in.EphemeralStorage.Size
	}
	if in.TracingConfig != nil {
		s.tracing = in.TracingConfig.Mode
	}
	if l := in.LoggingConfig; l != nil {
		s.logging.LogFormat = cmp.Or(l.LogFormat, s.logging.LogFormat)
		s.logging.LogGroup = cmp.Or(l.LogGroup, s.logging.LogGroup)
		s.logging.ApplicationLogLevel = cmp.Or(l.ApplicationLogLevel, s.logging.ApplicationLogLevel)
		s.logging.SystemLogLevel = cmp.Or(l.SystemLogLevel, s.logging.SystemLogLevel)
	}
	if in.VpcConfig != nil {
		s.vpc = in.VpcConfig
		if len(s.vpc.SubnetIds) == 0 {
			s.vpc = nil
		}
	}
	if in.DeadLetterConfig != nil {
		s.deadLetters = in.DeadLetterConfig.TargetArn
		if s.deadLetters != "" && !strings.Contains(s.deadLetters, ":sqs:") {
			return s, unsupported("dead letters to anything but an SQS queue")
		}
	}
	if in.SnapStart != nil && in.SnapStart.ApplyOn != "None" {
		return s, unsupported("SnapStart")
	}
	return s, s.validate()
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s settings) validate() error {
	switch {
	case s.timeout < 1:
		return constraint(s.timeout, "timeout", "Member must have value greater than or equal to 1")
	case s.timeout > 900:
		return constraint(s.timeout, "timeout", "Member must have value less than or equal to 900")
	case s.memory < 128:
		return constraint(s.memory, "memorySize", "Member must have value greater than or equal to 128")
	case s.memory > 10240:
		return constraint(s.memory, "memorySize", "Member must have value less than or equal to 10240")
	case s.ephemeralStorage < 512 || s.ephemeralStorage > 10240:
		return constraint(s.ephemeralStorage, "ephemeralStorage.size", "Member must have value between 512 and 10240")
	case len(s.description) > 256:
		return constraint(s.description, "description", "Member must have length less than or equal to 256")
	case s.runtime == "" || s.handler == "":
		return invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	case !slices.Contains(runtimes, s.runtime):
		return invalid("Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [%s] or be a valid ARN", s.runtime, strings.Join(runtimes, ", "))
	case len(s.handler) > 128 || strings.ContainsAny(s.handler, " \t\n"):
		return constraint(s.handler, "handler", `Member must satisfy regular expression pattern: [^\s]+`)
	case !roleForm.MatchString(s.role):
		return constraint(s.role, "role", `Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`)
	case s.tracing != "PassThrough" && s.tracing != "Active":
		return constraint(s.tracing, "tracingConfig.mode", "Member must satisfy enum value set: [Active, PassThrough]")
	case s.logging.LogFormat != "Text" && s.logging.LogFormat != "JSON":
		return constraint(s.logging.LogFormat, "loggingConfig.logFormat", "Member must satisfy enum value set: [JSON, Text]")
	case len(s.layers) > 5:
		return invalid("Cannot reference more than 5 layers.")
	}
	return validateVariables(s.variables)
}

// maxVariables is AWS's limit for all names and values together, in bytes of their
// JSON object, which the message of AWS's refusal quotes.
const maxVariables = 4 << 10

// validateVariables never tells a value.
func validateVariables(variables map[string]string) error {
	var reserved []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if !variableForm.MatchString(name) {
			return constraint("["+name+"]", "environment.variables", `Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]`)
		}
		if reservedVariables[name] {
			reserved = append(reserved, name)
		}
	}
	if len(reserved) > 0 {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(reserved, ", "))
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(variables); err != nil || text.Len()-len("\n") > maxVariables {
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit.")
	}
	return nil
}

// reservedVariables are those of "Defined runtime environment variables" that a
// function can't set.
var reservedVariables = map[string]bool{
	"AWS_REGION": true, "AWS_DEFAULT_REGION": true, "AWS_EXECUTION_ENV": true,
	"AWS_LAMBDA_FUNCTION_NAME": true, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true,
	"AWS_LAMBDA_FUNCTION_VERSION": true, "AWS_LAMBDA_INITIALIZATION_TYPE": true,
	"AWS_LAMBDA_LOG_GROUP_NAME": true, "AWS_LAMBDA_LOG_STREAM_NAME": true,
	"AWS_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true, "AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true,
	"AWS_LAMBDA_RUNTIME_API": true, "LAMBDA_TASK_ROOT": true, "LAMBDA_RUNTIME_DIR": true,
}

// configuration is a function version as replies show it.
type configuration struct {
	Architectures    []string
	CodeSha256       string
	CodeSize         int64
	Description      string
	Environment      *environmentOutput `json:",omitempty"`
	EphemeralStorage struct{ Size int }
	FunctionArn      string
	FunctionName     string
	Handler          string
	KMSKeyArn        string `json:",omitempty"`
	LastModified     string
	LastUpdateStatus string        `json:",omitempty"`
	Layers           []layerOutput `json:",omitempty"`
	LoggingConfig    loggingConfig
	MemorySize       int
	PackageType      string
	RevisionId       string
	Role             string
	Runtime          string
	SnapStart        struct{ ApplyOn, OptimizationStatus string }
	State            string
	StateReason      string `json:",omitempty"`
	StateReasonCode  string `json:",omitempty"`
	Timeout          int
	TracingConfig    struct{ Mode string }
	Version          string
	VpcConfig        *vpcConfig        `json:",omitempty"`
	DeadLetterConfig *deadLetterOutput `json:",omitempty"`
}

type deadLetterOutput struct{ TargetArn string }

type environmentOutput struct{ Variables map[string]string }

type layerOutput struct {
	Arn      string
	CodeSize int64
}

// timeForm is how Lambda writes times.
const timeForm = "2006-01-02T15:04:05.000-0700"

// show is the version as replies show it, under an ARN that has a qualifier
// only if the caller's has.
func (v *version) show(arn string) configuration {
	c := configuration{
		Architectures: []string{v.architecture},
		CodeSha256:    v.code.sum(), CodeSize: v.code.size,
		Description: v.description,
		FunctionArn: arn, FunctionName: v.function.name,
		Handler: v.handler, KMSKeyArn: v.kmsKeyARN,
		LastModified:  v.modified.Format(timeForm),
		LoggingConfig: v.logging, MemorySize: v.memory, PackageType: "Zip",
		RevisionId: v.revisionID, Role: v.role, Runtime: v.runtime,
		State: "Active", LastUpdateStatus: "Successful",
		Timeout: v.timeout, Version: v.number, VpcConfig: v.vpc,
	}
	c.EphemeralStorage.Size = v.ephemeralStorage
	c.SnapStart.ApplyOn, c.SnapStart.OptimizationStatus = "None", "Off"
	c.TracingConfig.Mode = v.tracing
	if v.deadLetters != "" {
		c.DeadLetterConfig = &deadLetterOutput{v.deadLetters}
	}
	if len(v.variables) > 0 {
		c.Environment = &environmentOutput{v.variables}
	}
	for _, l := range v.layerCode {
		c.Layers = append(c.Layers, layerOutput{l.arn(), l.code.size})
	}
	switch {
	case v.number != latest || !v.function.pending():
	case v.function.active == nil:
		c.State, c.StateReasonCode, c.StateReason = "Pending", "Creating", "The function is being created."
	default:
		c.LastUpdateStatus = "InProgress"
	}
	return c
}

func created(body any) *api.Reply { return &api.Reply{Status: http.StatusCreated, Body: body} }

func noContent() *api.Reply { return &api.Reply{Status: http.StatusNoContent} }
