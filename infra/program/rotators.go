package program

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/network"
	"github.com/aistudio/secrets/infra/rotation"
	"github.com/aistudio/secrets/infra/rotationfunction"
	"github.com/aistudio/secrets/sdk/spec"
)

// deployRotators makes each rotation function that has something to do.
func (d *deployment) deployRotators() error {
	d.rotators = map[string]*rotationfunction.RotationFunction{}
	for _, name := range sorted(d.archives.rotators) {
		settings, config := d.stack.Settings, d.stack.Rotators[name]
		environment, err := d.environment(name)
		if err != nil {
			return err
		}
		args := rotationfunction.Args{
			Function: function.Args{
				Name:                d.functionName(name),
				Description:         fmt.Sprintf("Rotates %s secrets of %s in %s", config.Kind, settings.Organization, settings.Environment),
				ArchivePath:         d.archives.rotators[name],
				Architecture:        config.Architecture,
				MemoryMB:            config.MemoryMB,
				TimeoutSeconds:      config.TimeoutSeconds,
				ReservedConcurrency: config.ReservedConcurrency,
				LogRetentionDays:    settings.LogRetentionDays,
				Environment:         environment,
				Layers:              pulumi.ToStringArray(config.Layers),
				Tags:                settings.Tags(platform),
			},
			CABundle:  d.archives.bundles[name],
			AccountID: d.account.id,
			Region:    d.stack.Region,
			Access:    d.access(name),
		}
		if args.Function.VPC, err = d.network(name, "rotate-"+name, config.VPC, d.stack.Region); err != nil {
			return err
		}
		if d.standsBy(name) {
			args.Standby = &rotationfunction.Standby{Provider: d.replica, Layers: pulumi.ToStringArray(config.Standby.Layers)}
			if args.Standby.VPC, err = d.network(name, "rotate-"+name+"-standby", config.Standby.VPC, settings.ReplicaRegion, pulumi.Provider(d.replica)); err != nil {
				return err
			}
		}
		d.rotators[name], err = rotationfunction.New(d.ctx, "rotate-"+name, args)
		if err != nil {
			return err
		}
	}
	return nil
}

// network returns where a function runs in a region, nil for outside of any VPC,
// and makes what it needs there.
func (d *deployment) network(rotator, name string, vpc *catalogue.VPC, region string, opts ...pulumi.ResourceOption) (*function.VPC, error) {
	if vpc == nil {
		return nil, nil
	}
	place := &function.VPC{SubnetIDs: vpc.SubnetIDs, SecurityGroupIDs: pulumi.ToStringArray(vpc.SecurityGroupIDs)}
	if !vpc.MakesParts() {
		return place, nil
	}
	ports := map[int]bool{}
	for _, secret := range d.worksOn(rotator) {
		if server, there := d.stack.Databases[secret.Database.Server]; there {
			ports[cmp.Or(server.Port, spec.DefaultPort(server.Engine))] = true
		}
	}
	made, err := network.New(d.ctx, name, network.Args{
		VPCID:            vpc.ID,
		SubnetIDs:        vpc.SubnetIDs,
		Region:           region,
		AccountID:        d.account.id,
		SecurityGroupIDs: vpc.SecurityGroupIDs,
		DatabasePorts:    slices.Sorted(maps.Keys(ports)),
		Endpoints:        vpc.Endpoints,
		RouteTableIDs:    vpc.RouteTableIDs,
		Tags:             d.stack.Settings.Tags(platform),
	}, opts...)
	if err != nil {
		return nil, err
	}
	place.SecurityGroupIDs = made.SecurityGroupIDs
	return place, nil
}

