package handlers

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// tableReplica is a table's replica in another region.
type tableReplica struct {
	ARN                 string `json:"arn,omitempty" prop:"in,out"`
	PointInTimeRecovery bool   `json:"pointInTimeRecovery" prop:"in,default=false"`
	PropagateTags       bool   `json:"propagateTags" prop:"in,writeonly,default=false"`
	RegionName          string `json:"regionName" prop:"in,required,key"`
	StreamARN           string `json:"streamArn,omitempty" prop:"in,out"`
	StreamLabel         string `json:"streamLabel,omitempty" prop:"in,out"`
}

func (t *table) streams() *dynamotypes.StreamSpecification {
	if !t.StreamEnabled {
		return nil
	}
	return &dynamotypes.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: dynamotypes.StreamViewType(t.StreamViewType)}
}

func (t *table) replica(region string) (tableReplica, bool) {
	at := slices.IndexFunc(t.Replicas, func(r tableReplica) bool { return r.RegionName == region })
	if at < 0 {
		return tableReplica{}, false
	}
	return t.Replicas[at], true
}

// setReplicas makes and removes replicas, and sets what each has of its own.
func setReplicas(ctx context.Context, c *clients, old, t *table) error {
	change := func(update dynamotypes.ReplicationGroupUpdate) error {
		_, err := c.dynamodb.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &t.Name, ReplicaUpdates: []dynamotypes.ReplicationGroupUpdate{update}})
		return err
	}
	for _, was := range old.Replicas {
		if _, stays := t.replica(was.RegionName); stays {
			continue
		}
		if err := change(dynamotypes.ReplicationGroupUpdate{Delete: &dynamotypes.DeleteReplicationGroupMemberAction{RegionName: aws.String(was.RegionName)}}); err != nil {
			return err
		}
	}
	for _, is := range t.Replicas {
		was, there := old.replica(is.RegionName)
		if !there {
			if err := change(dynamotypes.ReplicationGroupUpdate{Create: &dynamotypes.CreateReplicationGroupMemberAction{RegionName: aws.String(is.RegionName)}}); err != nil {
				return err
			}
		}
		if err := setReplica(ctx, c.inRegion(is.RegionName), t, was, is, old.Tags); err != nil {
			return err
		}
	}
	return nil
}

func setReplica(ctx context.Context, there *clients, t *table, was, is tableReplica, oldTags map[string]string) error {
	if was.PointInTimeRecovery != is.PointInTimeRecovery {
		if _, err := there.dynamodb.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        &t.Name,
			PointInTimeRecoverySpecification: &dynamotypes.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: &is.PointInTimeRecovery},
		}); err != nil {
			return err
		}
	}
	if !is.PropagateTags {
		return nil
	}
	described, err := there.dynamodb.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &t.Name})
	if err != nil {
		return err
	}
	if !was.PropagateTags {
		oldTags = nil
	}
	put, remove := tagChanges(oldTags, t.Tags)
	if len(remove) > 0 {
		if _, err := there.dynamodb.UntagResource(ctx, &dynamodb.UntagResourceInput{ResourceArn: described.Table.TableArn, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		_, err = there.dynamodb.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: described.Table.TableArn, Tags: tagList(put, dynamoTag)})
	}
	return err
}

// readReplicas reads streams and replicas.
func (t *table) readReplicas(ctx context.Context, c *clients, got *dynamotypes.TableDescription) error {
	t.StreamEnabled, t.StreamViewType = false, ""
	if got.StreamSpecification != nil {
		t.StreamEnabled, t.StreamViewType = aws.ToBool(got.StreamSpecification.StreamEnabled), string(got.StreamSpecification.StreamViewType)
	}
	t.StreamARN, t.StreamLabel = aws.ToString(got.LatestStreamArn), aws.ToString(got.LatestStreamLabel)
	known := &table{Replicas: t.Replicas}
	t.Replicas = nil
	for _, replica := range got.Replicas {
		read, _ := known.replica(aws.ToString(replica.RegionName))
		read.RegionName = aws.ToString(replica.RegionName)
		there := c.inRegion(read.RegionName)
		described, err := there.dynamodb.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &t.Name})
		if err != nil {
			return err
		}
		read.ARN, read.StreamARN, read.StreamLabel = aws.ToString(described.Table.TableArn), aws.ToString(described.Table.LatestStreamArn), aws.ToString(described.Table.LatestStreamLabel)
		backups, err := there.dynamodb.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &t.Name})
		if err != nil {
			return err
		}
		recovery := backups.ContinuousBackupsDescription.PointInTimeRecoveryDescription
		read.PointInTimeRecovery = recovery != nil && recovery.PointInTimeRecoveryStatus == dynamotypes.PointInTimeRecoveryStatusEnabled
		t.Replicas = append(t.Replicas, read)
	}
	slices.SortFunc(t.Replicas, func(a, b tableReplica) int { return cmp.Compare(a.RegionName, b.RegionName) })
	return nil
}
