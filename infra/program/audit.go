package program

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/catalogue"
	"github.com/aistudio/secrets/infra/complianceauditor"
	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/migrationscan"
	"github.com/aistudio/secrets/sdk/spec"
)

// deployAuditor makes the daily audit of all secrets.
func (d *deployment) deployAuditor() error {
	settings, audit := d.stack.Settings, d.stack.Audit
	var err error
	d.auditor, err = complianceauditor.New(d.ctx, "audit", complianceauditor.Args{
		Prefix:           settings.Prefix(),
		Environment:      settings.Environment,
		Partition:        d.account.partition,
		AccountID:        d.account.id,
		Region:           d.stack.Region,
		ArchivePath:      d.archives.auditor,
		Architecture:     audit.Architecture,
		MemoryMB:         audit.MemoryMB,
		LogRetentionDays: settings.LogRetentionDays,
		Hour:             *audit.Hour,
		Policy:           d.archives.policy,
		ReportURL:        audit.ReportURL,
		SecurityHub:      audit.SecurityHub,
		Reports:          complianceauditor.Reports{RetentionDays: audit.RetentionDays, Lock: audit.Lock()},
		Topic:            complianceauditor.Topic{ARN: d.events.TopicARN, KeyARN: d.events.TopicKeyARN},
		Catalogue:        d.declared(),
		ConfigRules:      audit.ConfigRules,
		Protect:          settings.Protect,
		Tags:             settings.Tags(platform),
	})
	return err
}

// deployScan makes the daily scan for secrets in plaintext, if the stack has one.
// It writes into the audit's bucket, once all that guards the bucket is there.
func (d *deployment) deployScan() error {
	settings, audit, scan := d.stack.Settings, d.stack.Audit, d.stack.Audit.Scan
	if scan.Off {
		return nil
	}
	regions := scan.Regions
	if len(regions) == 0 {
		regions = d.regions()
	}
	_, err := migrationscan.New(d.ctx, "scan", migrationscan.Args{
		Prefix:           settings.Prefix(),
		Environment:      settings.Environment,
		Partition:        d.account.partition,
		AccountID:        d.account.id,
		Region:           d.stack.Region,
		Regions:          regions,
		ArchivePath:      d.archives.scan,
		Architecture:     audit.Architecture,
		MemoryMB:         scan.MemoryMB,
		LogRetentionDays: settings.LogRetentionDays,
		AuditHour:        *audit.Hour,
		Decided:          d.archives.decided,
		Keys:             scan.Keys,
		BucketName:       d.auditor.BucketName,
		Retain:           settings.Protect || audit.Lock() != "",
		Tags:             settings.Tags(platform),
	}, pulumi.DependsOn([]pulumi.Resource{d.auditor}))
	return err
}

// declared is what the auditor compares the account with.
func (d *deployment) declared() pulumi.Output {
	settings := d.stack.Settings
	declared := spec.AuditCatalogue{
		Organization:   settings.Organization,
		Environment:    settings.Environment,
		Regions:        d.regions(),
		ReplicaRegion:  settings.ReplicaRegion,
		Administrators: d.administrators(),
	}
	for _, path := range sorted(d.credentials) {
		declared.Known = append(declared.Known, d.credentials[path].ARN)
	}
	// What is known only when it is deployed: roles of readers, functions.
	readers, functions := pulumi.StringMap{}, pulumi.StringMap{}
	for service, reader := range d.readers {
		readers[service] = reader.RoleARN
	}
	for name, rotator := range d.rotators {
		functions[name] = rotator.ARN
	}
	return pulumi.All(readers, functions).ApplyT(func(all []any) spec.AuditCatalogue {
		readers, functions := all[0].(map[string]string), all[1].(map[string]string)
		catalogue := declared
		catalogue.Secrets = make([]spec.AuditSecret, 0, len(d.stack.Secrets))
		for _, secret := range d.stack.Secrets {
			catalogue.Secrets = append(catalogue.Secrets, d.audited(secret, readers, functions))
		}
		return catalogue
	})
}

func (d *deployment) audited(secret catalogue.Secret, readers, functions map[string]string) spec.AuditSecret {
	audited := spec.AuditSecret{
		Name:               secret.Name.String(),
		Kind:               secret.Kind,
		Owner:              secret.Owner,
		DataClassification: secret.DataClassification,
		Readers:            make([]string, 0, len(secret.Readers)),
		RotationDisabled:   secret.RotationDisabled,
	}
	for _, service := range secret.Readers {
		audited.Readers = append(audited.Readers, readers[service])
	}
	if secret.NeedsRotator() {
		audited.Rotator = function.RoleARN(d.account.partition, d.account.id, d.functionName(secret.Rotator))
	}
	switch {
	case secret.Rotates():
		audited.Schedule, audited.RotationFunction = secret.Schedule.Expression, functions[secret.Rotator]
	case secret.RotationDisabled == "":
		audited.RotationDisabled = "it awaits its first value"
	}
	return audited
}
