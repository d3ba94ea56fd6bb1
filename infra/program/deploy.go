package program

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/alarms"
	"github.com/aistudio/secrets/infra/audittrail"
	"github.com/aistudio/secrets/infra/cachelayer"
	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/complianceauditor"
	"github.com/aistudio/secrets/infra/dashboard"
	"github.com/aistudio/secrets/infra/encryptionkey"
	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/managedsecret"
	"github.com/aistudio/secrets/infra/rotationevents"
	"github.com/aistudio/secrets/infra/rotationfunction"
	"github.com/aistudio/secrets/infra/serviceaccess"
	"github.com/aistudio/secrets/sdk/spec"
)

// platform is the service in the tags of what all secrets share.
const platform = "secrets"

// deployed is what the steps of a deployment hand on.
type deployed struct {
	replica  *aws.Provider // of the replica's region; nil: there is none
	key      *encryptionkey.EncryptionKey
	trail    *audittrail.AuditTrail
	readers  map[string]*serviceaccess.ServiceAccess // by service
	secrets  map[string]*managedsecret.ManagedSecret // by path
	events   *rotationevents.RotationEvents
	cache    *cachelayer.CacheLayer
	rotators map[string]*rotationfunction.RotationFunction // by name
	auditor  *complianceauditor.ComplianceAuditor

	alarms    *alarms.Alarms
	dashboard *dashboard.Dashboard
	budget    pulumi.StringOutput // its name; empty text: there is none
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
		var err error
		if d.replica, err = newReplicaProvider(d.ctx, settings.ReplicaRegion); err != nil {
			return err
		}
		args.Replica = &encryptionkey.Replica{Region: settings.ReplicaRegion, Provider: d.replica}
	}
	var err error
	d.key, err = encryptionkey.New(d.ctx, "secrets", args)
	return err
}

// deployReaders makes the roles of the services that have none, and lets all of
// them do what they do beside reading the secrets that name them.
func (d *deployment) deployReaders() error {
	settings := d.stack.Settings
	d.readers = map[string]*serviceaccess.ServiceAccess{}
	feed := pulumi.StringArray{d.events.FeedTableARN}
	if settings.ReplicaRegion != "" {
		feed = append(feed, d.events.FeedReplica)
	}
	for _, name := range sorted(d.stack.Services) {
		service := d.stack.Services[name]
		args := serviceaccess.Args{
			Prefix: settings.Prefix(),
			Role:   serviceaccess.Role{Name: d.readerRole(name), Services: service.Services(), Principals: d.account.arns(service.Principals())},
			Tags:   settings.Tags(name),
		}
		if service.Role != "" {
			args.Role = serviceaccess.Role{Name: service.Role.Name(), Existing: service.Role.ARN(d.account.partition, d.account.id)}
		}
		if service.Injected {
			args.Task = d.task(service)
		} else {
			args.Cache = &serviceaccess.Cache{FeedTables: feed}
		}
		if service.ReadsByTag() {
			args.ByTag = d.byTag()
		}
		var err error
		if d.readers[name], err = serviceaccess.New(d.ctx, name, args); err != nil {
			return err
		}
	}
	return nil
}

// task is what ECS needs of the execution role of a service's tasks; nil: nothing
// that the stack knows of.
func (d *deployment) task(service catalogue.Service) *serviceaccess.Task {
	if len(service.Repositories)+len(service.LogGroups) == 0 {
		return nil
	}
	task := &serviceaccess.Task{}
	for _, repository := range service.Repositories {
		if !strings.HasPrefix(repository, "arn:") {
			repository = d.arn("ecr", "repository/"+repository)
		}
		task.Repositories = append(task.Repositories, repository)
	}
	for _, group := range service.LogGroups {
		task.LogGroups = append(task.LogGroups, d.arn("logs", "log-group:"+group))
	}
	return task
}

// arn returns the ARN of a resource in the stack's account and region.
func (d *deployment) arn(service, resource string) string {
	return strings.Join([]string{"arn", d.account.partition, service, d.stack.Region, d.account.id, resource}, ":")
}

