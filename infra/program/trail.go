package program

import (
	"github.com/aistudio/secrets/infra/audittrail"
	"github.com/aistudio/secrets/infra/complianceauditor"
	"github.com/aistudio/secrets/infra/function"
)

// deployTrail makes the audit trail, or counts in the one that there is.
func (d *deployment) deployTrail() error {
	settings, trail := d.stack.Settings, d.stack.Audit.Trail
	args := audittrail.Args{
		Prefix:             settings.Prefix(),
		SecretPrefix:       d.secretPrefix(),
		Partition:          d.account.partition,
		AccountID:          d.account.id,
		Region:             d.stack.Region,
		Readers:            d.expectedReaders(),
		KeyARN:             d.key.ARN,
		Administrators:     d.administrators(),
		DeletionWindowDays: settings.RecoveryWindowDays,
		LogRetentionDays:   settings.LogRetentionDays,
		RetentionDays:      trail.RetentionDays,
		Buckets:            []string{complianceauditor.BucketName(settings.Prefix(), d.account.id)},
		FunctionRegions:    d.regions(),
		Protect:            settings.Protect,
		Tags:               settings.Tags(platform),
	}
	if trail.Existing {
		args.Existing = &audittrail.Existing{LogGroup: trail.LogGroup}
	}
	var err error
	d.trail, err = audittrail.New(d.ctx, "trail", args)
	return err
}

// expectedReaders returns the ARNs of those who may read a value: the services,
// the rotation functions, and the administrators. The daily audit knows them
// secret by secret.
func (d *deployment) expectedReaders() []string {
	partition, account := d.account.partition, d.account.id
	var readers []string
	for _, name := range sorted(d.stack.Services) {
		if role := d.stack.Services[name].Role; role != "" {
			readers = append(readers, role.ARN(partition, account))
		} else {
			readers = append(readers, function.RoleARN(partition, account, d.readerRole(name)))
		}
	}
	for _, name := range sorted(d.archives.rotators) {
		readers = append(readers, function.RoleARN(partition, account, d.functionName(name)))
	}
	return append(readers, d.administrators()...)
}
