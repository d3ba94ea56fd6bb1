// Package serviceaccess holds the component ServiceAccess: the role of a service
// that reads secrets, and what its role may do beside reading those that name it.
package serviceaccess

import (
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
	"github.com/aistudio/secrets/sdk/spec"
)

const typeToken = "aistudio:secrets:ServiceAccess"

// Args describes a ServiceAccess.
type Args struct {
	Prefix string // begins the names of the policies, "<organization>-<environment>"
	Role   Role
	Cache  *Cache // nil: the service has none, because ECS injects its secrets
	ByTag  *ByTag // nil: each secret has a policy of its own for the role
	Task   *Task  // nil: the role isn't the execution role of tasks, or has what it needs for that
	Tags   map[string]string
}

// Role is a role to make, or one that exists.
type Role struct {
	Name       string
	Existing   string   // its ARN; "": it is made
	Services   []string // AWS services that may take the new role on, such as "lambda.amazonaws.com"
	Principals []string // ARNs of users, roles or the account that may
}

// Cache is what a cache of secrets uses, in a layer or in the SDK.
type Cache struct {
	FeedTables pulumi.StringArray // ARNs of the rotation feed's table and its replicas
}

// ByTag lets the role read the secrets of the environment whose tag Service is the
// role's own. Their policies have to name the role all the same.
type ByTag struct {
	Environment string
	Secrets     []string           // patterns of the ARNs of the environment's secrets, one a region
	Keys        pulumi.StringArray // ARNs of the keys that encrypt them
	Regions     []string
}

// Task is what ECS does with the execution role of a task, beside reading secrets:
// it pulls the images of the containers and makes streams for what they log. It is
// what AmazonECSTaskExecutionRolePolicy allows, of the task's own alone (ECS
// developer guide, "Amazon ECS task execution IAM role").
type Task struct {
	Repositories []string // ARNs of the repositories of the images in ECR; none: they come from elsewhere
	LogGroups    []string // ARNs of the log groups; none: the driver awslogs isn't used
}

func (a Args) validate() error {
	var errs []error
	if a.Prefix == "" {
		errs = append(errs, errors.New("Prefix is missing"))
	}
	if a.Role.Name == "" || len(a.Role.Name) > 64 {
		errs = append(errs, fmt.Errorf("Role.Name %q: IAM takes 1 to 64 characters", a.Role.Name))
	}
	if a.Role.Existing == "" && len(a.Role.Services)+len(a.Role.Principals) == 0 {
		errs = append(errs, errors.New("Role.Services and Role.Principals are missing: nobody could take the role on"))
	}
	if a.Cache != nil && len(a.Cache.FeedTables) == 0 {
		errs = append(errs, errors.New("Cache.FeedTables is missing"))
	}
	if t := a.ByTag; t != nil && (t.Environment == "" || len(t.Secrets) == 0 || len(t.Keys) == 0 || len(t.Regions) == 0) {
		errs = append(errs, errors.New("ByTag needs Environment, Secrets, Keys and Regions"))
	}
	if t := a.Task; t != nil && len(t.Repositories)+len(t.LogGroups) == 0 {
		errs = append(errs, errors.New("Task needs Repositories or LogGroups"))
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// ServiceAccess is a service's role. Each secret that names it lets it read, by a
// policy of its own or by tag.
type ServiceAccess struct {
	pulumi.ResourceState

	RoleARN  pulumi.StringInput
	RoleName pulumi.StringInput
}

// New registers a ServiceAccess.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*ServiceAccess, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("service access %s: %w", name, err)
	}
	component := &ServiceAccess{RoleARN: pulumi.String(args.Role.Existing), RoleName: pulumi.String(args.Role.Name)}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	if args.Role.Existing == "" {
		if err := component.makeRole(ctx, name, args); err != nil {
			return nil, err
		}
	}
	if args.Cache != nil {
		if err := component.allow(ctx, name+"-cache", args.Prefix+"-secrets-cache", args.Cache.document()); err != nil {
			return nil, err
		}
	}
	if args.ByTag != nil {
		if err := component.allow(ctx, name+"-by-tag", args.Prefix+"-secrets-by-tag", args.ByTag.document()); err != nil {
			return nil, err
		}
	}
	if args.Task != nil {
		text, err := args.Task.document().JSON()
		if err != nil {
			return nil, err
		}
		if err := component.allow(ctx, name+"-task", args.Prefix+"-secrets-task", pulumi.String(text)); err != nil {
			return nil, err
		}
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{
		"roleArn":  component.RoleARN,
		"roleName": component.RoleName,
	})
}