// byTag is all that the tags choose from.
func (d *deployment) byTag() *serviceaccess.ByTag {
	access := &serviceaccess.ByTag{Environment: d.stack.Settings.Environment, Keys: pulumi.StringArray{d.key.ARN}, Regions: d.regions()}
	for _, region := range d.regions() {
		access.Secrets = append(access.Secrets, fmt.Sprintf("arn:%s:secretsmanager:%s:%s:secret:%s*", d.account.partition, region, d.account.id, d.secretPrefix()))
	}
	if d.stack.Settings.ReplicaRegion != "" {
		access.Keys = append(access.Keys, d.key.ReplicaARN)
	}
	return access
}

// readerRole is the name of the role that the stack makes for a service.
func (d *deployment) readerRole(service string) string {
	return spec.ReaderRole(d.stack.Settings.Organization, d.stack.Settings.Environment, service)
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
			args.RotatorRoleARN = function.RoleARN(d.account.partition, d.account.id, d.functionName(secret.Rotator))
		}
		for _, service := range secret.Readers {
			args.Readers = append(args.Readers, managedsecret.Reader{
				Service:  service,
				RoleARN:  d.readers[service].RoleARN,
				RoleName: d.readers[service].RoleName,
				ByTag:    d.stack.ReadsByTag(service, secret),
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

// deployEvents makes the rotation feed and the topic of alerts.
func (d *deployment) deployEvents() error {
	settings := d.stack.Settings
	args := rotationevents.Args{
		Prefix:             settings.Prefix(),
		Environment:        settings.Environment,
		SecretPrefix:       d.secretPrefix(),
		Partition:          d.account.partition,
		AccountID:          d.account.id,
		Region:             d.stack.Region,
		ArchivePath:        d.archives.feed,
		Architecture:       d.stack.Events.Architecture,
		LogRetentionDays:   settings.LogRetentionDays,
		Administrators:     d.administrators(),
		DeletionWindowDays: settings.RecoveryWindowDays,
		Protect:            settings.Protect,
		Tags:               settings.Tags(platform),
	}
	args.Budget = !d.stack.Budget.Off
	if settings.ReplicaRegion != "" {
		args.Replica = &rotationevents.Replica{Region: settings.ReplicaRegion, Provider: d.replica}
	}
	for _, subscription := range d.stack.Events.Subscriptions {
		args.Subscriptions = append(args.Subscriptions, rotationevents.Subscription(subscription))
	}
	var err error
	d.events, err = rotationevents.New(d.ctx, "rotation", args)
	return err
}

// deployCache publishes the layer and tells the services how to cache.
func (d *deployment) deployCache() error {
	settings, cache := d.stack.Settings, d.stack.Cache
	args := cachelayer.Args{
		Environment:  settings.Environment,
		LayerName:    settings.Prefix() + "-secrets-cache",
		Archives:     d.archives.layers,
		Accounts:     cache.SharedWith.Accounts,
		Organization: cache.SharedWith.Organization,
		Cache:        cachelayer.Cache{TTL: cache.TTL, MaxStale: cache.MaxStale},
		FeedTable:    d.events.FeedTableName,
		Tags:         settings.Tags(platform),
	}
	if settings.ReplicaRegion != "" {
		args.Cache.FailoverRegions = []string{settings.ReplicaRegion}
		args.Replica = d.replica
	}
	for _, service := range sorted(d.stack.Services) {
		if d.stack.Services[service].Injected {
			continue
		}
		reader := cachelayer.Reader{Service: service}
		for _, secret := range d.stack.Secrets {
			if slices.Contains(secret.Readers, service) && secret.Value != catalogue.ValueAwaited {
				reader.Secrets = append(reader.Secrets, secret.Name.String())
			}
		}
		args.Readers = append(args.Readers, reader)
	}
	var err error
	d.cache, err = cachelayer.New(d.ctx, "cache", args)
	return err
}
