package database

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

const (
	instanceARN = "arn:aws:rds:us-east-1:123456789012:db:main"
	clusterARN  = "arn:aws:rds:us-east-1:123456789012:cluster:main"
)

// managed are master secrets that RDS manages, all with the same tags.
type managed struct {
	secrets
	tags map[string]string
	err  error
}

func (m managed) DescribeSecret(_ context.Context, in *secretsmanager.DescribeSecretInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	if m.err != nil {
		return nil, m.err
	}
	output := &secretsmanager.DescribeSecretOutput{ARN: in.SecretId}
	for key, value := range m.tags {
		output.Tags = append(output.Tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	return output, nil
}

// servers are what RDS knows, by ARN and by identifier.
type servers struct {
	instances map[string]rdstypes.DBInstance
	clusters  map[string]rdstypes.DBCluster
	err       error
}

func (s servers) DescribeDBInstances(_ context.Context, in *rds.DescribeDBInstancesInput, _ ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	if s.err != nil {
		return nil, s.err
	}
	found, ok := s.instances[*in.DBInstanceIdentifier]
	if !ok {
		return nil, &rdstypes.DBInstanceNotFoundFault{}
	}
	return &rds.DescribeDBInstancesOutput{DBInstances: []rdstypes.DBInstance{found}}, nil
}

func (s servers) DescribeDBClusters(_ context.Context, in *rds.DescribeDBClustersInput, _ ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	found, ok := s.clusters[*in.DBClusterIdentifier]
	if !ok {
		return nil, &rdstypes.DBClusterNotFoundFault{}
	}
	return &rds.DescribeDBClustersOutput{DBClusters: []rdstypes.DBCluster{found}}, nil
}

// A master secret that RDS manages holds a user and a password only. Where its
// server is, its tags and RDS tell.
func TestAMasterThatRDSManagesIsFound(t *testing.T) {
	for name, tag := range map[string][2]string{
		"an instance":     {instanceTag, instanceARN},
		"a cluster":       {clusterTag, clusterARN},
		"in another case": {"aws:rds:primarydbinstancearn", instanceARN},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, f *fixture, _ func(...string), _ func(string) bool) {
				master := f.parse(f.masters[masterARN])
				f.masters[masterARN] = spec.ValueString(fmt.Sprintf(`{"username":%q,"password":%q}`, master.Username, master.Password.RevealString()))
				known := servers{
					instances: map[string]rdstypes.DBInstance{instanceARN: {
						Engine: &master.Engine, Endpoint: &rdstypes.Endpoint{Address: &master.Host, Port: aws.Int32(int32(master.Port))},
					}},
					clusters: map[string]rdstypes.DBCluster{clusterARN: {Engine: &master.Engine, Endpoint: &master.Host, Port: aws.Int32(int32(master.Port))}},
				}
				options := Options{RootCAs: roots(t, postgres.CAFile, mariadb.CAFile), RDS: known, Logger: f.target.log}
				f.target = New(managed{secrets: f.masters, tags: map[string]string{tag[0]: tag[1]}}, options)
				f.seed()
				f.rotate()
				f.rotate()
			})
		})
	}
}

func TestAMasterWithoutAHostIsRefused(t *testing.T) {
	f := newFixture(t)
	f.masters[masterARN] = spec.ValueString(`{"username":"admin","password":"canary"}`)
	denied := &smithy.GenericAPIError{Code: "AccessDenied", Message: "not authorized", Fault: smithy.FaultClient}
	for message, target := range map[string]*Target{
		instanceTag:                    New(managed{secrets: f.masters}, Options{RDS: servers{}, Logger: f.target.log}),
		"can't ask RDS":                New(managed{secrets: f.masters, tags: map[string]string{instanceTag: instanceARN}}, Options{Logger: f.target.log}),
		"call rds:DescribeDBInstances": New(managed{secrets: f.masters, tags: map[string]string{instanceTag: instanceARN}}, Options{RDS: servers{err: denied}, Logger: f.target.log}),
		"call rds:DescribeDBClusters":  New(managed{secrets: f.masters, tags: map[string]string{clusterTag: clusterARN}}, Options{RDS: servers{}, Logger: f.target.log}),
		"describe the secret":          New(managed{secrets: f.masters, err: denied}, Options{RDS: servers{}, Logger: f.target.log}),
	} {
		_, err := target.master(t.Context(), masterARN, change{})
		require.ErrorIs(t, err, rotation.ErrDefinite, message)
		require.ErrorContains(t, err, message)
		assert.NotContains(t, err.Error(), "canary")
	}

	starting := servers{instances: map[string]rdstypes.DBInstance{instanceARN: {Engine: aws.String("mysql")}}}
	target := New(managed{secrets: f.masters, tags: map[string]string{instanceTag: instanceARN}}, Options{RDS: starting, Logger: f.target.log})
	_, err := target.master(t.Context(), masterARN, change{})
	require.ErrorContains(t, err, "no endpoint yet")
	require.NotErrorIs(t, err, rotation.ErrDefinite, "it will have one")
}

// On MySQL RDS tells which instance is a replica of which.
func TestMySQLAReplicasUsersAreChangedAtItsPrimary(t *testing.T) {
	f := newMySQLFixture(t)
	const primary, replica = "primary.abc.us-east-1.rds.amazonaws.com", "replica.abc.us-east-1.rds.amazonaws.com"
	f.seed()
	master := f.adminValue()
	master.Host = primary
	f.masters[masterARN] = f.encode(master)
	d := f.parse(f.current)
	d.Host = replica
	f.current = f.encode(d)
	known := servers{instances: map[string]rdstypes.DBInstance{"replica": {
		Endpoint: &rdstypes.Endpoint{Address: aws.String(replica)}, ReadReplicaSourceDBInstanceIdentifier: aws.String("primary"),
	}}}
	options := Options{
		RDS: known, ServerNames: map[string]string{primary: "localhost", replica: "localhost"},
	}
	f.target = f.newTarget(options)
	f.target.network.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("%s:%d", mariadb.Host, mariadb.Port))
	}
	f.rotate()

	for name, of := range map[string]rdstypes.DBInstance{
		"of another":   {Endpoint: &rdstypes.Endpoint{Address: aws.String(replica)}, ReadReplicaSourceDBInstanceIdentifier: aws.String("other")},
		"no replica":   {Endpoint: &rdstypes.Endpoint{Address: aws.String(replica)}},
		"another host": {Endpoint: &rdstypes.Endpoint{Address: aws.String("replica.other.us-east-1.rds.amazonaws.com")}, ReadReplicaSourceDBInstanceIdentifier: aws.String("primary")},
	} {
		known.instances["replica"] = of
		f.refused(f.tryRotate, "must be for the same server")
		_ = name
	}
	delete(known.instances, "replica")
	f.refused(f.tryRotate, "must be for the same server")
}

func TestParseServerNames(t *testing.T) {
	none, err := ParseServerNames("")
	require.NoError(t, err)
	assert.Empty(t, none)
	names, err := ParseServerNames(`{"db.internal":"main.abc.us-east-1.rds.amazonaws.com"}`)
	require.NoError(t, err)
	n := network{names: names}
	assert.Equal(t, "main.abc.us-east-1.rds.amazonaws.com", n.tls("DB.internal.").ServerName)
	assert.Equal(t, "other", n.tls("other").ServerName)
	for _, wrong := range []string{"db", `{"db":1}`, `{"db":""}`, `["db"]`} {
		_, err := ParseServerNames(wrong)
		require.Error(t, err, wrong)
	}
}
