//go:build mage

// Centralised secrets management on AWS: secrets that rotate without an outage.
//
// Two commands show it: "go tool mage demo" deploys the development stack into a
// local emulator of AWS and rotates a real database user under load; "go tool
// mage test" runs every test. "go tool mage -h <target>" explains a target.
//
//mage:multiline
package main

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/magefile/mage/mg"

	"github.com/aistudio/secrets/magefiles/tasks"
)

// The targets below only name the tasks; what they do is in package tasks.
// A namespace that shares its name with a target is written in capitals: Go
// wants two names, and mage doesn't look at the case.
type (
	// TEST holds the narrower runs of the tests.
	TEST mg.Namespace
	// LINT holds the slower checks of the code.
	LINT mg.Namespace
	// Audit holds what concerns the audit of secrets.
	Audit mg.Namespace
	// DR holds what concerns the loss of the primary region.
	DR mg.Namespace
	// Local holds what concerns the local cloud.
	Local mg.Namespace
	// Migrate holds what moves secrets out of environment variables and parameters.
	Migrate mg.Namespace
	// Phase holds the phases of ADR-006's plan.
	Phase mg.Namespace
	// Pipeline holds what deploys a stack as a CI system does.
	Pipeline mg.Namespace
	// Rotate holds what an operator does about the rotation of a secret.
	Rotate mg.Namespace
	// Tools holds what concerns the pinned tools.
	Tools mg.Namespace
)

// Build makes the Lambda artifacts in dist/ and the programs for this machine in bin/.
//
// Every Lambda function becomes dist/<name>_linux_<arch>.zip for arm64 and amd64
// with the program as bootstrap, and dist/SHA256SUMS lists their checksums
// (check them with: cd dist && sha256sum -c SHA256SUMS). The same sources and Go
// release give the same bytes, on any machine and in any folder.
func Build(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).Build)
}

// Test runs everything: each module alone, all tests, and the real Pulumi engine.
//
// Each module must build and vet with GOWORK=off; then its tests run, those that
// need PostgreSQL, MariaDB, Chromium and the Pulumi CLI too. What is missing is
// installed first: the former from Debian's packages (as root), the pinned Pulumi CLI
// built into bin/ (once, 5 to 10 minutes on two cores; a good "pulumi" on PATH
// saves it). The end is a table and, for each failure, the command that runs it again.
func Test(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).Test)
}

// Unit runs the quick tests: under four minutes on two cores once the build cache is warm.
//
// These are the tests that -short leaves in, of all packages but those that link
// the Pulumi AWS provider's SDK, which takes minutes to compile.
func (TEST) Unit(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).TestUnit)
}

// Engine runs the tests that drive the real Pulumi engine.
//
// They deploy into the local cloud through the Automation API and a local file
// backend: no network, no account. The Pulumi CLI is the one on PATH if it is at
// least the pinned version, else the one built once into bin/.
func (TEST) Engine(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).TestEngine)
}

// Race runs the tests under the race detector, except what links the Pulumi AWS SDK.
//
// It needs a C compiler, as the race detector does.
func (TEST) Race(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).TestRace)
}

// Lint reads the code: gofmt, the rules of the architecture, go vet, golangci-lint.
//
// golangci-lint is built once into bin/ (some minutes). Its rules are in
// .golangci.yml, those of the architecture in magefiles/architecture.
func Lint(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).Lint)
}

// Vuln looks for known vulnerabilities that the code can reach.
//
// It asks the Go vulnerability database (GOVULNDB names another copy), so it
// fails, and says so, on a machine that doesn't reach it.
func (LINT) Vuln(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).Vulnerabilities)
}

// Fmt formats all Go files and orders their imports.
func Fmt(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).Format)
}

// Demo shows it all at work: migrate, audit, rotate under load, lose a region.
//
// It starts a private PostgreSQL server and the local cloud on free ports, and
// makes a function with a key in its variables. It plans the migration, deploys the
// development stack with its entries, audits, and migrates while the function is in
// use. Then it moves the clock so that the real Lambda function rotates a secret
// three times while a client logs in, takes the primary region away, and ends with
// a summary. The audit's pages stay in dist/demo. Ctrl-C stops it and cleans up. It
// needs no AWS account and no network beyond the Go module proxy.
func Demo(ctx context.Context) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error { return w.Demo(ctx) })
}

