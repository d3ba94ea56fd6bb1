// Package dynamodb is the local cloud's Amazon DynamoDB: tables with a partition
// key and perhaps a sort key, items, queries, scans, conditions, updates, batch
// and transactional writes, time to live, and replicas in other regions. Streams have
// a setting and no records; indexes and PartiQL are refused.
package dynamodb

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/aistudio/secrets/localcloud/api"
)

// Service is Amazon DynamoDB.
type Service struct {
	env *api.Env

	mu     sync.Mutex
	tables map[place]map[string]*table // by name
}

type place struct{ account, region string }

type table struct {
	name, arn, id string
	created       time.Time
	hash, sort    string // attribute names; sort may be empty
	types         map[string]string
	billing       string
	read, write   int64
	encryption    *sseSpecification
	protected     bool
	ttl           string
	recovery      bool
	tags          map[string]string
	stream        streamSpecification
	replicas      others
	items         []item // in the order of the keys
}

// New makes a DynamoDB without tables.
func New(env *api.Env) *Service {
	return &Service{env: env, tables: map[place]map[string]*table{}}
}

// Name implements api.Service.
func (s *Service) Name() string { return "dynamodb" }

// Protocol implements api.Service.
func (s *Service) Protocol() api.Protocol { return api.JSONRPC{Version: "1.0"} }

// SensitiveMembers implements api.Sensitive: CloudTrail doesn't show items.
func (s *Service) SensitiveMembers() []string {
	return []string{"Item", "ExpressionAttributeValues", "RequestItems", "TransactItems"}
}

// Handler implements api.Service.
func (s *Service) Handler(operation string) api.Handler {
	return map[string]api.Handler{
		"CreateTable":               api.JSON(s.createTable),
		"DescribeTable":             api.JSON(s.describeTable),
		"UpdateTable":               api.JSON(s.updateTable),
		"DeleteTable":               api.JSON(s.deleteTable),
		"ListTables":                api.JSON(s.listTables),
		"UpdateTimeToLive":          api.JSON(s.updateTimeToLive),
		"DescribeTimeToLive":        api.JSON(s.describeTimeToLive),
		"UpdateContinuousBackups":   api.JSON(s.updateContinuousBackups),
		"DescribeContinuousBackups": api.JSON(s.describeContinuousBackups),
		"TagResource":               api.JSON(s.tagResource),
		"UntagResource":             api.JSON(s.untagResource),
		"ListTagsOfResource":        api.JSON(s.listTags),
		"PutItem":                   api.JSON(s.putItem),
		"GetItem":                   api.JSON(s.getItem),
		"UpdateItem":                api.JSON(s.updateItem),
		"DeleteItem":                api.JSON(s.deleteItem),
		"Query":                     api.JSON(s.query),
		"Scan":                      api.JSON(s.scan),
		"BatchWriteItem":            api.JSON(s.batchWriteItem),
		"BatchGetItem":              api.JSON(s.batchGetItem),
		"TransactWriteItems":        api.JSON(s.transactWriteItems),
	}[operation]
}

func at(r *api.Request) place { return place{r.Account, r.Region} }

var arnRegion = regexp.MustCompile(`^arn:aws:dynamodb:([a-z0-9-]+):`)

var arnSyntax = regexp.MustCompile(`^arn:aws:dynamodb:[a-z0-9-]+:\d{12}:table/([A-Za-z0-9_.-]+)$`)

// open finds a table, by name or ARN, that the caller may do action to. s.mu is
// held.
func (s *Service) open(ctx context.Context, r *api.Request, name, action string, keys ...value) (*table, error) {
	if m := arnSyntax.FindStringSubmatch(name); m != nil {
		name = m[1]
	}
	arn := r.ARN("dynamodb", "table/"+name)
	check := api.Check{Action: "dynamodb:" + action, Resource: arn, Context: map[string][]string{}}
	t := s.tables[at(r)][name]
	if t != nil {
		for k, v := range t.tags {
			check.Context["aws:ResourceTag/"+k] = []string{v}
		}
	}
	for _, key := range keys {
		if key.S != nil {
			check.Context["dynamodb:LeadingKeys"] = append(check.Context["dynamodb:LeadingKeys"], *key.S)
		}
	}
	if err := r.Authorize(ctx, check); err != nil {
		return nil, err
	}
	r.TrailResources = append(r.TrailResources, arn)
	if t == nil {
		return nil, api.Errorf("ResourceNotFoundException", "Requested resource not found: Table: %s not found", name)
	}
	s.expire(t)
	return t, nil
}