// worksOn returns the secrets that a rotation function works on.
func (d *deployment) worksOn(rotator string) []catalogue.Secret {
	var secrets []catalogue.Secret
	for _, secret := range d.stack.Secrets {
		if secret.Rotator == rotator && secret.NeedsRotator() {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// access returns what a function reaches: its secrets, their key, the systems
// that hold their values, and the feed.
func (d *deployment) access(rotator string) rotationfunction.Access {
	access := rotationfunction.Access{
		KeyARN:        d.key.ARN,
		ReplicaRegion: d.stack.Settings.ReplicaRegion,
		ReplicaKeyARN: d.key.ReplicaARN,
		ApplierARN:    d.stack.Rotators[rotator].Applier,
		FeedTableARN:  d.events.FeedTableARN,
		FeedReplica:   d.events.FeedReplica,
	}
	credentials := map[string]credential{}
	for _, secret := range d.worksOn(rotator) {
		access.Secrets = append(access.Secrets, d.secrets[secret.Path()].ARN)
		for _, path := range sorted(d.stack.CredentialsOf(secret)) {
			credentials[path] = d.credentials[path]
		}
	}
	for _, path := range sorted(credentials) {
		access.Credentials = append(access.Credentials, credentials[path])
	}
	return access
}

// standsBy reports whether a function is in the replica's region too, to rotate
// what is promoted there.
func (d *deployment) standsBy(rotator string) bool {
	return d.stack.Settings.ReplicaRegion != "" && d.stack.Rotators[rotator].StandsBy()
}

// environment returns the variables that configure a function.
func (d *deployment) environment(rotator string) (pulumi.StringMap, error) {
	config := d.stack.Rotators[rotator]
	variables := pulumi.StringMap{
		spec.EnvLogLevel:  pulumi.String(config.LogLevel),
		spec.EnvFeedTable: d.events.FeedTableName,
	}
	if config.CABundle != "" {
		variables[spec.EnvDatabaseCAFile] = pulumi.String(rotationfunction.CAFile)
	}
	serverNames := map[string]string{}
	for _, secret := range d.worksOn(rotator) {
		if server := d.stack.Databases[secret.Database.Server]; server.ServerName != "" {
			serverNames[server.Host] = server.ServerName
		}
	}
	for name, text := range map[string]string{
		spec.EnvDatabaseCAFile: config.CAFile,
		spec.EnvAPIKeyPrefix:   config.KeyPrefix,
		spec.EnvApplier:        config.Applier,
	} {
		if text != "" {
			variables[name] = pulumi.String(text)
		}
	}
	for name, value := range map[string]any{
		spec.EnvDatabaseServerNames: serverNames,
		spec.EnvAPIKeyIssuer:        config.Issuer,
		spec.EnvPasswordOptions:     config.Password,
		spec.EnvWebhook:             config.Webhook,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("write %s of %s.%s: %w", name, catalogue.KeyRotators, rotator, err)
		}
		if string(text) != "null" && string(text) != "{}" {
			variables[name] = pulumi.String(text)
		}
	}
	return variables, nil
}

func (d *deployment) functionName(rotator string) string {
	return spec.RotationFunction(d.stack.Settings.Organization, d.stack.Settings.Environment, rotator)
}

func (d *deployment) deployRotations() error {
	for _, secret := range d.stack.Secrets {
		if secret.Schedule != nil && secret.Value == catalogue.ValueAwaited {
			if err := d.ctx.Log.Warn(awaiting(secret), nil); err != nil {
				return err
			}
		}
		if !secret.NeedsRotator() {
			continue
		}
		function, managed := d.rotators[secret.Rotator], d.secrets[secret.Path()]
		args := rotation.Args{
			SecretARN:    managed.ARN,
			FunctionARN:  function.ARN,
			FunctionName: function.Name,
			Permission:   function.Permission,
		}
		if secret.Value == catalogue.ValueSeeded {
			args.Seed = d.seed(secret)
		}
		if secret.Rotates() {
			args.Schedule = &rotation.Schedule{Expression: secret.Schedule.Expression, Duration: secret.Schedule.Duration()}
		}
		// After the secret's policy is there: no value is ever without it.
		if _, err := rotation.New(d.ctx, secret.ID(), args, pulumi.DependsOn([]pulumi.Resource{managed})); err != nil {
			return err
		}
	}
	return nil
}

// awaiting tells what to do so that a secret is rotated.
func awaiting(secret catalogue.Secret) string {
	return fmt.Sprintf("%s isn't rotated before it has a value: put one with `aws secretsmanager put-secret-value --secret-id %s --secret-string file://<file>`, then write `value: present` at %s.%s and deploy again",
		secret.Path(), secret.Name, catalogue.KeyCatalogue, secret.Path())
}

func (d *deployment) seed(secret catalogue.Secret) *spec.SeedRequest {
	if secret.Kind != spec.KindDatabase {
		return &spec.SeedRequest{}
	}
	server := d.stack.Databases[secret.Database.Server]
	return &spec.SeedRequest{Database: &spec.DatabaseSeed{
		Engine:          server.Engine,
		Host:            server.Host,
		Port:            server.Port,
		DBName:          secret.Database.DBName,
		Username:        secret.Database.Username,
		MasterSecretARN: d.credentials[masterPath(secret.Database.Server)].ARN,
	}}
}
