package program_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/infra/alarms"
	"github.com/aistudio/secrets/infra/audittrail"
	"github.com/aistudio/secrets/infra/budget"
	"github.com/aistudio/secrets/infra/cachelayer"
	"github.com/aistudio/secrets/infra/complianceauditor"
	"github.com/aistudio/secrets/infra/dailyfunction"
	"github.com/aistudio/secrets/infra/dashboard"
	"github.com/aistudio/secrets/infra/encryptionkey"
	"github.com/aistudio/secrets/infra/function"
	"github.com/aistudio/secrets/infra/managedsecret"
	"github.com/aistudio/secrets/infra/migrationscan"
	"github.com/aistudio/secrets/infra/network"
	"github.com/aistudio/secrets/infra/rotation"
	"github.com/aistudio/secrets/infra/rotationevents"
	"github.com/aistudio/secrets/infra/rotationfunction"
	"github.com/aistudio/secrets/infra/serviceaccess"
	"github.com/aistudio/secrets/sdk/spec"
)

// Every component names all that is missing and registers nothing, itself
// included.
func TestComponentsValidate(t *testing.T) {
	tests := map[string]struct {
		register func(*pulumi.Context) error
		want     []string
	}{
		"EncryptionKey": {
			func(ctx *pulumi.Context) error {
				_, err := encryptionkey.New(ctx, "x", encryptionkey.Args{Region: "us-east-1", Replica: &encryptionkey.Replica{Region: "us-east-1"}})
				return err
			},
			[]string{"encryption key x: ", "Alias", "Description", "AccountARN", "Administrators", "DeletionWindowDays is 0", "Tags", "Replica.Region", "Replica.Provider"},
		},
		"ManagedSecret": {
			func(ctx *pulumi.Context) error {
				reader := managedsecret.Reader{Service: "s", RoleARN: pulumi.String("arn"), RoleName: pulumi.String("name")}
				_, err := managedsecret.New(ctx, "x", managedsecret.Args{
					Name:               spec.Name{Organization: "o", Environment: "e", Service: "s"},
					RecoveryWindowDays: 31,
					Readers:            []managedsecret.Reader{reader, reader, {Service: "t"}},
					Replica:            &managedsecret.Replica{},
				})
				return err
			},
			[]string{"managed secret x: ", "the secret is empty", "tag Owner is missing", "Region is missing", "KeyARN", "RecoveryWindowDays is 31", "Administrators", "ReaderPolicyName", `"s" is there twice`, `"t": Service, RoleARN`, "Replica.Region", "Replica.KeyARN"},
		},
		"ServiceAccess": {
			func(ctx *pulumi.Context) error {
				_, err := serviceaccess.New(ctx, "x", serviceaccess.Args{Cache: &serviceaccess.Cache{}, ByTag: &serviceaccess.ByTag{}})
				return err
			},
			[]string{"service access x: ", "Prefix", "Role.Name", "Role.Services and Role.Principals", "FeedTables", "ByTag needs", "Tags"},
		},
		"RotationFunction": {
			func(ctx *pulumi.Context) error {
				_, err := rotationfunction.New(ctx, "x", rotationfunction.Args{
					Function: function.Args{Architecture: "386", MemoryMB: 1, TimeoutSeconds: 901, VPC: &function.VPC{SubnetIDs: []string{"s"}}, Standby: &function.Standby{}},
					Access:   rotationfunction.Access{ReplicaRegion: "us-west-2", Credentials: []rotationfunction.Credential{{}}},
				})
				return err
			},
			[]string{"rotation function x: ", `Name ""`, "ArchivePath", "AccountID", "Region", "Architecture", "MemoryMB", "TimeoutSeconds", "LogRetentionDays", "VPC", "Standby.Provider", "Standby.Allow", "Standby.VPC is missing", "Tags", "Access.Secrets", "Access.KeyARN", "Access.ReplicaKeyARN", "ARN is missing"},
		},
		"Function": {
			func(ctx *pulumi.Context) error {
				_, err := function.New(ctx, "x", function.Args{Name: "n"})
				return err
			},
			[]string{"function x: ", "ArchivePath", "Architecture", "MemoryMB", "TimeoutSeconds", "LogRetentionDays", "Tags"},
		},
		"Network": {
			func(ctx *pulumi.Context) error {
				_, err := network.New(ctx, "x", network.Args{Endpoints: []string{"dynamodb"}})
				return err
			},
			[]string{"network x: ", "VPCID", "Region", "AccountID", "SubnetIDs", "RouteTableIDs", "Tags"},
		},
		"RotationEvents": {
			func(ctx *pulumi.Context) error {
				_, err := rotationevents.New(ctx, "x", rotationevents.Args{Replica: &rotationevents.Replica{}, SecretPrefix: "aistudio/dev", Subscriptions: []rotationevents.Subscription{{}}})
				return err
			},
			[]string{"rotation events x: ", "Prefix is missing", "Environment", "Partition", "AccountID", "Region", "ArchivePath", "doesn't end in a slash", "Administrators", "DeletionWindowDays", "subscription {", "Replica needs another Region", "Tags"},
		},
		"CacheLayer": {
			func(ctx *pulumi.Context) error {
				_, err := cachelayer.New(ctx, "x", cachelayer.Args{
					Archives: map[string]string{"386": "x.zip"}, Accounts: []string{"me"}, Organization: "us", Readers: []cachelayer.Reader{{}, {}},
				})
				return err
			},
			[]string{"cache layer x: ", "Environment", "LayerName", `architecture "386"`, `"me"`, `"us"`, "FeedTable", `reader ""`, "twice", "Tags"},
		},
		"AuditTrail": {
			func(ctx *pulumi.Context) error {
				_, err := audittrail.New(ctx, "x", audittrail.Args{SecretPrefix: "a/b"})
				return err
			},
			[]string{"audit trail x: ", "Prefix", "Partition", "AccountID", "Region", "doesn't end in a slash", "KeyARN", "Administrators", "DeletionWindowDays", "RetentionDays", "Tags"},
		},
		"Budget": {
			func(ctx *pulumi.Context) error {
				_, err := budget.New(ctx, "x", budget.Args{Emails: make([]string, 11)})
				return err
			},
			[]string{"budget x: ", "Name", "Environment", "MonthlyUSD is 0", "TopicARN", "Emails has 11", "Tags"},
		},
		"Alarms": {
			func(ctx *pulumi.Context) error {
				_, err := alarms.New(ctx, "x", alarms.Args{Prefix: "p", Functions: []alarms.Function{{Name: "other"}}, Queues: []string{"other"}})
				return err
			},
			[]string{"alarms x: ", "Environment", "FailedRule", "TopicARN", "function {Name:other", `queue "other"`, "Tags"},
		},
		"Dashboard": {
			func(ctx *pulumi.Context) error {
				_, err := dashboard.New(ctx, "x", dashboard.Args{})
				return err
			},
			[]string{"dashboard x: ", "Name", "Environment", "Partition", "AccountID", "Region", "FeedTable", "Auditor", "ReportBucket", "Alarms has 0"},
		},
		"ComplianceAuditor": {
			func(ctx *pulumi.Context) error {
				_, err := complianceauditor.New(ctx, "x", complianceauditor.Args{Hour: 24, Reports: complianceauditor.Reports{Lock: "governance"}})
				return err
			},
			[]string{"compliance auditor x: ", "Prefix", "Environment", "Partition", "AccountID", "Region", "ArchivePath", "Hour is 24", "RetentionDays is 0", `Lock is "governance"`, "Topic", "Catalogue", "Tags"},
		},
		"MigrationScan": {
			func(ctx *pulumi.Context) error {
				_, err := migrationscan.New(ctx, "x", migrationscan.Args{AuditHour: 24})
				return err
			},
			[]string{"migration scan x: ", "Prefix", "Environment", "Partition", "AccountID", "Region", "ArchivePath", "AuditHour is 24", "BucketName", "Tags"},
		},
		"DailyFunction": {
			func(ctx *pulumi.Context) error {
				_, err := dailyfunction.New(ctx, "x", dailyfunction.Args{Hour: -1, Function: function.Args{TimeoutSeconds: 3}})
				return err
			},
			[]string{"daily function x: ", "Partition", "AccountID", "Region", "Hour is -1", "TimeoutSeconds or DeadLetters", `Name ""`},
		},
		"Rotation": {
			func(ctx *pulumi.Context) error {
				_, err := rotation.New(ctx, "x", rotation.Args{})
				return err
			},
			[]string{"rotation x: ", "SecretARN, FunctionARN, FunctionName and Permission", "neither Seed nor Schedule"},
		},
		"Rotation's seed and schedule": {
			func(ctx *pulumi.Context) error {
				_, err := rotation.New(ctx, "x", rotation.Args{
					Seed:     &spec.SeedRequest{SecretID: "s", Database: &spec.DatabaseSeed{}},
					Schedule: &rotation.Schedule{},
				})
				return err
			},
			[]string{"Seed has Step or SecretID", `"engine" is missing`, `"host" is missing`, "Schedule.Expression"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			record := &recorder{next: paperFor("dev")}
			err := pulumi.RunErr(test.register, pulumi.WithMocks("p", "s", record))
			require.Error(t, err)
			for _, want := range test.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Empty(t, record.resources)
		})
	}
}

// Components take Pulumi's resource options.
func TestComponentsTakeOptions(t *testing.T) {
	record := &recorder{next: paperFor("dev")}
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		parent, err := serviceaccess.New(ctx, "parent", serviceaccess.Args{Prefix: "p", Role: serviceaccess.Role{Name: "r", Services: []string{"lambda.amazonaws.com"}}, Tags: map[string]string{"a": "b"}})
		if err != nil {
			return err
		}
		_, err = serviceaccess.New(ctx, "child", serviceaccess.Args{Prefix: "p", Role: serviceaccess.Role{Name: "s", Services: []string{"lambda.amazonaws.com"}}, Tags: map[string]string{"a": "b"}},
			pulumi.Parent(parent), pulumi.Protect(true))
		return err
	}, pulumi.WithMocks("p", "s", record)))
	child := record.named("aistudio:secrets:ServiceAccess")["child"]
	assert.Contains(t, child.RegisterRPC.GetParent(), "ServiceAccess::parent")
	assert.True(t, record.named("aws:iam/role:Role")["child"].RegisterRPC.GetProtect(), "children inherit protection")
}
