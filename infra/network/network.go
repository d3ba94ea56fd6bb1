// Package network holds the component Network: what a rotation function needs
// in a VPC to reach databases and the services of AWS that it calls.
package network

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/policy"
)

const typeToken = "aistudio:secrets:Network"

// Args describes a Network.
type Args struct {
	VPCID            string
	SubnetIDs        []string
	Region           string
	AccountID        string   // whose principals the endpoints let through
	SecurityGroupIDs []string // of the function; none: the component makes one
	DatabasePorts    []int    // that the group which is made lets through, beside HTTPS
	Endpoints        []string // services of AWS that are reached by an endpoint of the component's
	RouteTableIDs    []string // of the subnets, for the endpoints that are gateways
	Tags             map[string]string
}

// gateways are the services whose endpoint is an entry in route tables: it costs
// nothing, and the service's name leads to it without a zone of its own (VPC user
// guide, "Gateway endpoints").
var gateways = []string{"dynamodb", "s3"}

const https = 443

func (a Args) validate() error {
	var errs []error
	for _, need := range []struct{ field, value string }{{"VPCID", a.VPCID}, {"Region", a.Region}, {"AccountID", a.AccountID}} {
		if need.value == "" {
			errs = append(errs, fmt.Errorf("%s is missing", need.field))
		}
	}
	if len(a.SubnetIDs) == 0 {
		errs = append(errs, errors.New("SubnetIDs is missing"))
	}
	for _, service := range a.Endpoints {
		if slices.Contains(gateways, service) && len(a.RouteTableIDs) == 0 {
			errs = append(errs, fmt.Errorf("RouteTableIDs is missing: the endpoint of %s is an entry in them", service))
		}
	}
	if len(a.Tags) == 0 {
		errs = append(errs, errors.New("Tags is missing"))
	}
	return errors.Join(errs...)
}

// Network is a security group, if the function has none, and endpoints.
type Network struct {
	pulumi.ResourceState

	SecurityGroupIDs pulumi.StringArray // of the function
}

// New registers a Network.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Network, error) {
	if err := args.validate(); err != nil {
		return nil, fmt.Errorf("network %s: %w", name, err)
	}
	component := &Network{SecurityGroupIDs: pulumi.ToStringArray(args.SecurityGroupIDs)}
	if err := ctx.RegisterComponentResource(typeToken, name, component, opts...); err != nil {
		return nil, err
	}
	if len(args.SecurityGroupIDs) == 0 {
		group, err := ec2.NewSecurityGroup(ctx, name, &ec2.SecurityGroupArgs{
			VpcId:       pulumi.String(args.VPCID),
			Description: pulumi.String("A rotation function of secrets: out to databases and HTTPS only"),
			Egress:      egress(append([]int{https}, args.DatabasePorts...)),
			Tags:        pulumi.ToStringMap(args.Tags),
		}, pulumi.Parent(component))
		if err != nil {
			return nil, err
		}
		component.SecurityGroupIDs = pulumi.StringArray{group.ID()}
	}
	if err := component.deployEndpoints(ctx, name, args); err != nil {
		return nil, err
	}
	return component, ctx.RegisterResourceOutputs(component, pulumi.Map{"securityGroupIds": component.SecurityGroupIDs})
}

// egress lets TCP to the ports out.
func egress(ports []int) ec2.SecurityGroupEgressArray {
	rules := ec2.SecurityGroupEgressArray{}
	for _, port := range ports {
		rules = append(rules, ec2.SecurityGroupEgressArgs{
			Protocol:       pulumi.String("tcp"),
			FromPort:       pulumi.Int(port),
			ToPort:         pulumi.Int(port),
			CidrBlocks:     pulumi.ToStringArray([]string{"0.0.0.0/0"}),
			Ipv6CidrBlocks: pulumi.ToStringArray([]string{"::/0"}),
		})
	}
	return rules
}

// deployEndpoints registers an endpoint for each service, which only the
// function can reach.
func (n *Network) deployEndpoints(ctx *pulumi.Context, name string, args Args) error {
	document, err := args.endpointPolicy().JSON()
	if err != nil {
		return err
	}
	var reachable *ec2.SecurityGroup
	for _, service := range args.Endpoints {
		endpoint := &ec2.VpcEndpointArgs{
			VpcId:       pulumi.String(args.VPCID),
			ServiceName: pulumi.String("com.amazonaws." + args.Region + "." + service),
			Policy:      pulumi.String(document),
			Tags:        pulumi.ToStringMap(args.Tags),
		}
		if slices.Contains(gateways, service) {
			endpoint.VpcEndpointType = pulumi.String("Gateway")
			endpoint.RouteTableIds = pulumi.ToStringArray(args.RouteTableIDs)
		} else {
			if reachable == nil {
				if reachable, err = n.deployEntrance(ctx, name+"-endpoints", args); err != nil {
					return err
				}
			}
			endpoint.VpcEndpointType = pulumi.String("Interface")
			endpoint.SubnetIds = pulumi.ToStringArray(args.SubnetIDs)
			endpoint.SecurityGroupIds = pulumi.StringArray{reachable.ID()}
			endpoint.PrivateDnsEnabled = pulumi.Bool(true)
		}
		if _, err := ec2.NewVpcEndpoint(ctx, name+"-"+service, endpoint, pulumi.Parent(n)); err != nil {
			return err
		}
	}
	return nil
}

// endpointPolicy lets through only those who call with credentials of the account:
// nobody carries a value out with those of another. It allows nothing by itself
// (VPC user guide, "Control access to VPC endpoints using endpoint policies").
func (a Args) endpointPolicy() policy.Document {
	return policy.Document{{
		Sid:       "OfTheAccount",
		Effect:    policy.Allow,
		Principal: &policy.Principal{AWS: []string{policy.Everyone}},
		Action:    []string{"*"},
		Resource:  []string{"*"},
		Condition: policy.Condition{"StringEquals": {"aws:PrincipalAccount": {a.AccountID}}},
	}}
}

func (n *Network) deployEntrance(ctx *pulumi.Context, name string, args Args) (*ec2.SecurityGroup, error) {
	return ec2.NewSecurityGroup(ctx, name, &ec2.SecurityGroupArgs{
		VpcId:       pulumi.String(args.VPCID),
		Description: pulumi.String("Endpoints of AWS services for a rotation function of secrets"),
		Ingress: ec2.SecurityGroupIngressArray{ec2.SecurityGroupIngressArgs{
			Protocol:       pulumi.String("tcp"),
			FromPort:       pulumi.Int(https),
			ToPort:         pulumi.Int(https),
			SecurityGroups: n.SecurityGroupIDs,
		}},
		Tags: pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(n))
}
