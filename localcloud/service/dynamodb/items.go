package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aistudio/secrets/localcloud/api"
)

func unix(seconds int64) string { return strconv.FormatInt(seconds, 10) }

// key takes the key attributes out of an item and checks their types.
func (t *table) key(i item) (item, error) {
	k := item{}
	for name, kind := range t.types {
		v, ok := i[name]
		if !ok || v.kind() != kind {
			return nil, api.Errorf("ValidationException", "One or more parameter values were invalid: Missing the key %s in the item, or its type is not %s", name, kind)
		}
		k[name] = v
	}
	return k, nil
}

// order compares two items by their keys. Real tables spread partitions by a
// hash; here they are in order.
func (t *table) order(a, b item) int {
	if c, _ := compare(a[t.hash], b[t.hash]); c != 0 || t.sort == "" {
		return c
	}
	c, _ := compare(a[t.sort], b[t.sort])
	return c
}

func (t *table) find(key item) (index int, found bool) {
	return slices.BinarySearchFunc(t.items, key, t.order)
}

func (t *table) get(key item) item {
	if i, ok := t.find(key); ok {
		return t.items[i]
	}
	return nil
}

// put puts an item into the table and its replicas.
func (t *table) put(i item) {
	for _, each := range t.every() {
		each.putHere(i)
	}
}

func (t *table) putHere(i item) {
	if at, ok := t.find(i); ok {
		t.items[at] = i
	} else {
		t.items = slices.Insert(t.items, at, i)
	}
}

func (t *table) remove(key item) {
	for _, each := range t.every() {
		if at, ok := each.find(key); ok {
			each.items = slices.Delete(each.items, at, at+1)
		}
	}
}

// write is what all operations that change one item have in common.
type write struct {
	TableName                           string
	Item                                item
	Key                                 item
	ConditionExpression                 string
	UpdateExpression                    string
	ExpressionAttributeNames            map[string]string
	ExpressionAttributeValues           map[string]value
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	ReturnConsumedCapacity              string
}

type writeOutput struct {
	Attributes item `json:",omitempty"`
}

type action int

const (
	putting action = iota
	updating
	deleting
	checking
)

// errCondition is the failure that conditional writes are made for.
func errCondition(old item, show string) *api.Error {
	e := api.Errorf("ConditionalCheckFailedException", "The conditional request failed")
	if show == "ALL_OLD" && old != nil {
		e.Fields = map[string]any{"Item": old}
	}
	return e
}

// plan checks a write and returns what carries it out, with the item as it was
// and as it will be (nil: not there).
func (t *table) plan(what action, in *write) (commit func(), before, after item, err error) {
	source := in.Key
	if what == putting {
		source = in.Item
	}
	key, err := t.key(source)
	if err != nil {
		return nil, nil, nil, err
	}
	if what != putting && len(source) != len(key) {
		return nil, nil, nil, api.Errorf("ValidationException", "The provided key element does not match the schema")
	}
	e := newExpressions(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	holds, err := e.condition(in.ConditionExpression)
	if err != nil {
		return nil, nil, nil, err
	}
	change := func(i item) (item, error) { return i, nil }
	if in.UpdateExpression != "" {
		if change, err = e.update(in.UpdateExpression); err != nil {
			return nil, nil, nil, err
		}
	}
	if err := e.allUsed(); err != nil {
		return nil, nil, nil, err
	}
	before = t.get(key)
	if !holds(before) {
		return nil, nil, nil, errCondition(before, in.ReturnValuesOnConditionCheckFailure)
	}
	switch what {
	case putting:
		after = in.Item
	case updating:
		start := before
		if start == nil {
			start = key
		}
		if after, err = change(start); err != nil {
			return nil, nil, nil, err
		}
		if again, err := t.key(after); err != nil || t.order(again, key) != 0 {
			return nil, nil, nil, api.Errorf("ValidationException", "One or more parameter values were invalid: Cannot update attribute that is part of the key")
		}
	case checking:
		return func() {}, before, before, nil
	}
	if after == nil {
		return func() { t.remove(key) }, before, nil, nil
	}
	return func() { t.put(after) }, before, after, nil
}

func (s *Service) write(ctx context.Context, r *api.Request, in *write, what action, permission string) (*writeOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, permission, in.leading(s.tables[at(r)][in.TableName]))
	if err != nil {
		return nil, err
	}
	commit, before, after, err := t.plan(what, in)
	if err != nil {
		return nil, err
	}
	commit()
	switch in.ReturnValues {
	case "ALL_OLD":
		return &writeOutput{before}, nil
	case "ALL_NEW":
		return &writeOutput{after}, nil
	case "", "NONE":
		return &writeOutput{}, nil
	}
	return nil, api.Errorf("ValidationException", "The emulator returns ALL_OLD, ALL_NEW or NONE, not %s.", in.ReturnValues)
}