// Run audits the secrets of a stack and writes the reports to dist/audit/<stack>.
//
// It uses the AWS credentials and endpoint of the environment, and compares with
// the catalogue in Pulumi.<stack>.yaml. It exits with 0 if no finding reaches the
// policy's threshold, with 1 if one does, and with 2 if the audit couldn't be
// made. "bin/audit run --help" has more.
func (Audit) Run(ctx context.Context,
	stack *string, // whose catalogue (default dev)
	json *bool, // print the figures as JSON
) error {
	return runCommand(ctx, func(w *tasks.Workspace, ctx context.Context) error {
		return w.AuditRun(ctx, or(stack, "dev"), flag("json", json))
	})
}

// Report fetches the newest reports of a stack's daily audit to dist/audit/<stack>.
//
// The bucket is that of the stack's daily audit, which its deployment prints.
func (Audit) Report(ctx context.Context, stack, bucket string,
	json *bool, // print the run and the files as JSON
) error {
	return runCommand(ctx, func(w *tasks.Workspace, ctx context.Context) error {
		return w.AuditReport(ctx, stack, bucket, flag("json", json))
	})
}

// Access shows who accessed a secret, when, from where, and what is unusual about it.
//
// The source is CloudTrail's event history, which holds 90 days.
func (Audit) Access(ctx context.Context, secret string,
	since *string, // how far back: 7d, 12h or a date (default 7d)
	json *bool, // as JSON
) error {
	return runCommand(ctx, func(w *tasks.Workspace, ctx context.Context) error {
		return w.AuditAccess(ctx, secret, "--since="+or(since, "7d"), flag("json", json))
	})
}

// Rules prints the catalogue of the audit's rules and controls.
//
// It needs no AWS account.
func (Audit) Rules(ctx context.Context,
	json *bool, // as JSON
) error {
	return runCommand(ctx, func(w *tasks.Workspace, ctx context.Context) error { return w.AuditRules(ctx, flag("json", json)) })
}

// Cost estimates what a stack costs in a month, and what its cache saves.
//
// It needs no AWS account: it takes the stack's file, a dated table of prices, and
// assumptions that "bin/cost --help" lists and the key aistudio-secrets:cost sets.
// It shows ADR-006's estimate beside it.
func Cost(ctx context.Context, stack string,
	json *bool, // as JSON
	markdown *bool, // as a page
) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error {
		return w.Cost(ctx, stack, flag("json", json), flag("markdown", markdown))
	})
}

// Scorecard measures ADR-006's seven success metrics for a stack, with their trend.
//
// It uses the AWS credentials and endpoint of the environment, and what the audit,
// the migration's scan and drills left in the audit's bucket or in dist. The pages
// are in dist/scorecard/<stack>. It exits with 0 if all metrics are met, with 1 if
// one is missed, and with 2 if one is unknown. "bin/scorecard --help" has more.
func Scorecard(ctx context.Context, stack string,
	bucket *string, // the stack's audit bucket (default $SECRETS_AUDIT_BUCKET)
	code *string, // result of a scan of the source code: SARIF, or the JSON of migrate:source
	json *bool, // as JSON
) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error {
		return w.Scorecard(ctx, stack, or(bucket, ""), or(code, ""), flag("json", json))
	})
}

// Bench measures the caches, the layer and the rotations, and writes bench/README.md.
//
// All runs on this machine, side by side with what else could be used: the
// client of the SDK, the program of the Lambda layer over HTTP, whole rotations
// with the real Lambda program, and the API calls of a simulated day. The end is
// a table with the goals and whether they were reached. It takes about six
// minutes on two cores, which should have nothing else to do.
func Bench(ctx context.Context,
	json *bool, // write bench/results.json too
) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error {
		if json != nil && *json {
			return w.Bench(ctx, "-json")
		}
		return w.Bench(ctx)
	})
}