// expire drops items whose time to live has passed. AWS takes up to a few days
// for it and shows them meanwhile; the emulator drops them at once.
func (s *Service) expire(t *table) {
	if t.ttl == "" {
		return
	}
	now := s.env.Clock.Now().Unix()
	t.items = slices.DeleteFunc(t.items, func(i item) bool {
		n := i[t.ttl].N
		return n != nil && number(*n).Cmp(number(unix(now))) < 0
	})
}

type keyElement struct{ AttributeName, KeyType string }

type attributeDefinition struct{ AttributeName, AttributeType string }

type throughput struct{ ReadCapacityUnits, WriteCapacityUnits int64 }

type sseSpecification struct {
	Enabled        bool
	SSEType        string
	KMSMasterKeyID string `json:"KMSMasterKeyId"`
}

type tag struct{ Key, Value string }

type createTableInput struct {
	TableName                 string
	KeySchema                 []keyElement
	AttributeDefinitions      []attributeDefinition
	BillingMode               string
	ProvisionedThroughput     *throughput
	SSESpecification          *sseSpecification
	DeletionProtectionEnabled bool
	TableClass                string
	StreamSpecification       *streamSpecification
	Tags                      []tag
}

type description struct {
	TableName                 string
	TableArn                  string
	TableID                   string `json:"TableId"`
	TableStatus               string
	CreationDateTime          *api.Time
	KeySchema                 []keyElement
	AttributeDefinitions      []attributeDefinition
	ItemCount                 int
	BillingModeSummary        map[string]string
	ProvisionedThroughput     throughput
	SSEDescription            map[string]string `json:",omitempty"`
	DeletionProtectionEnabled bool
	StreamSpecification       *streamSpecification `json:",omitempty"`
	LatestStreamArn           string               `json:",omitempty"`
	LatestStreamLabel         string               `json:",omitempty"`
	GlobalTableVersion        string               `json:",omitempty"`
	Replicas                  []replicaDescription `json:",omitempty"`
}

type tableOutput struct {
	Table            *description `json:",omitempty"`
	TableDescription *description `json:",omitempty"`
}

func (t *table) describe() *description {
	d := &description{
		TableName: t.name, TableArn: t.arn, TableID: t.id, TableStatus: "ACTIVE", CreationDateTime: api.NewTime(t.created),
		KeySchema:          []keyElement{{t.hash, "HASH"}},
		ItemCount:          len(t.items),
		BillingModeSummary: map[string]string{"BillingMode": t.billing}, ProvisionedThroughput: throughput{t.read, t.write},
		DeletionProtectionEnabled: t.protected,
	}
	if t.sort != "" {
		d.KeySchema = append(d.KeySchema, keyElement{t.sort, "RANGE"})
	}
	for _, name := range slices.Sorted(maps.Keys(t.types)) {
		d.AttributeDefinitions = append(d.AttributeDefinitions, attributeDefinition{name, t.types[name]})
	}
	if t.encryption != nil && t.encryption.Enabled {
		d.SSEDescription = map[string]string{"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": t.encryption.KMSMasterKeyID}
	}
	t.showReplicas(d)
	return d
}

var tableSyntax = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