// leading is the partition key, for dynamodb:LeadingKeys.
func (in *write) leading(t *table) value {
	if t == nil {
		return value{}
	}
	if v, ok := in.Key[t.hash]; ok {
		return v
	}
	return in.Item[t.hash]
}

func (s *Service) putItem(ctx context.Context, r *api.Request, in *write) (*writeOutput, error) {
	return s.write(ctx, r, in, putting, "PutItem")
}

func (s *Service) updateItem(ctx context.Context, r *api.Request, in *write) (*writeOutput, error) {
	return s.write(ctx, r, in, updating, "UpdateItem")
}

func (s *Service) deleteItem(ctx context.Context, r *api.Request, in *write) (*writeOutput, error) {
	return s.write(ctx, r, in, deleting, "DeleteItem")
}

type getItemInput struct {
	TableName                string
	Key                      item
	ConsistentRead           bool
	ProjectionExpression     string
	ExpressionAttributeNames map[string]string
}

type getItemOutput struct {
	Item item `json:",omitempty"`
}

func (s *Service) getItem(ctx context.Context, r *api.Request, in *getItemInput) (*getItemOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, "GetItem", (&write{Key: in.Key}).leading(s.tables[at(r)][in.TableName]))
	if err != nil {
		return nil, err
	}
	key, err := t.key(in.Key)
	if err != nil {
		return nil, err
	}
	project, err := newExpressions(in.ExpressionAttributeNames, nil).projection(in.ProjectionExpression)
	if err != nil {
		return nil, err
	}
	found := t.get(key)
	if found == nil {
		return &getItemOutput{}, nil
	}
	return &getItemOutput{project(found)}, nil
}

// projection keeps the named top-level attributes.
func (e *expressions) projection(source string) (func(item) item, error) {
	if source == "" {
		return func(i item) item { return i }, nil
	}
	p, err := e.parser(source)
	if err != nil {
		return nil, err
	}
	var names []string
	for {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		if !p.accept(",") {
			break
		}
	}
	return func(i item) item {
		out := item{}
		for _, name := range names {
			if v, ok := i[name]; ok {
				out[name] = v
			}
		}
		return out
	}, p.end()
}

type queryInput struct {
	TableName                 string
	KeyConditionExpression    string
	FilterExpression          string
	ProjectionExpression      string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]value
	ScanIndexForward          *bool
	ConsistentRead            bool
	Limit                     *int
	ExclusiveStartKey         item
	Select                    string
	ReturnConsumedCapacity    string
}

type queryOutput struct {
	Items            []item
	Count            int
	ScannedCount     int
	LastEvaluatedKey item `json:",omitempty"`
}

func (s *Service) query(ctx context.Context, r *api.Request, in *queryInput) (*queryOutput, error) {
	return s.read(ctx, r, in, "Query")
}

func (s *Service) scan(ctx context.Context, r *api.Request, in *queryInput) (*queryOutput, error) {
	return s.read(ctx, r, in, "Scan")
}

func (s *Service) read(ctx context.Context, r *api.Request, in *queryInput, operation string) (*queryOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.open(ctx, r, in.TableName, operation)
	if err != nil {
		return nil, err
	}
	e := newExpressions(in.ExpressionAttributeNames, in.ExpressionAttributeValues)
	inRange := condition(func(item) bool { return true })
	if operation == "Query" {
		if inRange, err = e.keyCondition(t, in.KeyConditionExpression); err != nil {
			return nil, err
		}
	}
	filter, err := e.condition(in.FilterExpression)
	if err != nil {
		return nil, err
	}
	project, err := e.projection(in.ProjectionExpression)
	if err != nil {
		return nil, err
	}
	if err := e.allUsed(); err != nil {
		return nil, err
	}
	forward := in.ScanIndexForward == nil || *in.ScanIndexForward
	items := slices.Clone(t.items)
	if !forward {
		slices.Reverse(items)
	}
	out := &queryOutput{Items: []item{}}
	for _, i := range items {
		if in.ExclusiveStartKey != nil {
			if c := t.order(i, in.ExclusiveStartKey); forward && c <= 0 || !forward && c >= 0 {
				continue
			}
		}
		if !inRange(i) {
			continue
		}
		if in.Limit != nil && out.ScannedCount == *in.Limit {
			break
		}
		out.ScannedCount++
		if in.Limit != nil && out.ScannedCount == *in.Limit {
			// AWS gives a key even when nothing may follow.
			if out.LastEvaluatedKey, err = t.key(i); err != nil {
				return nil, err
			}
		}
		if filter(i) {
			out.Count++
			if in.Select != "COUNT" {
				out.Items = append(out.Items, project(i))
			}
		}
	}
	return out, nil
}

