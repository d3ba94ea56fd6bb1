package handlers

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// table is a DynamoDB table without indexes; its ID is its name.
type table struct {
	ARN                       string           `json:"arn" prop:"out"`
	Attributes                []tableAttribute `json:"attributes,omitempty" prop:"in,set,replace"`
	BillingMode               string           `json:"billingMode" prop:"in,default=\"PROVISIONED\""`
	DeletionProtectionEnabled bool             `json:"deletionProtectionEnabled" prop:"in,default=false"`
	HashKey                   string           `json:"hashKey" prop:"in,out,replace"`
	Name                      string           `json:"name" prop:"in,replace,auto=255"`
	PointInTimeRecovery       *pointInTime     `json:"pointInTimeRecovery,omitempty" prop:"in,out"`
	RangeKey                  string           `json:"rangeKey,omitempty" prop:"in,replace"`
	ReadCapacity              int              `json:"readCapacity" prop:"in,out"`
	Replicas                  []tableReplica   `json:"replicas,omitempty" prop:"in,set"`
	ServerSideEncryption      *tableEncryption `json:"serverSideEncryption,omitempty" prop:"in,out"`
	StreamARN                 string           `json:"streamArn" prop:"out"`
	StreamEnabled             bool             `json:"streamEnabled" prop:"in,out"`
	StreamLabel               string           `json:"streamLabel" prop:"out"`
	StreamViewType            string           `json:"streamViewType" prop:"in,out"`
	TTL                       *tableTTL        `json:"ttl,omitempty" prop:"in,out"`
	WriteCapacity             int              `json:"writeCapacity" prop:"in,out"`
	tagged
}

type tableAttribute struct {
	Name string `json:"name" prop:"in,required,key"`
	Type string `json:"type" prop:"in,required"`
}

type pointInTime struct {
	Enabled              bool `json:"enabled" prop:"in,required"`
	RecoveryPeriodInDays int  `json:"recoveryPeriodInDays,omitempty" prop:"in,out"`
}

type tableEncryption struct {
	Enabled   bool   `json:"enabled" prop:"in,required"`
	KMSKeyARN string `json:"kmsKeyArn,omitempty" prop:"in,out"`
}

type tableTTL struct {
	AttributeName string `json:"attributeName,omitempty" prop:"in"`
	Enabled       bool   `json:"enabled" prop:"in,default=false"`
}

func tableKind() resourceType {
	return kind[table]{
		token:  "aws:dynamodb/table:Table",
		create: createTable,
		read:   readTable,
		update: updateTable,
		remove: func(ctx context.Context, c *clients, id string, t *table) error {
			if err := setReplicas(ctx, c, t, &table{Name: id}); err != nil {
				return unlessGone[*dynamotypes.ResourceNotFoundException](err)
			}
			_, err := c.dynamodb.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &id})
			return unlessGone[*dynamotypes.ResourceNotFoundException](err)
		},
	}
}

func createTable(ctx context.Context, c *clients, t *table) (string, error) {
	in := &dynamodb.CreateTableInput{
		BillingMode:               dynamotypes.BillingMode(t.BillingMode),
		DeletionProtectionEnabled: &t.DeletionProtectionEnabled,
		KeySchema:                 []dynamotypes.KeySchemaElement{{AttributeName: &t.HashKey, KeyType: dynamotypes.KeyTypeHash}},
		ProvisionedThroughput:     t.throughput(),
		SSESpecification:          t.ServerSideEncryption.specification(),
		StreamSpecification:       t.streams(),
		TableName:                 &t.Name,
		Tags:                      tagList(t.Tags, dynamoTag),
	}
	if t.RangeKey != "" {
		in.KeySchema = append(in.KeySchema, dynamotypes.KeySchemaElement{AttributeName: &t.RangeKey, KeyType: dynamotypes.KeyTypeRange})
	}
	for _, attribute := range t.Attributes {
		in.AttributeDefinitions = append(in.AttributeDefinitions, dynamotypes.AttributeDefinition{
			AttributeName: aws.String(attribute.Name), AttributeType: dynamotypes.ScalarAttributeType(attribute.Type),
		})
	}
	if _, err := c.dynamodb.CreateTable(ctx, in); err != nil {
		return "", err
	}
	if err := setTable(ctx, c, &table{Name: t.Name}, t); err != nil {
		return t.Name, err
	}
	return t.Name, setReplicas(ctx, c, &table{Name: t.Name}, t)
}