// Status shows each secret's replica in the DR region, and where the secrets are.
//
// It exits with 1 if a secret couldn't be failed over without a loss. Like all dr
// targets it uses the AWS credentials and endpoint of the environment; the regions
// are the stack's. docs/disaster-recovery.md is the runbook, "bin/recovery --help"
// has more.
func (DR) Status(ctx context.Context, stack string,
	json *bool, // as JSON
) error {
	return recovery(ctx, "status", stack, flag("json", json))
}

// Drill tries out the loss of the primary region, measures it and writes a report.
//
// Replicas are compared with their primaries and read as the services would, also
// while the primary region is dark. On a local cloud, and on AWS with -forReal, all
// secrets are failed over and brought back, too. The report is in dist/recovery/<stack>.
func (DR) Drill(ctx context.Context, stack string,
	forReal *bool, // fail over and back on AWS, too
	rotate *string, // what to rotate in the DR region: one (of each function), all or none
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	force *bool, // also when secrets aren't in sync
	json *bool, // as JSON
) error {
	return recovery(ctx, "drill", stack, flag("for-real", forReal), "--rotate="+or(rotate, "one"), flag("yes", yes), flag("dry-run", dryRun), flag("force", force), flag("json", json))
}

// Failover makes the replicas in the DR region the secrets.
//
// It refuses when replicas are out of sync, unless told to go on with -force.
func (DR) Failover(ctx context.Context, stack string,
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	force *bool, // also when secrets aren't in sync
	json *bool, // as JSON
) error {
	return recovery(ctx, "failover", stack, flag("yes", yes), flag("dry-run", dryRun), flag("force", force), flag("json", json))
}

// Failback brings the secrets back to the primary region, with all that changed meanwhile.
//
// It refuses when something was written in the primary region after the failover,
// unless told to overwrite it with -force.
func (DR) Failback(ctx context.Context, stack string,
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	force *bool, // also when something is overwritten
	json *bool, // as JSON
) error {
	return recovery(ctx, "failback", stack, flag("yes", yes), flag("dry-run", dryRun), flag("force", force), flag("json", json))
}

// Start runs the local cloud as a server, by default on port 4566, until Ctrl-C.
//
// It prints the environment variables that point the AWS CLI and the SDKs of any
// language at it. Its control API is under /_localcloud/.
func (Local) Start(ctx context.Context,
	port *int, // port to listen on, on the loopback interface (default 4566)
) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error {
		if port == nil {
			return w.LocalStart(ctx)
		}
		return w.LocalStart(ctx, "-address", net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	})
}

// Status shows how the rotation of a secret stands.
//
// Like all rotate targets it uses the AWS credentials, region and endpoint of the
// environment, and no value is read. docs/operating-rotation.md is the runbook,
// "bin/rotate --help" has more. Exit status: 0 done, 1 failed, 2 can't be done.
func (Rotate) Status(ctx context.Context, secret string,
	json *bool, // as JSON
) error {
	return rotate(ctx, "status", secret, flag("json", json))
}

// History shows the rotations of a secret, as CloudTrail tells them.
//
// Each with its start, end and result, what failed, and who started it.
func (Rotate) History(ctx context.Context, secret string,
	since *string, // how far back: 7d, 12h or a date (default 90d)
	json *bool, // as JSON
) error {
	return rotate(ctx, "history", secret, "--since="+or(since, "90d"), flag("json", json))
}

// Now rotates a secret outside of its schedule and follows it to its end.
//
// A rotation that failed before is tried again with the same value.
func (Rotate) Now(ctx context.Context, secret string,
	test *bool, // don't rotate: have the rotation function test the current value
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	json *bool, // as JSON
) error {
	return rotate(ctx, "now", secret, flag("test", test), flag("yes", yes), flag("dry-run", dryRun), flag("json", json))
}

// Cancel stops the rotation of a secret and switches its schedule off.
//
// "rotate:now -test" switches the schedule on again.
func (Rotate) Cancel(ctx context.Context, secret string,
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	json *bool, // as JSON
) error {
	return rotate(ctx, "cancel", secret, flag("yes", yes), flag("dry-run", dryRun), flag("json", json))
}

// Rollback makes the previous version of a secret current again, if it still works.
//
// The rotation function tries it first; its value doesn't leave the function.
func (Rotate) Rollback(ctx context.Context, secret string,
	to *string, // version that becomes current (default the previous one, if it is the older)
	force *bool, // also if it doesn't work, or nobody knows
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	json *bool, // as JSON
) error {
	return rotate(ctx, "rollback", secret, "--to="+or(to, ""), flag("force", force), flag("yes", yes), flag("dry-run", dryRun), flag("json", json))
}