// keyCondition is a condition that names the partition key and nothing beyond
// the key.
func (e *expressions) keyCondition(t *table, source string) (condition, error) {
	p, err := e.parser(source)
	if err != nil {
		return nil, err
	}
	c, err := p.or()
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(p.keys, t.hash) {
		return nil, api.Errorf("ValidationException", "Query condition missed key schema element: %s", t.hash)
	}
	for _, name := range p.keys {
		if name != t.hash && name != t.sort {
			return nil, api.Errorf("ValidationException", "Query key condition not supported")
		}
	}
	return c, nil
}

type batchWriteInput struct {
	RequestItems map[string][]struct {
		PutRequest    *struct{ Item item }
		DeleteRequest *struct{ Key item }
	}
}

type batchWriteOutput struct{ UnprocessedItems map[string]any }

func (s *Service) batchWriteItem(ctx context.Context, r *api.Request, in *batchWriteInput) (*batchWriteOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var commits []func()
	for name, requests := range in.RequestItems {
		t, err := s.open(ctx, r, name, "BatchWriteItem")
		if err != nil {
			return nil, err
		}
		for _, q := range requests {
			w, what := &write{}, deleting
			if q.PutRequest != nil {
				w.Item, what = q.PutRequest.Item, putting
			} else if q.DeleteRequest != nil {
				w.Key = q.DeleteRequest.Key
			}
			commit, _, _, err := t.plan(what, w)
			if err != nil {
				return nil, err
			}
			commits = append(commits, commit)
		}
	}
	if len(commits) < 1 || len(commits) > 25 {
		return nil, api.Errorf("ValidationException", "BatchWriteItem takes 1 to 25 requests, not %d.", len(commits))
	}
	for _, commit := range commits {
		commit()
	}
	return &batchWriteOutput{map[string]any{}}, nil
}

type batchGetInput struct {
	RequestItems map[string]struct {
		Keys                     []item
		ConsistentRead           bool
		ProjectionExpression     string
		ExpressionAttributeNames map[string]string
	}
}

type batchGetOutput struct {
	Responses       map[string][]item
	UnprocessedKeys map[string]any
}

func (s *Service) batchGetItem(ctx context.Context, r *api.Request, in *batchGetInput) (*batchGetOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &batchGetOutput{Responses: map[string][]item{}, UnprocessedKeys: map[string]any{}}
	for name, q := range in.RequestItems {
		t, err := s.open(ctx, r, name, "BatchGetItem")
		if err != nil {
			return nil, err
		}
		project, err := newExpressions(q.ExpressionAttributeNames, nil).projection(q.ProjectionExpression)
		if err != nil {
			return nil, err
		}
		for _, k := range q.Keys {
			key, err := t.key(k)
			if err != nil {
				return nil, err
			}
			if found := t.get(key); found != nil {
				out.Responses[name] = append(out.Responses[name], project(found))
			}
		}
	}
	return out, nil
}

type transactInput struct {
	TransactItems []struct {
		Put, Update, Delete, ConditionCheck *write
	}
	ClientRequestToken string
}

// transactWriteItems carries out all writes or none.
func (s *Service) transactWriteItems(ctx context.Context, r *api.Request, in *transactInput) (*struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(in.TransactItems); n < 1 || n > 100 {
		r.AllowAll()
		return nil, api.Errorf("ValidationException", "A transaction takes 1 to 100 items, not %d.", n)
	}
	var commits []func()
	reasons := make([]map[string]string, len(in.TransactItems))
	failed := false
	for n, q := range in.TransactItems {
		reasons[n] = map[string]string{"Code": "None"}
		w, what, permission := q.Put, putting, "PutItem"
		switch {
		case q.Update != nil:
			w, what, permission = q.Update, updating, "UpdateItem"
		case q.Delete != nil:
			w, what, permission = q.Delete, deleting, "DeleteItem"
		case q.ConditionCheck != nil:
			w, what, permission = q.ConditionCheck, checking, "ConditionCheckItem"
		}
		t, err := s.open(ctx, r, w.TableName, permission)
		if err != nil {
			return nil, err
		}
		commit, _, _, err := t.plan(what, w)
		var apiErr *api.Error
		if errors.As(err, &apiErr) && apiErr.Code == "ConditionalCheckFailedException" {
			reasons[n] = map[string]string{"Code": "ConditionalCheckFailed", "Message": apiErr.Message}
			failed = true
			continue
		}
		if err != nil {
			return nil, err
		}
		commits = append(commits, commit)
	}
	if failed {
		var codes []string
		for _, reason := range reasons {
			codes = append(codes, reason["Code"])
		}
		return nil, &api.Error{
			Status: 400, Code: "TransactionCanceledException",
			Message: fmt.Sprintf("Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", ")),
			Fields:  map[string]any{"CancellationReasons": reasons},
		}
	}
	for _, commit := range commits {
		commit()
	}
	return nil, nil
}
