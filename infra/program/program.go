// Package program is the Pulumi program that deploys a stack of managed
// secrets. `pulumi up`, the Automation API and tests run the same program.
package program

import (
	"maps"
	"path/filepath"
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
// The stack's outputs are keyArn and replicaKeyArn; secrets, readerRoles and
// rotators are maps to ARNs by the secret's path, the service and the kind.
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
		artifacts := options.Artifacts
		if !filepath.IsAbs(artifacts) {
			artifacts = filepath.Join(ctx.RootDirectory(), artifacts)
		}
		archives, err := findArchives(stack, artifacts)
		if err != nil {
			return err
		}
		masters, err := findMasters(ctx, stack, account)
		if err != nil {
			return err
		}
		d := &deployment{ctx: ctx, stack: stack, account: account, archives: archives, masters: masters}
		return d.run()
	}
}

// deployment is one run of the program.
type deployment struct {
	ctx      *pulumi.Context
	stack    catalogue.Stack
	account  account
	archives archives
	masters  map[string]master // by the name of their server

	deployed
}

func (d *deployment) run() error {
	for _, step := range []func() error{
		d.deployKey,
		d.deployReaders,
		d.deploySecrets,
		d.deployRotators,
		d.deployRotations,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	d.export()
	return nil
}

func (d *deployment) export() {
	secrets, readers, rotators := pulumi.StringMap{}, pulumi.StringMap{}, pulumi.StringMap{}
	for path, secret := range d.secrets {
		secrets[path] = secret.ARN
	}
	for service, role := range d.readers {
		readers[service] = role.arn
	}
	for kind, function := range d.rotators {
		rotators[kind.String()] = function.ARN
	}
	d.ctx.Export("keyArn", d.key.ARN)
	d.ctx.Export("replicaKeyArn", d.key.ReplicaARN)
	d.ctx.Export("secrets", secrets)
	d.ctx.Export("readerRoles", readers)
	d.ctx.Export("rotators", rotators)
}

// administrators returns the ARNs of those who may manage keys and secrets.
func (d *deployment) administrators() []string {
	return d.account.arns(d.stack.Settings.Administrators)
}

// sorted returns a map's keys in order, so that every run registers its
// resources in the same one.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