func (t *table) throughput() *dynamotypes.ProvisionedThroughput {
	if t.BillingMode != string(dynamotypes.BillingModeProvisioned) {
		return nil
	}
	return &dynamotypes.ProvisionedThroughput{ReadCapacityUnits: aws.Int64(int64(t.ReadCapacity)), WriteCapacityUnits: aws.Int64(int64(t.WriteCapacity))}
}

func (e *tableEncryption) specification() *dynamotypes.SSESpecification {
	if e == nil || !e.Enabled {
		return nil
	}
	return &dynamotypes.SSESpecification{Enabled: aws.Bool(true), SSEType: dynamotypes.SSETypeKms, KMSMasterKeyId: optional(e.KMSKeyARN)}
}

// setTable makes what DynamoDB has calls of its own for.
func setTable(ctx context.Context, c *clients, old, t *table) error {
	if recovers(old) != recovers(t) {
		if _, err := c.dynamodb.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        &t.Name,
			PointInTimeRecoverySpecification: &dynamotypes.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(recovers(t))},
		}); err != nil {
			return err
		}
	}
	was, is := old.TTL.attribute(), t.TTL.attribute()
	if was == is {
		return nil
	}
	specification := &dynamotypes.TimeToLiveSpecification{AttributeName: &is, Enabled: aws.Bool(is != "")}
	if is == "" {
		specification.AttributeName = &was
	}
	_, err := c.dynamodb.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{TableName: &t.Name, TimeToLiveSpecification: specification})
	return err
}

func recovers(t *table) bool { return t.PointInTimeRecovery != nil && t.PointInTimeRecovery.Enabled }

// attribute is the one that says when an item ends, "" for none.
func (t *tableTTL) attribute() string {
	if t == nil || !t.Enabled {
		return ""
	}
	return t.AttributeName
}

func readTable(ctx context.Context, c *clients, id string, t *table) error {
	described, err := c.dynamodb.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &id})
	if err != nil {
		return gone[*dynamotypes.ResourceNotFoundException](err)
	}
	got := described.Table
	t.ARN, t.Name = aws.ToString(got.TableArn), aws.ToString(got.TableName)
	t.DeletionProtectionEnabled = aws.ToBool(got.DeletionProtectionEnabled)
	t.BillingMode = string(dynamotypes.BillingModeProvisioned)
	if got.BillingModeSummary != nil && got.BillingModeSummary.BillingMode != "" {
		t.BillingMode = string(got.BillingModeSummary.BillingMode)
	}
	if got.ProvisionedThroughput != nil {
		t.ReadCapacity = int(aws.ToInt64(got.ProvisionedThroughput.ReadCapacityUnits))
		t.WriteCapacity = int(aws.ToInt64(got.ProvisionedThroughput.WriteCapacityUnits))
	}
	t.Attributes = nil
	for _, attribute := range got.AttributeDefinitions {
		t.Attributes = append(t.Attributes, tableAttribute{aws.ToString(attribute.AttributeName), string(attribute.AttributeType)})
	}
	t.HashKey, t.RangeKey = "", ""
	for _, element := range got.KeySchema {
		if element.KeyType == dynamotypes.KeyTypeHash {
			t.HashKey = aws.ToString(element.AttributeName)
		} else {
			t.RangeKey = aws.ToString(element.AttributeName)
		}
	}
	t.ServerSideEncryption = &tableEncryption{}
	if got.SSEDescription != nil && got.SSEDescription.Status == dynamotypes.SSEStatusEnabled {
		t.ServerSideEncryption = &tableEncryption{Enabled: true, KMSKeyARN: aws.ToString(got.SSEDescription.KMSMasterKeyArn)}
	}
	if err := t.readReplicas(ctx, c, got); err != nil {
		return err
	}
	return t.readSettings(ctx, c)
}