// Unstick clears a pending version that blocks the rotation of a secret.
//
// It says what the version is first, and refuses while a rotation is in progress.
func (Rotate) Unstick(ctx context.Context, secret string,
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	json *bool, // as JSON
) error {
	return rotate(ctx, "unstick", secret, flag("yes", yes), flag("dry-run", dryRun), flag("json", json))
}

// Preview tells what a deployment of a stack would change, and which gates are closed.
//
// The artifacts have to be built (go tool mage build). Credentials of AWS and of
// Pulumi's backend are those of the environment. docs/pipeline.md tells of gates
// and approvals; "bin/pipeline --help" has more flags. Exit status of all
// pipeline targets: 0 done, 1 failed or cancelled, 2 there are changes, 3 refused.
func (Pipeline) Preview(ctx context.Context, stack string,
	json *bool, // the report as JSON
	summary *string, // file for the report as Markdown
) error {
	return pipeline(ctx, "preview", stack, flag("json", json), "--summary="+or(summary, ""))
}

// Up deploys to a stack what a preview showed, if all gates are open.
//
// docs/pipeline.md tells of the gates and of the approvals that prod needs.
func (Pipeline) Up(ctx context.Context, stack string,
	json *bool, // the report as JSON
	summary *string, // file for the report as Markdown
	approvals *string, // file of the approvals, which prod needs
	refresh *bool, // read first what is in AWS, so that drift is undone
) error {
	return pipeline(ctx, "up", stack, flag("json", json), "--summary="+or(summary, ""), "--approvals="+or(approvals, ""), flag("refresh", refresh))
}

// Promote deploys to a stack what ran with success in the stage before it.
//
// It is refused unless that was of this commit and these artifacts.
func (Pipeline) Promote(ctx context.Context, stack string,
	json *bool, // the report as JSON
	summary *string, // file for the report as Markdown
	approvals *string, // file of the approvals, which prod needs
) error {
	return pipeline(ctx, "promote", stack, flag("json", json), "--summary="+or(summary, ""), "--approvals="+or(approvals, ""))
}

// Destroy deletes all that a stack has, if all gates are open.
//
// What is guarded has to be named, for which use bin/pipeline itself.
func (Pipeline) Destroy(ctx context.Context, stack string,
	json *bool, // the report as JSON
) error {
	return pipeline(ctx, "destroy", stack, flag("json", json))
}

// Drift tells what was changed in AWS behind Pulumi's back.
//
// Exit status 2 says that there is something.
func (Pipeline) Drift(ctx context.Context, stack string,
	json *bool, // the report as JSON
	summary *string, // file for the report as Markdown
) error {
	return pipeline(ctx, "drift", stack, flag("json", json), "--summary="+or(summary, ""))
}

// Checks lists the policy checks that every preview goes through.
//
// It needs neither credentials nor a stack.
func (Pipeline) Checks(ctx context.Context,
	json *bool, // as JSON
) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error { return w.PipelineChecks(ctx, flag("json", json)) })
}

// Discover shows where secrets are in plaintext, and what couldn't be read.
//
// Like all migrate targets it uses the AWS credentials and endpoint of the
// environment, and shows no value. docs/migrating.md tells how a migration goes,
// "bin/migrate --help" has more flags. Exit status: 0 done, 1 something is left to
// look at, 2 it couldn't be done.
func (Migrate) Discover(ctx context.Context, stack string,
	json *bool, // as JSON
) error {
	return migrate(ctx, "discover", stack, flag("json", json))
}

// Plan plans the migration of a stack, for people to review and edit.
//
// It writes migration/<stack>/plan.yaml and changes nothing else.
func (Migrate) Plan(ctx context.Context, stack string,
	dryRun *bool, // write no file
	json *bool, // as JSON
) error {
	return migrate(ctx, "plan", stack, flag("dry-run", dryRun), flag("json", json))
}