func (in *createTableInput) parse() (*table, error) {
	t := &table{
		name: in.TableName, types: map[string]string{}, billing: in.BillingMode, encryption: in.SSESpecification,
		protected: in.DeletionProtectionEnabled, tags: map[string]string{}, replicas: others{},
	}
	if in.StreamSpecification != nil {
		t.stream = *in.StreamSpecification
	}
	if !tableSyntax.MatchString(in.TableName) {
		return nil, api.Errorf("ValidationException", "TableName must be 3 to 255 letters, digits, _, - and .")
	}
	for _, k := range in.KeySchema {
		if k.KeyType == "HASH" {
			t.hash = k.AttributeName
		} else {
			t.sort = k.AttributeName
		}
	}
	for _, d := range in.AttributeDefinitions {
		if d.AttributeName != t.hash && d.AttributeName != t.sort {
			return nil, api.Errorf("ValidationException", "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
		}
		t.types[d.AttributeName] = d.AttributeType
	}
	if t.hash == "" || t.types[t.hash] == "" || t.sort != "" && t.types[t.sort] == "" {
		return nil, api.Errorf("ValidationException", "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions")
	}
	if t.billing == "" {
		t.billing = "PROVISIONED"
	}
	if (t.billing == "PROVISIONED") != (in.ProvisionedThroughput != nil) {
		return nil, api.Errorf("ValidationException", "ProvisionedThroughput belongs to the billing mode PROVISIONED.")
	}
	if in.ProvisionedThroughput != nil {
		t.read, t.write = in.ProvisionedThroughput.ReadCapacityUnits, in.ProvisionedThroughput.WriteCapacityUnits
	}
	for _, x := range in.Tags {
		t.tags[x.Key] = x.Value
	}
	return t, nil
}

func (s *Service) createTable(ctx context.Context, r *api.Request, in *createTableInput) (*tableOutput, error) {
	arn := r.ARN("dynamodb", "table/"+in.TableName)
	if err := r.Authorize(ctx, api.Check{Action: "dynamodb:CreateTable", Resource: arn}); err != nil {
		return nil, err
	}
	t, err := in.parse()
	if err != nil {
		return nil, err
	}
	t.arn, t.id, t.created = arn, uuid.NewString(), r.Time
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tables[at(r)] == nil {
		s.tables[at(r)] = map[string]*table{}
	}
	if s.tables[at(r)][t.name] != nil {
		return nil, api.Errorf("ResourceInUseException", "Table already exists: %s", t.name)
	}
	s.tables[at(r)][t.name] = t
	return &tableOutput{TableDescription: t.describe()}, nil
}

type tableInput struct{ TableName string }

func (s *Service) describeTable(ctx context.Context, r *api.Request, in *tableInput) (*tableOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, "DescribeTable")
	if err != nil {
		return nil, err
	}
	return &tableOutput{Table: t.describe()}, nil
}

type updateTableInput struct {
	TableName                 string
	BillingMode               string
	ProvisionedThroughput     *throughput
	SSESpecification          *sseSpecification
	DeletionProtectionEnabled *bool
	StreamSpecification       *streamSpecification
	ReplicaUpdates            []replicaUpdate
}

func (s *Service) updateTable(ctx context.Context, r *api.Request, in *updateTableInput) (*tableOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, "UpdateTable")
	if err != nil {
		return nil, err
	}
	if in.BillingMode != "" {
		t.billing = in.BillingMode
	}
	if in.ProvisionedThroughput != nil {
		t.read, t.write = in.ProvisionedThroughput.ReadCapacityUnits, in.ProvisionedThroughput.WriteCapacityUnits
	}
	if in.SSESpecification != nil {
		t.encryption = in.SSESpecification
	}
	if in.DeletionProtectionEnabled != nil {
		t.protected = *in.DeletionProtectionEnabled
	}
	if in.StreamSpecification != nil {
		t.stream = *in.StreamSpecification
	}
	if len(in.ReplicaUpdates) > 1 {
		return nil, api.Errorf("ValidationException", "Only one replica update is allowed in a request.")
	}
	for _, update := range in.ReplicaUpdates {
		if err := s.replicate(ctx, r, t, update); err != nil {
			return nil, err
		}
	}
	return &tableOutput{TableDescription: t.describe()}, nil
}