// readSettings reads what DynamoDB has calls of its own for.
func (t *table) readSettings(ctx context.Context, c *clients) error {
	backups, err := c.dynamodb.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &t.Name})
	if err != nil {
		return err
	}
	t.PointInTimeRecovery = &pointInTime{}
	if recovery := backups.ContinuousBackupsDescription.PointInTimeRecoveryDescription; recovery != nil {
		t.PointInTimeRecovery.Enabled = recovery.PointInTimeRecoveryStatus == dynamotypes.PointInTimeRecoveryStatusEnabled
		t.PointInTimeRecovery.RecoveryPeriodInDays = int(aws.ToInt32(recovery.RecoveryPeriodInDays))
	}
	lifetime, err := c.dynamodb.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &t.Name})
	if err != nil {
		return err
	}
	t.TTL = &tableTTL{}
	if description := lifetime.TimeToLiveDescription; description != nil {
		switch description.TimeToLiveStatus {
		case dynamotypes.TimeToLiveStatusEnabled, dynamotypes.TimeToLiveStatusEnabling:
			t.TTL = &tableTTL{AttributeName: aws.ToString(description.AttributeName), Enabled: true}
		}
	}
	listed, err := c.dynamodb.ListTagsOfResource(ctx, &dynamodb.ListTagsOfResourceInput{ResourceArn: &t.ARN})
	if err != nil {
		return err
	}
	t.setTags(tagMap(listed.Tags, func(tag dynamotypes.Tag) (*string, *string) { return tag.Key, tag.Value }))
	return nil
}

func dynamoTag(key, value string) dynamotypes.Tag {
	return dynamotypes.Tag{Key: &key, Value: &value}
}

func updateTable(ctx context.Context, c *clients, id string, old, t *table) error {
	in := &dynamodb.UpdateTableInput{TableName: &id}
	if old.BillingMode != t.BillingMode || old.ReadCapacity != t.ReadCapacity || old.WriteCapacity != t.WriteCapacity {
		in.BillingMode, in.ProvisionedThroughput = dynamotypes.BillingMode(t.BillingMode), t.throughput()
	}
	if old.DeletionProtectionEnabled != t.DeletionProtectionEnabled {
		in.DeletionProtectionEnabled = &t.DeletionProtectionEnabled
	}
	if was, is := old.ServerSideEncryption, t.ServerSideEncryption; was != nil && is != nil && *was != *is {
		in.SSESpecification = is.specification()
		if in.SSESpecification == nil {
			in.SSESpecification = &dynamotypes.SSESpecification{Enabled: aws.Bool(false)}
		}
	}
	if old.StreamEnabled != t.StreamEnabled {
		in.StreamSpecification = cmp.Or(t.streams(), &dynamotypes.StreamSpecification{StreamEnabled: aws.Bool(false)})
	}
	if in.BillingMode != "" || in.DeletionProtectionEnabled != nil || in.SSESpecification != nil || in.StreamSpecification != nil {
		if _, err := c.dynamodb.UpdateTable(ctx, in); err != nil {
			return err
		}
	}
	if err := setTable(ctx, c, old, t); err != nil {
		return err
	}
	if err := setReplicas(ctx, c, old, t); err != nil {
		return err
	}
	put, remove := tagChanges(old.Tags, t.Tags)
	if len(remove) > 0 {
		if _, err := c.dynamodb.UntagResource(ctx, &dynamodb.UntagResourceInput{ResourceArn: &old.ARN, TagKeys: remove}); err != nil {
			return err
		}
	}
	if len(put) > 0 {
		if _, err := c.dynamodb.TagResource(ctx, &dynamodb.TagResourceInput{ResourceArn: &old.ARN, Tags: tagList(put, dynamoTag)}); err != nil {
			return err
		}
	}
	return nil
}
