package program

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/alarms"
	"github.com/aistudio/secrets/infra/audittrail"
	"github.com/aistudio/secrets/infra/budget"
	"github.com/aistudio/secrets/infra/complianceauditor"
	"github.com/aistudio/secrets/infra/dailyfunction"
	"github.com/aistudio/secrets/infra/dashboard"
	"github.com/aistudio/secrets/infra/migrationscan"
	"github.com/aistudio/secrets/infra/rotationevents"
)

// rotationRetries are errors of a rotation's steps that Secrets Manager mends by
// trying again; when it gives up, there is an alarm for that.
const rotationRetries = 2

// functions are all functions of the stack.
func (d *deployment) functions() []alarms.Function {
	prefix := d.stack.Settings.Prefix()
	functions := []alarms.Function{
		{Name: complianceauditor.FunctionName(prefix), TimeoutSeconds: dailyfunction.TimeoutSeconds},
		{Name: rotationevents.FunctionName(prefix), TimeoutSeconds: rotationevents.TimeoutSeconds},
	}
	if !d.stack.Audit.Scan.Off {
		functions = append(functions, alarms.Function{Name: migrationscan.FunctionName(prefix), TimeoutSeconds: dailyfunction.TimeoutSeconds})
	}
	for _, name := range sorted(d.archives.rotators) {
		functions = append(functions, d.rotator(name))
	}
	return functions
}

func (d *deployment) rotator(name string) alarms.Function {
	return alarms.Function{Name: d.functionName(name), TimeoutSeconds: d.stack.Rotators[name].TimeoutSeconds, ErrorsAllowed: rotationRetries}
}

// standbyFunctions are those of the second region, by the same names.
func (d *deployment) standbyFunctions() []alarms.Function {
	functions := []alarms.Function{{Name: rotationevents.FunctionName(d.stack.Settings.Prefix()), TimeoutSeconds: rotationevents.TimeoutSeconds}}
	for _, name := range sorted(d.archives.rotators) {
		if d.standsBy(name) {
			functions = append(functions, d.rotator(name))
		}
	}
	return functions
}

// queues are those of what functions failed on.
func (d *deployment) queues() []string {
	prefix := d.stack.Settings.Prefix()
	queues := []string{rotationevents.QueueName(prefix), dailyfunction.QueueName(complianceauditor.FunctionName(prefix))}
	if !d.stack.Audit.Scan.Off {
		queues = append(queues, dailyfunction.QueueName(migrationscan.FunctionName(prefix)))
	}
	return queues
}

// deployAlarms makes everything that tells the topic.
func (d *deployment) deployAlarms() error {
	settings := d.stack.Settings
	var err error
	d.alarms, err = alarms.New(d.ctx, "alarms", alarms.Args{
		Prefix:      settings.Prefix(),
		Environment: settings.Environment,
		TopicARN:    d.events.TopicARN,
		FailedRule:  rotationevents.FailedRule(settings.Prefix()),
		Trail:       d.trailMetrics(),
		Functions:   d.functions(),
		Queues:      d.queues(),
		Tags:        settings.Tags(platform),
	})
	if err != nil || settings.ReplicaRegion == "" {
		return err
	}
	return d.deployStandbyAlarms()
}

// deployStandbyAlarms makes what tells the topic of the second region of what the
// stack has there.
func (d *deployment) deployStandbyAlarms() error {
	settings := d.stack.Settings
	prefix := settings.Prefix()
	_, err := alarms.New(d.ctx, "alarms-standby", alarms.Args{
		Prefix:      prefix,
		Environment: settings.Environment,
		TopicARN:    d.events.StandbyTopicARN,
		FailedRule:  rotationevents.FailedRule(prefix),
		Standby:     true,
		Functions:   d.standbyFunctions(),
		Queues:      []string{rotationevents.QueueName(prefix)},
		Tags:        settings.Tags(platform),
	}, pulumi.Provider(d.replica))
	return err
}

// trailMetrics is the namespace of what the audit trail counts; "" for nothing.
func (d *deployment) trailMetrics() string {
	if !d.trail.Counts {
		return ""
	}
	return audittrail.Namespace(d.stack.Settings.Prefix())
}

// deployDashboard makes the page that shows it all.
func (d *deployment) deployDashboard() error {
	settings := d.stack.Settings
	args := dashboard.Args{
		Name:          settings.Prefix() + "-secrets",
		Environment:   settings.Environment,
		Partition:     d.account.partition,
		AccountID:     d.account.id,
		Region:        d.stack.Region,
		ReplicaRegion: settings.ReplicaRegion,
		Alarms:        d.alarms.Names,
		Trail:         d.trailMetrics(),
		FeedTable:     rotationevents.FunctionName(settings.Prefix()),
		Auditor:       complianceauditor.FunctionName(settings.Prefix()),
		ReportBucket:  complianceauditor.BucketName(settings.Prefix(), d.account.id),
	}
	for _, function := range d.functions() {
		args.Functions = append(args.Functions, function.Name)
	}
	if settings.ReplicaRegion != "" {
		for _, function := range d.standbyFunctions() {
			args.Standby = append(args.Standby, function.Name)
		}
	}
	var err error
	d.dashboard, err = dashboard.New(d.ctx, "dashboard", args)
	return err
}

// deployBudget makes the budget, if the stack has one.
func (d *deployment) deployBudget() error {
	settings, limits := d.stack.Settings, d.stack.Budget
	if d.budget = pulumi.String("").ToStringOutput(); limits.Off {
		return nil
	}
	made, err := budget.New(d.ctx, "budget", budget.Args{
		Name:        settings.Prefix() + "-secrets",
		Environment: settings.Environment,
		MonthlyUSD:  limits.MonthlyUSD,
		ByTag:       limits.ByTag,
		TopicARN:    d.events.TopicARN,
		Emails:      limits.Emails,
		Tags:        settings.Tags(platform),
	})
	if err != nil {
		return err
	}
	d.budget = made.Name
	return nil
}
