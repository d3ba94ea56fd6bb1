// Package program is the Pulumi program that deploys a stack of managed
// secrets. `pulumi up`, the Automation API and tests run the same program.
package program

import (
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/aistudio/secrets/infra/catalogue"
)

// Options are what a stack's configuration can't know.
type Options struct {
	// Artifacts is the folder of the Lambda functions' zips, named
	// <command>_linux_<arm64|amd64>.zip. A relative path starts at the folder of
	// Pulumi.yaml, which only Pulumi's CLI tells: others give an absolute one.
	Artifacts string
}

// New returns the program. It checks the whole configuration, the account and
// the archives before it registers a resource, so a mistake deploys nothing.
//
// The stack's outputs are keyArn, replicaKeyArn, feedTable (a name),
// alertsTopicArn, standbyAlertsTopicArn (in the replica's region), trailArn, trailBucket, auditorArn, auditBucket, dashboard
// and budget (names); secrets, readerRoles, rotators and layers are maps to ARNs by the
// secret's path, the service, the rotator's name and the architecture, and
// standbyRotators and replicaLayers what of them is in the replica's region;
// lambdaEnvironment and ecsEnvironment are what a service needs for its cache,
// by service.
func New(options Options) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		stack, err := readStack(ctx)
		if err != nil {
			return err
		}
		account, err := readAccount(ctx)
		if err != nil {
			return err
		}
		if err := account.checkDeployer(stack.Settings.Administrators); err != nil {
			return err
		}
		root := ctx.RootDirectory()
		archives, err := findArchives(stack, root, below(root, options.Artifacts))
		if err != nil {
			return err
		}
		credentials, err := findCredentials(ctx, stack, account)
		if err != nil {
			return err
		}
		d := &deployment{ctx: ctx, stack: stack, account: account, archives: archives, credentials: credentials}
		return d.run()
	}
}

// deployment is one run of the program.
type deployment struct {
	ctx         *pulumi.Context
	stack       catalogue.Stack
	account     account
	archives    archives
	credentials map[string]credential // by the path of their key in the configuration

	deployed
}

func (d *deployment) run() error {
	for _, step := range []func() error{
		d.deployKey,
		d.deployEvents,
		d.deployReaders,
		d.deployTrail,
		d.deploySecrets,
		d.deployCache,
		d.deployRotators,
		d.deployRotations,
		d.deployAuditor,
		d.deployScan,
		d.deployAlarms,
		d.deployDashboard,
		d.deployBudget,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	d.export()
	return nil
}

func (d *deployment) export() {
	secrets, readers, rotators, standby := pulumi.StringMap{}, pulumi.StringMap{}, pulumi.StringMap{}, pulumi.StringMap{}
	for path, secret := range d.secrets {
		secrets[path] = secret.ARN
	}
	for service, role := range d.readers {
		readers[service] = role.RoleARN
	}
	for name, function := range d.rotators {
		rotators[name] = function.ARN
		if d.standsBy(name) {
			standby[name] = function.StandbyARN
		}
	}
	lambda, ecs := pulumi.Map{}, pulumi.Map{}
	for service := range d.cache.Lambda {
		lambda[service], ecs[service] = d.cache.Lambda[service], d.cache.ECS[service]
	}
	d.ctx.Export("keyArn", d.key.ARN)
	d.ctx.Export("replicaKeyArn", d.key.ReplicaARN)
	d.ctx.Export("secrets", secrets)
	d.ctx.Export("readerRoles", readers)
	d.ctx.Export("rotators", rotators)
	d.ctx.Export("standbyRotators", standby)
	d.ctx.Export("feedTable", d.events.FeedTableName)
	d.ctx.Export("alertsTopicArn", d.events.TopicARN)
	d.ctx.Export("standbyAlertsTopicArn", d.standbyTopic())
	d.ctx.Export("trailArn", d.trail.TrailARN)
	d.ctx.Export("trailBucket", d.trail.BucketName)
	d.ctx.Export("auditorArn", d.auditor.FunctionARN)
	d.ctx.Export("auditBucket", d.auditor.BucketName)
	d.ctx.Export("dashboard", d.dashboard.Name)
	d.ctx.Export("budget", d.budget)
	d.ctx.Export("layers", d.cache.LayerARNs)
	d.ctx.Export("replicaLayers", d.cache.ReplicaARNs)
	d.ctx.Export("lambdaEnvironment", lambda)
	d.ctx.Export("ecsEnvironment", ecs)
}

// standbyTopic is the ARN of the topic of the second region; empty text without
// one.
func (d *deployment) standbyTopic() pulumi.StringInput {
	if d.events.StandbyTopicARN == nil {
		return pulumi.String("")
	}
	return d.events.StandbyTopicARN
}

// administrators returns the ARNs of those who may manage keys and secrets.
func (d *deployment) administrators() []string {
	return d.account.arns(d.stack.Settings.Administrators)
}

// secretPrefix begins the names of the stack's secrets.
func (d *deployment) secretPrefix() string {
	return d.stack.Settings.Organization + "/" + d.stack.Settings.Environment + "/"
}

// regions returns the stack's region and, if it has one, its replica's.
func (d *deployment) regions() []string {
	if replica := d.stack.Settings.ReplicaRegion; replica != "" {
		return []string{d.stack.Region, replica}
	}
	return []string{d.stack.Region}
}

// sorted returns a map's keys in order, so that every run registers its
// resources in the same one.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