// Apply makes the secrets of the plan and switches services to them, wave by wave.
//
// It can be stopped at any point and run again.
func (Migrate) Apply(ctx context.Context, stack string,
	wave *int, // this wave alone (default all)
	only *string, // IDs of services, comma separated
	mode *string, // dual-read or final (default the plan's)
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	json *bool, // as JSON
) error {
	args := []string{"apply", stack, "--only=" + or(only, ""), "--mode=" + or(mode, ""), flag("yes", yes), flag("dry-run", dryRun), flag("json", json)}
	if wave != nil {
		args = append(args, "--wave="+strconv.Itoa(*wave))
	}
	return migrate(ctx, args...)
}

// Validate proves that the migration of a stack has worked, or tells what is missing.
//
// The report goes to migration/<stack>/validation.md and validation.json.
func (Migrate) Validate(ctx context.Context, stack string,
	soak *string, // how long services must have done without their old values (default 24h)
	json *bool, // as JSON
) error {
	return migrate(ctx, "validate", stack, "--soak="+or(soak, "24h"), flag("json", json))
}

// Rollback restores services as they were before the migration, by its journal.
//
// It is possible at any time before the cleanup. migration/<stack>/rollback.sh does
// the same with the aws CLI alone.
func (Migrate) Rollback(ctx context.Context, stack string,
	only *string, // IDs of services, comma separated
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	json *bool, // as JSON
) error {
	return migrate(ctx, "rollback", stack, "--only="+or(only, ""), flag("yes", yes), flag("dry-run", dryRun), flag("json", json))
}

// Cleanup removes old variables, parameters and revisions, and tells what is left.
//
// It needs a validation of the last day. There is no rollback after it.
func (Migrate) Cleanup(ctx context.Context, stack string,
	yes *bool, // agree beforehand
	dryRun *bool, // change nothing
	json *bool, // as JSON
) error {
	return migrate(ctx, "cleanup", stack, flag("yes", yes), flag("dry-run", dryRun), flag("json", json))
}

// Source looks for credentials in a tree of files, for builds.
//
// What version control ignores and what others wrote is left out. "bin/migrate
// source --help" tells how to allow made-up credentials of tests.
func (Migrate) Source(ctx context.Context, folder string,
	json *bool, // as JSON
) error {
	return migrate(ctx, "source", folder, flag("json", json))
}

// Status shows how the migration of a stack stands, by its folder.
//
// It asks nobody: what the journal knows of each service, secret and parameter.
func (Migrate) Status(ctx context.Context, stack string,
	json *bool, // as JSON
) error {
	return migrate(ctx, "status", stack, flag("json", json))
}

// Foundation: the key, the secrets, their replicas and the audit are there.
//
// Like all phase targets it refuses to start before the phase before it is
// complete, shows each command before it runs, asks, and ends with the checklist.
// Exit status: 0 the phase is complete, 1 it isn't, 2 it couldn't start.
func (Phase) Foundation(ctx context.Context,
	stack *string, // dev (default), staging or prod
	yes *bool, // agree beforehand
	dryRun *bool, // only show the checklist
	json *bool, // as JSON
) error {
	return phase(ctx, "foundation", or(stack, "dev"), yes, dryRun, json)
}

// Prepare: the cache and the rotation are proved, and the migration's plan is agreed on.
//
// The layer and the rotation functions are deployed, in dev they have rotated, the
// plan is made, nothing blocks in it, and somebody has reviewed it.
func (Phase) Prepare(ctx context.Context,
	stack *string, // dev (default), staging or prod
	yes *bool, // agree beforehand
	dryRun *bool, // only show the checklist
	json *bool, // as JSON
) error {
	return phase(ctx, "prepare", or(stack, "dev"), yes, dryRun, json)
}

// Dev migrates the services of dev.
//
// The plan is applied, validated after an hour, secrets rotate, the audit is clean.
func (Phase) Dev(ctx context.Context,
	yes *bool, // agree beforehand
	dryRun *bool, // only show the checklist
	json *bool, // as JSON
) error {
	return phase(ctx, "dev", "dev", yes, dryRun, json)
}

// Staging migrates the services of staging, once dev is complete.
//
// The plan is applied, validated after a day, and services are as fast as before.
func (Phase) Staging(ctx context.Context,
	yes *bool, // agree beforehand
	dryRun *bool, // only show the checklist
	json *bool, // as JSON
) error {
	return phase(ctx, "staging", "staging", yes, dryRun, json)
}