func (s *Service) deleteTable(ctx context.Context, r *api.Request, in *tableInput) (*tableOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, "DeleteTable")
	if err != nil {
		return nil, err
	}
	if t.protected {
		return nil, api.Errorf("ValidationException", "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	s.drop(at(r), t)
	d := t.describe()
	d.TableStatus = "DELETING"
	return &tableOutput{TableDescription: d}, nil
}

type listTablesInput struct {
	ExclusiveStartTableName string
	Limit                   *int
}

type listTablesOutput struct {
	TableNames             []string
	LastEvaluatedTableName string `json:",omitempty"`
}

func (s *Service) listTables(ctx context.Context, r *api.Request, in *listTablesInput) (*listTablesOutput, error) {
	if err := r.Authorize(ctx, api.Check{Action: "dynamodb:ListTables", Resource: "*"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := 100
	if in.Limit != nil {
		limit = *in.Limit
	}
	out := &listTablesOutput{TableNames: []string{}}
	for _, name := range slices.Sorted(maps.Keys(s.tables[at(r)])) {
		if name <= in.ExclusiveStartTableName {
			continue
		}
		if len(out.TableNames) == limit {
			out.LastEvaluatedTableName = out.TableNames[limit-1]
			break
		}
		out.TableNames = append(out.TableNames, name)
	}
	return out, nil
}

type ttlSpecification struct {
	AttributeName string
	Enabled       bool
}

type ttlInput struct {
	TableName               string
	TimeToLiveSpecification ttlSpecification
}

type ttlOutput struct {
	TimeToLiveSpecification *ttlSpecification `json:",omitempty"`
	TimeToLiveDescription   map[string]string `json:",omitempty"`
}

func (s *Service) updateTimeToLive(ctx context.Context, r *api.Request, in *ttlInput) (*ttlOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, "UpdateTimeToLive")
	if err != nil {
		return nil, err
	}
	if in.TimeToLiveSpecification.Enabled == (t.ttl != "") {
		return nil, api.Errorf("ValidationException", "TimeToLive is already enabled or disabled as asked")
	}
	attribute := ""
	if in.TimeToLiveSpecification.Enabled {
		attribute = in.TimeToLiveSpecification.AttributeName
	}
	for _, each := range t.every() {
		each.ttl = attribute
	}
	return &ttlOutput{TimeToLiveSpecification: &in.TimeToLiveSpecification}, nil
}

func (s *Service) describeTimeToLive(ctx context.Context, r *api.Request, in *tableInput) (*ttlOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, "DescribeTimeToLive")
	if err != nil {
		return nil, err
	}
	if t.ttl == "" {
		return &ttlOutput{TimeToLiveDescription: map[string]string{"TimeToLiveStatus": "DISABLED"}}, nil
	}
	return &ttlOutput{TimeToLiveDescription: map[string]string{"TimeToLiveStatus": "ENABLED", "AttributeName": t.ttl}}, nil
}

type backupsInput struct {
	TableName                        string
	PointInTimeRecoverySpecification *struct{ PointInTimeRecoveryEnabled bool }
}

type backupsOutput struct {
	ContinuousBackupsDescription map[string]any
}

func (t *table) backups() *backupsOutput {
	status := "DISABLED"
	if t.recovery {
		status = "ENABLED"
	}
	return &backupsOutput{map[string]any{
		"ContinuousBackupsStatus":        "ENABLED",
		"PointInTimeRecoveryDescription": map[string]any{"PointInTimeRecoveryStatus": status},
	}}
}

func (s *Service) updateContinuousBackups(ctx context.Context, r *api.Request, in *backupsInput) (*backupsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, "UpdateContinuousBackups")
	if err != nil {
		return nil, err
	}
	t.recovery = in.PointInTimeRecoverySpecification != nil && in.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled
	return t.backups(), nil
}

func (s *Service) describeContinuousBackups(ctx context.Context, r *api.Request, in *tableInput) (*backupsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, "DescribeContinuousBackups")
	if err != nil {
		return nil, err
	}
	return t.backups(), nil
}

type tagsInput struct {
	ResourceArn string
	Tags        []tag
	TagKeys     []string
	NextToken   string
}

func (s *Service) tagResource(ctx context.Context, r *api.Request, in *tagsInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.ResourceArn, "TagResource")
	if err != nil {
		return nil, err
	}
	for _, x := range in.Tags {
		t.tags[x.Key] = x.Value
	}
	return nil, nil
}

func (s *Service) untagResource(ctx context.Context, r *api.Request, in *tagsInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.ResourceArn, "UntagResource")
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(t.tags, k)
	}
	return nil, nil
}

type tagsOutput struct{ Tags []tag }

func (s *Service) listTags(ctx context.Context, r *api.Request, in *tagsInput) (*tagsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.ResourceArn, "ListTagsOfResource")
	if err != nil {
		return nil, err
	}
	out := &tagsOutput{Tags: []tag{}}
	for _, k := range slices.Sorted(maps.Keys(t.tags)) {
		out.Tags = append(out.Tags, tag{k, t.tags[k]})
	}
	return out, nil
}
