// Package function holds the component Function: a Lambda function with its log
// group and its role, and perhaps the same function in a second region, where it
// stands by. The role writes logs and traces, and does what the function's user
// allows.
package function

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

const typeToken = "aistudio:secrets:Function"

// Args describes a Function.
type Args struct {
	Name                string // also the role's: RoleARN tells its ARN before it is there
	Description         string
	ArchivePath         string // zip that holds the executable "bootstrap"
	Architecture        string // arm64 or x86_64, the archive's
	MemoryMB            int
	TimeoutSeconds      int
	ReservedConcurrency *int // nil: the account's unreserved pool
	LogRetentionDays    int
	Environment         pulumi.StringMap
	Layers              pulumi.StringArray // ARNs of layer versions
	VPC                 *VPC               // nil: outside of any
	Standby             *Standby           // nil: in one region only
	DeadLetters         pulumi.StringInput // ARN of the queue of events that the function failed on; nil: none
	Allow               pulumi.Output      // of a policy.Document: what the role may do beside logging and tracing
	Tags                map[string]string
}

// VPC is where a function reaches what isn't public.
type VPC struct {
	SubnetIDs        []string
	SecurityGroupIDs pulumi.StringArray
}

func (v *VPC) validate(field string) error {
	if v != nil && (len(v.SubnetIDs) == 0 || len(v.SecurityGroupIDs) == 0) {
		return fmt.Errorf("%s needs both SubnetIDs and SecurityGroupIDs", field)
	}
	return nil
}

// RoleARN returns the ARN of the role of a function of that name. Policies can
// name the role before it is there, which breaks the circle of a secret that
// names its rotator and a rotator that names its secrets.
func RoleARN(partition, accountID, name string) string {
	return "arn:" + partition + ":iam::" + accountID + ":role/" + name
}

// Validate returns all that is wrong with what can be checked beforehand, or
// nil.
func (a Args) Validate() error {
	var errs []error
	if a.Name == "" || len(a.Name) > 64 {
		errs = append(errs, fmt.Errorf("Name %q: Lambda takes 1 to 64 characters", a.Name))
	}
	if a.ArchivePath == "" {
		errs = append(errs, errors.New("ArchivePath is missing"))
	}
	if a.Architecture != "arm64" && a.Architecture != "x86_64" {
		errs = append(errs, fmt.Errorf("Architecture is %q: Lambda takes arm64 or x86_64", a.Architecture))
	}
	if a.MemoryMB < 128 || a.MemoryMB > 10240 {
		errs = append(errs, fmt.Errorf("MemoryMB is %d: Lambda takes 128 to 10240", a.MemoryMB))
	}
	if a.TimeoutSeconds < 1 || a.TimeoutSeconds > 900 {
		errs = append(errs, fmt.Errorf("TimeoutSeconds is %d: Lambda takes 1 to 900", a.TimeoutSeconds))
	}
	if a.LogRetentionDays < 1 {
		errs = append(errs, fmt.Errorf("LogRetentionDays is %d: logs would be kept for ever", a.LogRetentionDays))
	}
	errs = append(errs, a.VPC.validate("VPC"))
	if a.Standby != nil {
		errs = append(errs, a.Standby.validate())
		if a.VPC != nil && a.Standby.VPC == nil {
			errs = append(errs, errors.New("Standby.VPC is missing: a VPC is of one region"))
		}
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// Function is a function of the runtime provided.al2023 that logs JSON and is
// traced.
type Function struct {
	pulumi.ResourceState

	ARN  pulumi.StringOutput
	Name pulumi.StringOutput

	// Of the function that stands by; empty texts without one.
	StandbyARN  pulumi.StringOutput
	StandbyName pulumi.StringOutput
}

// New registers a Function.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Function, error) {
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("function %s: %w", name, err)
	}
	nothing := pulumi.String("").ToStringOutput()
	component := &Function{StandbyARN: nothing, StandbyName: nothing}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	// Names are fixed, so a replacement has to wait until the old one is gone.
	child := []pulumi.ResourceOption{pulumi.Parent(component), pulumi.DeleteBeforeReplace(true)}

	logs, err := newLogGroup(ctx, name, args, child)
	if err != nil {
		return nil, err
	}
	role, access, err := newRole(ctx, name, args, logs.Arn, child)
	if err != nil {
		return nil, err
	}
	function, err := lambda.NewFunction(ctx, name, functionArgs(args, role, logs, place{args.Layers, args.DeadLetters, args.VPC}),
		append(child, pulumi.DependsOn([]pulumi.Resource{access}))...)
	if err != nil {
		return nil, err
	}
	component.ARN, component.Name = function.Arn, function.Name
	if args.Standby != nil {
		if err := component.standBy(ctx, name+"-standby", args, role, access, child); err != nil {
			return nil, err
		}
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"arn":        component.ARN,
		"name":       component.Name,
		"standbyArn": component.StandbyARN,
	})
}

func newLogGroup(ctx *pulumi.Context, name string, args Args, opts []pulumi.ResourceOption) (*cloudwatch.LogGroup, error) {
	return cloudwatch.NewLogGroup(ctx, name, &cloudwatch.LogGroupArgs{
		Name:            pulumi.String("/aws/lambda/" + args.Name),
		RetentionInDays: pulumi.Int(args.LogRetentionDays),
		Tags:            pulumi.ToStringMap(args.Tags),
	}, opts...)
}