// Prod migrates the services of prod, once staging is complete.
//
// It asks for an agreed window and a checklist, keeps the old values beside the
// new, and is complete when a day has gone by without a fallback.
func (Phase) Prod(ctx context.Context,
	yes *bool, // agree beforehand
	dryRun *bool, // only show the checklist
	json *bool, // as JSON
) error {
	return phase(ctx, "prod", "prod", yes, dryRun, json)
}

// Cleanup removes what is left of the old, once a stack has been migrated.
//
// Old variables, parameters and revisions go, all secrets rotate, and the daily
// scan finds nothing.
func (Phase) Cleanup(ctx context.Context,
	stack *string, // dev (default), staging or prod
	yes *bool, // agree beforehand
	dryRun *bool, // only show the checklist
	json *bool, // as JSON
) error {
	return phase(ctx, "cleanup", or(stack, "dev"), yes, dryRun, json)
}

// Status shows where each stack stands in ADR-006's plan.
//
// Without a stack it shows what the last runs recorded; with one, AWS is asked.
func (Phase) Status(ctx context.Context,
	stack *string, // to ask AWS about
	json *bool, // as JSON
) error {
	args := []string{"phase", "status", flag("json", json)}
	if stack != nil {
		args = append(args, *stack)
	}
	return migrate(ctx, args...)
}

// Confirm records a person's word that a check of a phase passes.
//
// Such as "prepare plan-reviewed" or "prod window". The checklist of a phase names
// the checks that need it.
func (Phase) Confirm(ctx context.Context, name, check, by string,
	stack *string, // dev (default), staging or prod
	note *string, // what there is to say about it
) error {
	args := []string{"phase", "confirm", name, check, "--by=" + by, "--note=" + or(note, "")}
	if stack != nil {
		args = append(args, *stack)
	}
	return migrate(ctx, args...)
}

// Install builds the pinned tools into bin/: the Pulumi CLI, golangci-lint, govulncheck.
//
// A tool is built again only when its pin in tools/ changes. All three from
// nothing take about a quarter of an hour on two cores.
func (Tools) Install(ctx context.Context) error {
	return run(ctx, (*tasks.Workspace).InstallTools)
}

func recovery(ctx context.Context, command, stack string, flags ...string) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error { return w.Recovery(ctx, command, stack, flags...) })
}

func rotate(ctx context.Context, command, secret string, flags ...string) error {
	return runCommand(ctx, func(w *tasks.Workspace, ctx context.Context) error { return w.Rotate(ctx, command, secret, flags...) })
}

func pipeline(ctx context.Context, command, stack string, flags ...string) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error { return w.Pipeline(ctx, command, stack, flags...) })
}

func migrate(ctx context.Context, args ...string) error {
	return run(ctx, func(w *tasks.Workspace, ctx context.Context) error { return w.Migrate(ctx, args...) })
}

func phase(ctx context.Context, name, stack string, yes, dryRun, json *bool) error {
	return migrate(ctx, "phase", "run", name, stack, flag("yes", yes), flag("dry-run", dryRun), flag("json", json))
}

// flag is a flag of a command, which is off unless it was given.
func flag(name string, given *bool) string {
	return "--" + name + "=" + strconv.FormatBool(given != nil && *given)
}

// or returns what was given, or the default.
func or(given *string, otherwise string) string {
	if given == nil {
		return otherwise
	}
	return *given
}

func run(ctx context.Context, task func(*tasks.Workspace, context.Context) error) error {
	return show(ctx, os.Stdout, task)
}

// runCommand leaves standard output to the command of the task, which may write
// JSON there.
func runCommand(ctx context.Context, task func(*tasks.Workspace, context.Context) error) error {
	return show(ctx, os.Stderr, task)
}

func show(ctx context.Context, progress io.Writer, task func(*tasks.Workspace, context.Context) error) error {
	ctx, stop := tasks.Interruptible(ctx)
	defer stop()
	workspace, err := tasks.Open(".", progress)
	if err != nil {
		return err
	}
	return task(workspace, ctx)
}