func (s *ServiceAccess) makeRole(ctx *pulumi.Context, name string, args Args) error {
	trust, err := policy.Trust(args.Role.Services, args.Role.Principals).JSON()
	if err != nil {
		return err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{
		Name:             pulumi.String(args.Role.Name),
		Description:      pulumi.String("Reads the secrets that list the service as a reader"),
		AssumeRolePolicy: pulumi.String(trust),
		Tags:             pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(s))
	if err != nil {
		return err
	}
	s.RoleARN, s.RoleName = role.Arn, role.Name
	return nil
}

// allow adds a policy to the role.
func (s *ServiceAccess) allow(ctx *pulumi.Context, name, policyName string, document pulumi.StringInput) error {
	_, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Name:   pulumi.String(policyName),
		Role:   s.RoleName,
		Policy: document,
	}, pulumi.Parent(s))
	return err
}

// document lets a cache do what it does beside reading the service's secrets.
func (c Cache) document() pulumi.StringOutput {
	return c.FeedTables.ToStringArrayOutput().ApplyT(func(tables []string) (string, error) {
		return policy.Document{
			{
				Sid:      "AskFeed",
				Effect:   policy.Allow,
				Action:   []string{"dynamodb:Query"},
				Resource: tables,
			},
			{
				// It knows no resources, and returns only secrets that the role
				// may read one by one (Secrets Manager API reference,
				// BatchGetSecretValue).
				Sid:      "ReadInBatches",
				Effect:   policy.Allow,
				Action:   []string{"secretsmanager:BatchGetSecretValue"},
				Resource: []string{"*"},
			},
		}.JSON()
	}).(pulumi.StringOutput)
}

func (t Task) document() policy.Document {
	var document policy.Document
	if len(t.Repositories) > 0 {
		document = append(document,
			policy.Statement{
				// A registry knows no resources (Service Authorization Reference,
				// Amazon Elastic Container Registry).
				Sid:      "LogInToRegistry",
				Effect:   policy.Allow,
				Action:   []string{"ecr:GetAuthorizationToken"},
				Resource: []string{"*"},
			},
			policy.Statement{
				Sid:      "PullImages",
				Effect:   policy.Allow,
				Action:   []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"},
				Resource: t.Repositories,
			})
	}
	if len(t.LogGroups) > 0 {
		streams := make([]string, 0, len(t.LogGroups))
		for _, group := range t.LogGroups {
			streams = append(streams, group+":*")
		}
		document = append(document, policy.Statement{
			Sid:      "Log",
			Effect:   policy.Allow,
			Action:   []string{"logs:CreateLogStream", "logs:PutLogEvents"},
			Resource: streams,
		})
	}
	return document
}

// document compares the tags of the secret and of the role (Secrets Manager user
// guide, "Control access to secrets using attribute-based access control"). A role
// without the tag reads nothing.
func (t ByTag) document() pulumi.StringOutput {
	return t.Keys.ToStringArrayOutput().ApplyT(func(keys []string) (string, error) {
		decrypt := policy.ThroughSecretsManager(t.Regions...)
		decrypt["StringLike"] = map[string][]string{"kms:EncryptionContext:SecretARN": t.Secrets}
		return policy.Document{
			{
				Sid:      "ReadByTag",
				Effect:   policy.Allow,
				Action:   []string{"secretsmanager:GetSecretValue"},
				Resource: t.Secrets,
				Condition: policy.Condition{"StringEquals": {
					"aws:ResourceTag/" + spec.TagEnvironment: {t.Environment},
					"aws:ResourceTag/" + spec.TagService:     {"${aws:PrincipalTag/" + spec.TagService + "}"},
				}},
			},
			{Sid: "DecryptByTag", Effect: policy.Allow, Action: []string{"kms:Decrypt"}, Resource: keys, Condition: decrypt},
		}.JSON()
	}).(pulumi.StringOutput)
}
