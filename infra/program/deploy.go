package program

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/encryptionkey"
	"github.com/aistudio/secrets/infra/managedsecret"
	"github.com/aistudio/secrets/infra/rotation"
	"github.com/aistudio/secrets/infra/rotationfunction"
	"github.com/aistudio/secrets/infra/servicereader"
	"github.com/aistudio/secrets/sdk/spec"
)

// platform is the service in the tags of what all secrets share.
const platform = "secrets"

// deployed is what the steps of a deployment hand on.
type deployed struct {
	key      *encryptionkey.EncryptionKey
	readers  map[string]reader                                // by service
	secrets  map[string]*managedsecret.ManagedSecret          // by path
	rotators map[spec.Kind]*rotationfunction.RotationFunction // by kind
}

type reader struct {
	arn  pulumi.StringInput
	name pulumi.StringInput
}

func (d *deployment) deployKey() error {
	settings := d.stack.Settings
	args := encryptionkey.Args{
		Alias:              fmt.Sprintf("%s/%s/secrets", settings.Organization, settings.Environment),
		Description:        fmt.Sprintf("Encrypts the secrets of %s in %s", settings.Organization, settings.Environment),
		Region:             d.stack.Region,
		AccountARN:         d.account.root(),
		Administrators:     d.administrators(),
		DeletionWindowDays: settings.RecoveryWindowDays,
		Protect:            settings.Protect,
		Tags:               settings.Tags(platform),
	}
	if settings.ReplicaRegion != "" {
		provider, err := newReplicaProvider(d.ctx, settings.ReplicaRegion)
		if err != nil {
			return err
		}
		args.Replica = &encryptionkey.Replica{Region: settings.ReplicaRegion, Provider: provider}
	}
	var err error
	d.key, err = encryptionkey.New(d.ctx, "secrets", args)
	return err
}

// deployReaders makes the roles of the services that have none.
func (d *deployment) deployReaders() error {
	d.readers = map[string]reader{}
	for _, name := range sorted(d.stack.Services) {
		service := d.stack.Services[name]
		if service.Role != "" {
			d.readers[name] = reader{
				arn:  pulumi.String(service.Role.ARN(d.account.partition, d.account.id)),
				name: pulumi.String(service.Role.Name()),
			}
			continue
		}
		role, err := servicereader.New(d.ctx, name, servicereader.Args{
			RoleName:   d.stack.Settings.Prefix() + "-" + name + "-reader",
			Services:   service.Services(),
			Principals: d.account.arns(service.Principals()),
			Tags:       d.stack.Settings.Tags(name),
		})
		if err != nil {
			return err
		}
		d.readers[name] = reader{arn: role.RoleARN, name: role.RoleName}
	}
	return nil
}

func (d *deployment) deploySecrets() error {
	settings := d.stack.Settings
	d.secrets = map[string]*managedsecret.ManagedSecret{}
	for _, secret := range d.stack.Secrets {
		args := managedsecret.Args{
			Name:               secret.Name,
			Description:        secret.Description,
			Region:             d.stack.Region,
			KeyARN:             d.key.ARN,
			RecoveryWindowDays: settings.RecoveryWindowDays,
			Administrators:     d.administrators(),
			ReaderPolicyName:   settings.Prefix() + "-" + secret.ID() + "-read",
			Protect:            settings.Protect,
			Tags:               secret.Tags(),
		}
		if secret.NeedsRotator() {
			args.RotatorRoleARN = rotationfunction.RoleARN(d.account.partition, d.account.id, d.functionName(secret.Kind))
		}
		for _, service := range secret.Readers {
			args.Readers = append(args.Readers, managedsecret.Reader{
				Service:  service,
				RoleARN:  d.readers[service].arn,
				RoleName: d.readers[service].name,
			})
		}
		if settings.ReplicaRegion != "" {
			args.Replica = &managedsecret.Replica{Region: settings.ReplicaRegion, KeyARN: d.key.ReplicaARN}
		}
		managed, err := managedsecret.New(d.ctx, secret.ID(), args)
		if err != nil {
			return err
		}
		d.secrets[secret.Path()] = managed
	}
	return nil
}

// deployRotators makes the function of each kind that has something to do.
func (d *deployment) deployRotators() error {
	d.rotators = map[spec.Kind]*rotationfunction.RotationFunction{}
	for _, kind := range spec.Kinds() {
		archive, needed := d.archives[kind]
		if !needed {
			continue
		}
		settings, config := d.stack.Settings, d.stack.Rotators[kind]
		args := rotationfunction.Args{
			FunctionName:        d.functionName(kind),
			Description:         fmt.Sprintf("Rotates the %s secrets of %s in %s", kind, settings.Organization, settings.Environment),
			ArchivePath:         archive,
			Architecture:        config.Architecture,
			MemoryMB:            config.MemoryMB,
			TimeoutSeconds:      config.TimeoutSeconds,
			ReservedConcurrency: config.ReservedConcurrency,
			LogRetentionDays:    settings.LogRetentionDays,
			Environment:         environment(config),
			Layers:              config.Layers,
			AccountID:           d.account.id,
			Region:              d.stack.Region,
			Access:              d.access(kind),
			Tags:                settings.Tags(platform),
		}
		if len(config.SubnetIDs) > 0 {
			args.VPC = &rotationfunction.VPC{SubnetIDs: config.SubnetIDs, SecurityGroupIDs: config.SecurityGroupIDs}
		}
		function, err := rotationfunction.New(d.ctx, "rotate-"+kind.String(), args)
		if err != nil {
			return err
		}
		d.rotators[kind] = function
	}
	return nil
}

// access returns what the function of a kind reaches: its secrets, their key
// and the masters of their servers.
func (d *deployment) access(kind spec.Kind) rotationfunction.Access {
	access := rotationfunction.Access{
		KeyARN:        d.key.ARN,
		ReplicaRegion: d.stack.Settings.ReplicaRegion,
		ReplicaKeyARN: d.key.ReplicaARN,
	}
	servers := map[string]master{}
	for _, secret := range d.stack.Secrets {
		if secret.Kind != kind || !secret.NeedsRotator() {
			continue
		}
		access.Secrets = append(access.Secrets, d.secrets[secret.Path()].ARN)
		if server := secret.Database.Server; server != "" {
			servers[server] = d.masters[server]
		}
	}
	for _, server := range sorted(servers) {
		access.Masters = append(access.Masters, servers[server])
	}
	return access
}

func (d *deployment) deployRotations() error {
	for _, secret := range d.stack.Secrets {
		if !secret.NeedsRotator() {
			continue
		}
		function, managed := d.rotators[secret.Kind], d.secrets[secret.Path()]
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

func (d *deployment) seed(secret catalogue.Secret) *spec.SeedRequest {
	server := d.stack.Databases[secret.Database.Server]
	return &spec.SeedRequest{Database: &spec.DatabaseSeed{
		Engine:          server.Engine,
		Host:            server.Host,
		Port:            server.Port,
		DBName:          secret.Database.DBName,
		Username:        secret.Database.Username,
		MasterSecretARN: d.masters[secret.Database.Server].ARN,
	}}
}

func (d *deployment) functionName(kind spec.Kind) string {
	return d.stack.Settings.Prefix() + "-rotate-" + kind.String()
}

func environment(config catalogue.Rotator) map[string]string {
	variables := map[string]string{spec.EnvLogLevel: config.LogLevel}
	if config.CAFile != "" {
		variables[spec.EnvDatabaseCAFile] = config.CAFile
	}
	return variables
}
