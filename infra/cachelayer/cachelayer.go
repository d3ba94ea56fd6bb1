// Package cachelayer holds the component CacheLayer: the Lambda layer with the
// cache of secrets, who else may use it, and what the services that read secrets
// need for their caches, in a layer or in the SDK.
package cachelayer

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/lambda"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

const typeToken = "aistudio:secrets:CacheLayer"

// Args describes a CacheLayer.
type Args struct {
	Environment  string            // under which the layers count what they do
	LayerName    string            // of the layers, followed by a hyphen and the architecture
	Archives     map[string]string // zips of the layer, by Lambda's name of their architecture: arm64, x86_64
	Accounts     []string          // IDs of other accounts that may use the layers
	Organization string            // ID of the AWS organization whose accounts may; "": none
	Cache        Cache
	FeedTable    pulumi.StringInput      // name of the table of the rotation feed
	Replica      pulumi.ProviderResource // of the region where the layers are published too; nil: nowhere
	Readers      []Reader
	Tags         map[string]string
}

// Reader is a service that reads secrets.
type Reader struct {
	Service string
	Secrets []string // names of the secrets that it reads and that have a value: the layer reads them ahead
}

var (
	accountPattern      = regexp.MustCompile(`^[0-9]{12}$`)
	organizationPattern = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
)

func (a Args) validate() error {
	var errs []error
	if a.LayerName == "" {
		errs = append(errs, errors.New("LayerName is missing"))
	}
	if a.Environment == "" {
		errs = append(errs, errors.New("Environment is missing"))
	}
	if len(a.Archives) == 0 {
		errs = append(errs, errors.New("Archives is missing: there would be no layer"))
	}
	for _, architecture := range slices.Sorted(maps.Keys(a.Archives)) {
		if architecture != "arm64" && architecture != "x86_64" {
			errs = append(errs, fmt.Errorf("Archives has the architecture %q: Lambda takes arm64 or x86_64", architecture))
		}
	}
	for _, account := range a.Accounts {
		if !accountPattern.MatchString(account) {
			errs = append(errs, fmt.Errorf("Accounts has %q, which is no account's ID", account))
		}
	}
	if a.Organization != "" && !organizationPattern.MatchString(a.Organization) {
		errs = append(errs, fmt.Errorf("Organization is %q, which is no organization's ID", a.Organization))
	}
	if a.FeedTable == nil {
		errs = append(errs, errors.New("FeedTable is missing"))
	}
	services := map[string]bool{}
	for _, reader := range a.Readers {
		if reader.Service == "" {
			errs = append(errs, errors.New("reader \"\": Service is missing"))
		}
		if services[reader.Service] {
			errs = append(errs, fmt.Errorf("reader %q is there twice", reader.Service))
		}
		services[reader.Service] = true
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// CacheLayer is a layer for each architecture. Versions that were published stay
// when there is a new one, because functions may use them.
type CacheLayer struct {
	pulumi.ResourceState

	LayerARNs   pulumi.StringMap // of the newest versions, by architecture
	ReplicaARNs pulumi.StringMap // likewise, of those in the replica's region

	// The environments of the services, by the service's name.
	Lambda map[string]pulumi.StringMap // variables of a function
	ECS    map[string]pulumi.Array     // "environment" of a container definition
}

// New registers a CacheLayer.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*CacheLayer, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("cache layer %s: %w", name, err)
	}
	component := &CacheLayer{LayerARNs: pulumi.StringMap{}, ReplicaARNs: pulumi.StringMap{}, Lambda: map[string]pulumi.StringMap{}, ECS: map[string]pulumi.Array{}}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	for _, architecture := range slices.Sorted(maps.Keys(args.Archives)) {
		arn, err := component.publish(ctx, name+"-"+architecture, args, architecture)
		if err != nil {
			return nil, err
		}
		component.LayerARNs[architecture] = arn
		if args.Replica == nil {
			continue
		}
		if component.ReplicaARNs[architecture], err = component.publish(ctx, name+"-replica-"+architecture, args, architecture, pulumi.Provider(args.Replica)); err != nil {
			return nil, err
		}
	}
	for _, reader := range args.Readers {
		component.Lambda[reader.Service] = args.lambdaEnvironment(reader)
		component.ECS[reader.Service] = args.ecsEnvironment()
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{"layerArns": component.LayerARNs, "replicaArns": component.ReplicaARNs})
}

// publish registers a version of an architecture's layer and lets others use it.
func (l *CacheLayer) publish(ctx *pulumi.Context, name string, args Args, architecture string, opts ...pulumi.ResourceOption) (pulumi.StringInput, error) {
	opts = append(opts, pulumi.Parent(l))
	layer, err := lambda.NewLayerVersion(ctx, name, &lambda.LayerVersionArgs{
		LayerName:               pulumi.String(args.LayerName + "-" + architecture),
		Description:             pulumi.String("Caches secrets for functions in any language; takes the place of the AWS Parameters and Secrets Lambda Extension"),
		Code:                    pulumi.NewFileArchive(args.Archives[architecture]),
		CompatibleArchitectures: pulumi.ToStringArray([]string{architecture}),
		// A change publishes a new version. The old one would be deleted, and
		// functions that use it could be updated no more.
		SkipDestroy: pulumi.Bool(true),
	}, opts...)
	if err != nil {
		return nil, err
	}
	version := layer.Version.ApplyT(versionNumber).(pulumi.IntOutput)
	share := func(who string, permission lambda.LayerVersionPermissionArgs) error {
		permission.LayerName = layer.LayerArn
		permission.VersionNumber = version
		permission.StatementId = pulumi.String("Use-" + who)
		permission.Action = pulumi.String("lambda:GetLayerVersion")
		permission.SkipDestroy = pulumi.Bool(true) // it belongs to the version, which stays
		_, err := lambda.NewLayerVersionPermission(ctx, name+"-"+who, &permission, opts...)
		return err
	}
	for _, account := range args.Accounts {
		if err := share(account, lambda.LayerVersionPermissionArgs{Principal: pulumi.String(account)}); err != nil {
			return nil, err
		}
	}
	if args.Organization != "" {
		if err := share(args.Organization, lambda.LayerVersionPermissionArgs{
			Principal:      pulumi.String(policy.Everyone), // of the organization
			OrganizationId: pulumi.String(args.Organization),
		}); err != nil {
			return nil, err
		}
	}
	return layer.Arn, nil
}

// versionNumber reads a layer's version, which Pulumi has as text and wants as a
// number.
func versionNumber(version string) (int, error) {
	number, err := strconv.Atoi(version)
	if err != nil {
		return 0, fmt.Errorf("the version of a layer is no number: %w", err)
	}
	return number, nil
}