func newRole(ctx *pulumi.Context, name string, args Args, logsARN pulumi.StringOutput, opts []pulumi.ResourceOption) (*iam.Role, *iam.RolePolicy, error) {
	trust, err := policy.Trust([]string{"lambda.amazonaws.com"}, nil).JSON()
	if err != nil {
		return nil, nil, err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		Name:             pulumi.String(args.Name),
		Description:      pulumi.String(args.Description),
		AssumeRolePolicy: pulumi.String(trust),
		Tags:             pulumi.ToStringMap(args.Tags),
	}, opts...)
	if err != nil {
		return nil, nil, err
	}
	access, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Name:   pulumi.String("access"),
		Role:   role.Name,
		Policy: rolePolicy(args, logsARN),
	}, opts...)
	return role, access, err
}

func rolePolicy(args Args, logsARN pulumi.StringOutput) pulumi.StringOutput {
	allow := args.Allow
	if allow == nil {
		allow = pulumi.ToOutput(policy.Document(nil))
	}
	deadLetters := args.DeadLetters
	if deadLetters == nil {
		deadLetters = pulumi.String("")
	}
	return pulumi.All(allow, logsARN, deadLetters).ApplyT(func(all []any) (string, error) {
		document, ok := all[0].(policy.Document)
		if !ok {
			return "", fmt.Errorf("function %s: Allow holds a %T, no policy.Document", args.Name, all[0])
		}
		document = append(document[:len(document):len(document)],
			logging(all[1].(string)),
			policy.Statement{
				// X-Ray has no resources for these (Service Authorization
				// Reference, AWS X-Ray).
				Sid:      "Trace",
				Effect:   policy.Allow,
				Action:   []string{"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
				Resource: []string{"*"},
			})
		if queue := all[2].(string); queue != "" {
			document = append(document, keepingFailures(queue))
		}
		if args.VPC != nil || args.Standby != nil && args.Standby.VPC != nil {
			document = append(document, networkInterfaces)
		}
		return document.JSON()
	}).(pulumi.StringOutput)
}

// keepingFailures lets send to a queue: Lambda sends what the function failed on
// with the function's role (Lambda developer guide, "Dead-letter queues").
func keepingFailures(queueARN string) policy.Statement {
	return policy.Statement{
		Sid:      "KeepFailures",
		Effect:   policy.Allow,
		Action:   []string{"sqs:SendMessage"},
		Resource: []string{queueARN},
	}
}

// logging lets write the streams of a log group: a stream's name isn't known
// beforehand (Service Authorization Reference, CloudWatch Logs, resource type
// log-stream).
func logging(groupARN string) policy.Statement {
	return policy.Statement{
		Sid:      "Log",
		Effect:   policy.Allow,
		Action:   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
		Resource: []string{groupARN + ":*"},
	}
}

// networkInterfaces is what Lambda does in a VPC with the function's role. It
// refuses a role that has less, and two of the actions know no resources
// (Lambda developer guide, "Giving Lambda functions access to resources in an
// Amazon VPC").
var networkInterfaces = policy.Statement{
	Sid:    "NetworkInterfaces",
	Effect: policy.Allow,
	Action: []string{
		"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
	},
	Resource: []string{"*"},
}

// place is what a function has of its own in a region.
type place struct {
	layers      pulumi.StringArray
	deadLetters pulumi.StringInput
	vpc         *VPC
}

func functionArgs(args Args, role *iam.Role, logs *cloudwatch.LogGroup, in place) *lambda.FunctionArgs {
	function := &lambda.FunctionArgs{
		Name:          pulumi.String(args.Name),
		Description:   pulumi.String(args.Description),
		Runtime:       pulumi.String("provided.al2023"),
		Handler:       pulumi.String("bootstrap"),
		Code:          pulumi.NewFileArchive(args.ArchivePath),
		Architectures: pulumi.ToStringArray([]string{args.Architecture}),
		MemorySize:    pulumi.Int(args.MemoryMB),
		Timeout:       pulumi.Int(args.TimeoutSeconds),
		Role:          role.Arn,
		Layers:        in.layers,
		LoggingConfig: lambda.FunctionLoggingConfigArgs{
			LogFormat: pulumi.String("JSON"),
			LogGroup:  logs.Name,
		},
		TracingConfig: lambda.FunctionTracingConfigArgs{Mode: pulumi.String("Active")},
		Tags:          pulumi.ToStringMap(args.Tags),
	}
	if len(args.Environment) > 0 {
		function.Environment = lambda.FunctionEnvironmentArgs{Variables: args.Environment}
	}
	if args.ReservedConcurrency != nil {
		function.ReservedConcurrentExecutions = pulumi.Int(*args.ReservedConcurrency)
	}
	if in.deadLetters != nil {
		function.DeadLetterConfig = lambda.FunctionDeadLetterConfigArgs{TargetArn: in.deadLetters}
	}
	if in.vpc != nil {
		function.VpcConfig = lambda.FunctionVpcConfigArgs{
			SubnetIds:        pulumi.ToStringArray(in.vpc.SubnetIDs),
			SecurityGroupIds: in.vpc.SecurityGroupIDs,
		}
	}
	return function
}
