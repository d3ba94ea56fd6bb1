package database

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/aistudio/secrets/rotators/rotation"
	"github.com/aistudio/secrets/sdk/spec"
)

// rdsReader is what this package calls of *rds.Client.
type rdsReader interface {
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
}

// The tags by which RDS says whose master secret it manages (RDS user guide,
// "Password management with Amazon RDS and AWS Secrets Manager"). Their case
// has varied: AWS's own functions ignore it.
const (
	instanceTag = "aws:rds:primaryDBInstanceArn"
	clusterTag  = "aws:rds:primaryDBClusterArn"
)

// endpoint is where a server is.
type endpoint struct {
	engine, host string
	port         int32
}

// locate adds engine, host and port to a master secret that RDS manages, which
// has only username and password. Any other is returned as it is.
func (t *Target) locate(ctx context.Context, arn string, v spec.Value) (spec.Value, error) {
	d, err := spec.ParseDatabase(v)
	if err != nil || d.Host != "" || d.Username == "" || d.Password.Len() == 0 {
		return v, nil //nolint:nilerr // whoever reads it next says what is wrong
	}
	doing := "finding the server that it's for"
	output, err := t.masters.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		return spec.Value{}, denied(doing, "describe the secret", err)
	}
	tags := map[string]string{}
	for _, tag := range output.Tags {
		tags[strings.ToLower(aws.ToString(tag.Key))] = aws.ToString(tag.Value)
	}
	var at endpoint
	switch instance, cluster := tags[strings.ToLower(instanceTag)], tags[strings.ToLower(clusterTag)]; {
	case instance == "" && cluster == "":
		return spec.Value{}, fmt.Errorf(`key "host" is missing, and the secret has no tag %s or %s that would tell it (%w)`, instanceTag, clusterTag, rotation.ErrDefinite)
	case t.rds == nil:
		return spec.Value{}, fmt.Errorf(`key "host" is missing, and this function can't ask RDS for it (%w)`, rotation.ErrDefinite)
	case cluster != "":
		at, err = t.cluster(ctx, cluster)
	default:
		at, err = t.instance(ctx, instance)
	}
	if err != nil {
		return spec.Value{}, fmt.Errorf("%s: %w", doing, err)
	}
	d.Engine, d.Host, d.Port = at.engine, at.host, int(at.port)
	return d.Encode()
}

func (t *Target) instance(ctx context.Context, arn string) (endpoint, error) {
	output, err := t.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &arn})
	if err != nil {
		return endpoint{}, denied("asking RDS for "+arn, "call rds:DescribeDBInstances", err)
	}
	for _, found := range output.DBInstances {
		if found.Endpoint != nil && found.Endpoint.Address != nil {
			return endpoint{aws.ToString(found.Engine), *found.Endpoint.Address, aws.ToInt32(found.Endpoint.Port)}, nil
		}
	}
	return endpoint{}, fmt.Errorf("%s has no endpoint yet", arn)
}

func (t *Target) cluster(ctx context.Context, arn string) (endpoint, error) {
	output, err := t.rds.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &arn})
	if err != nil {
		return endpoint{}, denied("asking RDS for "+arn, "call rds:DescribeDBClusters", err)
	}
	for _, found := range output.DBClusters {
		if found.Endpoint != nil {
			return endpoint{aws.ToString(found.Engine), *found.Endpoint, aws.ToInt32(found.Port)}, nil
		}
	}
	return endpoint{}, fmt.Errorf("%s has no endpoint yet", arn)
}

// replicaOf tells whether RDS knows the first host's instance as a replica of
// the second's, as AWS's own functions ask it. The name of an instance begins
// its host.
func replicaOf(ctx context.Context, client rdsReader, replica, primary string) (bool, error) {
	if client == nil {
		return false, nil
	}
	identifier, _, _ := strings.Cut(replica, ".")
	source, _, _ := strings.Cut(primary, ".")
	output, err := client.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &identifier})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "DBInstanceNotFound" {
		return false, nil
	}
	if err != nil {
		return false, denied("asking RDS whether it's a replica", "call rds:DescribeDBInstances", err)
	}
	for _, found := range output.DBInstances {
		if found.Endpoint == nil || !sameHost(aws.ToString(found.Endpoint.Address), replica) {
			continue // another account's or region's host of that name
		}
		// A replica in another region names its source by ARN.
		of := cmp.Or(aws.ToString(found.ReadReplicaSourceDBInstanceIdentifier), "?")
		if of[strings.LastIndex(of, ":")+1:] == source {
			return true, nil
		}
	}
	return false, nil
}
